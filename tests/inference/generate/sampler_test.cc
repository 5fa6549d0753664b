// SPDX-License-Identifier: Apache-2.0
#include "inference/generate/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <string>
#include <vector>

#include "tests/support/expect_error.h"
#include "tests/support/test_random.h"

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

// Divided where positive, multiplied where negative: by hand.
TEST(SamplerTest, PenaltyMakesWhatCameLessLikely) {
  SamplerOptions options;
  options.repeat_penalty = 2;
  Sampler sampler(options);
  // {2, -1, 1} become {1, -2, 1}: of two equals the lower id.
  EXPECT_EQ(
      sampler.Sample(std::vector<float>{2, -1, 1}, std::vector<TokenId>{0, 1}),
      0);
  // {1.9, 1} become {0.95, 1}.
  EXPECT_EQ(
      sampler.Sample(std::vector<float>{1.9f, 1}, std::vector<TokenId>{0}), 1);
  // {-1, -1.5} become {-2, -1.5}; divided it would be {-0.5, -1.5}.
  EXPECT_EQ(
      sampler.Sample(std::vector<float>{-1, -1.5f}, std::vector<TokenId>{0}),
      1);
  // Once, however often it came: 8 becomes 4, not 1.
  EXPECT_EQ(
      sampler.Sample(std::vector<float>{8, 3}, std::vector<TokenId>{0, 0, 0}),
      0);
  // What is ruled out stays so, and ids that are none are passed over.
  EXPECT_EQ(sampler.Sample(std::vector<float>{-kInfinity, 3},
                           std::vector<TokenId>{0, -1, 7}),
            1);
  // Also of numbers that it would make infinite.
  EXPECT_EQ(sampler.Sample(std::vector<float>{-3e38f, -kInfinity},
                           std::vector<TokenId>{0}),
            0);
}

TEST(SamplerTest, PenaltyLooksAtTheLastTokensAlone) {
  const std::vector<float> logits = {3, 1, 1, 2};
  const std::vector<TokenId> before = {0, 1, 2};
  SamplerOptions options;
  options.repeat_penalty = 2;
  options.repeat_last_n = 2;
  EXPECT_EQ(Sampler(options).Sample(logits, before), 0);
  options.repeat_last_n = 3;  // {1.5, 0.5, 0.5, 2}
  EXPECT_EQ(Sampler(options).Sample(logits, before), 3);
  options.repeat_last_n = 0;
  EXPECT_EQ(Sampler(options).Sample(logits, before), 0);
  EXPECT_EQ(Sampler(options).Sample(logits), 0);
}

// Logits 2 ln 3 and ln 3; the first penalised by 2 is ln 3: even odds. Four
// standard deviations of 4000 draws are 126.
TEST(SamplerTest, PenaltyComesBeforeTheDraw) {
  SamplerOptions options;
  options.temperature = 1;
  options.repeat_penalty = 2;
  Sampler sampler(options);
  const std::vector<float> logits = {2 * std::log(3.0f), std::log(3.0f)};
  const std::vector<TokenId> before = {0};
  int first = 0;
  for (int i = 0; i < 4000; ++i) first += sampler.Sample(logits, before) == 0;
  EXPECT_NEAR(first, 2000, 126);
}

// Probabilities 8 : 4 : 2 : 1, ratios to the first 1, 0.5, 0.25, 0.125.
TEST(SamplerTest, MinPKeepsWhatIsNearTheLikeliest) {
  const float ln2 = std::log(2.0f);
  const std::vector<float> logits = {0, ln2, 2 * ln2, 3 * ln2};
  SamplerOptions options;
  options.temperature = 1;
  options.min_p = 0.6f;
  EXPECT_EQ(Draw(options, logits, 300).size(), 1u);
  options.min_p = 0.4f;
  auto counts = Draw(options, logits, 300);
  EXPECT_EQ(counts.size(), 2u);
  EXPECT_EQ(counts.count(3) + counts.count(2), 2u);
  options.min_p = 0.2f;
  EXPECT_EQ(Draw(options, logits, 300).size(), 3u);
  options.min_p = 1;
  EXPECT_EQ(Draw(options, logits, 50).size(), 1u);
  // Temperature comes first: at 2 the ratios are their roots, 1, 0.71, 0.5,
  // 0.35, of which 0.4 keeps three.
  options.min_p = 0.4f;
  options.temperature = 2;
  EXPECT_EQ(Draw(options, logits, 500).size(), 3u);
}

