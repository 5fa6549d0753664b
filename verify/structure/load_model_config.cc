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

std::optional<uint64_t> EmbeddingRows(const Checkpoint& checkpoint) {
  const TensorInfo* const embedding =
      checkpoint.tensors().Find("tok_embeddings.weight");
  if (embedding == nullptr || embedding->shape.size() != 2) return std::nullopt;
  return embedding->shape[0];
}

// The upload with stacked experts was made from Mistral's files for Hugging
// Face's hub: its params.json has the keys of either, or config.json is there
// alone. Rows of q and k stand as in Mistral's files whatever the keys.
Result<ModelConfig> StackedConfig(const Checkpoint& checkpoint) {
  std::string path = checkpoint.folder() + "/params.json";
  auto read = ReadConfigFile(path);
  if (!read && read.error().code == ErrorCode::kNotFound) {
    const std::string other = checkpoint.folder() + "/config.json";
    auto instead = ReadConfigFile(other);
    if (instead || instead.error().code != ErrorCode::kNotFound) {
      path = other;
      read = std::move(instead);
    }
  }
  ASSIGN_OR_RETURN(Json json, std::move(read));
  const auto parse = [&]() -> Result<ModelConfig> {
    if (!json.is_object() || !json.contains("hidden_size")) {
      return ConfigFromParamsJson(json, EmbeddingRows(checkpoint));
    }
    if (!json.contains("architectures") && !json.contains("model_type")) {
      json["architectures"] = Json::array({"MixtralForCausalLM"});
    }
    return ConfigFromHuggingFaceJson(json);
  };
  ASSIGN_OR_RETURN(ModelConfig config, Named(parse(), path));
  config.rope_style = RopeStyle::kInterleaved;
  config.names = NameScheme::kMistralStacked;
  return config;
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
    return Named(ConfigFromParamsJson(json, EmbeddingRows(checkpoint)), path);
  }
  if (scheme == NameScheme::kMistralStacked) return StackedConfig(checkpoint);
  if (scheme == NameScheme::kHuggingFace) {
    const std::string path = checkpoint.folder() + "/config.json";
    ASSIGN_OR_RETURN(const Json json, ReadConfigFile(path));
    return Named(ConfigFromHuggingFaceJson(json), path);
  }
  return ConfigError(
      ErrorCode::kUnsupported,
      StrCat("the tensor names in \"",
             EscapeForTerminal(checkpoint.files().front()),
             "\" follow neither Mistral's nor Hugging Face's layout"));
}

}  // namespace verify
