// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "p2p/endpoint_policy.h"
#include "p2p/magnet.h"
#include "verify/base/text.h"

// What the parser accepts, written out again, must parse to the same without a
// repair; the filter must be stable.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto parsed =
      p2p::ParseMagnet({reinterpret_cast<const char*>(data), size});
  if (!parsed) {
    if (parsed.error().id != "E-MAGNET") std::abort();
    return 0;
  }
  const auto again = p2p::ParseMagnet(p2p::FormatMagnet(parsed->magnet));
  if (!again || again->magnet != parsed->magnet || !again->repairs.empty()) {
    std::abort();
  }
  if (!verify::IsValidUtf8(parsed->magnet.display_name)) std::abort();
  for (const bool allow_local : {true, false}) {
    p2p::Magnet once = parsed->magnet;
    std::vector<std::string> warnings;
    p2p::FilterEndpoints(once, allow_local, warnings);
    p2p::Magnet twice = once;
    warnings.clear();
    p2p::FilterEndpoints(twice, allow_local, warnings);
    if (twice != once || !warnings.empty()) std::abort();
  }
  return 0;
}
