// SPDX-License-Identifier: Apache-2.0
#include "verify/checkpoint/compressed_weights.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/archive_builder.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_checkpoint.h"
#include "verify/base/json.h"
#include "verify/checkpoint/checkpoint.h"

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
  // Numbers cannot be had in place.
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

// The tensors of `opened` are those of `plain`, byte for byte.
void ExpectSameBytes(const Checkpoint& opened, const Checkpoint& plain) {
  ASSERT_EQ(opened.tensors().size(), plain.tensors().size());
  for (const TensorInfo& tensor : plain.tensors().tensors()) {
    const TensorInfo* const found = opened.tensors().Find(tensor.name);
    ASSERT_NE(found, nullptr);
    const ByteSpan expected = plain.Bytes(tensor);
    const ByteSpan bytes = opened.Bytes(*found);
    ASSERT_EQ(bytes.size(), expected.size());
    const std::vector<FilePlace> places = opened.PlacesOf(*found);
    ASSERT_EQ(places.size(), 1u);
    const ByteSource* const content = opened.content(places[0].file);
    if (content == nullptr) {
      EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), expected.begin()))
          << tensor.name;
      continue;
    }
    std::vector<std::byte> read(expected.size());
    ASSERT_TRUE(content->ReadAt(places[0].offset, read));
    EXPECT_TRUE(std::equal(read.begin(), read.end(), expected.begin()))
        << tensor.name;
  }
}

