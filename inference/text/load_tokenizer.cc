// SPDX-License-Identifier: Apache-2.0
#include "inference/text/load_tokenizer.h"

#include <utility>

#include "verify/base/file.h"
#include "verify/base/text.h"

namespace inference {

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::Result;
using verify::StrCat;
using verify::TokenizerModel;

namespace {

std::string TokenizerPath(const verify::Checkpoint& checkpoint) {
  return checkpoint.gguf() != nullptr
             ? checkpoint.files().front()
             : checkpoint.folder() + "/tokenizer.model";
}

}  // namespace

Result<TokenizerModel> LoadTokenizerModel(
    const verify::Checkpoint& checkpoint) {
  const bool is_gguf = checkpoint.gguf() != nullptr;
  const std::string path = TokenizerPath(checkpoint);
  Result<TokenizerModel> model = Fail(ErrorCode::kInternal, "");
  if (is_gguf) {
    model = verify::TokenizerModelFromGguf(*checkpoint.gguf());
  } else {
    auto bytes = verify::ReadSmallFile(path, verify::kMaxTokenizerBytes);
    if (!bytes && bytes.error().code == ErrorCode::kNotFound) {
      return Fail(ErrorCode::kNotFound,
                  StrCat("no tokenizer: \"", EscapeForTerminal(path),
                         "\" does not exist"))
          .Id("E-TOKENIZER")
          .Hint("put the tokenizer.model of this model beside its weights");
    }
    if (!bytes) return verify::Unexpected(std::move(bytes).error());
    model = verify::ReadTokenizerModel(*bytes);
  }
  if (model) return model;
  return verify::WithContext(std::move(model).error(),
                             StrCat("\"", EscapeForTerminal(path), "\""));
}

Result<TokenizerModel> LoadTokenizerFor(const verify::Checkpoint& checkpoint,
                                        const verify::ModelConfig& config) {
  ASSIGN_OR_RETURN(TokenizerModel model, LoadTokenizerModel(checkpoint));
  if (model.pieces.size() > config.vocab_size) {
    return Fail(
               ErrorCode::kCorrupt,
               StrCat("\"", EscapeForTerminal(TokenizerPath(checkpoint)),
                      "\": the tokenizer has ", model.pieces.size(),
                      " pieces, the model a vocabulary of ", config.vocab_size))
        .Id("E-TOKENIZER")
        .Hint("the tokenizer belongs to another model");
  }
  return model;
}

}  // namespace inference
