// SPDX-License-Identifier: Apache-2.0
#include "inference/eval/fingerprint_compare.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <utility>

#include "inference/eval/fingerprint_tolerance.h"
#include "verify/base/text.h"

namespace inference {
namespace {

using verify::StrCat;
using Part = FingerprintPart;

constexpr double kFar = std::numeric_limits<double>::infinity();

// Share of tokens that go to other experts, in whatever order; and how far
// the weights of the others are apart. Infinite if they cannot be compared.
std::pair<double, double> RoutingDistance(const FingerprintLayer& published,
                                          const FingerprintLayer& measured,
                                          size_t k) {
  if (published.routed.size() != measured.routed.size() || k == 0 ||
      published.routed.size() % k != 0) {
    return {kFar, kFar};
  }
  if (published.routed.empty()) return {0, 0};
  const size_t tokens = published.routed.size() / k;
  size_t others = 0;
  double apart = 0;
  double size = 0;
  for (size_t t = 0; t < tokens; ++t) {
    std::vector<std::pair<uint32_t, uint32_t>> a;
    std::vector<std::pair<uint32_t, uint32_t>> b;
    for (size_t i = t * k; i < (t + 1) * k; ++i) {
      a.emplace_back(published.routed[i], published.routed_weights[i]);
      b.emplace_back(measured.routed[i], measured.routed_weights[i]);
    }
    std::sort(a.begin(), a.end());
    std::sort(b.begin(), b.end());
    const bool same = std::equal(
        a.begin(), a.end(), b.begin(),
        [](const auto& x, const auto& y) { return x.first == y.first; });
    if (!same) {
      ++others;
      continue;
    }
    for (size_t i = 0; i < k; ++i) {
      const double difference =
          static_cast<double>(a[i].second) - static_cast<double>(b[i].second);
      apart += difference * difference;
      size +=
          static_cast<double>(a[i].second) * static_cast<double>(a[i].second);
    }
  }
  const double share =
      static_cast<double>(others) / static_cast<double>(tokens);
  return {share, size == 0 ? 0 : std::sqrt(apart / size)};
}

double Median(std::vector<double> values) {
  const auto middle =
      values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

std::string Number(double value) {
  const bool whole = std::fabs(value) < 1e15 && value == std::floor(value);
  return whole ? StrCat(static_cast<int64_t>(value)) : StrCat(value);
}
std::string Window(const std::optional<uint64_t>& window) {
  return window.has_value() ? StrCat(*window) : "none";
}

bool Close(double a, double b) {
  return std::fabs(a - b) <= 1e-5 * std::max(std::fabs(a), std::fabs(b));
}

// A number of the configuration that differs, and where it shows.
struct Trait {
  std::string detail;
  std::vector<Part> shows_in;
};

std::vector<Trait> OtherTraits(const FingerprintModel& published,
                               const FingerprintModel& measured) {
  std::vector<Trait> traits;
  const auto add = [&](std::string_view name, const std::string& here,
                       const std::string& there, std::vector<Part> shows_in) {
    traits.push_back({StrCat(name, " is ", here, ", published ", there),
                      std::move(shows_in)});
  };
  if (!Close(published.rope_theta, measured.rope_theta)) {
    add("rope theta", Number(measured.rope_theta), Number(published.rope_theta),
        {Part::kScores});
  }
  if (published.sliding_window != measured.sliding_window) {
    add("the sliding window", Window(measured.sliding_window),
        Window(published.sliding_window), {Part::kScores, Part::kResidual});
  }
  if (!Close(published.norm_eps, measured.norm_eps)) {
    add("norm eps", Number(measured.norm_eps), Number(published.norm_eps),
        {Part::kAttentionNorm, Part::kFfnNorm, Part::kOutputNorm});
  }
  if (published.num_experts_per_token != measured.num_experts_per_token) {
    add("the number of experts per token",
        StrCat(measured.num_experts_per_token),
        StrCat(published.num_experts_per_token), {Part::kRouting});
  }
  return traits;
}

std::string OtherShape(const FingerprintModel& published,
                       const FingerprintModel& measured) {
  const std::pair<std::string_view, uint64_t FingerprintModel::*> kShape[] = {
      {"dim", &FingerprintModel::dim},
      {"the number of layers", &FingerprintModel::num_layers},
      {"head_dim", &FingerprintModel::head_dim},
      {"ff_dim", &FingerprintModel::ff_dim},
      {"the number of heads", &FingerprintModel::num_heads},
      {"the number of kv heads", &FingerprintModel::num_kv_heads},
      {"the vocabulary", &FingerprintModel::vocab_size},
      {"the number of experts", &FingerprintModel::num_experts},
  };
  std::string text;
  for (const auto& [name, member] : kShape) {
    if (published.*member == measured.*member) continue;
    text += StrCat(text.empty() ? "" : "; ", name, " is ", measured.*member,
                   ", published ", published.*member);
  }
  return text;
}

// Walks both in the order of a forward pass.
class Comparison {
 public:
  Comparison(const Fingerprint& published, const Fingerprint& measured)
      : published_(published), measured_(measured) {}

  void Run() {
    CompareTokenizer();
    if (!published_.model.SameShape(measured_.model) ||
        published_.layers.size() != measured_.layers.size()) {
      Add({Part::kConfiguration, -1, -1, kFar, 0,
           OtherShape(published_.model, measured_.model)});
      return;
    }
    output_norm_loss_ =
        kMatrixFactor * ConversionLoss(published_.output_norm_types,
                                       measured_.output_norm_types);
    run_loss_ =
        ConversionLoss(published_.embedding_types, measured_.embedding_types);
    AddSketch({Part::kEmbedding}, published_.embedding, measured_.embedding,
              kMatrixFactor * run_loss_);
    for (size_t l = 0; l < published_.layers.size(); ++l) {
      CompareLayer(static_cast<int64_t>(l), published_.layers[l],
                   measured_.layers[l]);
    }
    const double output_loss =
        ConversionLoss(published_.output_types, measured_.output_types);
    AddSketch({Part::kOutputNorm}, published_.output_norm,
              measured_.output_norm, output_norm_loss_);
    AddSketch({Part::kOutput}, published_.output, measured_.output,
              kMatrixFactor * output_loss + output_norm_loss_);
    run_loss_ = std::max(run_loss_, output_loss);
    CompareRun();
    AddTraits();
  }

  std::vector<Departure>& departures() { return departures_; }
  uint64_t parts() const { return parts_; }
  const std::map<Part, Departure>& widest() const { return widest_; }

 private:
  void Add(Departure departure) { departures_.push_back(std::move(departure)); }

  // NaN counts as far.
  void AddDistance(Departure at, double distance, double tolerance) {
    ++parts_;
    at.distance = std::isnan(distance) ? kFar : distance;
    at.tolerance = tolerance;
    if (at.distance > tolerance) {
      Add(std::move(at));
      return;
    }
    const auto [place, is_new] = widest_.try_emplace(at.part, at);
    Departure& widest = place->second;
    if (at.distance * widest.tolerance > widest.distance * tolerance) {
      widest = std::move(at);
    }
  }

  void AddSketch(const Departure& at, const Sketch& published,
                 const Sketch& measured, double loss) {
    AddDistance(at, Distance(published, measured),
                CappedTolerance(kPartRounding + loss));
  }

  void CompareTokenizer() {
    for (size_t p = 0; p < published_.prompts.size(); ++p) {
      const auto& there = published_.prompts[p].ids;
      const auto& here = measured_.prompts.at(p).ids;
      ++parts_;
      if (there == here) continue;
      const auto [a, b] =
          std::mismatch(there.begin(), there.end(), here.begin(), here.end());
      const auto id = [](const auto& ids, auto at) {
        return at == ids.end() ? std::string("none") : StrCat(*at);
      };
      Add({Part::kTokenizer, -1, -1, kFar, 0,
           StrCat("ids of prompt ", p, " differ: token ", a - there.begin(),
                  " is ", id(here, b), ", published ", id(there, a))});
    }
    ++parts_;
    if (published_.vocabulary != measured_.vocabulary) {
      Add({Part::kTokenizer, -1, -1, kFar, 0,
           "the pieces of the vocabulary differ"});
    }
  }

  void CompareLayer(int64_t l, const FingerprintLayer& a,
                    const FingerprintLayer& b) {
    const double norm = ConversionLoss(a.norm_types, b.norm_types);
    const double scores = ConversionLoss(a.score_types, b.score_types);
    const double value = ConversionLoss(a.value_types, b.value_types);
    const double gate = ConversionLoss(a.gate_types, b.gate_types);
    const double expert = ConversionLoss(a.expert_types, b.expert_types);
    AddSketch({Part::kAttentionNorm, l}, a.attention_norm, b.attention_norm,
              kMatrixFactor * norm);
    AddSketch({Part::kScores, l}, a.scores, b.scores,
              kScoresFactor * (scores + norm));
    AddSketch({Part::kAttention, l}, a.attention, b.attention,
              kAttentionFactor * (std::max(scores, value) + norm));
    AddSketch({Part::kFfnNorm, l}, a.ffn_norm, b.ffn_norm,
              kMatrixFactor * norm);
    if (published_.model.num_experts > 0) {
      AddSketch({Part::kGate, l}, a.gate, b.gate,
                kMatrixFactor * (gate + norm));
    }
    for (size_t e = 0; e < a.experts.size(); ++e) {
      const auto index = published_.model.num_experts > 0
                             ? static_cast<int64_t>(e)
                             : int64_t{-1};
      AddSketch({Part::kExpert, l, index}, a.experts[e], b.experts.at(e),
                kExpertFactor * (expert + norm));
    }
    // What comes into the gate of a layer has passed its attention.
    run_loss_ = std::max({run_loss_, norm, scores, value, gate});
    const double tolerance = RunTolerance();
    const auto [share, weights] = RoutingDistance(
        a, b, static_cast<size_t>(published_.model.num_experts_per_token));
    if (published_.model.num_experts > 0) {
      AddDistance({Part::kRouting, l}, share,
                  CappedTolerance(kRoutingShare + kRunFactor * run_loss_));
      if (share != kFar) {
        AddDistance({Part::kRouting, l}, weights, tolerance);
      }
    }
    run_loss_ = std::max(run_loss_, expert);
    std::vector<double> distances;
    for (size_t p = 0; p < a.residual.size(); ++p) {
      distances.push_back(Distance(a.residual[p], b.residual.at(p)));
    }
    // One token that goes to another expert near a tie says nothing.
    if (!distances.empty()) {
      AddDistance({Part::kResidual, l}, Median(std::move(distances)),
                  RunTolerance());
    }
  }

  double RunTolerance() const {
    return CappedTolerance(kRunRounding + kRunFactor * run_loss_);
  }

  // How far recorded logits are apart, in standard deviations of all logits.
  static double LogitDistance(const FingerprintLogits& a,
                              const FingerprintLogits& b) {
    if (!a.values.finite() ||
        a.values.values.size() != b.values.values.size()) {
      return kFar;
    }
    double squares = 0;
    for (size_t i = 1; i < a.values.values.size(); ++i) {
      const double x = ValueAt(a.values, i) - ValueAt(b.values, i);
      squares += x * x;
    }
    if (squares == 0) return 0;
    const double spread = ValueAt(a.values, 0);
    const auto count = static_cast<double>(a.values.values.size() - 1);
    return spread > 0 ? std::sqrt(squares / count) / spread : kFar;
  }

  static double ValueAt(const Sketch& sketch, size_t i) {
    return std::ldexp(static_cast<double>(sketch.values[i]), sketch.exponent);
  }

  void CompareRun() {
    const double tolerance = RunTolerance();
    std::vector<double> distances;
    for (size_t i = 0; i < published_.run.logits.size(); ++i) {
      const FingerprintLogits& a = published_.run.logits[i];
      const FingerprintLogits& b = measured_.run.logits.at(i);
      distances.push_back(LogitDistance(a, b));
    }
    if (!distances.empty()) {
      AddDistance({Part::kLogits}, Median(std::move(distances)), tolerance);
    }
    const size_t first =
        published_.run.logits.size() - published_.run.continuation.size();
    for (size_t s = 0; s < published_.run.continuation.size(); ++s) {
      // Chosen by the logits that were recorded one place before.
      const FingerprintLogits& a = published_.run.logits[first + s - 1];
      const auto here = measured_.run.continuation.at(s);
      ++parts_;
      if (published_.run.continuation[s] == here) continue;
      const double spread = ValueAt(a.values, 0);
      const double margin =
          a.values.values.size() < 3
              ? kFar
              : (ValueAt(a.values, 1) - ValueAt(a.values, 2)) / spread;
      // Two that are so close that either may come first.
      if (margin <= 4 * tolerance) continue;
      Add({Part::kContinuation, -1, -1, margin, 4 * tolerance,
           StrCat("token ", s, " is ", here, ", published ",
                  published_.run.continuation[s])});
    }
  }

  void AddTraits() {
    std::vector<Departure> unseen;
    for (Trait& trait : OtherTraits(published_.model, measured_.model)) {
      const auto found = std::find_if(
          departures_.begin(), departures_.end(), [&](const Departure& d) {
            return std::find(trait.shows_in.begin(), trait.shows_in.end(),
                             d.part) != trait.shows_in.end();
          });
      if (found == departures_.end()) {
        unseen.push_back({Part::kConfiguration, -1, -1, kFar, 0, trait.detail});
      } else {
        found->detail +=
            StrCat(found->detail.empty() ? "" : "; ", trait.detail);
      }
    }
    departures_.insert(departures_.begin(), unseen.begin(), unseen.end());
  }

  const Fingerprint& published_;
  const Fingerprint& measured_;
  std::vector<Departure> departures_;
  double output_norm_loss_ = 0;
  double run_loss_ = 0;  // the largest of all parts that the run has passed
  uint64_t parts_ = 0;
  std::map<Part, Departure> widest_;  // of those within tolerance
};

std::string_view PartText(Part part) {
  switch (part) {
    case Part::kConfiguration:
      return "configuration";
    case Part::kTokenizer:
      return "tokenizer";
    case Part::kEmbedding:
      return "embedding";
    case Part::kAttentionNorm:
      return "norm before the attention";
    case Part::kScores:
      return "attention (q, k and their rotation)";
    case Part::kAttention:
      return "attention (v and o)";
    case Part::kFfnNorm:
      return "norm before the feed-forward block";
    case Part::kGate:
      return "gate";
    case Part::kExpert:
      return "ffn";
    case Part::kRouting:
      return "routing of the run";
    case Part::kResidual:
      return "residual stream of the run";
    case Part::kOutputNorm:
      return "output norm";
    case Part::kOutput:
      return "output";
    case Part::kLogits:
      return "logits of the run";
    case Part::kContinuation:
      return "continuation of the run";
  }
  return "";
}

}  // namespace

std::string PlaceName(const Departure& departure) {
  const std::string_view part = PartText(departure.part);
  if (departure.layer < 0) return std::string(part);
  if (departure.expert < 0)
    return StrCat("layer ", departure.layer, ", ", part);
  return StrCat("layer ", departure.layer, ", expert ", departure.expert, " (",
                part, ')');
}

std::string DescribeDeparture(const Departure& departure) {
  std::string text = PlaceName(departure);
  if (!departure.detail.empty()) text += ": " + departure.detail;
  if (departure.tolerance > 0) {
    text += StrCat(" (distance ",
                   std::isfinite(departure.distance)
                       ? StrCat(departure.distance)
                       : std::string("not measurable"),
                   ", tolerance ", departure.tolerance, ')');
  }
  return text;
}

const Departure* FingerprintCloseness::widest() const {
  const auto share = [](const Departure& a) {
    return a.distance / a.tolerance;
  };
  const auto found =
      std::max_element(by_part.begin(), by_part.end(),
                       [&](const Departure& a, const Departure& b) {
                         return share(a) < share(b);
                       });
  return found == by_part.end() ? nullptr : &*found;
}

std::vector<Departure> CompareFingerprints(const Fingerprint& published,
                                           const Fingerprint& measured) {
  Comparison comparison(published, measured);
  comparison.Run();
  return std::move(comparison.departures());
}

FingerprintCloseness CompareCloseness(const Fingerprint& published,
                                      const Fingerprint& measured) {
  Comparison comparison(published, measured);
  comparison.Run();
  FingerprintCloseness closeness;
  closeness.parts = comparison.parts();
  for (const auto& [part, widest] : comparison.widest()) {
    closeness.by_part.push_back(widest);
  }
  closeness.bits_comparable = published.kernels == measured.kernels &&
                              published.rotation == measured.rotation &&
                              published.layers.size() == measured.layers.size();
  for (size_t l = 0; l < published.layers.size(); ++l) {
    if (!closeness.bits_comparable) break;
    const FingerprintLayer& a = published.layers[l];
    const FingerprintLayer& b = measured.layers[l];
    // A type that only the norms and the gate have, and that holds the other
    // exactly, changes no bit.
    if (ConversionLoss(a.norm_types, b.norm_types) > 0 ||
        ConversionLoss(a.gate_types, b.gate_types) > 0 ||
        a.score_types != b.score_types || a.value_types != b.value_types ||
        a.expert_types != b.expert_types) {
      closeness.bits_comparable = false;
    } else if (a.bits != b.bits && !closeness.first_other_bits.has_value()) {
      closeness.first_other_bits = l;
    }
  }
  if (!closeness.bits_comparable) closeness.first_other_bits.reset();
  return closeness;
}

bool IsDepth(uint64_t depth, uint64_t num_layers) {
  for (uint64_t quarter = 1; quarter <= 3; ++quarter) {
    if (depth == num_layers * quarter / 4) return depth > 0;
  }
  return false;
}

std::vector<FingerprintLogits> LogitPlaces(
    uint64_t num_layers, const std::vector<uint64_t>& positions) {
  std::vector<FingerprintLogits> places;
  for (uint64_t depth = 1; depth < num_layers; ++depth) {
    if (!IsDepth(depth, num_layers)) continue;
    FingerprintLogits place;
    place.position = positions.back();
    place.depth = depth;
    places.push_back(std::move(place));
  }
  for (const uint64_t position : positions) {
    FingerprintLogits place;
    place.position = position;
    place.depth = num_layers;
    places.push_back(std::move(place));
  }
  return places;
}

}  // namespace inference
