// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/convert.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "inference/quant/quantize.h"
#include "inference/text/load_tokenizer.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_checkpoint.h"
#include "verify/base/file.h"
#include "verify/base/text.h"
#include "verify/checkpoint/checkpoint.h"
#include "verify/structure/architecture.h"

namespace inference {
namespace {

namespace fs = std::filesystem;
using tests::TempDir;
using tests::TinyTensor;
using verify::Checkpoint;
using verify::DType;
using verify::ErrorCode;
using verify::ModelConfig;
using verify::NameScheme;
using verify::Result;
using verify::StrCat;
using verify::TensorInfo;

Result<ConvertOutcome> ConvertWith(const ConvertOptions& options) {
  const verify::CancelToken cancel;
  return Convert(options, cancel, nullptr);
}

size_t NumFiles(const std::string& folder) {
  size_t count = 0;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_regular_file()) ++count;
  }
  return count;
}

// A folder with a tiny checkpoint in Mistral's layout; its path.
std::string WriteMistral(const TempDir& dir, std::string_view name,
                         const ModelConfig& config,
                         const std::vector<TinyTensor>& tensors) {
  const std::string folder(name);
  dir.Write(folder + "/consolidated.safetensors",
            tests::SafetensorsFile(tensors));
  dir.Write(folder + "/params.json", tests::ParamsJson(config));
  dir.Write(folder + "/tokenizer.model",
            tests::TinyTokenizer(config.vocab_size));
  return dir.File(folder);
}

std::vector<float> Decoded(const Checkpoint& checkpoint,
                           std::string_view name) {
  const TensorInfo* tensor = checkpoint.tensors().Find(name);
  EXPECT_NE(tensor, nullptr) << name;
  if (tensor == nullptr) return {};
  std::vector<float> values(
      static_cast<size_t>(*verify::NumElements(tensor->shape)));
  DecodeRow(tensor->dtype, checkpoint.Bytes(*tensor), values);
  return values;
}

