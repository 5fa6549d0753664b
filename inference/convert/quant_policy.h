// SPDX-License-Identifier: Apache-2.0
// Which tensor gets which element type in a converted file.
// The rules: docs/formats/gguf.md, section 4.
// Tested by tests/inference/convert/quant_policy_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "inference/convert/convert_options.h"
#include "verify/checkpoint/dtype.h"
#include "verify/structure/architecture.h"
#include "verify/structure/model_config.h"

namespace inference {

// A type of weights as users name it: "q8_0", or a mix, "q4_k_m".
struct WeightType {
  verify::DType dtype = verify::DType::kBF16;
  TypeMix mix = TypeMix::kNone;

  bool operator==(const WeightType&) const = default;
};

// Every name that can be asked for, the least packed first; and what it means.
const std::vector<std::string>& WeightTypeNames();
std::optional<WeightType> ParseWeightType(std::string_view name);
std::string WeightTypeName(const WeightType& type);

// general.file_type of a GGUF file, llama.cpp's numbers.
uint32_t GgufFileType(const WeightType& type);

// Norms (one dimension) and the router stay f32: small, and a rounded router
// sends tokens to other experts. Everything else becomes what WantedType says,
// except that rows which are no whole number of its blocks become q8_0, and
// bf16 where they are none of those either.
verify::DType ChooseType(const verify::TensorSpec& tensor,
                         const verify::ModelConfig& config,
                         const WeightType& type);

// The type that the rules name for a weight, whatever the length of its rows:
// without a mix that of `type`.
verify::DType WantedType(const verify::TensorSpec& tensor,
                         const verify::ModelConfig& config,
                         const WeightType& type);

}  // namespace inference
