// SPDX-License-Identifier: Apache-2.0
#include "inference/generate/engine.h"

#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "inference/generate/expert_trace.h"
#include "inference/generate/stop_matcher.h"
#include "inference/text/chat_template.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace inference {
namespace {

using tests::TinyModel;
using tests::TinyModelConfig;
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
                 text += piece;
                 if (id == kNoToken) return;
                 streamed.push_back(id);
                 EXPECT_LT(logprob, 0.0f);
               });
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->ids, expected);
  EXPECT_EQ(streamed, expected);
  EXPECT_EQ(outcome->text, model_->tokenizer().Decode(expected));
  EXPECT_EQ(outcome->text, text);
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

TEST_F(EngineTest, RefusesOptionsThatCannotBe) {
  Load();
  Session session = NewSession(20);
  GenerateOptions options;
  options.sampler.top_p = 0;
  auto outcome = Generate(*model_, session, kPrompt, options, cancel_, nullptr);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().id, "E-SAMPLING");
  options = {};
  options.stops = {""};
  outcome = Generate(*model_, session, kPrompt, options, cancel_, nullptr);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().id, "E-STOP");
  EXPECT_EQ(session.position(), 0u);
}

TEST_F(EngineTest, GoesOnAfterTheEndOfSequenceIfAsked) {
  AlwaysSay(2);
  Load();
  GenerateOptions options;
  options.max_tokens = 5;
  options.ignore_eos = true;
  Session session = NewSession(20);
  const auto outcome =
      Generate(*model_, session, kPrompt, options, cancel_, nullptr);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->ids, std::vector<TokenId>(5, 2));
  EXPECT_EQ(outcome->finish, FinishReason::kLength);
}

// A stop that the second token completes: what went before it in that token is
// shown, the token counts, and the session lacks it alone.
TEST_F(EngineTest, StopStringsEndTheText) {
  Load();
  GenerateOptions options;
  options.max_tokens = 12;
  options.lookup = LookupMode::kOff;
  Session whole = NewSession(20);
  const auto all = Generate(*model_, whole, kPrompt, options, cancel_, nullptr);
  ASSERT_TRUE(all);
  // Each place of the text, and stops of several lengths: the text is cut
  // where the stop first stands.
  for (size_t size = 1; size <= 4; ++size) {
    for (size_t at = 0; at + size <= all->text.size(); ++at) {
      const std::string stop = all->text.substr(at, size);
      if (!CheckStops(std::vector<std::string>{stop})) continue;
      options.stops = {stop};
      Session session = NewSession(20);
      std::string shown;
      const auto outcome = Generate(
          *model_, session, kPrompt, options, cancel_,
          [&](TokenId, const std::string& text, float) { shown += text; });
      ASSERT_TRUE(outcome);
      ASSERT_EQ(outcome->text, all->text.substr(0, all->text.find(stop)));
      ASSERT_EQ(shown, outcome->text);
      // Text of the end alone, where no token follows, may hold the stop.
      if (outcome->finish != FinishReason::kStop) continue;
      ASSERT_EQ(session.position(), 4u + outcome->ids.size() - 1);
    }
  }
}

// Runs of the demo model, which repeats itself now and then.
class LookupTest : public testing::Test {
 protected:
  void SetUp() override {
    auto model =
        Model::Load(LODESTONE_SOURCE_DIR "/magnets/demo", {.num_threads = 1});
    ASSERT_TRUE(model) << model.error().ToString();
    model_ = std::move(*model);
  }

  struct Seen {
    std::vector<TokenId> ids;
    std::vector<float> logprobs;
    std::string text;
    FinishReason finish = FinishReason::kStop;
    std::vector<TokenId> in_session;
    LookupCounts counts;
  };
  Seen Run(const std::vector<TokenId>& prompt, const GenerateOptions& options,
           uint64_t max_tokens = 400) {
    Seen seen;
    auto session = Session::Create(*model_, max_tokens);
    EXPECT_TRUE(session);
    const auto outcome =
        Generate(*model_, *session, prompt, options, cancel_,
                 [&](TokenId id, const std::string& text, float logprob) {
                   seen.text += text;
                   if (id != kNoToken) seen.logprobs.push_back(logprob);
                 });
    EXPECT_TRUE(outcome);
    seen.ids = outcome->ids;
    seen.finish = outcome->finish;
    seen.counts = outcome->lookup;
    EXPECT_EQ(seen.text, outcome->text);
    const auto tokens = session->tokens();
    seen.in_session.assign(tokens.begin(), tokens.end());
    return seen;
  }

