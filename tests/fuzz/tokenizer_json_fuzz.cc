// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "verify/checkpoint/tokenizer_json.h"

namespace {

// What is accepted keeps what readers rely on: ids in order, merges of tokens
// that exist.
void Check(const verify::Result<verify::TokenVocabulary>& read) {
  if (!read) return;
  const auto fail = [](bool broken) {
    if (broken) std::abort();
  };
  fail(read->tokens.empty());
  for (size_t i = 0; i < read->tokens.size(); ++i) {
    fail(read->tokens[i].text.empty());
    fail(i > 0 && read->tokens[i - 1].id >= read->tokens[i].id);
  }
  for (const auto& [left, right] : read->merges) {
    fail(left > read->max_id() || right > read->max_id());
  }
}

}  // namespace

// The same bytes as tokenizer.json and as tekken.json.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Check(verify::ReadTokenizerJson(text));
  Check(verify::ReadTekkenJson(text));
  return 0;
}
