// SPDX-License-Identifier: Apache-2.0
#include "cli/state/seen_manifests.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <span>
#include <system_error>
#include <utility>

#include "cli/state/paths.h"
#include "verify/base/file.h"
#include "verify/base/json.h"
#include "verify/base/text.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::Json;
using verify::Result;
using verify::StrCat;

constexpr uint64_t kMaxFileBytes = 16u << 20;
constexpr uint64_t kFormat = 1;

verify::Unexpected FailBroken(const std::string& path, std::string_view what) {
  return Fail(ErrorCode::kCorrupt,
              StrCat("\"", EscapeForTerminal(path),
                     "\", which says what releases were seen: ", what))
      .Id("E-SEEN")
      .Hint(
          "restore it, or remove it if you accept that an older release can "
          "then pass for the newest");
}

std::optional<SeenManifest> ReadEntry(const Json& json) {
  const auto text = [&](const char* key) {
    return json.contains(key) && json[key].is_string()
               ? json[key].get<std::string>()
               : std::string();
  };
  if (!json.is_object() || !json.contains("version")) return std::nullopt;
  const auto version = verify::AsUnsigned(json["version"]);
  SeenManifest seen{.key = text("key"),
                    .model = text("model"),
                    .version = version.value_or(0),
                    .sha256 = text("sha256")};
  if (seen.key.empty() || seen.model.empty() || seen.version == 0 ||
      seen.sha256.size() != 64) {
    return std::nullopt;
  }
  return seen;
}

auto IsOf(const std::string& key, const std::string& model) {
  return [&key, &model](const SeenManifest& seen) {
    return seen.key == key && seen.model == model;
  };
}

Result<void> Compare(const SeenManifest& seen, const SeenManifest& manifest) {
  if (manifest.version > seen.version) return {};
  const std::string name = EscapeForTerminal(manifest.model, 128);
  if (manifest.version < seen.version) {
    return Fail(ErrorCode::kUntrusted,
                StrCat("manifest of \"", name, "\": version ", manifest.version,
                       ", but version ", seen.version,
                       " by the same key was seen before"))
        .Id("E-ROLLBACK")
        .Hint(
            "an older release is offered as the newest: fetch the manifest "
            "again from its publisher");
  }
  if (manifest.sha256 == seen.sha256) return {};
  return Fail(ErrorCode::kUntrusted,
              StrCat("manifest of \"", name, "\": version ", manifest.version,
                     " has the sha256 ", manifest.sha256.substr(0, 16),
                     "..., but had ", seen.sha256.substr(0, 16),
                     "... before; one version is one manifest"))
      .Id("E-ROLLBACK")
      .Hint("ask the publisher, who signed two manifests with one version");
}

}  // namespace

SeenManifests SeenManifests::Default() {
  return SeenManifests(DataFolder() + "/seen-manifests.json");
}

Result<std::vector<SeenManifest>> SeenManifests::Load() const {
  const auto text = verify::ReadSmallTextFile(path_, kMaxFileBytes);
  if (!text) {
    if (text.error().code == ErrorCode::kNotFound) {
      return std::vector<SeenManifest>();
    }
    return verify::Unexpected(text.error());
  }
  const auto json = verify::ParseJson(*text);
  if (!json) return FailBroken(path_, json.error().ToString());
  if (!json->is_object() || !json->contains("format") ||
      (*json)["format"] != kFormat || !json->contains("seen") ||
      !(*json)["seen"].is_array()) {
    return FailBroken(path_, "not of a form that is known");
  }
  std::vector<SeenManifest> all;
  for (const Json& entry : (*json)["seen"]) {
    auto seen = ReadEntry(entry);
    if (!seen.has_value()) return FailBroken(path_, "an entry that is none");
    all.push_back(std::move(*seen));
  }
  return all;
}

Result<std::optional<SeenManifest>> SeenManifests::Find(
    const std::string& key, const std::string& model) const {
  ASSIGN_OR_RETURN(const std::vector<SeenManifest> all, Load());
  const auto found = std::find_if(all.begin(), all.end(), IsOf(key, model));
  if (found == all.end()) return std::optional<SeenManifest>();
  return std::optional(*found);
}

Result<void> SeenManifests::Check(const SeenManifest& manifest) const {
  ASSIGN_OR_RETURN(const auto seen, Find(manifest.key, manifest.model));
  if (!seen.has_value()) return {};
  return Compare(*seen, manifest);
}

Result<void> SeenManifests::Record(const SeenManifest& manifest) const {
  std::error_code ignored;
  fs::create_directories(fs::path(path_).parent_path(), ignored);
  // Held from reading to writing: two that record at once both last.
  const std::string lock_path = path_ + ".lock";
  const verify::UniqueFd lock(::open(
      lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock.valid()) return verify::FailErrno("open", lock_path, errno);
  while (::flock(lock.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return verify::FailErrno("lock", lock_path, errno);
  }
  ASSIGN_OR_RETURN(std::vector<SeenManifest> all, Load());
  const auto found =
      std::find_if(all.begin(), all.end(), IsOf(manifest.key, manifest.model));
  if (found == all.end()) {
    all.push_back(manifest);
  } else {
    RETURN_IF_ERROR(Compare(*found, manifest));
    if (*found == manifest) return {};
    *found = manifest;
  }
  Json json = {{"format", kFormat}, {"seen", Json::array()}};
  for (const SeenManifest& seen : all) {
    json["seen"].push_back({{"key", seen.key},
                            {"model", seen.model},
                            {"sha256", seen.sha256},
                            {"version", seen.version}});
  }
  const std::string text = json.dump(1) + "\n";
  return verify::WriteFileAtomically(path_, std::as_bytes(std::span(text)),
                                     0600);
}

}  // namespace cli
