// SPDX-License-Identifier: Apache-2.0
#include "inference/text/load_tokenizer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "tests/support/byte_builder.h"
#include "tests/support/gguf_builder.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_checkpoint.h"
#include "verify/base/base64.h"
#include "verify/base/bytes.h"
#include "verify/base/json.h"
#include "verify/checkpoint/checkpoint.h"

namespace inference {
namespace {

using verify::Checkpoint;
using verify::ErrorCode;
using verify::Json;
using Ids = std::vector<TokenId>;

TEST(LoadTokenizerTest, ReadsTheFileBesideTheWeights) {
  const tests::TempDir dir;
  dir.Write("consolidated.safetensors",
            tests::SafetensorsFile(tests::TinyTensors(tests::TinyConfig())));
  const std::string path =
      dir.Write("tokenizer.model", tests::TinyTokenizer(40));
  const auto checkpoint = Checkpoint::Open(dir.path());
  ASSERT_TRUE(checkpoint) << checkpoint.error().ToString();
  auto model = LoadTokenizerModel(*checkpoint);
  ASSERT_TRUE(model) << model.error().ToString();
  EXPECT_EQ(model->pieces.size(), 40u);

  dir.Write("tokenizer.model", "not a tokenizer");
  model = LoadTokenizerModel(*checkpoint);
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(model.error().id, "E-TOKENIZER");
  EXPECT_NE(model.error().message.find(path), std::string::npos);

  std::filesystem::remove(path);
  model = LoadTokenizerModel(*checkpoint);
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(model.error().id, "E-TOKENIZER");
  EXPECT_FALSE(model.error().hint.empty());
}

// The 256 bytes, "ab" and "abc"; 1000 special tokens in front.
std::string TekkenFile(std::string_view version) {
  Json json;
  json["config"] = {
      {"pattern",
       R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*)"
       R"([\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?)"
       R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|)"
       R"(\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"},
      {"default_vocab_size", 1258},
      {"default_num_special_tokens", 1000},
      {"version", version}};
  json["vocab"] = Json::array();
  const auto add = [&json](std::string_view bytes) {
    json["vocab"].push_back(
        {{"rank", json["vocab"].size()},
         {"token_bytes", verify::Base64Encode(verify::AsBytes(bytes))}});
  };
  for (int byte = 0; byte < 256; ++byte) {
    add(std::string(1, static_cast<char>(byte)));
  }
  add("ab");
  add("abc");
  return json.dump();
}

// Letters of a to c alone, and "<unk>".
constexpr std::string_view kTokenizerJson = R"({
  "added_tokens": [{"id": 0, "content": "<unk>", "special": true},
                   {"id": 5, "content": "<end>", "special": true},
                   {"id": 6, "content": "<begin>", "special": true}],
  "model": {"type": "BPE", "unk_token": "<unk>", "fuse_unk": true,
            "vocab": {"<unk>": 0, "a": 1, "b": 2, "c": 3, "ab": 4},
            "merges": ["a b"]}})";

Ids EncodedBy(const Checkpoint& checkpoint, std::string_view text) {
  const auto loaded = LoadVocabulary(checkpoint);
  EXPECT_TRUE(loaded) << loaded.error().ToString();
  if (!loaded) return {};
  const auto tokenizer = MakeTokenizer(*loaded);
  EXPECT_TRUE(tokenizer) << tokenizer.error().ToString();
  return tokenizer ? tokenizer->Encode(text) : Ids{};
}

TEST(LoadTokenizerTest, TakesTheFirstKindThatIsThere) {
  const tests::TempDir dir;
  dir.Write("consolidated.safetensors",
            tests::SafetensorsFile(tests::TinyTensors(tests::TinyConfig())));
  const std::string json = dir.Write("tokenizer.json", kTokenizerJson);
  const auto checkpoint = Checkpoint::Open(dir.path());
  ASSERT_TRUE(checkpoint) << checkpoint.error().ToString();
  // Two characters that are no tokens, as one.
  EXPECT_EQ(EncodedBy(*checkpoint, "abc??a"), (Ids{4, 3, 0, 1}));

  const std::string tekken = dir.Write("tekken.json", TekkenFile("v3"));
  EXPECT_EQ(EncodedBy(*checkpoint, "abc"), (Ids{1257}));
  auto loaded = LoadVocabulary(*checkpoint);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->path, tekken);
  EXPECT_EQ(loaded->sentencepiece(), nullptr);
  EXPECT_EQ(std::move(MakeTokenizer(*loaded)).value().release(), "v3");
  // Its ids are beyond the 40 of the model.
  loaded = LoadVocabularyFor(*checkpoint, tests::TinyConfig());
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(loaded.error().id, "E-TOKENIZER");
  // Conversion knows SentencePiece alone.
  const auto model = LoadTokenizerModel(*checkpoint);
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, ErrorCode::kUnsupported);

  const std::string named =
      dir.Write("tokenizer.model.v7m1", tests::TinyTokenizer(40));
  loaded = LoadVocabulary(*checkpoint);
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->path, named);
  EXPECT_EQ(loaded->release, "v7m1");
  const std::string plain =
      dir.Write("tokenizer.model", tests::TinyTokenizer(40));
  loaded = LoadVocabularyFor(*checkpoint, tests::TinyConfig());
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->path, plain);
  EXPECT_EQ(loaded->release, "");
}

