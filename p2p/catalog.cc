// SPDX-License-Identifier: Apache-2.0
#include "p2p/catalog.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "p2p/catalog_data.h"
#include "verify/base/check.h"
#include "verify/base/file.h"
#include "verify/base/text.h"

namespace p2p {
namespace {

namespace fs = std::filesystem;

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::Result;
using verify::StrCat;

// Every name that finds an entry, in lower case.
std::vector<std::string> KeysOf(const CatalogEntry& entry) {
  std::vector<std::string> keys = {entry.name};
  for (const std::string& alias : entry.aliases) keys.push_back(alias);
  if (!entry.magnet.display_name.empty()) {
    keys.push_back(verify::AsciiLower(entry.magnet.display_name));
  }
  return keys;
}

bool SharesHash(const InfoHashes& a, const InfoHashes& b) {
  return (a.v1.has_value() && a.v1 == b.v1) ||
         (a.v2.has_value() && a.v2 == b.v2);
}

// Levenshtein distance; rows of at most 512 cells.
size_t EditDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1,
                         diagonal + (a[i - 1] == b[j - 1] ? 0u : 1u)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

std::string_view CertaintyName(Certainty certainty) {
  switch (certainty) {
    case Certainty::kCertain:
      return "certain";
    case Certainty::kHigh:
      return "high";
    case Certainty::kMedium:
      return "medium";
    case Certainty::kUnconfirmed:
      return "unconfirmed";
  }
  return "unconfirmed";
}

Catalog Catalog::BuiltIn() {
  Catalog catalog;
  for (const CatalogText& file : BuiltInCatalog()) {
    auto entry = ParseCatalogEntry(file.text, "built in");
    // tests/magnets holds every shipped file to the rules.
    CHECK(entry.has_value());
    CHECK(catalog.Add(*std::move(entry)).has_value());
  }
  return catalog;
}

Result<void> Catalog::Add(CatalogEntry entry) {
  const std::vector<std::string> keys = KeysOf(entry);
  for (const CatalogEntry& known : entries_) {
    const std::vector<std::string> taken = KeysOf(known);
    const auto shared = std::find_first_of(keys.begin(), keys.end(),
                                           taken.begin(), taken.end());
    const bool same_hash =
        SharesHash(known.magnet.info_hashes, entry.magnet.info_hashes);
    if (shared == keys.end() && !same_hash) continue;
    return Fail(ErrorCode::kInvalidArgument,
                StrCat(EscapeForTerminal(entry.origin), ": entry \"",
                       entry.name, "\" has the same ",
                       shared != keys.end()
                           ? StrCat("name \"", EscapeForTerminal(*shared), "\"")
                           : std::string("info-hash"),
                       " as \"", known.name, "\" (",
                       EscapeForTerminal(known.origin), ")"))
        .Id("E-CATALOG")
        .Hint("give it another name; no entry takes the place of another");
  }
  entries_.push_back(std::move(entry));
  return {};
}

void Catalog::AddFolder(const std::string& folder,
                        std::vector<std::string>& warnings) {
  std::error_code error;
  std::vector<std::string> paths;
  for (fs::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().extension() == ".toml") paths.push_back(it->path().string());
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    warnings.push_back(StrCat("catalogue folder ", EscapeForTerminal(folder),
                              ": ", error.message()));
  }
  std::sort(paths.begin(), paths.end());
  if (paths.size() > kMaxCatalogEntries) {
    warnings.push_back(StrCat("catalogue folder ", EscapeForTerminal(folder),
                              ": ", paths.size(), " entries, the first ",
                              kMaxCatalogEntries, " are used"));
    paths.resize(kMaxCatalogEntries);
  }
  for (const std::string& path : paths) {
    const auto leave_out = [&](const verify::Error& why) {
      warnings.push_back(StrCat("catalogue entry left out: ", why.message,
                                why.hint.empty() ? "" : "; ", why.hint));
    };
    const auto text = verify::ReadSmallTextFile(path, kMaxCatalogFileBytes);
    if (!text) {
      leave_out(text.error());
      continue;
    }
    auto entry = ParseCatalogEntry(*text, path);
    if (!entry) {
      leave_out(entry.error());
      continue;
    }
    if (const auto added = Add(*std::move(entry)); !added) {
      leave_out(added.error());
    }
  }
}

const CatalogEntry* Catalog::Find(std::string_view name) const {
  const std::string wanted = verify::AsciiLower(name);
  for (const CatalogEntry& entry : entries_) {
    for (const std::string& key : KeysOf(entry)) {
      if (key == wanted) return &entry;
    }
  }
  return nullptr;
}

const CatalogEntry* Catalog::FindByHash(const InfoHashes& hashes) const {
  for (const CatalogEntry& entry : entries_) {
    if (SharesHash(entry.magnet.info_hashes, hashes)) return &entry;
  }
  return nullptr;
}

std::vector<std::string> Catalog::NamesLike(std::string_view name) const {
  const std::string wanted = verify::AsciiLower(name.substr(0, 512));
  std::vector<std::pair<size_t, std::string>> ranked;
  for (const CatalogEntry& entry : entries_) {
    size_t best = SIZE_MAX;
    for (const std::string& key : KeysOf(entry)) {
      const bool part = wanted.size() >= 3 && key.find(wanted) != key.npos;
      const size_t distance = part ? 0 : EditDistance(wanted, key);
      // A typo in three letters is likely; half a word is another word.
      if (distance <= std::max<size_t>(1, key.size() / 3)) {
        best = std::min(best, distance);
      }
    }
    if (best != SIZE_MAX) ranked.emplace_back(best, entry.name);
  }
  std::sort(ranked.begin(), ranked.end());
  // Where a name holds the word, likeness is beside the point.
  if (!ranked.empty() && ranked.front().first == 0) {
    std::erase_if(ranked, [](const auto& item) { return item.first > 0; });
  }
  if (ranked.size() > 3) ranked.resize(3);
  std::vector<std::string> names;
  for (auto& [distance, key] : ranked) names.push_back(std::move(key));
  return names;
}

Result<void> CheckAgainstEntry(const CatalogEntry& entry,
                               const Metainfo& metainfo,
                               std::vector<std::string>& remarks) {
  const auto mismatch = [&](std::string what) {
    return Fail(ErrorCode::kMismatch,
                StrCat("not what the catalogue says of \"", entry.name,
                       "\": ", what))
        .Id("E-CATALOG-MISMATCH")
        .Hint(StrCat("nothing was fetched; `lodestone catalog show ",
                     entry.name, "` tells where each statement comes from"));
  };
  if (!SharesHash(entry.magnet.info_hashes, metainfo.info_hashes)) {
    return mismatch("the torrent has another info-hash");
  }
  const uint64_t total = metainfo.total_bytes();
  const uint64_t difference =
      std::max(total, entry.size_bytes) - std::min(total, entry.size_bytes);
  const double allowed =
      static_cast<double>(entry.size_bytes) * entry.within_percent / 100;
  if (static_cast<double>(difference) > allowed) {
    return mismatch(StrCat(total, " bytes in the torrent, ",
                           entry.within_percent > 0 ? "about " : "",
                           entry.size_bytes, " expected"));
  }
  uint64_t num_files = 0;
  for (const MetainfoFile& file : metainfo.files) num_files += !file.is_pad;
  if (entry.num_files.has_value() && *entry.num_files != num_files) {
    return mismatch(StrCat(num_files, " files in the torrent, ",
                           *entry.num_files, " expected"));
  }
  for (const CatalogFile& expected : entry.files) {
    const auto found =
        std::find_if(metainfo.files.begin(), metainfo.files.end(),
                     [&](const MetainfoFile& file) {
                       return !file.is_pad && file.path == expected.path;
                     });
    std::string problem;
    if (found == metainfo.files.end()) {
      problem = StrCat("no file \"", expected.path, "\" in the torrent");
    } else if (expected.size_bytes.has_value() &&
               found->size_bytes != *expected.size_bytes) {
      problem =
          StrCat("\"", expected.path, "\": ", found->size_bytes,
                 " bytes in the torrent, ", *expected.size_bytes, " expected");
    }
    if (problem.empty()) continue;
    if (expected.certainty != Certainty::kUnconfirmed) return mismatch(problem);
    remarks.push_back(StrCat(problem, " (the catalogue was not sure of it)"));
  }
  return {};
}

std::string CatalogSizeText(const CatalogEntry& entry) {
  return StrCat(entry.within_percent > 0 ? "about " : "",
                verify::FormatSize(entry.size_bytes));
}

}  // namespace p2p
