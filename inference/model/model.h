// SPDX-License-Identifier: Apache-2.0
// A model that is ready to run: mapped weights bound to layers, tokenizer,
// threads. Runs from GGUF and straight from the published files; weights are
// used where they are mapped and never copied to the heap as a whole.
// Tested by tests/inference/model/model_test.cc against golden outputs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "inference/ops/kv_row.h"
#include "inference/text/tokenizer.h"
#include "verify/base/progress.h"
#include "verify/base/result.h"
#include "verify/digest/digest.h"
#include "verify/structure/model_config.h"

namespace inference {

class InputObserver;
struct Kernels;

// How far activations are rounded before they meet weights (ops/matmul.h).
enum class Activations {
  kRounded,  // as fast as the CPU can: bytes for packed weights, bf16 for bf16
  kExact,    // floats: for comparing models, several times slower on prompts
};

struct ModelOptions {
  size_t num_threads = 0;  // 0: all processors
  // Of RunnableKernels(); null: the best of this CPU. For comparing CPUs.
  const Kernels* kernels = nullptr;
  Activations activations = Activations::kRounded;
  // How sessions keep keys and values: kQ8_0 takes 0.53 of the memory.
  KvType kv = KvType::kF16;
  // Of loading, which is long where weights are compressed.
  verify::Waiter waiter = {};
};

// What a forward pass shows of itself; called on the thread that runs it.
class ForwardObserver {
 public:
  virtual ~ForwardObserver() = default;
  // The residual stream after `layer` (0-based; -1: the embedding; num_layers:
  // after the last norm) for `num_tokens` tokens: [num_tokens, dim].
  virtual void OnLayer(int64_t layer, std::span<const float> hidden,
                       size_t num_tokens) = 0;
  // Which experts each token goes to: [num_tokens, k], best first, with their
  // weights of the same shape.
  virtual void OnExperts(int64_t layer, std::span<const uint32_t> experts,
                         std::span<const float> weights, size_t num_tokens,
                         size_t k) = 0;
  // Who is shown the inputs of all products, too (input_observer.h); null:
  // nobody. Costs a look at this pointer.
  virtual InputObserver* inputs() { return nullptr; }
};

// What one more token costs, without the keys and values of those before it.
struct TokenCost {
  uint64_t bytes = 0;         // of weights that are read
  uint64_t flops = 0;         // to generate a token: two for each weight
  uint64_t prompt_flops = 0;  // of a token of a long prompt: not its logits,
                              // and in the last layer keys and values alone
};

// Thread-compatible; several Sessions may share a Model on one thread at a
// time.
class Model {
 public:
  // `path`: a GGUF file, or a folder or weights file as Checkpoint::Open takes
  // it, with configuration and tokenizer beside it.
  // Errors: those of the readers; kCorrupt (structure does not fit the
  // configuration, id E-STRUCTURE; tokenizer larger than the vocabulary, id
  // E-TOKENIZER), kUnsupported (dtype, strided tensor or family; E-KV: heads
  // that options.kv does not fit), kCancelled.
  static verify::Result<std::unique_ptr<Model>> Load(
      const std::string& path, const ModelOptions& options);
  ~Model();

  const verify::ModelConfig& config() const;
  const Tokenizer& tokenizer() const;
  // "bf16", "q8_0": what most weights are.
  std::string weight_type() const;
  uint64_t weight_bytes() const;
  TokenCost token_cost() const;
  // The same of one layer; of num_layers, that of the output matrix.
  TokenCost layer_cost(uint64_t layer) const;
  // How its sessions keep keys and values, and the bytes for one position.
  KvType kv_type() const;
  uint64_t kv_bytes_per_token() const;
  // Which instructions it computes with: "AVX3". Results differ between them
  // in the last places.
  std::string_view kernels() const;
  Activations activations() const;

  // One expert by itself: W2(silu(W1 n) * (W3 n)) with n = RMS(hidden;
  // ffn_norm of the layer). A dense model has expert 0 alone. hidden: [dim].
  // Errors: kInvalidArgument (no such layer or expert, another length),
  // kLimit (no memory).
  verify::Result<std::vector<float>> RunExpert(
      uint64_t layer, uint64_t expert, std::span<const float> hidden) const;

 private:
  friend class LayerProbe;
  friend class Session;
  friend verify::Sha256Digest IdentifyModel(const Model& model);
  struct Impl;
  explicit Model(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// One sequence being run: its tokens and their KV cache. The model must outlive
// it. One thread.
class Session {
 public:
  // `max_tokens`: positions that the sequence may reach; memory grows with it
  // (at most the sliding window where the model has one).
  // Errors: kInvalidArgument (0), kLimit (more than memory can hold).
  static verify::Result<Session> Create(const Model& model,
                                        uint64_t max_tokens);
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  // Appends tokens and computes the logits of the last one. Errors:
  // kInvalidArgument (no token, an id outside the vocabulary), kLimit (the
  // sequence would pass max_tokens, or no memory), kCancelled; the sequence is
  // then as it was. Long spans run in batches, for which the observer is called
  // in turn. The logits have the same bits for any number of threads and for
  // any split of the tokens over calls; they differ in the last places between
  // kinds of CPU.
  verify::Result<void> Append(std::span<const TokenId> tokens,
                              ForwardObserver* observer = nullptr,
                              const verify::CancelToken* cancel = nullptr);

  // Appends tokens and hands on the logits of each from tokens[first] on, in
  // order, with its index: for scoring a text. logits() stays as it was.
  // Errors: as for Append.
  using LogitsSink =
      std::function<void(size_t index, std::span<const float> logits)>;
  verify::Result<void> AppendScored(
      std::span<const TokenId> tokens, size_t first, const LogitsSink& sink,
      const verify::CancelToken* cancel = nullptr);

  // Several sequences of one model go on by a token each, with one pass over
  // the weights: tokens[i] is appended to sessions[i], which then has the same
  // logits, to the bit, as by Append alone. Errors: kInvalidArgument (sessions
  // of several models, one of them twice, not as many as tokens, none, an id
  // outside the vocabulary), kLimit, kCancelled; the sequences are then as they
  // were.
  static verify::Result<void> AppendEach(
      std::span<Session* const> sessions, std::span<const TokenId> tokens,
      const verify::CancelToken* cancel = nullptr);

  // [vocab_size], of the last token of the last Append or AppendEach; valid
  // until the next of them.
  std::span<const float> logits() const;
  // The sequence: position() tokens; valid until it changes.
  std::span<const TokenId> tokens() const;
  uint64_t position() const;
  uint64_t max_tokens() const;
  const Model& model() const;
  // Forgets all tokens from `position` on (prefix reuse between turns).
  // False, and nothing changes, if that is ahead of the sequence or if, with a
  // sliding window, keys that a token there would see are gone; 0 and the
  // current position always work.
  bool Rewind(uint64_t position);

 private:
  friend class SessionFile;
  struct Impl;
  explicit Session(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace inference
