// SPDX-License-Identifier: Apache-2.0
// Long because: the three records of one directory check each other.
#include "verify/container/zip_reader.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>
#include <span>
#include <unordered_set>

#include "verify/base/bytes.h"
#include "verify/base/name_folding.h"
#include "verify/base/path_policy.h"
#include "verify/base/text.h"
#include "verify/container/crc32.h"

namespace verify {
namespace {

constexpr uint32_t kLocalSignature = 0x04034b50;
constexpr uint32_t kCentralSignature = 0x02014b50;
constexpr uint32_t kDescriptorSignature = 0x08074b50;
constexpr uint32_t kEndSignature = 0x06054b50;
constexpr uint32_t kZip64EndSignature = 0x06064b50;
constexpr uint32_t kZip64LocatorSignature = 0x07064b50;

constexpr uint64_t kLocalBytes = 30;
constexpr uint64_t kCentralBytes = 46;
constexpr uint64_t kEndBytes = 22;
constexpr uint64_t kZip64EndBytes = 56;
constexpr uint64_t kZip64LocatorBytes = 20;

constexpr uint16_t kFlagDescriptor = 0x0008;
constexpr uint16_t kFlagUtf8 = 0x0800;
constexpr uint16_t kZip64ExtraId = 0x0001;
constexpr uint16_t kSaturated16 = 0xffff;
constexpr uint32_t kSaturated32 = 0xffffffff;
// Zero bytes that a writer may put between members to align them.
constexpr uint64_t kMaxPadding = 64;

Unexpected Refuse(std::string_view what, uint64_t offset,
                  std::string_view id = "E-ZIP") {
  return Fail(ErrorCode::kCorrupt, StrCat("zip: ", what)).At(offset).Id(id);
}

Unexpected RefuseMember(std::string_view name, std::string_view what,
                        uint64_t offset, std::string_view id = "E-ZIP") {
  return Refuse(StrCat("member \"", EscapeForTerminal(name, 128), "\": ", what),
                offset, id);
}

// Why a member must not have this name; nothing if it may.
std::optional<std::string> NameRefusal(std::string_view name) {
  std::vector<std::string_view> parts;
  if (const auto problem = CheckPath(name, parts)) return problem->reason;
  if (parts.size() < 2) return "it is not inside a folder";
  return std::nullopt;
}

// What a record says before its zip64 extra field is applied.
struct RawSizes {
  uint64_t uncompressed = 0;
  uint64_t compressed = 0;
  uint64_t header_offset = 0;
};

}  // namespace

class ZipParser {
 public:
  ZipParser(const ByteSource& file, ZipCheck check)
      : file_(file), check_(check) {}

  Result<ZipDirectory> Parse() {
    RETURN_IF_ERROR(ReadEnd());
    RETURN_IF_ERROR(ReadDirectory());
    RETURN_IF_ERROR(CheckLayout());
    return std::move(directory_);
  }

 private:
  struct Extra {
    bool has_zip64 = false;
    ByteSpan zip64;
  };

  struct Pending {
    uint16_t flags = 0;
    uint16_t method = 0;
    bool has_zip64 = false;
  };

  Result<void> Read(uint64_t offset, std::span<std::byte> out) {
    return file_.ReadAt(offset, out);
  }

  // Splits extra fields; a field that does not end inside them is refused.
  static Result<Extra> ParseExtra(ByteSpan bytes, uint64_t offset) {
    Extra extra;
    ByteReader reader(bytes, offset);
    while (!reader.empty()) {
      ASSIGN_OR_RETURN(const auto id, reader.Read<uint16_t>());
      ASSIGN_OR_RETURN(const auto size, reader.Read<uint16_t>());
      ASSIGN_OR_RETURN(const ByteSpan content, reader.ReadBytes(size));
      if (id != kZip64ExtraId) continue;
      if (extra.has_zip64) {
        return Refuse("two zip64 fields in one record", reader.offset());
      }
      extra.has_zip64 = true;
      extra.zip64 = content;
    }
    return extra;
  }