TEST(CompressedWeightsTest, NumbersAreHadInMemoryOrStreamed) {
  const std::string weights = Weights();
  const TempDir dir;
  const auto plain = Checkpoint::Open(dir.Write("model.safetensors", weights));
  ASSERT_TRUE(plain);
  EXPECT_FALSE(plain->is_compressed());
  EXPECT_EQ(plain->content(0), nullptr);
  for (const std::string& bytes :
       {tests::ZstdFrameOf(weights),
        tests::ZstdFrameOf(weights, {.content_size = false}),
        tests::SeekableOf(weights, 10'000)}) {
    const TempDir packed;
    packed.Write("consolidated.safetensors.zst", bytes);
    const auto memory =
        Checkpoint::Open(packed.path(), CompressedFiles::kInMemory);
    ASSERT_TRUE(memory) << memory.error().ToString();
    EXPECT_FALSE(memory->is_compressed());
    ExpectSameBytes(*memory, *plain);
    const auto streamed =
        Checkpoint::Open(packed.path(), CompressedFiles::kStreamed);
    ASSERT_TRUE(streamed) << streamed.error().ToString();
    EXPECT_TRUE(streamed->is_compressed());
    EXPECT_EQ(streamed->is_forward_only(),
              bytes != tests::SeekableOf(weights, 10'000));
    ASSERT_NE(streamed->content(0), nullptr);
    EXPECT_EQ(streamed->content(0)->size(), weights.size());
    ExpectSameBytes(*streamed, *plain);
  }
}

TEST(CompressedWeightsTest, ShardsOfAnIndexMayBeCompressed) {
  const auto tensors = tests::TinyTensors(tests::TinyConfig());
  const auto middle =
      tensors.begin() + static_cast<std::ptrdiff_t>(tensors.size() / 2);
  Json map = Json::object();
  for (auto it = tensors.begin(); it != tensors.end(); ++it) {
    map[it->name] = it < middle ? "model-00001-of-00002.safetensors"
                                : "model-00002-of-00002.safetensors";
  }
  const TempDir dir;
  const std::string first = tests::SafetensorsFile({tensors.begin(), middle});
  const std::string second = tests::SafetensorsFile({middle, tensors.end()});
  dir.Write("model.safetensors.index.json", Json{{"weight_map", map}}.dump());
  dir.Write("model-00001-of-00002.safetensors", first);
  dir.Write("model-00002-of-00002.safetensors.zst", tests::ZstdFrameOf(second));
  const auto opened = Checkpoint::Open(dir.path(), CompressedFiles::kStreamed);
  ASSERT_TRUE(opened) << opened.error().ToString();
  EXPECT_EQ(opened->content(0), nullptr);
  ASSERT_NE(opened->content(1), nullptr);
  EXPECT_EQ(opened->content(1)->size(), second.size());
  ExpectError(Checkpoint::Open(dir.path()), ErrorCode::kUnsupported,
              "model-00002-of-00002.safetensors.zst", "E-COMPRESSED");
}

// Counts what it is told and cancels once more than `limit` bytes are done.
class CancelAfter final : public ProgressSink {
 public:
  explicit CancelAfter(uint64_t limit) : limit_(limit) {}

  void OnProgress(std::string_view, uint64_t done_bytes,
                  uint64_t total_bytes) override {
    ++calls;
    total = total_bytes;
    if (done_bytes > limit_) cancel.Cancel();
  }

  uint64_t calls = 0;
  uint64_t total = 0;
  CancelToken cancel;

 private:
  uint64_t limit_;
};

TEST(CompressedWeightsTest, DecompressingIntoMemoryIsToldAndCanBeEnded) {
  constexpr size_t kBytes = 24u << 20;
  const TempDir dir;
  uint64_t total = 0;
  Json map = Json::object();
  for (const std::string& name : {std::string("a"), std::string("b")}) {
    const std::string shard = tests::SafetensorsFile(
        {{name, DType::kF32, {kBytes / 4}, std::vector<std::byte>(kBytes)}});
    total += shard.size();
    dir.Write("model-" + name + ".safetensors.zst", tests::ZstdFrameOf(shard));
    map[name] = "model-" + name + ".safetensors";
  }
  dir.Write("model.safetensors.index.json", Json{{"weight_map", map}}.dump());

  CancelAfter never(total);
  const auto whole = Checkpoint::Open(dir.path(), CompressedFiles::kInMemory,
                                      {&never.cancel, &never});
  ASSERT_TRUE(whole) << whole.error().ToString();
  EXPECT_EQ(never.total, total);
  EXPECT_GE(never.calls, 2u);

  // In the second shard: what the first one had counts.
  CancelAfter later(kBytes - 1);
  ExpectError(Checkpoint::Open(dir.path(), CompressedFiles::kInMemory,
                               {&later.cancel, &later}),
              ErrorCode::kCancelled, "model-b.safetensors.zst");
}

TEST(CompressedWeightsTest, CountingWhatComesOutCanBeEnded) {
  const TempDir dir;
  const std::string path =
      dir.Write("model.safetensors.zst",
                tests::ZstdFrameOf(Weights(), {.content_size = false}));
  CancelToken cancel;
  cancel.Cancel();
  ExpectError(
      Checkpoint::Open(path, CompressedFiles::kInMemory, {&cancel, nullptr}),
      ErrorCode::kCancelled, "interrupted");
}

TEST(CompressedWeightsTest, WhatComesOutIsReadAsHostile) {
  const std::string weights = Weights();
  std::string flipped = tests::ZstdFrameOf(weights);
  flipped.back() = static_cast<char>(flipped.back() ^ 1);
  const TempDir dir;
  const std::string path = dir.Write("model.safetensors.zst", flipped);
  ExpectError(Checkpoint::Open(path, CompressedFiles::kInMemory),
              ErrorCode::kCorrupt, "checksum", "E-ZSTD-CHECKSUM");
  dir.Write("model.safetensors.zst", tests::ZstdFrameOf(weights + "x"));
  for (const auto how :
       {CompressedFiles::kInMemory, CompressedFiles::kStreamed}) {
    ExpectError(Checkpoint::Open(path, how), ErrorCode::kCorrupt,
                "model.safetensors.zst", "E-SAFETENSORS");
  }
}

TEST(CompressedWeightsTest, E1RefusesABombInEveryForm) {
  const std::string zeros(80u << 20, '\0');
  for (const std::string& bytes :
       {tests::ZstdFrameOf(zeros), tests::SeekableOf(zeros, 40u << 20)}) {
    const auto opened = OpenCompressedContent(
        std::make_unique<MemorySource>(AsBytes(bytes)), 0);
    ExpectError(opened, ErrorCode::kLimit, "weights do not shrink like that",
                "E-ARCHIVE-BOMB");
    EXPECT_NE(opened.error().hint.find("lodestone unpack"), std::string::npos);
  }
}

}  // namespace
}  // namespace verify
