// SPDX-License-Identifier: Apache-2.0
#include "inference/eval/fingerprint_json.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <initializer_list>
#include <utility>

#include "inference/eval/fingerprint_compare.h"
#include "inference/eval/fingerprint_fields.h"
#include "inference/eval/fingerprint_plan.h"
#include "inference/model/kv_cache.h"
#include "verify/base/text.h"
#include "verify/structure/config_check.h"

namespace inference {
namespace {

using verify::ErrorCode;
using verify::Fail;
using verify::Json;
using verify::Result;
using verify::StrCat;

constexpr std::string_view kFormatName = "lodestone-fingerprint";
constexpr size_t kMaxPrompts = 16;
constexpr size_t kMaxPromptBytes = 1024;
constexpr size_t kMaxPromptIds = 4096;
constexpr size_t kMaxTextBytes = 32;
constexpr size_t kMaxContinuation = 64;
constexpr uint64_t kMaxWindow = uint64_t{1} << 40;

Json ToJson(const Sketch& sketch) {
  return {{"e", sketch.exponent}, {"v", sketch.values}};
}
Json ToJson(const std::vector<Sketch>& sketches) {
  Json json = Json::array();
  for (const Sketch& sketch : sketches) json.push_back(ToJson(sketch));
  return json;
}
Json ToJson(const TypeSet& types) {
  Json json = Json::array();
  for (const verify::DType type : types) {
    json.push_back(std::string(verify::DTypeName(type)));
  }
  return json;
}
Json ToJson(const FingerprintModel& model) {
  return {{"dim", model.dim},
          {"num_layers", model.num_layers},
          {"head_dim", model.head_dim},
          {"ff_dim", model.ff_dim},
          {"num_heads", model.num_heads},
          {"num_kv_heads", model.num_kv_heads},
          {"vocab_size", model.vocab_size},
          {"num_experts", model.num_experts},
          {"num_experts_per_token", model.num_experts_per_token},
          {"norm_eps", model.norm_eps},
          {"rope_theta", model.rope_theta},
          {"sliding_window", model.sliding_window.has_value()
                                 ? Json(*model.sliding_window)
                                 : Json(nullptr)}};
}
Json ToJson(const FingerprintLayer& layer, bool is_moe) {
  Json json = {{"types",
                {{"norms", ToJson(layer.norm_types)},
                 {"scores", ToJson(layer.score_types)},
                 {"values", ToJson(layer.value_types)},
                 {"experts", ToJson(layer.expert_types)}}},
               {"attention_norm", ToJson(layer.attention_norm)},
               {"scores", ToJson(layer.scores)},
               {"attention", ToJson(layer.attention)},
               {"ffn_norm", ToJson(layer.ffn_norm)},
               {"experts", ToJson(layer.experts)},
               {"residual", ToJson(layer.residual)},
               {"bits", layer.bits}};
  if (is_moe) {
    json["types"]["gate"] = ToJson(layer.gate_types);
    json["gate"] = ToJson(layer.gate);
    json["routed"] = layer.routed;
    json["routed_weights"] = layer.routed_weights;
  }
  return json;
}

Result<FingerprintModel> ReadModel(const Json& json) {
  ASSIGN_OR_RETURN(
      const FingerprintFields reader,
      FingerprintFields::Open(
          json, "model",
          {"dim", "num_layers", "head_dim", "ff_dim", "num_heads",
           "num_kv_heads", "vocab_size", "num_experts", "num_experts_per_token",
           "norm_eps", "rope_theta", "sliding_window"}));
  FingerprintModel m;
  ASSIGN_OR_RETURN(m.dim, reader.Whole("dim", 1, verify::kMaxModelDim));
  ASSIGN_OR_RETURN(m.num_layers,
                   reader.Whole("num_layers", 1, verify::kMaxModelLayers));
  ASSIGN_OR_RETURN(m.head_dim,
                   reader.Whole("head_dim", 1, verify::kMaxModelHeadDim));
  ASSIGN_OR_RETURN(m.ff_dim, reader.Whole("ff_dim", 1, verify::kMaxModelFfDim));
  ASSIGN_OR_RETURN(m.num_heads,
                   reader.Whole("num_heads", 1, verify::kMaxModelHeads));
  ASSIGN_OR_RETURN(m.num_kv_heads,
                   reader.Whole("num_kv_heads", 1, verify::kMaxModelHeads));
  ASSIGN_OR_RETURN(m.vocab_size,
                   reader.Whole("vocab_size", 1, verify::kMaxModelVocabulary));
  ASSIGN_OR_RETURN(m.num_experts,
                   reader.Whole("num_experts", 0, verify::kMaxModelExperts));
  ASSIGN_OR_RETURN(m.num_experts_per_token,
                   reader.Whole("num_experts_per_token",
                                m.num_experts == 0 ? 0 : 1, m.num_experts));
  ASSIGN_OR_RETURN(m.norm_eps, reader.Positive("norm_eps"));
  ASSIGN_OR_RETURN(m.rope_theta, reader.Positive("rope_theta"));
  if (!reader.At("sliding_window").is_null()) {
    ASSIGN_OR_RETURN(m.sliding_window,
                     reader.Whole("sliding_window", 1, kMaxWindow));
  }
  return m;
}

Result<void> ReadTokenizer(const Json& json, Fingerprint& out) {
  ASSIGN_OR_RETURN(
      const FingerprintFields reader,
      FingerprintFields::Open(json, "tokenizer", {"pieces", "prompts"}));
  ASSIGN_OR_RETURN(out.vocabulary, reader.Hex("pieces", 64));
  RETURN_IF_ERROR(reader.CheckArray("prompts", 1, kMaxPrompts));
  for (const Json& item : reader.At("prompts")) {
    ASSIGN_OR_RETURN(const FingerprintFields prompt,
                     FingerprintFields::Open(
                         item, StrCat("prompts[", out.prompts.size(), ']'),
                         {"text", "ids"}));
    FingerprintPrompt& record = out.prompts.emplace_back();
    ASSIGN_OR_RETURN(record.text, prompt.Text("text", kMaxPromptBytes));
    ASSIGN_OR_RETURN(
        record.ids,
        prompt.Numbers<TokenId>("ids", 0, kMaxPromptIds, out.model.vocab_size));
  }
  return {};
}

Result<FingerprintLayer> ReadLayer(const Json& json, const std::string& where,
                                   const Fingerprint& fingerprint) {
  const FingerprintModel& model = fingerprint.model;
  const bool is_moe = model.num_experts > 0;
  ASSIGN_OR_RETURN(const FingerprintFields reader,
                   is_moe
                       ? FingerprintFields::Open(
                             json, where,
                             {"types", "attention_norm", "scores", "attention",
                              "ffn_norm", "gate", "experts", "residual",
                              "routed", "routed_weights", "bits"})
                       : FingerprintFields::Open(
                             json, where,
                             {"types", "attention_norm", "scores", "attention",
                              "ffn_norm", "experts", "residual", "bits"}));
  ASSIGN_OR_RETURN(
      const FingerprintFields types,
      is_moe
          ? FingerprintFields::Open(
                reader.At("types"), reader.Name("types"),
                {"norms", "scores", "values", "gate", "experts"})
          : FingerprintFields::Open(reader.At("types"), reader.Name("types"),
                                    {"norms", "scores", "values", "experts"}));
  FingerprintLayer layer;
  ASSIGN_OR_RETURN(layer.norm_types, types.Types("norms"));
  ASSIGN_OR_RETURN(layer.score_types, types.Types("scores"));
  ASSIGN_OR_RETURN(layer.value_types, types.Types("values"));
  ASSIGN_OR_RETURN(layer.expert_types, types.Types("experts"));
  ASSIGN_OR_RETURN(layer.attention_norm,
                   reader.ReadSketch("attention_norm", kSketchValues));
  ASSIGN_OR_RETURN(layer.scores, reader.ReadSketch("scores", kSketchValues));
  ASSIGN_OR_RETURN(layer.attention,
                   reader.ReadSketch("attention", kSketchValues));
  ASSIGN_OR_RETURN(layer.ffn_norm,
                   reader.ReadSketch("ffn_norm", kSketchValues));
  ASSIGN_OR_RETURN(
      layer.experts,
      reader.Sketches("experts", static_cast<size_t>(model.ffn_blocks())));
  ASSIGN_OR_RETURN(
      layer.residual,
      reader.Sketches("residual", fingerprint.run.positions.size()));
  ASSIGN_OR_RETURN(layer.bits, reader.Hex("bits", 16));
  if (!is_moe) return layer;
  ASSIGN_OR_RETURN(layer.gate_types, types.Types("gate"));
  ASSIGN_OR_RETURN(
      layer.gate,
      reader.ReadSketch("gate", kFingerprintFfnStates *
                                    static_cast<size_t>(model.num_experts)));
  const auto k = static_cast<size_t>(model.num_experts_per_token);
  const size_t tokens = std::min(fingerprint.run.ids.size(),
                                 std::max<size_t>(1, kFingerprintRouted / k));
  ASSIGN_OR_RETURN(layer.routed,
                   reader.Numbers<uint32_t>("routed", tokens * k, tokens * k,
                                            model.num_experts));
  ASSIGN_OR_RETURN(
      layer.routed_weights,
      reader.Numbers<uint32_t>("routed_weights", tokens * k, tokens * k,
                               kFingerprintRoutedOne + 1));
  return layer;
}

Result<void> ReadRun(const Json& json, Fingerprint& out) {
  ASSIGN_OR_RETURN(
      const FingerprintFields reader,
      FingerprintFields::Open(json, "run",
                              {"ids", "positions", "continuation", "logits"}));
  FingerprintRun& run = out.run;
  ASSIGN_OR_RETURN(run.ids, reader.Numbers<TokenId>("ids", 1, kMaxBatchTokens,
                                                    out.model.vocab_size));
  ASSIGN_OR_RETURN(
      run.positions,
      reader.Numbers<uint64_t>("positions", 1, kMaxPrompts, run.ids.size()));
  for (size_t i = 1; i < run.positions.size(); ++i) {
    if (run.positions[i] <= run.positions[i - 1]) {
      return RefuseFingerprint("run.positions: not ascending");
    }
  }
  if (run.positions.back() + 1 != run.ids.size()) {
    return RefuseFingerprint(
        "run.positions: the last is not the end of the run");
  }
  ASSIGN_OR_RETURN(run.continuation,
                   reader.Numbers<TokenId>("continuation", 0, kMaxContinuation,
                                           out.model.vocab_size));
  auto places = LogitPlaces(out.model.num_layers, run.positions);
  for (size_t step = 0; step < run.continuation.size(); ++step) {
    FingerprintLogits& place = places.emplace_back();
    place.position = run.ids.size() + step;
    place.depth = out.model.num_layers;
  }
  RETURN_IF_ERROR(reader.CheckArray("logits", places.size(), places.size()));
  const size_t top = std::min<size_t>(
      kFingerprintTopLogits, static_cast<size_t>(out.model.vocab_size));
  for (const Json& item : reader.At("logits")) {
    FingerprintLogits& place = places[run.logits.size()];
    ASSIGN_OR_RETURN(const FingerprintFields logits,
                     FingerprintFields::Open(
                         item, StrCat("run.logits[", run.logits.size(), ']'),
                         {"position", "depth", "ids", "values"}));
    RETURN_IF_ERROR(logits.Whole("position", place.position, place.position));
    RETURN_IF_ERROR(logits.Whole("depth", place.depth, place.depth));
    ASSIGN_OR_RETURN(place.ids, logits.Numbers<TokenId>("ids", top, top,
                                                        out.model.vocab_size));
    ASSIGN_OR_RETURN(place.values, logits.ReadSketch("values", top + 1));
    run.logits.push_back(std::move(place));
  }
  return {};
}

Result<void> ReadHead(const FingerprintFields& reader, Fingerprint& out) {
  ASSIGN_OR_RETURN(const std::string format,
                   reader.Text("format", kMaxTextBytes));
  if (format != kFormatName)
    return RefuseFingerprint("format: not a fingerprint");
  ASSIGN_OR_RETURN(const uint64_t version,
                   reader.Whole("version", 1, UINT32_MAX));
  if (version != kFingerprintVersion) {
    return Fail(ErrorCode::kUnsupported,
                StrCat("fingerprint: version ", version, ", read is ",
                       kFingerprintVersion))
        .Id("E-FINGERPRINT-FORM")
        .Hint("a newer lodestone made it; update this one");
  }
  ASSIGN_OR_RETURN(out.kernels, reader.Text("kernels", kMaxTextBytes));
  ASSIGN_OR_RETURN(out.rotation, reader.Text("rotation", kMaxTextBytes));
  ASSIGN_OR_RETURN(out.weights, reader.Text("weights", kMaxTextBytes));
  return {};
}

}  // namespace

Json FingerprintToJson(const Fingerprint& fingerprint) {
  const bool is_moe = fingerprint.model.num_experts > 0;
  Json prompts = Json::array();
  for (const FingerprintPrompt& prompt : fingerprint.prompts) {
    prompts.push_back({{"text", prompt.text}, {"ids", prompt.ids}});
  }
  Json layers = Json::array();
  for (const FingerprintLayer& layer : fingerprint.layers) {
    layers.push_back(ToJson(layer, is_moe));
  }
  Json logits = Json::array();
  for (const FingerprintLogits& place : fingerprint.run.logits) {
    logits.push_back({{"position", place.position},
                      {"depth", place.depth},
                      {"ids", place.ids},
                      {"values", ToJson(place.values)}});
  }
  return {
      {"format", std::string(kFormatName)},
      {"version", kFingerprintVersion},
      {"kernels", fingerprint.kernels},
      {"rotation", fingerprint.rotation},
      {"weights", fingerprint.weights},
      {"model", ToJson(fingerprint.model)},
      {"tokenizer", {{"pieces", fingerprint.vocabulary}, {"prompts", prompts}}},
      {"types",
       {{"embedding", ToJson(fingerprint.embedding_types)},
        {"output_norm", ToJson(fingerprint.output_norm_types)},
        {"output", ToJson(fingerprint.output_types)}}},
      {"embedding", ToJson(fingerprint.embedding)},
      {"output_norm", ToJson(fingerprint.output_norm)},
      {"output", ToJson(fingerprint.output)},
      {"layers", layers},
      {"run",
       {{"ids", fingerprint.run.ids},
        {"positions", fingerprint.run.positions},
        {"continuation", fingerprint.run.continuation},
        {"logits", logits}}}};
}

Result<Fingerprint> FingerprintFromJson(const Json& json) {
  ASSIGN_OR_RETURN(const FingerprintFields reader,
                   FingerprintFields::Open(
                       json, "top",
                       {"format", "version", "kernels", "rotation", "weights",
                        "model", "tokenizer", "types", "embedding",
                        "output_norm", "output", "layers", "run"}));
  Fingerprint out;
  RETURN_IF_ERROR(ReadHead(reader, out));
  ASSIGN_OR_RETURN(out.model, ReadModel(reader.At("model")));
  RETURN_IF_ERROR(ReadTokenizer(reader.At("tokenizer"), out));
  ASSIGN_OR_RETURN(
      const FingerprintFields types,
      FingerprintFields::Open(reader.At("types"), "types",
                              {"embedding", "output_norm", "output"}));
  ASSIGN_OR_RETURN(out.embedding_types, types.Types("embedding"));
  ASSIGN_OR_RETURN(out.output_norm_types, types.Types("output_norm"));
  ASSIGN_OR_RETURN(out.output_types, types.Types("output"));
  ASSIGN_OR_RETURN(out.embedding,
                   reader.ReadSketch("embedding", kSketchValues));
  ASSIGN_OR_RETURN(out.output_norm,
                   reader.ReadSketch("output_norm", kSketchValues));
  ASSIGN_OR_RETURN(out.output, reader.ReadSketch("output", kSketchValues));
  RETURN_IF_ERROR(ReadRun(reader.At("run"), out));
  const auto num_layers = static_cast<size_t>(out.model.num_layers);
  RETURN_IF_ERROR(reader.CheckArray("layers", num_layers, num_layers));
  for (const Json& item : reader.At("layers")) {
    ASSIGN_OR_RETURN(
        auto layer,
        ReadLayer(item, StrCat("layers[", out.layers.size(), ']'), out));
    out.layers.push_back(std::move(layer));
  }
  return out;
}

Result<Fingerprint> ParseFingerprint(std::string_view text) {
  verify::JsonLimits limits;
  limits.max_bytes = kMaxFingerprintBytes;
  limits.max_depth = 8;
  auto json = verify::ParseJson(text, limits);
  if (!json) {
    verify::Error error = std::move(json).error();
    error.id = "E-FINGERPRINT-FORM";
    return verify::WithContext(std::move(error), "fingerprint");
  }
  return FingerprintFromJson(*json);
}

std::string FormatFingerprint(const Fingerprint& fingerprint) {
  // Keys are sorted by the library; lines are for people and diffs.
  Json json = FingerprintToJson(fingerprint);
  const Json layers = std::move(json["layers"]);
  json.erase("layers");
  std::string text = "{";
  bool first = true;
  for (const auto& [key, value] : json.items()) {
    text +=
        StrCat(first ? "" : ",", "\n", Json(key).dump(), ": ", value.dump());
    first = false;
  }
  text += ",\n\"layers\": [";
  first = true;
  for (const Json& layer : layers) {
    text += StrCat(first ? "" : ",", '\n', layer.dump());
    first = false;
  }
  return text + "\n]\n}\n";
}

}  // namespace inference
