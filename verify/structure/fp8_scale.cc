// SPDX-License-Identifier: Apache-2.0
#include "verify/structure/fp8_scale.h"

#include "verify/base/text.h"
#include "verify/structure/config_check.h"
#include "verify/structure/json_fields.h"

namespace verify {
namespace {

constexpr std::string_view kWeight = ".weight";

}  // namespace

std::string Fp8ScaleName(const TensorTable& tensors, const TensorInfo& weight) {
  if (weight.dtype != DType::kF8E4M3) return "";
  for (const std::string_view end : {"_scale_inv", "_scale"}) {
    std::string name = StrCat(weight.name, end);
    if (tensors.Find(name) != nullptr) return name;
  }
  if (!weight.name.ends_with(kWeight)) return "";
  std::string name =
      StrCat(weight.name.substr(0, weight.name.size() - kWeight.size()),
             ".qscale_weight");
  return tensors.Find(name) != nullptr ? name : "";
}

bool IsActivationScale(const TensorTable& tensors, std::string_view name) {
  for (const std::string_view end :
       {".input_scale", ".activation_scale", ".qscale_act"}) {
    if (!name.ends_with(end)) continue;
    const TensorInfo* const weight =
        tensors.Find(StrCat(name.substr(0, name.size() - end.size()), kWeight));
    return weight != nullptr && weight->dtype == DType::kF8E4M3;
  }
  return false;
}

Result<void> ReadFp8Config(const Json& quantization, ModelConfig& config) {
  if (!quantization.is_object()) {
    return WrongType("quantization_config", quantization, "an object");
  }
  const Json* const method = Given(quantization, "quant_method");
  if (method == nullptr || *method != "fp8") {
    return NotImplemented("quantization_config.quant_method",
                          method == nullptr ? Json() : *method);
  }
  const Json* const format = Given(quantization, "fmt");
  if (format != nullptr && *format != "e4m3") {
    return NotImplemented("quantization_config.fmt", *format);
  }
  const Json* const block = Given(quantization, "weight_block_size");
  if (block == nullptr) return {};
  if (!block->is_array() || block->size() != 2 ||
      block->front() != block->back()) {
    return NotImplemented("quantization_config.weight_block_size", *block);
  }
  const auto side = AsUnsigned(block->front());
  if (!side.has_value() || *side == 0 || *side > kMaxModelDim) {
    return WrongType("quantization_config.weight_block_size", *block,
                     "two sizes");
  }
  config.traits.fp8_block = *side;
  return {};
}

bool IsFp8Params(const Json& quantization) {
  const Json* const format = Given(quantization, "qformat_weight");
  return format != nullptr && *format == "fp8_e4m3";
}

}  // namespace verify
