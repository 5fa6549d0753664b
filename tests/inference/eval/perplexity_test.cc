// SPDX-License-Identifier: Apache-2.0
#include "inference/eval/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <vector>

#include "tests/support/double_forward.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_model.h"

namespace inference {
namespace {

using tests::TinyModel;
using verify::DType;

class PerplexityTest : public testing::Test {
 protected:
  void SetUp() override {
    tiny_.Write(dir_.path());
    auto model = Model::Load(
        dir_.path(), {.num_threads = 2, .activations = Activations::kExact});
    ASSERT_TRUE(model) << model.error().ToString();
    model_ = std::move(*model);
    for (size_t i = 0; i < 70; ++i) {
      tokens_.push_back(static_cast<TokenId>(3 + i * 37 % 250));
    }
  }

  TinyModel tiny_{tests::TinyModelConfig(), DType::kF32};
  tests::TempDir dir_;
  std::unique_ptr<Model> model_;
  std::vector<TokenId> tokens_;
  const verify::CancelToken cancel_;
};

// By the protocol, from logits of a forward pass in double: chunks of 16, each
// beginning with the token that begins a text; predictions 9..15 of each.
TEST_F(PerplexityTest, IsThatOfTheProtocol) {
  double nll = 0;
  uint64_t count = 0;
  for (size_t chunk = 0; chunk < 4; ++chunk) {
    std::vector<TokenId> ids(
        tokens_.begin() + static_cast<ptrdiff_t>(chunk * 16),
        tokens_.begin() + static_cast<ptrdiff_t>(chunk * 16 + 16));
    const std::vector<TokenId> foretold = ids;
    ids[0] = model_->tokenizer().bos_id();
    const auto logits = tests::DoubleForward(tiny_, ids);
    for (size_t i = 8; i + 1 < 16; ++i) {
      double sum = 0;
      for (const double logit : logits[i]) sum += std::exp(logit);
      nll += std::log(sum) - logits[i][static_cast<size_t>(foretold[i + 1])];
      ++count;
    }
  }
  std::vector<uint64_t> seen;
  const auto report =
      MeasurePerplexity(*model_, tokens_, {.context_tokens = 16}, cancel_,
                        [&](uint64_t done, uint64_t total, double) {
                          EXPECT_EQ(total, 4u);
                          seen.push_back(done);
                        });
  ASSERT_TRUE(report) << report.error().ToString();
  EXPECT_EQ(report->num_chunks, 4u);
  EXPECT_EQ(report->num_scored, count);
  EXPECT_NEAR(report->mean_nll, nll / static_cast<double>(count), 1e-3);
  EXPECT_DOUBLE_EQ(report->perplexity, std::exp(report->mean_nll));
  EXPECT_GT(report->standard_error, 0);
  EXPECT_EQ(seen, (std::vector<uint64_t>{1, 2, 3, 4}));
}

TEST_F(PerplexityTest, TakesAsManyChunksAsAsked) {
  const auto report = MeasurePerplexity(
      *model_, tokens_, {.context_tokens = 16, .max_chunks = 3}, cancel_, {});
  ASSERT_TRUE(report);
  EXPECT_EQ(report->num_chunks, 3u);
  EXPECT_EQ(report->num_scored, 21u);
}

TEST_F(PerplexityTest, RefusesWhatItCannotMeasure) {
  for (const uint64_t context : {0u, 7u, 36u, 2'000'000u}) {
    const auto report = MeasurePerplexity(
        *model_, tokens_, {.context_tokens = context}, cancel_, {});
    ASSERT_FALSE(report) << context;
    EXPECT_EQ(report.error().code, verify::ErrorCode::kInvalidArgument);
  }
}

TEST_F(PerplexityTest, StopsWhenCancelled) {
  verify::CancelToken cancel;
  cancel.Cancel();
  const auto report =
      MeasurePerplexity(*model_, tokens_, {.context_tokens = 16}, cancel, {});
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().code, verify::ErrorCode::kCancelled);
}

}  // namespace
}  // namespace inference
