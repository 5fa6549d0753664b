// SPDX-License-Identifier: Apache-2.0
#include "inference/eval/fingerprint.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>
#include <span>
#include <utility>

#include "inference/eval/fingerprint_compare.h"
#include "inference/eval/fingerprint_plan.h"
#include "inference/generate/sampler.h"
#include "inference/model/layer_probe.h"
#include "verify/base/text.h"
#include "verify/digest/digest.h"

namespace inference {
namespace {

using verify::ErrorCode;
using verify::Fail;
using verify::Result;
using verify::StrCat;
using verify::TensorRole;

constexpr size_t kBitsDigits = 16;

void Merge(const std::vector<verify::DType>& from, TypeSet& into) {
  into.insert(into.end(), from.begin(), from.end());
  std::sort(into.begin(), into.end());
  into.erase(std::unique(into.begin(), into.end()), into.end());
}

FingerprintModel ModelOf(const verify::ModelConfig& config) {
  FingerprintModel model;
  model.dim = config.dim;
  model.num_layers = config.num_layers;
  model.head_dim = config.head_dim;
  model.ff_dim = config.ff_dim;
  model.num_heads = config.num_heads;
  model.num_kv_heads = config.num_kv_heads;
  model.vocab_size = config.vocab_size;
  model.num_experts = config.num_experts;
  model.num_experts_per_token =
      config.is_moe() ? config.num_experts_per_token : 0;
  model.norm_eps = config.norm_eps;
  model.rope_theta = config.rope_theta;
  model.sliding_window = config.sliding_window;
  return model;
}

// Every piece as its kind, its length and its bytes. Trailing pieces that a
// conversion adds to fill the matrix ("[PAD31999]" at its own number) are not
// part of the vocabulary.
std::string VocabularyDigest(const Tokenizer& tokenizer) {
  verify::Sha256Hasher hasher;
  auto count = static_cast<TokenId>(tokenizer.vocab_size());
  while (count > 0 &&
         tokenizer.PieceBytes(count - 1) == StrCat("[PAD", count - 1, ']')) {
    --count;
  }
  for (TokenId id = 0; id < count; ++id) {
    const std::string_view bytes = tokenizer.PieceBytes(id);
    const char kind = tokenizer.IsControl(id) ? 'c'
                      : tokenizer.IsByte(id)  ? 'b'
                                              : 'p';
    const std::string head = StrCat(kind, bytes.size(), ':');
    hasher.Update(verify::AsBytes(head));
    hasher.Update(verify::AsBytes(bytes));
  }
  return verify::HexEncode(hasher.Finish());
}

// `wanted`: the ids whose logits are recorded; empty: the largest. The first
// id is always the largest here.
void RecordLogits(std::span<const float> logits,
                  const std::vector<TokenId>& wanted, FingerprintLogits& out) {
  const size_t top = std::min(kFingerprintTopLogits, logits.size());
  out.ids = wanted;
  if (!std::all_of(logits.begin(), logits.end(),
                   [](float x) { return std::isfinite(x); })) {
    out.ids.resize(top);
    return;
  }
  const auto at = [&](TokenId id) {
    return static_cast<double>(logits[static_cast<size_t>(id)]);
  };
  std::vector<TokenId> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::partial_sort(order.begin(), order.begin() + static_cast<ptrdiff_t>(top),
                    order.end(), [&](TokenId a, TokenId b) {
                      return at(a) != at(b) ? at(a) > at(b) : a < b;
                    });
  order.resize(top);
  if (out.ids.empty()) out.ids = order;
  const double mean = std::accumulate(logits.begin(), logits.end(), 0.0) /
                      static_cast<double>(logits.size());
  double squares = 0;
  for (const float logit : logits) {
    squares += (static_cast<double>(logit) - mean) *
               (static_cast<double>(logit) - mean);
  }
  std::vector<double> values = {
      std::sqrt(squares / static_cast<double>(logits.size()))};
  for (const TokenId id : out.ids) values.push_back(at(id) - mean);
  out.values = Quantise(values);
  // Equal logits are no other choice.
  if (at(order[0]) > at(out.ids[0])) out.ids[0] = order[0];
}

// Takes from a forward pass what is recorded of it, and runs each layer by
// itself while its weights are at hand.
class Recorder final : public ForwardObserver {
 public:
  Recorder(const Model& model, const verify::CancelToken& cancel,
           verify::ProgressSink* progress, Fingerprint& out)
      : model_(model),
        cancel_(cancel),
        probe_(model, &cancel),
        progress_(progress),
        out_(out),
        dim_(static_cast<size_t>(model.config().dim)),
        norm_states_(FingerprintStates(FingerprintStream::kNorm, 2, dim_)),
        attention_states_(FingerprintStates(FingerprintStream::kAttention,
                                            std::size(kFingerprintPositions),
                                            dim_)),
        ffn_states_(FingerprintStates(FingerprintStream::kFfn,
                                      kFingerprintFfnStates, dim_)) {
    for (size_t i = dim_; i < 2 * dim_; ++i) {
      norm_states_[i] *= kFingerprintSmallState;
    }
    out_.layers.resize(model.config().num_layers);
  }

