// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/publish_flow.h"

#include <array>

#include "p2p/endpoint_policy.h"
#include "p2p/magnet.h"
#include "verify/base/text.h"

namespace cli {
namespace {

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Result;
using verify::StrCat;

// The name of a file or folder as the catalogue writes names.
std::string EntryName(std::string_view name) {
  std::string out;
  for (const char c : verify::AsciiLower(name)) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (plain || c == '.' || c == '_') {
      out.push_back(c);
    } else if (!out.empty() && out.back() != '-') {
      out.push_back('-');
    }
  }
  const size_t begin = out.find_first_not_of("-._");
  out = begin == std::string::npos ? "" : out.substr(begin, 64);
  return out;
}

}  // namespace

Result<p2p::CatalogEntry> MakeEntry(const EntryOptions& options,
                                    const p2p::CreatedTorrent& created,
                                    Output& output) {
  const p2p::Metainfo& metainfo = created.metainfo;
  ASSIGN_OR_RETURN(p2p::ParsedMagnet link, p2p::ParseMagnet(created.magnet));
  // An entry is for everybody; endpoints in one's own network are not.
  std::vector<std::string> dropped;
  p2p::FilterEndpoints(link.magnet, false, dropped);
  for (const std::string& line : dropped) {
    output.Warning("ENDPOINT_DROPPED", "catalogue entry: " + line);
  }
  p2p::CatalogEntry entry;
  entry.name = EntryName(metainfo.name);
  entry.title = EscapeForTerminal(metainfo.name);
  entry.license = options.license;
  entry.publisher = options.publisher;
  entry.architecture = options.architecture;
  entry.released = options.released;
  entry.magnet = std::move(link.magnet);
  entry.size_bytes = metainfo.total_bytes();

  for (size_t i = 0; i < metainfo.files.size(); ++i) {
    const p2p::MetainfoFile& file = metainfo.files[i];
    if (file.is_pad) continue;
    entry.files.push_back(
        {file.path, file.size_bytes, p2p::Certainty::kCertain});
    p2p::CatalogSum sum;
    sum.digest.assign(created.sha256[i].begin(), created.sha256[i].end());
    sum.file = file.path;
    sum.publisher = options.publisher;
    sum.where = "made with the torrent";
    entry.sums.push_back(std::move(sum));
  }
  entry.num_files = entry.files.size();
  entry.provenance.push_back({"info-hash, sizes, sums",
                              "made with the torrent by its publisher",
                              p2p::Certainty::kCertain});
  // The rules of the catalogue are the reader's.
  auto read =
      p2p::ParseCatalogEntry(p2p::FormatCatalogEntry(entry), "--catalog-entry");
  if (!read) {
    verify::Error error = std::move(read).error();
    error.code = ErrorCode::kInvalidArgument;
    return verify::Unexpected(std::move(error));
  }
  return entry;
}

std::string UtcDate(std::time_t when) {
  std::tm utc{};
  ::gmtime_r(&when, &utc);
  std::array<char, 32> date{};
  std::strftime(date.data(), date.size(), "%Y-%m-%d", &utc);
  return date.data();
}

std::optional<std::string> WebSeedRemark(const std::string& url) {
  const std::string host = verify::AsciiLower(p2p::UrlHost(url));
  if (host != "huggingface.co" && host != "hf.co") return std::nullopt;
  constexpr std::string_view kMark = "/resolve/";
  const size_t mark = url.find(kMark);
  if (mark == std::string::npos) {
    return "a repository's files are under /resolve/COMMIT/";
  }
  const size_t begin = mark + kMark.size();
  const std::string revision = url.substr(begin, url.find('/', begin) - begin);
  if (revision.size() == 40 && verify::HexDecode(revision).has_value()) {
    return std::nullopt;
  }
  return StrCat("\"", EscapeForTerminal(revision, 100),
                "\" is a branch or tag that can move; name the commit (40 hex "
                "digits), or the seed will serve other bytes one day");
}

}  // namespace cli
