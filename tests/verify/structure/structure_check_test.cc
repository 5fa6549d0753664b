// SPDX-License-Identifier: Apache-2.0
#include "verify/structure/structure_check.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/temp_dir.h"
#include "tests/verify/structure/tiny_safetensors.h"
#include "verify/base/text.h"

namespace verify {
namespace {

using tests::TinySafetensors;

ModelConfig TinyConfig() {
  ModelConfig config;
  config.dim = 8;
  config.num_layers = 2;
  config.head_dim = 4;
  config.ff_dim = 12;
  config.num_heads = 2;
  config.num_kv_heads = 1;
  config.vocab_size = 16;
  return config;
}

// A table with every tensor of a configuration, all bf16.
std::vector<TensorInfo> AllTensors(const ModelConfig& config) {
  std::vector<TensorInfo> tensors;
  for (const TensorSpec& spec : ExpectedTensors(config, config.names)) {
    TensorInfo tensor;
    tensor.name = spec.name;
    tensor.dtype = DType::kBF16;
    tensor.shape = spec.shape;
    tensors.push_back(tensor);
  }
  return tensors;
}

TensorTable Table(const std::vector<TensorInfo>& tensors) {
  TensorTable table;
  for (TensorInfo tensor : tensors) {
    tensor.size_bytes =
        DTypeBytes(tensor.dtype, NumElements(tensor.shape).value()).value();
    EXPECT_TRUE(table.Add(tensor, tensor.size_bytes).has_value())
        << tensor.name;
  }
  return table;
}

TEST(StructureCheckTest, AcceptsWhatTheConfigurationDescribes) {
  for (const NameScheme names :
       {NameScheme::kMistral, NameScheme::kHuggingFace, NameScheme::kGguf}) {
    for (const uint64_t experts : {0u, 4u}) {
      ModelConfig config = TinyConfig();
      config.names = names;
      config.num_experts = experts;
      const auto report = CheckStructure(Table(AllTensors(config)), config);
      EXPECT_TRUE(report.ok());
      EXPECT_TRUE(report.findings.empty());
      // Embedding and output 2 * 16 * 8, norm 8; per layer: q and o
      // 2 * 8 * 8, k and v 2 * 4 * 8, two norms 16, w1 w2 w3 3 * 12 * 8.
      const uint64_t layer =
          128 + 64 + 16 + (experts == 0 ? 288 : experts * (288 + 8));
      EXPECT_EQ(report.num_parameters, 256 + 8 + 2 * layer);
    }
  }
}

TEST(StructureCheckTest, NamesWhatIsWrong) {
  const ModelConfig config = TinyConfig();
  auto tensors = AllTensors(config);
  const auto find = [&tensors](std::string_view name) {
    return std::find_if(tensors.begin(), tensors.end(),
                        [&](const TensorInfo& t) { return t.name == name; });
  };
  find("layers.1.feed_forward.w2.weight")->shape = {12, 8};
  find("layers.0.attention.wq.weight")->dtype = DType::kI8;
  tensors.erase(find("norm.weight"));
  TensorInfo extra;
  extra.name = "layers.0.attention.wq.bias";
  extra.shape = {8};
  tensors.push_back(extra);
  const auto report = CheckStructure(Table(tensors), config);
  EXPECT_FALSE(report.ok());
  ASSERT_EQ(report.findings.size(), 4u);
  EXPECT_EQ(report.findings[0].kind, FindingKind::kWrongDType);
  EXPECT_EQ(report.findings[0].tensor, "layers.0.attention.wq.weight");
  EXPECT_EQ(report.findings[0].detail,
            "dtype i8, expected a floating-point or quantised one");
  EXPECT_EQ(report.findings[1].kind, FindingKind::kMisshapen);
  EXPECT_EQ(report.findings[1].tensor, "layers.1.feed_forward.w2.weight");
  EXPECT_EQ(report.findings[1].detail, "shape [12, 8], expected [8, 12]");
  EXPECT_EQ(report.findings[2].kind, FindingKind::kMissing);
  EXPECT_EQ(report.findings[2].tensor, "norm.weight");
  EXPECT_EQ(report.findings[2].detail, "expected with shape [8]");
  EXPECT_EQ(report.findings[3].kind, FindingKind::kExtra);
  EXPECT_EQ(report.findings[3].tensor, "layers.0.attention.wq.bias");
  EXPECT_TRUE(report.findings[3].fatal());
}

TEST(StructureCheckTest, ListsTwentyAndCountsTheRest) {
  ModelConfig config = TinyConfig();
  config.num_layers = 9;
  const auto tensors = AllTensors(config);
  config.num_layers = 100;
  const auto report = CheckStructure(Table(tensors), config);
  // 91 layers of 9 tensors are missing.
  ASSERT_EQ(report.findings.size(), 21u);
  EXPECT_EQ(report.findings[19].kind, FindingKind::kMissing);
  EXPECT_EQ(report.findings[20].tensor, "");
  EXPECT_EQ(report.findings[20].detail, "799 more of 819");
  EXPECT_FALSE(report.ok());
}

TEST(StructureCheckTest, LetsSavedBuffersPass) {
  ModelConfig config = TinyConfig();
  config.names = NameScheme::kHuggingFace;
  auto tensors = AllTensors(config);
  TensorInfo buffer;
  buffer.name = "model.layers.0.self_attn.rotary_emb.inv_freq";
  buffer.shape = {2};
  tensors.push_back(buffer);
  EXPECT_TRUE(CheckStructure(Table(tensors), config).findings.empty());
}

TEST(StructureCheckTest, ReportsAnOutputBesideTiedEmbeddings) {
  ModelConfig config = TinyConfig();
  const auto tensors = AllTensors(config);
  config.tied_embeddings = true;
  const auto report = CheckStructure(Table(tensors), config);
  ASSERT_EQ(report.findings.size(), 1u);
  EXPECT_EQ(report.findings[0].tensor, "output.weight");
  EXPECT_FALSE(report.findings[0].fatal());
  EXPECT_TRUE(report.ok());
}

std::string Floats(const std::vector<float>& values) {
  std::string bytes(values.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

StructureReport Scan(const TinySafetensors& weights, size_t num_threads) {
  tests::TempDir dir;
  const auto checkpoint =
      Checkpoint::Open(dir.Write("model.safetensors", weights.Bytes()));
  EXPECT_TRUE(checkpoint.has_value()) << checkpoint.error().message;
  StructureReport report;
  ThreadPool pool(num_threads);
  const CancelToken cancel;
  EXPECT_TRUE(
      ScanNumbers(*checkpoint, pool, cancel, nullptr, report).has_value());
  return report;
}

TEST(StructureCheckTest, FindsBadNumbersInTheFile) {
  std::vector<float> good(3'000'000);
  for (size_t i = 0; i < good.size(); ++i) {
    good[i] = 0.5f + static_cast<float>(i % 7) / 8;
  }
  auto bad = good;
  bad[2'500'000] = std::numeric_limits<float>::infinity();
  bad[2'999'999] = std::numeric_limits<float>::quiet_NaN();
  TinySafetensors weights;
  weights.Add("a", "F32", {3000, 1000}, Floats(good));
  weights.Add("b", "F32", {3000, 1000}, Floats(bad));
  weights.Add("norm", "F32", {4}, Floats({1, 1, 1, 1}));
  weights.Add("zero", "F32", {2, 2}, Floats({0, 0, 0, 0}));
  weights.Add("ids", "I64", {1}, std::string(8, '\xFF'));
  for (const size_t threads : {1u, 4u}) {
    const auto report = Scan(weights, threads);
    ASSERT_EQ(report.findings.size(), 2u);
    EXPECT_EQ(report.findings[0].kind, FindingKind::kNotFinite);
    EXPECT_EQ(report.findings[0].tensor, "b");
    EXPECT_EQ(report.findings[0].detail,
              "1 NaN, 1 infinite, first at element 2500000");
    EXPECT_TRUE(report.findings[0].fatal());
    EXPECT_EQ(report.findings[1].kind, FindingKind::kConstant);
    EXPECT_EQ(report.findings[1].tensor, "zero");
    EXPECT_EQ(report.findings[1].detail, "all 4 elements are 0");
    EXPECT_FALSE(report.findings[1].fatal());
    EXPECT_FALSE(report.ok());
  }
}

TEST(StructureCheckTest, ScanStopsWhenAsked) {
  tests::TempDir dir;
  TinySafetensors weights;
  weights.Add("a", "F32", {2, 2}, Floats({1, 2, 3, 4}));
  const auto checkpoint =
      Checkpoint::Open(dir.Write("model.safetensors", weights.Bytes()));
  ASSERT_TRUE(checkpoint.has_value());
  StructureReport report;
  ThreadPool pool(2);
  CancelToken cancel;
  cancel.Cancel();
  const auto result = ScanNumbers(*checkpoint, pool, cancel, nullptr, report);
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().code, ErrorCode::kCancelled);
}

class LastProgress final : public ProgressSink {
 public:
  void OnProgress(std::string_view, uint64_t done, uint64_t total) override {
    uint64_t seen = most_.load();
    while (seen < done && !most_.compare_exchange_weak(seen, done)) {
    }
    total_ = total;
  }
  std::atomic<uint64_t> most_{0};
  std::atomic<uint64_t> total_{0};
};

TEST(StructureCheckTest, DemoModelIsWhole) {
  const auto checkpoint =
      Checkpoint::Open(StrCat(LODESTONE_SOURCE_DIR, "/magnets/demo"));
  ASSERT_TRUE(checkpoint.has_value()) << checkpoint.error().message;
  const auto config = LoadModelConfig(*checkpoint);
  ASSERT_TRUE(config.has_value()) << config.error().message;
  auto report = CheckStructure(*checkpoint, *config);
  ThreadPool pool(2);
  const CancelToken cancel;
  LastProgress progress;
  ASSERT_TRUE(
      ScanNumbers(*checkpoint, pool, cancel, &progress, report).has_value());
  for (const StructureFinding& finding : report.findings) {
    ADD_FAILURE() << FindingKindName(finding.kind) << " " << finding.tensor
                  << " " << finding.detail;
  }
  EXPECT_EQ(report.num_tensors, 3u + 4 * (7 + 3 * 8));
  EXPECT_EQ(progress.most_.load(), progress.total_.load());
  EXPECT_EQ(progress.total_.load(), 2 * report.num_parameters);  // bf16
}

}  // namespace
}  // namespace verify
