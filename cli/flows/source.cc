// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/source.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "cli/state/torrent_store.h"
#include "verify/base/text.h"

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

Result<Source> ReadMagnet(const std::string& text,
                          const p2p::SessionSettings& session,
                          Context& context) {
  ASSIGN_OR_RETURN(p2p::ParsedMagnet parsed, p2p::ParseMagnet(text));
  for (const std::string& repair : parsed.repairs) {
    context.output.Warning("MAGNET_REPAIRED", repair);
  }
  std::vector<std::string> dropped;
  p2p::FilterEndpoints(parsed.magnet, session.allow_local, dropped);
  for (const std::string& warning : parsed.warnings) {
    context.output.Warning("MAGNET", warning);
  }
  for (const std::string& warning : dropped) {
    context.output.Warning("ENDPOINT_DROPPED", warning);
  }
  Source source;
  source.magnet = std::move(parsed.magnet);
  return source;
}

}  // namespace

Result<Source> ReadSource(const std::string& text,
                          const p2p::SessionSettings& session,
                          Context& context) {
  if (LooksLikeMagnet(text)) return ReadMagnet(text, session, context);
  Source source;
  if (const auto hashes = p2p::ParseInfoHash(text)) {
    source.magnet.info_hashes = *hashes;
    return source;
  }
  std::error_code error;
  if (!fs::exists(text, error)) {
    return Fail(ErrorCode::kNotFound,
                StrCat("\"", EscapeForTerminal(text),
                       "\" is no magnet link, info-hash or file"))
        .Hint(
            "give a link that starts with magnet:?xt=urn:btih:, 40 hex "
            "digits, or the path of a .torrent file");
  }
  ASSIGN_OR_RETURN(KnownTorrent torrent, ReadTorrentFile(text));
  source.magnet = p2p::MagnetOf(torrent.metainfo);
  std::vector<std::string> dropped;
  p2p::FilterEndpoints(source.magnet, session.allow_local, dropped);
  for (const std::string& warning : dropped) {
    context.output.Warning("ENDPOINT_DROPPED", warning);
  }
  source.torrent = std::move(torrent.bytes);
  source.metainfo = std::move(torrent.metainfo);
  return source;
}

}  // namespace cli
