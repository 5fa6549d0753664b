// SPDX-License-Identifier: Apache-2.0
#include "verify/container/tar_reader.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "verify/base/bytes.h"
#include "verify/base/text.h"

namespace verify {
namespace {

// Fields of a header block: where, and how many bytes.
struct Field {
  size_t offset;
  size_t size;
};
constexpr Field kName{0, 100};
constexpr Field kMode{100, 8};
constexpr Field kSize{124, 12};
constexpr Field kChecksum{148, 8};
constexpr size_t kType = 156;
constexpr Field kMagic{257, 8};
constexpr Field kPrefix{345, 155};

constexpr std::string_view kPosixMagic(
    "ustar\0"
    "00",
    8);
constexpr std::string_view kGnuMagic("ustar  \0", 8);

using Block = std::array<std::byte, kTarBlockBytes>;

std::string_view Slice(ByteSpan block, Field field) {
  return AsText(block).substr(field.offset, field.size);
}

// Text up to the first NUL.
std::string_view Text(ByteSpan block, Field field) {
  const std::string_view raw = Slice(block, field);
  return raw.substr(0, raw.find('\0'));
}

// Octal digits between blanks and NULs, or GNU's big-endian form; nothing for
// anything else.
std::optional<uint64_t> Number(std::string_view raw) {
  const auto byte = [&](size_t i) {
    return static_cast<uint8_t>(static_cast<unsigned char>(raw[i]));
  };
  uint64_t value = 0;
  if (byte(0) == 0x80) {
    for (size_t i = 1; i < raw.size(); ++i) {
      if (value >> 56 != 0) return std::nullopt;
      value = (value << 8) | byte(i);
    }
    return value;
  }
  size_t i = 0;
  while (i < raw.size() && raw[i] == ' ') ++i;
  const size_t first = i;
  for (; i < raw.size() && raw[i] >= '0' && raw[i] <= '7'; ++i) {
    value = value * 8 + static_cast<uint64_t>(raw[i] - '0');
  }
  if (i == first) return std::nullopt;
  for (; i < raw.size(); ++i) {
    if (raw[i] != ' ' && raw[i] != '\0') return std::nullopt;
  }
  return value;
}

// The sum of all bytes, with blanks in the place of the checksum itself.
uint64_t SumOf(ByteSpan block) {
  uint64_t sum = 0;
  for (size_t i = 0; i < block.size(); ++i) {
    const bool in_checksum =
        i >= kChecksum.offset && i < kChecksum.offset + kChecksum.size;
    sum += in_checksum ? uint64_t{' '} : std::to_integer<uint64_t>(block[i]);
  }
  return sum;
}

bool HasMagic(ByteSpan block) {
  const std::string_view magic = Slice(block, kMagic);
  return magic == kPosixMagic || magic == kGnuMagic;
}

bool IsZero(ByteSpan bytes) {
  return std::all_of(bytes.begin(), bytes.end(),
                     [](std::byte b) { return b == std::byte{0}; });
}

std::optional<uint64_t> Decimal(std::string_view text) {
  if (text.empty() || text.size() > 19) return std::nullopt;
  uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<uint64_t>(c - '0');
  }
  return value;
}

// Keys of a pax header that change nothing of what is written here: times,
// owners, attributes.
bool IsHarmless(std::string_view key) {
  constexpr std::array<std::string_view, 8> kKeys = {
      "mtime", "atime", "ctime", "uid", "gid", "uname", "gname", "comment"};
  return std::find(kKeys.begin(), kKeys.end(), key) != kKeys.end() ||
         key.starts_with("SCHILY.xattr.") || key.starts_with("LIBARCHIVE.");
}

// What a member is that is no file or folder; empty for those two.
std::string_view ForbiddenType(char type) {
  switch (type) {
    case '0':
    case '\0':
    case '5':
      return {};
    case '1':
      return "a hard link";
    case '2':
      return "a symbolic link";
    case '3':
    case '4':
      return "a device";
    case '6':
      return "a pipe";
    case 'S':
      return "a sparse file";
    case 'K':
      return "the long target of a link";
    default:
      return "of a kind that is neither file nor folder";
  }
}

uint64_t PaddingOf(uint64_t size) {
  return (kTarBlockBytes - size % kTarBlockBytes) % kTarBlockBytes;
}

}  // namespace

