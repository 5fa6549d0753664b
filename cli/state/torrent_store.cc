// SPDX-License-Identifier: Apache-2.0
#include "cli/state/torrent_store.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "cli/state/paths.h"
#include "verify/base/file.h"
#include "verify/base/json.h"
#include "verify/base/text.h"
#include "verify/manifest/manifest.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

using verify::ErrorCode;
using verify::Fail;
using verify::Result;
using verify::StrCat;

constexpr uint64_t kMaxRecordBytes = 64u << 20;

// An object, empty if there is no record. One that cannot be read is none: the
// torrent is still found by its files.
nlohmann::json ReadRecord(const std::string& file) {
  const auto text = verify::ReadSmallTextFile(file, kMaxRecordBytes);
  if (!text) return nlohmann::json::object();
  auto json = verify::ParseJson(*text);
  if (!json || !json->is_object()) return nlohmann::json::object();
  return std::move(*json);
}

std::vector<std::string> ReadPaths(const std::string& file) {
  std::vector<std::string> paths;
  const nlohmann::json record = ReadRecord(file);
  if (!record.contains("paths")) return paths;
  for (const auto& path : record["paths"]) {
    if (path.is_string()) paths.push_back(path.get<std::string>());
  }
  return paths;
}

enum class Fit { kNone, kSomeSizes, kAllSizes };

// How the payload at `path` fits a torrent, from names and sizes alone.
Fit FitOf(const p2p::Metainfo& metainfo, const std::string& path) {
  size_t total = 0;
  size_t present = 0;
  size_t right = 0;
  for (const p2p::MetainfoFile& file : metainfo.files) {
    if (file.is_pad) continue;
    ++total;
    const std::string on_disk =
        metainfo.single_file ? path : path + "/" + file.path;
    std::error_code error;
    if (!fs::is_regular_file(on_disk, error)) continue;
    ++present;
    const auto size = fs::file_size(on_disk, error);
    if (!error && size == file.size_bytes) ++right;
  }
  if (total == 0 || right == 0) return Fit::kNone;
  if (metainfo.single_file &&
      fs::path(path).filename().string() != metainfo.name) {
    // One size alone, without the name, proves too little.
    return Fit::kNone;
  }
  if (right == total) return Fit::kAllSizes;
  return present * 2 >= total ? Fit::kSomeSizes : Fit::kNone;
}

}  // namespace

Result<KnownTorrent> ReadTorrentFile(const std::string& path) {
  ASSIGN_OR_RETURN(std::vector<std::byte> bytes,
                   verify::ReadSmallFile(path, p2p::kMaxMetainfoBytes));
  auto metainfo = p2p::ParseMetainfo(bytes);
  if (!metainfo) {
    return verify::WithContext(
        std::move(metainfo).error(),
        StrCat("\"", verify::EscapeForTerminal(path), "\""));
  }
  return KnownTorrent{std::move(bytes),
                      std::move(*metainfo),
                      fs::path(path).filename().string(),
                      {}};
}

TorrentStore::TorrentStore(std::string folder) : folder_(std::move(folder)) {}

TorrentStore TorrentStore::Default() {
  return TorrentStore(DataFolder() + "/torrents");
}

Result<void> TorrentStore::Save(verify::ByteSpan torrent,
                                const p2p::Metainfo& metainfo,
                                const std::string& payload_path,
                                const PartialCopy* partial) const {
  std::error_code error;
  fs::create_directories(folder_, error);
  if (error) {
    return verify::FailErrno("create", folder_, error.value());
  }
  const std::string stem = folder_ + "/" + metainfo.info_hashes.Key();
  RETURN_IF_ERROR(verify::WriteFileAtomically(stem + ".torrent", torrent));
  if (payload_path.empty()) return {};
  std::vector<std::string> paths = ReadPaths(stem + ".json");
  const std::string canonical = CanonicalPath(payload_path);
  if (std::find(paths.begin(), paths.end(), canonical) == paths.end()) {
    paths.push_back(canonical);
  }
  nlohmann::json partials = nlohmann::json::object();
  const nlohmann::json former = ReadRecord(stem + ".json");
  if (former.contains("partial") && former["partial"].is_object()) {
    partials = former["partial"];
  }
  partials.erase(canonical);
  if (partial != nullptr) {
    nlohmann::json files = nlohmann::json::object();
    for (size_t i = 0; i < metainfo.files.size(); ++i) {
      if (metainfo.files[i].is_pad || !partial->files[i]) continue;
      const std::string& path = metainfo.files[i].path;
      const auto digest = partial->sha256.find(path);
      files[path] = digest == partial->sha256.end() ? "" : digest->second;
    }
    partials[canonical] = std::move(files);
  }
  nlohmann::json json{{"paths", paths}};
  if (!partials.empty()) json["partial"] = std::move(partials);
  const std::string text =
      json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return verify::WriteFileAtomically(stem + ".json", verify::AsBytes(text));
}

