// SPDX-License-Identifier: Apache-2.0
#include "verify/checkpoint/safetensors_reader.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/byte_builder.h"
#include "tests/support/expect_error.h"
#include "tests/support/gguf_builder.h"
#include "verify/base/text.h"

namespace verify {
namespace {

using tests::BuildSafetensors;
using tests::ByteBuilder;
using tests::ExpectError;

Result<SafetensorsFile> Read(const std::string& bytes) {
  return ReadSafetensors(MemorySource(AsBytes(bytes)));
}

const std::string kData(16, 'd');

// The two tensors of kTwo lie in the file against the order of the header.
constexpr std::string_view kTwo =
    R"({"__metadata__":{"format":"pt"},)"
    R"("a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]},)"
    R"("b":{"dtype":"BF16","shape":[2,2],"data_offsets":[0,8]}})";

// A header of one tensor "a" over kData.
std::string One(std::string_view dtype, std::string_view shape,
                std::string_view offsets) {
  std::string header = R"({"a":{"dtype":)";
  header.append(dtype).append(R"(,"shape":)").append(shape);
  header.append(R"(,"data_offsets":)").append(offsets).append("}}");
  return header;
}

void ExpectRefused(std::string_view header, std::string_view part,
                   ErrorCode code = ErrorCode::kCorrupt) {
  ExpectError(Read(BuildSafetensors(header, kData)), code, part);
}

TEST(SafetensorsReaderTest, ReadsTensorsInOrderOfData) {
  const auto file = Read(BuildSafetensors(kTwo, kData));
  ASSERT_TRUE(file) << file.error().ToString();
  EXPECT_EQ(file->data_offset, 8 + kTwo.size());
  ASSERT_EQ(file->tensors.size(), 2u);
  const TensorInfo& b = file->tensors.tensors()[0];
  EXPECT_EQ(b.name, "b");
  EXPECT_EQ(b.dtype, DType::kBF16);
  EXPECT_EQ(b.shape, (std::vector<uint64_t>{2, 2}));
  EXPECT_EQ(b.offset, file->data_offset);
  EXPECT_EQ(file->tensors.Find("a")->offset, file->data_offset + 8);
  EXPECT_EQ(file->tensors.Find("a")->size_bytes, 8u);
  ASSERT_EQ(file->metadata.size(), 1u);
  EXPECT_EQ(file->metadata[0].second, "pt");
}

TEST(SafetensorsReaderTest, TakesPaddingScalarsAndEmptyTensors) {
  EXPECT_TRUE(Read(BuildSafetensors(StrCat(kTwo, "     "), kData)));
  EXPECT_TRUE(Read(BuildSafetensors("{}", "")));
  const auto file = Read(BuildSafetensors(
      R"({"s":{"dtype":"F32","shape":[],"data_offsets":[0,4]},)"
      R"("z":{"dtype":"F32","shape":[0,5],"data_offsets":[4,4]},)"
      R"("r":{"dtype":"U8","shape":[12],"data_offsets":[4,16]}})",
      kData));
  ASSERT_TRUE(file) << file.error().ToString();
  EXPECT_EQ(file->tensors.Find("z")->size_bytes, 0u);
}

TEST(SafetensorsReaderTest, C1RefusesHeaderLengths) {
  for (const uint64_t length :
       {uint64_t{0}, uint64_t{1}, uint64_t{1000}, uint64_t{99'999'999},
        uint64_t{100'000'001}, uint64_t{1} << 63, ~uint64_t{0},
        ~uint64_t{0} - 7}) {
    const std::string bytes =
        ByteBuilder().U64(length).Text(kTwo).Text(kData).str();
    ExpectError(Read(bytes), ErrorCode::kCorrupt, "a header of",
                "E-SAFETENSORS");
  }
  ExpectError(Read("1234567"), ErrorCode::kCorrupt, "only 7 bytes");
}

TEST(SafetensorsReaderTest, C2RefusesHeadersThatAreNoPlainJsonObject) {
  ExpectRefused(StrCat(" ", kTwo), "begin with {");
  ExpectRefused(StrCat(kTwo, "\n"), "end with }");
  ExpectRefused(StrCat(kTwo, '\0'), "end with }");
  ExpectRefused("[[]]", "begin with {");
  ExpectRefused("{'a':1}", "JSON");
  ExpectRefused("{\"a\xff\":1}", "JSON");
  ExpectRefused("{}{}", "JSON");
  ExpectRefused(R"({"a":1} /* */ })", "JSON");
  ExpectRefused(
      StrCat("{\"a\":", std::string(20, '['), std::string(20, ']'), "}"),
      "nested", ErrorCode::kLimit);
}

TEST(SafetensorsReaderTest, C2RefusesEqualKeys) {
  ExpectRefused(R"({"a":{},"a":{}})", "stands twice");
  ExpectRefused(R"({"a":{},"\u0061":{}})", "stands twice");
  ExpectRefused(R"({"a":{"dtype":"F32","dtype":"F32","shape":[4],)"
                R"("data_offsets":[0,16]}})",
                "stands twice");
  ExpectRefused(R"({"__metadata__":{"x":"1","x":"2"}})", "stands twice");
}

