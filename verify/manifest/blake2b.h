// SPDX-License-Identifier: Apache-2.0
// BLAKE2b with 32 bytes of output (RFC 7693), for small inputs: the checksum
// in a minisign secret key. OpenSSL 3.0 has the form with 64 bytes alone,
// which is another function; what is large goes through that one.
// Tested by tests/verify/manifest/blake2b_test.cc.
#pragma once

#include <array>
#include <cstddef>

#include "verify/base/bytes.h"

namespace verify {

using Blake2b256Digest = std::array<std::byte, 32>;

Blake2b256Digest Blake2b256(ByteSpan bytes);

}  // namespace verify
