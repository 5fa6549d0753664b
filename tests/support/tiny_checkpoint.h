// SPDX-License-Identifier: Apache-2.0
// Small checkpoints for tests, written as safetensors with configuration and
// tokenizer beside them.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "verify/structure/architecture.h"
#include "verify/structure/model_config.h"

namespace tests {

struct TinyTensor {
  std::string name;
  verify::DType dtype = verify::DType::kBF16;  // or kF16, kF32
  std::vector<uint64_t> shape;
  std::vector<std::byte> data;
};

// 2 layers, 3 experts of which 2 are used, dim 64, ff 96, 4 heads of 16 (2 kv),
// vocabulary 40.
verify::ModelConfig TinyConfig();

// Every tensor that `config` expects under Mistral's names, in bf16, filled
// with numbers in (-1, 1) that depend on the name and the position alone.
std::vector<TinyTensor> TinyTensors(const verify::ModelConfig& config);

// The same weights under Hugging Face's names, rows of q and k half-rotated:
// row p of a head is row 2 (p mod P) + p / P, P = head_dim / 2.
std::vector<TinyTensor> ToHuggingFace(const verify::ModelConfig& config,
                                      const std::vector<TinyTensor>& tensors);

std::string SafetensorsFile(const std::vector<TinyTensor>& tensors);
std::string ParamsJson(const verify::ModelConfig& config);
std::string HuggingFaceJson(const verify::ModelConfig& config);

// A BPE tokenizer.model of that many pieces, <unk> <s> </s> first.
std::string TinyTokenizer(size_t num_pieces);

}  // namespace tests
