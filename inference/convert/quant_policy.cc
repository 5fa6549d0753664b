// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/quant_policy.h"

#include <array>

#include "verify/base/text.h"

namespace inference {
namespace {

using verify::DType;
using verify::ModelConfig;
using verify::TensorRole;
using verify::TensorSpec;

struct NamedType {
  WeightType type;
  uint32_t file_type;  // llama.cpp's llama_ftype
};

constexpr std::array kTypes = {
    NamedType{{DType::kF32}, 0},
    NamedType{{DType::kF16}, 1},
    NamedType{{DType::kBF16}, 32},
    NamedType{{DType::kQ8_0}, 7},
    NamedType{{DType::kQ6K}, 18},
    NamedType{{DType::kQ5K, TypeMix::kMedium}, 17},
    NamedType{{DType::kQ5K}, 16},
    NamedType{{DType::kQ4K, TypeMix::kMedium}, 15},
    NamedType{{DType::kQ4K}, 14},
    NamedType{{DType::kQ5_1}, 9},
    NamedType{{DType::kQ5_0}, 8},
    NamedType{{DType::kQ4_1}, 3},
    NamedType{{DType::kQ4_0}, 2},
    NamedType{{DType::kIQ4NL}, 25},
    NamedType{{DType::kMXFP4}, 38},
};

// The layers whose errors weigh most: the first eighth, the last, and every
// third of those between.
bool IsTelling(uint64_t layer, uint64_t num_layers) {
  const uint64_t eighth = num_layers / 8;
  return layer < eighth || layer >= 7 * num_layers / 8 ||
         (layer - eighth) % 3 == 2;
}

// In a mixture attention is a small part of the bytes and every token passes
// through it: it gets more.
DType MediumType(const TensorSpec& tensor, const ModelConfig& config,
                 DType base) {
  const bool telling =
      tensor.layer >= 0 &&
      IsTelling(static_cast<uint64_t>(tensor.layer), config.num_layers);
  switch (tensor.role) {
    case TensorRole::kOutput:
      return DType::kQ6K;
    case TensorRole::kTokenEmbedding:
      return config.tied_embeddings ? DType::kQ6K : base;
    case TensorRole::kAttentionK:
      return config.is_moe() ? DType::kQ8_0 : base;
    case TensorRole::kAttentionV:
      if (config.is_moe()) return DType::kQ8_0;
      return telling ? DType::kQ6K : base;
    case TensorRole::kAttentionOut:
      return config.is_moe() ? DType::kQ5K : base;
    case TensorRole::kFfnDown:
      return telling ? DType::kQ6K : base;
    default:
      return base;
  }
}

}  // namespace

const std::vector<std::string>& WeightTypeNames() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const NamedType& named : kTypes) {
      all.push_back(WeightTypeName(named.type));
    }
    return all;
  }();
  return names;
}

std::optional<WeightType> ParseWeightType(std::string_view name) {
  for (const NamedType& named : kTypes) {
    if (WeightTypeName(named.type) == name) return named.type;
  }
  return std::nullopt;
}

std::string WeightTypeName(const WeightType& type) {
  return verify::StrCat(verify::DTypeName(type.dtype),
                        type.mix == TypeMix::kMedium ? "_m" : "");
}

uint32_t GgufFileType(const WeightType& type) {
  for (const NamedType& named : kTypes) {
    if (named.type == type) return named.file_type;
  }
  return 32;  // mostly bf16
}

DType WantedType(const TensorSpec& tensor, const ModelConfig& config,
                 const WeightType& type) {
  if (tensor.shape.size() < 2 || tensor.role == TensorRole::kRouter) {
    return DType::kF32;
  }
  if (type.mix == TypeMix::kNone) return type.dtype;
  return MediumType(tensor, config, type.dtype);
}

DType ChooseType(const TensorSpec& tensor, const ModelConfig& config,
                 const WeightType& type) {
  const DType wanted = WantedType(tensor, config, type);
  const auto fits = [&](DType dtype) {
    return tensor.shape.back() % verify::BlockElements(dtype) == 0;
  };
  if (fits(wanted)) return wanted;
  return fits(DType::kQ8_0) ? DType::kQ8_0 : DType::kBF16;
}

}  // namespace inference
