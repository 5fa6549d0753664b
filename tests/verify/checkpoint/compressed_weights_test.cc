// SPDX-License-Identifier: Apache-2.0
#include "verify/checkpoint/compressed_weights.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>

#include "tests/support/archive_builder.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_checkpoint.h"
#include "verify/checkpoint/weight_files.h"

namespace verify {
namespace {

using tests::ExpectError;
using tests::TempDir;

std::string Weights() {
  return tests::SafetensorsFile(tests::TinyTensors(tests::TinyConfig()));
}

Result<std::optional<CompressedWeights>> Look(const std::string& bytes) {
  return LookIntoCompressed(
      MemorySource(AsBytes(std::string_view(bytes)), "x.zst"));
}

TEST(CompressedWeightsTest, SaysWhatIsInside) {
  const std::string weights = Weights();
  const auto one = Look(tests::ZstdFrameOf(weights));
  ASSERT_TRUE(one && one->has_value());
  EXPECT_EQ((*one)->content.format, CheckpointFormat::kSafetensors);
  EXPECT_EQ((*one)->size_bytes, weights.size());
  EXPECT_FALSE((*one)->seekable);
  const auto silent =
      Look(tests::ZstdFrameOf(weights, {.content_size = false}));
  ASSERT_TRUE(silent && silent->has_value());
  EXPECT_FALSE((*silent)->size_bytes.has_value());
  const auto seekable = Look(tests::SeekableOf(weights, 10'000));
  ASSERT_TRUE(seekable && seekable->has_value());
  EXPECT_TRUE((*seekable)->seekable);
  EXPECT_EQ((*seekable)->size_bytes, weights.size());
  for (const std::string& other :
       {weights, tests::ZstdFrameOf("no weights"), std::string("x"),
        tests::ZstdFrameOf(tests::TarOf({{.name = "a", .content = "b"}}))}) {
    const auto nothing = Look(other);
    ASSERT_TRUE(nothing) << nothing.error().ToString();
    EXPECT_FALSE(nothing->has_value());
  }
}

TEST(CompressedWeightsTest, TablesAreReadInPlaceIfSeekable) {
  const std::string weights = Weights();
  const TempDir dir;
  const auto plain =
      Checkpoint::OpenTables(dir.Write("model.safetensors", weights));
  ASSERT_TRUE(plain);
  const TempDir packed;
  packed.Write("consolidated.safetensors.zst",
               tests::SeekableOf(weights, 10'000));
  const auto opened = Checkpoint::OpenTables(packed.path());
  ASSERT_TRUE(opened) << opened.error().ToString();
  ASSERT_EQ(opened->tensors().size(), plain->tensors().size());
  for (const TensorInfo& tensor : plain->tensors().tensors()) {
    const TensorInfo* const found = opened->tensors().Find(tensor.name);
    ASSERT_NE(found, nullptr);
    EXPECT_EQ(found->shape, tensor.shape);
    EXPECT_EQ(found->offset, tensor.offset);
  }
  // Numbers cannot be had.
  const auto numbers = Checkpoint::Open(packed.path());
  ExpectError(numbers, ErrorCode::kUnsupported, "safetensors compressed",
              "E-COMPRESSED");
  EXPECT_NE(numbers.error().hint.find("lodestone unpack"), std::string::npos);
}

TEST(CompressedWeightsTest, OthersNameTheNextStep) {
  const std::string weights = Weights();
  const TempDir dir;
  const std::string path =
      dir.Write("model.gguf.zst", tests::ZstdFrameOf(weights));
  ExpectError(Checkpoint::Open(path), ErrorCode::kUnsupported, "model.gguf.zst",
              "E-COMPRESSED");
  ExpectError(Checkpoint::OpenTables(path), ErrorCode::kUnsupported,
              "model.gguf.zst", "E-COMPRESSED");
  ExpectError(Checkpoint::Open(dir.path()), ErrorCode::kUnsupported,
              "model.gguf.zst", "E-COMPRESSED");
  // Other zstd data is no weights.
  ExpectError(Checkpoint::Open(dir.Write("x.zst", tests::ZstdFrameOf("x"))),
              ErrorCode::kCorrupt, "zstd data", "E-CONTENT");
}

}  // namespace
}  // namespace verify
