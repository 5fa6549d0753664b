// SPDX-License-Identifier: Apache-2.0
// How the readers of GGUF metadata take a value. Errors are E-CONFIG and name
// the key. Tested by tests/verify/structure/gguf_config_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "verify/base/result.h"
#include "verify/checkpoint/gguf_reader.h"
#include "verify/structure/model_config.h"

namespace verify {

// kUnsupported: the value changes the model in a way that is not implemented.
Unexpected NotImplemented(std::string_view key, std::string_view value);

// A count, or an array of one count per layer that are all the same.
Result<std::optional<uint64_t>> OptionalUnsigned(const GgufFile& gguf,
                                                 std::string_view key);
Result<uint64_t> RequiredUnsigned(const GgufFile& gguf, std::string_view key);
Result<double> FloatOr(const GgufFile& gguf, std::string_view key,
                       std::optional<double> absent);

// kUnsupported unless the count is absent, 0 or `neutral`.
Result<void> OnlyNeutral(const GgufFile& gguf, std::string_view key,
                         uint64_t neutral);

// Keys of `architecture` that change the arithmetic of the families that are
// run: sets config.expert_weights where one says it, kUnsupported for what is
// not computed.
Result<void> ReadGgufArithmetic(const GgufFile& gguf,
                                std::string_view architecture,
                                ModelConfig& config);

// key_length, else dim / heads. kUnsupported: values or rotated parts of
// another size.
Result<uint64_t> GgufHeadDim(const GgufFile& gguf,
                             std::string_view architecture,
                             const ModelConfig& config);

// `key`, or where it is absent (older writers) the number of tokens of the
// vocabulary, or the rows of the embedding.
Result<uint64_t> VocabularySize(const GgufFile& gguf, std::string_view key);

}  // namespace verify
