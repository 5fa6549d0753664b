// SPDX-License-Identifier: Apache-2.0
// The one table of tensors: per family every tensor, its name in each scheme
// and its shape as a function of ModelConfig. The structure check, the weight
// binding and the converter all read it. The rows stand in table_*.cc.
// Tested by tests/verify/structure/architecture_test.cc and families_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "verify/structure/model_config.h"

namespace verify {

enum class TensorRole {
  kTokenEmbedding,  // [vocab, dim]
  kOutputNorm,      // [dim]
  kOutput,          // [vocab, dim]
  kAttentionNorm,   // [dim]
  kAttentionQ,      // [num_heads * head_dim, dim]
  kAttentionK,      // [num_kv_heads * head_dim, dim]
  kAttentionV,      // [num_kv_heads * head_dim, dim]
  kAttentionOut,    // [dim, num_heads * head_dim]
  kAttentionQNorm,  // [head_dim] of each head, or of all together
  kAttentionKNorm,  // the same
  kFfnNorm,         // [dim]
  kRouter,          // [num_experts, dim]
  kFfnGate,         // w1 [ff_dim, dim]; merged experts [num_experts, ff, dim]
  kFfnDown,         // w2 [dim, ff_dim]; merged [num_experts, dim, ff]
  kFfnUp,           // w3 [ff_dim, dim]; merged [num_experts, ff, dim]
  kOther,           // of a family that the engine does not run
};

// What may hold the numbers of a tensor.
enum class StoredAs : uint8_t {
  kWeight,    // any floating-point or packed type
  kLinear,    // the same; f8_e4m3 with a tensor of scales where weights are fp8
  kBytes,     // u8: two numbers of four bits each, in blocks of 16 bytes
  kScale,     // u8: exponents of those blocks, no parameters of their own
  kFp8Scale,  // f32: one for each block of an fp8 weight
};

struct TensorSpec {
  TensorRole role = TensorRole::kTokenEmbedding;
  int64_t layer = -1;   // -1: not of a layer
  int64_t expert = -1;  // -1: not of one expert (dense, or merged)
  std::string name;     // in the scheme asked for
  std::vector<uint64_t> shape;
  StoredAs stored = StoredAs::kWeight;
  bool optional = false;  // all that are optional may be left out together

  // Numbers of the model that it holds: two for a packed byte, none for a
  // scale.
  uint64_t num_parameters() const;
};

// Every tensor of the model in the order of a forward pass, named by `scheme`.
// GGUF merges the experts of a layer into one tensor; the others do not.
// With tied embeddings there is no kOutput. Empty if the family has no files
// under that scheme.
std::vector<TensorSpec> ExpectedTensors(const ModelConfig& config,
                                        NameScheme scheme);

// The name of one tensor of a family that is run; `layer` and `expert` -1 where
// it has none. With an expert in GGUF it is the merged tensor that holds all
// experts of the layer. Requires a role that the family has.
std::string TensorName(Family family, NameScheme scheme, TensorRole role,
                       int64_t layer, int64_t expert);

// The name of the output matrix (kOutput) of any family.
std::string OutputName(const ModelConfig& config);

// The scheme that the names of a checkpoint follow; nothing if mixed or
// unknown.
std::optional<NameScheme> DetectNameScheme(const TensorTable& tensors);

}  // namespace verify
