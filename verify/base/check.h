// SPDX-License-Identifier: Apache-2.0
// CHECK and DCHECK: for errors of the programmer only. Input never reaches a
// CHECK; what a file, a peer or a user can cause is a Result.
#pragma once

namespace verify {

// Prints "file:line: check failed: condition" to stderr and aborts.
[[noreturn]] void CheckFailed(const char* file, int line,
                              const char* condition);

}  // namespace verify

#define CHECK(condition)                                         \
  (static_cast<bool>(condition)                                  \
       ? static_cast<void>(0)                                    \
       : ::verify::CheckFailed(__FILE__, __LINE__, #condition))

#ifdef NDEBUG
#define DCHECK(condition) static_cast<void>(sizeof(static_cast<bool>(condition)))
#else
#define DCHECK(condition) CHECK(condition)
#endif