struct TarReader::Header {
  char type = '0';
  std::string name;
  bool executable = false;
  uint64_t size_bytes = 0;
};

bool IsTar(ByteSpan start) {
  if (start.size() < kTarBlockBytes) return false;
  const ByteSpan block = start.first(kTarBlockBytes);
  return HasMagic(block) && Number(Slice(block, kChecksum)) == SumOf(block);
}

Unexpected TarReader::Refuse(std::string_view what, std::string_view id) const {
  return Fail(ErrorCode::kCorrupt, StrCat("tar: ", what))
      .At(header_offset_)
      .Id(id);
}

Unexpected TarReader::RefuseName(std::string_view name,
                                 std::string_view what) const {
  return Refuse(StrCat("member \"", EscapeForTerminal(name, 200), "\": ", what),
                kArchivePathId);
}

Result<void> TarReader::FinishMember() {
  const uint64_t rest = left_ + padding_;
  if (rest > 0) RETURN_IF_ERROR(stream_.Skip(rest));
  position_ += rest;
  left_ = 0;
  padding_ = 0;
  return {};
}

Result<std::optional<TarReader::Header>> TarReader::ReadHeader() {
  RETURN_IF_ERROR(FinishMember());
  header_offset_ = position_;
  Block block{};
  ASSIGN_OR_RETURN(const size_t got, ReadUpTo(stream_, block));
  position_ += got;
  if (got < block.size()) {
    return Refuse(
        got == 0 ? "cut off: no mark of the end" : "cut off in a header",
        "E-TRUNCATED");
  }
  if (IsZero(block)) {
    RETURN_IF_ERROR(ReadRest());
    return std::optional<Header>();
  }
  if (!HasMagic(block)) return Refuse("no header of a member here");
  if (Number(Slice(block, kChecksum)) != SumOf(block)) {
    return Refuse("a header differs from its checksum");
  }
  Header header;
  header.type = AsText(block)[kType];
  header.name = Text(block, kName);
  if (Slice(block, kMagic) == kPosixMagic) {
    const std::string_view prefix = Text(block, kPrefix);
    if (!prefix.empty()) header.name = StrCat(prefix, "/", header.name);
  }
  constexpr uint64_t kAnyExecute = 0111;
  header.executable =
      (Number(Slice(block, kMode)).value_or(0) & kAnyExecute) != 0;
  const auto size = Number(Slice(block, kSize));
  // Far from where sums of positions could wrap.
  constexpr uint64_t kMost = uint64_t{1} << 62;
  if (!size.has_value() || *size > kMost) {
    return Refuse(StrCat("member \"", EscapeForTerminal(header.name, 200),
                         "\": a size that is no number"));
  }
  header.size_bytes = *size;
  return std::optional<Header>(std::move(header));
}

// The second block of the end mark, and nothing but zeros after it.
Result<void> TarReader::ReadRest() {
  ended_ = true;
  std::vector<std::byte> buffer(64 << 10);
  uint64_t after = 0;
  while (true) {
    header_offset_ = position_;
    ASSIGN_OR_RETURN(const size_t got, stream_.Read(buffer));
    if (got == 0) break;
    if (!IsZero(ByteSpan(buffer).first(got))) {
      return Refuse("something follows the end of the archive",
                    "E-ARCHIVE-TRAILING");
    }
    position_ += got;
    after += got;
  }
  if (after < kTarBlockBytes) {
    return Refuse("cut off in the mark of the end", "E-TRUNCATED");
  }
  return {};
}

