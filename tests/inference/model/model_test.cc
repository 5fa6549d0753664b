// SPDX-License-Identifier: Apache-2.0
// Small models of odd shapes against a forward pass in double, and what a
// session promises.
#include "inference/model/model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/double_forward.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace inference {
namespace {

using tests::RandomIds;
using tests::RelativeError;
using tests::TinyModel;
using tests::TinyModelConfig;
using verify::DType;
using verify::ErrorCode;
using verify::NameScheme;
using verify::TensorRole;

std::unique_ptr<Model> Load(const std::string& folder, size_t threads = 2,
                            Activations activations = Activations::kRounded) {
  auto model =
      Model::Load(folder, {.num_threads = threads, .activations = activations});
  EXPECT_TRUE(model) << model.error().ToString();
  return model ? std::move(*model) : nullptr;
}

Session NewSession(const Model& model, uint64_t max_tokens) {
  auto session = Session::Create(model, max_tokens);
  EXPECT_TRUE(session) << session.error().ToString();
  return std::move(*session);
}

std::vector<float> Copy(std::span<const float> values) {
  return {values.begin(), values.end()};
}

// Every position of `ids` agrees, fed in parts of `part`.
void ExpectAgrees(const TinyModel& tiny, const std::vector<TokenId>& ids,
                  size_t part) {
  tests::TempDir dir;
  tiny.Write(dir.path());
  const auto expected = tests::DoubleForward(tiny, ids);
  for (const Activations activations :
       {Activations::kExact, Activations::kRounded}) {
    const bool exact = activations == Activations::kExact;
    const auto model = Load(dir.path(), 2, activations);
    ASSERT_NE(model, nullptr);
    Session session = NewSession(*model, ids.size());
    for (size_t done = 0; done < ids.size(); done += part) {
      const size_t count = std::min(part, ids.size() - done);
      ASSERT_TRUE(session.Append(std::span(ids).subspan(done, count)));
      ASSERT_LE(
          RelativeError(session.logits(), expected[session.position() - 1]),
          exact ? tests::kForwardBound : tests::kRoundedForwardBound)
          << "position " << session.position() - 1;
    }
  }
}

TEST(ModelTest, MixtureOfEveryWeightTypeAgrees) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    const TinyModel tiny(TinyModelConfig(), dtype);
    const auto ids = RandomIds(24, 288, 1);
    ExpectAgrees(tiny, ids, 1);
    ExpectAgrees(tiny, ids, 7);
  }
}

TEST(ModelTest, HuggingFaceLayoutAgrees) {
  auto config = TinyModelConfig();
  config.names = NameScheme::kHuggingFace;
  ExpectAgrees(TinyModel(config, DType::kBF16), RandomIds(24, 288, 2), 6);
  config.num_experts = 0;
  config.tied_embeddings = true;
  ExpectAgrees(TinyModel(config, DType::kF16), RandomIds(24, 288, 2), 6);
}

TEST(ModelTest, MergedQuantisedExpertsAgree) {
  auto config = TinyModelConfig();
  config.names = NameScheme::kGguf;
  for (const DType dtype : {DType::kQ8_0, DType::kBF16, DType::kF16}) {
    ExpectAgrees(TinyModel(config, dtype), RandomIds(24, 288, 3), 5);
  }
  config.num_experts = 0;
  ExpectAgrees(TinyModel(config, DType::kQ8_0), RandomIds(24, 288, 3), 5);
}

TEST(ModelTest, OddShapesAgree) {
  auto config = TinyModelConfig();
  config.num_kv_heads = 1;  // all heads share
  config.head_dim = 10;     // not dim / heads
  config.num_heads = 3;
  config.dim = 36;
  config.ff_dim = 43;
  config.num_layers = 3;
  ExpectAgrees(TinyModel(config, DType::kBF16), RandomIds(20, 288, 4), 9);
  config = TinyModelConfig();
  config.num_kv_heads = 4;  // none shares
  config.num_experts = 1;
  config.num_experts_per_token = 1;
  ExpectAgrees(TinyModel(config, DType::kBF16), RandomIds(20, 288, 5), 9);
  config = TinyModelConfig();
  config.num_experts = 5;
  config.num_experts_per_token = 1;
  config.head_dim = 2;
  config.num_heads = 6;
  ExpectAgrees(TinyModel(config, DType::kF32), RandomIds(20, 288, 6), 9);
  config = TinyModelConfig();
  config.num_experts = 3;
  config.num_experts_per_token = 3;
  config.rope_theta = 1e4;
  config.norm_eps = 1e-3;
  ExpectAgrees(TinyModel(config, DType::kF32), RandomIds(20, 288, 7), 9);
}

