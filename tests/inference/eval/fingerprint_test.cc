// SPDX-License-Identifier: Apache-2.0
// The same model in any layout has the same fingerprint; a model that is
// another in any part has not, and the part is named.
// Long because: each fault is a test of its own, against one kind of model.
#include "inference/eval/fingerprint.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "inference/convert/convert.h"
#include "inference/eval/fingerprint_check.h"
#include "inference/eval/fingerprint_compare.h"
#include "inference/ops/kernels.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"
#include "verify/base/file.h"
#include "verify/base/text.h"
#include "verify/checkpoint/tokenizer_model.h"

namespace inference {
namespace {

using tests::TempDir;
using tests::TinyModel;
using verify::DType;
using verify::NameScheme;
using verify::TensorRole;
using Part = FingerprintPart;

const verify::CancelToken kNoCancel;

std::unique_ptr<Model> Load(const std::string& path,
                            ModelOptions options = {
                                .num_threads = 2,
                                .activations = Activations::kExact}) {
  auto model = Model::Load(path, options);
  EXPECT_TRUE(model) << model.error().ToString();
  return std::move(*model);
}

Fingerprint Make(const std::string& path,
                 ModelOptions options = {.num_threads = 2,
                                         .activations = Activations::kExact}) {
  const auto model = Load(path, options);
  auto made = MakeFingerprint(*model, kNoCancel);
  EXPECT_TRUE(made) << made.error().ToString();
  return std::move(*made);
}

FingerprintReport Check(const Fingerprint& published, const std::string& path,
                        ModelOptions options = {
                            .num_threads = 2,
                            .activations = Activations::kExact}) {
  const auto model = Load(path, options);
  auto report = CheckFingerprint(*model, published, kNoCancel);
  EXPECT_TRUE(report) << report.error().ToString();
  return std::move(*report);
}

// All departures, a line each.
std::string Lines(const FingerprintReport& report) {
  std::string text;
  for (const Departure& departure : report.departures) {
    text += DescribeDeparture(departure) + "\n";
  }
  return text;
}

verify::ModelConfig Config() {
  auto config = tests::TinyModelConfig();
  config.num_layers = 3;
  return config;
}

TinyModel Original() { return TinyModel(Config(), DType::kBF16); }

// The same weights in another layout: for Hugging Face's, row p of a head of q
// and k is row 2 (p mod P) + p / P, P half of head_dim.
TinyModel InLayout(const TinyModel& from, NameScheme names, DType dtype) {
  auto config = from.config();
  config.names = names;
  TinyModel to(config, dtype);
  for (auto& tensor : to.tensors()) {
    const auto& spec = tensor.spec;
    std::vector<float> values;
    if (spec.shape.size() == 3) {
      for (int64_t e = 0; e < static_cast<int64_t>(spec.shape[0]); ++e) {
        const auto expert = from.Values(spec.role, spec.layer, e);
        values.insert(values.end(), expert.begin(), expert.end());
      }
    } else {
      values = from.Values(spec.role, spec.layer, spec.expert);
    }
    if (names == NameScheme::kHuggingFace &&
        (spec.role == TensorRole::kAttentionQ ||
         spec.role == TensorRole::kAttentionK)) {
      const std::vector<float> rows = values;
      const size_t cols = spec.shape[1];
      const size_t half = config.head_dim / 2;
      for (size_t row = 0; row < spec.shape[0]; ++row) {
        const size_t p = row % config.head_dim;
        const size_t source = row - p + 2 * (p % half) + p / half;
        std::copy_n(rows.begin() + static_cast<ptrdiff_t>(source * cols), cols,
                    values.begin() + static_cast<ptrdiff_t>(row * cols));
      }
    }
    tensor.values = values;
  }
  return to;
}

std::string Convert(const std::string& from, const std::string& to,
                    DType dtype) {
  ConvertOptions options;
  options.input = from;
  options.output = to;
  options.to = dtype;
  const auto done = inference::Convert(options, kNoCancel, nullptr);
  EXPECT_TRUE(done) << done.error().ToString();
  return to;
}

// One model published, and checks of changed copies of it.
class FingerprintTest : public testing::Test {
 protected:
  FingerprintTest() : original_(Original()) {
    original_.Write(dir_.path());
    published_ = Make(dir_.path());
  }

