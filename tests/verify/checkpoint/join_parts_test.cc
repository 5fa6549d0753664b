// SPDX-License-Identifier: Apache-2.0
#include "verify/checkpoint/join_parts.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/expect_error.h"

namespace verify {
namespace {

using tests::ExpectError;

PartTable Part(const std::string& path, const std::vector<std::string>& names) {
  PartTable part;
  part.path = path;
  part.file_size = 100;
  for (const std::string& name : names) {
    TensorInfo tensor;
    tensor.name = name;
    tensor.shape = {1};
    tensor.size_bytes = 4;
    EXPECT_TRUE(part.tensors.Add(tensor, 100));
  }
  return part;
}

TEST(JoinPartsTest, FilesWithTensorsOfTheirOwnBecomeOneTable) {
  const auto joined =
      JoinParts({Part("a", {"x", "y"}), Part("b", {"z"}), Part("c", {})});
  ASSERT_TRUE(joined) << joined.error().ToString();
  EXPECT_EQ(joined->tensors.size(), 3u);
  EXPECT_EQ(joined->tensors.Find("y")->file_index, 0u);
  EXPECT_EQ(joined->tensors.Find("z")->file_index, 1u);
  EXPECT_TRUE(joined->copies.empty());
}

// A file of a tensor-parallel run of a model of the width 4, without data.
PartTable Slice(const std::string& path,
                const std::vector<TensorInfo>& tensors) {
  PartTable part;
  part.path = path;
  part.file_size = 1u << 20;
  uint64_t at = 0;
  for (TensorInfo tensor : tensors) {
    tensor.offset = at;
    tensor.size_bytes = *DTypeBytes(tensor.dtype, *NumElements(tensor.shape));
    at += tensor.size_bytes;
    EXPECT_TRUE(part.tensors.Add(tensor, part.file_size));
  }
  return part;
}

TensorInfo Tensor(const std::string& name, std::vector<uint64_t> shape,
                  DType dtype = DType::kBF16) {
  TensorInfo tensor;
  tensor.name = name;
  tensor.dtype = dtype;
  tensor.shape = std::move(shape);
  return tensor;
}

// The table of ggml-org/llama.cpp's convert.py: wq, wk, wv, w1, w3 and output
// below each other, wo, w2 and (Llama 2) tok_embeddings side by side.
TEST(JoinPartsTest, PutsSlicesTogether) {
  const std::vector<TensorInfo> tensors = {
      Tensor("tok_embeddings.weight", {10, 2}),
      Tensor("norm.weight", {4}),
      Tensor("output.weight", {5, 4}),
      Tensor("layers.0.attention.wq.weight", {2, 4}),
      Tensor("layers.0.attention.wk.weight", {1, 4}),
      Tensor("layers.0.attention.wv.weight", {1, 4}),
      Tensor("layers.0.attention.wo.weight", {4, 2}),
      Tensor("layers.0.feed_forward.w1.weight", {4, 4}),
      Tensor("layers.0.feed_forward.w2.weight", {4, 4}),
      Tensor("layers.0.feed_forward.w3.weight", {4, 4}),
      Tensor("layers.0.ffn_norm.weight", {4}),
      Tensor("rope.freqs", {1}),
  };
  const auto joined = JoinParts({Slice("a", tensors), Slice("b", tensors)});
  ASSERT_TRUE(joined) << joined.error().ToString();
  const struct {
    const char* name;
    std::vector<uint64_t> shape;
    size_t dim;
  } expected[] = {
      {"tok_embeddings.weight", {10, 4}, 1},
      {"output.weight", {10, 4}, 0},
      {"layers.0.attention.wq.weight", {4, 4}, 0},
      {"layers.0.attention.wk.weight", {2, 4}, 0},
      {"layers.0.attention.wv.weight", {2, 4}, 0},
      {"layers.0.attention.wo.weight", {4, 4}, 1},
      {"layers.0.feed_forward.w1.weight", {8, 4}, 0},
      {"layers.0.feed_forward.w2.weight", {4, 8}, 1},
      {"layers.0.feed_forward.w3.weight", {8, 4}, 0},
  };
  for (const auto& e : expected) {
    const TensorInfo* const tensor = joined->tensors.Find(e.name);
    ASSERT_NE(tensor, nullptr) << e.name;
    EXPECT_EQ(tensor->shape, e.shape) << e.name;
    EXPECT_EQ(tensor->sliced_dim, e.dim) << e.name;
    ASSERT_EQ(tensor->slices.size(), 2u) << e.name;
    EXPECT_EQ(tensor->slices[1].file_index, 1u);
    EXPECT_EQ(tensor->slices[1].offset, tensor->offset);
    EXPECT_EQ(2 * tensor->slices[1].size_bytes, tensor->size_bytes);
    EXPECT_EQ(PlacesIn(*tensor).size(), 2u);
  }
  ASSERT_EQ(joined->copies.size(), 3u);
  EXPECT_EQ(joined->copies[0].name, "norm.weight");
  EXPECT_EQ(joined->copies[0].places.size(), 2u);
  EXPECT_FALSE(joined->tensors.Find("norm.weight")->sliced());
  EXPECT_EQ(joined->tensors.size(), tensors.size());
}

// Llama 3 shares out the vocabulary.
TEST(JoinPartsTest, AnEmbeddingIsCutAlongEitherSide) {
  const std::vector<TensorInfo> tensors = {
      Tensor("tok_embeddings.weight", {5, 4}), Tensor("norm.weight", {4})};
  const auto joined = JoinParts({Slice("a", tensors), Slice("b", tensors)});
  ASSERT_TRUE(joined) << joined.error().ToString();
  const TensorInfo* const tensor =
      joined->tensors.Find("tok_embeddings.weight");
  EXPECT_EQ(tensor->sliced_dim, 0u);
  EXPECT_EQ(tensor->shape, (std::vector<uint64_t>{10, 4}));
}

TEST(JoinPartsTest, C6RefusesWhatAreNoSlices) {
  const TensorInfo norm = Tensor("norm.weight", {4});
  const auto join = [](const std::vector<TensorInfo>& a,
                       const std::vector<TensorInfo>& b) {
    return JoinParts({Slice("a", a), Slice("b", b)});
  };
  const auto both = [&](const TensorInfo& tensor) {
    return join({norm, tensor}, {norm, tensor});
  };
  // The width fits neither as it is nor in sum, or the wrong side of it does.
  for (const std::vector<uint64_t>& shape :
       std::vector<std::vector<uint64_t>>{{10, 3}, {4, 8}, {10, 1}}) {
    ExpectError(both(Tensor("tok_embeddings.weight", shape)),
                ErrorCode::kCorrupt, "no matrix of a model of the width 4",
                "E-PARTS");
  }
  ExpectError(both(Tensor("layers.0.attention.wo.weight", {2, 4})),
              ErrorCode::kCorrupt, "wo.weight", "E-PARTS");
  ExpectError(both(Tensor("layers.0.attention.wq.weight", {4, 2})),
              ErrorCode::kCorrupt, "wq.weight", "E-PARTS");
  ExpectError(join({norm, Tensor("output.weight", {5, 4})},
                   {norm, Tensor("output.weight", {6, 4})}),
              ErrorCode::kCorrupt, "no slices of one model", "E-PARTS");
  ExpectError(join({norm, Tensor("output.weight", {5, 4})},
                   {norm, Tensor("output.weight", {5, 4}, DType::kF16)}),
              ErrorCode::kCorrupt, "f16", "E-PARTS");
  ExpectError(join({norm}, {norm}), ErrorCode::kCorrupt, "none of them cut",
              "E-PARTS");
  ExpectError(both(Tensor("layers.0.wide.weight", {1u << 10, 1u << 8})),
              ErrorCode::kCorrupt, "none of them cut", "E-PARTS");
  TensorInfo strided = Tensor("output.weight", {2, 4});
  strided.strides = {1, 2};
  PartTable part = Slice("a", {norm});
  strided.size_bytes = 16;
  ASSERT_TRUE(part.tensors.Add(strided, part.file_size));
  ExpectError(JoinParts({part, part}), ErrorCode::kUnsupported, "strided",
              "E-PARTS");
}

// C6: what is not joined is said to be what it is.
TEST(JoinPartsTest, C6SaysWhatPartsAre) {
  ExpectError(JoinParts({Part("a", {"x", "y"}), Part("b", {"y", "x"})}),
              ErrorCode::kUnsupported, "slices of a tensor-parallel run",
              "E-PARTS");
  ExpectError(JoinParts({Part("a", {"x", "y"}), Part("b", {"y"})}),
              ErrorCode::kCorrupt, "\"y\" is in \"a\" and in \"b\"", "E-PARTS");
  ExpectError(JoinParts({Part("a", {"x"}), Part("b", {"y"}), Part("c", {"y"})}),
              ErrorCode::kCorrupt, "no parts of one model", "E-PARTS");
}

}  // namespace
}  // namespace verify
