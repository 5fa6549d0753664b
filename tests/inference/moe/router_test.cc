// SPDX-License-Identifier: Apache-2.0
#include "inference/moe/router.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace inference {
namespace {

using verify::ExpertWeights;

struct Routed {
  std::vector<uint32_t> experts;
  std::vector<float> weights;
};

Routed Route(const std::vector<float>& logits, size_t k,
             ExpertWeights kind = ExpertWeights::kOfChosen) {
  Routed out{std::vector<uint32_t>(k), std::vector<float>(k)};
  RouteTopK(logits, kind, out.experts, out.weights);
  return out;
}

// By hand: logits 3 and 1 win; e^0 / (e^0 + e^-2) = 0.8807971.
TEST(RouterTest, TakesTheLargestAndNormalisesOverThem) {
  const Routed r = Route({0.5f, 3, -1, 1, 0.9f, 0, 0, -5}, 2);
  EXPECT_EQ(r.experts, (std::vector<uint32_t>{1, 3}));
  EXPECT_NEAR(static_cast<double>(r.weights[0]), 0.8807971, 1e-6);
  EXPECT_NEAR(static_cast<double>(r.weights[1]), 0.1192029, 1e-6);
}

TEST(RouterTest, LowerNumberWinsAmongEquals) {
  EXPECT_EQ(Route({1, 2, 2, 2}, 2).experts, (std::vector<uint32_t>{1, 2}));
  EXPECT_EQ(Route({0, 0, 0, 0}, 3).experts, (std::vector<uint32_t>{0, 1, 2}));
  EXPECT_EQ(Route({1, 3, 1, 1}, 2).experts, (std::vector<uint32_t>{1, 0}));
  EXPECT_EQ(Route({0.0f, -0.0f}, 1).experts, (std::vector<uint32_t>{0}));
}

TEST(RouterTest, OneExpertHasWeightOne) {
  const Routed r = Route({-1000, 7, 3}, 1);
  EXPECT_EQ(r.experts, (std::vector<uint32_t>{1}));
  EXPECT_EQ(r.weights, (std::vector<float>{1.0f}));
  EXPECT_EQ(Route({5}, 1).weights, (std::vector<float>{1.0f}));
}

// By hand: all of {ln 4, ln 2, ln 1, ln 1}: 4/8, 2/8, 1/8, 1/8.
TEST(RouterTest, AllExpertsIsAPlainSoftmax) {
  const float ln2 = std::log(2.0f);
  const Routed r = Route({0, ln2, 2 * ln2, 0}, 4);
  EXPECT_EQ(r.experts, (std::vector<uint32_t>{2, 1, 0, 3}));
  EXPECT_NEAR(static_cast<double>(r.weights[0]), 0.5, 1e-6);
  EXPECT_NEAR(static_cast<double>(r.weights[1]), 0.25, 1e-6);
  EXPECT_NEAR(static_cast<double>(r.weights[2]), 0.125, 1e-6);
  EXPECT_NEAR(static_cast<double>(r.weights[3]), 0.125, 1e-6);
}

// By hand, of the same: the two largest are 4/8 and 2/8 of all.
TEST(RouterTest, WeightsMayBePartsOfAllExperts) {
  const float ln2 = std::log(2.0f);
  const Routed r = Route({0, ln2, 2 * ln2, 0}, 2, ExpertWeights::kOfAll);
  EXPECT_EQ(r.experts, (std::vector<uint32_t>{2, 1}));
  EXPECT_NEAR(static_cast<double>(r.weights[0]), 0.5, 1e-6);
  EXPECT_NEAR(static_cast<double>(r.weights[1]), 0.25, 1e-6);
  // Far from overflow, and a NaN is seen in all weights.
  const Routed large = Route({3e38f, -3e38f, 3e38f}, 1, ExpertWeights::kOfAll);
  EXPECT_EQ(large.weights, (std::vector<float>{0.5f}));
  EXPECT_TRUE(std::isnan(
      Route({1, 0, std::nanf("")}, 1, ExpertWeights::kOfAll).weights[0]));
}

TEST(RouterTest, LargeLogitsDoNotOverflow) {
  const Routed r = Route({3e38f, -3e38f, 3e38f}, 2);
  EXPECT_EQ(r.experts, (std::vector<uint32_t>{0, 2}));
  EXPECT_EQ(r.weights, (std::vector<float>{0.5f, 0.5f}));
}

// A broken gate must show in the output and must not index out of range.
TEST(RouterTest, NanMakesAllWeightsNan) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  const Routed r = Route({1, kNan, 2, 0}, 2);
  EXPECT_EQ(r.experts, (std::vector<uint32_t>{2, 0}));
  EXPECT_TRUE(std::isnan(r.weights[0]));
  EXPECT_TRUE(std::isnan(r.weights[1]));
  const Routed all = Route({kNan, kNan, kNan}, 3);
  EXPECT_EQ(all.experts, (std::vector<uint32_t>{0, 1, 2}));
}

}  // namespace
}  // namespace inference
