// SPDX-License-Identifier: Apache-2.0
// From every layout to every other: the same weights, and the same GGUF.
#include "inference/convert/plan_safetensors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "inference/convert/partial_result.h"
#include "tests/inference/convert/convert_fixture.h"
#include "verify/base/file.h"
#include "verify/base/json.h"
#include "verify/base/text.h"
#include "verify/checkpoint/checkpoint.h"
#include "verify/checkpoint/tokenizer_model.h"
#include "verify/structure/architecture.h"

namespace inference {
namespace {

namespace fs = std::filesystem;
using tests::ReadFile;
using tests::TempDir;
using tests::TinyTensor;
using verify::Checkpoint;
using verify::DType;
using verify::ErrorCode;
using verify::Json;
using verify::ModelConfig;
using verify::StrCat;

// `folder` holds exactly those tensors, to the last bit.
void ExpectTensors(const std::string& folder,
                   const std::vector<TinyTensor>& expected) {
  const auto checkpoint = Checkpoint::Open(folder);
  ASSERT_TRUE(checkpoint) << checkpoint.error().ToString();
  EXPECT_EQ(checkpoint->tensors().size(), expected.size());
  for (const TinyTensor& tensor : expected) {
    const verify::TensorInfo* const found =
        checkpoint->tensors().Find(tensor.name);
    ASSERT_NE(found, nullptr) << tensor.name;
    EXPECT_EQ(found->shape, tensor.shape) << tensor.name;
    EXPECT_EQ(found->dtype, tensor.dtype) << tensor.name;
    const auto bytes = checkpoint->Bytes(*found);
    EXPECT_TRUE(std::equal(bytes.begin(), bytes.end(), tensor.data.begin(),
                           tensor.data.end()))
        << tensor.name;
  }
}

void ExpectConverts(ConvertOptions options) {
  const auto outcome = ConvertNow(options);
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_EQ(outcome->path, WithoutSlash(options.output));
}

class PlanSafetensorsTest : public testing::Test {
 protected:
  PlanSafetensorsTest()
      : config_(tests::TinyConfig()),
        tensors_(tests::TinyTensors(config_)),
        input_(WriteMistralFolder(dir_, "in", config_, tensors_)) {}

  const TempDir dir_;
  const ModelConfig config_;
  const std::vector<TinyTensor> tensors_;
  const std::string input_;
};

TEST_F(PlanSafetensorsTest, WritesHuggingFacesLayout) {
  const std::string output = dir_.File("hf");
  ExpectConverts({.input = input_,
                  .output = output + "/",
                  .form = ResultForm::kHuggingFace});
  // Names and the order of q and k: tests/support/tiny_checkpoint.
  ExpectTensors(output, tests::ToHuggingFace(config_, tensors_));
  EXPECT_EQ(ReadFile(output + "/tokenizer.model"),
            ReadFile(input_ + "/tokenizer.model"));
  const Json config = Json::parse(ReadFile(output + "/config.json"));
  EXPECT_EQ(config["architectures"], Json({"MixtralForCausalLM"}));
  EXPECT_EQ(config["torch_dtype"], "bfloat16");
  EXPECT_EQ(config["rms_norm_eps"], 1e-5);
  EXPECT_EQ(config["rope_theta"], 1e6);
  EXPECT_EQ(config["num_local_experts"], 3);
  EXPECT_EQ(config["num_key_value_heads"], 2);
  EXPECT_EQ(config["eos_token_id"], 2);
  EXPECT_TRUE(config["sliding_window"].is_null());
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(output)) {
    ++count;
  }
  EXPECT_EQ(count, 3u);
}

TEST_F(PlanSafetensorsTest, WritesMistralsLayout) {
  const std::string hf = dir_.File("hf");
  const std::string back = dir_.File("back");
  ExpectConverts(
      {.input = input_, .output = hf, .form = ResultForm::kHuggingFace});
  ExpectConverts(
      {.input = hf, .output = back, .form = ResultForm::kConsolidated});
  ExpectTensors(back, tensors_);
  const Json given = Json::parse(ReadFile(input_ + "/params.json"));
  EXPECT_EQ(Json::parse(ReadFile(back + "/params.json")), given);
  EXPECT_TRUE(fs::exists(back + "/consolidated.safetensors"));
}

// The header as docs/formats/safetensors.md has it, read by hand.
TEST_F(PlanSafetensorsTest, SortsAndPadsAsTheFormatAsks) {
  const std::string output = dir_.File("out");
  ExpectConverts(
      {.input = input_, .output = output, .form = ResultForm::kConsolidated});
  const std::string file = ReadFile(output + "/consolidated.safetensors");
  uint64_t size = 0;
  std::memcpy(&size, file.data(), 8);
  EXPECT_EQ(size % 8, 0u);
  const Json header = Json::parse(file.substr(8, size));
  EXPECT_EQ(header["__metadata__"]["format"], "pt");
  std::map<uint64_t, std::string> by_offset;
  std::vector<std::string> sorted;
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__") continue;
    by_offset[value["data_offsets"][0].get<uint64_t>()] = name;
    sorted.push_back(name);
  }
  std::sort(sorted.begin(), sorted.end());
  std::vector<std::string> in_file;
  for (const auto& [offset, name] : by_offset) in_file.push_back(name);
  EXPECT_EQ(in_file, sorted);
}