TEST(ModelTest, SlidingWindowAgreesFromTheFirstKeyThatDropsOut) {
  auto config = TinyModelConfig();
  config.sliding_window = 5;
  config.num_experts = 0;
  ExpectAgrees(TinyModel(config, DType::kF32), RandomIds(23, 288, 8), 1);
  ExpectAgrees(TinyModel(config, DType::kF32), RandomIds(23, 288, 8), 4);
  config.sliding_window = 1;
  ExpectAgrees(TinyModel(config, DType::kF32), RandomIds(9, 288, 9), 3);
}

// The ring holds 300 + 512 positions, rounded up to 1024: 1400 tokens wrap it
// within a batch and within a block of keys.
TEST(ModelTest, SlidingWindowAgreesAfterTheRingHasWrapped) {
  verify::ModelConfig config = TinyModelConfig();
  config.sliding_window = 300;
  config.num_experts = 0;
  config.num_layers = 2;
  config.dim = 16;
  config.ff_dim = 16;
  config.num_heads = 2;
  config.num_kv_heads = 1;
  config.head_dim = 4;
  config.vocab_size = 264;
  ExpectAgrees(TinyModel(config, DType::kF32), RandomIds(1400, 264, 10), 133);
}

// More than a block of keys and more than a batch without a window.
TEST(ModelTest, LongSequencesAgree) {
  verify::ModelConfig config = TinyModelConfig();
  config.num_layers = 1;
  config.dim = 16;
  config.ff_dim = 16;
  config.num_heads = 2;
  config.num_kv_heads = 1;
  config.head_dim = 4;
  config.vocab_size = 264;
  ExpectAgrees(TinyModel(config, DType::kF32), RandomIds(700, 264, 11), 699);
}

class SameBitsTest : public testing::Test {
 protected:
  void SetUp() override {
    auto config = TinyModelConfig();
    config.sliding_window = 40;
    TinyModel(config, DType::kBF16, 7).Write(dir_.path());
    ids_ = RandomIds(70, 288, 12);
  }

  // Logits after all ids, fed in parts.
  std::vector<float> Run(const Model& model, size_t part) {
    Session session = NewSession(model, ids_.size());
    for (size_t done = 0; done < ids_.size(); done += part) {
      const size_t count = std::min(part, ids_.size() - done);
      EXPECT_TRUE(session.Append(std::span(ids_).subspan(done, count)));
    }
    return Copy(session.logits());
  }

  tests::TempDir dir_;
  std::vector<TokenId> ids_;
};

TEST_F(SameBitsTest, ForAnyNumberOfThreadsAndAnySplit) {
  const auto one = Load(dir_.path(), 1);
  const std::vector<float> expected = Run(*one, 70);
  for (const size_t threads : {1u, 2u, 3u, 8u}) {
    const auto model = Load(dir_.path(), threads);
    for (const size_t part : {70u, 1u, 2u, 13u}) {
      ASSERT_EQ(Run(*model, part), expected)
          << threads << " threads, parts of " << part;
    }
  }
}

TEST_F(SameBitsTest, AfterRewindingAndBetweenSessions) {
  const auto model = Load(dir_.path());
  const std::vector<float> expected = Run(*model, 70);
  Session session = NewSession(*model, 100);
  ASSERT_TRUE(session.Append(ids_));
  EXPECT_EQ(Copy(session.logits()), expected);
  // Another end, then back to the common prefix.
  ASSERT_TRUE(session.Append(RandomIds(20, 288, 13)));
  ASSERT_TRUE(session.Rewind(30));
  EXPECT_EQ(session.position(), 30u);
  ASSERT_TRUE(session.Append(std::span(ids_).subspan(30)));
  EXPECT_EQ(Copy(session.logits()), expected);
  ASSERT_TRUE(session.Rewind(0));
  ASSERT_TRUE(session.Append(ids_));
  EXPECT_EQ(Copy(session.logits()), expected);
  EXPECT_FALSE(session.Rewind(71));
  EXPECT_EQ(session.position(), 70u);
}

class RecordingObserver final : public ForwardObserver {
 public:
  void OnLayer(int64_t layer, std::span<const float> hidden,
               size_t num_tokens) override {
    layers.push_back(layer);
    sizes.push_back(hidden.size());
    tokens.push_back(num_tokens);
    last = Copy(hidden);
  }
  void OnExperts(int64_t layer, std::span<const uint32_t> experts,
                 std::span<const float> weights, size_t num_tokens,
                 size_t k) override {
    expert_layers.push_back(layer);
    EXPECT_EQ(experts.size(), num_tokens * k);
    EXPECT_EQ(weights.size(), num_tokens * k);
    for (size_t t = 0; t < num_tokens; ++t) {
      float sum = 0;
      for (size_t i = 0; i < k; ++i) {
        EXPECT_LT(experts[t * k + i], 4u);
        sum += weights[t * k + i];
      }
      EXPECT_NEAR(static_cast<double>(sum), 1.0, 1e-6);
      EXPECT_NE(experts[t * k], experts[t * k + 1]);
      EXPECT_GE(weights[t * k], weights[t * k + 1]);
    }
  }

