// SPDX-License-Identifier: Apache-2.0
#include "verify/structure/architecture.h"

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "verify/base/check.h"
#include "verify/base/text.h"
#include "verify/structure/tensor_pattern.h"

namespace verify {
namespace {

// Elements that share a scale in four-bit experts, and bytes that hold them.
constexpr uint64_t kMxfp4BlockElements = 32;
constexpr uint64_t kMxfp4BlockBytes = 16;

uint64_t Size(Dim dim, const ModelConfig& config) {
  const FamilyTraits& traits = config.traits;
  switch (dim) {
    case Dim::kNone:
      break;
    case Dim::kVocab:
      return config.vocab_size;
    case Dim::kModel:
      return config.dim;
    case Dim::kTwoModel:
      return 2 * config.dim;
    case Dim::kQuery:
      return config.num_heads * config.head_dim;
    case Dim::kKv:
      return config.num_kv_heads * config.head_dim;
    case Dim::kHeads:
      return config.num_heads;
    case Dim::kHeadDim:
      return config.head_dim;
    case Dim::kHalfHeadDim:
      return config.head_dim / 2;
    case Dim::kExperts:
      return config.num_experts;
    case Dim::kFf:
      return config.ff_dim;
    case Dim::kTwoFf:
      return 2 * config.ff_dim;
    case Dim::kExpertsFf:
      return config.num_experts * config.ff_dim;
    case Dim::kDenseFf:
      // Models without a mixture have one width alone.
      return traits.dense_ff_dim != 0 ? traits.dense_ff_dim : config.ff_dim;
    case Dim::kSharedFf:
      return traits.shared_ff_dim;
    case Dim::kTwoSharedFf:
      return 2 * traits.shared_ff_dim;
    case Dim::kQueryRank:
      return traits.q_lora_rank;
    case Dim::kKvRank:
      return traits.kv_lora_rank;
    case Dim::kKvRankAndRope:
      return traits.kv_lora_rank + traits.rope_dim;
    case Dim::kLatentQuery:
      return config.num_heads * (traits.nope_dim + traits.rope_dim);
    case Dim::kLatentKeyValue:
      return config.num_heads * (traits.nope_dim + traits.value_dim);
    case Dim::kLatentValue:
      return config.num_heads * traits.value_dim;
    case Dim::kNope:
      return traits.nope_dim;
    case Dim::kValue:
      return traits.value_dim;
    case Dim::kModelBlocks:
      return config.dim / kMxfp4BlockElements;
    case Dim::kFfBlocks:
      return config.ff_dim / kMxfp4BlockElements;
    case Dim::kBlockBytes:
      return kMxfp4BlockBytes;
  }
  return 0;
}

bool Applies(If condition, const ModelConfig& config) {
  const FamilyTraits& traits = config.traits;
  switch (condition) {
    case If::kAlways:
      return true;
    case If::kUntied:
      return !config.tied_embeddings;
    case If::kAttentionBias:
      return traits.attention_bias;
    case If::kRouterBias:
      return traits.router_bias;
    case If::kOutputBias:
      return traits.output_bias;
    case If::kOutputBiasUntied:
      return traits.output_bias && !config.tied_embeddings;
    case If::kQueryRank:
      return traits.q_lora_rank > 0;
    case If::kNoQueryRank:
      return traits.q_lora_rank == 0;
    case If::kJoinedKvB:
      return !traits.split_kv_b;
    case If::kSplitKvB:
      return traits.split_kv_b;
    case If::kShared:
      return traits.shared_ff_dim > 0;
    case If::kMxfp4:
      return traits.mxfp4_experts;
    case If::kNoMxfp4:
      return !traits.mxfp4_experts;
    case If::kLayerOutputNorm:
      return !traits.post_ffw_norm;
    case If::kPostFfwNorm:
      return traits.post_ffw_norm;
  }
  return false;
}

// `pattern` with the numbers put in.
std::string FillIn(std::string_view pattern, int64_t layer, int64_t expert) {
  std::string name;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '{') {
      name.push_back(pattern[i]);
      continue;
    }
    const int64_t number = pattern[i + 1] == 'N' ? layer : expert;
    CHECK(number >= 0);
    name += std::to_string(number);
    i += 2;  // past "N}" or "X}"
  }
  return name;
}