TEST_F(PlanSafetensorsTest, CutsShardsBySize) {
  constexpr uint64_t kLimit = 40'000;
  const std::string output = dir_.File("hf");
  ExpectConverts({.input = input_,
                  .output = output,
                  .form = ResultForm::kHuggingFace,
                  .split_bytes = kLimit});
  ExpectTensors(output, tests::ToHuggingFace(config_, tensors_));
  const Json index =
      Json::parse(ReadFile(output + "/model.safetensors.index.json"));
  uint64_t total = 0;
  for (const TinyTensor& tensor : tensors_) total += tensor.data.size();
  EXPECT_EQ(index["metadata"]["total_size"], total);
  EXPECT_EQ(index["weight_map"].size(), tensors_.size());
  std::map<std::string, int> shards;
  for (const auto& [tensor, file] : index["weight_map"].items()) {
    ++shards[file.get<std::string>()];
  }
  ASSERT_GT(shards.size(), 5u);
  ASSERT_LT(shards.size(), 10u);
  size_t number = 0;
  for (const auto& [name, count] : shards) {
    EXPECT_LE(fs::file_size(output + "/" + name), kLimit);
    EXPECT_EQ(name, StrCat("model-0000", ++number, "-of-0000", shards.size(),
                           ".safetensors"));
  }
  // Mistral's larger releases are cut, too.
  const std::string parts = dir_.File("parts");
  ExpectConverts({.input = output,
                  .output = parts,
                  .form = ResultForm::kConsolidated,
                  .split_bytes = kLimit});
  ExpectTensors(parts, tensors_);
  EXPECT_FALSE(fs::exists(parts + "/consolidated.safetensors"));
}

// Shapes that released models do not have, or seldom: every layout must give
// the same GGUF file, straight and by way of each other.
TEST(LayoutsTest, AllGiveTheSameGguf) {
  struct Case {
    const char* name;
    void (*change)(ModelConfig&);
  };
  const Case cases[] = {
      {"head_dim is not dim / heads", [](ModelConfig& c) { c.head_dim = 24; }},
      {"odd rows", [](ModelConfig& c) { c.ff_dim = 44; }},
      {"one kv head", [](ModelConfig& c) { c.num_kv_heads = 1; }},
      {"one expert, top 1",
       [](ModelConfig& c) { c.num_experts = c.num_experts_per_token = 1; }},
      {"16 experts, top 1",
       [](ModelConfig& c) {
         c.num_experts = 16;
         c.num_experts_per_token = 1;
       }},
      {"dense with a window",
       [](ModelConfig& c) {
         c.num_experts = c.num_experts_per_token = 0;
         c.sliding_window = 128;
         c.rope_theta = 10000;
       }},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.name);
    const TempDir dir;
    ModelConfig config = tests::TinyConfig();
    one.change(config);
    const std::string input = WriteMistralFolder(dir, "in", config);
    // A padded vocabulary as well.
    dir.Write("in/tokenizer.model", tests::TinyTokenizer(37));
    const std::string straight = dir.File("straight.gguf");
    const std::string bf16 = dir.File("bf16.gguf");
    ExpectConverts({.input = input,
                    .output = straight,
                    .to = DType::kQ4K,
                    .unit_bytes = 1000});
    ExpectConverts({.input = input, .output = bf16});
    const std::pair<std::string, ResultForm> ways[] = {
        {input, ResultForm::kHuggingFace}, {bf16, ResultForm::kConsolidated}};
    for (const auto& [start, form] : ways) {
      const std::string folder = dir.File("folder");
      fs::remove_all(folder);
      ExpectConverts({.input = start, .output = folder, .form = form});
      const std::string round = dir.File("round.gguf");
      ExpectConverts({.input = folder,
                      .output = round,
                      .to = DType::kQ4K,
                      .overwrite = true});
      EXPECT_TRUE(ReadFile(round) == ReadFile(straight));
    }
  }
}