  FingerprintReport CheckChanged(const TinyModel& changed) const {
    const TempDir dir;
    changed.Write(dir.path());
    return Check(published_, dir.path());
  }
  FingerprintReport CheckChanged(
      const std::function<void(TinyModel&)>& change) const {
    TinyModel changed = original_;
    change(changed);
    return CheckChanged(changed);
  }
  FingerprintReport CheckConfig(
      const std::function<void(verify::ModelConfig&)>& change) const {
    auto config = Config();
    change(config);
    TinyModel changed(config, DType::kBF16);
    for (auto& tensor : changed.tensors()) {
      tensor.values = original_.Values(tensor.spec.role, tensor.spec.layer,
                                       tensor.spec.expert);
    }
    return CheckChanged(changed);
  }

  // The first departure is `part` of `layer` (and `expert`).
  static void ExpectFirst(const FingerprintReport& report, Part part,
                          int64_t layer, int64_t expert = -1) {
    ASSERT_FALSE(report.ok());
    EXPECT_EQ(report.departures[0].part, part) << Lines(report);
    EXPECT_EQ(report.departures[0].layer, layer) << Lines(report);
    EXPECT_EQ(report.departures[0].expert, expert) << Lines(report);
  }
  static void ExpectSays(const FingerprintReport& report,
                         const std::string& text) {
    ASSERT_FALSE(report.ok());
    const std::string first = DescribeDeparture(report.departures[0]);
    EXPECT_NE(first.find(text), std::string::npos) << Lines(report);
  }