// 0.4, 0.3, 0.2, 0.1. Half of all needs two tokens; of the two that top_k
// leaves, 0.57 and 0.43, the first is enough.
TEST(SamplerTest, TopPIsAShareOfWhatTopKLeaves) {
  std::vector<float> logits;
  for (const float p : {0.4f, 0.3f, 0.2f, 0.1f}) logits.push_back(std::log(p));
  SamplerOptions options;
  options.temperature = 1;
  options.top_p = 0.5f;
  EXPECT_EQ(Draw(options, logits, 300).size(), 2u);
  options.top_k = 2;
  EXPECT_EQ(Draw(options, logits, 300).size(), 1u);
}

// The chain as its header says it, with everything sorted.
TokenId SampleBySorting(const SamplerOptions& options,
                        const std::vector<float>& logits, double random) {
  std::vector<size_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), size_t{0});
  std::stable_sort(ids.begin(), ids.end(),
                   [&](size_t a, size_t b) { return logits[a] > logits[b]; });
  if (options.top_k > 0 && options.top_k < ids.size())
    ids.resize(options.top_k);
  std::vector<double> weights;
  double total = 0;
  for (const size_t id : ids) {
    weights.push_back(std::exp((static_cast<double>(logits[id]) -
                                static_cast<double>(logits[ids[0]])) /
                               static_cast<double>(options.temperature)));
    total += weights.back();
  }
  double sum = 0;
  size_t count = 0;
  while (count < ids.size()) {
    if (count > 0 && options.top_p < 1 &&
        sum >= static_cast<double>(options.top_p) * total) {
      break;
    }
    if (weights[count] < static_cast<double>(options.min_p)) break;
    sum += weights[count++];
  }
  double remaining = random * sum;
  for (size_t i = 0; i + 1 < count; ++i) {
    remaining -= weights[i];
    if (remaining < 0) return static_cast<TokenId>(ids[i]);
  }
  return static_cast<TokenId>(ids[count - 1]);
}

TEST(SamplerTest, SortingNoMoreThanNeededChangesNothing) {
  tests::TestRandom random(5);
  for (int round = 0; round < 60; ++round) {
    // Few distinct values in some rounds: equals must keep their order.
    auto logits = random.Floats(700, 6);
    if (round % 3 == 0) {
      for (float& logit : logits) logit = std::round(logit);
    }
    SamplerOptions options;
    options.temperature = 0.3f + static_cast<float>(round % 7);
    options.top_k = round % 2 == 0 ? 0 : 1u + random.NextU32() % 699;
    options.top_p = round % 5 == 0 ? 1 : 0.9f + 0.02f * random.NextFloat();
    options.min_p = round % 4 == 0 ? 0.05f : 0;
    options.seed = static_cast<uint64_t>(round);
    Sampler sampler(options);
    Rng rng(options.seed);
    for (int draw = 0; draw < 20; ++draw) {
      ASSERT_EQ(sampler.Sample(logits),
                SampleBySorting(options, logits, rng.NextDouble()))
          << "round " << round << ", draw " << draw;
    }
  }
}

TEST(SamplerOptionsTest, ValuesOutOfRangeAreRefusedByName) {
  EXPECT_TRUE(CheckSamplerOptions({}));
  const auto refused = [](SamplerOptions options, const std::string& flag) {
    tests::ExpectError(CheckSamplerOptions(options),
                       verify::ErrorCode::kInvalidArgument, flag, "E-SAMPLING");
  };
  for (const float value : {-1.0f, 100.5f, kNan, kInfinity, -kInfinity}) {
    refused({.temperature = value}, "--temp");
    refused({.top_p = value}, "--top-p");
    refused({.min_p = value}, "--min-p");
    refused({.repeat_penalty = value}, "--repeat-penalty");
  }
  refused({.top_p = 0}, "--top-p");
  refused({.top_p = 1.01f}, "--top-p");
  refused({.min_p = 1.01f}, "--min-p");
  refused({.repeat_penalty = 0}, "--repeat-penalty");
  refused({.repeat_last_n = kMaxRepeatWindow + 1}, "--repeat-last-n");
  EXPECT_TRUE(CheckSamplerOptions({.temperature = 100,
                                   .top_k = UINT32_MAX,
                                   .top_p = 1e-6f,
                                   .min_p = 1,
                                   .repeat_penalty = 0.01f,
                                   .repeat_last_n = kMaxRepeatWindow}));
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
