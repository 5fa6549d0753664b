// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/calibration.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "inference/convert/calibration_text.h"
#include "inference/convert/importance_file.h"
#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"
#include "verify/base/text.h"

namespace inference {
namespace {

using tests::ExpectError;
using verify::DType;
using verify::ErrorCode;
using verify::ModelConfig;
using verify::StrCat;
using verify::TensorRole;

constexpr std::string_view kText =
    "the quick brown fox jumps over the lazy dog; pack my box with five dozen "
    "liquor jugs, and then some more words so that all of it is long enough "
    "for a few hundred tokens of a vocabulary that has letters alone.";

class CalibrationTest : public testing::Test {
 protected:
  CalibrationTest() { Write(tests::TinyModelConfig()); }

  void Write(const ModelConfig& config) {
    model_ = std::make_unique<tests::TinyModel>(config, DType::kBF16);
    model_->Write(dir_.path());
  }

  std::unique_ptr<Model> Load(size_t num_threads) const {
    auto model = Model::Load(dir_.path(), {.num_threads = num_threads,
                                           .activations = Activations::kExact});
    EXPECT_TRUE(model) << model.error().ToString();
    return *std::move(model);
  }

  static ImportanceMatrix Run(const Model& model,
                              std::string_view text = kText) {
    auto matrix =
        Calibrate(model, {text, "a text"}, verify::CancelToken(), nullptr);
    EXPECT_TRUE(matrix) << matrix.error().ToString();
    return *std::move(matrix);
  }

