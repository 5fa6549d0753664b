// SPDX-License-Identifier: Apache-2.0
#include "verify/base/bytes.h"

#include "verify/base/text.h"

namespace verify {

Unexpected ByteReader::Truncated(uint64_t wanted) const {
  return Fail(ErrorCode::kCorrupt, StrCat("truncated: ", wanted,
                                          " bytes wanted, ", remaining(),
                                          " left"))
      .At(offset());
}

}  // namespace verify
