// SPDX-License-Identifier: Apache-2.0
#include "inference/model/weights.h"

#include <map>
#include <string>
#include <utility>

#include "inference/quant/quantize.h"
#include "verify/base/text.h"
#include "verify/structure/architecture.h"
#include "verify/structure/structure_check.h"

namespace inference {
namespace {

using verify::ErrorCode;
using verify::Fail;
using verify::Result;
using verify::StrCat;
using verify::TensorRole;

constexpr size_t kFindingsInMessage = 3;

std::string Quoted(const std::string& name) {
  return StrCat('"', verify::EscapeForTerminal(name), '"');
}

Result<void> CheckFits(const verify::Checkpoint& checkpoint,
                       const verify::ModelConfig& config) {
  const auto report = verify::CheckStructure(checkpoint, config);
  if (report.ok()) return {};
  std::string message = "tensors do not fit the configuration: ";
  size_t fatal = 0;
  for (const auto& finding : report.findings) {
    if (!finding.fatal()) continue;
    if (++fatal > kFindingsInMessage) continue;
    if (fatal > 1) message += "; ";
    message +=
        StrCat(FindingKindName(finding.kind), " ", Quoted(finding.tensor));
    if (!finding.detail.empty()) message += StrCat(" (", finding.detail, ")");
  }
  if (fatal > kFindingsInMessage) {
    message += StrCat("; and ", fatal - kFindingsInMessage, " more");
  }
  return Fail(ErrorCode::kCorrupt, std::move(message))
      .Id("E-STRUCTURE")
      .Hint(
          "the configuration beside the weights belongs to another model, "
          "or files are missing");
}

// A found tensor seen as [count, rows, cols] (count 1 unless experts are
// merged), checked against what the architecture expects.
struct Matrices {
  TensorView first;
  size_t count = 1;

  TensorView at(size_t i) const {
    TensorView view = first;
    view.data += i * first.size_bytes();
    return view;
  }
};

class Binder {
 public:
  Binder(const verify::Checkpoint& checkpoint,
         const verify::ModelConfig& config)
      : checkpoint_(checkpoint), config_(config) {}

  Result<ModelWeights> Bind() {
    weights_.layers.resize(config_.num_layers);
    for (auto& layer : weights_.layers) {
      layer.experts.resize(config_.is_moe() ? config_.num_experts : 1);
    }
    for (const auto& spec : ExpectedTensors(config_, config_.names)) {
      RETURN_IF_ERROR(BindOne(spec));
    }
    if (weights_.output.empty()) weights_.output = weights_.embedding;
    uint64_t most = 0;
    for (const auto& [dtype, bytes] : bytes_by_dtype_) {
      if (bytes > most) {
        most = bytes;
        weights_.main_dtype = dtype;
      }
    }
    return std::move(weights_);
  }

 private:
  Result<void> BindOne(const verify::TensorSpec& spec) {
    const verify::TensorInfo* info = checkpoint_.tensors().Find(spec.name);
    if (info == nullptr || info->shape != spec.shape) {
      return Fail(ErrorCode::kCorrupt,
                  StrCat("tensor ", Quoted(spec.name), ": ",
                         info == nullptr ? "missing" : "unexpected shape"))
          .Id("E-STRUCTURE");
    }
    if (!info->contiguous()) {
      return Fail(ErrorCode::kUnsupported,
                  StrCat("tensor ", Quoted(spec.name),
                         ": stored transposed or strided, rows are not "
                         "contiguous"))
          .Hint("convert the checkpoint, the result is contiguous");
    }
    weights_.total_bytes += info->size_bytes;
    bytes_by_dtype_[info->dtype] += info->size_bytes;
    if (spec.shape.size() == 1) return BindNorm(spec, *info);
    ASSIGN_OR_RETURN(const Matrices found, View(spec, *info));
    return BindMatrix(spec, found);
  }

  Result<void> BindNorm(const verify::TensorSpec& spec,
                        const verify::TensorInfo& info) {
    const auto bytes = checkpoint_.Bytes(info);
    const auto count = static_cast<size_t>(spec.shape[0]);
    if (!CanDecode(info.dtype)) return WrongDType(info);
    if (verify::DTypeBytes(info.dtype, count) != bytes.size()) {
      return SizeMismatch(info);
    }
    std::vector<float>& norm =
        spec.role == TensorRole::kOutputNorm      ? weights_.output_norm
        : spec.role == TensorRole::kAttentionNorm ? layer(spec).attention_norm
                                                  : layer(spec).ffn_norm;
    norm.resize(count);
    DecodeRow(info.dtype, bytes, norm);
    return {};
  }

