// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>

#include "inference/text/tokenizer.h"
#include "verify/checkpoint/tokenizer_model.h"

// A model that is accepted can be written and read again to the same bytes,
// and the library, if it takes it, encodes and decodes with ids that exist.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto model =
      verify::ReadTokenizerModel(std::as_bytes(std::span(data, size)));
  if (!model) return 0;
  const std::string bytes = verify::SerializeTokenizerModel(*model);
  const auto again = verify::ReadTokenizerModel(verify::AsBytes(bytes));
  if (!again || verify::SerializeTokenizerModel(*again) != bytes) std::abort();

  const auto tokenizer = inference::Tokenizer::Create(*model);
  if (!tokenizer) return 0;
  std::string text = " the  a\n\xff\xe2\x82\xac<s>";
  for (size_t i = 0; i < 8 && i < model->pieces.size(); ++i) {
    text += model->pieces[i].text;
  }
  const auto ids = tokenizer->Encode(text);
  for (const inference::TokenId id : ids) {
    if (id < 0 || static_cast<size_t>(id) >= model->pieces.size()) {
      std::abort();
    }
  }
  tokenizer->Decode(ids);
  return 0;
}
