// SPDX-License-Identifier: Apache-2.0
// A QR code for a terminal. Tested by tests/cli/qr_code_test.cc.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace cli {

// Rows of half blocks, two modules high each, with a quiet zone of two modules;
// light modules are drawn, as on a dark terminal. Nothing if the text does not
// fit a code of `max_modules` (21 to 177) in each direction.
std::optional<std::string> QrCode(std::string_view text, int max_modules);

}  // namespace cli
