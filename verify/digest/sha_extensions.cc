// SPDX-License-Identifier: Apache-2.0
#include "verify/digest/sha_extensions.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace verify::internal {
namespace {

bool AskProcessor() {
#if defined(__x86_64__)
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  // Leaf 7: bit 29 of EBX; leaf 1: SSSE3 and SSE4.1, bits 9 and 19 of ECX.
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return false;
  const bool sha = (b >> 29 & 1) != 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0) return false;
  return sha && (c >> 9 & 1) != 0 && (c >> 19 & 1) != 0;
#else
  return false;
#endif
}

}  // namespace

bool HasShaExtensions() {
  static const bool has = AskProcessor();
  return has;
}

}  // namespace verify::internal
