// SPDX-License-Identifier: Apache-2.0
// Models of unusual shapes through every layout that is read, every type and
// every form that is written.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "inference/convert/convert.h"
#include "inference/convert/quant_policy.h"
#include "inference/model/model.h"
#include "tests/inference/convert/convert_fixture.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_checkpoint.h"
#include "tests/support/tiny_model.h"
#include "verify/base/json.h"
#include "verify/base/text.h"

namespace inference {
namespace {

using tests::TempDir;
using tests::TinyTensor;
using verify::DType;
using verify::ModelConfig;
using verify::StrCat;
using verify::TensorRole;

// What a type becomes for rows of so many elements, and for how many tensors:
// by hand.
struct ExpectedFallback {
  DType written;
  uint64_t row_elements;
  uint64_t num_tensors;

  bool operator==(const ExpectedFallback&) const = default;
};

struct OddShape {
  const char* name;
  std::function<void(ModelConfig&)> change;
  // Of --to q4_k, which has blocks of 256.
  std::vector<ExpectedFallback> fallbacks;
  size_t num_pieces = 288;
};

void PrintTo(const OddShape& shape, std::ostream* out) { *out << shape.name; }

// The base has rows of 64 and 96 elements: two layers, each with q, k, v and o
// of 64, gate and up of 64 and down of 96; embedding and output of 64.
std::vector<OddShape> Shapes() {
  const auto q8 = [](uint64_t row, uint64_t count) {
    return ExpectedFallback{DType::kQ8_0, row, count};
  };
  const auto bf16 = [](uint64_t row, uint64_t count) {
    return ExpectedFallback{DType::kBF16, row, count};
  };
  return {
      {"HeadsWiderThanTheModel",
       [](ModelConfig& c) { c.head_dim = 24; },
       {q8(64, 12), q8(96, 4)}},
      {"HeadsNarrowerThanTheModel",
       [](ModelConfig& c) { c.head_dim = 8; },
       {q8(32, 2), q8(64, 12), q8(96, 2)}},
      {"RowsThatNoBlockDivides",
       [](ModelConfig& c) {
         c.dim = 48;
         c.ff_dim = 80;
       },
       {q8(64, 2), bf16(48, 12), bf16(80, 2)}},
      {"RowsOfOneSuperBlockAndOfNone",
       [](ModelConfig& c) {
         c.dim = 256;
         c.head_dim = 64;
         c.ff_dim = 320;
       },
       {q8(320, 2)}},
      {"OneKvHead",
       [](ModelConfig& c) { c.num_kv_heads = 1; },
       {q8(64, 14), q8(96, 2)}},
      {"OneExpert",
       [](ModelConfig& c) { c.num_experts = c.num_experts_per_token = 1; },
       {q8(64, 14), q8(96, 2)}},
      {"SixteenExperts",
       [](ModelConfig& c) { c.num_experts = 16; },
       {q8(64, 14), q8(96, 2)}},
      {"SixteenExpertsOneForEachToken",
       [](ModelConfig& c) {
         c.num_experts = 16;
         c.num_experts_per_token = 1;
       },
       {q8(64, 14), q8(96, 2)}},
      {"EveryExpertForEachToken",
       [](ModelConfig& c) { c.num_experts_per_token = c.num_experts; },
       {q8(64, 14), q8(96, 2)}},
      {"NoExperts",
       [](ModelConfig& c) { c.num_experts = c.num_experts_per_token = 0; },
       {q8(64, 14), q8(96, 2)}},
      {"FewerPiecesThanRows",
       [](ModelConfig& c) { c.vocab_size = 301; },
       {q8(64, 14), q8(96, 2)}},
      {"ASlidingWindow",
       [](ModelConfig& c) {
         c.sliding_window = 3;
         c.rope_theta = 1e4;
       },
       {q8(64, 14), q8(96, 2)}},
  };
}

// Experts of a layer below each other, w2 transposed, as the first upload of
// Mixtral to Hugging Face had them.
std::vector<TinyTensor> Stacked(const std::vector<TinyTensor>& tensors) {
  std::vector<TinyTensor> out;
  std::map<std::string, TinyTensor> stacks;
  for (const TinyTensor& tensor : tensors) {
    const size_t experts = tensor.name.find("feed_forward.experts.");
    const size_t gate = tensor.name.find("feed_forward.gate.");
    if (experts == std::string::npos) {
      out.push_back(tensor);
      if (gate != std::string::npos) {
        out.back().name.replace(gate, 12, "block_sparse_moe");
      }
      continue;
    }
    const std::string w = tensor.name.substr(tensor.name.size() - 9, 2);
    TinyTensor& stack =
        stacks[StrCat(tensor.name.substr(0, experts), "block_sparse_moe.", w)];
    const uint64_t rows = w == "w2" ? tensor.shape[1] : tensor.shape[0];
    const uint64_t cols = w == "w2" ? tensor.shape[0] : tensor.shape[1];
    if (stack.shape.empty()) stack.shape = {0, cols};
    stack.shape[0] += rows;
    for (uint64_t r = 0; r < rows; ++r) {
      for (uint64_t c = 0; c < cols; ++c) {
        const size_t at = 2 * (w == "w2" ? c * rows + r : r * cols + c);
        stack.data.insert(stack.data.end(), &tensor.data[at],
                          &tensor.data[at] + 2);
      }
    }
  }
  for (auto& [name, stack] : stacks) {
    stack.name = name;
    out.push_back(std::move(stack));
  }
  return out;
}

class OddShapesTest : public testing::TestWithParam<OddShape> {
 protected:
  OddShapesTest() : config_(tests::TinyModelConfig()) {
    GetParam().change(config_);
    const std::vector<TinyTensor> tensors = tests::TinyTensors(config_);
    WriteFolder("mistral", "consolidated.safetensors", tensors);
    WriteFolder("hf", "model.safetensors",
                tests::ToHuggingFace(config_, tensors));
    if (config_.is_moe()) {
      WriteFolder("stacked", "consolidated.safetensors", Stacked(tensors));
    }
  }

