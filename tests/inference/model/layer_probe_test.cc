// SPDX-License-Identifier: Apache-2.0
// Parts by themselves give what they give inside a run.
#include "inference/model/layer_probe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "tests/support/temp_dir.h"
#include "tests/support/test_random.h"
#include "tests/support/tiny_model.h"

namespace inference {
namespace {

using tests::TinyModel;
using tests::TinyModelConfig;
using verify::DType;
using verify::ErrorCode;
using verify::TensorRole;

std::unique_ptr<Model> Load(const TinyModel& tiny) {
  const tests::TempDir dir;
  tiny.Write(dir.path());
  auto model = Model::Load(
      dir.path(), {.num_threads = 2, .activations = Activations::kExact});
  EXPECT_TRUE(model) << model.error().ToString();
  return std::move(*model);
}

// The residual stream before and after each layer of some tokens.
struct Seen final : ForwardObserver {
  void OnLayer(int64_t, std::span<const float> hidden, size_t) override {
    states.emplace_back(hidden.begin(), hidden.end());
  }
  void OnExperts(int64_t, std::span<const uint32_t> chosen,
                 std::span<const float> weight, size_t, size_t) override {
    experts.emplace_back(chosen.begin(), chosen.end());
    weights.emplace_back(weight.begin(), weight.end());
  }
  std::vector<std::vector<float>> states;
  std::vector<std::vector<uint32_t>> experts;
  std::vector<std::vector<float>> weights;
};

Seen RunTokens(const Model& model, size_t num_tokens) {
  std::vector<TokenId> ids(num_tokens);
  std::iota(ids.begin(), ids.end(), 40);
  auto session = Session::Create(model, num_tokens);
  EXPECT_TRUE(session);
  Seen seen;
  EXPECT_TRUE(session->Append(ids, &seen));
  return seen;
}

// A whole layer put together from its parts: the attention of a run keeps keys
// and values as halves, of 11 bits.
TEST(LayerProbeTest, PartsOfALayerMakeUpTheLayer) {
  verify::ModelConfig windowed = TinyModelConfig();
  windowed.sliding_window = 5;
  // Norms of q and k: of each head, and of all heads together.
  verify::ModelConfig qwen = TinyModelConfig();
  qwen.family = verify::Family::kQwen3Moe;
  qwen.names = verify::NameScheme::kGguf;
  qwen.num_experts_per_token = 3;
  verify::ModelConfig olmoe = qwen;
  olmoe.family = verify::Family::kOlmoe;
  olmoe.expert_weights = verify::ExpertWeights::kOfAll;
  for (const auto& config : {TinyModelConfig(), windowed, qwen, olmoe}) {
    const auto model = Load(TinyModel(config, DType::kF32));
    constexpr size_t kTokens = 20;
    const Seen seen = RunTokens(*model, kTokens);
    LayerProbe probe(*model);
    std::vector<uint64_t> positions(kTokens);
    std::iota(positions.begin(), positions.end(), 0);
    std::vector<float> state = seen.states[0];
    const auto attention = probe.Attend(0, state, positions, probe.rotation());
    ASSERT_TRUE(attention);
    for (size_t i = 0; i < state.size(); ++i) state[i] += attention->output[i];
    std::vector<float> expected = state;
    const size_t dim = config.dim;
    for (size_t t = 0; t < kTokens; ++t) {
      const auto token = std::span(state).subspan(t * dim, dim);
      const size_t k = config.num_experts_per_token;
      for (size_t i = 0; i < k; ++i) {
        const auto out = probe.Expert(0, seen.experts[0][t * k + i], token);
        ASSERT_TRUE(out);
        for (size_t d = 0; d < dim; ++d) {
          expected[t * dim + d] += seen.weights[0][t * k + i] * (*out)[d];
        }
      }
    }
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(expected[i], seen.states[1][i], 4e-3f) << i;
    }
  }
}

TEST(LayerProbeTest, GateGivesTheWeightsOfTheRun) {
  const auto model = Load(TinyModel(TinyModelConfig(), DType::kF32));
  LayerProbe probe(*model);
  // Layer 1 sees the state after layer 0 and its own attention.
  const Seen seen = RunTokens(*model, 1);
  std::vector<float> state = seen.states[1];
  const uint64_t position = 0;
  const auto attention =
      probe.Attend(1, state, {&position, 1}, probe.rotation());
  ASSERT_TRUE(attention);
  for (size_t i = 0; i < state.size(); ++i) state[i] += attention->output[i];
  const auto gate = probe.Gate(1, state);
  ASSERT_TRUE(gate);
  ASSERT_EQ(gate->size(), 4u);
  const auto best = std::max_element(gate->begin(), gate->end());
  EXPECT_EQ(best - gate->begin(), static_cast<ptrdiff_t>(seen.experts[1][0]));
  const float second = (*gate)[seen.experts[1][1]];
  EXPECT_NEAR(1 / (1 + std::exp(second - *best)), seen.weights[1][0], 1e-3f);
}

TEST(LayerProbeTest, OutputGivesTheLogitsOfTheRun) {
  const auto model = Load(TinyModel(TinyModelConfig(), DType::kBF16));
  auto session = Session::Create(*model, 3);
  ASSERT_TRUE(session);
  Seen seen;
  ASSERT_TRUE(session->Append(std::vector<TokenId>{5, 60, 7}, &seen));
  LayerProbe probe(*model);
  const size_t dim = model->config().dim;
  const auto last = std::span(seen.states[2]).subspan(2 * dim, dim);
  const auto normed = probe.Norm(TensorRole::kOutputNorm, 0, last);
  ASSERT_TRUE(normed);
  const auto logits = probe.Logits(*normed);
  ASSERT_TRUE(logits);
  EXPECT_TRUE(std::equal(logits->begin(), logits->end(),
                         session->logits().begin(), session->logits().end()));
}

TEST(LayerProbeTest, EmbeddingIsMultipliedRowByRow) {
  const TinyModel tiny(TinyModelConfig(), DType::kF32);
  const auto model = Load(tiny);
  const auto rows = tiny.Values(TensorRole::kTokenEmbedding);
  std::vector<float> state(64);
  state[3] = 2.0f;
  const auto out = LayerProbe(*model).Embedding(state);
  ASSERT_TRUE(out);
  ASSERT_EQ(out->size(), 288u);
  for (size_t row = 0; row < 288; ++row) {
    EXPECT_FLOAT_EQ((*out)[row], 2 * rows[row * 64 + 3]);
  }
}

// Scores depend on how far apart tokens stand and not on where; hand
// arithmetic for what a window hides.
TEST(LayerProbeTest, ScoresFollowPositions) {
  const auto model = Load(TinyModel(TinyModelConfig(), DType::kF32));
  LayerProbe probe(*model);
  tests::TestRandom random(9);
  const auto state = random.Floats(3 * 64);
  const auto scores = [&](std::vector<uint64_t> positions,
                          std::optional<uint64_t> window) {
    auto rotation = probe.rotation();
    rotation.window = window;
    auto attention = probe.Attend(0, state, positions, rotation);
    EXPECT_TRUE(attention);
    return attention->scores;
  };
  const auto near = scores({0, 1, 30000}, std::nullopt);
  const auto moved = scores({1000, 1001, 31000}, std::nullopt);
  const auto apart = scores({0, 2, 30000}, std::nullopt);
  ASSERT_EQ(near.size(), 4u * 3 * 3);
  for (size_t h = 0; h < 4; ++h) {
    const auto at = [&](const auto& s, size_t i, size_t j) {
      return s[(h * 3 + i) * 3 + j];
    };
    EXPECT_NEAR(at(near, 1, 0), at(moved, 1, 0), 1e-4f);
    EXPECT_NEAR(at(near, 2, 1), at(moved, 2, 1), 1e-4f);
    EXPECT_NE(at(near, 1, 0), at(apart, 1, 0));
    EXPECT_EQ(at(near, 0, 1), 0);  // the future
  }
  const auto windowed = scores({0, 1, 30000}, 30000);
  for (size_t h = 0; h < 4; ++h) {
    EXPECT_EQ(windowed[(h * 3 + 2) * 3], 0);  // 30000 away: just outside
    EXPECT_EQ(windowed[(h * 3 + 2) * 3 + 1], near[(h * 3 + 2) * 3 + 1]);
  }
}

TEST(LayerProbeTest, KnowsTypes) {
  auto config = TinyModelConfig();
  config.names = verify::NameScheme::kGguf;
  const auto model = Load(TinyModel(config, DType::kQ8_0));
  LayerProbe probe(*model);
  using Types = std::vector<DType>;
  EXPECT_EQ(probe.Types(TensorRole::kFfnUp, 1), Types{DType::kQ8_0});
  EXPECT_EQ(probe.Types(TensorRole::kRouter, 0), Types{DType::kF32});
  EXPECT_EQ(probe.Types(TensorRole::kFfnNorm, 0), Types{DType::kF32});
  EXPECT_EQ(probe.Types(TensorRole::kOutputNorm, 0), Types{DType::kF32});
  EXPECT_EQ(probe.Types(TensorRole::kTokenEmbedding, 0), Types{DType::kQ8_0});
}

TEST(LayerProbeTest, RefusesWhatIsNotThere) {
  auto config = TinyModelConfig();
  config.num_experts = 0;
  config.num_experts_per_token = 0;
  const auto model = Load(TinyModel(config, DType::kF32));
  LayerProbe probe(*model);
  const std::vector<float> state(64);
  const auto code = [](const auto& result) { return result.error().code; };
  EXPECT_EQ(code(probe.Gate(0, state)), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(probe.Expert(0, 1, state)), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(probe.Expert(2, 0, state)), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(probe.Expert(0, 0, std::vector<float>(65))),
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(probe.Logits({})), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code(probe.Attend(0, state, {}, probe.rotation())),
            ErrorCode::kInvalidArgument);
  verify::CancelToken cancel;
  cancel.Cancel();
  EXPECT_EQ(code(LayerProbe(*model, &cancel).Expert(0, 0, state)),
            ErrorCode::kCancelled);
}

}  // namespace
}  // namespace inference
