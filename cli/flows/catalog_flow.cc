// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/catalog_flow.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>

#include "cli/state/paths.h"
#include "verify/base/text.h"
#include "verify/digest/hash_engine.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

using verify::EscapeForTerminal;
using verify::Result;
using verify::StrCat;

// A RELEASE banner or a list of sums, not weights.
constexpr uint64_t kSmallFileBytes = 1u << 20;

bool Matches(const p2p::CatalogSum& sum, const verify::FileDigests& digests) {
  return std::any_of(
      digests.sums.begin(), digests.sums.end(),
      [&](const auto& computed) { return computed.second == sum.digest; });
}

}  // namespace

std::string UserCatalogFolder() { return ConfigFolder() + "/catalog"; }

p2p::Catalog LoadCatalog(std::vector<std::string>& warnings) {
  p2p::Catalog catalog = p2p::Catalog::BuiltIn();
  catalog.AddFolder(UserCatalogFolder(), warnings);
  return catalog;
}

std::string NamesHint(const p2p::Catalog& catalog, const std::string& name) {
  std::string names;
  for (const std::string& like : catalog.NamesLike(name)) {
    names += (names.empty() ? "" : ", ") + like;
  }
  if (!names.empty()) return StrCat("did you mean ", names, "?");
  return "`lodestone catalog list` shows the names; a link starts with "
         "magnet:?xt=urn:btih:";
}

verify::Evidence EvidenceOf(const p2p::CatalogEntry& entry) {
  verify::Evidence evidence;
  evidence.source = "the catalogue";
  for (const p2p::CatalogSum& sum : entry.sums) {
    if (sum.file.empty() || sum.certainty == p2p::Certainty::kUnconfirmed) {
      continue;
    }
    verify::PublishedSum published;
    published.name = sum.file;
    published.algorithm = sum.digest.size() == 16 ? verify::SumAlgorithm::kMd5
                          : sum.digest.size() == 20
                              ? verify::SumAlgorithm::kSha1
                              : verify::SumAlgorithm::kSha256;
    published.digest = sum.digest;
    published.list = StrCat("the catalogue (", sum.publisher, ")");
    evidence.sums.push_back(std::move(published));
  }
  return evidence;
}

Result<void> TryUnconfirmedSums(const p2p::CatalogEntry& entry,
                                const std::string& path,
                                const ContentReport& content,
                                Context& context) {
  std::vector<const p2p::CatalogSum*> hints;
  for (const p2p::CatalogSum& sum : entry.sums) {
    if (sum.certainty == p2p::Certainty::kUnconfirmed) hints.push_back(&sum);
  }
  std::error_code ignored;
  const bool is_folder = fs::is_directory(path, ignored);
  verify::HashRequest request;
  std::vector<std::string> names;
  for (const FileVerdict& file : content.files) {
    const uint64_t size = file.report.size_bytes;
    if (hints.empty() || size == 0 || size > kSmallFileBytes) continue;
    verify::HashFile hash;
    hash.path = is_folder ? path + "/" + file.report.name : path;
    hash.size_bytes = size;
    hash.sums.Add(verify::SumAlgorithm::kMd5);
    request.files.push_back(std::move(hash));
    names.push_back(file.report.name);
  }
  if (request.files.empty()) return {};
  ASSIGN_OR_RETURN(const verify::HashOutcome outcome,
                   verify::HashFiles(request, context.cancel, nullptr));
  for (const p2p::CatalogSum* sum : hints) {
    std::string matched;
    for (size_t i = 0; i < names.size(); ++i) {
      if (!sum->file.empty() && sum->file != names[i]) continue;
      if (Matches(*sum, outcome.files[i])) matched = names[i];
    }
    const std::string digest = verify::HexEncode(sum->digest);
    const std::string detail =
        matched.empty() ? StrCat(digest, " (", sum->publisher, "; ", sum->where,
                                 "; unconfirmed) is of no small file here",
                                 sum->file.empty() ? "" : " named " + sum->file)
                        : StrCat(digest, " (", sum->publisher, "; ", sum->where,
                                 ") is that of ", EscapeForTerminal(matched));
    context.output.Event("check",
                         {{"id", "catalogue.sum"},
                          {"level", "checksums"},
                          {"status", matched.empty() ? "warn" : "pass"},
                          {"subject", matched},
                          {"detail", detail},
                          {"evidence", {{"digest", digest}}}});
    context.output.Say("      catalogue: " + detail);
  }
  return {};
}

void SayFacts(const p2p::CatalogEntry* entry, const p2p::Metainfo& metainfo,
              Context& context) {
  size_t num_files = 0;
  for (const p2p::MetainfoFile& file : metainfo.files) {
    num_files += file.is_pad ? 0 : 1;
  }
  const std::string size = verify::FormatSize(metainfo.total_bytes());
  context.output.Say(fmt::format(
      "      {}: {} file{}, {}, licence {}",
      entry == nullptr ? EscapeForTerminal(metainfo.name, 200) : entry->title,
      num_files, num_files == 1 ? "" : "s", size,
      entry == nullptr ? "unknown (not in the catalogue)" : entry->license));
  if (entry == nullptr) return;
  for (const p2p::CatalogStatement& statement : entry->provenance) {
    context.output.Say(fmt::format("      {}: {} ({})", statement.says,
                                   statement.where,
                                   p2p::CertaintyName(statement.certainty)));
  }
  context.output.Event("check",
                       {{"id", "catalogue.entry"},
                        {"level", "metadata"},
                        {"status", "pass"},
                        {"subject", entry->name},
                        {"detail", "hash, size and files are as expected"},
                        {"evidence",
                         {{"license", entry->license},
                          {"publisher", entry->publisher},
                          {"files", num_files},
                          {"bytes", metainfo.total_bytes()}}}});
}

}  // namespace cli
