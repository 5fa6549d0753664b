// SPDX-License-Identifier: Apache-2.0
// Weights in fp8 (f8_e4m3) and the tensors of scales that belong to them, by
// their names. Layouts: docs/formats/layouts.md.
// Tested by tests/verify/structure/fp8_scale_test.cc.
#pragma once

#include <string>
#include <string_view>

#include "verify/base/json.h"
#include "verify/base/result.h"
#include "verify/checkpoint/tensor_table.h"
#include "verify/structure/model_config.h"

namespace verify {

// The tensor with whose numbers those of `weight` are to be multiplied, if the
// table has one: NAME_scale_inv or NAME_scale, or X.qscale_weight of X.weight.
// Empty if there is none, or the weight is no fp8.
std::string Fp8ScaleName(const TensorTable& tensors, const TensorInfo& weight);

// Whether `name` is a scale for the activations that meet an fp8 weight of the
// table. Whoever computes with the numbers of weights needs none.
bool IsActivationScale(const TensorTable& tensors, std::string_view name);

// "quantization_config" of config.json, of a class whose weights may be fp8: a
// scale for each block of weight_block_size, or one for each tensor. Errors:
// those of configurations, for all other forms.
Result<void> ReadFp8Config(const Json& quantization, ModelConfig& config);

// "quantization" of params.json: {"qformat_weight": "fp8_e4m3", ...}.
bool IsFp8Params(const Json& quantization);

}  // namespace verify
