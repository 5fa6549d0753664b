// SPDX-License-Identifier: Apache-2.0
// The small files that stand beside weights: configuration and tokenizer.
// Tested by tests/inference/convert/model_files_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "inference/convert/convert_options.h"
#include "inference/convert/convert_plan.h"
#include "verify/base/result.h"
#include "verify/checkpoint/dtype.h"
#include "verify/structure/model_config.h"

namespace inference {

// Mistral's params.json. What is the default of its readers is left out, but
// for rope_theta, whose default depends on who reads.
std::string ParamsJsonText(const verify::ModelConfig& config);

// The first and last token of a text, where the vocabulary says so.
struct TextEnds {
  std::optional<uint64_t> begin;
  std::optional<uint64_t> end;
};

// Hugging Face's config.json: of the family's class; of Llama's family
// MixtralForCausalLM with experts, else MistralForCausalLM, which without a
// window computes what LlamaForCausalLM does.
std::string HuggingFaceConfigText(const verify::ModelConfig& config,
                                  verify::DType dtype, const TextEnds& ends);

struct SmallFile {
  std::string name;
  std::string content;
};

struct TokenizerFiles {
  std::vector<SmallFile> files;  // at least one; sorted by name
  TextEnds ends;
  std::vector<std::string> notes;
};

// Files of the tokenizer as they lie beside the weights; from GGUF a
// tokenizer.model with the same vocabulary. Errors: those of LoadVocabularyFor;
// kUnsupported (E-TOKENIZER): a GGUF file whose vocabulary no tokenizer.model
// can hold; kLimit.
verify::Result<TokenizerFiles> CollectTokenizerFiles(
    const ConvertSource& source);

}  // namespace inference
