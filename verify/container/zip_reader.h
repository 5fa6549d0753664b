// SPDX-License-Identifier: Apache-2.0
// Reads the directory of a torch.save archive: a zip (APPNOTE 6.3, zip64) of
// stored members under one top folder. Strict on purpose: whatever two zip
// readers could see differently is refused. Format: docs/formats/torch.md.
// Tested by tests/verify/container/zip_reader_test.cc, fuzzed by
// tests/fuzz/zip_fuzz.cc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "verify/base/file.h"
#include "verify/base/result.h"

namespace verify {

inline constexpr uint64_t kMaxZipEntries = 1u << 17;
inline constexpr uint64_t kMaxZipDirectoryBytes = 32u << 20;
inline constexpr size_t kMaxZipNameBytes = 1024;

struct ZipEntry {
  std::string name;             // with the top folder
  uint64_t header_offset = 0;   // of the local header
  uint64_t payload_offset = 0;  // of the first byte of the member
  uint64_t size = 0;            // of the member, stored
  // As the directory states it; 0 means that the writer computed none.
  uint32_t crc32 = 0;
};

// Owns all that it holds. Thread-compatible.
class ZipDirectory {
 public:
  // The folder that every member is in, without '/'.
  const std::string& top_folder() const { return top_folder_; }
  // In the order of the directory.
  const std::vector<ZipEntry>& entries() const { return entries_; }
  // By the name below the top folder; null if there is none.
  const ZipEntry* Find(std::string_view name_in_folder) const;

 private:
  friend class ZipParser;

  std::string top_folder_;
  std::vector<ZipEntry> entries_;
  std::unordered_map<std::string, size_t> by_name_;  // full names
};

// How much of an archive must be right.
enum class ZipCheck {
  kAll,
  // Damage to local headers is passed over: where a payload begins is then
  // reckoned from the next member, as torch.save lays them out. Only good for
  // saying which member a damaged stretch of the file belongs to.
  kDirectory,
};

// Reads the directory and every local header, but no payload. Refused: members
// that are compressed or encrypted, a local header that disagrees with the
// directory, names that are equal (also but for ASCII case) or unsafe, members
// outside one top folder, overlaps, gaps, bytes before or after the archive.
// Errors: kCorrupt (a rule broken; offset set), kLimit (too many members),
//         those of reading.
Result<ZipDirectory> ReadZip(const ByteSource& file,
                             ZipCheck check = ZipCheck::kAll);

// The bytes of a member, checked against its CRC unless that is 0.
// Errors: kLimit (larger than `max_bytes`), kCorrupt (CRC).
Result<std::vector<std::byte>> ReadZipEntry(const ByteSource& file,
                                            const ZipEntry& entry,
                                            uint64_t max_bytes);

// Reads the whole member and checks its CRC; nothing to check if that is 0.
// Errors: kCorrupt (id E-ZIP-CRC), those of reading.
Result<void> CheckZipEntryCrc(const ByteSource& file, const ZipEntry& entry);

}  // namespace verify
