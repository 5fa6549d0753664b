// SPDX-License-Identifier: Apache-2.0
// Whether this processor has the SHA extensions of x86-64, and how functions
// that use them are marked. Part of sha1_pair and sha256_lane; not for others.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>

#define LODESTONE_SHA_TARGET __attribute__((target("sha,sse4.1")))
// Lanes only overlap in one stretch of instructions.
#define LODESTONE_SHA_INLINE \
  LODESTONE_SHA_TARGET __attribute__((always_inline)) inline
#endif

namespace verify::internal {

// Thread-safe; asks the processor once.
bool HasShaExtensions();

}  // namespace verify::internal