// Goes through the table of a family and collects what the configuration has.
class SpecBuilder {
 public:
  SpecBuilder(const ModelConfig& config, NameScheme scheme)
      : config_(config),
        scheme_(scheme),
        table_(FamilyTable(config.family, scheme)) {}

  std::vector<TensorSpec> Build() {
    if (table_.empty()) return {};
    // Before the layers stands what comes in, after them what goes out.
    AddOnce(
        [](TensorRole role) { return role == TensorRole::kTokenEmbedding; });
    for (uint64_t layer = 0; layer < config_.num_layers; ++layer) {
      AddLayer(layer, config_.is_moe_layer(layer), false);
    }
    const uint64_t further = scheme_ == NameScheme::kHuggingFace
                                 ? config_.traits.num_next_token_layers
                                 : 0;
    for (uint64_t i = 0; i < further; ++i) {
      AddLayer(config_.num_layers + i, config_.is_moe(), true);
    }
    AddOnce(
        [](TensorRole role) { return role != TensorRole::kTokenEmbedding; });
    return std::move(specs_);
  }

 private:
  template <typename Wanted>
  void AddOnce(Wanted wanted) {
    for (const Fragment& fragment : table_) {
      for (const TensorPattern& pattern : fragment) {
        if (pattern.where == Where::kModel && wanted(pattern.role)) {
          Add(pattern, -1, -1, false);
        }
      }
    }
  }

  void AddLayer(uint64_t number, bool moe, bool next_token) {
    const auto layer = static_cast<int64_t>(number);
    for (const Fragment& fragment : table_) {
      for (size_t i = 0; i < fragment.size(); ++i) {
        const TensorPattern& pattern = fragment[i];
        switch (pattern.where) {
          case Where::kModel:
            break;
          case Where::kLayer:
            Add(pattern, layer, -1, next_token);
            break;
          case Where::kDenseLayer:
            if (!moe) Add(pattern, layer, -1, next_token);
            break;
          case Where::kMoeLayer:
            if (moe) Add(pattern, layer, -1, next_token);
            break;
          case Where::kNextToken:
            if (next_token) Add(pattern, layer, -1, true);
            break;
          case Where::kExpert: {
            // What stands together is listed expert by expert.
            size_t end = i;
            while (end < fragment.size() &&
                   fragment[end].where == Where::kExpert) {
              ++end;
            }
            const uint64_t experts = moe ? config_.num_experts : 0;
            for (uint64_t expert = 0; expert < experts; ++expert) {
              for (size_t k = i; k < end; ++k) {
                Add(fragment[k], layer, static_cast<int64_t>(expert),
                    next_token);
              }
            }
            i = end - 1;
            break;
          }
        }
      }
    }
  }

  void Add(const TensorPattern& pattern, int64_t layer, int64_t expert,
           bool optional) {
    if (!Applies(pattern.condition, config_)) return;
    TensorSpec spec;
    spec.role = pattern.role;
    spec.layer = layer;
    spec.expert = expert;
    if (scheme_ == NameScheme::kHuggingFace) {
      spec.name = config_.traits.name_prefix;
    }
    spec.name += FillIn(pattern.name, layer, expert);
    for (const Dim dim : pattern.shape) {
      if (dim != Dim::kNone) spec.shape.push_back(Size(dim, config_));
    }
    spec.stored = pattern.stored;
    spec.optional = optional;
    specs_.push_back(std::move(spec));
    if (pattern.stored == StoredAs::kLinear && config_.traits.fp8_block > 0) {
      AddScales();
    }
  }

  // The scales of the fp8 weight that was added last.
  void AddScales() {
    const uint64_t side = config_.traits.fp8_block;
    TensorSpec scales = specs_.back();
    scales.role = TensorRole::kOther;
    scales.name += "_scale_inv";
    for (uint64_t& dim : scales.shape) dim = (dim + side - 1) / side;
    scales.stored = StoredAs::kFp8Scale;
    specs_.push_back(std::move(scales));
  }

