// SPDX-License-Identifier: Apache-2.0
// Long because: every field is read, checked and written here, side by side.
#include "verify/manifest/manifest.h"

#include <algorithm>
#include <initializer_list>
#include <span>
#include <utility>

#include "verify/base/path_policy.h"
#include "verify/base/text.h"
#include "verify/base/utc.h"

namespace verify {
namespace {

constexpr std::string_view kId = "E-MANIFEST";
constexpr std::string_view kFormat = "lodestone-manifest";
constexpr uint64_t kFormatVersion = 1;
constexpr size_t kMaxTextBytes = 256;
constexpr size_t kMaxMagnetBytes = 64u << 10;
constexpr size_t kMaxParams = 64;
constexpr size_t kMaxKeyDigits = 128;
// What a double holds exactly, for readers in other languages.
constexpr uint64_t kMaxInteger = uint64_t{1} << 53;

Unexpected Bad(std::string_view what) {
  return Fail(ErrorCode::kCorrupt, StrCat("manifest: ", what)).Id(kId);
}

std::string Shown(std::string_view text) {
  return StrCat("\"", EscapeForTerminal(text, 128), "\"");
}

// Reads the members of one object, each once.
class Fields {
 public:
  // `where`: "" for the document, else "torrent" and so on, for messages.
  Fields(const Json& object, std::string_view where)
      : object_(object), where_(where) {}

  // kUnsupported for a member that is not one of these.
  Result<void> Only(std::initializer_list<std::string_view> known) const {
    for (const auto& [key, value] : object_.items()) {
      if (std::find(known.begin(), known.end(), key) != known.end()) continue;
      return Fail(ErrorCode::kUnsupported,
                  StrCat("manifest: ", where_.empty() ? "" : where_,
                         where_.empty() ? "" : ": ", "unknown field ",
                         Shown(key)))
          .Id(kId)
          .Hint(
              "a later version of lodestone may know it; nothing is left "
              "out of what was signed");
    }
    return {};
  }

  const Json* Find(std::string_view key) const {
    const auto found = object_.find(key);
    return found == object_.end() ? nullptr : &*found;
  }

  Result<std::string> Text(std::string_view key) const {
    const Json* value = Find(key);
    if (value == nullptr || !value->is_string()) return Missing(key, "text");
    return value->get<std::string>();
  }
  // Empty if it is not there; there it must not be empty.
  Result<std::string> OptionalText(std::string_view key) const {
    if (Find(key) == nullptr) return std::string();
    ASSIGN_OR_RETURN(std::string text, Text(key));
    if (text.empty()) return Missing(key, "text");
    return text;
  }
  Result<uint64_t> Integer(std::string_view key) const {
    const Json* value = Find(key);
    const auto number = value == nullptr ? std::nullopt : AsUnsigned(*value);
    if (!number.has_value() || *number > kMaxInteger) {
      return Missing(key, "whole number of at most 2^53");
    }
    return *number;
  }
  Result<bool> Bool(std::string_view key) const {
    const Json* value = Find(key);
    if (value == nullptr || !value->is_boolean()) {
      return Missing(key, "true or false");
    }
    return value->get<bool>();
  }
  Result<std::optional<int64_t>> Moment(std::string_view key) const {
    if (Find(key) == nullptr) return std::optional<int64_t>();
    ASSIGN_OR_RETURN(const std::string text, Text(key));
    const auto seconds = ParseUtc(text);
    if (!seconds.has_value()) {
      return Missing(key, "moment such as 2026-01-31T10:00:00Z");
    }
    return seconds;
  }
  template <typename Digest>
  Result<std::optional<Digest>> OptionalDigest(std::string_view key) const {
    if (Find(key) == nullptr) return std::optional<Digest>();
    ASSIGN_OR_RETURN(const std::string text, Text(key));
    const auto bytes = HexDecode(text);
    Digest digest{};
    if (!bytes.has_value() || bytes->size() != digest.size() ||
        AsciiLower(text) != text) {
      return Missing(key, StrCat("digest of ", digest.size() * 2,
                                 " lower-case hexadecimal digits"));
    }
    std::copy(bytes->begin(), bytes->end(), digest.begin());
    return std::optional<Digest>(digest);
  }
  // Null if it is not there.
  Result<Json> OptionalObject(std::string_view key) const {
    const Json* value = Find(key);
    if (value == nullptr) return Json();
    if (!value->is_object()) return Missing(key, "object");
    return *value;
  }

