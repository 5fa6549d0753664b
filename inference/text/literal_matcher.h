// SPDX-License-Identifier: Apache-2.0
// Finds fixed texts (added tokens) in a text: the leftmost, the longest of
// those that begin there. Tested by
// tests/inference/text/literal_matcher_test.cc.
#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "inference/text/text_encoder.h"
#include "verify/base/result.h"

namespace inference {

// Thread-safe once created.
class LiteralMatcher {
 public:
  static constexpr size_t kMaxLiteralBytes = 1024;
  static constexpr size_t kMaxNested = 48;

  LiteralMatcher() = default;
  // `literals`: texts, none empty, none twice, with what Next gives for them.
  // Errors, E-TOKENIZER: kLimit (a text too long, or too many that begin with
  // each other: a text could be built on which the search takes for ever).
  static verify::Result<LiteralMatcher> Create(
      std::vector<std::pair<std::string, TokenId>> literals);

  bool empty() const { return literals_.empty(); }

  struct Found {
    size_t begin = 0;
    size_t size = 0;
    TokenId id = 0;
  };
  // The first at `from` or behind it.
  std::optional<Found> Next(std::string_view text, size_t from) const;

 private:
  struct Literal {
    std::string text;
    TokenId id = 0;
    // The longest other one that it begins with: its place + 1, or 0.
    uint32_t shorter = 0;
  };
  const Literal* At(std::string_view rest) const;

  std::vector<Literal> literals_;  // by text
  std::bitset<256> first_bytes_;
};

}  // namespace inference
