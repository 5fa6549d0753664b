// SPDX-License-Identifier: Apache-2.0
#include "inference/generate/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <vector>

namespace inference {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// How often each token comes in `draws`.
std::map<TokenId, int> Draw(const SamplerOptions& options,
                            const std::vector<float>& logits, int draws) {
  Sampler sampler(options);
  std::map<TokenId, int> counts;
  for (int i = 0; i < draws; ++i) ++counts[sampler.Sample(logits)];
  return counts;
}

TEST(SamplerTest, GreedyTakesTheLowestIdAmongEquals) {
  Sampler sampler(SamplerOptions{});
  EXPECT_EQ(sampler.Sample(std::vector<float>{1, 3, 2, 3}), 1);
  EXPECT_EQ(sampler.Sample(std::vector<float>{-5, -5}), 0);
  EXPECT_EQ(sampler.Sample(std::vector<float>{-kInfinity, -9}), 1);
}

TEST(SamplerTest, NumbersThatAreNoneAreNeverChosen) {
  const std::vector<float> logits = {kNan, 1, kInfinity, -kInfinity, 0.5f};
  Sampler greedy(SamplerOptions{});
  EXPECT_EQ(greedy.Sample(logits), 1);
  SamplerOptions options;
  options.temperature = 5;
  for (const auto& [id, count] : Draw(options, logits, 200)) {
    EXPECT_TRUE(id == 1 || id == 4) << id;
  }
}

// e^0 : e^ln2 : e^ln5 = 1 : 2 : 5. Of 8000 draws 1000, 2000, 5000; four
// standard deviations are at most 179.
TEST(SamplerTest, FrequenciesFollowSoftmax) {
  SamplerOptions options;
  options.temperature = 1;
  options.seed = 7;
  auto counts = Draw(options, {0, std::log(2.0f), std::log(5.0f)}, 8000);
  EXPECT_NEAR(counts[0], 1000, 179);
  EXPECT_NEAR(counts[1], 2000, 179);
  EXPECT_NEAR(counts[2], 5000, 179);
}

// Temperature 0.5 squares the ratios: 1 : 4 : 25.
TEST(SamplerTest, TemperatureSharpens) {
  SamplerOptions options;
  options.temperature = 0.5f;
  auto counts = Draw(options, {0, std::log(2.0f), std::log(5.0f)}, 6000);
  EXPECT_NEAR(counts[0], 200, 60);
  EXPECT_NEAR(counts[1], 800, 110);
  EXPECT_NEAR(counts[2], 5000, 120);
}

TEST(SamplerTest, TopKKeepsTheLargestAndLowestIds) {
  SamplerOptions options;
  options.temperature = 10;
  options.top_k = 2;
  const auto counts = Draw(options, {1, 3, 2, 2}, 500);
  EXPECT_EQ(counts.size(), 2u);
  EXPECT_EQ(counts.count(1), 1u);
  EXPECT_EQ(counts.count(2), 1u);
  options.top_k = 1;
  EXPECT_EQ(Draw(options, {1, 3, 2, 2}, 50).size(), 1u);
  options.top_k = 100;
  EXPECT_EQ(Draw(options, {1, 3, 2, 2}, 500).size(), 4u);
}

// Probabilities 0.5, 0.25, 0.125, 0.125.
TEST(SamplerTest, TopPKeepsTheFewestThatReachIt) {
  const float ln2 = std::log(2.0f);
  const std::vector<float> logits = {0, ln2, 2 * ln2, 0};
  SamplerOptions options;
  options.temperature = 1;
  options.top_p = 0.4f;
  EXPECT_EQ(Draw(options, logits, 300).size(), 1u);
  options.top_p = 0.6f;
  EXPECT_EQ(Draw(options, logits, 300).size(), 2u);
  options.top_p = 0.8f;
  const auto three = Draw(options, logits, 300);
  EXPECT_EQ(three.size(), 3u);
  EXPECT_EQ(three.count(3), 0u);  // the higher of two equals falls out
  options.top_p = 1;
  EXPECT_EQ(Draw(options, logits, 300).size(), 4u);
  options.top_p = 1e-9f;
  EXPECT_EQ(Draw(options, logits, 50).size(), 1u);
}

TEST(SamplerTest, SameSeedSameTokens) {
  SamplerOptions options;
  options.temperature = 1;
  std::vector<float> logits(100);
  for (size_t i = 0; i < logits.size(); ++i) {
    logits[i] = static_cast<float>(i % 7);
  }
  std::vector<std::vector<TokenId>> runs;
  for (const uint64_t seed : {1u, 1u, 2u}) {
    options.seed = seed;
    Sampler sampler(options);
    auto& ids = runs.emplace_back();
    for (int i = 0; i < 50; ++i) ids.push_back(sampler.Sample(logits));
  }
  EXPECT_EQ(runs[0], runs[1]);
  EXPECT_NE(runs[0], runs[2]);
}

// By hand: softmax of {0, ln 3} is {1/4, 3/4}.
TEST(LogProbabilityTest, IsTheLogOfSoftmax) {
  const std::vector<float> logits = {0, std::log(3.0f)};
  EXPECT_NEAR(static_cast<double>(LogProbability(logits, 0)), std::log(0.25),
              1e-6);
  EXPECT_NEAR(static_cast<double>(LogProbability(logits, 1)), std::log(0.75),
              1e-6);
  const std::vector<float> large = {1e30f, 1e30f, -1e30f};
  EXPECT_NEAR(static_cast<double>(LogProbability(large, 1)), std::log(0.5),
              1e-6);
}

}  // namespace
}  // namespace inference
