// SPDX-License-Identifier: Apache-2.0
// JSON from outside: parsed only within limits on size, depth and duplicate
// keys. Tested by tests/verify/base/json_test.cc, fuzzed by
// tests/fuzz/json_fuzz.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>

#include "verify/base/result.h"

namespace verify {

using Json = nlohmann::json;

struct JsonLimits {
  size_t max_bytes = 16u << 20;
  int max_depth = 16;
  // Values of any kind, keys not counted.
  uint64_t max_values = 4u << 20;
  // Of a key or a text, as it is written: with its escapes.
  size_t max_text_bytes = std::numeric_limits<size_t>::max();
};

// A quick look, before anything is built: more bytes, certainly more values,
// or a longer text than `limits` allow is kLimit. It says nothing of whether
// `text` is JSON. ParseJson begins with it.
Result<void> CheckJsonLimits(std::string_view text, const JsonLimits& limits);

// Parses exactly one JSON value. Refused: bytes past it, invalid UTF-8,
// comments, and an object with the same key twice (after its escapes are
// decoded). Errors: kLimit (beyond a limit), kCorrupt (all else, offset set).
Result<Json> ParseJson(std::string_view text, const JsonLimits& limits = {});

// A whole number >= 0 that is written as one (no 1e3, no 1.0); nothing else.
std::optional<uint64_t> AsUnsigned(const Json& value);

}  // namespace verify
