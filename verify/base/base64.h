// SPDX-License-Identifier: Apache-2.0
// RFC 4648 base64, strict. Tested by tests/verify/base/base64_test.cc.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "verify/base/bytes.h"

namespace verify {

// The standard alphabet, padded, in one line.
std::string Base64Encode(ByteSpan bytes);

// Bytes of padded base64 in the standard or the URL-safe alphabet, not both in
// one text. Nothing for another character (blanks and line ends too), missing
// or wrong padding, and bits that belong to no byte but are not zero: every
// sequence of bytes has one text in each alphabet.
std::optional<std::vector<std::byte>> Base64Decode(std::string_view text);

}  // namespace verify
