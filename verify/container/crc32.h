// SPDX-License-Identifier: Apache-2.0
// CRC-32 as zip archives store it (ISO-HDLC, polynomial 0x04C11DB7 reflected).
// Tested by tests/verify/container/crc32_test.cc.
#pragma once

#include <cstdint>

#include "verify/base/bytes.h"

namespace verify {

// The CRC of the bytes whose CRC is `crc` (0 for none) followed by `bytes`.
uint32_t Crc32(ByteSpan bytes, uint32_t crc = 0);

}  // namespace verify
