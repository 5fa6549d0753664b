// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/gguf_writer.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "verify/base/file.h"
#include "verify/checkpoint/gguf_reader.h"

namespace inference {
namespace {

using verify::DType;
using verify::ErrorCode;

// Bytes by hand from the layout in docs/formats/gguf.md.
TEST(GgufWriterTest, WritesTheLayout) {
  GgufHeader header;
  header.AddUint32("a", 7);
  header.AddBool("b", true);
  const std::vector<uint64_t> shape = {2, 3};
  ASSERT_TRUE(header.AddTensor("t", shape, DType::kF32));
  const std::string expected(
      "GGUF\3\0\0\0"
      "\1\0\0\0\0\0\0\0"   // tensors
      "\2\0\0\0\0\0\0\0"   // values
      "\1\0\0\0\0\0\0\0a"  // key
      "\4\0\0\0\7\0\0\0"   // u32, 7
      "\1\0\0\0\0\0\0\0b"
      "\7\0\0\0\1"         // bool, true
      "\1\0\0\0\0\0\0\0t"  // name
      "\2\0\0\0"           // dimensions, innermost first
      "\3\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0"
      "\0\0\0\0"           // F32
      "\0\0\0\0\0\0\0\0",  // offset
      24 + 9 + 8 + 9 + 5 + 9 + 4 + 16 + 4 + 8);
  const std::string bytes = header.Bytes();
  ASSERT_EQ(bytes.size(), 96u);  // the next multiple of 32
  EXPECT_EQ(std::string_view(bytes).substr(0, expected.size()),
            std::string_view(expected));
  EXPECT_EQ(bytes.find_first_not_of('\0', expected.size()), std::string::npos);
  EXPECT_EQ(header.tensor_bytes(0), 24u);
  EXPECT_EQ(header.padded_bytes(0), 32u);
  EXPECT_EQ(header.data_bytes(), 32u);
}

TEST(GgufWriterTest, PutsTensorsOneAfterTheOther) {
  GgufHeader header;
  const std::vector<uint64_t> vector = {5};
  const std::vector<uint64_t> matrix = {3, 64};
  ASSERT_TRUE(header.AddTensor("a", vector, DType::kF32));   // 20 bytes
  ASSERT_TRUE(header.AddTensor("b", matrix, DType::kQ8_0));  // 204 bytes
  ASSERT_TRUE(header.AddTensor("c", matrix, DType::kBF16));  // 384 bytes
  EXPECT_EQ(header.tensor_offset(0), 0u);
  EXPECT_EQ(header.tensor_offset(1), 32u);
  EXPECT_EQ(header.tensor_offset(2), 32u + 224u);
  EXPECT_EQ(header.data_bytes(), 32u + 224u + 384u);
  EXPECT_EQ(header.padded_bytes(2), 384u);
}

TEST(GgufWriterTest, IsReadBackByVerify) {
  GgufHeader header;
  header.AddString("s", "text \xc3\xa9");
  header.AddFloat32("f", 1e-5f);
  const std::vector<std::string> strings = {"", "x", "yz"};
  const std::vector<float> floats = {0, -1.5f};
  const std::vector<int32_t> ints = {1, -6};
  header.AddStrings("strings", strings);
  header.AddFloat32s("floats", floats);
  header.AddInt32s("ints", ints);
  const std::vector<uint64_t> shape = {2, 3, 32};
  ASSERT_TRUE(header.AddTensor("experts", shape, DType::kQ8_0));
  std::string file = header.Bytes();
  const size_t data_offset = file.size();
  file.resize(file.size() + header.data_bytes());
  const auto read =
      verify::ReadGguf(verify::MemorySource(verify::AsBytes(file)));
  ASSERT_TRUE(read) << read.error().ToString();
  EXPECT_EQ(read->version, 3u);
  EXPECT_EQ(read->data_offset, data_offset);
  EXPECT_EQ(*read->String("s"), "text \xc3\xa9");
  EXPECT_EQ(read->Float("f"), static_cast<double>(1e-5f));
  EXPECT_EQ(*read->Strings("strings"), strings);
  EXPECT_EQ(*read->Floats("floats"), floats);
  EXPECT_EQ(read->Integers("ints"), (std::vector<int64_t>{1, -6}));
  const auto* tensor = read->tensors.Find("experts");
  ASSERT_NE(tensor, nullptr);
  EXPECT_EQ(tensor->shape, shape);
  EXPECT_EQ(tensor->dtype, DType::kQ8_0);
  EXPECT_EQ(tensor->size_bytes, 6u * 34u);
}

TEST(GgufWriterTest, RefusesWhatGgufCannotHold) {
  GgufHeader header;
  const auto refused = [&](std::string_view name, std::vector<uint64_t> shape,
                           DType dtype, ErrorCode code) {
    const auto result = header.AddTensor(name, shape, dtype);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, code);
  };
  refused("t", {2}, DType::kBool, ErrorCode::kUnsupported);
  refused("t", {}, DType::kF32, ErrorCode::kUnsupported);
  refused("t", {1, 1, 1, 1, 1}, DType::kF32, ErrorCode::kUnsupported);
  refused(std::string(64, 'n'), {2}, DType::kF32, ErrorCode::kLimit);
  refused("t", {uint64_t{1} << 40, uint64_t{1} << 40}, DType::kF32,
          ErrorCode::kLimit);
  refused("t", {3, 33}, DType::kQ8_0, ErrorCode::kLimit);
  EXPECT_EQ(header.num_tensors(), 0u);
  EXPECT_EQ(header.data_bytes(), 0u);
}

TEST(GgufWriterTest, TakesBackTheLastTensor) {
  GgufHeader header;
  header.AddUint16("split.no", 1);
  header.AddInt32("split.tensors.count", -2);
  ASSERT_TRUE(header.AddTensor("a", std::vector<uint64_t>{3}, DType::kF32));
  const std::string one = header.Bytes();
  EXPECT_EQ(header.num_bytes(), one.size());
  ASSERT_TRUE(header.AddTensor("b", std::vector<uint64_t>{2, 9}, DType::kF16));
  EXPECT_EQ(header.num_bytes(), header.Bytes().size());
  EXPECT_EQ(header.data_bytes(), 32u + 64);
  header.RemoveLastTensor();
  EXPECT_EQ(header.Bytes(), one);
  EXPECT_EQ(header.data_bytes(), 32u);
  EXPECT_EQ(header.num_tensors(), 1u);
}

}  // namespace
}  // namespace inference