void Append(std::vector<float>& to, const std::vector<float>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

TEST(ConvertTest, HoldsTheDemoModelsWeights) {
  const TempDir dir;
  const std::string input = StrCat(LODESTONE_SOURCE_DIR, "/magnets/demo");
  const std::string output = dir.File("demo.gguf");
  const auto outcome = ConvertWith({.input = input, .output = output});
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  EXPECT_EQ(outcome->num_tensors, 43u);  // 3 + 4 * 10
  EXPECT_EQ(outcome->bytes, fs::file_size(output));
  EXPECT_TRUE(outcome->notes.empty());
  EXPECT_EQ(NumFiles(dir.path()), 1u);

  auto source = Checkpoint::Open(input);
  ASSERT_TRUE(source);
  auto result = Checkpoint::Open(output);
  ASSERT_TRUE(result) << result.error().ToString();
  EXPECT_EQ(result->tensors().size(), 43u);
  // Names by hand, for one tensor of each kind.
  const std::vector<std::pair<std::string, std::string>> plain = {
      {"token_embd.weight", "tok_embeddings.weight"},
      {"output_norm.weight", "norm.weight"},
      {"output.weight", "output.weight"},
      {"blk.0.attn_norm.weight", "layers.0.attention_norm.weight"},
      {"blk.1.attn_q.weight", "layers.1.attention.wq.weight"},
      {"blk.2.attn_k.weight", "layers.2.attention.wk.weight"},
      {"blk.3.attn_v.weight", "layers.3.attention.wv.weight"},
      {"blk.0.attn_output.weight", "layers.0.attention.wo.weight"},
      {"blk.1.ffn_norm.weight", "layers.1.ffn_norm.weight"},
      {"blk.2.ffn_gate_inp.weight", "layers.2.feed_forward.gate.weight"}};
  for (const auto& [gguf, mistral] : plain) {
    EXPECT_EQ(Decoded(*result, gguf), Decoded(*source, mistral)) << gguf;
  }
  EXPECT_EQ(result->tensors().Find("blk.2.ffn_gate_inp.weight")->dtype,
            DType::kF32);
  EXPECT_EQ(result->tensors().Find("output_norm.weight")->dtype, DType::kF32);
  EXPECT_EQ(result->tensors().Find("token_embd.weight")->dtype, DType::kBF16);
  const std::vector<std::pair<std::string, std::string>> merged = {
      {"ffn_gate_exps", "w1"}, {"ffn_down_exps", "w2"}, {"ffn_up_exps", "w3"}};
  for (const auto& [gguf, mistral] : merged) {
    std::vector<float> experts;
    for (int x = 0; x < 8; ++x) {
      Append(experts, Decoded(*source, StrCat("layers.3.feed_forward.experts.",
                                              x, ".", mistral, ".weight")));
    }
    EXPECT_EQ(Decoded(*result, StrCat("blk.3.", gguf, ".weight")), experts);
  }
}

TEST(ConvertTest, WritesTheMetadataThatLlamaCppReads) {
  const TempDir dir;
  const std::string output = dir.File("demo.gguf");
  ASSERT_TRUE(
      ConvertWith({.input = StrCat(LODESTONE_SOURCE_DIR, "/magnets/demo"),
                   .output = output,
                   .to = DType::kQ8_0}));
  const auto result = Checkpoint::Open(output);
  ASSERT_TRUE(result);
  const verify::GgufFile& gguf = *result->gguf();
  EXPECT_EQ(gguf.version, 3u);
  EXPECT_EQ(*gguf.String("general.architecture"), "llama");
  EXPECT_EQ(gguf.Unsigned("general.file_type"), 7u);
  EXPECT_EQ(gguf.Unsigned("llama.block_count"), 4u);
  EXPECT_EQ(gguf.Unsigned("llama.embedding_length"), 256u);
  EXPECT_EQ(gguf.Unsigned("llama.feed_forward_length"), 256u);
  EXPECT_EQ(gguf.Unsigned("llama.attention.head_count"), 8u);
  EXPECT_EQ(gguf.Unsigned("llama.attention.head_count_kv"), 2u);
  EXPECT_EQ(gguf.Unsigned("llama.rope.dimension_count"), 32u);
  EXPECT_EQ(gguf.Float("llama.rope.freq_base"), 1e6);
  EXPECT_EQ(gguf.Unsigned("llama.expert_count"), 8u);
  EXPECT_EQ(gguf.Unsigned("llama.expert_used_count"), 2u);
  EXPECT_EQ(gguf.Unsigned("llama.vocab_size"), 2048u);
  EXPECT_FALSE(gguf.Unsigned("llama.attention.sliding_window").has_value());
  EXPECT_EQ(*gguf.String("tokenizer.ggml.model"), "llama");
  EXPECT_EQ(gguf.Unsigned("tokenizer.ggml.bos_token_id"), 1u);
  EXPECT_EQ(gguf.Unsigned("tokenizer.ggml.eos_token_id"), 2u);
  EXPECT_EQ(gguf.Unsigned("tokenizer.ggml.unknown_token_id"), 0u);
  EXPECT_EQ(gguf.Bool("tokenizer.ggml.add_bos_token"), true);
  EXPECT_EQ(gguf.Bool("tokenizer.ggml.add_space_prefix"), true);
  EXPECT_EQ(gguf.String("tokenizer.chat_template"), nullptr);

  // The vocabulary comes back piece by piece.
  const auto written = LoadTokenizerModel(*result);
  ASSERT_TRUE(written) << written.error().ToString();
  const auto original =
      verify::ReadTokenizerModel(verify::AsBytes(tests::ReadFile(
          StrCat(LODESTONE_SOURCE_DIR, "/magnets/demo/tokenizer.model"))));
  ASSERT_TRUE(original);
  EXPECT_EQ(verify::SerializeTokenizerModel(*written),
            verify::SerializeTokenizerModel(*original));
}

TEST(ConvertTest, PacksRowsAsQ8) {
  const TempDir dir;
  const ModelConfig config = tests::TinyConfig();
  const std::string input =
      WriteMistral(dir, "in", config, tests::TinyTensors(config));
  const std::string output = dir.File("out.gguf");
  ASSERT_TRUE(
      ConvertWith({.input = input, .output = output, .to = DType::kQ8_0}));
  auto source = Checkpoint::Open(input);
  auto result = Checkpoint::Open(output);
  ASSERT_TRUE(source);
  ASSERT_TRUE(result);
  std::vector<float> experts;
  for (int x = 0; x < 3; ++x) {
    Append(experts, Decoded(*source, StrCat("layers.1.feed_forward.experts.", x,
                                            ".w2.weight")));
  }
  const TensorInfo* down = result->tensors().Find("blk.1.ffn_down_exps.weight");
  ASSERT_NE(down, nullptr);
  EXPECT_EQ(down->dtype, DType::kQ8_0);
  EXPECT_EQ(down->shape, (std::vector<uint64_t>{3, 64, 96}));
  std::vector<std::byte> packed(static_cast<size_t>(down->size_bytes));
  ASSERT_TRUE(EncodeRow(DType::kQ8_0, experts, packed));
  const auto bytes = result->Bytes(*down);
  EXPECT_TRUE(
      std::equal(bytes.begin(), bytes.end(), packed.begin(), packed.end()));
}

// Hugging Face's order of q and k rows is undone: both layouts give one file.
TEST(ConvertTest, GivesTheSameFileFromEveryLayout) {
  const TempDir dir;
  const ModelConfig config = tests::TinyConfig();
  const auto tensors = tests::TinyTensors(config);
  const std::string mistral = WriteMistral(dir, "mistral", config, tensors);
  dir.Write("hf/model.safetensors",
            tests::SafetensorsFile(tests::ToHuggingFace(config, tensors)));
  dir.Write("hf/config.json", tests::HuggingFaceJson(config));
  dir.Write("hf/tokenizer.model", tests::TinyTokenizer(config.vocab_size));
  for (const DType to :
       {DType::kBF16, DType::kQ8_0, DType::kF16, DType::kF32}) {
    const std::string a = dir.File("a.gguf");
    const std::string b = dir.File("b.gguf");
    auto outcome = ConvertWith(
        {.input = mistral, .output = a, .to = to, .overwrite = true});
    ASSERT_TRUE(outcome) << outcome.error().ToString();
    outcome = ConvertWith(
        {.input = dir.File("hf"), .output = b, .to = to, .overwrite = true});
    ASSERT_TRUE(outcome) << outcome.error().ToString();
    EXPECT_EQ(tests::ReadFile(a), tests::ReadFile(b));
  }
}

TEST(ConvertTest, ConvertsGgufOnwards) {
  const TempDir dir;
  const ModelConfig config = tests::TinyConfig();
  const std::string input =
      WriteMistral(dir, "in", config, tests::TinyTensors(config));
  const std::string bf16 = dir.File("bf16.gguf");
  const std::string direct = dir.File("direct.gguf");
  const std::string onwards = dir.File("onwards.gguf");
  const std::string again = dir.File("again.gguf");
  ASSERT_TRUE(ConvertWith({.input = input, .output = bf16}));
  ASSERT_TRUE(
      ConvertWith({.input = input, .output = direct, .to = DType::kQ8_0}));
  ASSERT_TRUE(
      ConvertWith({.input = bf16, .output = onwards, .to = DType::kQ8_0}));
  ASSERT_TRUE(
      ConvertWith({.input = onwards, .output = again, .to = DType::kQ8_0}));
  EXPECT_EQ(tests::ReadFile(onwards), tests::ReadFile(direct));
  EXPECT_EQ(tests::ReadFile(again), tests::ReadFile(direct));
}

TEST(ConvertTest, DoesNotDependOnThreadsOrUnits) {
  const TempDir dir;
  const ModelConfig config = tests::TinyConfig();
  const std::string input =
      WriteMistral(dir, "in", config, tests::TinyTensors(config));
  std::vector<std::string> files;
  for (const size_t threads : {1u, 2u, 3u, 8u}) {
    for (const uint64_t unit_bytes : {uint64_t{1000}, kDefaultUnitBytes}) {
      const std::string output =
          dir.File(StrCat(threads, "-", unit_bytes, ".gguf"));
      ASSERT_TRUE(ConvertWith({.input = input,
                               .output = output,
                               .to = DType::kQ8_0,
                               .num_threads = threads,
                               .unit_bytes = unit_bytes}));
      files.push_back(tests::ReadFile(output));
    }
  }
  for (const std::string& file : files) EXPECT_EQ(file, files[0]);
}

TEST(ConvertTest, KeepsOddRowsInBf16AndSaysSo) {
  const TempDir dir;
  ModelConfig config = tests::TinyConfig();
  config.ff_dim = 44;
  config.num_experts = 0;
  config.num_experts_per_token = 0;
  config.sliding_window = 128;
  config.rope_theta = 10000;
  const std::string input =
      WriteMistral(dir, "in", config, tests::TinyTensors(config));
  const std::string output = dir.File("out.gguf");
  const auto outcome =
      ConvertWith({.input = input, .output = output, .to = DType::kQ8_0});
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  ASSERT_EQ(outcome->notes.size(), 1u);
  EXPECT_NE(outcome->notes[0].find("blk.0.ffn_down.weight"), std::string::npos);
  const auto result = Checkpoint::Open(output);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->tensors().Find("blk.0.ffn_down.weight")->dtype,
            DType::kBF16);
  EXPECT_EQ(result->tensors().Find("blk.0.ffn_up.weight")->dtype, DType::kQ8_0);
  EXPECT_EQ(result->gguf()->Unsigned("llama.attention.sliding_window"), 128u);
  EXPECT_EQ(result->gguf()->Float("llama.rope.freq_base"), 1e4);
}

