// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/report_document.h"

#include <optional>
#include <utility>

#include "cli/exit_code.h"
#include "cli/flows/content_report.h"
#include "cli/version.h"
#include "p2p/magnet.h"
#include "verify/base/text.h"
#include "verify/manifest/report.h"

namespace cli {
namespace {

using verify::TrustLevel;

// The level of files that are what they should be: the weakest of them, though
// others are wrong, is not the level of the whole.
Fields LevelFields(TrustLevel level) {
  const LevelMeaning meaning = MeaningOf(level);
  return {{"name", verify::TrustLevelName(level)},
          {"text", verify::TrustLevelText(level)},
          {"verified", verify::MayCallVerified(level)},
          {"proves", meaning.proves},
          {"does_not_prove", meaning.not_proven}};
}

Fields TorrentFields(const std::optional<KnownTorrent>& torrent) {
  if (!torrent.has_value()) return nullptr;
  const p2p::InfoHashes& hashes = torrent->metainfo.info_hashes;
  Fields fields{{"name", torrent->metainfo.name}, {"source", torrent->source}};
  fields["info_hash_v1"] = hashes.v1.has_value()
                               ? Fields(verify::HexEncode(*hashes.v1))
                               : Fields(nullptr);
  fields["info_hash_v2"] = hashes.v2.has_value()
                               ? Fields(verify::HexEncode(*hashes.v2))
                               : Fields(nullptr);
  fields["magnet"] = p2p::FormatMagnet(p2p::MagnetOf(torrent->metainfo));
  return fields;
}

Fields SourceFields(const ContentReport& content) {
  Fields sources = Fields::array();
  for (const SourceSummary& source : content.sources) {
    sources.push_back({{"source", source.source},
                       {"files", source.num_files},
                       {"exhaustive", source.exhaustive},
                       {"signed_by", source.signer_name},
                       {"key", source.signer_key},
                       {"trusted", source.level == TrustLevel::kTrustedKey}});
  }
  return sources;
}

Fields FileFields(const ContentReport& content) {
  Fields files = Fields::array();
  for (const FileVerdict& file : content.files) {
    Fields fields = FieldsOf(file);
    fields["level_text"] = verify::TrustLevelText(file.report.level);
    fields.erase("bad_pieces");  // its damage names them
    files.push_back(std::move(fields));
  }
  return files;
}

Fields ChecksOf(const std::vector<KeptEvent>& events, std::string_view type) {
  Fields checks = Fields::array();
  for (const KeptEvent& event : events) {
    if (event.type == type) checks.push_back(event.fields);
  }
  return checks;
}

}  // namespace

LevelMeaning MeaningOf(TrustLevel level) {
  switch (level) {
    case TrustLevel::kUnverified:
      return {
          "Nothing. No source says what all of these bytes should be, or "
          "they are not what one says.",
          "That the files are those that somebody published. The digests "
          "below can be compared with what the publisher states."};
    case TrustLevel::kUnknownKey:
      return {
          "The bytes are those that somebody signed, whose key you did not "
          "choose to trust.",
          "Who that is. A signature by an unknown key adds no trust."};
    case TrustLevel::kMd5Only:
      return {"No accident changed the bytes since the MD5 list was made.",
              "That nobody changed them on purpose: files with a given MD5 can "
              "be made. This level is never called verified."};
    case TrustLevel::kSha1Only:
      return {"The bytes are those that the list of SHA-1 digests names.",
              "Who made the list; and whoever made the files could have "
              "prepared two contents with one SHA-1."};
    case TrustLevel::kPiecesV1:
      return {
          "The bytes are those that the magnet link names by SHA-1. Nobody "
          "can forge other bytes for a given link today.",
          "Who made the link; and a malicious publisher could have "
          "prepared two contents with one SHA-1."};
    case TrustLevel::kSha256:
      return {
          "The bytes are those that the list of digests (SHA-256 or "
          "stronger) names.",
          "Who made the list: it is as good as the place it came from."};
    case TrustLevel::kPiecesV2:
      return {
          "The bytes are those that the v2 torrent names by its SHA-256 "
          "tree.",
          "Who made the torrent: it is as good as the place its link came "
          "from."};
    case TrustLevel::kTrustedKey:
      return {
          "The bytes are those that the holder of a key signed whom you "
          "chose to trust.",
          "That the holder kept the key safe and signed nothing bad."};
  }
  return {"", ""};
}

Fields ReportDocument(const VerifyReport& report, const ReportInput& input) {
  const ContentReport& content = report.content;
  Fields document{{"report", 1},
                  {"version", kVersion},
                  {"command", input.arguments},
                  {"started", input.started},
                  {"finished", input.finished},
                  {"path", input.path},
                  {"asked", input.level_asked},
                  {"result", ExitCodeName(report.code)},
                  {"level", LevelFields(content.level)},
                  {"torrent", TorrentFields(report.torrent)},
                  {"sources", SourceFields(content)}};
  document["totals"] = {{"files", content.files.size()},
                        {"extra_files", content.num_extra},
                        {"missing_files", content.num_missing},
                        {"bytes_read", content.bytes_read},
                        {"bytes_not_read", content.bytes_not_read},
                        {"pieces", content.num_pieces},
                        {"bad_pieces", content.bad_pieces},
                        {"structure_checked", report.structure_checked}};
  document["files"] = FileFields(content);
  document["checks"] = ChecksOf(input.events, "check");
  document["findings"] = report.findings;
  if (Fields warnings = ChecksOf(input.events, "warning"); !warnings.empty()) {
    document["warnings"] = std::move(warnings);
  }
  if (report.error.has_value()) {
    document["error"] = {{"code", ErrorName(*report.error)},
                         {"message", report.error->ToString()},
                         {"hint", report.error->hint}};
  }
  if (report.code != ExitCode::kOk) {
    document["exit_code"] = static_cast<int>(report.code);
    document["exit_name"] = ExitCodeName(report.code);
  }
  return document;
}

}  // namespace cli