  TempDir dir_;
  TinyModel original_;
  Fingerprint published_;
};

TEST_F(FingerprintTest, IsTheSameForAnyNumberOfThreads) {
  EXPECT_EQ(published_,
            Make(dir_.path(),
                 {.num_threads = 1, .activations = Activations::kExact}));
  EXPECT_EQ(published_,
            Make(dir_.path(),
                 {.num_threads = 5, .activations = Activations::kExact}));
}

TEST_F(FingerprintTest, RecordsEveryLayerExpertAndPlace) {
  EXPECT_EQ(published_.layers.size(), 3u);
  for (const auto& layer : published_.layers) {
    EXPECT_EQ(layer.experts.size(), 4u);
    EXPECT_EQ(layer.gate.values.size(), 8u);
    EXPECT_EQ(layer.residual.size(), 5u);
    EXPECT_EQ(layer.routed.size(), 256u);
    EXPECT_EQ(layer.bits.size(), 16u);
  }
  EXPECT_EQ(published_.prompts.size(), 5u);
  EXPECT_EQ(published_.run.ids.size(), 1u + 5 * 40);
  EXPECT_EQ(published_.run.continuation.size(), 4u);
  // Depths 1 and 2 of 3 layers, five prompts, four more tokens.
  EXPECT_EQ(published_.run.logits.size(), 2u + 5 + 4);
}

TEST_F(FingerprintTest, ACopyHasTheSameBits) {
  const auto report =
      Check(published_, dir_.path(),
            {.num_threads = 1, .activations = Activations::kExact});
  EXPECT_TRUE(report.ok()) << Lines(report);
  EXPECT_TRUE(report.closeness.bits_comparable);
  EXPECT_FALSE(report.closeness.first_other_bits.has_value());
  EXPECT_EQ(report.closeness.widest()->distance, 0);
}

TEST_F(FingerprintTest, HuggingFaceLayoutIsTheSameModel) {
  const TempDir dir;
  InLayout(original_, NameScheme::kHuggingFace, DType::kBF16).Write(dir.path());
  const auto report = Check(published_, dir.path());
  EXPECT_TRUE(report.ok()) << Lines(report);
  EXPECT_FALSE(report.closeness.bits_comparable);  // another order of sums
  // And the other way about.
  EXPECT_TRUE(Check(Make(dir.path()), dir_.path()).ok());
}

TEST_F(FingerprintTest, ConversionsAreTheSameModel) {
  const TempDir dir;
  const auto bf16 =
      Convert(dir_.path(), dir.path() + "/bf16.gguf", DType::kBF16);
  const auto report = Check(published_, bf16);
  EXPECT_TRUE(report.ok()) << Lines(report);
  EXPECT_TRUE(report.closeness.bits_comparable);
  EXPECT_FALSE(report.closeness.first_other_bits.has_value());
  const auto q8_0 = Convert(dir_.path(), dir.path() + "/q8.gguf", DType::kQ8_0);
  const auto quantised = Check(published_, q8_0);
  EXPECT_TRUE(quantised.ok()) << Lines(quantised);
  EXPECT_FALSE(quantised.closeness.bits_comparable);
  EXPECT_GT(quantised.closeness.widest()->distance, 0);
  // Published in blocks, run as it was made from, and as published.
  EXPECT_TRUE(Check(Make(q8_0), dir_.path()).ok());
  EXPECT_TRUE(Check(Make(q8_0), q8_0).ok());
}

TEST_F(FingerprintTest, WiderTypesAreTheSameModel) {
  for (const DType type : {DType::kF32, DType::kF16}) {
    const TempDir dir;
    InLayout(original_, NameScheme::kMistral, type).Write(dir.path());
    const auto report = Check(published_, dir.path());
    EXPECT_TRUE(report.ok()) << DTypeName(type) << "\n" << Lines(report);
  }
}

// What is published in float loses in bf16 what its tolerance allows.
TEST(FingerprintTypesTest, FloatsRoundedToBf16AreWithinTolerance) {
  const TempDir wide;
  const TinyModel model(Config(), DType::kF32);
  model.Write(wide.path());
  const TempDir narrow;
  InLayout(model, NameScheme::kMistral, DType::kBF16).Write(narrow.path());
  const auto report = Check(Make(wide.path()), narrow.path());
  EXPECT_TRUE(report.ok()) << Lines(report);
  EXPECT_GT(report.closeness.widest()->distance, 1e-4);
}

TEST_F(FingerprintTest, KernelsOfOtherProcessorsAreWithinTolerance) {
  for (const Kernels* kernels : RunnableKernels()) {
    const auto report = Check(published_, dir_.path(),
                              {.num_threads = 2,
                               .kernels = kernels,
                               .activations = Activations::kExact});
    EXPECT_TRUE(report.ok()) << kernels->target << "\n" << Lines(report);
    EXPECT_EQ(report.closeness.bits_comparable,
              kernels->target == BestKernels().target);
  }
}

// The trained demo model on every target, against the best.
TEST(FingerprintDemoTest, KernelsOfOtherProcessorsAreWithinTolerance) {
  const std::string demo = std::string(LODESTONE_SOURCE_DIR) + "/magnets/demo";
  const Fingerprint published = Make(demo);
  for (const Kernels* kernels : RunnableKernels()) {
    const auto report = Check(published, demo,
                              {.num_threads = 2,
                               .kernels = kernels,
                               .activations = Activations::kExact});
    EXPECT_TRUE(report.ok()) << kernels->target << "\n" << Lines(report);
    std::printf("%s: %s\n", std::string(kernels->target).c_str(),
                DescribeDeparture(*report.closeness.widest()).c_str());
  }
}

// Trained weights, with their outliers, in eight bits.
class FingerprintTrainedTest : public testing::TestWithParam<const char*> {};

TEST_P(FingerprintTrainedTest, ConversionsAreWithinTolerance) {
  const std::string folder =
      std::string(LODESTONE_SOURCE_DIR) + "/" + GetParam();
  const Fingerprint published = Make(folder);
  const TempDir dir;
  for (const auto& [type, name] : {std::pair(DType::kBF16, "/bf16.gguf"),
                                   std::pair(DType::kQ8_0, "/q8_0.gguf")}) {
    const auto report =
        Check(published, Convert(folder, dir.path() + name, type));
    EXPECT_TRUE(report.ok()) << DTypeName(type) << "\n" << Lines(report);
    std::printf("%s, %s: widest %s\n", GetParam(),
                std::string(DTypeName(type)).c_str(),
                DescribeDeparture(*report.closeness.widest()).c_str());
  }
}

INSTANTIATE_TEST_SUITE_P(Fingerprint, FingerprintTrainedTest,
                         testing::Values("magnets/demo",
                                         "tests/golden/stories260k"));

TEST_F(FingerprintTest, NamesTwoExpertsThatWereExchanged) {
  const auto report = CheckChanged([](TinyModel& m) {
    for (const auto role :
         {TensorRole::kFfnGate, TensorRole::kFfnUp, TensorRole::kFfnDown}) {
      std::swap(m.Find(role, 1, 0).values, m.Find(role, 1, 3).values);
    }
  });
  ExpectFirst(report, Part::kExpert, 1, 0);
  ExpectSays(report, "layer 1, expert 0 (ffn)");
  ExpectSays(report, "it gives what expert 3 of this layer gave");
  EXPECT_EQ(report.departures[1].expert, 3) << Lines(report);
  EXPECT_NE(report.departures[1].detail.find("expert 0"), std::string::npos);
}

TEST_F(FingerprintTest, NamesAnExpertThatIsACopyOfAnother) {
  const auto report = CheckChanged([](TinyModel& m) {
    for (const auto role :
         {TensorRole::kFfnGate, TensorRole::kFfnUp, TensorRole::kFfnDown}) {
      m.Find(role, 2, 2).values = m.Find(role, 0, 1).values;
    }
  });
  ExpectFirst(report, Part::kExpert, 2, 2);
}

TEST_F(FingerprintTest, NamesAGateOfZeros) {
  const auto report = CheckChanged([](TinyModel& m) {
    auto& gate = m.Find(TensorRole::kRouter, 1).values;
    std::fill(gate.begin(), gate.end(), 0.0f);
  });
  ExpectFirst(report, Part::kGate, 1);
  ExpectSays(report, "layer 1, gate: it gives nothing but zeros");
}

// Hugging Face's rows under Mistral's names, and the other way about.
TEST_F(FingerprintTest, NamesTheWrongOrderOfQAndK) {
  const TinyModel half =
      InLayout(original_, NameScheme::kHuggingFace, DType::kBF16);
  auto report = CheckChanged([&](TinyModel& m) {
    for (auto& tensor : m.tensors()) {
      tensor.values =
          half.Values(tensor.spec.role, tensor.spec.layer, tensor.spec.expert);
    }
  });
  ExpectFirst(report, Part::kScores, 0);
  ExpectSays(report, "q/k order");
  ExpectSays(report, "in the half order and are rotated as interleaved");

  TinyModel unmoved = half;
  for (auto& tensor : unmoved.tensors()) {
    tensor.values = original_.Values(tensor.spec.role, tensor.spec.layer,
                                     tensor.spec.expert);
  }
  report = CheckChanged(unmoved);
  ExpectFirst(report, Part::kScores, 0);
  ExpectSays(report, "in the interleaved order and are rotated as half");
}

TEST_F(FingerprintTest, NamesAnotherTheta) {
  const auto report =
      CheckConfig([](verify::ModelConfig& c) { c.rope_theta = 1e4; });
  ExpectFirst(report, Part::kScores, 0);
  ExpectSays(report, "layer 0, attention (q, k and their rotation)");
  ExpectSays(report, "rope theta is 10000, published 1000000");
  // Unmistakable: not a matter of tolerance.
  EXPECT_GT(report.departures[0].distance, 0.5);
}

TEST_F(FingerprintTest, NamesAnotherNormEps) {
  const auto report =
      CheckConfig([](verify::ModelConfig& c) { c.norm_eps = 1e-6; });
  ExpectFirst(report, Part::kAttentionNorm, 0);
  ExpectSays(report, "norm eps is 1e-06, published 1e-05");
}

TEST_F(FingerprintTest, NamesAnotherNumberOfExpertsPerToken) {
  const auto report =
      CheckConfig([](verify::ModelConfig& c) { c.num_experts_per_token = 1; });
  ExpectFirst(report, Part::kRouting, 0);
  ExpectSays(report, "the number of experts per token is 1, published 2");
}

TEST(FingerprintWindowTest, NamesAWindowThatIsGone) {
  auto config = Config();
  config.sliding_window = 4096;
  const TempDir with;
  TinyModel(config, DType::kBF16).Write(with.path());
  config.sliding_window.reset();
  const TempDir without;
  TinyModel(config, DType::kBF16).Write(without.path());
  const auto report = Check(Make(with.path()), without.path());
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.departures[0].part, Part::kScores) << Lines(report);
  EXPECT_EQ(report.departures[0].layer, 0);
  EXPECT_NE(report.departures[0].detail.find(
                "the sliding window is none, published 4096"),
            std::string::npos)
      << Lines(report);
}

// Every kind of weight, one row of it, by a tenth of its size.
TEST_F(FingerprintTest, NamesTheTensorOfWhichOneRowDiffers) {
  struct Case {
    TensorRole role;
    int64_t layer;
    int64_t expert;
    Part part;
  };
  for (const Case& c :
       {Case{TensorRole::kTokenEmbedding, -1, -1, Part::kEmbedding},
        Case{TensorRole::kAttentionQ, 1, -1, Part::kScores},
        Case{TensorRole::kAttentionK, 2, -1, Part::kScores},
        Case{TensorRole::kAttentionV, 0, -1, Part::kAttention},
        Case{TensorRole::kAttentionOut, 1, -1, Part::kAttention},
        Case{TensorRole::kRouter, 2, -1, Part::kGate},
        Case{TensorRole::kFfnGate, 1, 2, Part::kExpert},
        Case{TensorRole::kFfnUp, 0, 3, Part::kExpert},
        Case{TensorRole::kFfnDown, 2, 1, Part::kExpert},
        Case{TensorRole::kOutput, -1, -1, Part::kOutput}}) {
    const auto report = CheckChanged([&](TinyModel& m) {
      auto& tensor = m.Find(c.role, c.layer, c.expert);
      const size_t cols = tensor.spec.shape.back();
      for (size_t i = 2 * cols; i < 3 * cols; ++i) tensor.values[i] *= 1.1f;
    });
    ExpectFirst(report, c.part, c.layer, c.expert);
  }
}

TEST_F(FingerprintTest, NamesANormThatIsScaled) {
  for (const auto& [role, layer, part] :
       {std::tuple(TensorRole::kAttentionNorm, int64_t{1},
                   Part::kAttentionNorm),
        std::tuple(TensorRole::kFfnNorm, int64_t{0}, Part::kFfnNorm),
        std::tuple(TensorRole::kOutputNorm, int64_t{-1}, Part::kOutputNorm)}) {
    const auto report =
        CheckChanged([&, role = role, layer = layer](TinyModel& m) {
          for (float& gain : m.Find(role, layer).values) gain *= 1.05f;
        });
    ExpectFirst(report, part, layer);
  }
}

TEST_F(FingerprintTest, NamesLayersThatWereExchanged) {
  const auto report = CheckChanged([](TinyModel& m) {
    for (auto& tensor : m.tensors()) {
      if (tensor.spec.layer != 1) continue;
      std::swap(tensor.values,
                m.Find(tensor.spec.role, 2, tensor.spec.expert).values);
    }
  });
  ExpectFirst(report, Part::kAttentionNorm, 1);
  ExpectSays(report, "it gives what layer 2 gave when it was published");
}

TEST_F(FingerprintTest, NamesTheTokenizerOfWhichTwoIdsAreExchanged) {
  const TempDir dir;
  original_.Write(dir.path());
  auto pieces = tests::TinyModelTokenizer(Config().vocab_size);
  // The bytes of "e" and "t".
  std::swap(pieces.pieces[3 + 'e'].text, pieces.pieces[3 + 't'].text);
  std::swap(pieces.pieces[260].text, pieces.pieces[264].text);
  const auto text = verify::SerializeTokenizerModel(pieces);
  ASSERT_TRUE(verify::WriteFileAtomically(dir.path() + "/tokenizer.model",
                                          verify::AsBytes(text)));
  const auto report = Check(published_, dir.path());
  ExpectFirst(report, Part::kTokenizer, -1);
  ExpectSays(report, "tokenizer: ids of prompt 0 differ: token ");
  // The weights are those that were published.
  for (const auto& departure : report.departures) {
    EXPECT_EQ(departure.part, Part::kTokenizer) << Lines(report);
  }
}

// Pieces that no prompt has.
TEST_F(FingerprintTest, NamesTheVocabularyOfWhichRarePiecesAreExchanged) {
  const TempDir dir;
  original_.Write(dir.path());
  auto pieces = tests::TinyModelTokenizer(Config().vocab_size);
  std::swap(pieces.pieces[3 + 1].text, pieces.pieces[3 + 2].text);
  const auto text = verify::SerializeTokenizerModel(pieces);
  ASSERT_TRUE(verify::WriteFileAtomically(dir.path() + "/tokenizer.model",
                                          verify::AsBytes(text)));
  const auto report = Check(published_, dir.path());
  ExpectFirst(report, Part::kTokenizer, -1);
  ExpectSays(report, "tokenizer: the pieces of the vocabulary differ");
}

TEST_F(FingerprintTest, NamesAnotherShapeWithoutRunning) {
  auto config = Config();
  config.num_layers = 2;
  const auto report = CheckChanged(TinyModel(config, DType::kBF16));
  ExpectFirst(report, Part::kConfiguration, -1);
  ExpectSays(report, "the number of layers is 2, published 3");
  EXPECT_TRUE(report.measured.layers.empty());
}

// Experts that the run never reaches are looked at like all others: a gate
// that sends every token to experts 0 and 1.
TEST(FingerprintUnusedTest, NamesAnExpertThatNoTokenGoesTo) {
  TinyModel model = Original();
  const size_t dim = model.config().dim;
  auto& embedding = model.Find(TensorRole::kTokenEmbedding, -1).values;
  for (size_t i = 0; i < embedding.size(); i += dim) embedding[i] = 30.0f;
  auto& gate = model.Find(TensorRole::kRouter, 0).values;
  std::fill(gate.begin(), gate.end(), 0.0f);
  gate[0] = 30.0f;
  gate[dim] = 20.0f;
  const TempDir dir;
  model.Write(dir.path());
  const Fingerprint published = Make(dir.path());
  for (const uint32_t expert : published.layers[0].routed) {
    ASSERT_LT(expert, 2u);
  }
  for (float& x : model.Find(TensorRole::kFfnDown, 0, 3).values) x = -x;
  const TempDir changed;
  model.Write(changed.path());
  const auto report = Check(published, changed.path());
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(PlaceName(report.departures[0]), "layer 0, expert 3 (ffn)");
  EXPECT_EQ(report.departures.size(), 1u) << Lines(report);
}

// A fault in one layer does not hide one in a later layer.
TEST_F(FingerprintTest, NamesFaultsInTwoLayers) {
  const auto report = CheckChanged([](TinyModel& m) {
    for (float& x : m.Find(TensorRole::kFfnUp, 0, 1).values) x *= 0.5f;
    for (float& x : m.Find(TensorRole::kAttentionOut, 2).values) x *= 0.5f;
  });
  ExpectFirst(report, Part::kExpert, 0, 1);
  std::vector<std::string> places;
  for (const Departure& departure : report.departures) {
    if (departure.part != Part::kRouting && departure.part != Part::kResidual &&
        departure.part != Part::kLogits &&
        departure.part != Part::kContinuation) {
      places.push_back(PlaceName(departure));
    }
  }
  EXPECT_EQ(places, (std::vector<std::string>{"layer 0, expert 1 (ffn)",
                                              "layer 2, attention (v and o)"}));
}

// Bits tell what tolerance forgives: one element, in its last place.
TEST_F(FingerprintTest, SmallestChangeShowsInTheBits) {
  const auto report = CheckChanged([](TinyModel& m) {
    m.Find(TensorRole::kFfnUp, 1, 2).values[77] *= 1.0079f;
  });
  EXPECT_TRUE(report.closeness.bits_comparable);
  EXPECT_EQ(report.closeness.first_other_bits, 1u);
}

TEST_F(FingerprintTest, DenseModelsHaveOneBlockPerLayer) {
  auto config = Config();
  config.num_experts = 0;
  config.num_experts_per_token = 0;
  const TempDir dir;
  TinyModel dense(config, DType::kBF16);
  dense.Write(dir.path());
  const Fingerprint published = Make(dir.path());
  EXPECT_TRUE(Check(published, dir.path()).ok());
  for (float& x : dense.Find(TensorRole::kFfnGate, 1).values) x *= 0.5f;
  const TempDir changed;
  dense.Write(changed.path());
  const auto report = Check(published, changed.path());
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(PlaceName(report.departures[0]), "layer 1, ffn");
}

TEST(FingerprintErrorTest, RefusesToPublishAModelThatGivesNaN) {
  TinyModel model = Original();
  model.Find(TensorRole::kFfnUp, 1, 3).values[5] = NAN;
  const TempDir dir;
  model.Write(dir.path());
  const auto made = MakeFingerprint(*Load(dir.path()), kNoCancel);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, verify::ErrorCode::kCorrupt);
  EXPECT_EQ(made.error().id, "E-FINGERPRINT");
  EXPECT_NE(made.error().message.find("layer 1, expert 3 (ffn)"),
            std::string::npos)
      << made.error().message;
}

TEST_F(FingerprintTest, NaNDeparts) {
  const auto report = CheckChanged([](TinyModel& m) {
    m.Find(TensorRole::kAttentionOut, 1).values[5] = NAN;
  });
  ExpectFirst(report, Part::kAttention, 1);
  ExpectSays(report, "it gives NaN or infinity");
}

TEST_F(FingerprintTest, StopsOnRequest) {
  verify::CancelToken cancel;
  cancel.Cancel();
  const auto made = MakeFingerprint(*Load(dir_.path()), cancel);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, verify::ErrorCode::kCancelled);
}

}  // namespace
}  // namespace inference
