// SPDX-License-Identifier: Apache-2.0
#include "verify/structure/number_findings.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/temp_dir.h"
#include "tests/support/test_random.h"
#include "tests/verify/structure/tiny_safetensors.h"
#include "verify/base/text.h"
#include "verify/structure/finding_list.h"
#include "verify/structure/structure_check.h"

namespace verify {
namespace {

constexpr size_t kDim = 64;
constexpr size_t kFf = 96;
constexpr size_t kExperts = 4;

// Tensors in f32 by name, all of scale 0.02, as a trained model has them.
class Weights {
 public:
  explicit Weights(size_t num_layers) {
    Add("tok_embeddings.weight", {200, kDim});
    for (size_t layer = 0; layer < num_layers; ++layer) {
      const std::string prefix = StrCat("layers.", layer, ".");
      Add(prefix + "attention.wq.weight", {kDim, kDim});
      Add(prefix + "attention.wk.weight", {kDim, kDim});
      Add(prefix + "attention_norm.weight", {kDim});
      Add(prefix + "feed_forward.gate.weight", {kExperts, kDim});
      for (size_t expert = 0; expert < kExperts; ++expert) {
        const std::string name =
            StrCat(prefix, "feed_forward.experts.", expert);
        Add(name + ".w1.weight", {kFf, kDim});
        Add(name + ".w2.weight", {kDim, kFf});
      }
    }
    Add("output.weight", {200, kDim});
  }

  void Add(const std::string& name, std::vector<uint64_t> shape) {
    size_t count = 1;
    for (const uint64_t dim : shape) count *= dim;
    std::vector<float> values(count);
    for (float& value : values) value = 0.02f * random_.NextFloat();
    names_.push_back(name);
    shapes_[name] = std::move(shape);
    values_[name] = std::move(values);
  }

  std::vector<float>& operator[](const std::string& name) {
    return values_.at(name);
  }
  void Scale(const std::string& name, float factor) {
    for (float& value : values_.at(name)) value *= factor;
  }

  StructureReport Scan() const {
    tests::TinySafetensors file;
    for (const std::string& name : names_) {
      const std::vector<float>& values = values_.at(name);
      std::string bytes(values.size() * sizeof(float), '\0');
      std::memcpy(bytes.data(), values.data(), bytes.size());
      file.Add(name, "F32", shapes_.at(name), bytes);
    }
    tests::TempDir dir;
    const auto checkpoint =
        Checkpoint::Open(dir.Write("model.safetensors", file.Bytes()));
    EXPECT_TRUE(checkpoint.has_value()) << checkpoint.error().message;
    StructureReport report;
    ThreadPool pool(2);
    const CancelToken cancel;
    EXPECT_TRUE(
        ScanNumbers(*checkpoint, pool, cancel, nullptr, report).has_value());
    return report;
  }

