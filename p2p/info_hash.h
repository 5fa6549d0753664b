// SPDX-License-Identifier: Apache-2.0
// Info-hashes of BitTorrent v1 (SHA-1) and v2 (SHA-256).
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>

#include "verify/base/bytes.h"

namespace p2p {

using InfoHashV1 = std::array<std::byte, 20>;
using InfoHashV2 = std::array<std::byte, 32>;

// One of them at least, as a magnet link or a metainfo file gives them.
struct InfoHashes {
  std::optional<InfoHashV1> v1;
  std::optional<InfoHashV2> v2;

  bool operator==(const InfoHashes&) const = default;
  // Lower-case hex; v1 if there is one, else v2 cut to 20 bytes as BEP 52
  // says: names state on disk.
  std::string Key() const;
};

// Of the raw bytes of an info dictionary.
InfoHashV1 ComputeInfoHashV1(verify::ByteSpan info);
InfoHashV2 ComputeInfoHashV2(verify::ByteSpan info);

}  // namespace p2p
