// SPDX-License-Identifier: Apache-2.0
#include <fmt/core.h>
#include <CLI/CLI.hpp>

#include "cli/commands/archive_flags.h"
#include "cli/commands/commands.h"
#include "cli/flows/archive_flow.h"
#include "cli/flows/describe.h"
#include "cli/flows/inspect_checkpoint.h"
#include "cli/flows/inspect_manifest.h"
#include "cli/flows/source.h"
#include "verify/base/text.h"

namespace cli {
namespace {

using verify::EscapeForTerminal;
using verify::Result;
using verify::StrCat;

std::string_view KindName(SourceKind kind) {
  switch (kind) {
    case SourceKind::kMagnet:
      return "magnet";
    case SourceKind::kInfoHash:
      return "info-hash";
    case SourceKind::kTorrentFile:
    case SourceKind::kUrl:
      return "torrent";
    case SourceKind::kName:
      return "catalogue";
  }
  return "magnet";
}

// What a link, torrent or checkpoint says, without asking anybody (but for the
// server of a URL that is given).
class InspectCommand final : public Command {
 public:
  std::string_view name() const override { return "inspect"; }
  std::string_view summary() const override {
    return "explain a magnet link, .torrent, checkpoint, manifest or archive, "
           "changing nothing";
  }
  std::string_view example() const override {
    return "lodestone inspect "
           "'magnet:?xt=urn:btih:5546272da9065eddeb6fcd7ffddeef5b75be79a7"
           "&tr=udp%3A%2F%http://2Fopentracker.i2p.rocks%3A6969%2Fannounce'";
  }
  bool is_document() const override { return true; }

  void AddFlags(CLI::App& app) override {
    app.add_option("source", source_,
                   "magnet link, info-hash, name in the catalogue, .torrent "
                   "file or http(s) URL of one; weights file or model folder; "
                   "a Lodestone manifest; a tar or zstd archive")
        ->required();
    app.add_flag("--magnet", magnet_only_,
                 "print only the link, repaired and without what was dropped");
    app.add_flag("--files", files_,
                 "list every file of a torrent, manifest or archive");
    app.add_flag("--tensors", tensors_,
                 "list every tensor of a checkpoint: dtype, shape, offset, "
                 "bytes, file");
    app.add_flag("--allow-local", session_.allow_local,
                 "keep endpoints on private addresses");
    AddArchiveFlags(app, archive_);
  }

  Result<CommandResult> Run(Context& context) override {
    if (MayBeManifest(source_)) {
      return InspectManifest(source_, files_, context);
    }
    if (IsArchiveFile(source_)) {
      ASSIGN_OR_RETURN(const verify::ArchiveOptions options,
                       ArchiveOptionsOf(archive_));
      ASSIGN_OR_RETURN(CommandResult result,
                       InspectArchive(source_, options, files_, context));
      // Weights by themselves, if their table can be read in place.
      result.summary["checkpoint"] = nullptr;
      if (IsCompressedCheckpoint(source_)) {
        ASSIGN_OR_RETURN(const CommandResult inside,
                         InspectCheckpoint(source_, tensors_, context));
        result.summary["checkpoint"] = inside.summary;
      }
      return result;
    }
    if (IsCheckpoint(source_)) {
      return InspectCheckpoint(source_, tensors_, context);
    }
    ASSIGN_OR_RETURN(const Source source,
                     ResolveSource(source_, session_, context));
    CommandResult result;
    result.summary = Describe(source);
    Print(source, context.output);
    return result;
  }

 private:
  Fields Describe(const Source& source) const {
    Fields fields{{"kind", KindName(source.kind)},
                  {"name", source.magnet.display_name},
                  {"info_hash_v1", HashField(source.magnet.info_hashes.v1)},
                  {"info_hash_v2", HashField(source.magnet.info_hashes.v2)},
                  {"magnet", p2p::FormatMagnet(source.magnet)},
                  {"trackers", source.magnet.trackers},
                  {"web_seeds", source.magnet.web_seeds}};
    fields["peers"] = Fields::array();
    for (const auto& [host, port] : source.magnet.peers) {
      fields["peers"].push_back(StrCat(host, " ", port));
    }
    fields["repairs"] = source.repairs;
    fields["dropped"] = source.remarks;
    for (const std::string& line : source.dropped) {
      fields["dropped"].push_back(line);
    }
    fields["catalogue"] =
        source.entry.has_value() ? Fields(source.entry->name) : Fields(nullptr);
    if (!source.metainfo.has_value()) return fields;
    const p2p::Metainfo& metainfo = *source.metainfo;
    fields["total_bytes"] = metainfo.total_bytes();
    fields["piece_length"] = metainfo.piece_length;
    fields["pieces"] = metainfo.num_pieces();
    fields["private"] = metainfo.is_private;
    fields["comment"] = metainfo.comment;
    fields["portability"] = metainfo.portability;
    fields["remarks"] = metainfo.warnings;
    fields["files"] = Fields::array();
    for (const p2p::MetainfoFile& file : metainfo.files) {
      if (file.is_pad) continue;
      fields["files"].push_back(
          {{"path", file.path}, {"bytes", file.size_bytes}});
    }
    return fields;
  }

