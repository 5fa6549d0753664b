// SPDX-License-Identifier: Apache-2.0
#include "verify/checkpoint/tokenizer_model.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/temp_dir.h"
#include "verify/base/text.h"
#include "verify/checkpoint/protobuf_wire.h"

namespace verify {
namespace {

using Algorithm = TokenizerModel::Algorithm;

std::string Golden(std::string_view name) {
  return tests::ReadFile(
      StrCat(LODESTONE_SOURCE_DIR, "/tests/golden/tokenizers/", name));
}

std::string Piece(std::string_view text, float score, int type) {
  std::string message;
  AppendWireBytes(message, 1, text);
  AppendWireFloat(message, 2, score);
  AppendWireInt32(message, 3, type);
  std::string out;
  AppendWireBytes(out, 1, message);
  return out;
}

// Settings first, so that every truncation loses a piece that is needed.
std::string Settings() {
  std::string trainer;
  AppendWireInt32(trainer, 3, 2);  // BPE
  AppendWireInt32(trainer, 43, -1);
  std::string normalizer;
  AppendWireInt32(normalizer, 4, 0);
  std::string out;
  AppendWireBytes(out, 2, trainer);
  AppendWireBytes(out, 3, normalizer);
  return out;
}

std::string SpecialPieces() {
  return Piece("<unk>", 0, 2) + Piece("<s>", 0, 3) + Piece("</s>", 0, 3);
}

std::string SmallModel() {
  return Settings() + SpecialPieces() +
         Piece(
             "\xe2\x96\x81"
             "a",
             -1, 1);
}

Result<TokenizerModel> Read(std::string_view bytes) {
  return ReadTokenizerModel(AsBytes(bytes));
}

void ExpectRefused(std::string_view bytes, ErrorCode code,
                   std::string_view message_part) {
  const auto model = Read(bytes);
  ASSERT_FALSE(model) << message_part;
  EXPECT_EQ(model.error().code, code) << model.error().message;
  EXPECT_EQ(model.error().id, "E-TOKENIZER");
  EXPECT_NE(model.error().message.find(message_part), std::string::npos)
      << model.error().message;
}

// Facts of the published file, as listed in docs/formats/tokenizer.md.
TEST(TokenizerModelTest, ReadsMistralV1) {
  const auto model = Read(Golden("mistral-v1.model"));
  ASSERT_TRUE(model) << model.error().ToString();
  EXPECT_EQ(model->algorithm, Algorithm::kBpe);
  ASSERT_EQ(model->pieces.size(), 32000u);
  EXPECT_TRUE(model->byte_fallback);
  EXPECT_TRUE(model->add_dummy_prefix);
  EXPECT_FALSE(model->remove_extra_whitespaces);
  EXPECT_TRUE(model->escape_whitespaces);
  EXPECT_TRUE(model->precompiled_charsmap.empty());
  EXPECT_EQ(model->unk_id, 0);
  EXPECT_EQ(model->bos_id, 1);
  EXPECT_EQ(model->eos_id, 2);
  EXPECT_EQ(model->pad_id, -1);
  EXPECT_EQ(model->pieces[0].text, "<unk>");
  EXPECT_EQ(model->pieces[0].type, PieceType::kUnknown);
  EXPECT_EQ(model->pieces[1].text, "<s>");
  EXPECT_EQ(model->pieces[1].type, PieceType::kControl);
  EXPECT_EQ(model->pieces[3].text, "<0x00>");
  EXPECT_EQ(model->pieces[258].text, "<0xFF>");
  EXPECT_EQ(model->pieces[258].type, PieceType::kByte);
  EXPECT_EQ(model->pieces[259].type, PieceType::kNormal);
  EXPECT_EQ(model->pieces[28705].text, "\xe2\x96\x81");
  EXPECT_EQ(model->pieces[28705].score, -1e9f);
}

TEST(TokenizerModelTest, ReadsMistralV3) {
  const auto model = Read(Golden("mistral-v3.model"));
  ASSERT_TRUE(model) << model.error().ToString();
  ASSERT_EQ(model->pieces.size(), 32768u);
  EXPECT_EQ(model->pieces[3].text, "[INST]");
  EXPECT_EQ(model->pieces[3].type, PieceType::kControl);
  EXPECT_EQ(model->pieces[770].type, PieceType::kUserDefined);
  EXPECT_EQ(model->pieces[771].text, "<0x00>");
  EXPECT_EQ(model->pieces[1027].type, PieceType::kNormal);
}

TEST(TokenizerModelTest, SerialisesToTheSameModel) {
  for (const std::string_view name : {"mistral-v1.model", "mistral-v3.model"}) {
    const auto model = Read(Golden(name));
    ASSERT_TRUE(model);
    const std::string bytes = SerializeTokenizerModel(*model);
    const auto again = Read(bytes);
    ASSERT_TRUE(again) << again.error().ToString();
    EXPECT_EQ(SerializeTokenizerModel(*again), bytes);
    ASSERT_EQ(again->pieces.size(), model->pieces.size());
    for (size_t id = 0; id < model->pieces.size(); ++id) {
      ASSERT_EQ(again->pieces[id].text, model->pieces[id].text);
      ASSERT_EQ(again->pieces[id].score, model->pieces[id].score);
      ASSERT_EQ(again->pieces[id].type, model->pieces[id].type);
    }
    EXPECT_EQ(again->byte_fallback, model->byte_fallback);
    EXPECT_EQ(again->add_dummy_prefix, model->add_dummy_prefix);
    EXPECT_EQ(again->remove_extra_whitespaces, model->remove_extra_whitespaces);
    EXPECT_EQ(again->pad_id, model->pad_id);
  }
}

// Bytes by hand from the wire format's description.
TEST(TokenizerModelTest, WritesTheWireFormat) {
  std::string out;
  AppendWireInt32(out, 43, -1);
  EXPECT_EQ(out, std::string("\xd8\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff"
                             "\x01"));
  out.clear();
  AppendWireFloat(out, 2, -2.0f);
  EXPECT_EQ(out, std::string("\x15\x00\x00\x00\xc0", 5));
  out.clear();
  AppendWireBytes(out, 1, "abc");
  EXPECT_EQ(out,
            "\x0a\x03"
            "abc");
}

TEST(TokenizerModelTest, TakesTheDefaultsOfTheFormat) {
  const auto model = Read(SpecialPieces());
  ASSERT_TRUE(model) << model.error().ToString();
  EXPECT_EQ(model->algorithm, Algorithm::kUnigram);
  EXPECT_FALSE(model->byte_fallback);
  EXPECT_TRUE(model->add_dummy_prefix);
  EXPECT_TRUE(model->remove_extra_whitespaces);
  EXPECT_TRUE(model->escape_whitespaces);
  EXPECT_EQ(model->pad_id, -1);
}

TEST(TokenizerModelTest, SkipsUnknownFieldsOfEveryWireType) {
  std::string bytes = SmallModel();
  AppendWireTag(bytes, 200, WireType::kVarint);
  AppendWireVarint(bytes, std::numeric_limits<uint64_t>::max());
  AppendWireTag(bytes, 201, WireType::kFixed64);
  bytes.append(8, 'x');
  AppendWireBytes(bytes, 202, "anything");
  AppendWireFloat(bytes, 203, 1);
  EXPECT_TRUE(Read(bytes));
}

TEST(TokenizerModelTest, RefusesEveryTruncation) {
  // Without the last piece, which is not needed by any rule.
  const std::string bytes = Settings() + SpecialPieces();
  ASSERT_TRUE(Read(bytes));
  for (size_t size = 0; size < bytes.size(); ++size) {
    const auto model = Read(std::string_view(bytes).substr(0, size));
    ASSERT_FALSE(model) << size;
    EXPECT_EQ(model.error().code, ErrorCode::kCorrupt);
    EXPECT_EQ(model.error().id, "E-TOKENIZER");
    EXPECT_FALSE(model.error().hint.empty());
  }
}

// Whatever a flipped byte gives is refused, or is a model that keeps the rules
// (it can be written and read again).
TEST(TokenizerModelTest, SurvivesEveryFlippedByte) {
  const std::string bytes = SmallModel();
  size_t refused = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (int value = 0; value < 256; ++value) {
      std::string flipped = bytes;
      flipped[i] = static_cast<char>(value);
      const auto model = Read(flipped);
      if (!model) {
        EXPECT_EQ(model.error().id, "E-TOKENIZER");
        ++refused;
        continue;
      }
      EXPECT_TRUE(Read(SerializeTokenizerModel(*model))) << i << " " << value;
    }
  }
  EXPECT_GT(refused, bytes.size() * 64);
}

TEST(TokenizerModelTest, RefusesBrokenWireFormat) {
  ExpectRefused("", ErrorCode::kCorrupt, "no pieces");
  ExpectRefused("<!DOCTYPE html>", ErrorCode::kCorrupt, "wire type 4");
  ExpectRefused("{\"model\": 1}", ErrorCode::kCorrupt, "wire type 3");
  ExpectRefused(std::string(1, '\0'), ErrorCode::kCorrupt, "field number 0");
  ExpectRefused(SmallModel() + "\x0b", ErrorCode::kCorrupt, "wire type 3");
  ExpectRefused(SmallModel() + "\x0e", ErrorCode::kCorrupt, "wire type 6");
  // Eleven bytes, then ten with a 65th bit, then a length past the end.
  ExpectRefused(std::string(10, '\x80') + std::string(1, '\1'),
                ErrorCode::kCorrupt, "64 bits");
  ExpectRefused(std::string(9, '\x80') + "\x02", ErrorCode::kCorrupt,
                "64 bits");
  ExpectRefused(
      "\x0a\x7f"
      "abc",
      ErrorCode::kCorrupt, "");
  ExpectRefused("\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                ErrorCode::kCorrupt, "");
}

TEST(TokenizerModelTest, RefusesKnownFieldsOfAnotherType) {
  std::string piece_as_number;
  AppendWireInt32(piece_as_number, 1, 5);
  ExpectRefused(piece_as_number, ErrorCode::kCorrupt, "wire type 0");
  std::string message;
  AppendWireBytes(message, 1, "a");
  AppendWireInt32(message, 2, 1);  // a score as a varint
  std::string bytes;
  AppendWireBytes(bytes, 1, message);
  ExpectRefused(bytes, ErrorCode::kCorrupt, "wire type 0");
  std::string trainer;
  AppendWireBytes(trainer, 35, "x");  // byte_fallback as text
  bytes.clear();
  AppendWireBytes(bytes, 2, trainer);
  ExpectRefused(bytes, ErrorCode::kCorrupt, "wire type 2");
  trainer.clear();
  AppendWireTag(trainer, 41, WireType::kVarint);  // bos_id of 33 bits
  AppendWireVarint(trainer, uint64_t{1} << 32);
  bytes.clear();
  AppendWireBytes(bytes, 2, trainer);
  ExpectRefused(bytes, ErrorCode::kCorrupt, "beyond 32 bits");
}

TEST(TokenizerModelTest, RefusesBadPieces) {
  ExpectRefused(SmallModel() + Piece("", 0, 1), ErrorCode::kCorrupt,
                "piece 4 is empty");
  ExpectRefused(SmallModel() + Piece("\xff", 0, 1), ErrorCode::kCorrupt,
                "not UTF-8");
  ExpectRefused(SmallModel() + Piece(std::string_view("a\0b", 3), 0, 1),
                ErrorCode::kCorrupt, "NUL");
  ExpectRefused(SmallModel() + Piece("<s>", 0, 1), ErrorCode::kCorrupt,
                "has the text of piece 1");
  ExpectRefused(SmallModel() + Piece("b", 0, 0), ErrorCode::kCorrupt,
                "piece type 0");
  ExpectRefused(SmallModel() + Piece("b", 0, 7), ErrorCode::kCorrupt,
                "piece type 7");
  for (const float score : {std::numeric_limits<float>::infinity(),
                            std::numeric_limits<float>::quiet_NaN()}) {
    ExpectRefused(SmallModel() + Piece("b", score, 1), ErrorCode::kCorrupt,
                  "not finite");
  }
  ExpectRefused(
      SmallModel() + Piece(std::string(kMaxPieceBytes + 1, 'x'), 0, 1),
      ErrorCode::kLimit, "at most 16384");
  EXPECT_TRUE(
      Read(SmallModel() + Piece(std::string(kMaxPieceBytes, 'x'), 0, 1)));
}

TEST(TokenizerModelTest, RefusesMissingOrSecondUnknownPiece) {
  ExpectRefused(SmallModel() + Piece("<unk2>", 0, 2), ErrorCode::kCorrupt,
                "both the unknown piece");
  ExpectRefused(Piece("a", 0, 1) + Piece("<s>", 0, 3) + Piece("</s>", 0, 3),
                ErrorCode::kCorrupt, "no unknown piece");
}

TEST(TokenizerModelTest, RefusesSpecialIdsOutsideTheVocabulary) {
  for (const uint32_t field : {41u, 42u, 43u}) {
    for (const int32_t id : {4, -2, std::numeric_limits<int32_t>::max()}) {
      std::string trainer;
      AppendWireInt32(trainer, field, id);
      std::string bytes = SmallModel();
      AppendWireBytes(bytes, 2, trainer);
      ExpectRefused(bytes, ErrorCode::kCorrupt, StrCat("id ", id));
    }
  }
}

TEST(TokenizerModelTest, RefusesIncompleteBytePieces) {
  ExpectRefused(SmallModel() + Piece("<0x41>", 0, 6), ErrorCode::kCorrupt,
                "byte_fallback is off");
  std::string trainer;
  AppendWireInt32(trainer, 35, 1);
  std::string with_fallback = SmallModel();
  AppendWireBytes(with_fallback, 2, trainer);
  ExpectRefused(with_fallback, ErrorCode::kCorrupt, "no piece for byte 0");
  for (const std::string_view name : {"<0x4g>", "<0x4a>", "x", "<0x041>"}) {
    ExpectRefused(with_fallback + Piece(name, 0, 6), ErrorCode::kCorrupt,
                  "typed as a byte");
  }
  constexpr std::string_view kHex = "0123456789ABCDEF";
  for (size_t byte = 0; byte < 255; ++byte) {
    with_fallback +=
        Piece(StrCat("<0x", kHex[byte / 16], kHex[byte % 16], ">"), 0, 6);
  }
  ExpectRefused(with_fallback, ErrorCode::kCorrupt, "no piece for byte 255");
  EXPECT_TRUE(Read(with_fallback + Piece("<0xFF>", 0, 6)));
}

// The bytes of its table, one unit, one text.
std::string SmallCharsmap() { return std::string("\x04\0\0\0\0\0\0\0x\0", 10); }

TEST(TokenizerModelTest, RefusesCharacterMapsThatDoNotFit) {
  for (const std::string& map : {std::string("abc"), std::string(100, '\xff'),
                                 std::string("\x08\0\0\0\0\0\0\0x\0", 10),
                                 std::string("\x03\0\0\0\0\0\0\0x\0", 10),
                                 std::string("\0\0\0\0\0\0\0\0x\0", 10),
                                 std::string("\x04\0\0\0\0\0\0\0x", 9)}) {
    std::string normalizer;
    AppendWireBytes(normalizer, 2, map);
    std::string bytes = SmallModel();
    AppendWireBytes(bytes, 3, normalizer);
    ExpectRefused(bytes, ErrorCode::kCorrupt, "character map");
  }
  std::string normalizer;
  AppendWireBytes(normalizer, 2, SmallCharsmap());
  std::string bytes = SmallModel();
  AppendWireBytes(bytes, 3, normalizer);
  EXPECT_TRUE(Read(bytes));
}

TEST(TokenizerModelTest, RefusesWhatWouldChangeTextAndIsNotImplemented) {
  std::string trainer;
  AppendWireInt32(trainer, 24, 1);
  std::string bytes = SmallModel();
  AppendWireBytes(bytes, 2, trainer);
  ExpectRefused(bytes, ErrorCode::kUnsupported, "treat_whitespace_as_suffix");
  std::string denormalizer;
  AppendWireBytes(denormalizer, 2, SmallCharsmap());
  bytes = SmallModel();
  AppendWireBytes(bytes, 5, denormalizer);
  ExpectRefused(bytes, ErrorCode::kUnsupported, "denormalizer");
  std::string type;
  AppendWireInt32(type, 3, 9);
  bytes = SmallModel();
  AppendWireBytes(bytes, 2, type);
  ExpectRefused(bytes, ErrorCode::kCorrupt, "model type 9");
}

GgufFile SmallGguf() {
  GgufFile gguf;
  auto& metadata = gguf.metadata;
  metadata["tokenizer.ggml.model"] = std::string("llama");
  metadata["tokenizer.ggml.tokens"] =
      std::vector<std::string>{"<unk>", "<s>", "</s>", "a", "<pad>"};
  metadata["tokenizer.ggml.scores"] = std::vector<float>{0, 0, 0, -1.5f, 0};
  metadata["tokenizer.ggml.token_type"] = std::vector<int64_t>{2, 3, 3, 1, 3};
  return gguf;
}

TEST(TokenizerModelTest, ReadsTheMetadataOfGguf) {
  GgufFile gguf = SmallGguf();
  auto model = TokenizerModelFromGguf(gguf);
  ASSERT_TRUE(model) << model.error().ToString();
  // The defaults of llama.cpp for this kind of tokenizer.
  EXPECT_EQ(model->algorithm, Algorithm::kBpe);
  EXPECT_TRUE(model->add_dummy_prefix);
  EXPECT_FALSE(model->remove_extra_whitespaces);
  EXPECT_FALSE(model->byte_fallback);
  EXPECT_TRUE(model->add_bos);
  EXPECT_EQ(model->bos_id, 1);
  EXPECT_EQ(model->eos_id, 2);
  EXPECT_EQ(model->pad_id, -1);
  ASSERT_EQ(model->pieces.size(), 5u);
  EXPECT_EQ(model->pieces[3].text, "a");
  EXPECT_EQ(model->pieces[3].score, -1.5f);
  EXPECT_EQ(model->pieces[2].type, PieceType::kControl);

  auto& metadata = gguf.metadata;
  metadata["tokenizer.ggml.bos_token_id"] = uint64_t{2};
  metadata["tokenizer.ggml.eos_token_id"] = uint64_t{1};
  metadata["tokenizer.ggml.padding_token_id"] = uint64_t{4};
  metadata["tokenizer.ggml.add_space_prefix"] = false;
  metadata["tokenizer.ggml.add_bos_token"] = false;
  metadata["tokenizer.ggml.remove_extra_whitespaces"] = true;
  model = TokenizerModelFromGguf(gguf);
  ASSERT_TRUE(model);
  EXPECT_EQ(model->bos_id, 2);
  EXPECT_EQ(model->eos_id, 1);
  EXPECT_EQ(model->pad_id, 4);
  EXPECT_FALSE(model->add_dummy_prefix);
  EXPECT_FALSE(model->add_bos);
  EXPECT_TRUE(model->remove_extra_whitespaces);
  metadata["tokenizer.ggml.padding_token_id"] = uint64_t{0xffffffff};
  model = TokenizerModelFromGguf(gguf);
  ASSERT_TRUE(model);
  EXPECT_EQ(model->pad_id, -1);
}

TEST(TokenizerModelTest, RefusesBadGgufMetadata) {
  const auto refused = [](std::string_view key, GgufValue value,
                          ErrorCode code) {
    GgufFile gguf = SmallGguf();
    gguf.metadata[std::string(key)] = std::move(value);
    const auto model = TokenizerModelFromGguf(gguf);
    ASSERT_FALSE(model) << key;
    EXPECT_EQ(model.error().code, code) << model.error().message;
    EXPECT_EQ(model.error().id, "E-TOKENIZER");
  };
  refused("tokenizer.ggml.model", std::string("gpt2"), ErrorCode::kUnsupported);
  refused("tokenizer.ggml.model", uint64_t{1}, ErrorCode::kCorrupt);
  refused("tokenizer.ggml.tokens", std::string("a"), ErrorCode::kCorrupt);
  refused("tokenizer.ggml.tokens", std::vector<std::string>{"<unk>", "a"},
          ErrorCode::kCorrupt);
  refused("tokenizer.ggml.tokens",
          std::vector<std::string>{"<unk>", "<s>", "</s>", "a", "a"},
          ErrorCode::kCorrupt);
  refused("tokenizer.ggml.scores", std::vector<float>{0, 0},
          ErrorCode::kCorrupt);
  refused(
      "tokenizer.ggml.scores",
      std::vector<float>{0, 0, 0, 0, std::numeric_limits<float>::quiet_NaN()},
      ErrorCode::kCorrupt);
  refused("tokenizer.ggml.token_type", std::vector<int64_t>{2, 3, 3, 1},
          ErrorCode::kCorrupt);
  refused("tokenizer.ggml.token_type", std::vector<int64_t>{2, 3, 3, 1, 7},
          ErrorCode::kCorrupt);
  refused("tokenizer.ggml.token_type", std::vector<int64_t>{1, 3, 3, 1, 3},
          ErrorCode::kCorrupt);
  refused("tokenizer.ggml.token_type", std::vector<int64_t>{2, 3, 3, 6, 3},
          ErrorCode::kCorrupt);
  refused("tokenizer.ggml.bos_token_id", uint64_t{5}, ErrorCode::kCorrupt);
  refused("tokenizer.ggml.eos_token_id", uint64_t{1} << 40,
          ErrorCode::kCorrupt);
}

TEST(TokenizerModelTest, RefusesAFileBeyondTheLimit) {
  const std::string bytes(kMaxTokenizerBytes + 1, '\0');
  ExpectRefused(bytes, ErrorCode::kLimit, "at most 33554432");
}

TEST(TokenizerModelTest, ReportsTheOffsetOfABadPiece) {
  const std::string before = SmallModel();
  const auto model = Read(before + Piece("", 0, 1));
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().offset, before.size());
}

}  // namespace
}  // namespace verify
