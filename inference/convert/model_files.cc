// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/model_files.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>
#include <variant>

#include "inference/text/load_tokenizer.h"
#include "inference/text/template_text.h"
#include "inference/text/vocabulary_files.h"
#include "verify/base/file.h"
#include "verify/base/text.h"

namespace inference {
namespace {

using verify::DType;
using verify::ErrorCode;
using verify::Fail;
using verify::ModelConfig;
using verify::Result;
using verify::StrCat;
using verify::TokenizerModel;
using verify::TokenVocabulary;
using Ordered = nlohmann::ordered_json;

// What params.json stands for where it does not say (ModelConfig).
constexpr uint64_t kDefaultContext = 32768;

// Beside the file that is the vocabulary. Nothing that is code.
constexpr std::array<std::string_view, 8> kCompanions = {
    "added_tokens.json",      "chat_template.jinja",     "chat_template.json",
    "generation_config.json", "special_tokens_map.json", "tekken.json",
    "tokenizer.json",         "tokenizer_config.json"};

// Numbers of GGUF are floats: 1e-5 comes as 9.99999974737875e-06. The shortest
// decimal that is the same float is what was meant.
double Decimal(double value) {
  const auto single = static_cast<float>(value);
  if (static_cast<double>(single) != value) return value;
  std::array<char, 64> text{};
  const auto end =
      std::to_chars(text.data(), text.data() + text.size(), single).ptr;
  double decimal = value;
  std::from_chars(text.data(), end, decimal);
  return decimal;
}

const char* TorchName(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "float32";
    case DType::kF16:
      return "float16";
    default:
      return "bfloat16";
  }
}

std::string Dump(const Ordered& json) { return json.dump(2) + "\n"; }

std::optional<uint64_t> Id(int32_t id) {
  if (id < 0) return std::nullopt;
  return static_cast<uint64_t>(id);
}

TextEnds EndsOf(const LoadedVocabulary& vocabulary) {
  if (const TokenizerModel* const model = vocabulary.sentencepiece()) {
    return {Id(model->bos_id), Id(model->eos_id)};
  }
  const auto& tokens = std::get<TokenVocabulary>(vocabulary.content);
  return {tokens.begin_id, tokens.end_id};
}

Result<std::optional<SmallFile>> ReadIfThere(const std::string& folder,
                                             std::string_view name) {
  auto text = verify::ReadSmallTextFile(StrCat(folder, "/", name),
                                        verify::kMaxTokenizerJsonBytes);
  if (text) {
    return std::optional(SmallFile{std::string(name), *std::move(text)});
  }
  if (text.error().code == ErrorCode::kNotFound) {
    return std::optional<SmallFile>();
  }
  return verify::Unexpected(std::move(text).error());
}

// GGUF has the vocabulary in its metadata.
Result<TokenizerFiles> FromGguf(const ConvertSource& source,
                                const LoadedVocabulary& vocabulary) {
  TokenizerFiles files;
  if (const TokenizerModel* const model = vocabulary.sentencepiece()) {
    files.files.push_back(
        {"tokenizer.model", verify::SerializeTokenizerModel(*model)});
  } else {
    auto written =
        FilesOfVocabulary(std::get<TokenVocabulary>(vocabulary.content));
    if (!written) {
      return verify::WithContext(
          std::move(written).error(),
          StrCat("\"", verify::EscapeForTerminal(vocabulary.path), "\""));
    }
    for (VocabularyFile& file : *written) {
      files.files.push_back({std::move(file.name), std::move(file.content)});
    }
  }
  files.notes.push_back(
      StrCat(files.files.front().name,
             " was made from the vocabulary of the GGUF file"));
  const std::string* const chat =
      source.checkpoint.gguf()->String("tokenizer.chat_template");
  // Ours says no more than the vocabulary itself.
  if (chat != nullptr && !ReleaseOfTemplate(*chat).has_value()) {
    files.notes.push_back(
        "the chat template of the GGUF file has no place in the result");
  }
  return files;
}

}  // namespace

std::string ParamsJsonText(const ModelConfig& config) {
  Ordered json = {{"dim", config.dim},
                  {"n_layers", config.num_layers},
                  {"head_dim", config.head_dim},
                  {"hidden_dim", config.ff_dim},
                  {"n_heads", config.num_heads},
                  {"n_kv_heads", config.num_kv_heads},
                  {"norm_eps", Decimal(config.norm_eps)},
                  {"vocab_size", config.vocab_size},
                  {"rope_theta", Decimal(config.rope_theta)}};
  if (config.sliding_window.has_value()) {
    json["sliding_window"] = *config.sliding_window;
  }
  if (config.context_len != kDefaultContext) {
    json["max_seq_len"] = config.context_len;
  }
  if (config.tied_embeddings) json["tied_embeddings"] = true;
  if (config.is_moe()) {
    json["moe"] = {{"num_experts_per_tok", config.num_experts_per_token},
                   {"num_experts", config.num_experts}};
  }
  return Dump(json);
}

