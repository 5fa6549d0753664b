// SPDX-License-Identifier: Apache-2.0
#include "inference/generate/engine.h"

#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace inference {
namespace {

using tests::TinyModelConfig;
using tests::TinyModel;
using verify::DType;
using verify::ErrorCode;
using verify::TensorRole;

constexpr TokenId kPrompt[] = {1, 40, 41, 42};

class EngineTest : public testing::Test {
 protected:
  EngineTest() : tiny_(TinyModelConfig(), DType::kF32) {}

  void Load() {
    tiny_.Write(dir_.path());
    auto model = Model::Load(dir_.path(), {.num_threads = 2});
    ASSERT_TRUE(model) << model.error().ToString();
    model_ = std::move(*model);
  }

  Session NewSession(uint64_t max_tokens) {
    auto session = Session::Create(*model_, max_tokens);
    EXPECT_TRUE(session);
    return std::move(*session);
  }

  // A model whose logits are `bias` for one token and 0 for all others,
  // whatever comes before: the last norm lets one number through, which is
  // positive for no token in particular, so all rows of the output are zero
  // but one that is made from the embedding's constant first column.
  void AlwaysSay(TokenId id) {
    const size_t dim = tiny_.config().dim;
    auto& embedding = tiny_.Find(TensorRole::kTokenEmbedding, -1).values;
    for (size_t i = 0; i < embedding.size(); i += dim) embedding[i] = 100.0f;
    auto& output = tiny_.Find(TensorRole::kOutput, -1).values;
    std::fill(output.begin(), output.end(), 0.0f);
    output[static_cast<size_t>(id) * dim] = 1.0f;
  }

  tests::TempDir dir_;
  TinyModel tiny_;
  std::unique_ptr<Model> model_;
  verify::CancelToken cancel_;
};

TEST_F(EngineTest, IsTheLoopOfAppendAndArgmax) {
  Load();
  Session by_hand = NewSession(20);
  ASSERT_TRUE(by_hand.Append(kPrompt));
  std::vector<TokenId> expected;
  Sampler greedy(SamplerOptions{});
  for (int i = 0; i < 10; ++i) {
    const TokenId id = greedy.Sample(by_hand.logits());
    if (id == model_->tokenizer().eos_id()) break;
    expected.push_back(id);
    ASSERT_TRUE(by_hand.Append({&id, 1}));
  }
  Session session = NewSession(20);
  GenerateOptions options;
  options.max_tokens = 10;
  std::vector<TokenId> streamed;
  std::string text;
  const auto outcome =
      Generate(*model_, session, kPrompt, options, cancel_,
               [&](TokenId id, const std::string& piece, float logprob) {
                 streamed.push_back(id);
                 text += piece;
                 EXPECT_LT(logprob, 0.0f);
               });
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->ids, expected);
  EXPECT_EQ(streamed, expected);
  EXPECT_EQ(outcome->text, model_->tokenizer().Decode(expected));
  EXPECT_EQ(outcome->text.substr(0, text.size()), text);
  EXPECT_EQ(outcome->prompt_tokens, 4u);
  EXPECT_EQ(session.position(), 4u + expected.size());
}

TEST_F(EngineTest, SameSeedSameTextAndAnotherSeedAnother) {
  Load();
  std::vector<std::vector<TokenId>> runs;
  for (const uint64_t seed : {3u, 3u, 4u}) {
    GenerateOptions options;
    options.max_tokens = 12;
    options.sampler.temperature = 1;
    options.sampler.seed = seed;
    Session session = NewSession(20);
    const auto outcome =
        Generate(*model_, session, kPrompt, options, cancel_, nullptr);
    ASSERT_TRUE(outcome);
    runs.push_back(outcome->ids);
  }
  EXPECT_EQ(runs[0], runs[1]);
  EXPECT_NE(runs[0], runs[2]);
}

TEST_F(EngineTest, StopsAtEndOfSequenceWithoutIt) {
  AlwaysSay(2);
  Load();
  Session session = NewSession(20);
  const auto outcome =
      Generate(*model_, session, kPrompt, {}, cancel_, nullptr);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->finish, FinishReason::kStop);
  EXPECT_TRUE(outcome->ids.empty());
  EXPECT_EQ(outcome->text, "");
  EXPECT_EQ(session.position(), 4u);
}

TEST_F(EngineTest, StopsAtItsLimitAndAtTheEndOfTheSession) {
  AlwaysSay(70);
  Load();
  GenerateOptions options;
  options.max_tokens = 3;
  Session session = NewSession(20);
  auto outcome = Generate(*model_, session, kPrompt, options, cancel_, nullptr);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->finish, FinishReason::kLength);
  EXPECT_EQ(outcome->ids, std::vector<TokenId>(3, 70));

  options.max_tokens = 100;
  Session small = NewSession(6);
  outcome = Generate(*model_, small, kPrompt, options, cancel_, nullptr);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->finish, FinishReason::kLength);
  // Two places after the prompt; the third token needs none.
  EXPECT_EQ(outcome->ids, std::vector<TokenId>(3, 70));
  EXPECT_EQ(small.position(), 6u);
}

TEST_F(EngineTest, StopsOnRequest) {
  AlwaysSay(70);
  Load();
  Session session = NewSession(50);
  auto outcome = Generate(*model_, session, kPrompt, {}, cancel_,
                          [&](TokenId, const std::string&, float) {
                            if (session.position() == 6) cancel_.Cancel();
                          });
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->finish, FinishReason::kCancelled);
  EXPECT_EQ(outcome->ids.size(), 3u);
  Session again = NewSession(50);
  outcome = Generate(*model_, again, kPrompt, {}, cancel_, nullptr);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->finish, FinishReason::kCancelled);
  EXPECT_TRUE(outcome->ids.empty());
  EXPECT_EQ(again.position(), 0u);
}

TEST_F(EngineTest, RefusesPromptsThatCannotRun) {
  Load();
  Session session = NewSession(3);
  EXPECT_EQ(Generate(*model_, session, {}, {}, cancel_, nullptr).error().code,
            ErrorCode::kInvalidArgument);
  const auto too_long =
      Generate(*model_, session, kPrompt, {}, cancel_, nullptr);
  ASSERT_FALSE(too_long);
  EXPECT_EQ(too_long.error().id, "E-CONTEXT");
}

TEST_F(EngineTest, LogitsThatAreNoNumbersAreAnError) {
  tiny_.Find(TensorRole::kOutput, -1).values[5 * 64] =
      std::numeric_limits<float>::quiet_NaN();
  Load();
  Session session = NewSession(20);
  GenerateOptions options;
  for (const float temperature : {0.0f, 1.0f}) {
    options.sampler.temperature = temperature;
    ASSERT_TRUE(session.Rewind(0));
    const auto outcome =
        Generate(*model_, session, kPrompt, options, cancel_, nullptr);
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, ErrorCode::kCorrupt);
    EXPECT_EQ(outcome.error().id, "E-LOGITS");
    EXPECT_NE(outcome.error().message.find("token 5"), std::string::npos);
  }
}

}  // namespace
}  // namespace inference
