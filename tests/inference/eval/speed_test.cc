// SPDX-License-Identifier: Apache-2.0
#include "inference/eval/speed.h"

#include <gtest/gtest.h>

#include "inference/eval/machine_limits.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace inference {
namespace {

TEST(SpeedTest, MedianIsTheMiddle) {
  EXPECT_EQ(Median({3, 1, 2}), 2);
  EXPECT_EQ(Median({4, 1, 2, 3}), 2.5);
  EXPECT_EQ(Median({}), 0);
}

TEST(SpeedTest, MeasuresWhatIsAsked) {
  tests::TempDir dir;
  tests::TinyModel(tests::TinyModelConfig(), verify::DType::kBF16)
      .Write(dir.path());
  const auto model = Model::Load(dir.path(), {.num_threads = 2});
  ASSERT_TRUE(model) << model.error().ToString();
  const verify::CancelToken cancel;
  int repeats = 0;
  const auto report = MeasureSpeed(
      **model, {.prompt_tokens = 40, .generated_tokens = 5, .repeats = 2},
      cancel, [&](const SpeedReport&) { ++repeats; });
  ASSERT_TRUE(report) << report.error().ToString();
  EXPECT_EQ(repeats, 2);
  ASSERT_EQ(report->prompt_rates.size(), 2u);
  ASSERT_EQ(report->generate_rates.size(), 2u);
  EXPECT_GT(report->prompt_rates[0], 0);
  const auto prompt_alone = MeasureSpeed(
      **model, {.prompt_tokens = 3, .generated_tokens = 0, .repeats = 1},
      cancel, {});
  ASSERT_TRUE(prompt_alone);
  EXPECT_TRUE(prompt_alone->generate_rates.empty());
  EXPECT_FALSE(MeasureSpeed(
      **model, {.prompt_tokens = 0, .generated_tokens = 0, .repeats = 1},
      cancel, {}));
}

// From the shapes of the configuration.
TEST(SpeedTest, TokenCostCountsUsedExpertsAlone) {
  tests::TempDir dir;
  const auto config = tests::TinyModelConfig();
  tests::TinyModel(config, verify::DType::kF32).Write(dir.path());
  const auto model = Model::Load(dir.path(), {.num_threads = 1});
  ASSERT_TRUE(model);
  const uint64_t q = config.num_heads * config.head_dim * config.dim;
  const uint64_t kv = config.num_kv_heads * config.head_dim * config.dim;
  const uint64_t experts =
      config.num_experts_per_token * 3 * config.ff_dim * config.dim;
  const uint64_t router = config.num_experts * config.dim;
  const uint64_t layer = 2 * q + 2 * kv + router + experts;
  const uint64_t output = config.vocab_size * config.dim;
  const TokenCost cost = (*model)->token_cost();
  EXPECT_EQ(cost.flops, 2 * (config.num_layers * layer + output));
  EXPECT_EQ(cost.bytes, 4 * (config.num_layers * layer + output));
  EXPECT_EQ(cost.prompt_flops, 2 * ((config.num_layers - 1) * layer + 2 * kv));
}

TEST(SpeedTest, MeasuresGuessesSequencesAndLayers) {
  tests::TempDir dir;
  const auto config = tests::TinyModelConfig();
  tests::TinyModel(config, verify::DType::kBF16).Write(dir.path());
  const auto model = Model::Load(dir.path(), {.num_threads = 2});
  ASSERT_TRUE(model);
  const verify::CancelToken cancel;
  const auto lookup = MeasureLookup(**model, 20, 2, cancel);
  ASSERT_TRUE(lookup) << lookup.error().ToString();
  EXPECT_EQ(lookup->plain_rates.size(), 2u);
  EXPECT_EQ(lookup->lookup_rates.size(), 2u);
  EXPECT_LE(lookup->counts.accepted, lookup->counts.proposed);
  EXPECT_LE(lookup->counts.passes, 20u);
  const auto parallel = MeasureParallel(**model, 3, 5, 2, cancel);
  ASSERT_TRUE(parallel) << parallel.error().ToString();
  ASSERT_EQ(parallel->size(), 2u);
  EXPECT_GT((*parallel)[0], 0);
  const auto layers = MeasureLayers(**model, 5, cancel);
  ASSERT_TRUE(layers) << layers.error().ToString();
  ASSERT_EQ(layers->size(), config.num_layers + 1);
  for (const double seconds : *layers) EXPECT_GT(seconds, 0);
  EXPECT_FALSE(MeasureLookup(**model, 0, 1, cancel));
  EXPECT_FALSE(MeasureParallel(**model, 0, 1, 1, cancel));
  EXPECT_FALSE(MeasureLayers(**model, 0, cancel));
}

// The whole is the sum of its layers and the output matrix.
TEST(SpeedTest, LayersCostWhatAllCost) {
  tests::TempDir dir;
  const auto config = tests::TinyModelConfig();
  tests::TinyModel(config, verify::DType::kF32).Write(dir.path());
  const auto model = Model::Load(dir.path(), {.num_threads = 1});
  ASSERT_TRUE(model);
  EXPECT_EQ((*model)->layer_cost(config.num_layers).bytes,
            4 * config.vocab_size * config.dim);
  EXPECT_EQ((*model)->layer_cost(0).bytes, (*model)->layer_cost(1).bytes);
  EXPECT_EQ((*model)->token_cost().bytes,
            2 * (*model)->layer_cost(0).bytes + (*model)->layer_cost(2).bytes);
}

TEST(MachineLimitsTest, AreMeasured) {
  verify::ThreadPool pool(2);
  const auto bandwidth = MeasureReadBandwidth(pool);
  ASSERT_TRUE(bandwidth) << bandwidth.error().ToString();
  EXPECT_GT(*bandwidth, 1e8);
  EXPECT_GT(MeasureFloatPeak(pool), 1e8);
}

}  // namespace
}  // namespace inference
