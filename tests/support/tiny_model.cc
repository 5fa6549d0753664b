// SPDX-License-Identifier: Apache-2.0
#include "tests/support/tiny_model.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "inference/quant/quantize.h"
#include "tests/support/gguf_builder.h"
#include "tests/support/test_random.h"
#include "verify/base/json.h"
#include "verify/base/text.h"

namespace tests {
namespace {

using verify::DType;
using verify::Family;
using verify::Json;
using verify::NameScheme;
using verify::TensorRole;

void WriteFile(const std::string& path, const std::string& content) {
  std::ofstream file(path, std::ios::binary);
  file.write(content.data(), static_cast<std::streamsize>(content.size()));
  if (!file) std::abort();
}

template <typename T>
void Put(std::string& out, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.append(bytes, sizeof(T));
}
// Unlike EncodeRow it also writes NaN and infinity.
std::string Encode(DType dtype, const std::vector<float>& values) {
  std::string out;
  if (dtype == DType::kQ8_0) {
    std::vector<inference::BlockQ8_0> blocks(values.size() / 32);
    if (!inference::EncodeQ8_0(values, blocks)) std::abort();
    out.assign(reinterpret_cast<const char*>(blocks.data()),
               blocks.size() * sizeof(blocks[0]));
    return out;
  }
  for (const float value : values) {
    switch (dtype) {
      case DType::kF32:
        Put(out, value);
        break;
      case DType::kF16:
        Put(out, inference::FloatToHalf(value));
        break;
      case DType::kBF16:
        Put(out, inference::FloatToBf16(value));
        break;
      case DType::kI32:
        Put(out, static_cast<int32_t>(value));
        break;
      default:
        std::abort();
    }
  }
  return out;
}

std::vector<float> Rounded(DType dtype, const std::vector<float>& values) {
  const std::string bytes = Encode(dtype, values);
  std::vector<float> out(values.size());
  inference::DecodeRow(dtype, verify::AsBytes(bytes), out);
  return out;
}

const char* SafetensorsDType(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "F32";
    case DType::kF16:
      return "F16";
    case DType::kBF16:
      return "BF16";
    case DType::kI32:
      return "I32";
    default:
      std::abort();
  }
}

uint32_t GgufType(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return 0;
    case DType::kF16:
      return 1;
    case DType::kQ8_0:
      return 8;
    case DType::kBF16:
      return 30;
    default:
      std::abort();
  }
}

bool IsNorm(TensorRole role) {
  return role == TensorRole::kOutputNorm ||
         role == TensorRole::kAttentionNorm || role == TensorRole::kFfnNorm ||
         role == TensorRole::kAttentionQNorm ||
         role == TensorRole::kAttentionKNorm;
}

std::vector<float> RandomValues(const verify::TensorSpec& spec,
                                TestRandom& random) {
  const uint64_t count = *verify::NumElements(spec.shape);
  std::vector<float> values = random.Floats(count);
  if (IsNorm(spec.role)) {
    for (float& value : values) value = 1 + 0.3f * value;
    return values;
  }
  // Products of unit variance, so that all layers matter; a router that
  // decides clearly, so that rounding does not change experts.
  const double inputs = spec.role == TensorRole::kTokenEmbedding
                            ? 1.0
                            : static_cast<double>(spec.shape.back());
  const double gain = spec.role == TensorRole::kRouter ? 3.0 : 1.0;
  for (float& value : values) {
    value *= static_cast<float>(gain * std::sqrt(3.0 / inputs));
  }
  return values;
}

Json ParamsJson(const verify::ModelConfig& c) {
  Json json = {{"dim", c.dim},
               {"n_layers", c.num_layers},
               {"head_dim", c.head_dim},
               {"hidden_dim", c.ff_dim},
               {"n_heads", c.num_heads},
               {"n_kv_heads", c.num_kv_heads},
               {"norm_eps", c.norm_eps},
               {"vocab_size", c.vocab_size},
               {"rope_theta", c.rope_theta}};
  if (c.sliding_window.has_value()) json["sliding_window"] = *c.sliding_window;
  if (c.tied_embeddings) json["tied_embeddings"] = true;
  if (c.is_moe()) {
    json["moe"] = {{"num_experts", c.num_experts},
                   {"num_experts_per_tok", c.num_experts_per_token}};
  }
  return json;
}

