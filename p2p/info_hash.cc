// SPDX-License-Identifier: Apache-2.0
#include "p2p/info_hash.h"

#include <span>

#include "verify/base/check.h"
#include "verify/base/text.h"
#include "verify/digest/digest.h"

namespace p2p {

InfoHashV1 ComputeInfoHashV1(verify::ByteSpan info) {
  return verify::Sha1(info);
}

InfoHashV2 ComputeInfoHashV2(verify::ByteSpan info) {
  return verify::Sha256(info);
}

std::string InfoHashes::Key() const {
  if (v1.has_value()) return verify::HexEncode(*v1);
  CHECK(v2.has_value());
  return verify::HexEncode(std::span(*v2).first(20));
}

}  // namespace p2p
