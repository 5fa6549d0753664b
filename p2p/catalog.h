// SPDX-License-Identifier: Apache-2.0
// The releases that Lodestone knows: magnets/models/*.toml, which are part of
// the program, and files of the same form in a folder of the user's.
// Schema and rules: magnets/README.md. Untrusted input.
// Tested by tests/p2p/catalog_test.cc and tests/magnets/models_test.cc, fuzzed
// by tests/fuzz/catalog_fuzz.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "p2p/magnet.h"
#include "p2p/metainfo.h"
#include "verify/base/result.h"

namespace p2p {

inline constexpr size_t kMaxCatalogFileBytes = 256u << 10;
// Of a folder, those beyond it are left out.
inline constexpr size_t kMaxCatalogEntries = 1000;
// Files, sums, links and statements of one entry, each.
inline constexpr size_t kMaxCatalogItems = 2000;

// How sure a statement is. Unconfirmed ones are hints: nothing fails by them.
enum class Certainty { kCertain, kHigh, kMedium, kUnconfirmed };
std::string_view CertaintyName(Certainty certainty);  // "certain", ...

// A magnet as it was published, damage included.
struct CatalogLink {
  std::string magnet;
  std::string where;
};

struct CatalogFile {
  std::string path;
  std::optional<uint64_t> size_bytes;
  Certainty certainty = Certainty::kCertain;
};

struct CatalogSum {
  std::vector<std::byte> digest;  // 16 (md5), 20 (sha1) or 32 (sha256) bytes
  std::string file;               // empty: of some file, nobody says which
  std::string publisher;
  std::string where;
  Certainty certainty = Certainty::kCertain;
};

struct CatalogStatement {
  std::string says;
  std::string where;
  Certainty certainty = Certainty::kCertain;
};

struct CatalogEntry {
  std::string name;  // [a-z0-9][a-z0-9._-]*
  std::vector<std::string> aliases;
  std::string title;
  std::string publisher;
  std::string license;  // SPDX where there is one
  std::string architecture;
  std::string released;  // YYYY-MM-DD
  std::string note;
  std::optional<uint64_t> parameters;
  Magnet magnet;
  std::vector<CatalogLink> published;
  uint64_t size_bytes = 0;    // of the payload
  double within_percent = 0;  // 0: exact; else an estimate good to that
  std::string size_note;
  std::optional<uint64_t> num_files;
  std::vector<CatalogFile> files;
  std::vector<CatalogSum> sums;
  std::vector<CatalogStatement> provenance;
  std::string origin;  // "built in", or the file it came from
};

// Reads one entry; every text in it is UTF-8 without control characters.
// Errors, all with id E-CATALOG and the place: kCorrupt (no TOML, a key that
// is unknown, missing or of another type, a magnet that needs a repair, a
// published one with another hash, a path that leaves the folder), kLimit.
verify::Result<CatalogEntry> ParseCatalogEntry(std::string_view text,
                                               std::string_view origin);

// Text that ParseCatalogEntry reads back to the same entry, but for `origin`.
std::string FormatCatalogEntry(const CatalogEntry& entry);

// Entries, no two of which share a name, an alias or a hash.
class Catalog {
 public:
  // Those that are part of the program.
  static Catalog BuiltIn();

  // Adds FOLDER/*.toml in order of names; a folder that is not there is an
  // empty one. What cannot be read, or would take the place of an entry that
  // is here, is left out with a line in `warnings`.
  void AddFolder(const std::string& folder, std::vector<std::string>& warnings);

  // kInvalidArgument, id E-CATALOG: it shares a name, alias or hash with an
  // entry that is here; nothing is replaced.
  verify::Result<void> Add(CatalogEntry entry);

  const std::vector<CatalogEntry>& entries() const { return entries_; }
  // By name, alias or the magnet's display name, in any case; null if none.
  const CatalogEntry* Find(std::string_view name) const;
  // The entry whose magnet shares a hash with these; null if none.
  const CatalogEntry* FindByHash(const InfoHashes& hashes) const;
  // Names like this one, the likest first, at most three.
  std::vector<std::string> NamesLike(std::string_view name) const;

 private:
  std::vector<CatalogEntry> entries_;
};

// Whether a torrent is what the entry says: hash, payload size, number and
// names of files, sizes of files. What is unconfirmed and not so gives a line
// in `remarks`. Errors: kMismatch, id E-CATALOG-MISMATCH.
verify::Result<void> CheckAgainstEntry(const CatalogEntry& entry,
                                       const Metainfo& metainfo,
                                       std::vector<std::string>& remarks);

// "87.0 GiB", or "about 87.0 GiB" for an estimate.
std::string CatalogSizeText(const CatalogEntry& entry);

}  // namespace p2p