Result<std::string> TarReader::ReadText(const Header& header,
                                        uint64_t max_bytes) {
  if (header.size_bytes > max_bytes) {
    return Fail(ErrorCode::kLimit,
                StrCat("tar: a header of ", header.size_bytes,
                       " bytes before a member, at most ", max_bytes))
        .At(header_offset_)
        .Id("E-TAR");
  }
  std::string text(static_cast<size_t>(header.size_bytes), '\0');
  ASSIGN_OR_RETURN(const size_t got,
                   ReadUpTo(stream_, std::as_writable_bytes(std::span(text))));
  position_ += got;
  if (got < text.size()) {
    return Refuse("cut off in a header before a member", "E-TRUNCATED");
  }
  padding_ = PaddingOf(header.size_bytes);
  return text;
}

Result<void> TarReader::ReadLongName(const Header& header,
                                     Extension& extension) {
  ASSIGN_OR_RETURN(std::string text, ReadText(header, kMaxPathBytes + 2));
  if (text.ends_with('\0')) text.pop_back();
  if (extension.path.has_value()) {
    return RefuseName(text, "two long names for one member");
  }
  extension.path = std::move(text);
  return {};
}

// Records "LENGTH KEY=VALUE\n", LENGTH counting all of it.
Result<void> TarReader::ReadPax(const Header& header, bool global,
                                Extension& extension) {
  ASSIGN_OR_RETURN(const std::string text, ReadText(header, kMaxPaxBytes));
  if (!global && extension.has_pax) {
    return Refuse("two pax headers for one member");
  }
  if (!global) extension.has_pax = true;
  std::string_view rest = text;
  std::vector<std::string_view> seen;
  while (!rest.empty()) {
    const size_t blank = rest.find(' ');
    const auto length = Decimal(rest.substr(0, std::min<size_t>(blank, 20)));
    if (blank == std::string_view::npos || !length.has_value() ||
        *length > rest.size() || *length < blank + 3 ||
        rest[static_cast<size_t>(*length) - 1] != '\n') {
      return Refuse("a pax record that does not hold together");
    }
    const std::string_view record =
        rest.substr(blank + 1, static_cast<size_t>(*length) - blank - 2);
    rest.remove_prefix(static_cast<size_t>(*length));
    const size_t equals = record.find('=');
    if (equals == std::string_view::npos) {
      return Refuse("a pax record without a value");
    }
    const std::string_view key = record.substr(0, equals);
    const std::string_view value = record.substr(equals + 1);
    if (IsHarmless(key)) continue;
    if (std::find(seen.begin(), seen.end(), key) != seen.end()) {
      return Refuse(StrCat("the pax key \"", EscapeForTerminal(key, 80),
                           "\" stands twice"),
                    kArchivePathId);
    }
    if (global || (key != "path" && key != "size")) {
      return Refuse(StrCat("the pax key \"", EscapeForTerminal(key, 80), "\"",
                           global ? " for all members" : "", " is not allowed"),
                    kArchivePathId);
    }
    seen.push_back(key);
    if (key == "path") {
      if (extension.path.has_value()) {
        return RefuseName(value, "two long names for one member");
      }
      extension.path = value;
      continue;
    }
    extension.size_bytes = Decimal(value);
    constexpr uint64_t kMost = uint64_t{1} << 62;
    if (extension.size_bytes.value_or(~uint64_t{0}) > kMost) {
      return Refuse("a pax size that is no number");
    }
  }
  return {};
}

