// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/publish_manifest.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "cli/state/seen_manifests.h"
#include "verify/base/file.h"
#include "verify/base/text.h"
#include "verify/base/utc.h"
#include "verify/checkpoint/checkpoint.h"
#include "verify/structure/model_config.h"

namespace cli {
namespace {

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::Json;
using verify::Manifest;
using verify::Result;
using verify::StrCat;

constexpr uint64_t kMaxRecipeBytes = 1u << 20;

// What the configuration says, in short; null for what is no model that is
// known.
Json ParamsOf(const std::string& path) {
  const auto checkpoint = verify::Checkpoint::OpenTables(path);
  if (!checkpoint) return {};
  const auto config = verify::LoadModelConfig(*checkpoint);
  if (!config) return {};
  const std::string description = verify::Describe(*config);
  Json params = {{"family", description.substr(0, description.find(','))},
                 {"model_dim", config->dim},
                 {"num_layers", config->num_layers},
                 {"head_dim", config->head_dim},
                 {"ff_dim", config->ff_dim},
                 {"num_heads", config->num_heads},
                 {"num_kv_heads", config->num_kv_heads},
                 {"vocab_size", config->vocab_size},
                 {"context_len", config->context_len}};
  if (config->is_moe()) {
    params["num_experts"] = config->num_experts;
    params["num_experts_per_token"] = config->num_experts_per_token;
  }
  if (config->sliding_window.has_value()) {
    params["sliding_window"] = *config->sliding_window;
  }
  // A whole number is written as one.
  if (config->rope_theta == std::floor(config->rope_theta)) {
    params["rope_theta"] = static_cast<uint64_t>(config->rope_theta);
  } else {
    params["rope_theta"] = config->rope_theta;
  }
  return params;
}

Result<Json> ReadRecipe(const std::string& file) {
  if (file.empty()) return Json();
  ASSIGN_OR_RETURN(const std::string text,
                   verify::ReadSmallTextFile(file, kMaxRecipeBytes));
  auto json = verify::ParseJson(text);
  if (!json || !json->is_object() || json->empty()) {
    return Fail(ErrorCode::kInvalidArgument,
                StrCat("--recipe: \"", EscapeForTerminal(file),
                       "\" is no JSON object",
                       json ? "" : StrCat(": ", json.error().ToString())))
        .Id("E-USAGE");
  }
  return json;
}

// The manifest that is there already; nothing if none can be read.
struct OldManifest {
  Manifest manifest;
  std::string text;
};
std::optional<OldManifest> ReadOld(const std::string& path, bool& in_the_way) {
  const auto text = verify::ReadSmallTextFile(path, verify::kMaxManifestBytes);
  in_the_way = text.has_value() || text.error().code != ErrorCode::kNotFound;
  if (!text) return std::nullopt;
  auto manifest = verify::ParseManifest(*text);
  if (!manifest) return std::nullopt;
  return OldManifest{*std::move(manifest), *text};
}

Result<Manifest> Describe(const ManifestOptions& options,
                          const p2p::CreatedTorrent& created) {
  const p2p::Metainfo& metainfo = created.metainfo;
  Manifest manifest;
  manifest.model = metainfo.name;
  manifest.publisher_name = options.publisher;
  manifest.publisher_key = options.signer_key;
  manifest.license = options.license;
  manifest.issued_s = options.issued_s;
  manifest.expires_s = options.expires_s;
  manifest.torrent.info_hash_v1 = metainfo.info_hashes.v1;
  manifest.torrent.info_hash_v2 = metainfo.info_hashes.v2;
  manifest.torrent.name = metainfo.name;
  manifest.torrent.single_file = metainfo.single_file;
  manifest.torrent.piece_length = metainfo.piece_length;
  manifest.torrent.magnet = created.magnet;
  for (size_t i = 0; i < metainfo.files.size(); ++i) {
    const p2p::MetainfoFile& file = metainfo.files[i];
    if (file.is_pad) continue;
    manifest.files.push_back({.path = file.path,
                              .size_bytes = file.size_bytes,
                              .sha256 = created.sha256[i],
                              .pieces_root = file.pieces_root});
  }
  std::sort(manifest.files.begin(), manifest.files.end(),
            [](const auto& a, const auto& b) { return a.path < b.path; });
  manifest.params = ParamsOf(options.path);
  ASSIGN_OR_RETURN(manifest.recipe, ReadRecipe(options.recipe_file));
  manifest.fingerprint = options.fingerprint;
  return manifest;
}

}  // namespace

Result<NewManifest> MakeManifest(const ManifestOptions& options,
                                 const p2p::CreatedTorrent& created) {
  NewManifest result;
  ASSIGN_OR_RETURN(result.manifest, Describe(options, created));
  Manifest& manifest = result.manifest;
  bool in_the_way = false;
  std::optional<OldManifest> old = ReadOld(options.output, in_the_way);
  const bool is_same = old.has_value() &&
                       verify::SameContent(old->manifest, manifest) &&
                       old->manifest.publisher_key == manifest.publisher_key;
  uint64_t newest = old.has_value() ? old->manifest.version : 0;
  if (is_same && options.version.value_or(newest) == newest &&
      options.expires_s.value_or(old->manifest.expires_s.value_or(0)) ==
          old->manifest.expires_s.value_or(0)) {
    result.manifest = std::move(old->manifest);
    result.text = std::move(old->text);
    result.is_there = true;
    return result;
  }
  if (in_the_way && !options.overwrite) {
    return Fail(ErrorCode::kIo, StrCat("\"", EscapeForTerminal(options.output),
                                       "\" is there already and differs"))
        .Id("E-EXISTS")
        .Hint(
            "give --overwrite or another --manifest; --no-manifest writes "
            "none");
  }
  if (!options.signer_id.empty()) {
    ASSIGN_OR_RETURN(const auto seen, SeenManifests::Default().Find(
                                          options.signer_id, manifest.model));
    if (seen.has_value()) newest = std::max(newest, seen->version);
  }
  manifest.version = options.version.value_or(newest + 1);
  if (manifest.version <= newest) {
    return Fail(ErrorCode::kInvalidArgument,
                StrCat("--manifest-version: ", manifest.version,
                       " is not new: version ", newest, " is known"))
        .Id("E-USAGE")
        .Hint("whoever has seen the newer one refuses an older");
  }
  auto text = verify::FormatManifest(manifest);
  if (!text) {
    return verify::Unexpected(std::move(text).error())
        .Hint("--no-manifest publishes without one");
  }
  result.text = *std::move(text);
  return result;
}

Result<int64_t> ParseMoment(const std::string& text, std::string_view flag) {
  auto moment = verify::ParseUtc(text);
  if (!moment.has_value()) moment = verify::ParseUtc(text + "T00:00:00Z");
  if (moment.has_value()) return *moment;
  return Fail(ErrorCode::kInvalidArgument,
              StrCat(flag, ": \"", EscapeForTerminal(text, 100),
                     "\" is no date"))
      .Id("E-USAGE")
      .Hint("such as 2027-01-31 or 2027-01-31T12:00:00Z");
}

}  // namespace cli
