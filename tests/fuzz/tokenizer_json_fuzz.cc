// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "inference/text/tokenizer.h"
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
  // If the engine takes it, texts get ids that exist and are not special.
  const auto tokenizer = inference::Tokenizer::Create(*read);
  if (!tokenizer) return;
  std::string text = " the  a1\n\xff\xe2\x82\xac<s>";
  for (size_t i = 0; i < 8 && i < read->tokens.size(); ++i) {
    text += read->tokens[i].text;
  }
  const auto ids = tokenizer->Encode(text);
  for (const inference::TokenId id : ids) {
    fail(id < 0 || static_cast<uint64_t>(id) > read->max_id());
    fail(tokenizer->IsControl(id));
  }
  tokenizer->Decode(ids);
  tokenizer->Decode(tokenizer->EncodeMarked(text));
}

}  // namespace

// The same bytes as tokenizer.json and as tekken.json.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  Check(verify::ReadTokenizerJson(text));
  Check(verify::ReadTekkenJson(text));
  return 0;
}
