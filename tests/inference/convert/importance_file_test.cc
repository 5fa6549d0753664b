// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/importance_file.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "tests/support/expect_error.h"
#include "tests/support/gguf_builder.h"
#include "tests/support/temp_dir.h"
#include "verify/base/bytes.h"
#include "verify/base/file.h"

namespace inference {
namespace {

using tests::ExpectError;
using tests::GgufBuilder;
using verify::ErrorCode;
using verify::MemorySource;
using verify::Result;

std::string Floats(const std::vector<float>& values) {
  std::string out(values.size() * sizeof(float), '\0');
  std::memcpy(out.data(), values.data(), out.size());
  return out;
}

Result<ImportanceMatrix> Parse(const std::string& bytes) {
  return ParseImportance(MemorySource(verify::AsBytes(bytes)));
}

GgufBuilder Head() {
  GgufBuilder gguf;
  gguf.KeyText("general.type", "imatrix");
  gguf.KeyTexts("imatrix.datasets", {"a.txt", "b.txt"});
  gguf.KeyU32("imatrix.chunk_count", 7);
  gguf.KeyU32("imatrix.chunk_size", 512);
  return gguf;
}

GgufBuilder& Add(GgufBuilder& gguf, const std::string& name,
                 std::vector<uint64_t> ne, const std::vector<float>& values) {
  gguf.Add({name, std::move(ne), 0, Floats(values), std::nullopt});
  return gguf;
}

// As llama-imatrix writes it: ne [columns, matrices] and [1, matrices], with
// one dimension where there is one matrix.
std::string Usual() {
  GgufBuilder gguf = Head();
  Add(gguf, "blk.0.attn_q.weight.in_sum2", {3}, {1, 2, 3});
  Add(gguf, "blk.0.attn_q.weight.counts", {1}, {8});
  Add(gguf, "blk.0.ffn_up_exps.weight.in_sum2", {2, 2}, {1, 2, 3, 4});
  Add(gguf, "blk.0.ffn_up_exps.weight.counts", {1, 2}, {5, 0});
  return gguf.Build();
}

TEST(ImportanceFileTest, ReadsWhatLlamaImatrixWrites) {
  const auto matrix = Parse(Usual());
  ASSERT_TRUE(matrix) << matrix.error().ToString();
  EXPECT_EQ(matrix->dataset, "a.txt, b.txt");
  EXPECT_EQ(matrix->num_chunks, 7u);
  EXPECT_EQ(matrix->chunk_tokens, 512u);
  ASSERT_EQ(matrix->entries.size(), 2u);
  const ImportanceEntry& q = matrix->entries.at("blk.0.attn_q.weight");
  EXPECT_EQ(q.cols, 3u);
  EXPECT_EQ(q.sums, (std::vector<float>{1, 2, 3}));
  EXPECT_EQ(q.counts, (std::vector<float>{8}));
  const ImportanceEntry& up = matrix->entries.at("blk.0.ffn_up_exps.weight");
  EXPECT_EQ(up.cols, 2u);
  EXPECT_EQ(up.sums, (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(up.counts, (std::vector<float>{5, 0}));
}

TEST(ImportanceFileTest, ReadsBackWhatItWrites) {
  const auto matrix = Parse(Usual());
  ASSERT_TRUE(matrix);
  const std::string bytes = SerializeImportance(*matrix);
  EXPECT_EQ(bytes, SerializeImportance(*matrix));
  const auto again = Parse(bytes);
  ASSERT_TRUE(again) << again.error().ToString();
  EXPECT_EQ(again->dataset, matrix->dataset);
  EXPECT_EQ(again->num_chunks, 7u);
  EXPECT_EQ(again->chunk_tokens, 512u);
  EXPECT_EQ(DigestOf(*again), DigestOf(*matrix));
  for (const auto& [name, entry] : matrix->entries) {
    EXPECT_EQ(again->entries.at(name).cols, entry.cols);
    EXPECT_EQ(again->entries.at(name).sums, entry.sums);
    EXPECT_EQ(again->entries.at(name).counts, entry.counts);
  }
}

TEST(ImportanceFileTest, RefusesWhatIsNone) {
  GgufBuilder model;
  model.KeyText("general.architecture", "llama");
  Add(model, "t.in_sum2", {1}, {1});
  ExpectError(Parse(model.Build()), ErrorCode::kCorrupt, "no importance matrix",
              "E-IMATRIX");
  GgufBuilder empty = Head();
  Add(empty, "t.weight", {1}, {1});
  ExpectError(Parse(empty.Build()), ErrorCode::kCorrupt, "of nothing",
              "E-IMATRIX");
  EXPECT_FALSE(Parse("no GGUF at all"));
  EXPECT_FALSE(Parse(""));
}

TEST(ImportanceFileTest, RefusesPairsThatAreNotWhole) {
  GgufBuilder gguf = Head();
  Add(gguf, "t.in_sum2", {2}, {1, 2});
  ExpectError(Parse(gguf.Build()), ErrorCode::kCorrupt, "sums without counts",
              "E-IMATRIX");
  gguf = Head();
  Add(gguf, "t.counts", {1}, {1});
  ExpectError(Parse(gguf.Build()), ErrorCode::kCorrupt, "counts without sums",
              "E-IMATRIX");
  gguf = Head();
  Add(gguf, "t.in_sum2", {2, 2}, {1, 2, 3, 4});
  Add(gguf, "t.counts", {3}, {1, 1, 1});
  ExpectError(Parse(gguf.Build()), ErrorCode::kCorrupt, "shape [3] for sums",
              "E-IMATRIX");
  gguf = Head();
  Add(gguf, "t.in_sum2", {1, 2, 2}, {1, 2, 3, 4});
  Add(gguf, "t.counts", {2}, {1, 1});
  ExpectError(Parse(gguf.Build()), ErrorCode::kCorrupt, "two dimensions",
              "E-IMATRIX");
  gguf = Head();
  gguf.Add({"t.in_sum2", {2}, 1, std::string(4, '\0'), std::nullopt});
  Add(gguf, "t.counts", {1}, {1});
  ExpectError(Parse(gguf.Build()), ErrorCode::kCorrupt, "f16 where f32",
              "E-IMATRIX");
}

TEST(ImportanceFileTest, RefusesNumbersThatAreNoSums) {
  for (const float bad : {-1.0f, std::numeric_limits<float>::infinity(),
                          std::numeric_limits<float>::quiet_NaN()}) {
    GgufBuilder gguf = Head();
    Add(gguf, "t.in_sum2", {2}, {1, bad});
    Add(gguf, "t.counts", {1}, {1});
    ExpectError(Parse(gguf.Build()), ErrorCode::kCorrupt, "no sum of squares",
                "E-IMATRIX");
    gguf = Head();
    Add(gguf, "t.in_sum2", {2}, {1, 1});
    Add(gguf, "t.counts", {1}, {bad});
    ExpectError(Parse(gguf.Build()), ErrorCode::kCorrupt, "no sum of squares",
                "E-IMATRIX");
  }
}

// None crashes; what is accepted can be written again.
TEST(ImportanceFileTest, SurvivesTruncationAndFlips) {
  const std::string whole = Usual();
  for (size_t size = 0; size < whole.size(); ++size) {
    const auto matrix = Parse(whole.substr(0, size));
    if (matrix) SerializeImportance(*matrix);
  }
  for (size_t i = 0; i < whole.size(); ++i) {
    for (const char mask : {'\x01', '\x80'}) {
      std::string bytes = whole;
      bytes[i] = static_cast<char>(bytes[i] ^ mask);
      const auto matrix = Parse(bytes);
      if (matrix) SerializeImportance(*matrix);
    }
  }
}

TEST(ImportanceFileTest, NamesThePath) {
  const tests::TempDir dir;
  ExpectError(ReadImportance(dir.File("none")), ErrorCode::kNotFound, "none");
  ExpectError(ReadImportance(dir.Write("bad.gguf", "GGUF")),
              ErrorCode::kCorrupt, "bad.gguf");
  EXPECT_TRUE(ReadImportance(dir.Write("good.gguf", Usual())));
}

}  // namespace
}  // namespace inference
