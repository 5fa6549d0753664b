// SPDX-License-Identifier: Apache-2.0
// What a Model holds; shared by the sources of this folder alone and kept out
// of model.h so that its users do not compile the engine.
#pragma once

#include "inference/model/model.h"
#include "inference/model/transformer.h"
#include "inference/model/weights.h"
#include "inference/ops/kernels.h"
#include "inference/text/tokenizer.h"
#include "verify/base/thread_pool.h"
#include "verify/checkpoint/checkpoint.h"
#include "verify/structure/model_config.h"

namespace inference {

// Members in the order in which they depend on each other.
struct Model::Impl {
  Impl(verify::Checkpoint opened, verify::ModelConfig model_config,
       ModelWeights bound, Tokenizer text, const ModelOptions& options);

  verify::Checkpoint checkpoint;
  verify::ModelConfig config;
  ModelWeights weights;  // views into checkpoint
  Tokenizer tokenizer;
  const Kernels& kernels;
  verify::ThreadPool pool;
  bool exact;  // activations are not rounded
  KvType kv;
  Transformer transformer;
};

}  // namespace inference
