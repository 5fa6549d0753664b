// SPDX-License-Identifier: Apache-2.0
// How a caller looks at a payload while most of it is still on its way, so
// that a wrong or unsafe model is refused early. p2p itself judges nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "p2p/metainfo.h"
#include "p2p/selection.h"
#include "verify/base/result.h"

namespace p2p {

// What is here of a payload. Valid during the call that it is given to.
struct PartialPayload {
  const Metainfo& metainfo;
  const Selection& selection;
  std::string payload_path;  // of the part that is being fetched
  // True if all of the range has passed its hash and can be read from
  // PathOf(file) now.
  std::function<bool(size_t file, uint64_t offset, uint64_t size_bytes)>
      is_here;
  std::function<std::string(size_t file)> path_of;
  // The payload is spread over two places: only shard indexes are of use.
  bool indexes_only = false;
};

struct LookAnswer {
  // Ranges to see before the next look; none: the caller has seen enough.
  std::vector<FileRange> need;
  // What is wanted from now on, if that changed.
  std::optional<Selection> selection;
};

// Called on the transfer's thread; an error ends the download with it, and
// what is here is kept.
using LookFunction =
    std::function<verify::Result<LookAnswer>(const PartialPayload&)>;

}  // namespace p2p