TEST(SafetensorsReaderTest, C3RefusesHolesOverlapsAndTails) {
  const auto two = [](const char* first, const char* second) {
    std::string header = R"({"a":{"dtype":"U8","shape":[8],"data_offsets":)";
    header.append(first).append(
        R"(},"b":{"dtype":"U8","shape":[8],"data_offsets":)");
    return header.append(second).append("}}");
  };
  EXPECT_TRUE(Read(BuildSafetensors(two("[0,8]", "[8,16]"), kData)));
  ExpectRefused(two("[0,8]", "[4,12]"), "begins at byte 4");
  ExpectRefused(two("[0,8]", "[0,8]"), "begins at byte 0");
  ExpectRefused(two("[0,8]", "[9,17]"), "begins at byte 9");
  ExpectRefused(two("[1,9]", "[9,17]"), "begins at byte 1");
  ExpectRefused(One("\"U8\"", "[15]", "[0,15]"), "1 bytes after the last");
  ExpectRefused(One("\"U8\"", "[17]", "[0,17]"), "cut off");
  ExpectRefused(One("\"U8\"", "[16]", "[16,0]"), "no range");
  ExpectRefused("{}", "16 bytes after the last");
}

TEST(SafetensorsReaderTest, C4RefusesSizesThatDoNotFollow) {
  ExpectRefused(One("\"F32\"", "[5]", "[0,16]"), "16 bytes declared");
  ExpectRefused(One("\"F32\"", "[9223372036854775808,2]", "[0,16]"), "no size");
  // 2^62 float32 wrap to 0 bytes in 64 bits.
  ExpectRefused(One("\"F32\"", "[4611686018427387904]", "[0,16]"), "no size");
  ExpectRefused(One("\"F32\"", "[0]", "[0,16]"), "16 bytes declared");
  ExpectRefused(One("\"U8\"", "[1,1,1,1,1,1,1,1,16]", "[0,16]"), "at most 8",
                ErrorCode::kLimit);
}

TEST(SafetensorsReaderTest, RefusesNumbersThatAreNotPlain) {
  for (const char* const shape :
       {"[4e0]", "[4.0]", "[-4]", "[\"4\"]", "[null]", "[true]", "4", "[[4]]",
        "[18446744073709551616]"}) {
    ExpectRefused(One("\"F32\"", shape, "[0,16]"), "a");
  }
  ExpectRefused(One("\"F32\"", "[04]", "[0,16]"), "JSON");
  ExpectRefused(One("\"F32\"", "[4]", "[-0,16]"), "plain whole numbers");
  ExpectRefused(One("\"F32\"", "[4]", "[0,16.0]"), "plain whole numbers");
  ExpectRefused(One("\"F32\"", "[4]", "[0]"), "no range");
  ExpectRefused(One("\"F32\"", "[4]", "[0,16,16]"), "no range");
}

TEST(SafetensorsReaderTest, C4RefusesDTypes) {
  ExpectRefused(One("\"F33\"", "[4]", "[0,16]"), "unknown dtype \"F33\"");
  ExpectRefused(One("\"f32\"", "[4]", "[0,16]"), "unknown dtype");
  ExpectRefused(One("7", "[4]", "[0,16]"), "no text");
  for (const char* const dtype : {"\"F4\"", "\"F8_E8M0\"", "\"C64\""}) {
    ExpectRefused(One(dtype, "[4]", "[0,16]"), "is not read",
                  ErrorCode::kUnsupported);
  }
}

TEST(SafetensorsReaderTest, RefusesStrangeEntries) {
  ExpectRefused(R"({"a":1})", "no object");
  ExpectRefused(R"({"a":{"dtype":"F32","shape":[4]}})", "nothing else");
  ExpectRefused(
      R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16],"x":1}})",
      "nothing else");
  ExpectRefused(R"({"__metadata__":[]})", "no object");
  ExpectRefused(R"({"__metadata__":{"a":1}})", "other than text");
  ExpectRefused(
      R"({"a\u001b":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})",
      "control");
  ExpectRefused(R"({"":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})",
                "empty");
}

TEST(SafetensorsReaderTest, RefusesEveryTruncation) {
  const std::string bytes = BuildSafetensors(kTwo, kData);
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(Read(bytes.substr(0, size))) << size;
  }
  EXPECT_FALSE(Read(bytes + "x"));
}

TEST(SafetensorsReaderTest, SurvivesEveryFlippedByte) {
  const std::string bytes = BuildSafetensors(kTwo, kData);
  for (size_t i = 0; i < 8 + kTwo.size(); ++i) {
    for (int value = 0; value < 256; ++value) {
      std::string flipped = bytes;
      flipped[i] = static_cast<char>(value);
      const auto file = Read(flipped);
      if (!file) continue;
      // Names, metadata or equal sizes may change, never the tiling.
      uint64_t end = file->data_offset;
      for (const TensorInfo& tensor : file->tensors.tensors()) {
        EXPECT_EQ(tensor.offset, end) << i;
        end += tensor.size_bytes;
      }
      EXPECT_EQ(end, bytes.size()) << i;
    }
  }
}

}  // namespace
}  // namespace verify