Json HuggingFaceJson(const verify::ModelConfig& c) {
  Json json = {{"architectures",
                {c.is_moe() ? "MixtralForCausalLM" : "MistralForCausalLM"}},
               {"model_type", c.is_moe() ? "mixtral" : "mistral"},
               {"hidden_act", "silu"},
               {"hidden_size", c.dim},
               {"num_hidden_layers", c.num_layers},
               {"head_dim", c.head_dim},
               {"intermediate_size", c.ff_dim},
               {"num_attention_heads", c.num_heads},
               {"num_key_value_heads", c.num_kv_heads},
               {"rms_norm_eps", c.norm_eps},
               {"vocab_size", c.vocab_size},
               {"rope_theta", c.rope_theta},
               {"max_position_embeddings", c.context_len},
               {"tie_word_embeddings", c.tied_embeddings}};
  json["sliding_window"] =
      c.sliding_window.has_value() ? Json(*c.sliding_window) : Json(nullptr);
  if (c.is_moe()) {
    json["num_local_experts"] = c.num_experts;
    json["num_experts_per_tok"] = c.num_experts_per_token;
  }
  if (c.family == Family::kLlama) return json;
  // What the two families beside Llama's call otherwise.
  const bool qwen = c.family == Family::kQwen3Moe;
  json["architectures"] = {qwen ? "Qwen3MoeForCausalLM" : "OlmoeForCausalLM"};
  json["model_type"] = qwen ? "qwen3_moe" : "olmoe";
  json.erase("num_local_experts");
  json["num_experts"] = c.num_experts;
  json["norm_topk_prob"] = c.expert_weights == verify::ExpertWeights::kOfChosen;
  if (qwen) {
    json["moe_intermediate_size"] = c.ff_dim;
    json["intermediate_size"] = c.traits.dense_ff_dim;
    json["decoder_sparse_step"] = c.traits.moe_layer_step;
    json["mlp_only_layers"] = c.traits.dense_layers;
    json["use_sliding_window"] = c.sliding_window.has_value();
    json["max_window_layers"] = 0;
  }
  return json;
}

template <typename T>
std::string Bytes(T value) {
  std::string out;
  Put(out, value);
  return out;
}

// The value of an array: element type, count, elements.
std::string Array(uint32_t type, uint64_t count, const std::string& items) {
  return Bytes(type) + Bytes(count) + items;
}

void AddTokenizer(const verify::TokenizerModel& model, GgufBuilder& gguf) {
  std::string texts;
  std::string scores;
  std::string types;
  for (const auto& piece : model.pieces) {
    texts += GgufString(piece.text);
    Put(scores, piece.score);
    Put(types, static_cast<int32_t>(piece.type));
  }
  const uint64_t count = model.pieces.size();
  gguf.KeyText("tokenizer.ggml.model", "llama");
  gguf.Key("tokenizer.ggml.tokens", 9, Array(8, count, texts));
  gguf.Key("tokenizer.ggml.scores", 9, Array(6, count, scores));
  gguf.Key("tokenizer.ggml.token_type", 9, Array(5, count, types));
  gguf.KeyU32("tokenizer.ggml.bos_token_id", 1);
  gguf.KeyU32("tokenizer.ggml.eos_token_id", 2);
}

}  // namespace

verify::ModelConfig TinyModelConfig() {
  verify::ModelConfig config;
  config.dim = 64;
  config.num_layers = 2;
  config.head_dim = 16;
  config.ff_dim = 96;
  config.num_heads = 4;
  config.num_kv_heads = 2;
  config.vocab_size = 288;
  config.num_experts = 4;
  config.num_experts_per_token = 2;
  return config;
}

verify::TokenizerModel TinyModelTokenizer(size_t num_pieces) {
  verify::TokenizerModel model;
  model.byte_fallback = true;
  model.remove_extra_whitespaces = false;
  using verify::PieceType;
  model.pieces = {{"<unk>", 0, PieceType::kUnknown},
                  {"<s>", 0, PieceType::kControl},
                  {"</s>", 0, PieceType::kControl}};
  for (int byte = 0; byte < 256; ++byte) {
    char text[8];
    std::snprintf(text, sizeof(text), "<0x%02X>", static_cast<unsigned>(byte));
    model.pieces.push_back({text, 0, PieceType::kByte});
  }
  model.pieces.push_back({"\u2581", -1, PieceType::kNormal});
  for (size_t i = 0; model.pieces.size() < num_pieces; ++i) {
    std::string text(1, static_cast<char>('a' + i % 26));
    if (i >= 26) text += std::to_string(i / 26);
    model.pieces.push_back(
        {text, -2.0f - static_cast<float>(i), PieceType::kNormal});
  }
  return model;
}

TinyModel::TinyModel(const verify::ModelConfig& config, DType dtype,
                     uint64_t seed)
    : config_(config) {
  config_.rope_style = config.names == NameScheme::kHuggingFace
                           ? verify::RopeStyle::kHalf
                           : verify::DescriptionOf(config.family).gguf_rope;
  TestRandom random(seed);
  for (const auto& spec : ExpectedTensors(config_, config_.names)) {
    Tensor tensor{spec, dtype, {}};
    if (config_.names == NameScheme::kGguf &&
        (IsNorm(spec.role) || spec.role == TensorRole::kRouter)) {
      tensor.dtype = DType::kF32;
    }
    tensor.values = Rounded(tensor.dtype, RandomValues(spec, random));
    tensors_.push_back(std::move(tensor));
  }
}

