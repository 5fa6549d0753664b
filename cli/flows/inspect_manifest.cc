// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/inspect_manifest.h"

#include <fmt/core.h>

#include <ctime>
#include <string_view>

#include "cli/flows/describe.h"
#include "cli/flows/manifest_file.h"
#include "p2p/magnet.h"
#include "verify/base/file.h"
#include "verify/base/text.h"
#include "verify/base/utc.h"

namespace cli {
namespace {

using verify::EscapeForTerminal;
using verify::Manifest;
using verify::Result;
using verify::StrCat;

constexpr size_t kShownFiles = 20;

Fields Moment(const std::optional<int64_t>& seconds) {
  return seconds.has_value() ? Fields(verify::FormatUtc(*seconds))
                             : Fields(nullptr);
}

Fields Document(const FoundManifest& found, const p2p::ParsedMagnet& link,
                const std::string& remark) {
  const Manifest& manifest = found.manifest;
  Fields fields{{"kind", "manifest"},
                {"name", manifest.model},
                {"version", manifest.version},
                {"sha256", found.sha256},
                {"publisher", manifest.publisher_name},
                {"publisher_key", manifest.publisher_key},
                {"issued", Moment(manifest.issued_s)},
                {"expires", Moment(manifest.expires_s)},
                {"licence", manifest.license},
                {"info_hash_v1", HashField(manifest.torrent.info_hash_v1)},
                {"info_hash_v2", HashField(manifest.torrent.info_hash_v2)},
                {"magnet", manifest.torrent.magnet},
                {"trackers", link.magnet.trackers},
                {"web_seeds", link.magnet.web_seeds},
                {"peers", Fields::array()},
                {"repairs", link.repairs},
                {"dropped", link.warnings},
                {"piece_length", manifest.torrent.piece_length},
                {"params", manifest.params},
                {"recipe", manifest.recipe},
                {"has_fingerprint", !manifest.fingerprint.is_null()},
                {"remark", remark}};
  fields["signature"] = nullptr;
  if (found.signer.has_value()) {
    fields["signature"] = {{"path", found.signature_file},
                           {"key", found.signer->key},
                           {"name", found.signer->name},
                           {"trusted", found.signer->trusted}};
  }
  uint64_t total_bytes = 0;
  fields["files"] = Fields::array();
  for (const verify::ManifestFile& file : manifest.files) {
    total_bytes += file.size_bytes;
    fields["files"].push_back({{"path", file.path},
                               {"bytes", file.size_bytes},
                               {"sha256", verify::HexEncode(file.sha256)}});
  }
  fields["total_bytes"] = total_bytes;
  return fields;
}

std::string SignerWords(const FoundManifest& found) {
  if (!found.signer.has_value()) return "nobody signed it";
  if (!found.signer->trusted) {
    return StrCat("signed by unknown key ",
                  EscapeForTerminal(found.signer->key, 128),
                  ", which says nothing of who that is");
  }
  return StrCat("signed by ", EscapeForTerminal(found.signer->name, 200), " (",
                EscapeForTerminal(found.signer->key, 128), ")");
}

// Objects of the manifest on one line, escaped and cut.
std::string Shortened(const verify::Json& json) {
  return json.is_null() ? "" : EscapeForTerminal(json.dump(), 300);
}

void Print(const FoundManifest& found, const std::string& remark,
           bool all_files, uint64_t total_bytes, Output& output) {
  const Manifest& manifest = found.manifest;
  const auto line = [&](std::string_view key, const std::string& value) {
    if (!value.empty()) output.Print(fmt::format("{:<11} {}", key, value));
  };
  line("model", EscapeForTerminal(manifest.model));
  line("version", std::to_string(manifest.version));
  line("publisher", EscapeForTerminal(manifest.publisher_name));
  line("signature", SignerWords(found));
  if (manifest.issued_s.has_value()) {
    line("issued", verify::FormatUtc(*manifest.issued_s));
  }
  if (manifest.expires_s.has_value()) {
    line("expires", verify::FormatUtc(*manifest.expires_s));
  }
  line("remark", remark);
  line("licence", EscapeForTerminal(manifest.license));
  if (const auto& hash = manifest.torrent.info_hash_v1) {
    line("v1", verify::HexEncode(*hash));
  }
  if (const auto& hash = manifest.torrent.info_hash_v2) {
    line("v2", verify::HexEncode(*hash));
  }
  line("magnet", EscapeForTerminal(manifest.torrent.magnet, 2000));
  line("params", Shortened(manifest.params));
  line("recipe", Shortened(manifest.recipe));
  if (!manifest.fingerprint.is_null()) line("fingerprint", "present");
  line("size", StrCat(verify::FormatSize(total_bytes), " in ",
                      manifest.files.size(), " files"));
  size_t shown = 0;
  for (const verify::ManifestFile& file : manifest.files) {
    if (!all_files && shown == kShownFiles) break;
    ++shown;
    line("file", fmt::format("{} {:>12}  {}", verify::HexEncode(file.sha256),
                             file.size_bytes, EscapeForTerminal(file.path)));
  }
  if (shown < manifest.files.size()) {
    line("", fmt::format("and {} more files; --files lists all",
                         manifest.files.size() - shown));
  }
}

}  // namespace

bool MayBeManifest(const std::string& path) {
  const auto file = verify::ReadOnlyFile::Open(path);
  std::byte first{};
  return file && file->size() > 0 && file->ReadAt(0, {&first, 1}) &&
         first == std::byte{'{'};
}

Result<CommandResult> InspectManifest(const std::string& path, bool all_files,
                                      Context& context) {
  ASSIGN_OR_RETURN(const KeyRing keys, LoadKeyRing({}, context));
  ASSIGN_OR_RETURN(const FoundManifest found, ReadManifest(path, keys));
  ASSIGN_OR_RETURN(const p2p::ParsedMagnet link,
                   p2p::ParseMagnet(found.manifest.torrent.magnet));
  const std::string remark =
      ManifestClockRemark(found.manifest, int64_t{std::time(nullptr)});
  CommandResult result;
  result.summary = Document(found, link, remark);
  Print(found, remark, all_files, result.summary["total_bytes"].get<uint64_t>(),
        context.output);
  return result;
}

}  // namespace cli