  Unexpected Missing(std::string_view key, std::string_view kind) const {
    return Bad(StrCat(where_, where_.empty() ? "" : ": ", "\"", key,
                      "\" is no ", kind));
  }

 private:
  const Json& object_;
  std::string_view where_;
};

// Printable, not empty, of bounded length.
Result<void> CheckText(std::string_view text, std::string_view what,
                       size_t max_bytes = kMaxTextBytes) {
  if (text.empty()) return Bad(StrCat(what, " is empty"));
  if (text.size() > max_bytes) {
    return Bad(StrCat(what, " has ", text.size(), " bytes, at most ", max_bytes,
                      " are allowed"));
  }
  if (EscapeForTerminal(text, max_bytes + 1) != text) {
    return Bad(StrCat(what, " ", Shown(text),
                      " holds a control or invisible character"));
  }
  return {};
}

Result<void> CheckName(std::string_view name, std::string_view what) {
  if (const auto problem = CheckPart(name)) {
    return Fail(ErrorCode::kCorrupt, StrCat("manifest: ", what, " ",
                                            Shown(name), ": ", problem->reason))
        .Id(problem->id);
  }
  return {};
}

Result<void> CheckParams(const Json& params) {
  if (params.is_null()) return {};
  if (!params.is_object() || params.empty() || params.size() > kMaxParams) {
    return Bad(
        StrCat("\"params\" is no object of 1 to ", kMaxParams, " members"));
  }
  for (const auto& [key, value] : params.items()) {
    RETURN_IF_ERROR(CheckText(key, "a name in \"params\""));
    if (value.is_string()) {
      RETURN_IF_ERROR(CheckText(value.get_ref<const std::string&>(),
                                StrCat("\"params\": ", Shown(key))));
    } else if (!value.is_number() && !value.is_boolean()) {
      return Bad(StrCat("\"params\": ", Shown(key),
                        " is neither text, number nor boolean"));
    }
  }
  return {};
}

Result<void> CheckObject(const Json& object, std::string_view key) {
  if (object.is_null() || (object.is_object() && !object.empty())) return {};
  return Bad(StrCat("\"", key, "\" is no object with members"));
}

Result<void> CheckTorrent(const ManifestTorrent& torrent) {
  RETURN_IF_ERROR(CheckName(torrent.name, "torrent: \"name\""));
  if (!torrent.info_hash_v1.has_value() && !torrent.info_hash_v2.has_value()) {
    return Bad("torrent: neither a v1 nor a v2 info-hash");
  }
  if (torrent.piece_length == 0 ||
      (torrent.piece_length & (torrent.piece_length - 1)) != 0) {
    return Bad(StrCat("torrent: \"piece_length\" ", torrent.piece_length,
                      " is no power of two"));
  }
  RETURN_IF_ERROR(
      CheckText(torrent.magnet, "torrent: \"magnet\"", kMaxMagnetBytes));
  if (!torrent.magnet.starts_with("magnet:?")) {
    return Bad("torrent: \"magnet\" is no magnet link");
  }
  return {};
}

Result<void> CheckFiles(const Manifest& manifest) {
  const std::vector<ManifestFile>& files = manifest.files;
  if (files.empty()) return Bad("no files");
  if (files.size() > kMaxManifestFiles) {
    return Fail(ErrorCode::kLimit,
                StrCat("manifest: ", files.size(), " files, at most ",
                       kMaxManifestFiles, " are allowed"))
        .Id(kId);
  }
  const bool has_v2 = manifest.torrent.info_hash_v2.has_value();
  uint64_t total_bytes = 0;
  PathSet paths;
  ProblemList problems;
  std::vector<std::string_view> parts;
  for (size_t i = 0; i < files.size(); ++i) {
    const ManifestFile& file = files[i];
    if (const auto problem = CheckPath(file.path, parts)) {
      problems.Add(problem->id, file.path, problem->reason);
      continue;
    }
    if (auto collision = paths.AddFile(parts)) {
      problems.Add(kNameCollisionId, file.path, std::move(*collision));
      continue;
    }
    if (i > 0 && files[i - 1].path >= file.path) {
      return Bad(StrCat("files: ", Shown(file.path), " stands behind ",
                        Shown(files[i - 1].path),
                        ", but not in the order of their bytes"));
    }
    if (file.size_bytes > kMaxInteger - total_bytes) {
      return Bad("files: more than 2^53 bytes together");
    }
    total_bytes += file.size_bytes;
    if (file.pieces_root.has_value() != (has_v2 && file.size_bytes > 0)) {
      return Bad(StrCat("files: ", Shown(file.path),
                        file.pieces_root.has_value()
                            ? " has a pieces root that it cannot have"
                            : " has no pieces root, but the torrent is v2"));
    }
  }
  if (!problems.empty()) {
    return Fail(ErrorCode::kCorrupt, StrCat("manifest: ", problems.Message()))
        .Id(problems.id());
  }
  if (manifest.torrent.single_file &&
      (files.size() != 1 || files[0].path != manifest.torrent.name)) {
    return Bad("files: not the one file of the torrent");
  }
  return {};
}

// The rules beyond the types; they hold for what is written and what is read.
Result<void> CheckManifest(const Manifest& manifest) {
  RETURN_IF_ERROR(CheckName(manifest.model, "\"model\""));
  if (manifest.version == 0) return Bad("\"version\" is 0, the first is 1");
  RETURN_IF_ERROR(CheckText(manifest.publisher_name, "publisher: \"name\""));
  const std::string& key = manifest.publisher_key;
  if (key.size() > kMaxKeyDigits || AsciiLower(key) != key ||
      !HexDecode(key).has_value()) {
    return Bad("publisher: \"key\" is no fingerprint in lower-case hex");
  }
  if (!manifest.license.empty()) {
    RETURN_IF_ERROR(CheckText(manifest.license, "\"license\""));
  }
  if (manifest.issued_s.has_value() && manifest.expires_s.has_value() &&
      *manifest.expires_s <= *manifest.issued_s) {
    return Bad("\"expires\" is not after \"issued\"");
  }
  RETURN_IF_ERROR(CheckTorrent(manifest.torrent));
  RETURN_IF_ERROR(CheckFiles(manifest));
  RETURN_IF_ERROR(CheckParams(manifest.params));
  RETURN_IF_ERROR(CheckObject(manifest.recipe, "recipe"));
  return CheckObject(manifest.fingerprint, "fingerprint");
}

Json ToJson(const Manifest& manifest) {
  Json json;
  json["format"] = kFormat;
  json["format_version"] = kFormatVersion;
  json["model"] = manifest.model;
  json["version"] = manifest.version;
  Json& publisher = json["publisher"];
  publisher["name"] = manifest.publisher_name;
  if (!manifest.publisher_key.empty()) {
    publisher["key"] = manifest.publisher_key;
  }
  if (manifest.issued_s.has_value()) {
    json["issued"] = FormatUtc(*manifest.issued_s);
  }
  if (manifest.expires_s.has_value()) {
    json["expires"] = FormatUtc(*manifest.expires_s);
  }
  if (!manifest.license.empty()) json["license"] = manifest.license;
  Json& torrent = json["torrent"];
  if (const auto& hash = manifest.torrent.info_hash_v1) {
    torrent["info_hash_v1"] = HexEncode(*hash);
  }
  if (const auto& hash = manifest.torrent.info_hash_v2) {
    torrent["info_hash_v2"] = HexEncode(*hash);
  }
  torrent["name"] = manifest.torrent.name;
  torrent["single_file"] = manifest.torrent.single_file;
  torrent["piece_length"] = manifest.torrent.piece_length;
  torrent["magnet"] = manifest.torrent.magnet;
  Json& files = json["files"] = Json::array();
  for (const ManifestFile& file : manifest.files) {
    Json entry;
    entry["path"] = file.path;
    entry["size"] = file.size_bytes;
    entry["sha256"] = HexEncode(file.sha256);
    if (file.pieces_root.has_value()) {
      entry["pieces_root"] = HexEncode(*file.pieces_root);
    }
    files.push_back(std::move(entry));
  }
  if (!manifest.params.is_null()) json["params"] = manifest.params;
  if (!manifest.recipe.is_null()) json["recipe"] = manifest.recipe;
  if (!manifest.fingerprint.is_null()) {
    json["fingerprint"] = manifest.fingerprint;
  }
  return json;
}

// Keys ascend by their bytes, as the library keeps them.
std::string Canonical(const Json& json) { return json.dump(2) + "\n"; }

Result<ManifestTorrent> ReadTorrent(const Json& json) {
  const Fields fields(json, "torrent");
  RETURN_IF_ERROR(fields.Only({"info_hash_v1", "info_hash_v2", "magnet", "name",
                               "piece_length", "single_file"}));
  ManifestTorrent torrent;
  ASSIGN_OR_RETURN(torrent.info_hash_v1,
                   fields.OptionalDigest<Sha1Digest>("info_hash_v1"));
  ASSIGN_OR_RETURN(torrent.info_hash_v2,
                   fields.OptionalDigest<Sha256Digest>("info_hash_v2"));
  ASSIGN_OR_RETURN(torrent.name, fields.Text("name"));
  ASSIGN_OR_RETURN(torrent.single_file, fields.Bool("single_file"));
  ASSIGN_OR_RETURN(torrent.piece_length, fields.Integer("piece_length"));
  ASSIGN_OR_RETURN(torrent.magnet, fields.Text("magnet"));
  return torrent;
}

Result<ManifestFile> ReadFile(const Json& json) {
  if (!json.is_object()) return Bad("files: an entry is no object");
  const Fields fields(json, "files");
  RETURN_IF_ERROR(fields.Only({"path", "pieces_root", "sha256", "size"}));
  ManifestFile file;
  ASSIGN_OR_RETURN(file.path, fields.Text("path"));
  ASSIGN_OR_RETURN(file.size_bytes, fields.Integer("size"));
  ASSIGN_OR_RETURN(const auto sha256,
                   fields.OptionalDigest<Sha256Digest>("sha256"));
  if (!sha256.has_value()) return fields.Missing("sha256", "digest");
  file.sha256 = *sha256;
  ASSIGN_OR_RETURN(file.pieces_root,
                   fields.OptionalDigest<Sha256Digest>("pieces_root"));
  return file;
}

Result<Manifest> ReadDocument(const Json& json) {
  if (!json.is_object()) return Bad("no JSON object");
  const Fields fields(json, "");
  // What it is comes before what is wrong with it.
  const auto format = fields.Text("format");
  if (!format || *format != kFormat) {
    return Bad(StrCat("\"format\" is not \"", kFormat, "\""));
  }
  ASSIGN_OR_RETURN(const uint64_t format_version,
                   fields.Integer("format_version"));
  if (format_version != kFormatVersion) {
    return Fail(ErrorCode::kUnsupported,
                StrCat("manifest: format version ", format_version,
                       ", this program knows version ", kFormatVersion))
        .Id(kId)
        .Hint("a later version of lodestone may read it");
  }
  RETURN_IF_ERROR(
      fields.Only({"expires", "files", "fingerprint", "format",
                   "format_version", "issued", "license", "model", "params",
                   "publisher", "recipe", "torrent", "version"}));
  Manifest manifest;
  ASSIGN_OR_RETURN(manifest.model, fields.Text("model"));
  ASSIGN_OR_RETURN(manifest.version, fields.Integer("version"));
  const Json* publisher = fields.Find("publisher");
  if (publisher == nullptr || !publisher->is_object()) {
    return fields.Missing("publisher", "object");
  }
  const Fields who(*publisher, "publisher");
  RETURN_IF_ERROR(who.Only({"key", "name"}));
  ASSIGN_OR_RETURN(manifest.publisher_name, who.Text("name"));
  ASSIGN_OR_RETURN(manifest.publisher_key, who.OptionalText("key"));
  ASSIGN_OR_RETURN(manifest.issued_s, fields.Moment("issued"));
  ASSIGN_OR_RETURN(manifest.expires_s, fields.Moment("expires"));
  ASSIGN_OR_RETURN(manifest.license, fields.OptionalText("license"));
  const Json* torrent = fields.Find("torrent");
  if (torrent == nullptr || !torrent->is_object()) {
    return fields.Missing("torrent", "object");
  }
  ASSIGN_OR_RETURN(manifest.torrent, ReadTorrent(*torrent));
  const Json* files = fields.Find("files");
  if (files == nullptr || !files->is_array()) {
    return fields.Missing("files", "list");
  }
  if (files->size() > kMaxManifestFiles) {
    return Fail(ErrorCode::kLimit,
                StrCat("manifest: ", files->size(), " files, at most ",
                       kMaxManifestFiles, " are allowed"))
        .Id(kId);
  }
  manifest.files.reserve(files->size());
  for (const Json& entry : *files) {
    ASSIGN_OR_RETURN(ManifestFile file, ReadFile(entry));
    manifest.files.push_back(std::move(file));
  }
  ASSIGN_OR_RETURN(manifest.params, fields.OptionalObject("params"));
  ASSIGN_OR_RETURN(manifest.recipe, fields.OptionalObject("recipe"));
  ASSIGN_OR_RETURN(manifest.fingerprint, fields.OptionalObject("fingerprint"));
  return manifest;
}

}  // namespace

Result<Manifest> ParseManifest(std::string_view text) {
  JsonLimits limits;
  limits.max_bytes = kMaxManifestBytes;
  limits.max_values = 1u << 20;
  auto json = ParseJson(text, limits);
  if (!json) {
    Error error = std::move(json).error();
    if (error.id.empty()) error.id = kId;
    return WithContext(std::move(error), "manifest");
  }
  ASSIGN_OR_RETURN(Manifest manifest, ReadDocument(*json));
  RETURN_IF_ERROR(CheckManifest(manifest));
  // One content, one text: nothing hides in blanks, escapes or numbers.
  const std::string canonical = Canonical(*json);
  if (canonical != text) {
    const auto [ours, theirs] = std::mismatch(
        canonical.begin(), canonical.end(), text.begin(), text.end());
    return Bad("not in the canonical layout")
        .At(static_cast<uint64_t>(theirs - text.begin()))
        .Hint(
            "keys in order, two blanks a level, one line end at the end: "
            "docs/formats/manifest.md");
  }
  return manifest;
}

Result<std::string> FormatManifest(const Manifest& manifest) {
  std::string text;
  try {
    text = Canonical(ToJson(manifest));
  } catch (const Json::exception&) {
    return Fail(ErrorCode::kInvalidArgument, "manifest: a text is not UTF-8")
        .Id(kId);
  }
  // Our own reader is the judge of what may be written.
  auto read = ParseManifest(text);
  if (!read) {
    Error error = std::move(read).error();
    error.code = ErrorCode::kInvalidArgument;
    return Unexpected(std::move(error));
  }
  return text;
}

bool SameContent(const Manifest& a, const Manifest& b) {
  Manifest other = b;
  other.version = a.version;
  other.issued_s = a.issued_s;
  other.expires_s = a.expires_s;
  other.publisher_key = a.publisher_key;
  return a == other;
}

Result<void> CheckManifestSigner(const Manifest& manifest,
                                 const ManifestSigner& signer) {
  if (manifest.publisher_key.empty() || manifest.publisher_key == signer.key) {
    return {};
  }
  return Fail(ErrorCode::kUntrusted,
              StrCat("manifest: it is to be signed by the key ",
                     manifest.publisher_key, " and is signed by ",
                     EscapeForTerminal(signer.key, 128)))
      .Id("E-MANIFEST-KEY")
      .Hint("somebody else signed it: ask the publisher");
}

Evidence ManifestEvidence(const Manifest& manifest, std::string source,
                          const ManifestSigner* signer) {
  Evidence evidence;
  evidence.level = TrustLevel::kSha256;
  if (signer != nullptr) {
    evidence.level =
        signer->trusted ? TrustLevel::kTrustedKey : TrustLevel::kUnknownKey;
    evidence.signer_key = signer->key;
    evidence.signer_name = signer->name;
    evidence.exhaustive = true;
  }
  for (const ManifestFile& file : manifest.files) {
    evidence.sums.push_back({.name = file.path,
                             .algorithm = SumAlgorithm::kSha256,
                             .digest = {file.sha256.begin(), file.sha256.end()},
                             .list = source,
                             .size_bytes = file.size_bytes});
  }
  evidence.source = std::move(source);
  return evidence;
}

}  // namespace verify