  void WriteFolder(const std::string& name, const std::string& weights,
                   const std::vector<TinyTensor>& tensors) {
    dir_.Write(StrCat(name, "/", weights), tests::SafetensorsFile(tensors));
    if (name == "hf") {
      verify::Json config =
          verify::Json::parse(tests::HuggingFaceJson(config_));
      // Without the key a dense model would have a window of 4096.
      if (!config_.sliding_window) config["sliding_window"] = nullptr;
      dir_.Write("hf/config.json", config.dump());
    } else {
      dir_.Write(StrCat(name, "/params.json"), tests::ParamsJson(config_));
    }
    dir_.Write(StrCat(name, "/tokenizer.model"),
               verify::SerializeTokenizerModel(
                   tests::TinyModelTokenizer(GetParam().num_pieces)));
    sources_.push_back(dir_.File(name));
  }

  // The path of the result, which takes the place of an earlier one.
  std::string ConvertTo(const std::string& input, ResultForm form,
                        const WeightType& type, const std::string& name) {
    ConvertOptions options{.input = input, .output = dir_.File(name)};
    options.to = type.dtype;
    options.mix = type.mix;
    options.form = form;
    options.overwrite = form == ResultForm::kGguf;
    options.num_threads = 1;
    auto outcome = ConvertNow(options);
    EXPECT_TRUE(outcome) << input << ": " << outcome.error().ToString();
    if (!outcome) return "";
    outcome_ = *std::move(outcome);
    return form == ResultForm::kGguf ? outcome_.path : options.output;
  }

  static std::vector<float> Logits(const std::string& path) {
    const auto model = Model::Load(path, {.num_threads = 1});
    EXPECT_TRUE(model) << path << ": " << model.error().ToString();
    if (!model) return {};
    auto session = Session::Create(**model, 16);
    EXPECT_TRUE(session);
    const std::vector<TokenId> tokens = {1, 100, 7, 263, 264, 287, 5};
    EXPECT_TRUE(session->Append(tokens));
    const auto logits = session->logits();
    return {logits.begin(), logits.end()};
  }

