// SPDX-License-Identifier: Apache-2.0
// The bytes of every CPU target against those of the same search on plain
// floats, one block after the other.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <vector>

#include "hwy/highway.h"
#include "inference/quant/encode_blocks.h"
#include "inference/quant/encode_row-inl.h"
#include "inference/quant/quantize.h"
#include "tests/inference/quant/plain_lanes.h"
#include "tests/support/test_random.h"

namespace inference {
namespace {

using tests::TestRandom;
using verify::DType;
namespace lanes = inference::HWY_NAMESPACE;

constexpr DType kPacked[] = {
    DType::kQ8_0, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0,  DType::kQ5_1,
    DType::kQ4K,  DType::kQ5K,  DType::kQ6K,  DType::kIQ4NL, DType::kMXFP4};

// A row by the search on plain floats.
std::vector<std::byte> EncodePlainly(DType dtype,
                                     const std::vector<float>& values,
                                     const std::vector<float>& importance) {
  constexpr size_t kLanes = lanes::kGroupLanes;
  const bool weighted = !importance.empty();
  const size_t elements = dtype == DType::kQ6K ? 16 : 32;
  const auto unit = static_cast<size_t>(verify::BlockElements(dtype));
  const auto block_bytes = static_cast<size_t>(verify::BlockBytes(dtype));
  std::vector<std::byte> out(values.size() / unit * block_bytes);
  std::vector<float> weights(values.size(), 1.0f);
  for (size_t i = 0; weighted && i < values.size(); i += unit) {
    lanes::ScaleWeights(importance.data() + i, unit, weights.data() + i);
  }
  const auto encode = weighted
                          ? lanes::FindGroupEncoder<true, PlainFloat>(dtype)
                          : lanes::FindGroupEncoder<false, PlainFloat>(dtype);
  for (size_t begin = 0; begin < values.size(); begin += elements * kLanes) {
    const size_t count = std::min(elements * kLanes, values.size() - begin);
    alignas(64) float x[32 * kLanes] = {};
    alignas(64) float w[32 * kLanes];
    std::fill(std::begin(w), std::end(w), 1.0f);
    for (size_t i = 0; i < count; ++i) {
      const size_t to = i % elements * kLanes + i / elements;
      x[to] = values[begin + i];
      w[to] = weights[begin + i];
    }
    encode(lanes::BlockGroup{.x = x,
                             .w = w,
                             .num_blocks = count / unit,
                             .out = out.data() + begin / unit * block_bytes});
  }
  return out;
}

// Rows of all sorts: plain, with outliers, of one sign, constant, tiny, huge,
// mostly zero, on the very middles between levels.
std::vector<std::vector<float>> Rows() {
  TestRandom random(11);
  std::vector<std::vector<float>> rows;
  for (const size_t count : {256u, 512u, 768u, 2304u}) {
    rows.push_back(random.Floats(count));
    auto outliers = random.Floats(count, 0.01f);
    for (size_t i = 5; i < count; i += 67) outliers[i] *= 3000;
    rows.push_back(outliers);
  }
  auto row = random.Floats(512);
  for (float& v : row) v = v * v * v;
  rows.push_back(row);
  for (float& v : row) v = std::abs(v) + 0.25f;
  rows.push_back(row);
  for (float& v : row) v = -v - 3;
  rows.push_back(row);
  rows.emplace_back(512, 0.7f);
  rows.emplace_back(512, -1000.25f);
  rows.emplace_back(512, 0.0f);
  rows.emplace_back(512, -0.0f);
  for (const float scale :
       {1e-44f, 1e-38f, 1e-20f, 1e-7f, 1e-5f, 1e4f, 65504.0f}) {
    rows.push_back(random.Floats(512, scale));
  }
  row.assign(512, 0.0f);
  row[100] = 1;
  row[300] = -1e-3f;
  rows.push_back(row);
  for (size_t i = 0; i < row.size(); ++i) {
    row[i] = static_cast<float>(static_cast<int>(i % 33) - 16) * 0.5f;
  }
  rows.push_back(row);
  return rows;
}

TEST(EncodeTargetsTest, EveryTargetWritesTheBytesOfThePlainSearch) {
  const auto encoders = RunnableBlockEncoders();
  ASSERT_FALSE(encoders.empty());
  EXPECT_EQ(encoders.front(), &BestBlockEncoder());
  TestRandom random(5);
  const auto rows = Rows();
  for (size_t r = 0; r < rows.size(); ++r) {
    const auto& values = rows[r];
    auto importance = random.Floats(values.size());
    for (float& w : importance) w = w * w;
    importance[7] = 0;
    for (const DType dtype : kPacked) {
      for (const bool weighted : {false, true}) {
        // q8_0 without weights is not searched for: quantize_test.
        const bool searched = weighted || dtype != DType::kQ8_0;
        const std::vector<float> weights =
            weighted ? importance : std::vector<float>();
        std::vector<std::byte> expected(
            static_cast<size_t>(*verify::DTypeBytes(dtype, values.size())));
        if (searched) {
          expected = EncodePlainly(dtype, values, weights);
        } else {
          ASSERT_TRUE(encoders.back()->encode_row(dtype, values, {}, expected));
        }
        for (const BlockEncoder* encoder : encoders) {
          // An odd address.
          std::vector<std::byte> bytes(expected.size() + 1, std::byte{0xaa});
          const auto out = std::span(bytes).subspan(1);
          ASSERT_TRUE(encoder->encode_row(dtype, values, weights, out))
              << encoder->target << verify::DTypeName(dtype) << r;
          ASSERT_TRUE(std::equal(out.begin(), out.end(), expected.begin()))
              << encoder->target << " " << verify::DTypeName(dtype) << " row "
              << r << (weighted ? " weighted" : "");
        }
      }
    }
  }
}

}  // namespace
}  // namespace inference
