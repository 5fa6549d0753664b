// SPDX-License-Identifier: Apache-2.0
// What every reader of a model configuration shares: the bounds and relations
// that all of them must meet, and the form of their errors.
// Tested by tests/verify/structure/model_config_test.cc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "verify/base/result.h"
#include "verify/structure/model_config.h"

namespace verify {

// Bounds far above every published model of these families and low enough
// that no product of them overflows.
inline constexpr uint64_t kMaxModelDim = 65536;
inline constexpr uint64_t kMaxModelLayers = 1024;
inline constexpr uint64_t kMaxModelHeads = 4096;
inline constexpr uint64_t kMaxModelHeadDim = 1024;
inline constexpr uint64_t kMaxModelFfDim = 1u << 20;
inline constexpr uint64_t kMaxModelVocabulary = 1u << 22;
inline constexpr uint64_t kMaxModelExperts = 1024;
inline constexpr uint64_t kMaxModelContext = 1u << 28;
inline constexpr uint64_t kMaxModelTensors = 1u << 18;
inline constexpr uint64_t kMaxModelParameters = uint64_t{1} << 46;

// How a source calls the fields, for messages.
struct ConfigKeys {
  std::string_view dim;
  std::string_view num_layers;
  std::string_view head_dim;
  std::string_view ff_dim;
  std::string_view num_heads;
  std::string_view num_kv_heads;
  std::string_view vocab_size;
  std::string_view norm_eps;
  std::string_view rope_theta;
  std::string_view sliding_window;
  std::string_view num_experts;
  std::string_view num_experts_per_token;
  std::string_view context_len;
};

// Fail() with the id E-CONFIG.
Unexpected ConfigError(ErrorCode code, std::string message);

// Passes errors on, but for kUnsupported: what the engine does not compute may
// still have its tensors checked, and is written to config.not_run.
Result<void> NoteNotRun(Result<void> checked, ModelConfig& config);

// The bounds of what only some families have. `config` has passed CheckConfig.
Result<void> CheckTraits(const ModelConfig& config);

// kCorrupt if a value is out of bounds or does not fit another.
Result<void> CheckConfig(const ModelConfig& config, const ConfigKeys& keys);

}  // namespace verify