TEST(LoadTokenizerTest, TakesTheEndsOfATokenizerJsonFromItsConfiguration) {
  const tests::TempDir dir;
  const std::string path = dir.Write("tokenizer.json", kTokenizerJson);
  const auto load = [&path] {
    const auto loaded = LoadVocabularyFile(path);
    EXPECT_TRUE(loaded) << loaded.error().ToString();
    return std::move(MakeTokenizer(*loaded)).value();
  };
  EXPECT_EQ(load().eos_id(), -1);
  dir.Write("tokenizer_config.json",
            R"({"eos_token": {"content": "<end>", "lstrip": false},
                "bos_token": "<begin>", "add_bos_token": true})");
  EXPECT_EQ(load().eos_id(), 5);
  EXPECT_EQ(load().EncodePrompt("a"), (Ids{6, 1}));
  dir.Write("tokenizer_config.json", "{");
  const auto broken = LoadVocabularyFile(path);
  ASSERT_FALSE(broken);
  EXPECT_NE(broken.error().message.find("tokenizer_config.json"),
            std::string::npos);
  const auto other = LoadVocabularyFile(dir.Write("vocabulary.txt", "a"));
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, ErrorCode::kUnsupported);
}

// Bytes 0 to 255 by the letters of a byte-level vocabulary: those that stand
// for themselves, then U+0100 and on.
std::vector<std::string> ByteTokens() {
  std::vector<std::string> tokens;
  int others = 256;
  for (int byte = 0; byte < 256; ++byte) {
    const bool itself = (byte >= 33 && byte <= 126) ||
                        (byte >= 161 && byte <= 172) || byte >= 174;
    const int code = itself ? byte : others++;
    tokens.push_back(code < 128
                         ? std::string(1, static_cast<char>(code))
                         : std::string{static_cast<char>(0xc0 | code >> 6),
                                       static_cast<char>(0x80 | (code & 63))});
  }
  return tokens;
}

// A GGUF file with the bytes, "ab" 256 and the control token "<end>" 257.
std::string BytesGguf(std::string_view pre, bool has_pre = true) {
  std::vector<std::string> tokens = ByteTokens();
  tokens.insert(tokens.end(), {"ab", "<end>"});
  tests::ByteBuilder types;
  types.U32(5).U64(tokens.size());
  for (size_t id = 0; id < tokens.size(); ++id) types.I32(id == 257 ? 3 : 1);
  tests::GgufBuilder gguf;
  gguf.KeyText("general.architecture", "llama")
      .KeyText("tokenizer.ggml.model", "gpt2")
      .KeyTexts("tokenizer.ggml.tokens", tokens)
      .Key("tokenizer.ggml.token_type", 9, types.str())
      .KeyTexts("tokenizer.ggml.merges", {"a b"})
      .KeyU32("tokenizer.ggml.eos_token_id", 257)
      .KeyU32("tokenizer.ggml.bos_token_id", 257);
  if (has_pre) gguf.KeyText("tokenizer.ggml.pre", pre);
  gguf.Add({"x", {4}, 0, std::string(16, '\0'), {}});
  return gguf.Build();
}

TEST(LoadTokenizerTest, ReadsTheByteLevelVocabularyOfAGgufFile) {
  const tests::TempDir dir;
  const auto checkpoint =
      Checkpoint::Open(dir.Write("model.gguf", BytesGguf("llama-bpe")));
  ASSERT_TRUE(checkpoint) << checkpoint.error().ToString();
  EXPECT_EQ(EncodedBy(*checkpoint, "ab 12<end>"),
            (Ids{256, ' ', '1', '2', '<', 'e', 'n', 'd', '>'}));
  const auto loaded = LoadVocabulary(*checkpoint);
  ASSERT_TRUE(loaded);
  const auto& vocabulary = std::get<verify::TokenVocabulary>(loaded->content);
  EXPECT_EQ(vocabulary.pattern, verify::SplitPattern::kLlama3);
  EXPECT_TRUE(vocabulary.ignore_merges);
  const auto tokenizer = MakeTokenizer(*loaded);
  ASSERT_TRUE(tokenizer);
  EXPECT_EQ(tokenizer->eos_id(), 257);
  EXPECT_EQ(tokenizer->EncodePrompt("ab"), (Ids{257, 256}));
  EXPECT_EQ(tokenizer->ControlId("<end>"), 257);

  const std::pair<std::string_view, verify::SplitPattern> known[] = {
      {"gpt-2", verify::SplitPattern::kGpt2},
      {"qwen2", verify::SplitPattern::kQwen2},
      {"gpt-4o", verify::SplitPattern::kO200k},
      {"tekken", verify::SplitPattern::kTekken}};
  for (const auto& [pre, pattern] : known) {
    const auto one = Checkpoint::Open(dir.Write("one.gguf", BytesGguf(pre)));
    ASSERT_TRUE(one);
    const auto read = LoadVocabulary(*one);
    ASSERT_TRUE(read) << read.error().ToString();
    EXPECT_EQ(std::get<verify::TokenVocabulary>(read->content).pattern,
              pattern);
  }
  for (const bool has_pre : {true, false}) {
    const auto one =
        Checkpoint::Open(dir.Write("one.gguf", BytesGguf("other", has_pre)));
    ASSERT_TRUE(one);
    const auto read = LoadVocabulary(*one);
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, ErrorCode::kUnsupported);
    EXPECT_EQ(read.error().id, "E-TOKENIZER");
    EXPECT_NE(read.error().message.find("tokenizer.ggml.pre"),
              std::string::npos);
  }
}

}  // namespace
}  // namespace inference