  // Replaces the saturated values, in the order of the format, and requires
  // that the field holds those and no others.
  static Result<void> ApplyZip64(const Extra& extra, RawSizes& sizes,
                                 uint64_t offset) {
    ByteReader reader(extra.zip64, offset);
    for (uint64_t* const value :
         {&sizes.uncompressed, &sizes.compressed, &sizes.header_offset}) {
      if (*value != kSaturated32) continue;
      if (!extra.has_zip64) {
        return Refuse("a size or offset needs a zip64 field that is missing",
                      offset);
      }
      const auto wide = reader.Read<uint64_t>();
      if (!wide) {
        return Refuse("the zip64 field is too short for what it replaces",
                      offset);
      }
      *value = *wide;
    }
    if (!reader.empty()) {
      return Refuse("the zip64 field holds values that nothing asks for",
                    offset);
    }
    return {};
  }

  Result<void> ReadEnd() {
    const uint64_t size = file_.size();
    std::array<std::byte, kEndBytes> end{};
    if (size < kEndBytes) {
      return Refuse(StrCat("only ", size, " bytes: cut off"), 0,
                    "E-ZIP-TRUNCATED");
    }
    const uint64_t end_offset = size - kEndBytes;
    RETURN_IF_ERROR(Read(end_offset, end));
    ByteReader reader(end, end_offset);
    ASSIGN_OR_RETURN(const auto signature, reader.Read<uint32_t>());
    if (signature != kEndSignature) {
      return Refuse(
          "no end record at the end of the file: it is cut off, or "
          "bytes follow the archive",
          end_offset, "E-ZIP-TRUNCATED");
    }
    ASSIGN_OR_RETURN(const auto disk, reader.Read<uint16_t>());
    ASSIGN_OR_RETURN(const auto directory_disk, reader.Read<uint16_t>());
    ASSIGN_OR_RETURN(const auto entries_here, reader.Read<uint16_t>());
    ASSIGN_OR_RETURN(const auto entries, reader.Read<uint16_t>());
    ASSIGN_OR_RETURN(const auto directory_size, reader.Read<uint32_t>());
    ASSIGN_OR_RETURN(const auto directory_offset, reader.Read<uint32_t>());
    ASSIGN_OR_RETURN(const auto comment, reader.Read<uint16_t>());
    if (comment != 0) return Refuse("the archive has a comment", end_offset);
    if (disk != 0 || directory_disk != 0 || entries_here != entries) {
      return Refuse("the archive spans several volumes", end_offset);
    }
    num_entries_ = entries;
    directory_size_ = directory_size;
    directory_offset_ = directory_offset;
    uint64_t directory_end = end_offset;

    bool has_zip64 = false;
    if (end_offset >= kZip64LocatorBytes + kZip64EndBytes) {
      const uint64_t locator_offset = end_offset - kZip64LocatorBytes;
      std::array<std::byte, kZip64LocatorBytes> locator{};
      RETURN_IF_ERROR(Read(locator_offset, locator));
      if (LoadLe<uint32_t>(locator) == kZip64LocatorSignature) {
        has_zip64 = true;
        RETURN_IF_ERROR(ReadZip64End(locator, locator_offset));
        directory_end = locator_offset - kZip64EndBytes;
        const bool agrees =
            (entries == kSaturated16 || entries == num_entries_) &&
            (directory_size == kSaturated32 ||
             directory_size == directory_size_) &&
            (directory_offset == kSaturated32 ||
             directory_offset == directory_offset_);
        if (!agrees) {
          return Refuse("the end record and its zip64 form disagree",
                        end_offset);
        }
      }
    }
    if (!has_zip64 &&
        (entries == kSaturated16 || directory_size == kSaturated32 ||
         directory_offset == kSaturated32)) {
      return Refuse("the zip64 end record is missing", end_offset);
    }
    const auto stated_end = CheckedAdd(directory_offset_, directory_size_);
    if (!stated_end.has_value() || *stated_end != directory_end) {
      return Refuse(StrCat("the directory of ", directory_size_,
                           " bytes at byte ", directory_offset_,
                           " does not end where the end record begins"),
                    end_offset);
    }
    return {};
  }

