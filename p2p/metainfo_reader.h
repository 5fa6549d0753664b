// SPDX-License-Identifier: Apache-2.0
// The parts of ParseMetainfo. Internal to p2p.
#pragma once

#include <string>

#include "p2p/bencode.h"
#include "p2p/metainfo.h"
#include "verify/base/result.h"

namespace p2p {

// kCorrupt with id E-TORRENT.
verify::Unexpected FailTorrent(std::string message);

// Everything that stands in the info dictionary.
verify::Result<Metainfo> ReadInfo(const BencodeValue& info);

// Checks "piece layers" of a whole .torrent against the files' roots. `layers`
// may be absent if no file needs one.
verify::Result<void> CheckPieceLayers(const Metainfo& metainfo,
                                      std::optional<BencodeValue> layers);

// The pieces root of a file from the digests of its pieces. `piece_length` is a
// power of two of at least 16 KiB; at least two digests.
verify::Sha256Digest RootOfPieceLayer(std::vector<verify::Sha256Digest> digests,
                                      uint64_t piece_length);

}  // namespace p2p