 private:
  tests::TestRandom random_{11};
  std::vector<std::string> names_;
  std::map<std::string, std::vector<uint64_t>> shapes_;
  std::map<std::string, std::vector<float>> values_;
};

void ExpectOne(const StructureReport& report, FindingKind kind,
               Severity severity, std::string_view tensor,
               std::string_view detail) {
  ASSERT_EQ(report.findings.size(), 1u);
  const StructureFinding& finding = report.findings[0];
  EXPECT_EQ(finding.kind, kind) << FindingKindName(finding.kind);
  EXPECT_EQ(finding.severity, severity);
  EXPECT_EQ(finding.tensor, tensor);
  EXPECT_NE(finding.detail.find(detail), std::string::npos) << finding.detail;
  EXPECT_EQ(report.ok(), severity != Severity::kError);
}

TEST(NumberFindingsTest, FindsNothingInAGoodModel) {
  EXPECT_TRUE(Weights(8).Scan().findings.empty());
}

TEST(NumberFindingsTest, C18WrongScaleIsAnErrorWithTheLayer) {
  Weights weights(8);
  weights.Scale("layers.3.attention.wq.weight", 1e5f);
  ExpectOne(weights.Scan(), FindingKind::kScale, Severity::kError,
            "layers.3.attention.wq.weight", "times larger than the median");
  Weights norms(8);
  norms.Scale("layers.5.attention_norm.weight", 1e-6f);
  ExpectOne(norms.Scan(), FindingKind::kScale, Severity::kError,
            "layers.5.attention_norm.weight", "times smaller");
}

TEST(NumberFindingsTest, AnOutlierIsAWarning) {
  Weights weights(8);
  weights.Scale("layers.2.feed_forward.experts.1.w2.weight", 1.0f / 64);
  ExpectOne(weights.Scan(), FindingKind::kScale, Severity::kWarning,
            "layers.2.feed_forward.experts.1.w2.weight", "times smaller");
  // A factor of 16 is within what trained models show.
  Weights mild(8);
  mild.Scale("layers.2.feed_forward.experts.1.w2.weight", 16);
  EXPECT_TRUE(mild.Scan().findings.empty());
  // Three layers are too few to compare.
  Weights few(3);
  few.Scale("layers.2.attention.wq.weight", 1e6f);
  EXPECT_TRUE(few.Scan().findings.empty());
}

TEST(NumberFindingsTest, C18DenormalsAreAnErrorWithTheLayer) {
  Weights weights(3);
  // 0.02 * 2^-130 is below 2^-126, the least normal number.
  weights.Scale("layers.1.feed_forward.experts.2.w1.weight", 0x1p-130f);
  const auto report = weights.Scan();
  ExpectOne(report, FindingKind::kDenormal, Severity::kError,
            "layers.1.feed_forward.experts.2.w1.weight",
            "numbers that are not zero are too small to be normal");
}

TEST(NumberFindingsTest, C18NanIsAnErrorWithTheLayer) {
  Weights weights(3);
  weights["layers.2.attention.wk.weight"][70] = std::nanf("");
  ExpectOne(weights.Scan(), FindingKind::kNotFinite, Severity::kError,
            "layers.2.attention.wk.weight", "1 NaN, first at element 70");
}

TEST(NumberFindingsTest, C17AZeroTailIsAnError) {
  Weights weights(2);
  auto& last = weights["output.weight"];
  // 4096 bytes and more: 1100 of 12800 numbers, more than a twentieth.
  std::fill(last.end() - 1100, last.end(), 0.0f);
  const auto report = weights.Scan();
  // The rows in it are constant too, and are more than a twentieth.
  ASSERT_EQ(report.findings.size(), 2u);
  EXPECT_EQ(report.findings[0].kind, FindingKind::kConstant);
  EXPECT_EQ(report.findings[1].kind, FindingKind::kZeroTail);
  EXPECT_EQ(report.findings[1].severity, Severity::kError);
  EXPECT_EQ(report.findings[1].tensor, "output.weight");
  EXPECT_NE(report.findings[1].detail.find("the last 4400 bytes are zero"),
            std::string::npos)
      << report.findings[1].detail;
}

TEST(NumberFindingsTest, C17ATailOverSeveralTensorsNamesTheFirst) {
  Weights weights(2);
  auto& before = weights["layers.1.feed_forward.experts.3.w2.weight"];
  std::fill(before.end() - 10, before.end(), 0.0f);
  std::fill(weights["output.weight"].begin(), weights["output.weight"].end(),
            0.0f);
  const auto report = weights.Scan();
  ASSERT_EQ(report.findings.size(), 2u);
  EXPECT_EQ(report.findings[0].tensor, "output.weight");
  EXPECT_EQ(report.findings[1].kind, FindingKind::kZeroTail);
  EXPECT_EQ(report.findings[1].tensor,
            "layers.1.feed_forward.experts.3.w2.weight");
  EXPECT_FALSE(report.ok());
}

TEST(NumberFindingsTest, PaddingOfAVocabularyIsNoTail) {
  Weights weights(2);
  auto& last = weights["output.weight"];
  std::fill(last.end() - 9 * static_cast<std::ptrdiff_t>(kDim), last.end(),
            0.0f);
  EXPECT_TRUE(weights.Scan().findings.empty());  // 2304 bytes
}

TEST(NumberFindingsTest, ADeadGateIsAnError) {
  const std::string gate = "layers.1.feed_forward.gate.weight";
  Weights zero(3);
  std::fill(zero[gate].begin(), zero[gate].end(), 0.0f);
  const auto report = zero.Scan();
  ASSERT_EQ(report.findings.size(), 2u);
  EXPECT_EQ(report.findings[0].kind, FindingKind::kConstant);
  EXPECT_EQ(report.findings[1].kind, FindingKind::kDeadGate);
  EXPECT_EQ(report.findings[1].tensor, gate);
  EXPECT_FALSE(report.ok());

  Weights same(3);
  for (size_t expert = 1; expert < kExperts; ++expert) {
    for (size_t i = 0; i < kDim; ++i) {
      same[gate][expert * kDim + i] = same[gate][i];
    }
  }
  ExpectOne(same.Scan(), FindingKind::kDeadGate, Severity::kError, gate,
            "all rows are the same");
}

TEST(NumberFindingsTest, AGateThatFavoursIsAWarning) {
  const std::string gate = "layers.0.feed_forward.gate.weight";
  Weights large(3);
  for (size_t i = 0; i < kDim; ++i) large[gate][2 * kDim + i] *= 1000;
  ExpectOne(large.Scan(), FindingKind::kDeadGate, Severity::kWarning, gate,
            "the row of expert 2 is");
  Weights twins(3);
  for (size_t i = 0; i < kDim; ++i) {
    twins[gate][3 * kDim + i] = twins[gate][kDim + i];
  }
  ExpectOne(twins.Scan(), FindingKind::kDeadGate, Severity::kWarning, gate,
            "experts 1 and 3 have the same row");
}

TEST(NumberFindingsTest, FindsIdenticalExpertsAndLayers) {
  Weights weights(3);
  weights["layers.1.feed_forward.experts.3.w1.weight"] =
      weights["layers.1.feed_forward.experts.0.w1.weight"];
  ExpectOne(weights.Scan(), FindingKind::kIdentical, Severity::kWarning,
            "layers.1.feed_forward.experts.3.w1.weight",
            "the same numbers as "
            "\"layers.1.feed_forward.experts.0.w1.weight\"");
  Weights layers(3);
  layers["layers.2.attention.wk.weight"] =
      layers["layers.0.attention.wk.weight"];
  ExpectOne(layers.Scan(), FindingKind::kIdentical, Severity::kWarning,
            "layers.2.attention.wk.weight",
            "the same numbers as \"layers.0.attention.wk.weight\"");
}

TEST(NumberFindingsTest, FindsIdenticalExpertsInOneTensor) {
  Weights weights(1);
  const std::string name = "blk.0.ffn_up_exps.weight";
  weights.Add(name, {3, kFf, kDim});
  const size_t slab = kFf * kDim;
  std::copy_n(weights[name].begin(), slab,
              weights[name].begin() + static_cast<std::ptrdiff_t>(2 * slab));
  ExpectOne(weights.Scan(), FindingKind::kIdentical, Severity::kWarning, name,
            "expert 2: the same numbers as expert 0 of "
            "\"blk.0.ffn_up_exps.weight\"");
}

TEST(NumberFindingsTest, TiedMatricesStoredTwiceAreANote) {
  Weights weights(2);
  weights["output.weight"] = weights["tok_embeddings.weight"];
  ExpectOne(weights.Scan(), FindingKind::kIdentical, Severity::kNote,
            "output.weight", "tied, stored twice");
}

TEST(NumberFindingsTest, FindsConstantRows) {
  Weights weights(2);
  const std::string name = "layers.0.attention.wq.weight";
  std::fill_n(weights[name].begin() + 5 * static_cast<std::ptrdiff_t>(kDim),
              kDim, 0.0f);
  std::fill_n(weights[name].begin() + 9 * static_cast<std::ptrdiff_t>(kDim),
              kDim, 0.25f);
  ExpectOne(weights.Scan(), FindingKind::kConstant, Severity::kWarning, name,
            "2 of 64 rows are all the same number (1 of them zero), first row "
            "5");
  // Of 200 rows of an embedding 9 may be padding.
  Weights padded(2);
  auto& embedding = padded["tok_embeddings.weight"];
  std::fill_n(embedding.begin(), 9 * kDim, 0.0f);
  EXPECT_TRUE(padded.Scan().findings.empty());
}

// C6: the second half of the layers from a model of another scale.
TEST(NumberFindingsTest, C6AJumpOfTheScaleIsAWarning) {
  Weights weights(8);
  for (size_t layer = 5; layer < 8; ++layer) {
    const std::string prefix = StrCat("layers.", layer, ".");
    weights.Scale(prefix + "attention.wq.weight", 4);
    weights.Scale(prefix + "attention.wk.weight", 0.2f);
    for (size_t expert = 0; expert < kExperts; ++expert) {
      weights.Scale(
          StrCat(prefix, "feed_forward.experts.", expert, ".w1.weight"), 5);
    }
  }
  ExpectOne(weights.Scan(), FindingKind::kMixed, Severity::kWarning, "",
            "jumps at layer 5");
  // A scale that grows evenly is what deep models have.
  Weights growing(8);
  for (size_t layer = 0; layer < 8; ++layer) {
    const std::string prefix = StrCat("layers.", layer, ".");
    const float factor = std::pow(1.5f, static_cast<float>(layer));
    growing.Scale(prefix + "attention.wq.weight", factor);
    growing.Scale(prefix + "attention.wk.weight", factor);
  }
  EXPECT_TRUE(growing.Scan().findings.empty());
}

TEST(NumberFindingsTest, PlacesOfTensors) {
  const TensorPlace expert = PlaceOf("model.layers.3.mlp.experts.17.w1.weight");
  EXPECT_EQ(expert.role, "model.layers.#.mlp.experts.#.w1.weight");
  EXPECT_EQ(expert.layer(), 3);
  EXPECT_EQ(expert.expert(), 17);
  const TensorPlace norm = PlaceOf("norm.weight");
  EXPECT_EQ(norm.role, "norm.weight");
  EXPECT_EQ(norm.layer(), -1);
  EXPECT_EQ(PlaceOf("").role, "");
  EXPECT_EQ(PlaceOf("a.99999999999999999999.").role, "a.99999999999999999999.");
}

}  // namespace
}  // namespace verify
