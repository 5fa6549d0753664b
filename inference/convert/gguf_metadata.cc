// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/gguf_metadata.h"

#include <cstdint>
#include <string>
#include <vector>

#include "verify/base/check.h"
#include "verify/base/text.h"

namespace inference {
namespace {

using verify::ModelConfig;
using verify::StrCat;
using verify::TokenizerModel;
using verify::TokenizerPiece;

// Every size of a configuration is far below 2^32 (config_check.h).
uint32_t U32(uint64_t value) {
  CHECK(value <= UINT32_MAX);
  return static_cast<uint32_t>(value);
}

}  // namespace

void AddModelMetadata(GgufHeader& header, const ModelConfig& config,
                      std::string_view name, uint32_t file_type) {
  header.AddString("general.architecture", "llama");
  header.AddString("general.name", name);
  header.AddUint32("general.alignment",
                   static_cast<uint32_t>(verify::kGgufDefaultAlignment));
  header.AddUint32("general.file_type", file_type);
  header.AddUint32("general.quantization_version", 2);

  header.AddUint32("llama.vocab_size", U32(config.vocab_size));
  header.AddUint32("llama.context_length", U32(config.context_len));
  header.AddUint32("llama.embedding_length", U32(config.dim));
  header.AddUint32("llama.block_count", U32(config.num_layers));
  header.AddUint32("llama.feed_forward_length", U32(config.ff_dim));
  header.AddUint32("llama.attention.head_count", U32(config.num_heads));
  header.AddUint32("llama.attention.head_count_kv", U32(config.num_kv_heads));
  header.AddUint32("llama.attention.key_length", U32(config.head_dim));
  header.AddUint32("llama.attention.value_length", U32(config.head_dim));
  header.AddFloat32("llama.attention.layer_norm_rms_epsilon",
                    static_cast<float>(config.norm_eps));
  if (config.sliding_window.has_value()) {
    header.AddUint32("llama.attention.sliding_window",
                     U32(*config.sliding_window));
  }
  header.AddUint32("llama.rope.dimension_count", U32(config.head_dim));
  // Always: a reader without it assumes 10000.
  header.AddFloat32("llama.rope.freq_base",
                    static_cast<float>(config.rope_theta));
  if (config.is_moe()) {
    header.AddUint32("llama.expert_count", U32(config.num_experts));
    header.AddUint32("llama.expert_used_count",
                     U32(config.num_experts_per_token));
  }
}

void AddTokenizerMetadata(GgufHeader& header, const TokenizerModel& tokenizer,
                          uint64_t vocab_size) {
  CHECK(tokenizer.pieces.size() <= vocab_size);
  std::vector<std::string> tokens;
  std::vector<float> scores;
  std::vector<int32_t> types;
  for (const TokenizerPiece& piece : tokenizer.pieces) {
    tokens.push_back(piece.text);
    scores.push_back(piece.score);
    types.push_back(static_cast<int32_t>(piece.type));
  }
  for (uint64_t id = tokens.size(); id < vocab_size; ++id) {
    tokens.push_back(StrCat("[PAD", id, "]"));
    scores.push_back(-1000);
    types.push_back(static_cast<int32_t>(verify::PieceType::kUnused));
  }
  header.AddString("tokenizer.ggml.model", "llama");
  header.AddString("tokenizer.ggml.pre", "default");
  header.AddStrings("tokenizer.ggml.tokens", tokens);
  header.AddFloat32s("tokenizer.ggml.scores", scores);
  header.AddInt32s("tokenizer.ggml.token_type", types);
  const auto add_id = [&](std::string_view key, int32_t id) {
    if (id >= 0) header.AddUint32(key, static_cast<uint32_t>(id));
  };
  add_id("tokenizer.ggml.bos_token_id", tokenizer.bos_id);
  add_id("tokenizer.ggml.eos_token_id", tokenizer.eos_id);
  add_id("tokenizer.ggml.unknown_token_id", tokenizer.unk_id);
  add_id("tokenizer.ggml.padding_token_id", tokenizer.pad_id);
  header.AddBool("tokenizer.ggml.add_bos_token", tokenizer.add_bos);
  header.AddBool("tokenizer.ggml.add_eos_token", false);
  header.AddBool("tokenizer.ggml.add_space_prefix", tokenizer.add_dummy_prefix);
  header.AddBool("tokenizer.ggml.remove_extra_whitespaces",
                 tokenizer.remove_extra_whitespaces);
}

}  // namespace inference
