// SPDX-License-Identifier: Apache-2.0
// Small models with random weights, written in the layouts that are read from
// releases: for tests of whatever needs a whole model.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "verify/checkpoint/dtype.h"
#include "verify/checkpoint/tokenizer_model.h"
#include "verify/structure/architecture.h"
#include "verify/structure/model_config.h"

namespace tests {

// Two layers of four experts, two per token; 288 pieces.
verify::ModelConfig TinyModelConfig();

// Bytes, control pieces, "▁" and letters; exactly `num_pieces` >= 260.
verify::TokenizerModel TinyModelTokenizer(size_t num_pieces);

class TinyModel {
 public:
  struct Tensor {
    verify::TensorSpec spec;
    verify::DType dtype;
    std::vector<float> values;  // as stored, i.e. rounded to dtype
  };

  // Weights of `dtype` (norms and router f32 in GGUF), named by config.names.
  // Any family that is run; GGUF says nothing of config.expert_weights.
  TinyModel(const verify::ModelConfig& config, verify::DType dtype,
            uint64_t seed = 1);

  const verify::ModelConfig& config() const { return config_; }
  // May be changed before Write.
  std::vector<Tensor>& tensors() { return tensors_; }
  Tensor& Find(verify::TensorRole role, int64_t layer, int64_t expert = -1);
  // The values of one matrix, taken out of merged experts; a dense block is
  // expert 0.
  std::vector<float> Values(verify::TensorRole role, int64_t layer = -1,
                            int64_t expert = -1) const;

  // Writes weights, configuration and tokenizer into a folder that exists:
  // consolidated.safetensors + params.json, model.safetensors + config.json,
  // or model.gguf. Data of the safetensors files begins at an odd offset.
  void Write(const std::string& folder) const;

 private:
  void WriteSafetensors(const std::string& path) const;
  void WriteGguf(const std::string& path) const;

  verify::ModelConfig config_;
  std::vector<Tensor> tensors_;
};

}  // namespace tests
