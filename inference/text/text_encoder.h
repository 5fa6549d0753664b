// SPDX-License-Identifier: Apache-2.0
// What differs between kinds of tokenizers: how text becomes ids. Behind
// Tokenizer; one implementation per kind (sentencepiece_encoder, bpe_encoder).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace inference {

using TokenId = int32_t;

// Thread-safe.
class TextEncoder {
 public:
  // Where a text stands in a prompt: some vocabularies put a space only before
  // the first.
  enum class Place { kStart, kInside };

  virtual ~TextEncoder() = default;
  // Appends the ids of `text`, which holds no control pieces; what looks like
  // one is text.
  virtual void Encode(std::string_view text, Place place,
                      std::vector<TokenId>& ids) const = 0;
};

}  // namespace inference
