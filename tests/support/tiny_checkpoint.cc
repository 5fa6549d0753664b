// SPDX-License-Identifier: Apache-2.0
#include "tests/support/tiny_checkpoint.h"

#include <cstdint>
#include <cstring>
#include <map>

#include "verify/base/json.h"
#include "verify/base/text.h"
#include "verify/checkpoint/tokenizer_model.h"

namespace tests {
namespace {

using verify::DType;
using verify::Json;
using verify::ModelConfig;
using verify::NameScheme;
using verify::StrCat;

// bf16 of magnitude below 1: exponent of [0.0625, 1), any sign and fraction.
uint16_t SomeBf16(uint64_t seed, uint64_t index) {
  uint64_t x = seed * 0x9e3779b97f4a7c15u + index + 1;
  x ^= x >> 31;
  x *= 0xbf58476d1ce4e5b9u;
  x ^= x >> 29;
  const uint64_t exponent = 123 + (x >> 40) % 4;
  return static_cast<uint16_t>((x & 0x8000u) | exponent << 7 |
                               ((x >> 20) & 0x7fu));
}

const char* SafetensorsType(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "F32";
    case DType::kF16:
      return "F16";
    default:
      return "BF16";
  }
}

}  // namespace

ModelConfig TinyConfig() {
  ModelConfig config;
  config.dim = 64;
  config.num_layers = 2;
  config.head_dim = 16;
  config.ff_dim = 96;
  config.num_heads = 4;
  config.num_kv_heads = 2;
  config.vocab_size = 40;
  config.num_experts = 3;
  config.num_experts_per_token = 2;
  return config;
}

std::vector<TinyTensor> TinyTensors(const ModelConfig& config) {
  std::vector<TinyTensor> tensors;
  for (const auto& spec :
       verify::ExpectedTensors(config, NameScheme::kMistral)) {
    uint64_t seed = 0;
    for (const char c : spec.name) {
      seed = seed * 131 + static_cast<unsigned char>(c);
    }
    uint64_t count = 1;
    for (const uint64_t d : spec.shape) count *= d;
    TinyTensor tensor{spec.name, DType::kBF16, spec.shape, {}};
    tensor.data.resize(count * 2);
    for (uint64_t i = 0; i < count; ++i) {
      const uint16_t value = SomeBf16(seed, i);
      std::memcpy(tensor.data.data() + i * 2, &value, 2);
    }
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

std::vector<TinyTensor> ToHuggingFace(const ModelConfig& config,
                                      const std::vector<TinyTensor>& tensors) {
  const auto mistral = verify::ExpectedTensors(config, NameScheme::kMistral);
  std::map<std::string, const TinyTensor*> by_name;
  for (const TinyTensor& tensor : tensors) by_name[tensor.name] = &tensor;
  std::vector<TinyTensor> out;
  for (const auto& spec : mistral) {
    TinyTensor tensor = *by_name.at(spec.name);
    tensor.name = verify::TensorName(config.family, NameScheme::kHuggingFace,
                                     spec.role, spec.layer, spec.expert);
    if (spec.role == verify::TensorRole::kAttentionQ ||
        spec.role == verify::TensorRole::kAttentionK) {
      const std::vector<std::byte> from = tensor.data;
      const uint64_t row_bytes = from.size() / spec.shape[0];
      const uint64_t half = config.head_dim / 2;
      for (uint64_t row = 0; row < spec.shape[0]; ++row) {
        const uint64_t p = row % config.head_dim;
        const uint64_t source = row - p + 2 * (p % half) + p / half;
        std::memcpy(tensor.data.data() + row * row_bytes,
                    from.data() + source * row_bytes, row_bytes);
      }
    }
    out.push_back(std::move(tensor));
  }
  return out;
}

std::string SafetensorsFile(const std::vector<TinyTensor>& tensors) {
  Json header = Json::object();
  std::string data;
  for (const TinyTensor& tensor : tensors) {
    const size_t begin = data.size();
    data.append(reinterpret_cast<const char*>(tensor.data.data()),
                tensor.data.size());
    header[tensor.name] = {{"dtype", SafetensorsType(tensor.dtype)},
                           {"shape", tensor.shape},
                           {"data_offsets", {begin, data.size()}}};
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t size = text.size();
  std::string out(sizeof(size), '\0');
  std::memcpy(out.data(), &size, sizeof(size));
  return out + text + data;
}

std::string ParamsJson(const ModelConfig& config) {
  Json json = {{"dim", config.dim},
               {"n_layers", config.num_layers},
               {"head_dim", config.head_dim},
               {"hidden_dim", config.ff_dim},
               {"n_heads", config.num_heads},
               {"n_kv_heads", config.num_kv_heads},
               {"norm_eps", config.norm_eps},
               {"rope_theta", config.rope_theta},
               {"vocab_size", config.vocab_size}};
  if (config.is_moe()) {
    json["moe"] = {{"num_experts", config.num_experts},
                   {"num_experts_per_tok", config.num_experts_per_token}};
  }
  if (config.sliding_window) json["sliding_window"] = *config.sliding_window;
  return json.dump();
}

std::string HuggingFaceJson(const ModelConfig& config) {
  Json json = {
      {"architectures",
       {config.is_moe() ? "MixtralForCausalLM" : "MistralForCausalLM"}},
      {"model_type", config.is_moe() ? "mixtral" : "mistral"},
      {"hidden_size", config.dim},
      {"intermediate_size", config.ff_dim},
      {"num_hidden_layers", config.num_layers},
      {"num_attention_heads", config.num_heads},
      {"num_key_value_heads", config.num_kv_heads},
      {"head_dim", config.head_dim},
      {"rms_norm_eps", config.norm_eps},
      {"rope_theta", config.rope_theta},
      {"vocab_size", config.vocab_size},
      {"hidden_act", "silu"},
      {"max_position_embeddings", config.context_len},
      {"tie_word_embeddings", config.tied_embeddings},
      {"torch_dtype", "bfloat16"}};
  if (config.is_moe()) {
    json["num_local_experts"] = config.num_experts;
    json["num_experts_per_tok"] = config.num_experts_per_token;
  }
  if (config.sliding_window) json["sliding_window"] = *config.sliding_window;
  return json.dump();
}

std::string TinyTokenizer(size_t num_pieces) {
  verify::TokenizerModel model;
  model.remove_extra_whitespaces = false;
  model.pieces = {{"<unk>", 0, verify::PieceType::kUnknown},
                  {"<s>", 0, verify::PieceType::kControl},
                  {"</s>", 0, verify::PieceType::kControl}};
  while (model.pieces.size() < num_pieces) {
    const auto rank = model.pieces.size();
    model.pieces.push_back({StrCat("w", rank), -static_cast<float>(rank),
                            verify::PieceType::kNormal});
  }
  model.pieces.resize(num_pieces);
  return verify::SerializeTokenizerModel(model);
}

}  // namespace tests
