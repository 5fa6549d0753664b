// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/source.h"

#include <fmt/core.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "cli/flows/catalog_flow.h"
#include "cli/flows/confirm.h"
#include "cli/flows/http_fetch.h"
#include "cli/state/torrent_store.h"
#include "verify/base/bytes.h"
#include "verify/base/text.h"
#include "verify/base/web_page.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::Result;
using verify::StrCat;

bool LooksLikeMagnet(const std::string& text) {
  return verify::AsciiLower(text.substr(0, 7)) == "magnet:";
}

bool LooksLikePath(const std::string& text) {
  return text.find('/') != std::string::npos || text.ends_with(".torrent");
}

void TakeTorrent(std::vector<std::byte> bytes, p2p::Metainfo metainfo,
                 Source& source) {
  source.magnet = p2p::MagnetOf(metainfo);
  source.torrent = std::move(bytes);
  source.metainfo = std::move(metainfo);
}

Result<void> ReadUrl(const std::string& url,
                     const p2p::SessionSettings& session, Context& context,
                     Source& source) {
  source.kind = SourceKind::kUrl;
  ASSIGN_OR_RETURN(
      std::vector<std::byte> bytes,
      FetchUrl(url, p2p::kMaxMetainfoBytes, session, context.cancel));
  const std::string shown = StrCat("\"", EscapeForTerminal(url, 300), "\"");
  if (verify::LooksLikeWebPage(verify::AsText(bytes))) {
    return Fail(ErrorCode::kCorrupt,
                StrCat(shown, " is a web page, not a .torrent file"))
        .Id("E-TORRENT")
        .Hint("give the address of the file itself, or its magnet link");
  }
  auto metainfo = p2p::ParseMetainfo(bytes);
  if (!metainfo) {
    return verify::WithContext(std::move(metainfo).error(), shown);
  }
  TakeTorrent(std::move(bytes), *std::move(metainfo), source);
  return {};
}

Result<void> ReadMagnet(const std::string& text, Source& source) {
  ASSIGN_OR_RETURN(p2p::ParsedMagnet parsed, p2p::ParseMagnet(text));
  source.magnet = std::move(parsed.magnet);
  source.repairs = std::move(parsed.repairs);
  source.remarks = std::move(parsed.warnings);
  return {};
}

Result<void> ReadPath(const std::string& path, Source& source) {
  source.kind = SourceKind::kTorrentFile;
  ASSIGN_OR_RETURN(KnownTorrent torrent, ReadTorrentFile(path));
  TakeTorrent(std::move(torrent.bytes), std::move(torrent.metainfo), source);
  return {};
}

Result<void> ReadNameOrPath(const std::string& text,
                            const p2p::Catalog& catalog, Source& source) {
  std::error_code error;
  const bool exists = fs::exists(text, error);
  if (!LooksLikePath(text)) {
    if (const p2p::CatalogEntry* entry = catalog.Find(text)) {
      source.kind = SourceKind::kName;
      source.magnet = entry->magnet;
      if (exists) {
        source.remarks.push_back(
            StrCat("\"", EscapeForTerminal(text),
                   "\" is taken as a name of the catalogue; for the file of "
                   "that name write ./",
                   EscapeForTerminal(text)));
      }
      return {};
    }
  }
  if (exists) return ReadPath(text, source);
  return Fail(ErrorCode::kNotFound,
              StrCat("\"", EscapeForTerminal(text),
                     "\" is no magnet link, info-hash, URL, file or name in "
                     "the catalogue"))
      .Id("E-SOURCE")
      .Hint(NamesHint(catalog, text));
}

}  // namespace

Result<Source> ResolveSource(const std::string& text,
                             const p2p::SessionSettings& session,
                             Context& context) {
  Source source;
  const p2p::Catalog catalog = LoadCatalog(source.catalog_warnings);
  if (LooksLikeMagnet(text)) {
    RETURN_IF_ERROR(ReadMagnet(text, source));
  } else if (const auto hashes = p2p::ParseInfoHash(text)) {
    source.kind = SourceKind::kInfoHash;
    source.magnet.info_hashes = *hashes;
  } else if (IsHttpUrl(text)) {
    RETURN_IF_ERROR(ReadUrl(text, session, context, source));
  } else {
    RETURN_IF_ERROR(ReadNameOrPath(text, catalog, source));
  }
  p2p::FilterEndpoints(source.magnet, session.allow_local, source.dropped);
  if (const p2p::CatalogEntry* entry =
          catalog.FindByHash(source.magnet.info_hashes)) {
    source.entry = *entry;
  }
  return source;
}

Result<Source> ReadSource(const std::string& text,
                          const p2p::SessionSettings& session,
                          Context& context) {
  ASSIGN_OR_RETURN(Source source, ResolveSource(text, session, context));
  const auto say = [&](std::string_view code,
                       const std::vector<std::string>& lines) {
    for (const std::string& line : lines) context.output.Warning(code, line);
  };
  say("CATALOGUE", source.catalog_warnings);
  say("MAGNET_REPAIRED", source.repairs);
  say("MAGNET", source.remarks);
  say("ENDPOINT_DROPPED", source.dropped);
  return source;
}

Result<void> CheckConsent(const Source& source, const Context& context) {
  if (source.kind != SourceKind::kName || context.interaction.yes ||
      context.output.json() || CanAsk(context)) {
    return {};
  }
  return Fail(ErrorCode::kInvalidArgument,
              StrCat("\"", source.entry->name, "\" is ",
                     p2p::CatalogSizeText(*source.entry), " under ",
                     source.entry->license,
                     ", and there is nobody to ask whether to fetch it"))
      .Id("E-CONFIRM")
      .Hint("give --yes");
}

Result<void> ApproveFetch(const std::optional<p2p::CatalogEntry>& entry,
                          const p2p::Metainfo& metainfo, Question question,
                          Context& context) {
  if (entry.has_value()) {
    std::vector<std::string> remarks;
    RETURN_IF_ERROR(p2p::CheckAgainstEntry(*entry, metainfo, remarks));
    for (const std::string& remark : remarks) {
      context.output.Warning("CATALOGUE", remark);
    }
  }
  SayFacts(entry.has_value() ? &*entry : nullptr, metainfo, context);
  if (question == Question::kNone) return {};
  return Confirm(
      fmt::format("Fetch {} ({})?", verify::FormatSize(metainfo.total_bytes()),
                  entry.has_value() ? entry->license : "licence unknown"),
      context);
}

}  // namespace cli
