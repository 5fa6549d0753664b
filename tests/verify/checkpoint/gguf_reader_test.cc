// SPDX-License-Identifier: Apache-2.0
#include "verify/checkpoint/gguf_reader.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/byte_builder.h"
#include "tests/support/expect_error.h"
#include "tests/support/gguf_builder.h"
#include "verify/checkpoint/gguf_format.h"

namespace verify {
namespace {

using tests::ByteBuilder;
using tests::ExpectError;
using tests::GgufBuilder;
using tests::GgufString;

constexpr uint32_t kF32 = 0;
constexpr uint32_t kQ8 = 8;

Result<GgufFile> Read(const std::string& bytes) {
  return ReadGguf(MemorySource(AsBytes(bytes)));
}

void ExpectRefused(const std::string& bytes, std::string_view part,
                   ErrorCode code = ErrorCode::kCorrupt) {
  ExpectError(Read(bytes), code, part, "E-GGUF");
}

GgufBuilder WithTensors() {
  GgufBuilder builder;
  builder.KeyText("general.architecture", "llama")
      .Add({"a.weight", {32, 2}, kQ8, std::string(68, 'q'), {}})
      .Add({"b.weight", {3}, kF32, std::string(12, 'f'), {}});
  return builder;
}

// A file of one tensor.
std::string One(std::vector<uint64_t> ne, uint32_t type, size_t data_bytes) {
  GgufBuilder builder;
  builder.Add({"t", std::move(ne), type, std::string(data_bytes, 'x'), {}});
  return builder.Build();
}

TEST(GgufReaderTest, ReadsTensorsWithReversedShapes) {
  const std::string bytes = WithTensors().Build();
  const auto gguf = Read(bytes);
  ASSERT_TRUE(gguf) << gguf.error().ToString();
  EXPECT_EQ(gguf->version, 3u);
  EXPECT_EQ(gguf->alignment, 32u);
  EXPECT_EQ(gguf->data_offset, bytes.find("qqq"));
  ASSERT_EQ(gguf->tensors.size(), 2u);
  const TensorInfo& a = *gguf->tensors.Find("a.weight");
  EXPECT_EQ(a.dtype, DType::kQ8_0);
  EXPECT_EQ(a.shape, (std::vector<uint64_t>{2, 32}));
  EXPECT_EQ(a.size_bytes, 68u);
  EXPECT_EQ(gguf->tensors.Find("b.weight")->offset, gguf->data_offset + 96);
}

TEST(GgufReaderTest, ReadsEveryValueType) {
  GgufBuilder builder;
  builder.Key("u8", 0, ByteBuilder().U8(200).str())
      .Key("i8", 1, ByteBuilder().U8(0xff).str())
      .Key("u16", 2, ByteBuilder().U16(60000).str())
      .Key("i16", 3, ByteBuilder().U16(0xfffe).str())
      .Key("u32", 4, ByteBuilder().U32(4000000000u).str())
      .Key("i32", 5, ByteBuilder().I32(-3).str())
      .Key("f32", 6, ByteBuilder().F32(1.5f).str())
      .Key("bool", 7, ByteBuilder().U8(1).str())
      .Key("string", 8, GgufString("text"))
      .Key("u64", 10, ByteBuilder().U64(~uint64_t{0}).str())
      .Key("i64", 11, ByteBuilder().I64(-4).str())
      .Key("f64", 12, ByteBuilder().F64(0.1).str())
      .Key("floats", 9, ByteBuilder().U32(6).U64(2).F32(1).F32(2).str())
      .Key("ints", 9, ByteBuilder().U32(5).U64(2).I32(-1).I32(2).str())
      .Key("bytes", 9, ByteBuilder().U32(0).U64(2).U8(1).U8(255).str())
      .Key("bools", 9, ByteBuilder().U32(7).U64(2).U8(1).U8(0).str())
      .Key("none", 9, ByteBuilder().U32(8).U64(0).str())
      .KeyTexts("strings", {"a", "", "c"});
  const auto gguf = Read(builder.Build());
  ASSERT_TRUE(gguf) << gguf.error().ToString();
  EXPECT_EQ(gguf->Unsigned("u8"), 200u);
  EXPECT_EQ(std::get<int64_t>(gguf->metadata.at("i8")), -1);
  EXPECT_EQ(gguf->Unsigned("u16"), 60000u);
  EXPECT_EQ(std::get<int64_t>(gguf->metadata.at("i16")), -2);
  EXPECT_EQ(gguf->Unsigned("u32"), 4000000000u);
  EXPECT_EQ(gguf->Unsigned("i32"), std::nullopt);
  EXPECT_EQ(gguf->Float("f32"), 1.5);
  EXPECT_EQ(gguf->Bool("bool"), true);
  ASSERT_NE(gguf->String("string"), nullptr);
  EXPECT_EQ(*gguf->String("string"), "text");
  EXPECT_EQ(gguf->Unsigned("u64"), ~uint64_t{0});
  EXPECT_EQ(std::get<int64_t>(gguf->metadata.at("i64")), -4);
  EXPECT_EQ(gguf->Float("f64"), 0.1);
  EXPECT_EQ(*gguf->Floats("floats"), (std::vector<float>{1, 2}));
  EXPECT_EQ(gguf->Integers("ints"), (std::vector<int64_t>{-1, 2}));
  EXPECT_EQ(gguf->Integers("bytes"), (std::vector<int64_t>{1, 255}));
  EXPECT_EQ(std::get<std::vector<bool>>(gguf->metadata.at("bools")),
            (std::vector<bool>{true, false}));
  EXPECT_TRUE(gguf->Strings("none")->empty());
  EXPECT_EQ(gguf->Strings("strings")->at(2), "c");
  EXPECT_EQ(gguf->Unsigned("string"), std::nullopt);
  EXPECT_EQ(gguf->Strings("absent"), nullptr);
}

TEST(GgufReaderTest, C7RefusesHeaders) {
  EXPECT_TRUE(Read(WithTensors().Build()));
  ExpectRefused("GGUg" + WithTensors().Build().substr(4), "magic");
  GgufBuilder builder = WithTensors();
  builder.version = 2;
  EXPECT_TRUE(Read(builder.Build()));
  for (const uint32_t version : {0u, 1u, 4u}) {
    builder.version = version;
    ExpectRefused(builder.Build(), "version", ErrorCode::kUnsupported);
  }
  builder.version = 0x03000000;
  ExpectRefused(builder.Build(), "big-endian", ErrorCode::kUnsupported);
}

// -1 and other claims beyond the file: refused before anything is allocated.
TEST(GgufReaderTest, C7RefusesCountsBeyondTheFile) {
  for (const uint64_t count :
       {~uint64_t{0}, uint64_t{1} << 63, uint64_t{1} << 32, uint64_t{1000}}) {
    GgufBuilder tensors = WithTensors();
    tensors.num_tensors = count;
    ExpectRefused(tensors.Build(), "tensors do not fit");
    GgufBuilder keys = WithTensors();
    keys.num_keys = count;
    ExpectRefused(keys.Build(), "keys do not fit");
  }
}

TEST(GgufReaderTest, RefusesKeys) {
  GgufBuilder empty;
  ExpectRefused(empty.KeyU32("", 1).Build(), "a key that is empty");
  GgufBuilder control;
  ExpectRefused(control.KeyU32("a\nb", 1).Build(), "control characters");
  GgufBuilder twice;
  ExpectRefused(twice.KeyU32("a", 1).KeyU32("a", 2).Build(), "stands twice");
  GgufBuilder type;
  ExpectRefused(type.Key("a", 13, "12345678").Build(), "value type 13");
  GgufBuilder boolean;
  ExpectRefused(boolean.Key("a", 7, "\x02").Build(), "a bool of 2");
  GgufBuilder nested;
  ExpectRefused(nested.Key("a", 9, ByteBuilder().U32(9).U64(0).str()).Build(),
                "array of arrays");
  GgufBuilder element;
  ExpectRefused(element.Key("a", 9, ByteBuilder().U32(77).U64(0).str()).Build(),
                "element type 77");
  GgufBuilder key_size;
  key_size.num_keys = 1;
  const std::string bytes = ByteBuilder()
                                .Text("GGUF")
                                .U32(3)
                                .U64(0)
                                .U64(1)
                                .U64(~uint64_t{0})
                                .Zeros(64)
                                .str();
  ExpectRefused(bytes, "text of 18446744073709551615 bytes");
}

TEST(GgufReaderTest, RefusesArraysBeyondTheFile) {
  for (const uint32_t type : {0u, 4u, 6u, 8u, 10u}) {
    for (const uint64_t count :
         {~uint64_t{0}, uint64_t{1} << 61, uint64_t{1} << 40}) {
      GgufBuilder builder;
      builder.Key("a", 9, ByteBuilder().U32(type).U64(count).Zeros(64).str());
      ExpectRefused(builder.Build(), "elements");
    }
  }
}

TEST(GgufReaderTest, RefusesMoreElementsThanTheLimit) {
  GgufBuilder builder;
  builder.Key("a", 9,
              ByteBuilder()
                  .U32(0)
                  .U64(kMaxGgufArrayElements + 1)
                  .Zeros(kMaxGgufArrayElements + 1)
                  .str());
  ExpectRefused(builder.Build(), "elements", ErrorCode::kLimit);
}

// Each text, empty or not, takes more memory than file.
TEST(GgufReaderTest, RefusesMoreTextsThanTheLimit) {
  GgufBuilder builder;
  builder.Key("a", 9,
              ByteBuilder()
                  .U32(8)
                  .U64(kGgufMaxArrayTexts + 1)
                  .Zeros(8 * (kGgufMaxArrayTexts + 1))
                  .str());
  ExpectRefused(builder.Build(), "texts", ErrorCode::kLimit);
}

TEST(GgufReaderTest, C8RefusesAlignments) {
  for (const uint32_t alignment : {0u, 1u, 4u, 13u, 8192u, 1u << 30}) {
    GgufBuilder builder = WithTensors();
    builder.KeyU32("general.alignment", alignment);
    ExpectRefused(builder.Build(), "alignment");
  }
  GgufBuilder wrong_type = WithTensors();
  wrong_type.Key("general.alignment", 10, ByteBuilder().U64(32).str());
  ExpectRefused(wrong_type.Build(), "no u32");
  GgufBuilder wide = WithTensors();
  wide.KeyU32("general.alignment", 64);
  wide.alignment = 64;
  EXPECT_TRUE(Read(wide.Build()));
  // Stated, but the tensors are laid out for 32.
  wide.alignment = 32;
  EXPECT_FALSE(Read(wide.Build()));
}

TEST(GgufReaderTest, ChecksTypesOfKnownKeys) {
  GgufBuilder architecture;
  ExpectRefused(architecture.KeyU32("general.architecture", 1).Build(),
                "wrong type");
  GgufBuilder scores;
  scores.Key("tokenizer.ggml.scores", 9,
             ByteBuilder().U32(0).U64(1).U8(1).str());
  ExpectRefused(scores.Build(), "wrong type");
  GgufBuilder id;
  id.Key("tokenizer.ggml.bos_token_id", 5, ByteBuilder().I32(-1).str());
  ExpectRefused(id.Build(), "wrong type");
}

TEST(GgufReaderTest, C10ChecksTokenizerArrays) {
  const auto with = [] {
    GgufBuilder builder;
    builder.KeyTexts("tokenizer.ggml.tokens", {"a", "b"});
    return builder;
  };
  EXPECT_TRUE(Read(with().KeyU32("tokenizer.ggml.bos_token_id", 1).Build()));
  ExpectRefused(with().KeyU32("tokenizer.ggml.bos_token_id", 2).Build(),
                "the bos token is 2 of 2");
  ExpectRefused(with()
                    .Key("tokenizer.ggml.scores", 9,
                         ByteBuilder().U32(6).U64(1).F32(0).str())
                    .Build(),
                "1 scores");
  ExpectRefused(with()
                    .Key("tokenizer.ggml.token_type", 9,
                         ByteBuilder().U32(5).U64(3).I32(1).I32(1).I32(1).str())
                    .Build(),
                "3 token types");
}

TEST(GgufReaderTest, C8RefusesTensorShapes) {
  EXPECT_TRUE(Read(One({4}, kF32, 16)));
  ExpectRefused(One({}, kF32, 16), "0 dimensions");
  ExpectRefused(One({1, 1, 1, 1, 4}, kF32, 16), "5 dimensions");
  ExpectRefused(One({4, 0}, kF32, 16), "a dimension of 0");
  ExpectRefused(One({uint64_t{1} << 32, uint64_t{1} << 32}, kF32, 16),
                "too large");
  ExpectRefused(One({~uint64_t{0}}, kF32, 16), "too large");
  // Products that wrap to small numbers in 64 bits.
  ExpectRefused(One({uint64_t{1} << 62, 4}, kF32, 16), "too large");
  ExpectRefused(One({uint64_t{1} << 62}, kF32, 16), "larger than the file");
  ExpectRefused(One({16, 2}, kQ8, 34), "no whole number of blocks");
  ExpectRefused(One({64}, kF32, 16), "larger than the file");
  ExpectRefused(One({20}, kF32, 16), "cut off");
}

TEST(GgufReaderTest, RefusesTensorTypesThatAreNotRead) {
  for (const uint32_t type : {4u, 5u, 31u, 40u}) {
    ExpectRefused(One({32}, type, 128), "is not read", ErrorCode::kUnsupported);
  }
  for (const uint32_t type : {133u, 139u, 202u, 399u}) {
    ExpectRefused(One({32}, type, 128), "ik_llama.cpp's own",
                  ErrorCode::kUnsupported);
  }
  for (const uint32_t type : {64u, 99u, 132u, 400u, 1000u, 0xffffffffu}) {
    ExpectRefused(One({32}, type, 128), "does not exist");
  }
}

TEST(GgufReaderTest, RefusesTensorNames) {
  const auto named = [](std::string name) {
    GgufBuilder builder;
    builder.Add({std::move(name), {4}, kF32, std::string(16, 'x'), {}});
    return builder.Build();
  };
  EXPECT_TRUE(Read(named(std::string(63, 'n'))));
  ExpectRefused(named(std::string(64, 'n')), "64 bytes");
  ExpectError(Read(named("")), ErrorCode::kCorrupt, "empty");
  ExpectError(Read(named("a\x7f")), ErrorCode::kCorrupt, "control");
  GgufBuilder twice;
  twice.Add({"t", {4}, kF32, std::string(16, 'x'), {}})
      .Add({"t", {4}, kF32, std::string(16, 'x'), {}});
  ExpectError(Read(twice.Build()), ErrorCode::kCorrupt, "stands twice");
}

TEST(GgufReaderTest, C9RefusesOffsetsThatAreNotTheRunningSum) {
  for (const uint64_t offset :
       {uint64_t{0}, uint64_t{16}, uint64_t{68}, uint64_t{64}, uint64_t{128},
        ~uint64_t{0} - 31}) {
    GgufBuilder builder;
    builder.Add({"a", {32, 2}, kQ8, std::string(68, 'q'), {}})
        .Add({"b", {3}, kF32, std::string(12, 'f'), offset});
    ExpectRefused(builder.Build(), "but the tensor before it ends at 96");
  }
}

TEST(GgufReaderTest, RefusesTailsAndPaddingWithContent) {
  const std::string bytes = WithTensors().Build();
  ExpectRefused(bytes + "x", "1 bytes after the last");
  ExpectRefused(bytes + std::string(32, '\0'), "32 bytes after the last");
  std::string padding = bytes;
  padding.back() = 'x';
  ExpectRefused(padding, "padding that is not 0");
  // The padding of the last tensor may be missing.
  EXPECT_TRUE(Read(bytes.substr(0, bytes.size() - 20)));
  ExpectRefused(bytes.substr(0, bytes.size() - 21), "cut off");
  std::string before = bytes;
  before[bytes.find("qqq") - 1] = 'x';
  EXPECT_FALSE(Read(before));
}

TEST(GgufReaderTest, RefusesEveryTruncation) {
  const std::string bytes = WithTensors().Build();
  // From the first byte of the last tensor's padding on nothing is lost.
  for (size_t size = 0; size < bytes.size() - 20; ++size) {
    EXPECT_FALSE(Read(bytes.substr(0, size))) << size;
  }
}

TEST(GgufReaderTest, SurvivesEveryFlippedByte) {
  const std::string bytes =
      WithTensors().KeyTexts("tokenizer.ggml.tokens", {"a", "b"}).Build();
  const size_t data = bytes.find("qqq");
  for (size_t i = 0; i < data; ++i) {
    for (int value = 0; value < 256; ++value) {
      std::string flipped = bytes;
      flipped[i] = static_cast<char>(value);
      const auto gguf = Read(flipped);
      if (!gguf) continue;
      for (const TensorInfo& tensor : gguf->tensors.tensors()) {
        EXPECT_LE(tensor.offset + tensor.size_bytes, bytes.size()) << i;
        EXPECT_GE(tensor.offset, gguf->data_offset) << i;
      }
    }
  }
}

}  // namespace
}  // namespace verify
