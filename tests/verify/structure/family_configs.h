// SPDX-License-Identifier: Apache-2.0
// config.json of published models, cut down to the keys that give shapes, and
// the number of parameters that their shapes make.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "verify/structure/model_config.h"

namespace tests {

struct FamilyConfig {
  std::string_view name;
  verify::Family family;
  uint64_t parameters;  // without layers that predict further tokens
  std::string_view json;
};

inline std::vector<FamilyConfig> FamilyConfigs() {
  using verify::Family;
  return {
      {"Qwen3-30B-A3B", Family::kQwen3Moe, 30'532'122'624,
       R"({"architectures": ["Qwen3MoeForCausalLM"], "attention_bias": false,
           "decoder_sparse_step": 1, "head_dim": 128, "hidden_size": 2048,
           "intermediate_size": 6144, "mlp_only_layers": [],
           "moe_intermediate_size": 768, "num_attention_heads": 32,
           "num_experts": 128, "num_experts_per_tok": 8,
           "num_hidden_layers": 48, "num_key_value_heads": 4,
           "rms_norm_eps": 1e-06, "rope_theta": 1000000.0,
           "tie_word_embeddings": false, "vocab_size": 151936})"},
      {"Qwen3-235B-A22B", Family::kQwen3Moe, 235'093'634'560,
       R"({"architectures": ["Qwen3MoeForCausalLM"], "attention_bias": false,
           "decoder_sparse_step": 1, "head_dim": 128, "hidden_size": 4096,
           "intermediate_size": 12288, "mlp_only_layers": [],
           "moe_intermediate_size": 1536, "num_attention_heads": 64,
           "num_experts": 128, "num_experts_per_tok": 8,
           "num_hidden_layers": 94, "num_key_value_heads": 4,
           "tie_word_embeddings": false, "vocab_size": 151936})"},
      {"OLMoE-1B-7B", Family::kOlmoe, 6'919'161'856,
       R"({"architectures": ["OlmoeForCausalLM"], "hidden_size": 2048,
           "intermediate_size": 1024, "num_attention_heads": 16,
           "num_experts": 64, "num_experts_per_tok": 8,
           "num_hidden_layers": 16, "num_key_value_heads": 16,
           "rms_norm_eps": 1e-05, "vocab_size": 50304})"},
      {"DeepSeek-V2-Lite", Family::kDeepseek, 15'706'484'224,
       R"({"architectures": ["DeepseekV2ForCausalLM"],
           "first_k_dense_replace": 1, "hidden_size": 2048,
           "intermediate_size": 10944, "kv_lora_rank": 512,
           "moe_intermediate_size": 1408, "moe_layer_freq": 1,
           "n_routed_experts": 64, "n_shared_experts": 2,
           "num_attention_heads": 16, "num_experts_per_tok": 6,
           "num_hidden_layers": 27, "num_key_value_heads": 16,
           "q_lora_rank": null, "qk_nope_head_dim": 128,
           "qk_rope_head_dim": 64, "topk_method": "greedy",
           "v_head_dim": 128, "vocab_size": 102400})"},
      {"DeepSeek-V3", Family::kDeepseek, 671'026'419'200,
       R"({"architectures": ["DeepseekV3ForCausalLM"],
           "first_k_dense_replace": 3, "hidden_size": 7168,
           "intermediate_size": 18432, "kv_lora_rank": 512,
           "moe_intermediate_size": 2048, "moe_layer_freq": 1,
           "n_routed_experts": 256, "n_shared_experts": 1,
           "num_attention_heads": 128, "num_experts_per_tok": 8,
           "num_hidden_layers": 61, "num_key_value_heads": 128,
           "num_nextn_predict_layers": 1, "q_lora_rank": 1536,
           "qk_nope_head_dim": 128, "qk_rope_head_dim": 64,
           "quantization_config": {"quant_method": "fp8", "fmt": "e4m3",
                                   "weight_block_size": [128, 128]},
           "topk_method": "noaux_tc", "v_head_dim": 128,
           "vocab_size": 129280})"},
      {"gpt-oss-20b", Family::kGptOss, 20'914'757'184,
       R"({"architectures": ["GptOssForCausalLM"], "attention_bias": true,
           "head_dim": 64, "hidden_size": 2880, "intermediate_size": 2880,
           "num_attention_heads": 64, "num_experts_per_tok": 4,
           "num_hidden_layers": 24, "num_key_value_heads": 8,
           "num_local_experts": 32, "quantization_config":
           {"quant_method": "mxfp4"}, "rms_norm_eps": 1e-05,
           "vocab_size": 201088})"},
      {"gpt-oss-120b", Family::kGptOss, 116'829'156'672,
       R"({"architectures": ["GptOssForCausalLM"], "attention_bias": true,
           "head_dim": 64, "hidden_size": 2880, "intermediate_size": 2880,
           "num_attention_heads": 64, "num_experts_per_tok": 4,
           "num_hidden_layers": 36, "num_key_value_heads": 8,
           "num_local_experts": 128, "rms_norm_eps": 1e-05,
           "vocab_size": 201088})"},
      // 64 layers of 4,919,992,320, an embedding of 131072 * 6144, a norm.
      {"Grok-1", Family::kGrok, 315'684'820'992,
       R"({"architectures": ["Grok1ForCausalLM"], "hidden_size": 6144,
           "intermediate_size": 32768, "num_attention_heads": 48,
           "num_experts": 8, "num_experts_per_tok": 2,
           "num_hidden_layers": 64, "num_key_value_heads": 8,
           "rms_norm_eps": 1e-05, "tie_word_embeddings": true,
           "vocab_size": 131072})"},
      {"Phi-3.5-MoE", Family::kPhiMoe, 41'873'153'344,
       R"({"architectures": ["PhiMoEForCausalLM"], "attention_bias": true,
           "hidden_size": 4096, "intermediate_size": 6400,
           "lm_head_bias": true, "num_attention_heads": 32,
           "num_experts_per_tok": 2, "num_hidden_layers": 32,
           "num_key_value_heads": 8, "num_local_experts": 16,
           "rms_norm_eps": 1e-05, "tie_word_embeddings": false,
           "vocab_size": 32064})"},
      {"Granite-3.0-3B-A800M", Family::kGraniteMoe, 3'298'793'472,
       R"({"architectures": ["GraniteMoeForCausalLM"],
           "attention_bias": false, "hidden_size": 1536,
           "intermediate_size": 512, "num_attention_heads": 24,
           "num_experts_per_tok": 8, "num_hidden_layers": 32,
           "num_key_value_heads": 8, "num_local_experts": 40,
           "rms_norm_eps": 1e-06, "tie_word_embeddings": true,
           "vocab_size": 49155})"},
      {"Llama-4-Scout", Family::kLlama4, 107'769'861'120,
       R"({"architectures": ["Llama4ForConditionalGeneration"],
           "text_config": {"attention_bias": false, "head_dim": 128,
           "hidden_size": 5120, "interleave_moe_layer_step": 1,
           "intermediate_size": 8192, "intermediate_size_mlp": 16384,
           "num_attention_heads": 40, "num_experts_per_tok": 1,
           "num_hidden_layers": 48, "num_key_value_heads": 8,
           "num_local_experts": 16, "rms_norm_eps": 1e-05,
           "vocab_size": 202048}})"},
      {"Llama-4-Maverick", Family::kLlama4, 400'711'848'960,
       R"({"architectures": ["Llama4ForConditionalGeneration"],
           "text_config": {"attention_bias": false, "head_dim": 128,
           "hidden_size": 5120, "interleave_moe_layer_step": 2,
           "intermediate_size": 8192, "intermediate_size_mlp": 16384,
           "num_attention_heads": 40, "num_experts_per_tok": 1,
           "num_hidden_layers": 48, "num_key_value_heads": 8,
           "num_local_experts": 128, "rms_norm_eps": 1e-05,
           "vocab_size": 202048}})"},
      {"Mixtral-8x22B", Family::kLlama, 140'620'634'112,
       R"({"architectures": ["MixtralForCausalLM"], "hidden_act": "silu",
           "hidden_size": 6144, "intermediate_size": 16384,
           "num_attention_heads": 48, "num_experts_per_tok": 2,
           "num_hidden_layers": 56, "num_key_value_heads": 8,
           "num_local_experts": 8, "rms_norm_eps": 1e-05,
           "rope_theta": 1000000.0, "tie_word_embeddings": false,
           "vocab_size": 32000})"},
  };
}

}  // namespace tests
