// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "verify/base/file.h"
#include "verify/base/text.h"
#include "verify/structure/architecture.h"
#include "verify/structure/config_check.h"
#include "verify/structure/model_config.h"
#include "verify/structure/part_kind.h"

namespace verify {
namespace {

constexpr uint64_t kMaxConfigBytes = 4u << 20;

Result<Json> ReadConfigFile(const std::string& path) {
  auto text = ReadSmallTextFile(path, kMaxConfigBytes);
  if (!text) {
    if (text.error().code != ErrorCode::kNotFound) {
      return Unexpected(std::move(text).error());
    }
    return ConfigError(ErrorCode::kNotFound,
                       StrCat("no configuration: \"", EscapeForTerminal(path),
                              "\" does not exist"));
  }
  auto json = ParseJson(*text);
  if (!json)
    return WithContext(std::move(json).error(), EscapeForTerminal(path));
  return json;
}

Result<ModelConfig> Named(Result<ModelConfig> config, const std::string& path) {
  if (config) return config;
  return WithContext(std::move(config).error(), EscapeForTerminal(path));
}

}  // namespace

Result<ModelConfig> LoadModelConfig(const Checkpoint& checkpoint) {
  if (const GgufFile* const gguf = checkpoint.gguf()) {
    return Named(ConfigFromGguf(*gguf), checkpoint.files().front());
  }
  const auto scheme = DetectNameScheme(checkpoint.tensors());
  if (scheme == NameScheme::kMistral) {
    const std::string path = checkpoint.folder() + "/params.json";
    ASSIGN_OR_RETURN(const Json json, ReadConfigFile(path));
    std::optional<uint64_t> rows;
    const TensorInfo* const embedding =
        checkpoint.tensors().Find("tok_embeddings.weight");
    if (embedding != nullptr && embedding->shape.size() == 2) {
      rows = embedding->shape[0];
    }
    return Named(ConfigFromParamsJson(json, rows), path);
  }
  if (scheme == NameScheme::kHuggingFace) {
    const std::string path = checkpoint.folder() + "/config.json";
    ASSIGN_OR_RETURN(const Json json, ReadConfigFile(path));
    return Named(ConfigFromHuggingFaceJson(json), path);
  }
  if (HasStackedExperts(checkpoint.tensors())) {
    return ConfigError(
        ErrorCode::kUnsupported,
        StrCat("\"", EscapeForTerminal(checkpoint.files().front()),
               "\" has its experts stacked and the down matrix transposed, as "
               "the first upload of Mixtral to Hugging Face had, which is not "
               "read"));
  }
  return ConfigError(
      ErrorCode::kUnsupported,
      StrCat("the tensor names in \"",
             EscapeForTerminal(checkpoint.files().front()),
             "\" follow neither Mistral's nor Hugging Face's layout"));
}

}  // namespace verify
