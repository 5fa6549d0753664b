// SPDX-License-Identifier: Apache-2.0
#include "p2p/info_hash.h"

#include <span>

#include "verify/base/check.h"
#include "verify/base/text.h"

namespace p2p {

std::string InfoHashes::Key() const {
  if (v1.has_value()) return verify::HexEncode(*v1);
  CHECK(v2.has_value());
  return verify::HexEncode(std::span(*v2).first(20));
}

}  // namespace p2p