  // The same tokens, bits of probabilities, text, end and session.
  void ExpectSame(const std::vector<TokenId>& prompt, GenerateOptions options,
                  uint64_t max_tokens = 400) {
    options.lookup = LookupMode::kOff;
    const Seen plain = Run(prompt, options, max_tokens);
    EXPECT_EQ(plain.counts.proposed, 0u);
    for (const LookupMode mode : {LookupMode::kAuto, LookupMode::kOn}) {
      options.lookup = mode;
      const Seen guessed = Run(prompt, options, max_tokens);
      ASSERT_EQ(guessed.ids, plain.ids);
      ASSERT_EQ(guessed.logprobs, plain.logprobs);
      ASSERT_EQ(guessed.text, plain.text);
      ASSERT_EQ(guessed.finish, plain.finish);
      ASSERT_EQ(guessed.in_session, plain.in_session);
      proposed_ += guessed.counts.proposed;
      accepted_ += guessed.counts.accepted;
    }
  }

  std::vector<TokenId> Encode(const std::string& text) const {
    return model_->tokenizer().EncodePrompt(text);
  }
  // A question that has been answered before: the demo model says the same
  // again.
  std::vector<TokenId> AskedTwice() const {
    const std::string question = "What is an ocean?";
    const std::vector<ChatTurn> turns = {
        {Role::kUser, question},
        {Role::kAssistant,
         "Ocean: a large body of water constituting a principal part of the "
         "hydrosphere."},
        {Role::kUser, question}};
    const auto ids =
        ChatPrompt(model_->tokenizer(), InstructVersion::kV1, turns);
    EXPECT_TRUE(ids) << ids.error().ToString();
    return *ids;
  }

  const std::vector<std::string> prompts_ = {
      "An ocean is",
      "What is an ocean?",
      "one two three one two three one two three one two",
      "a b c d e f a b c d e f a b c",
      "The ocean is a body of water. The ocean is a body of water. The ocean",
      "{\"a\": 1, \"b\": 2}, {\"a\": 1, \"b\": 2}, {\"a\":",
      "x",
  };
  std::unique_ptr<Model> model_;
  verify::CancelToken cancel_;
  uint64_t proposed_ = 0;
  uint64_t accepted_ = 0;
};

TEST_F(LookupTest, GuessesChangeNothingOfTheLikeliestText) {
  for (const auto& prompt : prompts_) {
    GenerateOptions options;
    options.max_tokens = 70;
    ExpectSame(Encode(prompt), options);
    options.ignore_eos = true;
    ExpectSame(Encode(prompt), options);
  }
  EXPECT_GT(accepted_, 50u);
  EXPECT_GT(proposed_, accepted_);
}

TEST_F(LookupTest, GuessesChangeNothingOfSampledText) {
  for (uint64_t seed = 0; seed < 3; ++seed) {
    for (const auto& prompt : prompts_) {
      GenerateOptions options;
      options.max_tokens = 50;
      options.ignore_eos = seed != 0;
      options.sampler = {.temperature = seed == 1 ? 0.3f : 0.9f,
                         .top_k = seed == 2 ? 0u : 20u,
                         .top_p = 0.95f,
                         .min_p = 0.01f,
                         .repeat_penalty = seed == 0 ? 1.2f : 1.0f,
                         .repeat_last_n = 20,
                         .seed = seed};
      ExpectSame(Encode(prompt), options);
    }
    GenerateOptions warm;
    warm.sampler = {.temperature = 0.5f, .seed = seed};
    ExpectSame(AskedTwice(), warm);
  }
  EXPECT_GT(accepted_, 20u);
}

TEST_F(LookupTest, EndsAtTheSamePlaceWhateverEndsIt) {
  const auto prompt = AskedTwice();
  GenerateOptions options;
  const uint64_t ends[] = {0, 1, 2, 3, 5, 8, 13, 20, 24, 25, 26};
  for (const uint64_t wanted : ends) {
    options.max_tokens = wanted;
    ExpectSame(prompt, options);
  }
  options.max_tokens = 100;
  for (const uint64_t places : ends) {
    ExpectSame(prompt, options, prompt.size() + places);
  }
  options.lookup = LookupMode::kOff;
  const std::string text = Run(prompt, options).text;
  ASSERT_GT(text.size(), 40u);
  for (size_t at = 0; at + 3 < text.size(); at += 11) {
    options.stops = {text.substr(at, 3)};
    ExpectSame(prompt, options);
  }
  EXPECT_GT(accepted_, 100u);
}

TEST_F(EngineTest, WithAnObserverNothingIsGuessed) {
  AlwaysSay(70);
  Load();
  GenerateOptions options;
  options.max_tokens = 30;
  options.lookup = LookupMode::kOn;
  Session session = NewSession(50);
  const auto guessed =
      Generate(*model_, session, kPrompt, options, cancel_, nullptr);
  ASSERT_TRUE(guessed);
  // Thirty times the same token: guessed from the fourth or so on.
  EXPECT_LT(guessed->lookup.passes, 15u);
  ExpertTrace trace(model_->config());
  Session watched = NewSession(50);
  const auto outcome =
      Generate(*model_, watched, kPrompt, options, cancel_, nullptr, &trace);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->ids, guessed->ids);
  EXPECT_EQ(outcome->lookup.proposed, 0u);
  EXPECT_EQ(outcome->lookup.passes, 30u);
  EXPECT_EQ(trace.tokens(), 34u);
}

}  // namespace
}  // namespace inference
