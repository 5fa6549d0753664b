// SPDX-License-Identifier: Apache-2.0
// Reads tar archives (POSIX ustar and pax, GNU long names) member by member.
// Strict on purpose: only plain files and folders, under names that cannot
// leave or confuse a folder. Format: docs/formats/tar.md. Tested by
// tests/verify/container/tar_reader_test.cc, fuzzed by tests/fuzz/tar_fuzz.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "verify/base/path_policy.h"
#include "verify/base/result.h"
#include "verify/container/byte_stream.h"

namespace verify {

inline constexpr size_t kTarBlockBytes = 512;
inline constexpr uint64_t kMaxTarMembers = 200'000;
// Names of all members together.
inline constexpr uint64_t kMaxTarNameBytes = 32u << 20;
inline constexpr uint64_t kMaxPaxBytes = 1u << 20;

inline constexpr std::string_view kArchivePathId = "E-ARCHIVE-PATH";

// Whether data that begins so is a tar archive: the magic and a header whose
// checksum is right.
bool IsTar(ByteSpan start);

struct TarMember {
  std::string path;  // relative, '/' between plain parts
  bool is_folder = false;
  bool executable = false;
  uint64_t size_bytes = 0;  // of a file
};

// One thread. After an error nothing more can be read.
class TarReader {
 public:
  // `stream` begins with the archive and must outlive this.
  explicit TarReader(ByteStream& stream) : stream_(stream) {}

  // The next member, past what was not read of the one before; nothing at the
  // end, when the end mark and all bytes after it were seen.
  // Errors: kCorrupt (ids E-TAR, E-TRUNCATED; E-ARCHIVE-PATH: an absolute name,
  // "..", a link, a device, a name twice or equal but for case or accents, and
  // all that CheckPart refuses; E-ARCHIVE-TRAILING: something after the end),
  // kLimit (E-TAR: too many members), those of the stream.
  Result<std::optional<TarMember>> Next();

  // The content of the member at hand, at least one byte; 0 at its end.
  Result<size_t> Read(std::span<std::byte> out);

  uint64_t num_members() const { return num_members_; }

 private:
  struct Header;
  // What the headers before a member's own say of it.
  struct Extension {
    std::optional<std::string> path;
    std::optional<uint64_t> size_bytes;
    bool has_pax = false;
  };

  Result<void> FinishMember();
  // The next header block; nothing at the end mark.
  Result<std::optional<Header>> ReadHeader();
  Result<void> ReadRest();
  Result<std::string> ReadText(const Header& header, uint64_t max_bytes);
  Result<void> ReadPax(const Header& header, bool global, Extension& extension);
  Result<void> ReadLongName(const Header& header, Extension& extension);
  Result<std::optional<TarMember>> Accept(const Header& header,
                                          const Extension& extension);
  Result<void> CheckName(std::string_view name, bool is_folder);
  Unexpected Refuse(std::string_view what, std::string_view id = "E-TAR") const;
  Unexpected RefuseName(std::string_view name, std::string_view what) const;

  ByteStream& stream_;
  PathSet paths_;
  uint64_t position_ = 0;       // in the stream
  uint64_t header_offset_ = 0;  // of the header at hand, for errors
  uint64_t left_ = 0;           // of the member's content
  uint64_t padding_ = 0;        // after it
  uint64_t num_members_ = 0;
  uint64_t name_bytes_ = 0;
  bool ended_ = false;
};

}  // namespace verify