Result<void> TarReader::CheckName(std::string_view name, bool is_folder) {
  name_bytes_ += name.size();
  if (name_bytes_ > kMaxTarNameBytes) {
    return Fail(ErrorCode::kLimit,
                StrCat("tar: names of more than ", kMaxTarNameBytes, " bytes"))
        .At(header_offset_)
        .Id("E-TAR");
  }
  if (name.starts_with('/')) return RefuseName(name, "an absolute path");
  std::vector<std::string_view> parts;
  if (const auto problem = CheckPath(name, parts)) {
    return RefuseName(name, problem->reason);
  }
  if (!is_folder) {
    if (const auto collision = paths_.AddFile(parts)) {
      return RefuseName(name, *collision);
    }
    return {};
  }
  size_t node = PathSet::kRoot;
  for (const std::string_view part : parts) {
    const PathSet::Added added = paths_.Add(node, part, PathSet::Kind::kFolder);
    if (!added.collision.empty()) return RefuseName(name, added.collision);
    node = added.node;
  }
  return {};
}

Result<std::optional<TarMember>> TarReader::Accept(const Header& header,
                                                   const Extension& extension) {
  const std::string& given = extension.path.value_or(header.name);
  std::string_view name = given;
  const std::string_view forbidden = ForbiddenType(header.type);
  if (!forbidden.empty()) return RefuseName(name, forbidden);
  TarMember member;
  member.is_folder = header.type == '5';
  member.executable = header.executable && !member.is_folder;
  member.size_bytes = extension.size_bytes.value_or(header.size_bytes);
  if (++num_members_ > kMaxTarMembers) {
    return Fail(ErrorCode::kLimit,
                StrCat("tar: more than ", kMaxTarMembers, " members"))
        .At(header_offset_)
        .Id("E-TAR");
  }
  if (member.is_folder && member.size_bytes != 0) {
    return RefuseName(name,
                      StrCat("a folder of ", member.size_bytes, " bytes"));
  }
  // "tar -C folder ." writes "./" before every name.
  if (name.starts_with("./")) name.remove_prefix(2);
  if (member.is_folder) {
    if (name.ends_with('/')) name.remove_suffix(1);
    if (name == ".") name = {};
    if (name.empty() && given.starts_with('.')) {
      return std::optional<TarMember>(std::move(member));  // the root itself
    }
  }
  if (name.empty()) return RefuseName(given, "a member without a name");
  RETURN_IF_ERROR(CheckName(name, member.is_folder));
  const auto remaining = stream_.remaining();
  if (remaining.has_value() && member.size_bytes > *remaining) {
    return Refuse(StrCat("member \"", EscapeForTerminal(name, 200),
                         "\": ", member.size_bytes, " bytes, ", *remaining,
                         " are left in the archive"),
                  "E-TRUNCATED");
  }
  member.path = name;
  left_ = member.size_bytes;
  padding_ = PaddingOf(member.size_bytes);
  return std::optional<TarMember>(std::move(member));
}

Result<std::optional<TarMember>> TarReader::Next() {
  Extension extension;
  while (!ended_) {
    ASSIGN_OR_RETURN(const std::optional<Header> header, ReadHeader());
    if (!header.has_value()) {
      if (extension.path.has_value() || extension.has_pax) {
        return Refuse("a long name or pax header without its member");
      }
      break;
    }
    if (header->type == 'L') {
      RETURN_IF_ERROR(ReadLongName(*header, extension));
      continue;
    }
    if (header->type == 'x' || header->type == 'g') {
      RETURN_IF_ERROR(ReadPax(*header, header->type == 'g', extension));
      continue;
    }
    ASSIGN_OR_RETURN(std::optional<TarMember> member,
                     Accept(*header, extension));
    extension = {};
    if (!member->path.empty()) return member;
  }
  return std::optional<TarMember>();
}

Result<size_t> TarReader::Read(std::span<std::byte> out) {
  const auto count = static_cast<size_t>(std::min<uint64_t>(out.size(), left_));
  if (count == 0) return size_t{0};
  ASSIGN_OR_RETURN(const size_t got, stream_.Read(out.first(count)));
  if (got == 0) {
    return Refuse(StrCat("cut off: ", left_,
                         " more bytes of a member were "
                         "to come"),
                  "E-TRUNCATED");
  }
  left_ -= got;
  position_ += got;
  return got;
}

}  // namespace verify