  void OnExperts(int64_t layer, std::span<const uint32_t> experts,
                 std::span<const float> weights, size_t num_tokens,
                 size_t k) override {
    FingerprintLayer& record = out_.layers[static_cast<size_t>(layer)];
    const size_t kept =
        std::min(num_tokens, std::max<size_t>(1, kFingerprintRouted / k)) * k;
    record.routed.assign(experts.begin(),
                         experts.begin() + static_cast<ptrdiff_t>(kept));
    for (const float weight : weights.first(kept)) {
      const float scaled = weight * static_cast<float>(kFingerprintRoutedOne);
      record.routed_weights.push_back(
          scaled >= 0 ? static_cast<uint32_t>(std::lround(scaled)) : 0);
    }
  }

  void OnLayer(int64_t layer, std::span<const float> hidden,
               size_t /*num_tokens*/) override {
    if (!status_.has_value()) return;
    if (layer < 0) {
      status_ = ProbeEmbedding();
      return;
    }
    const auto index = static_cast<size_t>(layer);
    if (index == out_.layers.size()) {
      // Normalised: what the output matrix takes.
      for (const uint64_t position : out_.run.positions) {
        const auto state = StateAt(hidden, position);
        final_states_.insert(final_states_.end(), state.begin(), state.end());
      }
      status_ = ProbeOutput();
      return;
    }
    for (const uint64_t position : out_.run.positions) {
      out_.layers[index].residual.push_back(Project(StateAt(hidden, position)));
    }
    if (IsDepth(index + 1, out_.layers.size())) {
      const auto state = StateAt(hidden, out_.run.positions.back());
      depth_states_.insert(depth_states_.end(), state.begin(), state.end());
    }
    status_ = ProbeLayer(index);
    if (progress_ != nullptr) {
      const uint64_t total = model_.weight_bytes();
      progress_->OnProgress(
          StrCat("layer ", layer),
          static_cast<uint64_t>(static_cast<double>(total) *
                                static_cast<double>(layer + 1) /
                                static_cast<double>(out_.layers.size())),
          total);
    }
  }

  const Result<void>& status() const { return status_; }

  // Logits at the places of the run, in the order of LogitPlaces.
  LayerProbe::Values Logits() {
    std::vector<float> states;
    if (!depth_states_.empty()) {
      ASSIGN_OR_RETURN(states,
                       probe_.Norm(TensorRole::kOutputNorm, 0, depth_states_));
    }
    states.insert(states.end(), final_states_.begin(), final_states_.end());
    return probe_.Logits(states);
  }

 private:
  std::span<const float> StateAt(std::span<const float> hidden,
                                 uint64_t position) const {
    return hidden.subspan(static_cast<size_t>(position) * dim_, dim_);
  }

  // Projects and, in a layer, adds to the digest of its bits.
  Sketch Take(const std::vector<float>& values) {
    bits_.Update(std::as_bytes(std::span(values)));
    return Project(values);
  }

  Result<void> ProbeEmbedding() {
    const auto states = FingerprintStates(FingerprintStream::kMatrix,
                                          kFingerprintMatrixStates, dim_);
    ASSIGN_OR_RETURN(const auto products, probe_.Embedding(states));
    out_.embedding = Project(products);
    Merge(probe_.Types(TensorRole::kTokenEmbedding, 0), out_.embedding_types);
    return {};
  }

