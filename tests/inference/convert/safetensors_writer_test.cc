// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/safetensors_writer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "verify/base/bytes.h"
#include "verify/base/file.h"
#include "verify/checkpoint/safetensors_index.h"
#include "verify/checkpoint/safetensors_reader.h"

namespace inference {
namespace {

using verify::DType;

// By hand, from docs/formats/safetensors.md: 122 characters and 6 spaces.
TEST(SafetensorsWriterTest, WritesTheHeaderAsTheFormatHasIt) {
  const std::vector<SafetensorsEntry> entries = {
      {"a", DType::kF32, {2}, 8}, {"b", DType::kBF16, {1, 3}, 6}};
  const auto head = SafetensorsHead(entries);
  ASSERT_TRUE(head);
  std::string text =
      R"({"__metadata__":{"format":"pt"},)"
      R"("a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
      R"("b":{"dtype":"BF16","shape":[1,3],"data_offsets":[8,14]}})";
  text.resize((text.size() + 7) / 8 * 8, ' ');
  EXPECT_EQ(head->substr(8), text);
  EXPECT_EQ(verify::LoadLe<uint64_t>(verify::AsBytes(*head)), text.size());
}

TEST(SafetensorsWriterTest, IsReadBack) {
  std::vector<SafetensorsEntry> entries;
  uint64_t bytes = 0;
  uint64_t at_most = kMaxHeaderFrameBytes;
  for (uint64_t i = 1; i < 40; ++i) {
    entries.push_back(
        {"layers." + std::to_string(i), DType::kF16, {i, 2}, 4 * i});
    bytes += 4 * i;
    at_most += MaxHeaderBytesOf(entries.back());
  }
  const auto head = SafetensorsHead(entries);
  ASSERT_TRUE(head);
  EXPECT_LE(head->size(), at_most);
  const std::string file = *head + std::string(bytes, '\1');
  const auto read =
      verify::ReadSafetensors(verify::MemorySource(verify::AsBytes(file)));
  ASSERT_TRUE(read) << read.error().ToString();
  EXPECT_EQ(read->tensors.size(), 39u);
  EXPECT_EQ(read->tensors.Find("layers.3")->offset, head->size() + 4 + 8);
}

TEST(SafetensorsWriterTest, PutsWideTypesFirstThenGoesByName) {
  std::vector<SafetensorsEntry> entries = {{"b", DType::kBF16, {}, 2},
                                           {"a", DType::kF16, {}, 2},
                                           {"a10", DType::kBF16, {}, 2},
                                           {"a2", DType::kBF16, {}, 2},
                                           {"z", DType::kF32, {}, 4}};
  std::sort(entries.begin(), entries.end(), StandsBefore);
  std::string order;
  for (const SafetensorsEntry& entry : entries) order += entry.name + " ";
  EXPECT_EQ(order, "z a10 a2 b a ");
}

TEST(SafetensorsWriterTest, WritesAnIndexThatIsRead) {
  const std::string text =
      SafetensorsIndexJson({{"x", "model-00002-of-00002.safetensors"},
                            {"a", "model-00001-of-00002.safetensors"}},
                           12);
  EXPECT_EQ(text, R"({
  "metadata": {
    "total_size": 12
  },
  "weight_map": {
    "a": "model-00001-of-00002.safetensors",
    "x": "model-00002-of-00002.safetensors"
  }
}
)");
  EXPECT_TRUE(verify::ParseSafetensorsIndex(text));
}

}  // namespace
}  // namespace inference
