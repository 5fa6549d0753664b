// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/fingerprint_flow.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "cli/flows/model_flow.h"
#include "cli/state/torrent_store.h"
#include "inference/eval/fingerprint_compare.h"
#include "inference/eval/fingerprint_json.h"
#include "inference/model/model.h"
#include "verify/base/file.h"
#include "verify/base/text.h"
#include "verify/manifest/manifest.h"

namespace cli {
namespace {

using inference::Departure;
using inference::Fingerprint;
using inference::FingerprintReport;
using verify::ErrorCode;
using verify::Fail;
using verify::Result;

constexpr std::string_view kStage = "fingerprint";
// A model that is another altogether departs everywhere.
constexpr size_t kMaxDeparturesTold = 16;
// What every manifest says of itself.
constexpr std::string_view kManifestMark = "lodestone-manifest";

Result<std::unique_ptr<inference::Model>> LoadExact(const std::string& path,
                                                    size_t num_threads,
                                                    Context& context) {
  inference::ModelOptions options;
  options.num_threads = num_threads;
  // Alike on every machine.
  options.activations = inference::Activations::kExact;
  return LoadModel(path, options, std::string(kStage), context);
}

Fields NumberOrNull(double value) {
  return std::isfinite(value) ? Fields(value) : Fields(nullptr);
}

Fields EvidenceOf(const Departure& departure) {
  const auto index = [](int64_t value) {
    return value < 0 ? Fields(nullptr) : Fields(value);
  };
  return {{"place", inference::PlaceName(departure)},
          {"layer", index(departure.layer)},
          {"expert", index(departure.expert)},
          {"distance", NumberOrNull(departure.distance)},
          {"tolerance", departure.tolerance}};
}

void CheckEvent(const std::string& path, std::string_view status,
                const std::string& detail, Fields evidence, Output& output) {
  output.Event("check", {{"id", "fingerprint"},
                         {"level", "fingerprint"},
                         {"status", status},
                         {"subject", path},
                         {"detail", detail},
                         {"evidence", std::move(evidence)}});
}

// How alike the two are, for people.
std::string ClosenessText(const FingerprintReport& report,
                          const Fingerprint& published) {
  const auto& closeness = report.closeness;
  std::string text = fmt::format(
      "the model that was published: {} parts of {} alike", closeness.parts,
      published.weights == report.measured.weights
          ? published.weights
          : report.measured.weights + " and " + published.weights);
  if (closeness.bits_comparable && !closeness.first_other_bits.has_value()) {
    return text + ", to the last bit";
  }
  if (const Departure* widest = closeness.widest()) {
    text += fmt::format("; widest at {}: {:.2g} of {:.2g} allowed",
                        inference::PlaceName(*widest), widest->distance,
                        widest->tolerance);
  }
  if (closeness.first_other_bits.has_value()) {
    text += fmt::format("; not the same bits from layer {} on",
                        *closeness.first_other_bits);
  }
  return text;
}

Fields ClosenessFields(const FingerprintReport& report) {
  const auto& closeness = report.closeness;
  Fields fields = {{"parts", closeness.parts}, {"widest", Fields::array()}};
  for (const Departure& widest : closeness.by_part) {
    fields["widest"].push_back(EvidenceOf(widest));
  }
  fields["same_bits"] = closeness.bits_comparable
                            ? Fields(!closeness.first_other_bits.has_value())
                            : Fields(nullptr);
  fields["first_other_bits"] = closeness.first_other_bits.has_value()
                                   ? Fields(*closeness.first_other_bits)
                                   : Fields(nullptr);
  return fields;
}

// A manifest has keys that a fingerprint has not.
Result<Fingerprint> FromFileText(const std::string& text) {
  auto manifest = verify::ParseManifest(text);
  if (!manifest) {
    auto fingerprint = inference::ParseFingerprint(text);
    // What is neither is most likely a fingerprint that was meant.
    if (fingerprint || text.find(kManifestMark) == std::string::npos) {
      return fingerprint;
    }
    return verify::Unexpected(std::move(manifest).error());
  }
  if (manifest->fingerprint.is_null()) {
    return Fail(ErrorCode::kNotFound, "the manifest holds no fingerprint")
        .Id("E-NO-FINGERPRINT")
        .Hint("it was published without one, or as no model that runs");
  }
  return inference::FingerprintFromJson(manifest->fingerprint);
}

}  // namespace

Result<std::optional<Fingerprint>> RecordFingerprint(const std::string& path,
                                                     FingerprintWish wish,
                                                     size_t num_threads,
                                                     Context& context) {
  Output& output = context.output;
  const auto without =
      [&](const verify::Error& error) -> Result<std::optional<Fingerprint>> {
    output.StageEnd(kStage, false, "");
    if (error.code == ErrorCode::kCancelled) return verify::Unexpected(error);
    const std::string why =
        "no fingerprint, there is no model here that runs: " + error.ToString();
    if (wish == FingerprintWish::kAsked) {
      output.Warning("NO_FINGERPRINT", why);
    } else {
      output.Say("      " + why);
    }
    return std::optional<Fingerprint>();
  };
  output.StageBegin(kStage);
  auto model = LoadExact(path, num_threads, context);
  if (!model) return without(model.error());
  StageProgress progress(output, std::string(kStage));
  auto made = inference::MakeFingerprint(**model, context.cancel, &progress);
  if (!made) return without(made.error());
  output.StageEnd(
      kStage, true,
      fmt::format("{}: {} layers, {} experts, {} tokens run", made->weights,
                  made->model.num_layers,
                  made->model.num_layers * made->model.ffn_blocks(),
                  made->run.ids.size() + made->run.continuation.size()));
  return std::optional<Fingerprint>(std::move(*made));
}

Result<Fingerprint> ReadFingerprintFile(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text,
                   verify::ReadSmallTextFile(path, verify::kMaxManifestBytes));
  auto parsed = FromFileText(text);
  if (!parsed) {
    return verify::WithContext(
        std::move(parsed).error(),
        verify::StrCat('"', verify::EscapeForTerminal(path), '"'));
  }
  return parsed;
}

