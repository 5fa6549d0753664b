// SPDX-License-Identifier: Apache-2.0
// The parts of ParseMetainfo. Internal to p2p.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

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

// What stands beside "info" in a .torrent.
struct TorrentFields {
  std::vector<std::string> trackers;
  std::vector<std::string> web_seeds;
  std::string comment;
  std::optional<int64_t> creation_date;
  PieceLayers layers;
};
std::vector<std::byte> EncodeTorrent(verify::ByteSpan info,
                                     const TorrentFields& fields);

}  // namespace p2p
