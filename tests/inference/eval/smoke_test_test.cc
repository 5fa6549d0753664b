// SPDX-License-Identifier: Apache-2.0
// Trained models pass; models broken in ways that hashes cannot see fail, and
// the report names the place.
#include "inference/eval/smoke_test.h"

#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <numeric>
#include <string>

#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace inference {
namespace {

using tests::TinyModelConfig;
using tests::TinyModel;
using verify::DType;
using verify::TensorRole;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

SmokeReport Judge(const std::string& path) {
  const auto model = Model::Load(path, {.num_threads = 2});
  EXPECT_TRUE(model) << model.error().ToString();
  const verify::CancelToken cancel;
  auto report = RunSmokeTest(**model, cancel);
  EXPECT_TRUE(report) << report.error().ToString();
  return std::move(*report);
}

SmokeReport Judge(const TinyModel& tiny) {
  const tests::TempDir dir;
  tiny.Write(dir.path());
  return Judge(dir.path());
}

const SmokeCheck& Find(const SmokeReport& report, const std::string& id) {
  for (const SmokeCheck& check : report.checks) {
    if (check.id == id) return check;
  }
  ADD_FAILURE() << "no check " << id;
  return report.checks.front();
}

std::string Details(const SmokeReport& report) {
  std::string text;
  for (const SmokeCheck& check : report.checks) {
    text += check.id + (check.ok ? " ok: " : " FAILED: ") + check.detail + "\n";
  }
  return text;
}

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class TrainedModels : public testing::TestWithParam<const char*> {};

TEST_P(TrainedModels, Pass) {
  const SmokeReport report =
      Judge(std::string(LODESTONE_SOURCE_DIR) + "/" + GetParam());
  EXPECT_TRUE(report.ok()) << Details(report);
  EXPECT_EQ(report.checks.size(), 4u);
  EXPECT_FALSE(report.first_bad_layer.has_value());
  EXPECT_FALSE(report.text.empty());
  EXPECT_GT(report.tokens_per_s, 0);
}

INSTANTIATE_TEST_SUITE_P(Smoke, TrainedModels,
                         testing::Values("magnets/demo",
                                         "tests/golden/stories260k"));

TEST(SmokeTest, CountsExperts) {
  const SmokeReport report = Judge(TinyModel(TinyModelConfig(), DType::kBF16));
  EXPECT_TRUE(Find(report, "smoke.finite").ok) << Details(report);
  EXPECT_TRUE(Find(report, "smoke.logits").ok) << Details(report);
  EXPECT_TRUE(Find(report, "smoke.experts").ok) << Details(report);
  ASSERT_EQ(report.expert_counts.size(), 2u);
  // Every token goes to two experts of every layer.
  const auto total = [&](size_t layer) {
    return std::accumulate(report.expert_counts[layer].begin(),
                           report.expert_counts[layer].end(), uint64_t{0});
  };
  EXPECT_GT(total(0), 0u);
  EXPECT_EQ(total(0) % 2, 0u);
  EXPECT_EQ(total(0), total(1));
}

TEST(SmokeTest, NanInOneTensorIsFoundInItsLayer) {
  TinyModel tiny(TinyModelConfig(), DType::kBF16);
  tiny.Find(TensorRole::kAttentionOut, 1).values[77] = kNan;
  const SmokeReport report = Judge(tiny);
  EXPECT_FALSE(report.ok());
  EXPECT_EQ(report.first_bad_layer, 1);
  EXPECT_FALSE(Find(report, "smoke.finite").ok);
  EXPECT_TRUE(Contains(Find(report, "smoke.finite").detail, "layer 1"));
  EXPECT_TRUE(Contains(Find(report, "smoke.finite").detail, "NaN"));
  EXPECT_FALSE(Find(report, "smoke.text").ok);
}

// Every tensor that all tokens pass through; query and key among them, whose
// NaN reaches the output through the softmax alone.
TEST(SmokeTest, NanInAnyTensorOfALayerIsFoundThere) {
  for (const TensorRole role :
       {TensorRole::kAttentionNorm, TensorRole::kAttentionQ,
        TensorRole::kAttentionK, TensorRole::kAttentionV, TensorRole::kFfnNorm,
        TensorRole::kRouter}) {
    TinyModel tiny(TinyModelConfig(), DType::kF32);
    tiny.Find(role, 0).values[5] = kNan;
    const SmokeReport report = Judge(tiny);
    EXPECT_FALSE(report.ok());
    EXPECT_EQ(report.first_bad_layer, 0) << static_cast<int>(role);
  }
}

TEST(SmokeTest, NanInEmbeddingNormAndOutputIsFound) {
  TinyModel embedding(TinyModelConfig(), DType::kF32);
  embedding.Find(TensorRole::kTokenEmbedding, -1).values[64] = kNan;  // BOS
  EXPECT_EQ(Judge(embedding).first_bad_layer, -1);
  TinyModel norm(TinyModelConfig(), DType::kF32);
  norm.Find(TensorRole::kOutputNorm, -1).values[3] = kNan;
  EXPECT_EQ(Judge(norm).first_bad_layer, 2);
  TinyModel output(TinyModelConfig(), DType::kF32);
  output.Find(TensorRole::kOutput, -1).values[7 * 64] = kNan;
  const SmokeReport report = Judge(output);
  EXPECT_FALSE(report.ok());
  EXPECT_TRUE(Find(report, "smoke.finite").ok);
  EXPECT_FALSE(Find(report, "smoke.logits").ok);
  EXPECT_TRUE(Contains(Find(report, "smoke.logits").detail, "token 7"));
}

TEST(SmokeTest, WildlyScaledWeightsExplodeInTheirLayer) {
  TinyModel tiny(TinyModelConfig(), DType::kF32);
  for (const TensorRole role :
       {TensorRole::kFfnGate, TensorRole::kFfnUp, TensorRole::kFfnDown}) {
    for (int64_t e = 0; e < 4; ++e) {
      for (float& value : tiny.Find(role, 1, e).values) value *= 1000;
    }
  }
  const SmokeReport report = Judge(tiny);
  EXPECT_FALSE(report.ok());
  EXPECT_EQ(report.first_bad_layer, 1);
  EXPECT_TRUE(Contains(Find(report, "smoke.finite").detail, "layer 1"))
      << Details(report);
}

TEST(SmokeTest, ClearedOutputMatrixIsFound) {
  TinyModel tiny(TinyModelConfig(), DType::kBF16);
  auto& values = tiny.Find(TensorRole::kOutput, -1).values;
  std::fill(values.begin(), values.end(), 0.0f);
  const SmokeReport report = Judge(tiny);
  EXPECT_FALSE(report.ok());
  EXPECT_FALSE(report.first_bad_layer.has_value());
  EXPECT_FALSE(Find(report, "smoke.logits").ok);
  EXPECT_TRUE(Contains(Find(report, "smoke.logits").detail,
                       "the output matrix gives every token the same logit"));
}

// Router rows of zeros and of a large negative bias by a constant channel:
// expert 3 of layer 0 is never chosen.
TinyModel WithUnreachableExpert() {
  TinyModel tiny(TinyModelConfig(), DType::kF32);
  const size_t dim = tiny.config().dim;
  auto& embedding = tiny.Find(TensorRole::kTokenEmbedding, -1).values;
  for (size_t i = 0; i < embedding.size(); i += dim) embedding[i] = 30.0f;
  auto& router = tiny.Find(TensorRole::kRouter, 0).values;
  router[3 * dim] = -30.0f;
  for (size_t e = 0; e < 3; ++e) router[e * dim] = 0.0f;
  return tiny;
}

TEST(SmokeTest, ExpertThatIsNotChosenIsRunByItself) {
  const SmokeReport report = Judge(WithUnreachableExpert());
  EXPECT_EQ(report.expert_counts[0][3], 0u);
  const SmokeCheck& check = Find(report, "smoke.experts");
  EXPECT_TRUE(check.ok) << check.detail;
  EXPECT_TRUE(Contains(check.detail, "run by themselves")) << check.detail;
}

TEST(SmokeTest, BrokenExpertThatIsNotChosenIsFound) {
  TinyModel with_nan = WithUnreachableExpert();
  with_nan.Find(TensorRole::kFfnUp, 0, 3).values[11] = kNan;
  SmokeReport report = Judge(with_nan);
  EXPECT_FALSE(report.ok());
  EXPECT_EQ(report.first_bad_layer, 0);
  EXPECT_TRUE(Find(report, "smoke.finite").ok);
  EXPECT_TRUE(
      Contains(Find(report, "smoke.experts").detail, "layer 0 expert 3"))
      << Details(report);

  TinyModel cleared = WithUnreachableExpert();
  auto& values = cleared.Find(TensorRole::kFfnDown, 0, 3).values;
  std::fill(values.begin(), values.end(), 0.0f);
  report = Judge(cleared);
  EXPECT_FALSE(Find(report, "smoke.experts").ok);
  EXPECT_TRUE(
      Contains(Find(report, "smoke.experts").detail, "nothing but zeros"));
}

// The output repeats one letter whatever it is asked.
TEST(SmokeTest, OneTokenOverAndOverIsNoText) {
  TinyModel tiny(TinyModelConfig(), DType::kF32);
  const size_t dim = tiny.config().dim;
  auto& embedding = tiny.Find(TensorRole::kTokenEmbedding, -1).values;
  for (size_t i = 0; i < embedding.size(); i += dim) embedding[i] = 100.0f;
  auto& output = tiny.Find(TensorRole::kOutput, -1).values;
  std::fill(output.begin(), output.end(), 0.0f);
  output[270 * dim] = 1.0f;
  SmokeReport report = Judge(tiny);
  EXPECT_TRUE(Find(report, "smoke.finite").ok) << Details(report);
  EXPECT_TRUE(Find(report, "smoke.logits").ok) << Details(report);
  EXPECT_FALSE(Find(report, "smoke.text").ok);
  EXPECT_TRUE(Contains(Find(report, "smoke.text").detail, "token 270"))
      << Details(report);
  // The same with the end of the sequence: no text at all.
  output[270 * dim] = 0.0f;
  output[2 * dim] = 1.0f;
  report = Judge(tiny);
  EXPECT_FALSE(Find(report, "smoke.text").ok);
  EXPECT_TRUE(Contains(Find(report, "smoke.text").detail, "empty"));
}

TEST(SmokeTest, StopsOnRequest) {
  const tests::TempDir dir;
  TinyModel(TinyModelConfig(), DType::kBF16).Write(dir.path());
  const auto model = Model::Load(dir.path(), {});
  ASSERT_TRUE(model);
  verify::CancelToken cancel;
  cancel.Cancel();
  const auto report = RunSmokeTest(**model, cancel);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, verify::ErrorCode::kCancelled);
}

}  // namespace
}  // namespace inference