TEST(ConvertTest, MarksRowsWithoutAPieceAsUnused) {
  const TempDir dir;
  const ModelConfig config = tests::TinyConfig();
  const std::string input =
      WriteMistral(dir, "in", config, tests::TinyTensors(config));
  dir.Write("in/tokenizer.model", tests::TinyTokenizer(37));
  const std::string output = dir.File("out.gguf");
  const auto outcome = ConvertWith({.input = input, .output = output});
  ASSERT_TRUE(outcome) << outcome.error().ToString();
  ASSERT_EQ(outcome->notes.size(), 1u);
  const auto result = Checkpoint::Open(output);
  ASSERT_TRUE(result);
  const auto model = LoadTokenizerModel(*result);
  ASSERT_TRUE(model);
  ASSERT_EQ(model->pieces.size(), 40u);
  EXPECT_EQ(model->pieces[36].type, verify::PieceType::kNormal);
  EXPECT_EQ(model->pieces[37].type, verify::PieceType::kUnused);

  dir.Write("in/tokenizer.model", tests::TinyTokenizer(41));
  const auto refused =
      ConvertWith({.input = input, .output = output, .overwrite = true});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(refused.error().id, "E-TOKENIZER");
}

TEST(ConvertTest, OverwritesOnlyWhenAsked) {
  const TempDir dir;
  const ModelConfig config = tests::TinyConfig();
  const std::string input =
      WriteMistral(dir, "in", config, tests::TinyTensors(config));
  const std::string output = dir.Write("out.gguf", "precious");
  auto outcome = ConvertWith({.input = input, .output = output});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kIo);
  EXPECT_EQ(outcome.error().id, "E-EXISTS");
  EXPECT_EQ(tests::ReadFile(output), "precious");
  EXPECT_TRUE(
      ConvertWith({.input = input, .output = output, .overwrite = true}));
  EXPECT_EQ(tests::ReadFile(output).substr(0, 4), "GGUF");
  // Neither a folder nor the source itself.
  outcome = ConvertWith(
      {.input = input, .output = dir.File("in"), .overwrite = true});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().id, "E-EXISTS");
  outcome = ConvertWith({.input = output, .output = output, .overwrite = true});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(NumFiles(dir.path()), 1u);
}