  Result<void> ReadZip64End(ByteSpan locator, uint64_t locator_offset) {
    ByteReader reader(locator.subspan(4), locator_offset + 4);
    ASSIGN_OR_RETURN(const auto disk, reader.Read<uint32_t>());
    ASSIGN_OR_RETURN(const auto record_offset, reader.Read<uint64_t>());
    ASSIGN_OR_RETURN(const auto disks, reader.Read<uint32_t>());
    if (disk != 0 || disks > 1) {
      return Refuse("the archive spans several volumes", locator_offset);
    }
    if (record_offset != locator_offset - kZip64EndBytes) {
      return Refuse("the zip64 end record is not before its locator",
                    locator_offset);
    }
    std::array<std::byte, kZip64EndBytes> record{};
    RETURN_IF_ERROR(Read(record_offset, record));
    ByteReader fields(record, record_offset);
    ASSIGN_OR_RETURN(const auto signature, fields.Read<uint32_t>());
    ASSIGN_OR_RETURN(const auto record_size, fields.Read<uint64_t>());
    ASSIGN_OR_RETURN(const ByteSpan versions, fields.ReadBytes(4));
    static_cast<void>(versions);
    ASSIGN_OR_RETURN(const auto this_disk, fields.Read<uint32_t>());
    ASSIGN_OR_RETURN(const auto directory_disk, fields.Read<uint32_t>());
    ASSIGN_OR_RETURN(const auto entries_here, fields.Read<uint64_t>());
    ASSIGN_OR_RETURN(num_entries_, fields.Read<uint64_t>());
    ASSIGN_OR_RETURN(directory_size_, fields.Read<uint64_t>());
    ASSIGN_OR_RETURN(directory_offset_, fields.Read<uint64_t>());
    if (signature != kZip64EndSignature || record_size != kZip64EndBytes - 12) {
      return Refuse("the zip64 end record is malformed", record_offset);
    }
    if (this_disk != 0 || directory_disk != 0 || entries_here != num_entries_) {
      return Refuse("the archive spans several volumes", record_offset);
    }
    return {};
  }

  Result<void> ReadDirectory() {
    if (num_entries_ > kMaxZipEntries ||
        directory_size_ > kMaxZipDirectoryBytes) {
      return Fail(ErrorCode::kLimit,
                  StrCat("zip: ", num_entries_, " members in a directory of ",
                         directory_size_, " bytes, at most ", kMaxZipEntries,
                         " in ", kMaxZipDirectoryBytes))
          .At(directory_offset_)
          .Id("E-ZIP");
    }
    if (num_entries_ == 0) {
      return Refuse("the archive is empty", directory_offset_);
    }
    if (num_entries_ > directory_size_ / kCentralBytes) {
      return Refuse(StrCat(num_entries_, " members do not fit into ",
                           directory_size_, " bytes of directory"),
                    directory_offset_);
    }
    std::vector<std::byte> bytes(static_cast<size_t>(directory_size_));
    RETURN_IF_ERROR(Read(directory_offset_, bytes));
    ByteReader reader(bytes, directory_offset_);
    const auto count = static_cast<size_t>(num_entries_);
    directory_.entries_.reserve(count);
    pending_.reserve(count);
    std::unordered_set<std::string> folded;
    folded.reserve(count);
    uint64_t total = 0;
    for (size_t i = 0; i < count; ++i) {
      const uint64_t at = reader.offset();
      RETURN_IF_ERROR(ReadCentralRecord(reader));
      const ZipEntry& entry = directory_.entries_.back();
      if (!folded.insert(FoldName(entry.name)).second) {
        return RefuseMember(entry.name,
                            "a name stands twice, perhaps but for case", at,
                            "E-ZIP-DUPLICATE");
      }
      const auto sum = CheckedAdd(total, entry.size);
      if (!sum.has_value() || *sum > file_.size()) {
        return RefuseMember(
            entry.name,
            StrCat("the members add up to more than the file of ", file_.size(),
                   " bytes"),
            at);
      }
      total = *sum;
      directory_.by_name_.emplace(entry.name, i);
    }
    if (!reader.empty()) {
      return Refuse("bytes after the last directory record", reader.offset());
    }
    return {};
  }