  const TempDir dir_;
  ModelConfig config_;
  std::vector<std::string> sources_;
  ConvertOutcome outcome_;
};

// Bits, not values: NaN would be equal to nothing.
bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  const auto bytes_a = std::as_bytes(std::span(a));
  const auto bytes_b = std::as_bytes(std::span(b));
  return std::equal(bytes_a.begin(), bytes_a.end(), bytes_b.begin(),
                    bytes_b.end());
}

TEST_P(OddShapesTest, GivesTheSameGgufFromEveryLayout) {
  sources_.push_back(
      ConvertTo(sources_[0], ResultForm::kGguf, {DType::kBF16}, "whole.gguf"));
  sources_.push_back(ConvertTo(sources_[0], ResultForm::kHuggingFace,
                               {DType::kBF16}, "to-hf"));
  sources_.push_back(ConvertTo(sources_[0], ResultForm::kConsolidated,
                               {DType::kBF16}, "to-consolidated"));
  for (const std::string& name : WeightTypeNames()) {
    const WeightType type = *ParseWeightType(name);
    const std::string expected = tests::ReadFile(
        ConvertTo(sources_[0], ResultForm::kGguf, type, "first.gguf"));
    const std::vector<float> logits = Logits(dir_.File("first.gguf"));
    EXPECT_TRUE(std::all_of(logits.begin(), logits.end(), [](float logit) {
      return std::isfinite(logit);
    })) << name;
    for (size_t i = 1; i < sources_.size(); ++i) {
      const std::string other = tests::ReadFile(
          ConvertTo(sources_[i], ResultForm::kGguf, type, "other.gguf"));
      EXPECT_TRUE(other == expected) << name << " from " << sources_[i];
    }
  }
}

TEST_P(OddShapesTest, GivesTheSameLogitsInEveryForm) {
  const std::vector<float> of_source = Logits(sources_[0]);
  EXPECT_EQ(of_source.size(), config_.vocab_size);
  for (const std::string& source : sources_) {
    EXPECT_TRUE(SameBits(Logits(source), of_source)) << source;
  }
  // f32 and f16 hold every bf16 number of these models.
  for (const DType dtype : {DType::kBF16, DType::kF16, DType::kF32}) {
    const std::string name(verify::DTypeName(dtype));
    const std::vector<float> expected = Logits(ConvertTo(
        sources_[0], ResultForm::kGguf, {dtype}, StrCat(name, ".gguf")));
    if (dtype == DType::kBF16) {
      EXPECT_TRUE(SameBits(expected, of_source));
    }
    for (const std::string& source : sources_) {
      const size_t slash = source.rfind('/');
      const std::string stem = StrCat(source.substr(slash + 1), "-", name);
      EXPECT_TRUE(SameBits(Logits(ConvertTo(source, ResultForm::kHuggingFace,
                                            {dtype}, StrCat(stem, "-hf"))),
                           expected))
          << stem;
      EXPECT_TRUE(SameBits(Logits(ConvertTo(source, ResultForm::kConsolidated,
                                            {dtype}, StrCat(stem, "-own"))),
                           expected))
          << stem;
    }
  }
}

TEST_P(OddShapesTest, SaysWhichRowsGotAnotherType) {
  ConvertTo(sources_[0], ResultForm::kGguf, {DType::kQ4K}, "q4_k.gguf");
  std::vector<ExpectedFallback> found;
  for (const FallbackForecast& fallback : outcome_.fallbacks) {
    EXPECT_EQ(fallback.wanted, DType::kQ4K);
    found.push_back(
        {fallback.written, fallback.row_elements, fallback.num_tensors});
    const std::string said = StrCat("rows of ", fallback.row_elements, " (\"");
    EXPECT_TRUE(std::any_of(
        outcome_.notes.begin(), outcome_.notes.end(),
        [&](const std::string& note) { return note.starts_with(said); }))
        << said;
  }
  const auto order = [](const ExpectedFallback& fallback) {
    return std::tuple(fallback.written, fallback.row_elements);
  };
  std::sort(found.begin(), found.end(),
            [&](const auto& a, const auto& b) { return order(a) < order(b); });
  std::vector<ExpectedFallback> expected = GetParam().fallbacks;
  std::sort(expected.begin(), expected.end(),
            [&](const auto& a, const auto& b) { return order(a) < order(b); });
  EXPECT_EQ(found.size(), expected.size());
  EXPECT_TRUE(found == expected);
}

INSTANTIATE_TEST_SUITE_P(Shapes, OddShapesTest, testing::ValuesIn(Shapes()),
                         [](const testing::TestParamInfo<OddShape>& shape) {
                           return std::string(shape.param.name);
                         });

}  // namespace
}  // namespace inference