TEST(ConvertTest, RefusesNumbersThatAreNotFiniteAndLeavesNothing) {
  const TempDir dir;
  const ModelConfig config = tests::TinyConfig();
  auto tensors = tests::TinyTensors(config);
  for (TinyTensor& tensor : tensors) {
    if (tensor.name != "layers.1.attention.wo.weight") continue;
    const uint16_t nan = 0x7fc0;
    std::memcpy(tensor.data.data() + 2 * (5 * 64 + 9), &nan, 2);
  }
  const std::string input = WriteMistral(dir, "in", config, tensors);
  for (const DType to : {DType::kBF16, DType::kQ8_0}) {
    const auto outcome =
        ConvertWith({.input = input, .output = dir.File("out.gguf"), .to = to});
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, ErrorCode::kCorrupt);
    EXPECT_EQ(outcome.error().id, "E-NOT-FINITE");
    EXPECT_NE(outcome.error().message.find("row 5"), std::string::npos);
    EXPECT_EQ(NumFiles(dir.path()), 0u);
  }
}

// Cuts the source off at a given call.
class CuttingSink final : public verify::ProgressSink {
 public:
  CuttingSink(std::string path, int at) : path_(std::move(path)), at_(at) {}

  void OnProgress(std::string_view, uint64_t, uint64_t) override {
    if (++calls_ != at_) return;
    EXPECT_EQ(::truncate(path_.c_str(), 4096), 0);
  }

 private:
  const std::string path_;
  const int at_;
  int calls_ = 0;
};

// Whatever was mapped: an error that names the file, and no signal.
TEST(ConvertTest, RefusesASourceThatIsCutOffMeanwhile) {
  ModelConfig config = tests::TinyConfig();
  config.vocab_size = 2000;  // more than a few pages to each tensor
  config.ff_dim = 512;
  for (const int at : {1, 2, 10}) {
    for (const ResultForm form :
         {ResultForm::kGguf, ResultForm::kHuggingFace}) {
      const TempDir dir;
      const std::string input =
          WriteMistral(dir, "in", config, tests::TinyTensors(config));
      CuttingSink sink(input + "/consolidated.safetensors", at);
      const auto outcome = Convert({.input = input,
                                    .output = dir.File("out"),
                                    .form = form,
                                    .num_threads = 2,
                                    .unit_bytes = 2000},
                                   verify::CancelToken(), &sink);
      ASSERT_FALSE(outcome);
      EXPECT_EQ(outcome.error().code, ErrorCode::kMismatch);
      EXPECT_EQ(outcome.error().id, "E-CHANGED");
      EXPECT_NE(outcome.error().message.find("consolidated.safetensors"),
                std::string::npos)
          << outcome.error().message;
      EXPECT_EQ(NumFiles(dir.path()), 0u);
      EXPECT_FALSE(fs::exists(dir.File("out")));
      EXPECT_FALSE(fs::exists(dir.File("out.partial")));
    }
  }
}

