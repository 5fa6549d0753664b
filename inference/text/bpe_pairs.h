// SPDX-License-Identifier: Apache-2.0
// The merges of a vocabulary that lists none: every two tokens that together
// are a token. Tested by tests/inference/text/bpe_merger_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "inference/text/bpe_merger.h"
#include "verify/base/result.h"

namespace inference {

inline constexpr size_t kMaxTokenPairs = 8u << 20;

struct TokenBytes {
  std::string_view bytes;
  uint32_t id = 0;  // also the rank of the merges that make it
};

// Requires bytes not empty and none twice. Time grows with the bytes of all
// tokens together and their logarithm. kLimit, E-TOKENIZER: more than
// `max_pairs`.
verify::Result<std::vector<MergeTable::Merge>> PairsOf(
    const std::vector<TokenBytes>& tokens, size_t max_pairs = kMaxTokenPairs);

}  // namespace inference