Result<Fingerprint> FindFingerprint(const std::string& path,
                                    const std::string& file,
                                    const std::vector<std::string>& against) {
  if (!file.empty()) return ReadFingerprintFile(file);
  for (const std::string& source : against) {
    if (source.ends_with(verify::kManifestSuffix)) {
      return ReadFingerprintFile(source);
    }
  }
  std::error_code error;
  const std::string beside = path + std::string(verify::kManifestSuffix);
  if (std::filesystem::exists(beside, error)) {
    return ReadFingerprintFile(beside);
  }
  const TorrentStore store = TorrentStore::Default();
  if (const auto known = store.FindForPath(path)) {
    const std::string kept = store.ManifestPath(known->metainfo);
    if (std::filesystem::exists(kept, error)) return ReadFingerprintFile(kept);
  }
  return Fail(ErrorCode::kNotFound,
              verify::StrCat("no fingerprint of \"",
                             verify::EscapeForTerminal(path), "\" is known"))
      .Id("E-NO-FINGERPRINT")
      .Hint(
          "name the publisher's manifest with --against X.manifest.json, or a "
          "fingerprint with --fingerprint");
}

Result<void> WriteFingerprintFile(const Fingerprint& fingerprint,
                                  const std::string& path, bool overwrite) {
  const std::string text = inference::FormatFingerprint(fingerprint);
  std::error_code error;
  if (!overwrite && std::filesystem::exists(path, error)) {
    const auto old =
        verify::ReadSmallTextFile(path, inference::kMaxFingerprintBytes);
    if (!old || *old != text) {
      return Fail(ErrorCode::kIo,
                  verify::StrCat('"', verify::EscapeForTerminal(path),
                                 "\" is there already and differs"))
          .Id("E-EXISTS")
          .Hint("give --overwrite or another name");
    }
  }
  return verify::WriteFileAtomically(path, verify::AsBytes(text));
}

Result<FingerprintReport> CheckModelFingerprint(const std::string& path,
                                                const Fingerprint& published,
                                                size_t num_threads,
                                                Context& context) {
  Output& output = context.output;
  output.StageBegin(kStage);
  auto model = LoadExact(path, num_threads, context);
  if (!model) {
    output.StageEnd(kStage, false, "the model does not load");
    return verify::Unexpected(std::move(model).error());
  }
  StageProgress progress(output, std::string(kStage));
  auto report = inference::CheckFingerprint(**model, published, context.cancel,
                                            &progress);
  if (!report) {
    output.StageEnd(kStage, false, "the model could not be run");
    return report;
  }
  if (report->ok()) {
    const std::string text = ClosenessText(*report, published);
    CheckEvent(path, "pass", text, ClosenessFields(*report), output);
    output.StageEnd(kStage, true, text);
    return report;
  }
  const size_t told = std::min(report->departures.size(), kMaxDeparturesTold);
  for (size_t i = 0; i < told; ++i) {
    const Departure& departure = report->departures[i];
    CheckEvent(path, "fail", inference::DescribeDeparture(departure),
               EvidenceOf(departure), output);
  }
  const std::string first =
      inference::DescribeDeparture(report->departures.front());
  output.StageEnd(kStage, false, first);
  for (size_t i = 1; i < told; ++i) {
    output.Say("      also " +
               inference::DescribeDeparture(report->departures[i]));
  }
  if (told < report->departures.size()) {
    output.Say(
        fmt::format("      and {} more", report->departures.size() - told));
  }
  return Fail(ErrorCode::kCorrupt,
              "the model that runs here is not the one that was published; "
              "first departs " +
                  first)
      .Id("E-FINGERPRINT")
      .Hint(
          "fetch or convert it again; if the bytes are as published, the "
          "configuration beside them is not");
}

}  // namespace cli
