// SPDX-License-Identifier: Apache-2.0
#include "verify/structure/structure_check.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "verify/base/text.h"
#include "verify/structure/finding_list.h"
#include "verify/structure/fp8_scale.h"

namespace verify {
namespace {

bool CanBeWeight(DType dtype) {
  switch (dtype) {
    case DType::kI64:
    case DType::kI32:
    case DType::kI16:
    case DType::kI8:
    case DType::kU64:
    case DType::kU32:
    case DType::kU16:
    case DType::kU8:
    case DType::kBool:
      return false;
    default:
      return true;
  }
}

// Whether `dtype` can hold what `spec` says; what was expected if not.
std::string_view WrongDType(const TensorSpec& spec, DType dtype,
                            const ModelConfig& config) {
  switch (spec.stored) {
    case StoredAs::kWeight:
      break;
    case StoredAs::kLinear:
      if (config.traits.fp8_block == 0) break;
      return dtype == DType::kF8E4M3 ? "" : "f8_e4m3";
    case StoredAs::kBytes:
    case StoredAs::kScale:
      return dtype == DType::kU8 ? "" : "u8";
    case StoredAs::kFp8Scale:
      return dtype == DType::kF32 ? "" : "f32";
  }
  return CanBeWeight(dtype) ? "" : "a floating-point or quantised one";
}

bool EndsWith(std::string_view text, std::string_view suffix) {
  return text.size() >= suffix.size() &&
         text.substr(text.size() - suffix.size()) == suffix;
}

// Buffers that writers saved beside the weights: the rotary frequencies and
// their scales, which follow from the configuration.
bool IsSavedBuffer(std::string_view name) {
  return EndsWith(name, ".rotary_emb.inv_freq") || name == "rope.freqs" ||
         name == "rope_freqs.weight" || name == "rope_factors_long.weight" ||
         name == "rope_factors_short.weight";
}

// The part of a model that looks at images, beside a text part that is known.
bool IsImagePart(std::string_view name, const ModelConfig& config) {
  return !config.traits.name_prefix.empty() &&
         (name.starts_with("vision_model.") ||
          name.starts_with("multi_modal_projector."));
}

bool AnyOptionalIsThere(const std::vector<TensorSpec>& specs,
                        const TensorTable& tensors) {
  return std::any_of(specs.begin(), specs.end(), [&](const TensorSpec& spec) {
    return spec.optional && tensors.Find(spec.name) != nullptr;
  });
}

bool IsPlainFloat(DType dtype) {
  return dtype == DType::kBF16 || dtype == DType::kF16 ||
         dtype == DType::kF32 || dtype == DType::kF64;
}

// Layers of one model are stored alike: the first layer (or expert) of a role
// whose plain type is another than its predecessors' may come from another.
void FindMixedTypes(const TensorTable& tensors, FindingList& findings) {
  std::unordered_map<std::string, const TensorInfo*> first;
  std::unordered_set<std::string> said;
  for (const TensorInfo& tensor : tensors.tensors()) {
    if (!IsPlainFloat(tensor.dtype)) continue;
    std::string role = PlaceOf(tensor.name).role;
    const auto [it, is_new] = first.emplace(role, &tensor);
    if (is_new || it->second->dtype == tensor.dtype ||
        !said.insert(std::move(role)).second) {
      continue;
    }
    findings.Add(FindingKind::kMixed, tensor.name,
                 StrCat("dtype ", DTypeName(tensor.dtype), " where \"",
                        EscapeForTerminal(it->second->name), "\" has ",
                        DTypeName(it->second->dtype),
                        ": parts of two models may have been mixed"),
                 Severity::kWarning);
  }
}

// The scale of a weight in fp8 that no configuration speaks of: one for all of
// the tensor. Its name, so that it is not taken for an extra one.
std::string_view CheckFp8Scale(const TensorTable& tensors,
                               const TensorInfo& weight,
                               FindingList& findings) {
  const TensorInfo* const scale = tensors.Find(Fp8ScaleName(tensors, weight));
  if (scale == nullptr) return {};
  if (NumElements(scale->shape) != 1) {
    findings.Add(FindingKind::kMisshapen, scale->name,
                 StrCat("shape ", ShapeText(scale->shape),
                        ", expected one scale for the whole tensor"));
  }
  if (!IsPlainFloat(scale->dtype)) {
    findings.Add(FindingKind::kWrongDType, scale->name,
                 StrCat("dtype ", DTypeName(scale->dtype),
                        ", expected a floating-point one"));
  }
  return scale->name;
}

}  // namespace

StructureReport CheckStructure(const TensorTable& tensors,
                               const ModelConfig& config) {
  StructureReport report;
  report.num_tensors = tensors.size();
  FindingList findings(report);
  const auto specs = ExpectedTensors(config, config.names);
  std::unordered_set<std::string_view> expected;
  expected.reserve(specs.size());
  const bool with_optional = AnyOptionalIsThere(specs, tensors);
  for (const TensorSpec& spec : specs) {
    if (spec.optional && !with_optional) continue;
    expected.insert(spec.name);
    const TensorInfo* const tensor = tensors.Find(spec.name);
    if (tensor == nullptr) {
      findings.Add(FindingKind::kMissing, spec.name,
                   StrCat("expected with shape ", ShapeText(spec.shape)));
      continue;
    }
    report.num_parameters += spec.num_parameters();
    if (tensor->dtype == DType::kF8E4M3 && config.traits.fp8_block == 0) {
      expected.insert(CheckFp8Scale(tensors, *tensor, findings));
    }
    if (tensor->shape != spec.shape) {
      findings.Add(FindingKind::kMisshapen, spec.name,
                   StrCat("shape ", ShapeText(tensor->shape), ", expected ",
                          ShapeText(spec.shape)));
    }
    if (const auto wanted = WrongDType(spec, tensor->dtype, config);
        !wanted.empty()) {
      findings.Add(
          FindingKind::kWrongDType, spec.name,
          StrCat("dtype ", DTypeName(tensor->dtype), ", expected ", wanted));
    }
  }
  const std::string output = OutputName(config);
  size_t of_images = 0;
  for (const TensorInfo& tensor : tensors.tensors()) {
    if (expected.count(tensor.name) > 0 || IsSavedBuffer(tensor.name) ||
        IsActivationScale(tensors, tensor.name)) {
      continue;
    }
    if (config.tied_embeddings && tensor.name == output) {
      findings.Add(FindingKind::kExtra, tensor.name,
                   "not used: the embedding is the output", Severity::kNote);
      continue;
    }
    if (IsImagePart(tensor.name, config)) {
      ++of_images;
      continue;
    }
    findings.Add(FindingKind::kExtra, tensor.name,
                 StrCat("shape ", ShapeText(tensor.shape),
                        ", the configuration has no such tensor"));
  }
  if (of_images > 0) {
    findings.Add(FindingKind::kExtra, "",
                 StrCat(of_images,
                        " tensors of the image part, whose shapes "
                        "are not known"),
                 Severity::kNote);
  }
  FindMixedTypes(tensors, findings);
  findings.Summarise();
  return report;
}

StructureReport CheckStructure(const Checkpoint& checkpoint,
                               const ModelConfig& config) {
  return CheckStructure(checkpoint.tensors(), config);
}

}  // namespace verify
