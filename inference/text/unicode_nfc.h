// SPDX-License-Identifier: Apache-2.0
// Normalisation form C (Unicode Standard Annex 15), which some tokenizers put
// before all else. Of Unicode 14. Tested by
// tests/inference/text/unicode_nfc_test.cc.
#pragma once

#include <string>
#include <string_view>

namespace inference {

// Requires UTF-8. Time n log n, memory some 10 bytes for each of `text`.
std::string ToNfc(std::string_view text);

// False only if ToNfc would give back `text`; a quick look at it.
bool MayChangeInNfc(std::string_view text);

}  // namespace inference