  Result<Matrices> View(const verify::TensorSpec& spec,
                        const verify::TensorInfo& info) {
    if (!CanCompute(info.dtype)) return WrongDType(info);
    const size_t dims = spec.shape.size();
    Matrices found;
    found.count = dims == 3 ? static_cast<size_t>(spec.shape[0]) : 1;
    found.first.dtype = info.dtype;
    found.first.rows = static_cast<size_t>(spec.shape[dims - 2]);
    found.first.cols = static_cast<size_t>(spec.shape[dims - 1]);
    const auto row_bytes = verify::DTypeBytes(info.dtype, found.first.cols);
    if (!row_bytes.has_value()) return SizeMismatch(info);
    found.first.row_bytes = static_cast<size_t>(*row_bytes);
    const auto bytes = checkpoint_.Bytes(info);
    if (bytes.size() != found.count * found.first.size_bytes()) {
      return SizeMismatch(info);
    }
    found.first.data = bytes.data();
    return found;
  }

  Result<void> BindMatrix(const verify::TensorSpec& spec,
                          const Matrices& found) {
    switch (spec.role) {
      case TensorRole::kTokenEmbedding:
        weights_.embedding = found.first;
        return {};
      case TensorRole::kOutput:
        weights_.output = found.first;
        return {};
      case TensorRole::kAttentionQ:
        layer(spec).q = found.first;
        return {};
      case TensorRole::kAttentionK:
        layer(spec).k = found.first;
        return {};
      case TensorRole::kAttentionV:
        layer(spec).v = found.first;
        return {};
      case TensorRole::kAttentionOut:
        layer(spec).out = found.first;
        return {};
      case TensorRole::kRouter:
        layer(spec).router = found.first;
        return {};
      case TensorRole::kFfnGate:
        return BindExperts(spec, found, &FfnWeights::gate);
      case TensorRole::kFfnDown:
        return BindExperts(spec, found, &FfnWeights::down);
      case TensorRole::kFfnUp:
        return BindExperts(spec, found, &FfnWeights::up);
      case TensorRole::kOutputNorm:
      case TensorRole::kAttentionNorm:
      case TensorRole::kFfnNorm:
      case TensorRole::kOther:
        break;
    }
    return Fail(ErrorCode::kInternal,
                StrCat("tensor ", Quoted(spec.name), ": a norm with ",
                       spec.shape.size(), " dimensions"));
  }

  Result<void> BindExperts(const verify::TensorSpec& spec,
                           const Matrices& found,
                           TensorView FfnWeights::*which) {
    auto& experts = layer(spec).experts;
    if (spec.shape.size() == 3) {
      for (size_t e = 0; e < experts.size(); ++e) {
        experts[e].*which = found.at(e);
      }
    } else {
      const size_t e = spec.expert < 0 ? 0 : static_cast<size_t>(spec.expert);
      experts.at(e).*which = found.first;
    }
    return {};
  }

  LayerWeights& layer(const verify::TensorSpec& spec) {
    return weights_.layers.at(static_cast<size_t>(spec.layer));
  }

  static verify::Unexpected WrongDType(const verify::TensorInfo& info) {
    return Fail(ErrorCode::kUnsupported,
                StrCat("tensor ", Quoted(info.name), ": dtype ",
                       DTypeName(info.dtype),
                       " is not computed with, only f32, f16, bf16 and q8_0"))
        .Id("E-DTYPE");
  }
  static verify::Unexpected SizeMismatch(const verify::TensorInfo& info) {
    return Fail(ErrorCode::kCorrupt,
                StrCat("tensor ", Quoted(info.name), ": ", info.size_bytes,
                       " bytes do not hold ", verify::ShapeText(info.shape),
                       " of ", DTypeName(info.dtype)))
        .Id("E-STRUCTURE");
  }

  const verify::Checkpoint& checkpoint_;
  const verify::ModelConfig& config_;
  ModelWeights weights_;
  std::map<verify::DType, uint64_t> bytes_by_dtype_;
};

}  // namespace

bool CanCompute(verify::DType dtype) {
  switch (dtype) {
    case verify::DType::kF32:
    case verify::DType::kF16:
    case verify::DType::kBF16:
    case verify::DType::kQ8_0:
      return true;
    default:
      return false;
  }
}

Result<ModelWeights> BindWeights(const verify::Checkpoint& checkpoint,
                                 const verify::ModelConfig& config) {
  RETURN_IF_ERROR(CheckFits(checkpoint, config));
  return Binder(checkpoint, config).Bind();
}

}  // namespace inference