  const tests::TempDir dir_;
  std::unique_ptr<tests::TinyModel> model_;
};

// Hidden states of every layer.
class HiddenObserver final : public ForwardObserver {
 public:
  void OnLayer(int64_t layer, std::span<const float> hidden, size_t) override {
    states[layer].assign(hidden.begin(), hidden.end());
  }
  void OnExperts(int64_t layer, std::span<const uint32_t>,
                 std::span<const float> weights, size_t num_tokens,
                 size_t k) override {
    // Of each token what the second expert weighs to the first, squared.
    for (size_t t = 0; t < num_tokens; ++t) {
      const double ratio = static_cast<double>(weights[t * k + 1]) /
                           static_cast<double>(weights[t * k]);
      second_weights[layer] += ratio * ratio;
    }
  }
  std::map<int64_t, std::vector<float>> states;
  std::map<int64_t, double> second_weights;
};

// RMS(x; gain), squared and added up over the tokens.
std::vector<double> NormSquares(const std::vector<float>& x,
                                const std::vector<float>& gain, double eps) {
  const size_t dim = gain.size();
  std::vector<double> sums(dim);
  for (size_t t = 0; t * dim < x.size(); ++t) {
    double mean = 0;
    for (size_t c = 0; c < dim; ++c) {
      const auto value = static_cast<double>(x[t * dim + c]);
      mean += value * value / static_cast<double>(dim);
    }
    for (size_t c = 0; c < dim; ++c) {
      const double normed = static_cast<double>(x[t * dim + c]) /
                            std::sqrt(mean + eps) *
                            static_cast<double>(gain[c]);
      sums[c] += normed * normed;
    }
  }
  return sums;
}

void ExpectNear(const ImportanceEntry& entry,
                const std::vector<double>& expected) {
  ASSERT_EQ(entry.sums.size(), expected.size());
  for (size_t c = 0; c < expected.size(); ++c) {
    EXPECT_NEAR(static_cast<double>(entry.sums[c]), expected[c],
                1e-4 * expected[c] + 1e-6);
  }
}

// From the residual stream by plain loops in double.
TEST_F(CalibrationTest, AddsUpSquaresOfWhatMatricesAreMultipliedWith) {
  const auto model = Load(2);
  const ImportanceMatrix matrix = Run(*model);
  const std::vector<TokenId> tokens =
      model->tokenizer().EncodePrompt(std::string(kText));
  ASSERT_LT(tokens.size(), 512u);  // one chunk
  auto session = Session::Create(*model, 512);
  ASSERT_TRUE(session);
  HiddenObserver observer;
  ASSERT_TRUE(session->Append(tokens, &observer));

  EXPECT_EQ(matrix.num_chunks, 1u);
  EXPECT_EQ(matrix.chunk_tokens, 512u);
  EXPECT_EQ(matrix.dataset, "a text");
  EXPECT_EQ(matrix.entries.size(), 15u);  // 7 for each layer, output
  const double eps = model_->config().norm_eps;
  const auto count = static_cast<float>(tokens.size());
  for (const int64_t layer : {0, 1}) {
    const auto expected =
        NormSquares(observer.states[layer - 1],
                    model_->Values(TensorRole::kAttentionNorm, layer), eps);
    for (const char* name : {"attn_q", "attn_k", "attn_v"}) {
      const ImportanceEntry& entry =
          matrix.entries.at(StrCat("blk.", layer, ".", name, ".weight"));
      ExpectNear(entry, expected);
      EXPECT_EQ(entry.counts, (std::vector<float>{count}));
    }
    const ImportanceEntry& out =
        matrix.entries.at(StrCat("blk.", layer, ".attn_output.weight"));
    EXPECT_EQ(out.cols, 64u);
    EXPECT_EQ(out.counts, (std::vector<float>{count}));
    // All four experts see every token: two that it is routed to and two more.
    // The best weighs 1, so of each token at least that.
    const ImportanceEntry& gate =
        matrix.entries.at(StrCat("blk.", layer, ".ffn_gate_exps.weight"));
    EXPECT_EQ(gate.counts.size(), 4u);
    double all = 0;
    for (const float expert : gate.counts) all += static_cast<double>(expert);
    const double routed =
        static_cast<double>(count) + observer.second_weights[layer];
    EXPECT_GT(all, routed);
    EXPECT_LT(all, routed + 2 * observer.second_weights[layer]);
    const ImportanceEntry& up =
        matrix.entries.at(StrCat("blk.", layer, ".ffn_up_exps.weight"));
    EXPECT_EQ(up.sums, gate.sums);
    EXPECT_EQ(up.counts, gate.counts);
    const ImportanceEntry& down =
        matrix.entries.at(StrCat("blk.", layer, ".ffn_down_exps.weight"));
    EXPECT_EQ(down.cols, 96u);
    EXPECT_EQ(down.counts, gate.counts);
  }
  const ImportanceEntry& output = matrix.entries.at("output.weight");
  ExpectNear(output, NormSquares(observer.states[1],
                                 model_->Values(TensorRole::kOutputNorm), eps));
}

TEST_F(CalibrationTest, GivesTheSameBitsForAnyNumberOfThreads) {
  std::string long_text;
  for (int i = 0; i < 6; ++i) long_text += kText;  // several chunks
  const std::string one = SerializeImportance(Run(*Load(1), long_text));
  for (const size_t threads : {2u, 3u, 5u}) {
    EXPECT_EQ(SerializeImportance(Run(*Load(threads), long_text)), one);
  }
}

TEST_F(CalibrationTest, WatchingChangesNothingOfTheResult) {
  const auto model = Load(2);
  const std::vector<TokenId> tokens =
      model->tokenizer().EncodePrompt(std::string(kText));
  auto session = Session::Create(*model, 512);
  ASSERT_TRUE(session);
  ASSERT_TRUE(session->Append(tokens));
  const std::vector<float> before(session->logits().begin(),
                                  session->logits().end());
  Run(*model);
  ASSERT_TRUE(session->Rewind(0));
  ASSERT_TRUE(session->Append(tokens));
  const std::vector<float> after(session->logits().begin(),
                                 session->logits().end());
  EXPECT_EQ(before, after);
}

TEST_F(CalibrationTest, TakesDenseModels) {
  ModelConfig config = tests::TinyModelConfig();
  config.num_experts = config.num_experts_per_token = 0;
  Write(config);
  const auto model = Load(2);
  const ImportanceMatrix matrix = Run(*model);
  const ImportanceEntry& down = matrix.entries.at("blk.0.ffn_down.weight");
  EXPECT_EQ(down.cols, 96u);
  const size_t count =
      model->tokenizer().EncodePrompt(std::string(kText)).size();
  EXPECT_EQ(down.counts, (std::vector<float>{static_cast<float>(count)}));
  EXPECT_TRUE(CheckImportance(matrix, config));
}

TEST_F(CalibrationTest, NeedsATextAndAFiniteModel) {
  const auto model = Load(1);
  const verify::CancelToken cancel;
  ExpectError(Calibrate(*model, {"too short", "t"}, cancel, nullptr),
              ErrorCode::kInvalidArgument, "at least 64", "E-USAGE");
  verify::CancelToken cancelled;
  cancelled.Cancel();
  ExpectError(Calibrate(*model, {kText, "t"}, cancelled, nullptr),
              ErrorCode::kCancelled, "");
  model_->Find(TensorRole::kAttentionV, 0).values[5] = NAN;
  model_->Write(dir_.path());
  const auto broken = Load(1);
  ExpectError(Calibrate(*broken, {kText, "t"}, cancel, nullptr),
              ErrorCode::kCorrupt, "not finite", "E-LOGITS");
}

TEST(CalibrationTextTest, IsLongAndValidUtf8) {
  const std::string_view text = CalibrationTextOfProgram();
  EXPECT_GT(text.size(), 10'000u);
  EXPECT_TRUE(verify::IsValidUtf8(text));
}

}  // namespace
}  // namespace inference