  Result<void> ReadCentralRecord(ByteReader& reader) {
    const uint64_t at = reader.offset();
    ASSIGN_OR_RETURN(const auto signature, reader.Read<uint32_t>());
    if (signature != kCentralSignature) {
      return Refuse("no directory record here", at);
    }
    ASSIGN_OR_RETURN(const auto made_by, reader.Read<uint16_t>());
    ASSIGN_OR_RETURN(const auto needed, reader.Read<uint16_t>());
    static_cast<void>(needed);
    Pending pending;
    ASSIGN_OR_RETURN(pending.flags, reader.Read<uint16_t>());
    ASSIGN_OR_RETURN(pending.method, reader.Read<uint16_t>());
    ASSIGN_OR_RETURN(const auto time, reader.Read<uint32_t>());
    static_cast<void>(time);
    ASSIGN_OR_RETURN(const auto crc, reader.Read<uint32_t>());
    ASSIGN_OR_RETURN(const auto compressed, reader.Read<uint32_t>());
    ASSIGN_OR_RETURN(const auto uncompressed, reader.Read<uint32_t>());
    ASSIGN_OR_RETURN(const auto name_size, reader.Read<uint16_t>());
    ASSIGN_OR_RETURN(const auto extra_size, reader.Read<uint16_t>());
    ASSIGN_OR_RETURN(const auto comment_size, reader.Read<uint16_t>());
    ASSIGN_OR_RETURN(const auto disk, reader.Read<uint16_t>());
    ASSIGN_OR_RETURN(const auto internal, reader.Read<uint16_t>());
    static_cast<void>(internal);
    ASSIGN_OR_RETURN(const auto external, reader.Read<uint32_t>());
    ASSIGN_OR_RETURN(const auto header_offset, reader.Read<uint32_t>());
    ASSIGN_OR_RETURN(const ByteSpan name_bytes, reader.ReadBytes(name_size));
    const uint64_t extra_at = reader.offset();
    ASSIGN_OR_RETURN(const ByteSpan extra_bytes, reader.ReadBytes(extra_size));

    const std::string_view name = AsText(name_bytes);
    if (name.size() > kMaxZipNameBytes) {
      return Refuse(StrCat("a name of ", name.size(), " bytes, at most ",
                           kMaxZipNameBytes),
                    at);
    }
    if (const auto problem = NameRefusal(name)) {
      return RefuseMember(name, *problem, at, "E-ZIP-NAME");
    }
    const std::string_view top = name.substr(0, name.find('/'));
    if (directory_.entries_.empty()) {
      directory_.top_folder_ = top;
    } else if (top != directory_.top_folder_) {
      return RefuseMember(name,
                          StrCat("outside of the folder \"",
                                 EscapeForTerminal(directory_.top_folder_, 128),
                                 "\" of the members before"),
                          at, "E-ZIP-NAME");
    }
    if ((pending.flags & ~(kFlagDescriptor | kFlagUtf8)) != 0) {
      return RefuseMember(name, "encrypted, or flags that must not be set", at,
                          "E-ZIP-FLAGS");
    }
    if (pending.method != 0) {
      return RefuseMember(
          name, StrCat("compressed (method ", pending.method, "), not stored"),
          at, "E-ZIP-COMPRESSED");
    }
    if (comment_size != 0) return RefuseMember(name, "has a comment", at);
    if (disk != 0) return RefuseMember(name, "on another volume", at);
    // Unix file type in the high half: only "none" and "regular file".
    const uint32_t file_type = (external >> 28) & 0xf;
    if ((made_by >> 8) == 3 && file_type != 0 && file_type != 8) {
      return RefuseMember(name, "a link, device or folder", at);
    }
    ASSIGN_OR_RETURN(const Extra extra, ParseExtra(extra_bytes, extra_at));
    RawSizes sizes{uncompressed, compressed, header_offset};
    RETURN_IF_ERROR(ApplyZip64(extra, sizes, extra_at));
    if (sizes.uncompressed != sizes.compressed) {
      return RefuseMember(name,
                          StrCat("stored, but of ", sizes.compressed, " and ",
                                 sizes.uncompressed, " bytes"),
                          at);
    }
    ZipEntry entry;
    entry.name = name;
    entry.header_offset = sizes.header_offset;
    entry.size = sizes.uncompressed;
    entry.crc32 = crc;
    directory_.entries_.push_back(std::move(entry));
    pending.has_zip64 = extra.has_zip64;
    pending_.push_back(pending);
    return {};
  }