  void Print(const Source& source, Output& output) const {
    for (const std::string& line : source.catalog_warnings) {
      output.Warning("CATALOGUE", line);
    }
    const std::string magnet = p2p::FormatMagnet(source.magnet);
    if (magnet_only_) {
      output.Print(magnet);
      return;
    }
    const auto line = [&](std::string_view key, const std::string& value) {
      if (!value.empty()) output.Print(fmt::format("{:<10} {}", key, value));
    };
    const p2p::Magnet& link = source.magnet;
    line("name", EscapeForTerminal(link.display_name));
    if (link.info_hashes.v1.has_value()) {
      line("v1", verify::HexEncode(*link.info_hashes.v1));
    }
    if (link.info_hashes.v2.has_value()) {
      line("v2", verify::HexEncode(*link.info_hashes.v2));
    } else {
      line("note", "no v2 hash: pieces are SHA-1, a weak anchor");
    }
    for (const std::string& url : link.trackers) {
      line("tracker", EscapeForTerminal(url));
    }
    for (const std::string& url : link.web_seeds) {
      line("web seed", EscapeForTerminal(url));
    }
    for (const auto& [host, port] : link.peers) {
      line("peer", EscapeForTerminal(StrCat(host, " port ", port)));
    }
    if (!link.selected_files.empty()) {
      line("selects", StrCat(link.selected_files.size(), " files"));
    }
    for (const std::string& text : source.repairs) line("repaired", text);
    for (const std::string& text : source.remarks) line("dropped", text);
    for (const std::string& text : source.dropped) line("dropped", text);
    if (source.entry.has_value()) {
      line("catalogue",
           fmt::format("{}: {}, {}, {}", source.entry->name,
                       source.entry->title, p2p::CatalogSizeText(*source.entry),
                       source.entry->license));
    }
    if (source.metainfo.has_value()) PrintTorrent(*source.metainfo, output);
    line("magnet", magnet);
  }

  void PrintTorrent(const p2p::Metainfo& metainfo, Output& output) const {
    output.Print(fmt::format("{:<10} {} in {} pieces of {}", "size",
                             verify::FormatSize(metainfo.total_bytes()),
                             metainfo.num_pieces(),
                             verify::FormatSize(metainfo.piece_length)));
    if (metainfo.is_private) {
      output.Print("private    peers from its trackers only");
    }
    if (!metainfo.comment.empty()) {
      output.Print("comment    " + EscapeForTerminal(metainfo.comment));
    }
    for (const std::string& text : metainfo.warnings) {
      output.Print("remark     " + text);
    }
    for (const std::string& text : metainfo.portability) {
      output.Print("name       " + text);
    }
    constexpr size_t kShown = 20;
    size_t shown = 0;
    size_t count = 0;
    for (const p2p::MetainfoFile& file : metainfo.files) {
      if (file.is_pad) continue;
      ++count;
      if (!files_ && shown == kShown) continue;
      ++shown;
      output.Print(fmt::format("file       {:>12}  {}",
                               verify::FormatSize(file.size_bytes),
                               EscapeForTerminal(file.path)));
    }
    if (shown < count) {
      output.Print(
          fmt::format("           and {} more files; --files lists "
                      "all",
                      count - shown));
    }
  }

  std::string source_;
  p2p::SessionSettings session_;
  bool magnet_only_ = false;
  bool files_ = false;
  bool tensors_ = false;
  ArchiveFlags archive_;
};

}  // namespace

std::unique_ptr<Command> MakeInspectCommand() {
  return std::make_unique<InspectCommand>();
}

}  // namespace cli
