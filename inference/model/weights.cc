// SPDX-License-Identifier: Apache-2.0
#include "inference/model/weights.h"

#include <map>
#include <string>
#include <utility>

#include "inference/ops/kernels.h"
#include "inference/quant/quantize.h"
#include "inference/tensor/stored_matrix.h"
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

class Binder {
 public:
  Binder(const verify::Checkpoint& checkpoint,
         const verify::ModelConfig& config)
      : checkpoint_(checkpoint), config_(config) {}

  Result<ModelWeights> Bind() {
    weights_.layers.resize(config_.num_layers);
    for (uint64_t l = 0; l < config_.num_layers; ++l) {
      weights_.layers[l].experts.resize(
          config_.is_moe_layer(l) ? config_.num_experts : 1);
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
    weights_.total_bytes += info->size_bytes;
    bytes_by_dtype_[info->dtype] += info->size_bytes;
    if (spec.shape.size() == 1) return BindNorm(spec, *info);
    if (!CanCompute(info->dtype)) return WrongDType(*info);
    switch (spec.role) {
      case TensorRole::kFfnGate:
        return BindExperts(spec, &FfnWeights::gate);
      case TensorRole::kFfnDown:
        return BindExperts(spec, &FfnWeights::down);
      case TensorRole::kFfnUp:
        return BindExperts(spec, &FfnWeights::up);
      default:
        break;
    }
    ASSIGN_OR_RETURN(const TensorView view, View(spec, -1));
    return BindMatrix(spec, view);
  }

  Result<void> BindNorm(const verify::TensorSpec& spec,
                        const verify::TensorInfo& info) {
    if (!CanDecode(info.dtype)) return WrongDType(info);
    ASSIGN_OR_RETURN(const StoredMatrix stored,
                     FindStoredMatrix(checkpoint_, config_, spec.role,
                                      spec.layer, spec.expert));
    if (stored.col_stride != 1) return Strided(info);
    std::vector<float>* const place = NormOf(spec);
    if (place == nullptr) return NoPlace(spec);
    std::vector<float>& norm = *place;
    norm.resize(static_cast<size_t>(stored.cols));
    DecodeRow(info.dtype, stored.bytes, norm);
    return {};
  }

  std::vector<float>* NormOf(const verify::TensorSpec& spec) {
    switch (spec.role) {
      case TensorRole::kOutputNorm:
        return &weights_.output_norm;
      case TensorRole::kAttentionNorm:
        return &layer(spec).attention_norm;
      case TensorRole::kAttentionQNorm:
        return &layer(spec).q_norm;
      case TensorRole::kAttentionKNorm:
        return &layer(spec).k_norm;
      case TensorRole::kFfnNorm:
        return &layer(spec).ffn_norm;
      default:
        return nullptr;
    }
  }

  // Checked against what the forward pass needs, whatever the layout.
  Result<TensorView> View(const verify::TensorSpec& spec, int64_t expert) {
    ASSIGN_OR_RETURN(
        const StoredMatrix stored,
        FindStoredMatrix(checkpoint_, config_, spec.role, spec.layer, expert));
    // Its rows are looked up one by one.
    if (stored.col_stride != 1 && spec.role == TensorRole::kTokenEmbedding) {
      return Strided(*stored.tensor);
    }
    return stored.View();
  }

  Result<void> BindMatrix(const verify::TensorSpec& spec,
                          const TensorView& view) {
    switch (spec.role) {
      case TensorRole::kTokenEmbedding:
        weights_.embedding = view;
        return {};
      case TensorRole::kOutput:
        weights_.output = view;
        return {};
      case TensorRole::kAttentionQ:
        layer(spec).q = view;
        return {};
      case TensorRole::kAttentionK:
        layer(spec).k = view;
        return {};
      case TensorRole::kAttentionV:
        layer(spec).v = view;
        return {};
      case TensorRole::kAttentionOut:
        layer(spec).out = view;
        return {};
      case TensorRole::kRouter:
        layer(spec).router = view;
        return {};
      default:
        break;
    }
    return NoPlace(spec);
  }

  // The tensor is of one expert, of all of a layer, or of a dense block.
  Result<void> BindExperts(const verify::TensorSpec& spec,
                           TensorView FfnWeights::*which) {
    auto& experts = layer(spec).experts;
    const bool of_all =
        config_.is_moe_layer(static_cast<uint64_t>(spec.layer)) &&
        spec.expert < 0;
    for (size_t e = 0; e < (of_all ? experts.size() : 1); ++e) {
      const int64_t expert = of_all ? static_cast<int64_t>(e) : spec.expert;
      ASSIGN_OR_RETURN(const TensorView view, View(spec, expert));
      experts.at(expert < 0 ? 0 : static_cast<size_t>(expert)).*which = view;
    }
    return {};
  }

  LayerWeights& layer(const verify::TensorSpec& spec) {
    return weights_.layers.at(static_cast<size_t>(spec.layer));
  }

  static verify::Unexpected NoPlace(const verify::TensorSpec& spec) {
    return Fail(ErrorCode::kInternal,
                StrCat("tensor ", Quoted(spec.name), " of ", spec.shape.size(),
                       " dimensions has no place in a forward pass"));
  }
  static verify::Unexpected WrongDType(const verify::TensorInfo& info) {
    return Fail(ErrorCode::kUnsupported,
                StrCat("tensor ", Quoted(info.name), ": dtype ",
                       DTypeName(info.dtype),
                       " is not computed with, only f32, f16, bf16 and the "
                       "packed types of GGUF from q2_k and iq4_nl on"))
        .Hint("it can be verified and seeded; to run it, take another type")
        .Id("E-DTYPE");
  }
  static verify::Unexpected Strided(const verify::TensorInfo& info) {
    return Fail(ErrorCode::kUnsupported,
                StrCat("tensor ", Quoted(info.name),
                       ": stored transposed or strided, rows are not "
                       "contiguous"))
        .Hint("convert the checkpoint, the result is contiguous");
  }

  const verify::Checkpoint& checkpoint_;
  const verify::ModelConfig& config_;
  ModelWeights weights_;
  std::map<verify::DType, uint64_t> bytes_by_dtype_;
};

}  // namespace

bool CanCompute(verify::DType dtype) {
  return IsPlainFloat(dtype) || IsPackedWeight(dtype);
}

Result<ModelWeights> BindWeights(const verify::Checkpoint& checkpoint,
                                 const verify::ModelConfig& config) {
  RETURN_IF_ERROR(CheckFits(checkpoint, config));
  return Binder(checkpoint, config).Bind();
}

}  // namespace inference