  std::vector<int64_t> layers;
  std::vector<int64_t> expert_layers;
  std::vector<size_t> sizes;
  std::vector<size_t> tokens;
  std::vector<float> last;
};

TEST_F(SameBitsTest, WithAndWithoutAnObserver) {
  const auto model = Load(dir_.path());
  const std::vector<float> expected = Run(*model, 70);
  Session session = NewSession(*model, 70);
  RecordingObserver observer;
  ASSERT_TRUE(session.Append(ids_, &observer));
  EXPECT_EQ(Copy(session.logits()), expected);
  EXPECT_EQ(observer.layers, (std::vector<int64_t>{-1, 0, 1, 2}));
  EXPECT_EQ(observer.expert_layers, (std::vector<int64_t>{0, 1}));
  EXPECT_EQ(observer.sizes, std::vector<size_t>(4, 70 * 64));
  EXPECT_EQ(observer.tokens, std::vector<size_t>(4, 70));
}

TEST(SessionTest, RefusesWhatItCannotRunAndStaysAsItWas) {
  tests::TempDir dir;
  TinyModel(TinyModelConfig(), DType::kBF16).Write(dir.path());
  const auto model = Load(dir.path());
  EXPECT_EQ(Session::Create(*model, 0).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(Session::Create(*model, UINT64_MAX).error().code,
            ErrorCode::kLimit);
  EXPECT_EQ(Session::Create(*model, 1ull << 40).error().code,
            ErrorCode::kLimit);

  Session session = NewSession(*model, 4);
  EXPECT_EQ(session.Append({}).error().code, ErrorCode::kInvalidArgument);
  const TokenId outside[] = {5, 288};
  EXPECT_EQ(session.Append(outside).error().code, ErrorCode::kInvalidArgument);
  const TokenId negative[] = {-1};
  EXPECT_EQ(session.Append(negative).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(session.position(), 0u);
  const TokenId three[] = {5, 6, 7};
  ASSERT_TRUE(session.Append(three));
  const auto logits = Copy(session.logits());
  const auto past_end = session.Append(three);
  ASSERT_FALSE(past_end);
  EXPECT_EQ(past_end.error().code, ErrorCode::kLimit);
  EXPECT_EQ(past_end.error().id, "E-CONTEXT");
  EXPECT_EQ(session.position(), 3u);
  EXPECT_EQ(Copy(session.logits()), logits);
}

TEST(SessionTest, StopsOnRequestAndStaysAsItWas) {
  tests::TempDir dir;
  TinyModel(TinyModelConfig(), DType::kBF16).Write(dir.path());
  const auto model = Load(dir.path());
  Session session = NewSession(*model, 2000);
  const auto ids = RandomIds(1500, 288, 1);
  ASSERT_TRUE(session.Append(std::span(ids).first(3)));
  verify::CancelToken cancel;
  cancel.Cancel();
  const auto stopped = session.Append(ids, nullptr, &cancel);
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(session.position(), 3u);
  EXPECT_TRUE(session.Append(std::span(ids).first(1)));
}

TEST(ModelTest, TellsWhatItIs) {
  tests::TempDir dir;
  const TinyModel tiny(TinyModelConfig(), DType::kF16);
  tiny.Write(dir.path());
  const auto model = Load(dir.path());
  EXPECT_EQ(model->config().num_experts, 4u);
  EXPECT_EQ(model->weight_type(), "f16");
  // By hand: 2 * 288 * 64 + 64 + 2 * (64 * 64 * 2 + 2 * 32 * 64 + 2 * 64 +
  // 4 * 64 + 4 * 3 * 96 * 64) = 209,728 halves.
  EXPECT_EQ(model->weight_bytes(), 2u * 209'728u);
  EXPECT_EQ(model->tokenizer().vocab_size(), 288u);
}

TEST(ModelTest, RunsOneExpertByItself) {
  tests::TempDir dir;
  auto config = TinyModelConfig();
  config.num_layers = 1;
  config.num_experts = 1;
  config.num_experts_per_token = 1;
  TinyModel tiny(config, DType::kF32);
  // Attention that adds nothing: the layer adds the expert alone.
  auto& out = tiny.Find(TensorRole::kAttentionOut, 0).values;
  std::fill(out.begin(), out.end(), 0.0f);
  tiny.Write(dir.path());
  const auto model = Load(dir.path());

  struct Catch final : ForwardObserver {
    void OnLayer(int64_t layer, std::span<const float> hidden,
                 size_t) override {
      if (layer == -1) before = Copy(hidden);
      if (layer == 0) after = Copy(hidden);
    }
    void OnExperts(int64_t, std::span<const uint32_t>, std::span<const float>,
                   size_t, size_t) override {}
    std::vector<float> before;
    std::vector<float> after;
  } seen;
  Session session = NewSession(*model, 1);
  const TokenId id = 17;
  ASSERT_TRUE(session.Append({&id, 1}, &seen));
  const auto alone = model->RunExpert(0, 0, seen.before);
  ASSERT_TRUE(alone);
  for (size_t i = 0; i < 64; ++i) {
    EXPECT_FLOAT_EQ(seen.before[i] + (*alone)[i], seen.after[i]);
  }
  EXPECT_EQ(model->RunExpert(1, 0, seen.before).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(model->RunExpert(0, 1, seen.before).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(model->RunExpert(0, 0, {}).error().code,
            ErrorCode::kInvalidArgument);
}

verify::Error LoadError(const std::string& folder) {
  const auto model = Model::Load(folder, {});
  EXPECT_FALSE(model);
  return model ? verify::Error{} : model.error();
}

TEST(ModelLoadTest, ConfigurationOfAnotherModelIsNamed) {
  tests::TempDir dir;
  TinyModel(TinyModelConfig(), DType::kBF16).Write(dir.path());
  auto other = TinyModelConfig();
  other.ff_dim = 128;
  tests::TempDir other_dir;
  TinyModel(other, DType::kBF16).Write(other_dir.path());
  dir.Write("params.json", tests::ReadFile(other_dir.File("params.json")));
  const auto error = LoadError(dir.path());
  EXPECT_EQ(error.code, ErrorCode::kCorrupt);
  EXPECT_EQ(error.id, "E-STRUCTURE");
  EXPECT_NE(error.message.find("layers.0.feed_forward.experts.0.w1.weight"),
            std::string::npos)
      << error.message;
}

TEST(ModelLoadTest, MissingAndExtraTensorsAreNamed) {
  tests::TempDir dir;
  TinyModel tiny(TinyModelConfig(), DType::kBF16);
  auto& first = tiny.tensors().front();
  const std::string name = first.spec.name;
  first.spec.name = "something.else";
  tiny.Write(dir.path());
  const auto error = LoadError(dir.path());
  EXPECT_EQ(error.code, ErrorCode::kCorrupt);
  EXPECT_EQ(error.id, "E-STRUCTURE");
  EXPECT_NE(error.message.find("missing \"" + name + "\""), std::string::npos)
      << error.message;
  EXPECT_NE(error.message.find("extra \"something.else\""), std::string::npos)
      << error.message;
}

TEST(ModelLoadTest, WholeNumbersAreNoWeights) {
  tests::TempDir dir;
  TinyModel tiny(TinyModelConfig(), DType::kBF16);
  tiny.Find(TensorRole::kAttentionV, 1).dtype = DType::kI32;
  tiny.Write(dir.path());
  const auto error = LoadError(dir.path());
  EXPECT_EQ(error.code, ErrorCode::kCorrupt);
  EXPECT_EQ(error.id, "E-STRUCTURE");
  EXPECT_NE(error.message.find("layers.1.attention.wv.weight"),
            std::string::npos)
      << error.message;
}

TEST(ModelLoadTest, TokenizerOfALargerModelIsRefused) {
  tests::TempDir dir;
  TinyModel(TinyModelConfig(), DType::kBF16).Write(dir.path());
  dir.Write("tokenizer.model",
            SerializeTokenizerModel(tests::TinyModelTokenizer(289)));
  const auto error = LoadError(dir.path());
  EXPECT_EQ(error.code, ErrorCode::kCorrupt);
  EXPECT_EQ(error.id, "E-TOKENIZER");
  EXPECT_NE(error.message.find("289"), std::string::npos);
  EXPECT_NE(error.message.find("288"), std::string::npos);
}

TEST(ModelLoadTest, SmallerTokenizerIsPadding) {
  tests::TempDir dir;
  TinyModel(TinyModelConfig(), DType::kBF16).Write(dir.path());
  dir.Write("tokenizer.model",
            SerializeTokenizerModel(tests::TinyModelTokenizer(270)));
  const auto model = Load(dir.path());
  ASSERT_NE(model, nullptr);
  EXPECT_EQ(model->tokenizer().vocab_size(), 270u);
}

TEST(ModelLoadTest, MissingFilesAreNotFound) {
  tests::TempDir dir;
  EXPECT_EQ(LoadError(dir.path()).code, ErrorCode::kNotFound);
  TinyModel(TinyModelConfig(), DType::kBF16).Write(dir.path());
  ASSERT_EQ(std::remove(dir.File("tokenizer.model").c_str()), 0);
  EXPECT_EQ(LoadError(dir.path()).code, ErrorCode::kNotFound);
}

}  // namespace
}  // namespace inference
