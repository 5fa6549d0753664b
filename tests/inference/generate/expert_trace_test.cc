// SPDX-License-Identifier: Apache-2.0
#include "inference/generate/expert_trace.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace inference {
namespace {

// Shares 1/2, 1/4, 1/4 of four experts: (ln 2 / 2 + 2 ln 4 / 4) / ln 4 = 3/4.
TEST(NormalisedEntropyTest, IsThatOfTheShares) {
  EXPECT_NEAR(NormalisedEntropy(std::vector<uint64_t>{2, 1, 1, 0}), 0.75,
              1e-12);
  EXPECT_NEAR(NormalisedEntropy(std::vector<uint64_t>{5, 5, 5}), 1, 1e-12);
  EXPECT_EQ(NormalisedEntropy(std::vector<uint64_t>{0, 9, 0}), 0);
  EXPECT_EQ(NormalisedEntropy(std::vector<uint64_t>{9}), 1);
  EXPECT_EQ(NormalisedEntropy(std::vector<uint64_t>{0, 0}), 0);
}

// Three tokens of one layer in two calls, by hand.
TEST(ExpertTraceTest, CountsWhatItIsShown) {
  auto config = tests::TinyModelConfig();
  config.num_layers = 1;
  ExpertTrace trace(config);
  trace.OnExperts(0, std::vector<uint32_t>{3, 1, 3, 0},
                  std::vector<float>{0.75f, 0.25f, 0.5f, 0.5f}, 2, 2);
  trace.OnExperts(0, std::vector<uint32_t>{2, 1}, std::vector<float>{1, 0}, 1,
                  2);
  EXPECT_EQ(trace.tokens(), 3u);
  const ExpertUse& use = trace.layers()[0];
  EXPECT_EQ(use.counts, (std::vector<uint64_t>{1, 2, 1, 2}));
  EXPECT_EQ(use.first_counts, (std::vector<uint64_t>{0, 0, 1, 2}));
  EXPECT_EQ(use.gate_sum, (std::vector<double>{0.5, 0.25, 1, 1.25}));
  EXPECT_EQ(use.margin_sum, 0.5 + 0 + 1);
  // 3 follows 3; then {2, 1} and {3, 0} share nothing.
  EXPECT_EQ(use.pairs, 2u);
  EXPECT_EQ(use.repeat_first, 1u);
  EXPECT_EQ(use.repeat_any, 1u);
  EXPECT_EQ(trace.last_routes(), (std::vector<std::vector<uint32_t>>{{2, 1}}));
  trace.Reset();
  EXPECT_EQ(trace.tokens(), 0u);
  EXPECT_EQ(trace.layers()[0].counts, std::vector<uint64_t>(4, 0));
  EXPECT_EQ(trace.layers()[0].pairs, 0u);
}

TEST(ExpertTraceTest, SeesEveryTokenOfARun) {
  tests::TempDir dir;
  tests::TinyModel(tests::TinyModelConfig(), verify::DType::kBF16)
      .Write(dir.path());
  const auto model = Model::Load(dir.path(), {.num_threads = 2});
  ASSERT_TRUE(model);
  auto session = Session::Create(**model, 20);
  ASSERT_TRUE(session);
  ExpertTrace trace((*model)->config());
  ASSERT_TRUE(session->Append(std::vector<TokenId>{1, 40, 41, 42, 43}, &trace));
  ASSERT_TRUE(session->Append(std::vector<TokenId>{44}, &trace));
  EXPECT_EQ(trace.tokens(), 6u);
  ASSERT_EQ(trace.layers().size(), 2u);
  for (const ExpertUse& use : trace.layers()) {
    uint64_t all = 0;
    uint64_t first = 0;
    double gates = 0;
    for (size_t e = 0; e < 4; ++e) {
      all += use.counts[e];
      first += use.first_counts[e];
      gates += use.gate_sum[e];
    }
    EXPECT_EQ(all, 12u);
    EXPECT_EQ(first, 6u);
    EXPECT_NEAR(gates, 6.0, 1e-5);
    EXPECT_EQ(use.pairs, 5u);
  }
}

TEST(ExpertTraceTest, ADenseModelGivesItNothing) {
  auto config = tests::TinyModelConfig();
  config.num_experts = 0;
  EXPECT_TRUE(ExpertTrace(config).layers().empty());
}

}  // namespace
}  // namespace inference