  Result<void> ProbeOutput() {
    const auto states = FingerprintStates(FingerprintStream::kMatrix,
                                          kFingerprintMatrixStates, dim_);
    ASSIGN_OR_RETURN(const auto normed,
                     probe_.Norm(TensorRole::kOutputNorm, 0, states));
    ASSIGN_OR_RETURN(const auto logits, probe_.Logits(normed));
    ASSIGN_OR_RETURN(const auto norm,
                     probe_.Norm(TensorRole::kOutputNorm, 0, norm_states_));
    out_.output_norm = Project(norm);
    out_.output = Project(logits);
    Merge(probe_.Types(TensorRole::kOutput, 0), out_.output_types);
    Merge(probe_.Types(TensorRole::kOutputNorm, 0), out_.output_norm_types);
    return {};
  }

  Result<void> ProbeLayer(size_t l) {
    FingerprintLayer& record = out_.layers[l];
    ASSIGN_OR_RETURN(const auto attention_norm,
                     probe_.Norm(TensorRole::kAttentionNorm, l, norm_states_));
    record.attention_norm = Take(attention_norm);
    ASSIGN_OR_RETURN(const auto attention,
                     probe_.Attend(l, attention_states_, kFingerprintPositions,
                                   probe_.rotation()));
    record.scores = Take(attention.scores);
    record.attention = Take(attention.output);
    ASSIGN_OR_RETURN(const auto ffn_norm,
                     probe_.Norm(TensorRole::kFfnNorm, l, norm_states_));
    record.ffn_norm = Take(ffn_norm);
    if (model_.config().is_moe()) {
      ASSIGN_OR_RETURN(const auto gate, probe_.Gate(l, ffn_states_));
      bits_.Update(std::as_bytes(std::span(gate)));
      record.gate = Quantise(gate);
      Merge(probe_.Types(TensorRole::kRouter, l), record.gate_types);
    }
    for (size_t e = 0; e < out_.model.ffn_blocks(); ++e) {
      if (cancel_.cancelled()) {
        return Fail(ErrorCode::kCancelled, "stopped on request");
      }
      ASSIGN_OR_RETURN(const auto expert, probe_.Expert(l, e, ffn_states_));
      record.experts.push_back(Take(expert));
    }
    record.bits = verify::HexEncode(bits_.Finish()).substr(0, kBitsDigits);
    for (const auto& [role, types] :
         {std::pair(TensorRole::kAttentionNorm, &record.norm_types),
          std::pair(TensorRole::kFfnNorm, &record.norm_types),
          std::pair(TensorRole::kAttentionQ, &record.score_types),
          std::pair(TensorRole::kAttentionK, &record.score_types),
          std::pair(TensorRole::kAttentionV, &record.value_types),
          std::pair(TensorRole::kAttentionOut, &record.value_types),
          std::pair(TensorRole::kFfnGate, &record.expert_types),
          std::pair(TensorRole::kFfnUp, &record.expert_types),
          std::pair(TensorRole::kFfnDown, &record.expert_types)}) {
      Merge(probe_.Types(role, l), *types);
    }
    return {};
  }

