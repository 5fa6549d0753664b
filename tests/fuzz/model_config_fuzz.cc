// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "verify/structure/architecture.h"
#include "verify/structure/config_check.h"
#include "verify/structure/model_config.h"

namespace {

// What is accepted is within the bounds that the engine relies on.
void Check(const verify::Result<verify::ModelConfig>& config) {
  if (!config) {
    if (config.error().id != "E-CONFIG") std::abort();
    return;
  }
  const auto fail = [](bool broken) {
    if (broken) std::abort();
  };
  fail(config->dim == 0 || config->dim > verify::kMaxModelDim);
  fail(config->num_kv_heads == 0 ||
       config->num_heads % config->num_kv_heads != 0);
  fail(config->head_dim == 0 || config->head_dim % 2 != 0);
  fail(config->num_experts_per_token > config->num_experts);
  fail(!config->runnable() && !config->is_moe());
  fail(!(config->norm_eps > 0) || !(config->rope_theta >= 1));
  const uint64_t tensors = config->num_layers * (config->num_experts + 3);
  if (tensors > 4096) return;  // time, not correctness
  const auto specs = verify::ExpectedTensors(*config, config->names);
  fail(specs.size() < 3 || specs.size() > verify::kMaxModelTensors);
  for (const verify::TensorSpec& spec : specs) {
    fail(spec.name.empty() || spec.shape.empty());
    for (const uint64_t dim : spec.shape) fail(dim == 0);
  }
}

}  // namespace

// The same bytes as params.json and as config.json.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto json =
      verify::ParseJson({reinterpret_cast<const char*>(data), size});
  if (!json) return 0;
  Check(verify::ConfigFromParamsJson(*json));
  Check(verify::ConfigFromParamsJson(*json, 32000));
  Check(verify::ConfigFromHuggingFaceJson(*json));
  return 0;
}