  const ModelConfig& config_;
  NameScheme scheme_;
  std::span<const Fragment> table_;
  std::vector<TensorSpec> specs_;
};

bool StartsWith(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

// "blk.3.ffn_up.5.weight": only a tensor of one expert has a number there.
bool IsOfOneExpert(std::string_view name) {
  for (const std::string_view part : {".ffn_gate.", ".ffn_down.", ".ffn_up."}) {
    const size_t at = name.find(part);
    if (at == std::string_view::npos) continue;
    const size_t next = at + part.size();
    return next < name.size() && name[next] >= '0' && name[next] <= '9';
  }
  return false;
}

}  // namespace

std::span<const Fragment> FamilyTable(Family family, NameScheme scheme) {
  switch (scheme) {
    case NameScheme::kMistral:
      return MistralTable(family);
    case NameScheme::kMistralStacked:
      return MistralStackedTable(family);
    case NameScheme::kHuggingFace:
      return HuggingFaceTable(family);
    case NameScheme::kGguf:
      return GgufTable(family);
    case NameScheme::kGgufByExpert:
      return GgufByExpertTable(family);
  }
  return {};
}

uint64_t TensorSpec::num_parameters() const {
  uint64_t product = 1;
  for (const uint64_t dim : shape) product *= dim;
  switch (stored) {
    case StoredAs::kWeight:
    case StoredAs::kLinear:
      return product;
    case StoredAs::kBytes:
      return 2 * product;
    case StoredAs::kScale:
    case StoredAs::kFp8Scale:
      return 0;
  }
  return 0;
}

std::string TensorName(Family family, NameScheme scheme, TensorRole role,
                       int64_t layer, int64_t expert) {
  for (const Fragment& fragment : FamilyTable(family, scheme)) {
    for (const TensorPattern& pattern : fragment) {
      if (pattern.role != role) continue;
      // A role of the feed-forward block has a dense form and one of experts,
      // merged or not; the router has but one.
      const bool of_experts =
          pattern.where == Where::kExpert ||
          (pattern.where == Where::kMoeLayer && role != TensorRole::kRouter);
      if (of_experts != (expert >= 0)) continue;
      return FillIn(pattern.name, layer, expert);
    }
  }
  CHECK(false);
  return "";
}

std::string OutputName(const ModelConfig& config) {
  for (const Fragment& fragment : FamilyTable(config.family, config.names)) {
    for (const TensorPattern& pattern : fragment) {
      if (pattern.role != TensorRole::kOutput) continue;
      const bool prefixed = config.names == NameScheme::kHuggingFace;
      return StrCat(prefixed ? config.traits.name_prefix : "", pattern.name);
    }
  }
  return "";
}

std::vector<TensorSpec> ExpectedTensors(const ModelConfig& config,
                                        NameScheme scheme) {
  return SpecBuilder(config, scheme).Build();
}

std::optional<NameScheme> DetectNameScheme(const TensorTable& tensors) {
  bool mistral = false;
  bool stacked = false;
  bool hugging_face = false;
  bool gguf = false;
  bool by_expert = false;
  for (const TensorInfo& tensor : tensors.tensors()) {
    const std::string_view name = tensor.name;
    if (StartsWith(name, "layers.")) {
      mistral = true;
      stacked |= name.find(".block_sparse_moe.") != std::string_view::npos;
    } else if (name == "tok_embeddings.weight" || name == "norm.weight") {
      mistral = true;
    } else if (StartsWith(name, "model.") || name == "lm_head.weight" ||
               StartsWith(name, "language_model.")) {
      hugging_face = true;
    } else if (StartsWith(name, "blk.") || name == "token_embd.weight" ||
               name == "output_norm.weight") {
      gguf = true;
      by_expert |= IsOfOneExpert(name);
    }
  }
  if (mistral && !hugging_face && !gguf) {
    return stacked ? NameScheme::kMistralStacked : NameScheme::kMistral;
  }
  if (hugging_face && !mistral && !gguf) return NameScheme::kHuggingFace;
  if (gguf && !mistral && !hugging_face) {
    return by_expert ? NameScheme::kGgufByExpert : NameScheme::kGguf;
  }
  return std::nullopt;
}

}  // namespace verify