  const Model& model_;
  const verify::CancelToken& cancel_;
  LayerProbe probe_;
  verify::ProgressSink* progress_;
  Fingerprint& out_;
  const size_t dim_;
  std::vector<float> norm_states_;
  std::vector<float> attention_states_;
  std::vector<float> ffn_states_;
  std::vector<float> depth_states_;  // residuals, by depth
  std::vector<float> final_states_;  // normalised, by position
  verify::Sha256Hasher bits_;
  Result<void> status_;
};

// The sequence to run, and where it is looked at: the end of each prompt.
void PlanRun(const Tokenizer& tokenizer, Fingerprint& out) {
  FingerprintRun& run = out.run;
  if (tokenizer.bos_id() >= 0) run.ids.push_back(tokenizer.bos_id());
  for (const FingerprintPrompt& prompt : out.prompts) {
    const size_t count = std::min(prompt.ids.size(), kFingerprintPromptTokens);
    run.ids.insert(run.ids.end(), prompt.ids.begin(),
                   prompt.ids.begin() + static_cast<ptrdiff_t>(count));
    // A tokenizer that gives no ids for a text adds no place.
    if (count > 0) run.positions.push_back(run.ids.size() - 1);
  }
  if (run.ids.empty()) run.ids.push_back(0);
  if (run.positions.empty()) run.positions.push_back(run.ids.size() - 1);
}

// Version 1 has one form for all layers of a model.
Result<void> CheckLayersAlike(const verify::ModelConfig& config) {
  for (uint64_t l = 0; l < config.num_layers; ++l) {
    if (config.is_moe() == config.is_moe_layer(l)) continue;
    return Fail(ErrorCode::kUnsupported,
                StrCat("layer ", l,
                       " has no experts where others have: there are no "
                       "fingerprints of such models"))
        .Id("E-FINGERPRINT");
  }
  return {};
}

// Ids whose logits were recorded at a place, if there is a record.
const std::vector<TokenId>& WantedIds(const Fingerprint* published,
                                      size_t place) {
  static const std::vector<TokenId> kNone;
  if (published == nullptr || place >= published->run.logits.size()) {
    return kNone;
  }
  return published->run.logits[place].ids;
}

}  // namespace

bool FingerprintModel::SameShape(const FingerprintModel& other) const {
  return dim == other.dim && num_layers == other.num_layers &&
         head_dim == other.head_dim && ff_dim == other.ff_dim &&
         num_heads == other.num_heads && num_kv_heads == other.num_kv_heads &&
         vocab_size == other.vocab_size && num_experts == other.num_experts;
}

Result<Fingerprint> MeasureFingerprint(const Model& model,
                                       const Fingerprint* published,
                                       const verify::CancelToken& cancel,
                                       verify::ProgressSink* progress) {
  const auto& config = model.config();
  RETURN_IF_ERROR(CheckLayersAlike(config));
  const Tokenizer& tokenizer = model.tokenizer();
  Fingerprint out;
  out.model = ModelOf(config);
  out.kernels = std::string(model.kernels());
  out.rotation =
      config.rope_style == verify::RopeStyle::kHalf ? "half" : "interleaved";
  out.weights = model.weight_type();
  out.vocabulary = VocabularyDigest(tokenizer);
  if (published != nullptr) {
    for (const auto& prompt : published->prompts) {
      out.prompts.push_back({prompt.text, tokenizer.Encode(prompt.text)});
    }
    out.run.ids = published->run.ids;
    out.run.positions = published->run.positions;
  } else {
    for (const std::string_view text : kFingerprintPrompts) {
      out.prompts.push_back({std::string(text), tokenizer.Encode(text)});
    }
    PlanRun(tokenizer, out);
  }
  if (published != nullptr && !published->model.SameShape(out.model)) {
    return out;
  }

  ASSIGN_OR_RETURN(
      Session session,
      Session::Create(model, out.run.ids.size() + kFingerprintContinuation));
  Recorder recorder(model, cancel, progress, out);
  RETURN_IF_ERROR(session.Append(out.run.ids, &recorder, &cancel));
  RETURN_IF_ERROR(recorder.status());
  ASSIGN_OR_RETURN(const auto logits, recorder.Logits());
  const auto vocab_size = static_cast<size_t>(config.vocab_size);
  const auto places = LogitPlaces(out.model.num_layers, out.run.positions);
  for (size_t i = 0; i < places.size(); ++i) {
    FingerprintLogits record = places[i];
    RecordLogits(std::span(logits).subspan(i * vocab_size, vocab_size),
                 WantedIds(published, i), record);
    out.run.logits.push_back(std::move(record));
  }
  const size_t steps = published != nullptr ? published->run.continuation.size()
                                            : kFingerprintContinuation;
  for (size_t step = 0; step < steps; ++step) {
    const TokenId best = out.run.logits.back().ids[0];
    const TokenId next =
        published != nullptr ? published->run.continuation[step] : best;
    // What this model would have said; what is run is what was published.
    out.run.continuation.push_back(best);
    RETURN_IF_ERROR(session.Append({&next, 1}, nullptr, &cancel));
    FingerprintLogits record;
    record.position = session.position() - 1;
    record.depth = out.model.num_layers;
    RecordLogits(session.logits(), WantedIds(published, out.run.logits.size()),
                 record);
    out.run.logits.push_back(std::move(record));
  }
  return out;
}

Result<Fingerprint> MakeFingerprint(const Model& model,
                                    const verify::CancelToken& cancel,
                                    verify::ProgressSink* progress) {
  ASSIGN_OR_RETURN(Fingerprint made,
                   MeasureFingerprint(model, nullptr, cancel, progress));
  // Only numbers that are not finite are far from themselves.
  const auto departures = CompareFingerprints(made, made);
  if (!departures.empty()) {
    return Fail(ErrorCode::kCorrupt,
                StrCat(PlaceName(departures.front()),
                       " gives NaN, infinity or numbers beyond all measure"))
        .Id("E-FINGERPRINT");
  }
  return made;
}

}  // namespace inference
