// SPDX-License-Identifier: Apache-2.0
#include "verify/checkpoint/safetensors_index.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/expect_error.h"
#include "tests/support/gguf_builder.h"
#include "verify/base/text.h"

namespace verify {
namespace {

using tests::BuildSafetensors;
using tests::ExpectError;

constexpr std::string_view kIndex =
    R"({"metadata":{"total_size":16},)"
    R"("weight_map":{"a":"s-2","b":"s-1","c":"s-1"}})";

TEST(SafetensorsIndexTest, ReadsShards) {
  const auto index = ParseSafetensorsIndex(kIndex);
  ASSERT_TRUE(index) << index.error().ToString();
  EXPECT_EQ(index->shards, (std::vector<std::string>{"s-1", "s-2"}));
  ASSERT_EQ(index->weight_map.size(), 3u);
  EXPECT_EQ(index->weight_map[0].first, "a");
  EXPECT_EQ(index->weight_map[0].second, 1u);
  EXPECT_EQ(index->total_size, 16u);
}

TEST(SafetensorsIndexTest, C5RefusesWhatIsNoIndex) {
  constexpr std::string_view kId = "E-SAFETENSORS-INDEX";
  for (const char* const text :
       {"[]", "{}", R"({"weight_map":[]})", R"({"weight_map":{}})"}) {
    ExpectError(ParseSafetensorsIndex(text), ErrorCode::kCorrupt, "weight_map",
                kId);
  }
  for (const char* const shard :
       {R"("../x")", R"("/etc/passwd")", R"("a/b")", R"("")", R"(".")",
        R"("..")", R"("a\\b")", R"("a\u0000b")", R"("a b")", "1",
        R"(".hidden")"}) {
    ExpectError(
        ParseSafetensorsIndex(StrCat(R"({"weight_map":{"t":)", shard, "}}")),
        ErrorCode::kCorrupt, "no plain file name", kId);
  }
  ExpectError(ParseSafetensorsIndex(
                  R"({"weight_map":{"t":"x"},"metadata":{"total_size":1e3}})"),
              ErrorCode::kCorrupt, "total_size", kId);
}

TEST(SafetensorsIndexTest, RefusesShardsThatAreNoText) {
  for (const char* const shard : {"null", "true", "-1", "1.5", "{}", "[]"}) {
    ExpectError(
        ParseSafetensorsIndex(StrCat(R"({"weight_map":{"t":)", shard, "}}")),
        ErrorCode::kCorrupt,
        StrCat("tensor \"t\" is in ", shard, ", which is no plain file name"),
        "E-SAFETENSORS-INDEX");
  }
}

TEST(SafetensorsIndexTest, RefusesWhatStandsTwice) {
  for (const char* const text :
       {R"({"weight_map":{"t":"x","u":"x","t":"y"}})",
        R"({"weight_map":{"t":"x"},"weight_map":{"u":"x"}})",
        R"({"weight_map":{"t":"x"},"metadata":{"a":1,"\u0061":2}})"}) {
    ExpectError(ParseSafetensorsIndex(text), ErrorCode::kCorrupt,
                "stands twice", "E-JSON-DUPLICATE");
  }
}

TEST(SafetensorsIndexTest, TakesOnlyTheMapOfTheRoot) {
  const auto index = ParseSafetensorsIndex(
      R"({"metadata":{"weight_map":{"x":1},"l":[{"weight_map":{}}]},)"
      R"("weight_map":{"t":"s"}})");
  ASSERT_TRUE(index) << index.error().ToString();
  ASSERT_EQ(index->weight_map.size(), 1u);
  EXPECT_EQ(index->weight_map[0].first, "t");
  ExpectError(ParseSafetensorsIndex(R"([{"weight_map":{"t":"s"}}])"),
              ErrorCode::kCorrupt, "weight_map");
}

std::string IndexOf(size_t num_tensors, size_t num_shards) {
  std::string text = R"({"weight_map":{)";
  for (size_t i = 0; i < num_tensors; ++i) {
    text += StrCat(i == 0 ? "\"t" : ",\"t", i, "\":\"s", i % num_shards, "\"");
  }
  return text + "}}";
}

TEST(SafetensorsIndexTest, KeepsItsLimits) {
  const auto index = ParseSafetensorsIndex(IndexOf(20'000, 10'000));
  ASSERT_TRUE(index) << index.error().ToString();
  EXPECT_EQ(index->shards.size(), 10'000u);
  EXPECT_EQ(index->weight_map.size(), 20'000u);
  ExpectError(ParseSafetensorsIndex(IndexOf(10'001, 10'001)), ErrorCode::kLimit,
              "more than 10000 shards");
  EXPECT_TRUE(ParseSafetensorsIndex(IndexOf(kMaxIndexTensors, 1)));
  ExpectError(ParseSafetensorsIndex(IndexOf(kMaxIndexTensors + 1, 1)),
              ErrorCode::kLimit, "more than 262144 tensors");
  ExpectError(ParseSafetensorsIndex(std::string((16u << 20) + 1, ' ')),
              ErrorCode::kLimit, "at most 16777216");
  ExpectError(ParseSafetensorsIndex(std::string(1'000'000, '[')),
              ErrorCode::kLimit, "nested deeper");
}

SafetensorsFile Shard(std::string_view header) {
  const std::string bytes = BuildSafetensors(header, std::string(8, 'd'));
  auto file = ReadSafetensors(MemorySource(AsBytes(bytes)));
  EXPECT_TRUE(file);
  return std::move(file).value();
}

TEST(SafetensorsIndexTest, C5JoinsShardsAndChecksEveryTensor) {
  const auto index = ParseSafetensorsIndex(kIndex);
  ASSERT_TRUE(index);
  const auto join = [&index](std::string_view first, std::string_view second) {
    std::vector<SafetensorsFile> shards;
    shards.push_back(Shard(first));
    shards.push_back(Shard(second));
    return JoinShards(*index, shards, {200, 200});
  };
  constexpr std::string_view kA =
      R"({"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}})";
  constexpr std::string_view kBc =
      R"({"b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
      R"("c":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})";
  constexpr std::string_view kB =
      R"({"b":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}})";
  constexpr std::string_view kX =
      R"({"x":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}})";
  const auto table = join(kBc, kA);
  ASSERT_TRUE(table) << table.error().ToString();
  EXPECT_EQ(table->Find("a")->file_index, 1u);
  EXPECT_EQ(table->Find("c")->file_index, 0u);
  ExpectError(join(kB, kA), ErrorCode::kCorrupt, "\"c\" is not in \"s-1\"");
  ExpectError(join(kBc, kX), ErrorCode::kCorrupt, "does not say so");
  ExpectError(join(kA, kBc), ErrorCode::kCorrupt, "does not say so");
  ExpectError(join(kBc, kB), ErrorCode::kCorrupt, "does not say so");
  auto lying = *index;
  lying.total_size = 17;
  std::vector<SafetensorsFile> shards;
  shards.push_back(Shard(kBc));
  shards.push_back(Shard(kA));
  ExpectError(JoinShards(lying, shards, {200, 200}), ErrorCode::kCorrupt,
              "\"total_size\" is 17, the tensors take 16");
}

}  // namespace
}  // namespace verify