  // The members must tile the file from byte 0 to the directory.
  Result<void> CheckLayout() {
    std::vector<size_t> order(directory_.entries_.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::sort(order.begin(), order.end(), [this](size_t a, size_t b) {
      return directory_.entries_[a].header_offset <
             directory_.entries_[b].header_offset;
    });
    if (directory_.entries_[order[0]].header_offset != 0) {
      return Refuse("bytes before the first member", 0);
    }
    for (size_t i = 0; i < order.size(); ++i) {
      const uint64_t next =
          i + 1 < order.size() ? directory_.entries_[order[i + 1]].header_offset
                               : directory_offset_;
      auto checked = CheckMember(order[i], next);
      if (checked) continue;
      const ErrorCode code = checked.error().code;
      if (check_ == ZipCheck::kAll || code == ErrorCode::kIo ||
          !ReckonPayload(order[i], next)) {
        return Unexpected(std::move(checked).error());
      }
    }
    return {};
  }

  // The payload ends where its descriptor begins, and that ends at `next`.
  // False if there is no room for it.
  bool ReckonPayload(size_t index, uint64_t next) {
    ZipEntry& entry = directory_.entries_[index];
    const Pending& pending = pending_[index];
    uint64_t after = 0;
    if ((pending.flags & kFlagDescriptor) != 0) {
      after = pending.has_zip64 ? 24 : 16;
    }
    const uint64_t before = kLocalBytes + entry.name.size();
    if (next > directory_offset_ || entry.header_offset > next) return false;
    const uint64_t room = next - entry.header_offset;
    if (room < before + after || room - before - after < entry.size) {
      return false;
    }
    entry.payload_offset = next - after - entry.size;
    return true;
  }

  // Reads the local header and what follows the payload; `next` is where the
  // next member or the directory begins.
  Result<void> CheckMember(size_t index, uint64_t next) {
    ZipEntry& entry = directory_.entries_[index];
    const uint64_t at = entry.header_offset;
    if (next > directory_offset_ || at > next || next - at < kLocalBytes) {
      return RefuseMember(entry.name, "overlaps what follows it", at,
                          "E-ZIP-OVERLAP");
    }
    std::array<std::byte, kLocalBytes> header{};
    RETURN_IF_ERROR(Read(at, header));
    ByteReader reader(header, at);
    ASSIGN_OR_RETURN(const auto signature, reader.Read<uint32_t>());
    if (signature != kLocalSignature) {
      return RefuseMember(entry.name, "no local header where it should be", at);
    }
    ASSIGN_OR_RETURN(const auto needed, reader.Read<uint16_t>());
    static_cast<void>(needed);
    ASSIGN_OR_RETURN(const auto flags, reader.Read<uint16_t>());
    ASSIGN_OR_RETURN(const auto method, reader.Read<uint16_t>());
    ASSIGN_OR_RETURN(const auto time, reader.Read<uint32_t>());
    static_cast<void>(time);
    ASSIGN_OR_RETURN(const auto crc, reader.Read<uint32_t>());
    ASSIGN_OR_RETURN(const auto compressed, reader.Read<uint32_t>());
    ASSIGN_OR_RETURN(const auto uncompressed, reader.Read<uint32_t>());
    ASSIGN_OR_RETURN(const auto name_size, reader.Read<uint16_t>());
    ASSIGN_OR_RETURN(const auto extra_size, reader.Read<uint16_t>());
    if (flags != pending_[index].flags || method != pending_[index].method ||
        name_size != entry.name.size()) {
      return RefuseMember(entry.name, "local header and directory disagree", at,
                          "E-ZIP-MISMATCH");
    }
    const uint64_t payload =
        at + kLocalBytes + uint64_t{name_size} + uint64_t{extra_size};
    if (payload > next || next - payload < entry.size) {
      return RefuseMember(entry.name, "overlaps what follows it", at,
                          "E-ZIP-OVERLAP");
    }
    std::vector<std::byte> tail(size_t{name_size} + extra_size);
    RETURN_IF_ERROR(Read(at + kLocalBytes, tail));
    const ByteSpan tail_span(tail);
    if (AsText(tail_span.first(name_size)) != entry.name) {
      return RefuseMember(
          entry.name,
          StrCat("its local header says \"",
                 EscapeForTerminal(AsText(tail_span.first(name_size)), 128),
                 "\""),
          at, "E-ZIP-MISMATCH");
    }
    ASSIGN_OR_RETURN(
        const Extra extra,
        ParseExtra(tail_span.subspan(name_size), at + kLocalBytes + name_size));
    const bool has_descriptor = (flags & kFlagDescriptor) != 0;
    RETURN_IF_ERROR(CheckLocalSizes(entry, crc, {uncompressed, compressed, 0},
                                    extra, has_descriptor));
    entry.payload_offset = payload;
    return CheckGap(entry, has_descriptor, next);
  }

  Result<void> CheckLocalSizes(const ZipEntry& entry, uint32_t crc,
                               RawSizes sizes, const Extra& extra,
                               bool has_descriptor) {
    const uint64_t at = entry.header_offset;
    // A streamed member states its sizes after the payload; here they are 0.
    const bool left_open = has_descriptor && crc == 0 &&
                           sizes.uncompressed == 0 && sizes.compressed == 0;
    if (left_open) return {};
    RETURN_IF_ERROR(ApplyZip64(extra, sizes, at));
    if (sizes.uncompressed != entry.size || sizes.compressed != entry.size ||
        crc != entry.crc32) {
      return RefuseMember(entry.name,
                          "sizes or CRC of local header and directory disagree",
                          at, "E-ZIP-MISMATCH");
    }
    return {};
  }

  // Between payload and next member: the data descriptor, if announced, then
  // only a little zero padding.
  Result<void> CheckGap(const ZipEntry& entry, bool has_descriptor,
                        uint64_t next) {
    const uint64_t begin = entry.payload_offset + entry.size;
    const uint64_t gap = next - begin;
    std::array<std::byte, 24 + kMaxPadding> buffer{};
    if (gap >= buffer.size()) {
      return RefuseMember(entry.name, StrCat(gap, " unclaimed bytes after it"),
                          begin, "E-ZIP-GAP");
    }
    const auto bytes =
        std::span<std::byte>(buffer).first(static_cast<size_t>(gap));
    RETURN_IF_ERROR(Read(begin, bytes));
    size_t used = 0;
    if (has_descriptor) {
      used = DescriptorBytes(bytes, entry);
      if (used == 0) {
        return RefuseMember(entry.name,
                            "its data descriptor is missing or disagrees with "
                            "the directory",
                            begin, "E-ZIP-MISMATCH");
      }
    }
    const auto padding = bytes.subspan(used);
    const bool is_zero =
        std::all_of(padding.begin(), padding.end(),
                    [](std::byte b) { return b == std::byte{0}; });
    if (padding.size() >= kMaxPadding || !is_zero) {
      return RefuseMember(entry.name,
                          StrCat(padding.size(), " unclaimed bytes after it"),
                          begin + used, "E-ZIP-GAP");
    }
    return {};
  }

  // 24 or 16: the size of the descriptor at the start of `bytes`; 0 if there
  // is none that agrees with the directory.
  static size_t DescriptorBytes(ByteSpan bytes, const ZipEntry& entry) {
    if (bytes.size() < 16) return 0;
    if (LoadLe<uint32_t>(bytes) != kDescriptorSignature) return 0;
    if (LoadLe<uint32_t>(bytes.subspan(4)) != entry.crc32) return 0;
    if (bytes.size() >= 24 &&
        LoadLe<uint64_t>(bytes.subspan(8)) == entry.size &&
        LoadLe<uint64_t>(bytes.subspan(16)) == entry.size) {
      return 24;
    }
    if (LoadLe<uint32_t>(bytes.subspan(8)) == entry.size &&
        LoadLe<uint32_t>(bytes.subspan(12)) == entry.size) {
      return 16;
    }
    return 0;
  }

  const ByteSource& file_;
  ZipCheck check_;
  ZipDirectory directory_;
  std::vector<Pending> pending_;  // parallel to directory_.entries_
  uint64_t num_entries_ = 0;
  uint64_t directory_size_ = 0;
  uint64_t directory_offset_ = 0;
};

const ZipEntry* ZipDirectory::Find(std::string_view name_in_folder) const {
  const auto it = by_name_.find(StrCat(top_folder_, '/', name_in_folder));
  return it == by_name_.end() ? nullptr : &entries_[it->second];
}

Result<ZipDirectory> ReadZip(const ByteSource& file, ZipCheck check) {
  return ZipParser(file, check).Parse();
}

namespace {

Result<void> CompareCrc(const ZipEntry& entry, uint32_t computed) {
  if (entry.crc32 == 0 || entry.crc32 == computed) return {};
  return RefuseMember(entry.name,
                      StrCat("CRC ", entry.crc32, " in the directory, ",
                             computed, " of its bytes"),
                      entry.payload_offset, "E-ZIP-CRC");
}

}  // namespace

Result<std::vector<std::byte>> ReadZipEntry(const ByteSource& file,
                                            const ZipEntry& entry,
                                            uint64_t max_bytes) {
  if (entry.size > max_bytes) {
    return Fail(ErrorCode::kLimit,
                StrCat("zip: member \"", EscapeForTerminal(entry.name, 128),
                       "\": ", entry.size, " bytes, at most ", max_bytes))
        .At(entry.payload_offset)
        .Id("E-ZIP");
  }
  std::vector<std::byte> bytes(static_cast<size_t>(entry.size));
  RETURN_IF_ERROR(file.ReadAt(entry.payload_offset, bytes));
  RETURN_IF_ERROR(CompareCrc(entry, Crc32(bytes)));
  return bytes;
}

Result<void> CheckZipEntryCrc(const ByteSource& file, const ZipEntry& entry) {
  if (entry.crc32 == 0) return {};
  constexpr uint64_t kChunk = 1u << 20;
  std::vector<std::byte> buffer(
      static_cast<size_t>(std::min(kChunk, entry.size)));
  uint32_t crc = 0;
  for (uint64_t done = 0; done < entry.size;) {
    const uint64_t count = std::min<uint64_t>(buffer.size(), entry.size - done);
    const auto part =
        std::span<std::byte>(buffer).first(static_cast<size_t>(count));
    RETURN_IF_ERROR(file.ReadAt(entry.payload_offset + done, part));
    crc = Crc32(part, crc);
    done += count;
  }
  return CompareCrc(entry, crc);
}

}  // namespace verify
