// SPDX-License-Identifier: Apache-2.0
#include "verify/structure/gguf_fields.h"

#include <string>
#include <vector>

#include "verify/base/text.h"
#include "verify/structure/config_check.h"

namespace verify {
namespace {

bool Has(const GgufFile& gguf, std::string_view key) {
  return gguf.metadata.count(std::string(key)) > 0;
}

}  // namespace

Unexpected NotImplemented(std::string_view key, std::string_view value) {
  return ConfigError(ErrorCode::kUnsupported,
                     StrCat("\"", key, "\" is ", value,
                            ", which changes the model in a way that is not "
                            "implemented"));
}

Result<std::optional<uint64_t>> OptionalUnsigned(const GgufFile& gguf,
                                                 std::string_view key) {
  if (!Has(gguf, key)) return std::optional<uint64_t>();
  if (const auto value = gguf.Unsigned(key)) return value;
  const auto list = gguf.Integers(key);
  if (!list.has_value() || list->empty() || list->front() < 0) {
    return ConfigError(ErrorCode::kCorrupt,
                       StrCat("\"", key, "\" is not a whole number"));
  }
  const auto* const family = gguf.String("general.architecture");
  const auto num_layers = family == nullptr
                              ? std::nullopt
                              : gguf.Unsigned(StrCat(*family, ".block_count"));
  if (num_layers.has_value() && list->size() != *num_layers) {
    return ConfigError(ErrorCode::kCorrupt,
                       StrCat("\"", key, "\" lists ", list->size(),
                              " numbers for ", *num_layers, " layers"));
  }
  for (const int64_t value : *list) {
    if (value != list->front()) {
      return NotImplemented(key, "different in each layer");
    }
  }
  return std::optional<uint64_t>(static_cast<uint64_t>(list->front()));
}

Result<uint64_t> RequiredUnsigned(const GgufFile& gguf, std::string_view key) {
  ASSIGN_OR_RETURN(const auto value, OptionalUnsigned(gguf, key));
  if (!value.has_value()) {
    return ConfigError(ErrorCode::kCorrupt, StrCat("\"", key, "\" is missing"));
  }
  return *value;
}

Result<double> FloatOr(const GgufFile& gguf, std::string_view key,
                       std::optional<double> absent) {
  if (!Has(gguf, key)) {
    if (absent.has_value()) return *absent;
    return ConfigError(ErrorCode::kCorrupt, StrCat("\"", key, "\" is missing"));
  }
  const auto value = gguf.Float(key);
  if (!value.has_value()) {
    return ConfigError(ErrorCode::kCorrupt,
                       StrCat("\"", key, "\" is not a number"));
  }
  return *value;
}

Result<uint64_t> VocabularySize(const GgufFile& gguf, std::string_view key) {
  ASSIGN_OR_RETURN(const auto given, OptionalUnsigned(gguf, key));
  if (given.has_value()) return *given;
  if (const auto* const tokens = gguf.Strings("tokenizer.ggml.tokens")) {
    return uint64_t{tokens->size()};
  }
  const TensorInfo* const embedding = gguf.tensors.Find("token_embd.weight");
  if (embedding != nullptr && embedding->shape.size() == 2) {
    return uint64_t{embedding->shape[0]};
  }
  return ConfigError(ErrorCode::kCorrupt, StrCat("\"", key, "\" is missing"));
}

}  // namespace verify
