// SPDX-License-Identifier: Apache-2.0
// XXH64 with seed 0, the checksum of zstd frames and of the seekable form
// (Collet, xxHash specification 0.1.1, section "XXH64"). Finds accidents only.
// Tested by tests/verify/container/xxh64_test.cc.
#pragma once

#include <cstdint>

#include "verify/base/bytes.h"

namespace verify {

uint64_t Xxh64(ByteSpan bytes);

}  // namespace verify
