// SPDX-License-Identifier: Apache-2.0
#include "inference/text/load_tokenizer.h"

#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "inference/text/sentencepiece_form.h"
#include "inference/text/template_text.h"
#include "verify/base/file.h"
#include "verify/base/json.h"
#include "verify/base/text.h"

namespace inference {

using verify::Checkpoint;
using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::Json;
using verify::Result;
using verify::StrCat;
using verify::TokenizerModel;
using verify::TokenVocabulary;
using verify::VocabularyToken;

namespace {

// In the order in which they are looked for.
constexpr std::array<std::string_view, 8> kFileNames = {
    "tokenizer.model",    "tokenizer.model.v1", "tokenizer.model.v2",
    "tokenizer.model.v3", "tokenizer.model.v7", "tokenizer.model.v7m1",
    "tekken.json",        "tokenizer.json"};
constexpr std::string_view kModelName = "tokenizer.model";

constexpr uint64_t kMaxConfigBytes = 4u << 20;
constexpr verify::JsonLimits kConfigLimits{kMaxConfigBytes, 24, 1u << 16};

// What ends a text in published vocabularies, if no file says it.
constexpr std::array<std::string_view, 3> kUsualEnds = {
    "</s>", "<|end_of_text|>", "<|endoftext|>"};

std::string Quoted(std::string_view path) {
  return StrCat('"', EscapeForTerminal(path), '"');
}

std::optional<uint32_t> IdOf(const TokenVocabulary& vocabulary,
                             std::string_view text) {
  for (const VocabularyToken& token : vocabulary.tokens) {
    if (token.text == text) return token.id;
  }
  return std::nullopt;
}

// "eos_token": a text, or an object with its "content".
std::string_view NamedToken(const Json& config, std::string_view key) {
  auto it = config.find(key);
  if (it == config.end()) return {};
  const Json* value = &*it;
  if (value->is_object()) {
    it = value->find("content");
    if (it == value->end()) return {};
    value = &*it;
  }
  if (!value->is_string()) return {};
  return value->get_ref<const std::string&>();
}

// tokenizer.json does not say what ends a text; the file beside it does.
Result<void> NameEnds(const std::string& folder, TokenVocabulary& vocabulary) {
  const std::string path = StrCat(folder, "/tokenizer_config.json");
  auto text = verify::ReadSmallTextFile(path, kMaxConfigBytes);
  if (!text && text.error().code != ErrorCode::kNotFound) {
    return verify::Unexpected(std::move(text).error());
  }
  if (text) {
    auto config = verify::ParseJson(*text, kConfigLimits);
    if (!config) {
      return verify::WithContext(std::move(config).error(), Quoted(path));
    }
    if (config->is_object()) {
      vocabulary.end_id = IdOf(vocabulary, NamedToken(*config, "eos_token"));
      if (!vocabulary.begin_id.has_value()) {
        vocabulary.begin_id =
            IdOf(vocabulary, NamedToken(*config, "bos_token"));
      }
      const auto adds = config->find("add_bos_token");
      if (adds != config->end() && adds->is_boolean()) {
        vocabulary.adds_begin = adds->get<bool>();
      }
    }
  }
  for (const std::string_view end : kUsualEnds) {
    if (!vocabulary.end_id.has_value()) {
      vocabulary.end_id = IdOf(vocabulary, end);
    }
  }
  return {};
}

// A file of one of the names above. kNotFound: it is not there.
Result<LoadedVocabulary> ReadNamed(const std::string& folder,
                                   std::string_view name) {
  LoadedVocabulary loaded;
  loaded.path = StrCat(folder, "/", name);
  if (name.starts_with(kModelName)) {
    if (name.size() > kModelName.size()) {
      loaded.release = name.substr(kModelName.size() + 1);
    }
    ASSIGN_OR_RETURN(
        const auto bytes,
        verify::ReadSmallFile(loaded.path, verify::kMaxTokenizerBytes));
    ASSIGN_OR_RETURN(loaded.content, verify::ReadTokenizerModel(bytes));
    return loaded;
  }
  ASSIGN_OR_RETURN(
      const std::string text,
      verify::ReadSmallTextFile(loaded.path, verify::kMaxTokenizerJsonBytes));
  if (name == "tekken.json") {
    ASSIGN_OR_RETURN(loaded.content, verify::ReadTekkenJson(text));
    return loaded;
  }
  ASSIGN_OR_RETURN(TokenVocabulary vocabulary, verify::ReadTokenizerJson(text));
  RETURN_IF_ERROR(NameEnds(folder, vocabulary));
  loaded.content = std::move(vocabulary);
  return loaded;
}

Result<LoadedVocabulary> ReadFile(const std::string& folder,
                                  std::string_view name) {
  auto loaded = ReadNamed(folder, name);
  if (loaded || loaded.error().code == ErrorCode::kNotFound) return loaded;
  return verify::WithContext(std::move(loaded).error(),
                             Quoted(StrCat(folder, "/", name)));
}

// What a chat template of ours says of the vocabulary's version; those of
// others are programs and say nothing.
std::string StatedRelease(const verify::GgufFile& gguf) {
  const std::string* const text = gguf.String("tokenizer.chat_template");
  if (text == nullptr) return {};
  return std::string(ReleaseOfTemplate(*text).value_or(""));
}

Result<LoadedVocabulary> ReadGgufVocabulary(const Checkpoint& checkpoint) {
  LoadedVocabulary loaded;
  loaded.path = checkpoint.files().front();
  const verify::GgufFile& gguf = *checkpoint.gguf();
  const std::string* kind = gguf.String("tokenizer.ggml.model");
  if (kind != nullptr && *kind == "gpt2") {
    ASSIGN_OR_RETURN(TokenVocabulary vocabulary,
                     verify::TokenVocabularyFromGguf(gguf));
    vocabulary.version = StatedRelease(gguf);
    loaded.content = std::move(vocabulary);
  } else {
    ASSIGN_OR_RETURN(loaded.content, verify::TokenizerModelFromGguf(gguf));
    loaded.release = StatedRelease(gguf);
  }
  return loaded;
}

}  // namespace

Result<LoadedVocabulary> LoadVocabulary(const Checkpoint& checkpoint) {
  if (checkpoint.gguf() != nullptr) {
    auto loaded = ReadGgufVocabulary(checkpoint);
    if (loaded) return loaded;
    return verify::WithContext(std::move(loaded).error(),
                               Quoted(checkpoint.files().front()));
  }
  for (const std::string_view name : kFileNames) {
    auto loaded = ReadFile(checkpoint.folder(), name);
    if (loaded || loaded.error().code != ErrorCode::kNotFound) return loaded;
  }
  return Fail(ErrorCode::kNotFound,
              StrCat("no tokenizer: ",
                     Quoted(StrCat(checkpoint.folder(), "/", kModelName)),
                     " does not exist, nor tekken.json or tokenizer.json"))
      .Id("E-TOKENIZER")
      .Hint("put the tokenizer.model of this model beside its weights");
}

Result<LoadedVocabulary> LoadVocabularyFor(const Checkpoint& checkpoint,
                                           const verify::ModelConfig& config) {
  ASSIGN_OR_RETURN(LoadedVocabulary loaded, LoadVocabulary(checkpoint));
  std::string trouble;
  if (const TokenizerModel* model = loaded.sentencepiece()) {
    if (model->pieces.size() > config.vocab_size) {
      trouble = StrCat("the tokenizer has ", model->pieces.size(), " pieces");
    }
  } else {
    const uint64_t max_id = std::get<TokenVocabulary>(loaded.content).max_id();
    if (max_id >= config.vocab_size) {
      trouble = StrCat("tokenizer: it has the id ", max_id);
    }
  }
  if (trouble.empty()) return loaded;
  return Fail(ErrorCode::kCorrupt,
              StrCat(Quoted(loaded.path), ": ", trouble,
                     ", the model a vocabulary of ", config.vocab_size))
      .Id("E-TOKENIZER")
      .Hint("the tokenizer belongs to another model");
}

Result<LoadedVocabulary> LoadVocabularyFile(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string folder =
      slash == std::string::npos ? "." : path.substr(0, slash);
  const std::string_view name = slash == std::string::npos
                                    ? path
                                    : std::string_view(path).substr(slash + 1);
  for (const std::string_view known : kFileNames) {
    if (name == known) return ReadFile(folder, name);
  }
  return Fail(ErrorCode::kUnsupported,
              StrCat(Quoted(path), " has not the name of a tokenizer"))
      .Id("E-TOKENIZER")
      .Hint("name it tokenizer.model, tekken.json or tokenizer.json");
}

Result<Tokenizer> MakeTokenizer(const LoadedVocabulary& vocabulary) {
  const TokenizerModel* model = vocabulary.sentencepiece();
  auto tokenizer =
      model != nullptr
          ? Tokenizer::Create(*model, vocabulary.release)
          : Tokenizer::Create(std::get<TokenVocabulary>(vocabulary.content));
  if (tokenizer) return tokenizer;
  return verify::WithContext(std::move(tokenizer).error(),
                             Quoted(vocabulary.path));
}

Result<LoadedVocabulary> LoadVocabularyToConvert(const Checkpoint& checkpoint) {
  ASSIGN_OR_RETURN(LoadedVocabulary loaded, LoadVocabulary(checkpoint));
  const auto* const tokens = std::get_if<TokenVocabulary>(&loaded.content);
  if (tokens == nullptr || tokens->is_byte_level || tokens->is_tekken) {
    return loaded;
  }
  auto model = SentencePieceFormOf(*tokens);
  if (!model) {
    return verify::WithContext(std::move(model).error(), Quoted(loaded.path));
  }
  loaded.content = std::move(model).value();
  return loaded;
}

Result<TokenizerModel> LoadTokenizerModel(const Checkpoint& checkpoint) {
  ASSIGN_OR_RETURN(LoadedVocabulary loaded,
                   LoadVocabularyToConvert(checkpoint));
  if (loaded.sentencepiece() != nullptr) {
    return std::get<TokenizerModel>(std::move(loaded.content));
  }
  return Fail(ErrorCode::kUnsupported,
              StrCat(Quoted(loaded.path),
                     ": only SentencePiece vocabularies are converted"))
      .Id("E-TOKENIZER")
      .Hint("chat and verify run this model as it is");
}

}  // namespace inference