namespace {

// What transformers calls a model, and what only its class has.
struct ClassNames {
  const char* architecture;
  const char* model_type;
};

ClassNames ClassOf(const ModelConfig& config) {
  switch (config.family) {
    case verify::Family::kQwen3Moe:
      return {"Qwen3MoeForCausalLM", "qwen3_moe"};
    case verify::Family::kOlmoe:
      return {"OlmoeForCausalLM", "olmoe"};
    default:
      break;
  }
  if (config.is_moe()) return {"MixtralForCausalLM", "mixtral"};
  return {"MistralForCausalLM", "mistral"};
}

void AddExperts(const ModelConfig& config, Ordered& json) {
  const verify::FamilyTraits& traits = config.traits;
  const bool mixtral = config.family == verify::Family::kLlama;
  json[mixtral ? "num_local_experts" : "num_experts"] = config.num_experts;
  json["num_experts_per_tok"] = config.num_experts_per_token;
  if (mixtral) return;
  json["norm_topk_prob"] =
      config.expert_weights == verify::ExpertWeights::kOfChosen;
  if (config.family != verify::Family::kQwen3Moe) return;
  json["moe_intermediate_size"] = config.ff_dim;
  json["intermediate_size"] = traits.dense_ff_dim;
  json["decoder_sparse_step"] = traits.moe_layer_step;
  json["mlp_only_layers"] = traits.dense_layers;
}

}  // namespace

std::string HuggingFaceConfigText(const ModelConfig& config, DType dtype,
                                  const TextEnds& ends) {
  const ClassNames names = ClassOf(config);
  Ordered json = {{"architectures", Ordered::array({names.architecture})},
                  {"model_type", names.model_type}};
  if (ends.begin.has_value()) json["bos_token_id"] = *ends.begin;
  if (ends.end.has_value()) json["eos_token_id"] = *ends.end;
  json["hidden_act"] = "silu";
  json["hidden_size"] = config.dim;
  json["intermediate_size"] = config.ff_dim;
  json["num_hidden_layers"] = config.num_layers;
  json["num_attention_heads"] = config.num_heads;
  json["num_key_value_heads"] = config.num_kv_heads;
  json["head_dim"] = config.head_dim;
  if (config.is_moe()) AddExperts(config, json);
  json["max_position_embeddings"] = config.context_len;
  json["rms_norm_eps"] = Decimal(config.norm_eps);
  json["rope_theta"] = Decimal(config.rope_theta);
  // Null, too: without the key MistralForCausalLM takes 4096.
  json["sliding_window"] = config.sliding_window.has_value()
                               ? Ordered(*config.sliding_window)
                               : Ordered(nullptr);
  if (config.family == verify::Family::kQwen3Moe) {
    json["use_sliding_window"] = config.sliding_window.has_value();
    json["max_window_layers"] = 0;
  }
  json["tie_word_embeddings"] = config.tied_embeddings;
  json["torch_dtype"] = TorchName(dtype);
  json["vocab_size"] = config.vocab_size;
  return Dump(json);
}

Result<TokenizerFiles> CollectTokenizerFiles(const ConvertSource& source) {
  ASSIGN_OR_RETURN(const LoadedVocabulary vocabulary,
                   LoadVocabularyFor(source.checkpoint, source.config));
  TokenizerFiles collected;
  if (source.checkpoint.gguf() != nullptr) {
    ASSIGN_OR_RETURN(collected, FromGguf(source, vocabulary));
  } else {
    const std::string& folder = source.checkpoint.folder();
    const std::string used =
        vocabulary.path.substr(vocabulary.path.rfind('/') + 1);
    std::vector<std::string_view> names(kCompanions.begin(), kCompanions.end());
    if (std::find(names.begin(), names.end(), used) == names.end()) {
      names.push_back(used);
    }
    std::sort(names.begin(), names.end());
    for (const std::string_view name : names) {
      ASSIGN_OR_RETURN(auto file, ReadIfThere(folder, name));
      if (file.has_value()) collected.files.push_back(*std::move(file));
    }
  }
  collected.ends = EndsOf(vocabulary);
  return collected;
}

}  // namespace inference