TEST_F(PlanSafetensorsTest, MakesATokenizerOfGguf) {
  const std::string gguf = dir_.File("m.gguf");
  ExpectConverts({.input = input_, .output = gguf, .to = DType::kQ8_0});
  const auto outcome = ConvertNow({.input = gguf,
                                   .output = dir_.File("hf"),
                                   .to = DType::kF16,
                                   .form = ResultForm::kHuggingFace});
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_EQ(ReadFile(dir_.File("hf/tokenizer.model")),
            ReadFile(input_ + "/tokenizer.model"));
  // The tokenizer, and that q8_0 has rounded.
  ASSERT_EQ(outcome->notes.size(), 2u);
  EXPECT_NE(outcome->notes[1].find("q8_0"), std::string::npos);
  // A float of the metadata, as a person would write it.
  EXPECT_NE(ReadFile(dir_.File("hf/config.json")).find("1e-05"),
            std::string::npos);
}

TEST_F(PlanSafetensorsTest, CopiesWhatBelongsToTheTokenizer) {
  dir_.Write("in/tokenizer_config.json", "{\"a\": 1}");
  dir_.Write("in/modeling.py", "print(1)");
  ExpectConverts({.input = input_,
                  .output = dir_.File("hf"),
                  .form = ResultForm::kHuggingFace});
  EXPECT_EQ(ReadFile(dir_.File("hf/tokenizer_config.json")), "{\"a\": 1}");
  EXPECT_FALSE(fs::exists(dir_.File("hf/modeling.py")));
}

TEST_F(PlanSafetensorsTest, RefusesPackedTypesAndFoldersThatAreThere) {
  auto outcome = ConvertNow({.input = input_,
                             .output = dir_.File("hf"),
                             .to = DType::kQ8_0,
                             .form = ResultForm::kHuggingFace});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(outcome.error().id, "E-DTYPE");
  fs::create_directory(dir_.File("hf"));
  outcome = ConvertNow({.input = input_,
                        .output = dir_.File("hf"),
                        .form = ResultForm::kHuggingFace,
                        .overwrite = true});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().id, "E-EXISTS");
  EXPECT_TRUE(fs::is_empty(dir_.File("hf")));
}

TEST_F(PlanSafetensorsTest, KeepsNanWhereAsked) {
  auto tensors = tensors_;
  for (TinyTensor& tensor : tensors) {
    if (tensor.name != "layers.1.attention.wo.weight") continue;
    const uint16_t nan = 0x7fc0;
    std::memcpy(tensor.data.data() + 2 * (5 * 64 + 9), &nan, 2);
  }
  const std::string input = WriteMistralFolder(dir_, "nan", config_, tensors);
  ConvertOptions options{.input = input,
                         .output = dir_.File("hf"),
                         .form = ResultForm::kHuggingFace};
  const auto refused = ConvertNow(options);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().id, "E-NOT-FINITE");
  EXPECT_NE(refused.error().message.find("row 5"), std::string::npos);
  EXPECT_NE(refused.error().hint.find("--allow-nonfinite"), std::string::npos);
  EXPECT_FALSE(fs::exists(dir_.File("hf.partial")));
  options.non_finite = NonFinite::kKeep;
  ExpectConverts(options);
  ExpectTensors(dir_.File("hf"), tests::ToHuggingFace(config_, tensors));
  options.form = ResultForm::kGguf;
  options.output = dir_.File("x.gguf");
  options.to = DType::kQ8_0;
  EXPECT_FALSE(ConvertNow(options));
}

}  // namespace
}  // namespace inference