std::string TorrentStore::ManifestPath(const p2p::Metainfo& metainfo) const {
  return StrCat(folder_, "/", metainfo.info_hashes.Key(),
                verify::kManifestSuffix);
}

std::optional<PartialCopy> TorrentStore::FindPartial(
    const p2p::Metainfo& metainfo, const std::string& path) const {
  const nlohmann::json record =
      ReadRecord(folder_ + "/" + metainfo.info_hashes.Key() + ".json");
  const std::string canonical = CanonicalPath(path);
  if (!record.contains("partial") || !record["partial"].is_object() ||
      !record["partial"].contains(canonical) ||
      !record["partial"][canonical].is_object()) {
    return std::nullopt;
  }
  const nlohmann::json& files = record["partial"][canonical];
  PartialCopy partial;
  partial.files.assign(metainfo.files.size(), false);
  for (size_t i = 0; i < metainfo.files.size(); ++i) {
    const p2p::MetainfoFile& file = metainfo.files[i];
    if (file.is_pad || !files.contains(file.path)) continue;
    partial.files[i] = true;
    const nlohmann::json& digest = files[file.path];
    if (digest.is_string() && !digest.get_ref<const std::string&>().empty()) {
      partial.sha256[file.path] = digest.get<std::string>();
    }
  }
  return partial;
}

std::optional<KnownTorrent> TorrentStore::FindByKey(
    const std::string& key) const {
  auto torrent = ReadTorrentFile(folder_ + "/" + key + ".torrent");
  if (!torrent || torrent->metainfo.info_hashes.Key() != key) {
    return std::nullopt;
  }
  torrent->source = "torrent fetched or published before";
  return std::move(*torrent);
}

std::optional<KnownTorrent> TorrentStore::FindForPath(
    const std::string& path) const {
  const std::string canonical = CanonicalPath(path);
  if (auto beside = ReadTorrentFile(canonical + ".torrent")) {
    if (FitOf(beside->metainfo, canonical) != Fit::kNone) {
      beside->partial = FindPartial(beside->metainfo, canonical);
      return std::move(*beside);
    }
  }
  // Best first: put at this path, then all sizes right, then some.
  std::optional<KnownTorrent> at_path;
  Fit at_path_fit = Fit::kNone;
  std::vector<KnownTorrent> all_sizes;
  std::vector<KnownTorrent> some_sizes;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder_, error)) {
    if (entry.path().extension() != ".torrent") continue;
    const std::string key = entry.path().stem().string();
    auto torrent = FindByKey(key);
    if (!torrent) continue;
    const Fit fit = FitOf(torrent->metainfo, canonical);
    const auto paths = ReadPaths(folder_ + "/" + key + ".json");
    if (std::find(paths.begin(), paths.end(), canonical) != paths.end()) {
      // Several may have been put here in turn.
      if (!at_path.has_value() || fit > at_path_fit) {
        torrent->source = "torrent of this path";
        torrent->partial = FindPartial(torrent->metainfo, canonical);
        at_path = std::move(torrent);
        at_path_fit = fit;
      }
      continue;
    }
    if (fit == Fit::kAllSizes) all_sizes.push_back(std::move(*torrent));
    if (fit == Fit::kSomeSizes) some_sizes.push_back(std::move(*torrent));
  }
  if (at_path.has_value()) return at_path;
  for (std::vector<KnownTorrent>* fits : {&all_sizes, &some_sizes}) {
    if (fits->empty()) continue;
    if (fits->size() > 1) return std::nullopt;
    fits->front().source = "torrent with the same files";
    return std::move(fits->front());
  }
  return std::nullopt;
}

}  // namespace cli
