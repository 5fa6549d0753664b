// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/calibration.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "inference/model/input_observer.h"
#include "verify/base/check.h"
#include "verify/base/text.h"
#include "verify/structure/architecture.h"

namespace inference {
namespace {

using verify::ErrorCode;
using verify::Fail;
using verify::Result;
using verify::StrCat;
using verify::TensorRole;
using verify::TensorSpec;

// Weighted squares of one input, column by column.
struct Squares {
  std::vector<double> sums;
  double count = 0;
};

// Adds up in the order of the calls, on one thread.
class SquareObserver final : public ForwardObserver, public InputObserver {
 public:
  explicit SquareObserver(size_t more_experts) : more_experts_(more_experts) {}

  void OnLayer(int64_t, std::span<const float>, size_t) override {}
  void OnExperts(int64_t, std::span<const uint32_t>, std::span<const float>,
                 size_t, size_t) override {}
  InputObserver* inputs() override { return this; }

  void OnInput(const Place& place, std::span<const float> rows, size_t cols,
               std::span<const float> weights) override {
    Squares& squares = found_[{place.input, place.layer, place.expert}];
    squares.sums.resize(cols);
    const size_t num_rows = rows.size() / cols;
    // Floats for the few rows of a call, doubles over all of them.
    of_call_.assign(cols, 0.0f);
    for (size_t r = 0; r < num_rows; ++r) {
      const float weight = weights.empty() ? 1.0f : weights[r];
      const float* const x = rows.data() + r * cols;
      for (size_t c = 0; c < cols; ++c) of_call_[c] += weight * (x[c] * x[c]);
      squares.count += static_cast<double>(weight);
    }
    for (size_t c = 0; c < cols; ++c) {
      squares.sums[c] += static_cast<double>(of_call_[c]);
    }
  }
  size_t more_experts() const override { return more_experts_; }

  // Null if nothing came there.
  const Squares* Find(const Place& place) const {
    const auto it = found_.find({place.input, place.layer, place.expert});
    return it == found_.end() ? nullptr : &it->second;
  }

 private:
  const size_t more_experts_;
  std::map<std::tuple<ProductInput, int64_t, int64_t>, Squares> found_;
  std::vector<float> of_call_;
};

// What the matrices of that role are multiplied with.
std::optional<ProductInput> InputOf(TensorRole role) {
  switch (role) {
    case TensorRole::kAttentionQ:
    case TensorRole::kAttentionK:
    case TensorRole::kAttentionV:
      return ProductInput::kAttention;
    case TensorRole::kAttentionOut:
      return ProductInput::kAttentionOut;
    case TensorRole::kFfnGate:
    case TensorRole::kFfnUp:
      return ProductInput::kFeedForward;
    case TensorRole::kFfnDown:
      return ProductInput::kDown;
    case TensorRole::kOutput:
      return ProductInput::kOutput;
    default:
      return std::nullopt;  // norms, the router, rows of the embedding
  }
}

Result<void> AppendMatrix(const TensorSpec& spec, const Squares* squares,
                          ImportanceEntry& entry) {
  // An expert that no token came near: nothing is known of it.
  if (squares == nullptr) {
    entry.sums.resize(entry.sums.size() + static_cast<size_t>(entry.cols));
    entry.counts.push_back(0);
    return {};
  }
  CHECK(squares->sums.size() == entry.cols);
  for (const double sum : squares->sums) {
    const auto value = static_cast<float>(sum);
    if (!std::isfinite(value)) {
      return Fail(ErrorCode::kCorrupt,
                  StrCat("tensor \"", spec.name,
                         "\" is multiplied with numbers that are not finite"))
          .Id("E-LOGITS")
          .Hint("run the smoke test: it names the layer that went wrong");
    }
    entry.sums.push_back(value);
  }
  entry.counts.push_back(static_cast<float>(squares->count));
  return {};
}

Result<void> Collect(const verify::ModelConfig& config,
                     const SquareObserver& observer, ImportanceMatrix& matrix) {
  for (const TensorSpec& spec :
       verify::ExpectedTensors(config, verify::NameScheme::kGguf)) {
    auto input = InputOf(spec.role);
    // The embedding is the output matrix, too.
    if (spec.role == TensorRole::kTokenEmbedding && config.tied_embeddings) {
      input = ProductInput::kOutput;
    }
    if (!input.has_value()) continue;
    const bool of_experts =
        *input == ProductInput::kFeedForward || *input == ProductInput::kDown;
    const uint64_t num_matrices =
        spec.shape.size() == 3 ? spec.shape.front() : 1;
    ImportanceEntry entry;
    entry.cols = spec.shape.back();
    for (uint64_t i = 0; i < num_matrices; ++i) {
      const int64_t expert = of_experts ? static_cast<int64_t>(i) : -1;
      RETURN_IF_ERROR(AppendMatrix(
          spec, observer.Find({*input, spec.layer, expert}), entry));
    }
    matrix.entries[spec.name] = std::move(entry);
  }
  return {};
}

}  // namespace

Result<ImportanceMatrix> Calibrate(const Model& model,
                                   const CalibrationText& text,
                                   const verify::CancelToken& cancel,
                                   verify::ProgressSink* progress) {
  const verify::ModelConfig& config = model.config();
  const std::vector<TokenId> tokens = model.tokenizer().EncodePrompt(text.text);
  if (tokens.size() < kMinCalibrationTokens) {
    return Fail(ErrorCode::kInvalidArgument,
                StrCat("the text for --imatrix has ", tokens.size(),
                       " tokens, at least ", kMinCalibrationTokens,
                       " are needed"))
        .Id("E-USAGE")
        .Hint("give a longer text with --calibration");
  }
  const auto chunk = static_cast<size_t>(
      std::clamp<uint64_t>(config.context_len, 2, kCalibrationChunk));
  ImportanceMatrix matrix;
  matrix.dataset = text.name;
  matrix.chunk_tokens = chunk;
  SquareObserver observer(
      static_cast<size_t>(config.is_moe() ? config.num_experts_per_token : 0));
  ASSIGN_OR_RETURN(Session session, Session::Create(model, chunk));
  for (size_t begin = 0; begin < tokens.size(); begin += chunk) {
    const size_t count = std::min(chunk, tokens.size() - begin);
    const auto first = tokens.begin() + static_cast<std::ptrdiff_t>(begin);
    std::vector<TokenId> ids(first, first + static_cast<std::ptrdiff_t>(count));
    if (model.tokenizer().adds_bos()) ids.front() = model.tokenizer().bos_id();
    CHECK(session.Rewind(0));
    RETURN_IF_ERROR(session.Append(ids, &observer, &cancel));
    ++matrix.num_chunks;
    if (progress == nullptr) continue;
    progress->OnProgress("calibration",
                         text.text.size() * (begin + count) / tokens.size(),
                         text.text.size());
  }
  RETURN_IF_ERROR(Collect(config, observer, matrix));
  return matrix;
}

}  // namespace inference