TinyModel::Tensor& TinyModel::Find(TensorRole role, int64_t layer,
                                   int64_t expert) {
  for (Tensor& tensor : tensors_) {
    const auto& spec = tensor.spec;
    if (spec.role == role && spec.layer == layer &&
        (spec.expert == expert || spec.expert < 0)) {
      return tensor;
    }
  }
  std::abort();
}

std::vector<float> TinyModel::Values(TensorRole role, int64_t layer,
                                     int64_t expert) const {
  for (const Tensor& tensor : tensors_) {
    const auto& spec = tensor.spec;
    if (spec.role != role || spec.layer != layer) continue;
    if (spec.shape.size() == 3) {
      const auto size =
          static_cast<ptrdiff_t>(tensor.values.size() / spec.shape[0]);
      const auto begin = tensor.values.begin() + expert * size;
      return {begin, begin + size};
    }
    if (expert >= 0 && spec.expert >= 0 && spec.expert != expert) continue;
    return tensor.values;
  }
  std::abort();
}

void TinyModel::Write(const std::string& folder) const {
  if (config_.names == NameScheme::kGguf) {
    WriteGguf(folder + "/model.gguf");
    return;
  }
  const bool mistral = config_.names == NameScheme::kMistral;
  WriteSafetensors(
      folder + (mistral ? "/consolidated.safetensors" : "/model.safetensors"));
  WriteFile(folder + (mistral ? "/params.json" : "/config.json"),
            (mistral ? ParamsJson(config_) : HuggingFaceJson(config_)).dump());
  WriteFile(folder + "/tokenizer.model",
            SerializeTokenizerModel(TinyModelTokenizer(config_.vocab_size)));
}

void TinyModel::WriteSafetensors(const std::string& path) const {
  Json header = Json::object();
  std::string data;
  for (const Tensor& tensor : tensors_) {
    const size_t begin = data.size();
    data += Encode(tensor.dtype, tensor.values);
    header[tensor.spec.name] = {{"dtype", SafetensorsDType(tensor.dtype)},
                                {"shape", tensor.spec.shape},
                                {"data_offsets", {begin, data.size()}}};
  }
  std::string text = header.dump();
  if (text.size() % 2 == 0) text += ' ';
  std::string file;
  Put(file, uint64_t{text.size()});
  WriteFile(path, file + text + data);
}

void TinyModel::WriteGguf(const std::string& path) const {
  GgufBuilder gguf;
  const std::string architecture(
      verify::DescriptionOf(config_.family).gguf_architecture);
  const auto count = [&](const char* key, uint64_t value) {
    gguf.KeyU32(architecture + "." + key, static_cast<uint32_t>(value));
  };
  const auto number = [&](const char* key, double value) {
    gguf.Key(architecture + "." + key, 6, Bytes(static_cast<float>(value)));
  };
  gguf.KeyText("general.architecture", architecture);
  const uint64_t dense_ff_dim = config_.traits.dense_ff_dim;
  count("vocab_size", config_.vocab_size);
  count("context_length", config_.context_len);
  count("embedding_length", config_.dim);
  count("block_count", config_.num_layers);
  count("feed_forward_length",
        dense_ff_dim != 0 ? dense_ff_dim : config_.ff_dim);
  count("attention.head_count", config_.num_heads);
  count("attention.head_count_kv", config_.num_kv_heads);
  count("attention.key_length", config_.head_dim);
  count("attention.value_length", config_.head_dim);
  count("rope.dimension_count", config_.head_dim);
  number("attention.layer_norm_rms_epsilon", config_.norm_eps);
  number("rope.freq_base", config_.rope_theta);
  if (config_.is_moe()) {
    count("expert_count", config_.num_experts);
    count("expert_used_count", config_.num_experts_per_token);
    if (dense_ff_dim != 0) count("expert_feed_forward_length", config_.ff_dim);
  }
  if (config_.sliding_window.has_value()) {
    count("attention.sliding_window", *config_.sliding_window);
  }
  AddTokenizer(TinyModelTokenizer(config_.vocab_size), gguf);
  for (const Tensor& tensor : tensors_) {
    const auto& shape = tensor.spec.shape;
    gguf.Add({tensor.spec.name,
              {shape.rbegin(), shape.rend()},
              GgufType(tensor.dtype),
              Encode(tensor.dtype, tensor.values),
              std::nullopt});
  }
  WriteFile(path, gguf.Build());
}

}  // namespace tests