TEST(ConvertTest, RefusesCheckpointsThatAreNotWhole) {
  const TempDir dir;
  const ModelConfig config = tests::TinyConfig();
  auto tensors = tests::TinyTensors(config);
  const std::string good = WriteMistral(dir, "good", config, tensors);
  tensors.pop_back();
  const std::string missing = WriteMistral(dir, "missing", config, tensors);
  const std::string output = dir.File("out.gguf");
  auto outcome = ConvertWith({.input = missing, .output = output});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(outcome.error().id, "E-STRUCTURE");

  fs::remove(good + "/tokenizer.model");
  outcome = ConvertWith({.input = good, .output = output});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(outcome.error().id, "E-TOKENIZER");
  EXPECT_NE(outcome.error().message.find("tokenizer.model"), std::string::npos);

  fs::remove(good + "/params.json");
  EXPECT_FALSE(ConvertWith({.input = good, .output = output}));
  EXPECT_FALSE(ConvertWith({.input = dir.File("nowhere"), .output = output}));
  EXPECT_EQ(NumFiles(dir.path()), 0u);
}

TEST(ConvertTest, RefusesTypesAndPlacesItCannotWrite) {
  const TempDir dir;
  const ModelConfig config = tests::TinyConfig();
  const std::string input =
      WriteMistral(dir, "in", config, tests::TinyTensors(config));
  auto outcome = ConvertWith(
      {.input = input, .output = dir.File("o.gguf"), .to = DType::kQ2K});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kUnsupported);
  outcome = ConvertWith({.input = input, .output = dir.File("none/o.gguf")});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kNotFound);
  outcome = ConvertWith({.input = input, .output = ""});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kInvalidArgument);
}

// A model of hundreds of GiB in a sparse file: its weights are never touched.
TEST(ConvertTest, SaysHowMuchSpaceIsNeeded) {
  const TempDir dir;
  ModelConfig config = tests::TinyConfig();
  config.num_experts = 0;
  config.num_experts_per_token = 0;
  config.dim = 65536;
  config.ff_dim = 1u << 20;
  config.num_layers = 1;
  config.vocab_size = 40;
  std::string header = "{";
  uint64_t end = 0;
  for (const auto& spec :
       verify::ExpectedTensors(config, NameScheme::kMistral)) {
    const uint64_t begin = end;
    uint64_t count = 1;
    for (const uint64_t d : spec.shape) count *= d;
    end += 2 * count;
    header += StrCat(
        header.size() > 1 ? "," : "", "\"", spec.name,
        "\":{\"dtype\":\"BF16\",\"shape\":", verify::ShapeText(spec.shape),
        ",\"data_offsets\":[", begin, ",", end, "]}");
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const uint64_t size = header.size();
  std::string start(8, '\0');
  std::memcpy(start.data(), &size, 8);
  const std::string weights =
      dir.Write("in/consolidated.safetensors", start + header);
  dir.Write("in/params.json", tests::ParamsJson(config));
  dir.Write("in/tokenizer.model", tests::TinyTokenizer(40));
  if (::truncate(weights.c_str(),
                 static_cast<off_t>(8 + header.size() + end)) != 0) {
    GTEST_SKIP() << "this file system holds no sparse file of "
                 << verify::FormatSize(end);
  }
  const auto free = verify::FreeBytes(dir.path());
  ASSERT_TRUE(free);
  if (*free > 2 * end) GTEST_SKIP() << "a disk this large is never full";
  const auto outcome = ConvertWith({.input = dir.File("in"),
                                    .output = dir.File("out.gguf"),
                                    .to = DType::kF32});
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kIo);
  EXPECT_EQ(outcome.error().id, "E-DISK-FULL") << outcome.error().message;
  EXPECT_NE(outcome.error().message.find("needed"), std::string::npos);
  EXPECT_EQ(NumFiles(dir.path()), 0u);
}

}  // namespace
}  // namespace inference
