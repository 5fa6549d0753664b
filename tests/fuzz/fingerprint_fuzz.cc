// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "inference/eval/fingerprint_compare.h"
#include "inference/eval/fingerprint_json.h"

// What is accepted, written out again, is read as the same, and can be
// compared with itself: every count is as the others say.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto parsed =
      inference::ParseFingerprint({reinterpret_cast<const char*>(data), size});
  if (!parsed) {
    if (parsed.error().id != "E-FINGERPRINT-FORM") std::abort();
    return 0;
  }
  const auto again =
      inference::ParseFingerprint(inference::FormatFingerprint(*parsed));
  if (!again || !(*again == *parsed)) std::abort();
  if (!inference::CompareFingerprints(*parsed, *again).empty()) std::abort();
  inference::CompareCloseness(*parsed, *again);
  return 0;
}
