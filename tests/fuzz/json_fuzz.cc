// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "verify/base/json.h"

// What the limited parser accepts, written out again, must parse to the same.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto parsed =
      verify::ParseJson({reinterpret_cast<const char*>(data), size});
  if (!parsed) return 0;
  const auto again = verify::ParseJson(parsed->dump());
  if (!again || *again != *parsed) std::abort();
  return 0;
}
