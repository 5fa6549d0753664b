// SPDX-License-Identifier: Apache-2.0
// Configuration and vocabulary as GGUF metadata for the architecture "llama".
// Keys: docs/formats/gguf.md. Tested by
// tests/inference/convert/convert_test.cc.
#pragma once

#include <cstdint>
#include <string_view>

#include "inference/convert/gguf_writer.h"
#include "verify/checkpoint/tokenizer_model.h"
#include "verify/structure/model_config.h"

namespace inference {

// general.* and llama.*. `file_type`: GgufFileType (quant_policy.h).
void AddModelMetadata(GgufHeader& header, const verify::ModelConfig& config,
                      std::string_view name, uint32_t file_type);

// tokenizer.ggml.*, with as many tokens as the model has rows of embedding:
// llama.cpp takes one for the other. Rows without a piece become unused
// tokens. Requires pieces.size() <= vocab_size.
void AddTokenizerMetadata(GgufHeader& header,
                          const verify::TokenizerModel& tokenizer,
                          uint64_t vocab_size);

}  // namespace inference
