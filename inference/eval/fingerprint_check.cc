// SPDX-License-Identifier: Apache-2.0
#include "inference/eval/fingerprint_check.h"

#include <iterator>
#include <span>
#include <string>
#include <utility>

#include "inference/eval/fingerprint_plan.h"
#include "inference/model/layer_probe.h"
#include "verify/base/text.h"

namespace inference {
namespace {

using verify::Result;
using verify::StrCat;
using Part = FingerprintPart;

// The sketch of a part of a layer run by itself; null for other parts.
const Sketch* SketchOf(const FingerprintLayer& layer, Part part,
                       size_t expert) {
  switch (part) {
    case Part::kAttentionNorm:
      return &layer.attention_norm;
    case Part::kScores:
      return &layer.scores;
    case Part::kAttention:
      return &layer.attention;
    case Part::kFfnNorm:
      return &layer.ffn_norm;
    case Part::kGate:
      return &layer.gate;
    case Part::kExpert:
      return expert < layer.experts.size() ? &layer.experts[expert] : nullptr;
    default:
      return nullptr;
  }
}

bool IsZero(const Sketch& sketch) {
  for (const int32_t value : sketch.values) {
    if (value != 0) return false;
  }
  return sketch.finite();
}

// What a departing part gives instead, if that was published elsewhere: in
// another expert of the layer or in another layer.
std::string GivesWhat(const Fingerprint& published, const Fingerprint& measured,
                      const Departure& departure) {
  if (departure.layer < 0) return {};
  const auto l = static_cast<size_t>(departure.layer);
  const auto e =
      departure.expert < 0 ? size_t{0} : static_cast<size_t>(departure.expert);
  const Sketch* here = SketchOf(measured.layers[l], departure.part, e);
  if (here == nullptr) return {};
  if (!here->finite()) return "it gives NaN or infinity";
  if (IsZero(*here)) return "it gives nothing but zeros";
  const auto matches = [&](size_t layer, size_t expert) {
    const Sketch* there =
        SketchOf(published.layers[layer], departure.part, expert);
    return there != nullptr && Distance(*there, *here) <= departure.tolerance;
  };
  const bool is_expert = departure.part == Part::kExpert;
  const size_t experts = is_expert ? published.layers[l].experts.size() : 1;
  for (size_t other = 0; is_expert && other < experts; ++other) {
    if (other != e && matches(l, other)) {
      return StrCat("it gives what expert ", other,
                    " of this layer gave when it was published");
    }
  }
  for (size_t layer = 0; layer < published.layers.size(); ++layer) {
    for (size_t other = 0; layer != l && other < experts; ++other) {
      if (!matches(layer, other)) continue;
      return StrCat("it gives what ",
                    is_expert && departure.expert >= 0
                        ? StrCat("expert ", other, " of layer ", layer)
                        : StrCat("layer ", layer),
                    " gave when it was published");
    }
  }
  return {};
}

// Whether the other order of the rows of q and k gives what was published.
Result<std::string> TryOtherOrder(const Model& model,
                                  const Fingerprint& published,
                                  const Departure& departure,
                                  const verify::CancelToken& cancel) {
  LayerProbe probe(model, &cancel);
  LayerProbe::Rotation rotation = probe.rotation();
  const bool half = rotation.style == verify::RopeStyle::kHalf;
  rotation.style =
      half ? verify::RopeStyle::kInterleaved : verify::RopeStyle::kHalf;
  const auto layer = static_cast<uint64_t>(departure.layer);
  const auto states = FingerprintStates(
      FingerprintStream::kAttention, std::size(kFingerprintPositions),
      static_cast<size_t>(published.model.dim));
  ASSIGN_OR_RETURN(
      const auto attention,
      probe.Attend(layer, states, kFingerprintPositions, rotation));
  const double distance =
      Distance(published.layers[static_cast<size_t>(layer)].scores,
               Project(attention.scores));
  if (distance > departure.tolerance) return std::string();
  return StrCat("q/k order: the rows of q and k are in the ",
                half ? "interleaved" : "half", " order and are rotated as ",
                half ? "half" : "interleaved");
}

}  // namespace

Result<FingerprintReport> CheckFingerprint(const Model& model,
                                           const Fingerprint& published,
                                           const verify::CancelToken& cancel,
                                           verify::ProgressSink* progress) {
  FingerprintReport report;
  auto measured = MeasureFingerprint(model, &published, cancel, progress);
  if (!measured) return verify::Unexpected(std::move(measured).error());
  report.measured = std::move(*measured);
  report.departures = CompareFingerprints(published, report.measured);
  report.closeness = CompareCloseness(published, report.measured);
  for (Departure& departure : report.departures) {
    if (!departure.detail.empty()) continue;
    departure.detail = GivesWhat(published, report.measured, departure);
  }
  if (report.departures.empty()) return report;
  Departure* scores = nullptr;
  for (Departure& departure : report.departures) {
    if (departure.part == Part::kScores) {
      scores = &departure;
      break;
    }
  }
  if (scores != nullptr && scores->detail.empty()) {
    ASSIGN_OR_RETURN(scores->detail,
                     TryOtherOrder(model, published, *scores, cancel));
  }
  return report;
}

}  // namespace inference
