// SPDX-License-Identifier: Apache-2.0
#include "verify/manifest/published_sums.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <optional>
#include <system_error>
#include <utility>

#include "verify/base/file.h"
#include "verify/base/text.h"
#include "verify/base/web_page.h"

namespace verify {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxNameBytes = 4096;
constexpr size_t kMaxFolderEntries = 100'000;

std::optional<SumAlgorithm> AlgorithmOfHexLength(size_t digits) {
  switch (digits) {
    case 32:
      return SumAlgorithm::kMd5;
    case 40:
      return SumAlgorithm::kSha1;
    case 64:
      return SumAlgorithm::kSha256;
    case 96:
      return SumAlgorithm::kSha384;
    case 128:
      return SumAlgorithm::kSha512;
    default:
      return std::nullopt;
  }
}

bool IsBlank(char c) { return c == ' ' || c == '\t'; }

bool IsHexDigit(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') ||
         (c >= 'A' && c <= 'F');
}

// How many hexadecimal digits the text starts with.
size_t HexPrefix(std::string_view text) {
  size_t digits = 0;
  while (digits < text.size() && IsHexDigit(text[digits])) ++digits;
  return digits;
}

// Box-drawing characters (U+2500 to U+257F, E2 94 80 to E2 95 BF) as blanks.
std::string WithoutBoxes(std::string_view line, bool& found) {
  std::string out;
  for (size_t i = 0; i < line.size(); ++i) {
    const std::string_view rest = line.substr(i);
    if (rest.size() >= 3 && rest[0] == '\xE2' &&
        (rest[1] == '\x94' || rest[1] == '\x95')) {
      found = true;
      out.push_back(' ');
      i += 2;
    } else {
      out.push_back(line[i]);
    }
  }
  return out;
}

// The name without leading "./", or nothing where it could lead out of the
// folder or is none.
std::optional<std::string> ConfinedName(std::string_view name) {
  while (name.substr(0, 2) == "./") name.remove_prefix(2);
  if (name.empty() || name.size() > kMaxNameBytes || !IsValidUtf8(name) ||
      name.find('\0') != std::string_view::npos) {
    return std::nullopt;
  }
  // Absolute in Windows: "C:\", "C:/" and "\\server".
  const bool drive =
      name.size() >= 3 && name[1] == ':' && (name[2] == '\\' || name[2] == '/');
  if (name[0] == '/' || name[0] == '\\' || drive) return std::nullopt;
  // A backslash is a part of a name here and a separator elsewhere.
  size_t begin = 0;
  for (size_t i = 0; i <= name.size(); ++i) {
    if (i < name.size() && name[i] != '/' && name[i] != '\\') continue;
    const std::string_view part = name.substr(begin, i - begin);
    if (part.empty() || part == "." || part == "..") return std::nullopt;
    begin = i + 1;
  }
  return std::string(name);
}

// coreutils: "\\", "\n" and "\r" in names of lines that start with '\'.
std::optional<std::string> Unescaped(std::string_view name) {
  std::string out;
  for (size_t i = 0; i < name.size(); ++i) {
    if (name[i] != '\\') {
      out.push_back(name[i]);
      continue;
    }
    if (++i == name.size()) return std::nullopt;
    switch (name[i]) {
      case '\\':
        out.push_back('\\');
        break;
      case 'n':
        out.push_back('\n');
        break;
      case 'r':
        out.push_back('\r');
        break;
      default:
        return std::nullopt;
    }
  }
  return out;
}

// The digest that a list is called after: "X" for "X.md5".
std::optional<std::string> NameBeforeExtension(std::string_view list_name) {
  const std::string lower = AsciiLower(list_name);
  for (const std::string_view extension :
       {".md5", ".sha1", ".sha256", ".sha384", ".sha512", ".b2", ".blake2b",
        ".md5sum", ".sha1sum", ".sha256sum", ".sha512sum", ".b2sum"}) {
    if (lower.size() > extension.size() && lower.ends_with(extension)) {
      return std::string(
          list_name.substr(0, list_name.size() - extension.size()));
    }
  }
  return std::nullopt;
}

// Collects sums, each name with one digest of a kind.
class SumTable {
 public:
  Result<void> Add(PublishedSum sum) {
    const auto [it, is_new] =
        by_name_.emplace(std::pair(sum.name, sum.algorithm), sums_.size());
    if (!is_new) {
      const PublishedSum& other = sums_[it->second];
      if (other.digest == sum.digest) return {};
      return Fail(ErrorCode::kCorrupt,
                  StrCat("\"", EscapeForTerminal(sum.name, 128), "\" has the ",
                         SumAlgorithmName(sum.algorithm), " ",
                         HexEncode(other.digest), " in \"",
                         EscapeForTerminal(other.list, 128), "\" and ",
                         HexEncode(sum.digest), " in \"",
                         EscapeForTerminal(sum.list, 128), "\""))
          .Id("E-SUMS");
    }
    if (sums_.size() >= kMaxSums) {
      return Fail(ErrorCode::kLimit,
                  StrCat("more than ", kMaxSums, " published digests"))
          .Id("E-SUMS");
    }
    sums_.push_back(std::move(sum));
    return {};
  }

  std::vector<PublishedSum> Take() { return std::move(sums_); }

 private:
  std::vector<PublishedSum> sums_;
  std::map<std::pair<std::string, SumAlgorithm>, size_t> by_name_;
};

// Whether digests of 64 bytes in the list are BLAKE2b: "B2SUMS", "x.b2".
bool IsBlake2bList(std::string_view list_name) {
  const std::string lower = AsciiLower(list_name);
  return lower.starts_with("b2sum") || lower.ends_with(".b2") ||
         lower.ends_with(".blake2b") || lower.ends_with(".b2sum");
}

class ListParser {
 public:
  explicit ListParser(std::string_view list_name)
      : list_(list_name),
        banner_(AsciiLower(list_name) == "release"),
        blake2b_(IsBlake2bList(list_name)) {}

  Result<void> Parse(std::string_view text, SumTable& table);

 private:
  Result<void> ParseLine(std::string_view line, SumTable& table);
  Result<void> ParseBannerLine(std::string_view line, SumTable& table);
  // A BSD line of a known algorithm is added; false if it is no BSD line.
  Result<bool> ParseBsdLine(std::string_view line, bool escaped,
                            SumTable& table);
  // Without `algorithm` its length tells the digest's.
  Result<void> Add(std::string_view hex, std::string_view name, bool escaped,
                   SumTable& table,
                   std::optional<SumAlgorithm> algorithm = std::nullopt);
  // Of a line that does not name it.
  std::optional<SumAlgorithm> AlgorithmOf(size_t digits) const;
  Unexpected Refuse(std::string_view what, std::string_view id) const;

  std::string_view list_;
  bool banner_ = false;
  bool blake2b_ = false;
  size_t line_number_ = 0;
};

Unexpected ListParser::Refuse(std::string_view what,
                              std::string_view id) const {
  return Fail(ErrorCode::kCorrupt, StrCat("\"", EscapeForTerminal(list_, 128),
                                          "\" line ", line_number_, ": ", what))
      .Id(id);
}

std::optional<SumAlgorithm> ListParser::AlgorithmOf(size_t digits) const {
  if (!blake2b_) return AlgorithmOfHexLength(digits);
  // A shorter BLAKE2b is no SHA of that length.
  if (digits != 2 * SumBytes(SumAlgorithm::kBlake2b)) return std::nullopt;
  return SumAlgorithm::kBlake2b;
}

Result<void> ListParser::Add(std::string_view hex, std::string_view name,
                             bool escaped, SumTable& table,
                             std::optional<SumAlgorithm> algorithm) {
  if (!algorithm.has_value()) algorithm = AlgorithmOf(hex.size());
  const auto digest = HexDecode(hex);
  if (!algorithm.has_value() || !digest.has_value()) {
    return Refuse(
        StrCat(hex.size(), " hexadecimal digits are no digest of a known kind"),
        "E-SUMS");
  }
  std::optional<std::string> plain = std::string(name);
  if (escaped) plain = Unescaped(name);
  if (!plain.has_value()) {
    return Refuse(StrCat("wrong escape in the name \"",
                         EscapeForTerminal(name, 128), "\""),
                  "E-SUMS");
  }
  auto confined = ConfinedName(*plain);
  if (!confined.has_value()) {
    return Refuse(StrCat("\"", EscapeForTerminal(*plain, 128),
                         "\" is no name inside the folder"),
                  "E-PATH");
  }
  return table.Add({.name = std::move(*confined),
                    .algorithm = *algorithm,
                    .digest = *digest,
                    .list = std::string(list_)});
}

// "SHA256 (name) = hex".
Result<bool> ListParser::ParseBsdLine(std::string_view line, bool escaped,
                                      SumTable& table) {
  const size_t open = line.find(" (");
  const size_t close = line.rfind(") = ");
  if (open == std::string_view::npos || close == std::string_view::npos ||
      open == 0 || close < open + 2) {
    return false;
  }
  const std::string_view tag = line.substr(0, open);
  if (std::any_of(tag.begin(), tag.end(), IsBlank)) return false;
  const std::string_view hex = TrimAscii(line.substr(close + 4));
  static constexpr std::array<std::pair<std::string_view, SumAlgorithm>, 7>
      kTags = {{{"md5", SumAlgorithm::kMd5},
                {"sha1", SumAlgorithm::kSha1},
                {"sha256", SumAlgorithm::kSha256},
                {"sha2-256", SumAlgorithm::kSha256},
                {"sha384", SumAlgorithm::kSha384},
                {"sha512", SumAlgorithm::kSha512},
                {"blake2b", SumAlgorithm::kBlake2b}}};
  const std::string lower = AsciiLower(tag);
  for (const auto& [name, algorithm] : kTags) {
    if (lower != name) continue;
    if (HexPrefix(hex) != hex.size() || hex.size() != 2 * SumBytes(algorithm)) {
      return Refuse(StrCat(hex.size(), " characters are no ", name, " digest"),
                    "E-SUMS");
    }
    RETURN_IF_ERROR(Add(hex, line.substr(open + 2, close - open - 2), escaped,
                        table, algorithm));
    return true;
  }
  return true;  // another algorithm
}

Result<void> ListParser::ParseLine(std::string_view line, SumTable& table) {
  const std::string_view trimmed = TrimAscii(line);
  if (trimmed.empty() || trimmed[0] == '#') return {};
  const bool escaped = line[0] == '\\';
  if (escaped) line.remove_prefix(1);
  ASSIGN_OR_RETURN(const bool bsd, ParseBsdLine(line, escaped, table));
  if (bsd) return {};
  while (!line.empty() && IsBlank(line[0])) line.remove_prefix(1);
  const size_t digits = HexPrefix(line);
  std::string_view name = line.substr(digits);
  if (digits == 0 || (!name.empty() && !IsBlank(name[0]))) {
    return Refuse("expected a digest and a name", "E-SUMS");
  }
  if (TrimAscii(name).empty()) {
    const auto own = NameBeforeExtension(list_);
    if (!own.has_value()) {
      return Refuse("a digest without a name", "E-SUMS");
    }
    return Add(line.substr(0, digits), *own, false, table);
  }
  // "  name", " *name", and with less care " name" or more blanks.
  name.remove_prefix(1);
  if (name[0] == '*') {
    name.remove_prefix(1);
  } else {
    while (IsBlank(name[0])) name.remove_prefix(1);
  }
  return Add(line.substr(0, digits), name, escaped, table);
}

// Any line with a digest and a name behind it; all else is decoration.
Result<void> ListParser::ParseBannerLine(std::string_view line,
                                         SumTable& table) {
  for (size_t at = 0; at < line.size();) {
    if (IsBlank(line[at])) {
      ++at;
      continue;
    }
    size_t end = at;
    while (end < line.size() && !IsBlank(line[end])) ++end;
    const std::string_view token = line.substr(at, end - at);
    const std::string_view name = TrimAscii(line.substr(end));
    if (HexPrefix(token) == token.size() && !name.empty() &&
        AlgorithmOfHexLength(token.size()).has_value()) {
      return Add(token, name[0] == '*' ? name.substr(1) : name, false, table);
    }
    at = end;
  }
  return {};
}

Result<void> ListParser::Parse(std::string_view text, SumTable& table) {
  if (text.substr(0, 3) == "\xEF\xBB\xBF") text.remove_prefix(3);
  if (!IsValidUtf8(text) || text.find('\0') != std::string_view::npos) {
    return Refuse("not a text in UTF-8", "E-SUMS");
  }
  bool has_boxes = false;
  const std::string plain = WithoutBoxes(text, has_boxes);
  if (has_boxes) {
    banner_ = true;
    text = plain;
  }
  while (!text.empty()) {
    ++line_number_;
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (banner_) {
      RETURN_IF_ERROR(ParseBannerLine(line, table));
    } else {
      RETURN_IF_ERROR(ParseLine(line, table));
    }
  }
  return {};
}

}  // namespace

Result<std::vector<PublishedSum>> ParsePublishedSums(
    std::string_view text, std::string_view list_name) {
  if (text.size() > kMaxSumsBytes) {
    return Fail(ErrorCode::kLimit,
                StrCat("\"", EscapeForTerminal(list_name, 128), "\" has ",
                       text.size(), " bytes, the limit is ", kMaxSumsBytes))
        .Id("E-SUMS");
  }
  if (LooksLikeWebPage(text)) {
    return Fail(ErrorCode::kCorrupt,
                StrCat("\"", EscapeForTerminal(list_name, 128),
                       "\" is an HTML page, not a list of digests"))
        .Id("E-HTML")
        .Hint("fetch it again, by the address of the file itself");
  }
  SumTable table;
  RETURN_IF_ERROR(ListParser(list_name).Parse(text, table));
  return table.Take();
}

bool IsSumsListName(std::string_view name) {
  const std::string lower = AsciiLower(name);
  if (lower == "release" || lower.ends_with("checklist.chk")) return true;
  if (NameBeforeExtension(name).has_value()) return true;
  for (const std::string_view stem :
       {"md5", "sha1", "sha256", "sha384", "sha512", "b2"}) {
    if (!lower.starts_with(stem)) continue;
    const std::string_view rest = std::string_view(lower).substr(stem.size());
    for (const std::string_view end : {"sum", "sums", "sum.txt", "sums.txt"}) {
      if (rest == end) return true;
    }
  }
  return false;
}

Result<std::vector<std::string>> ListSumLists(const std::string& folder) {
  std::vector<std::string> lists;
  std::error_code error;
  size_t num_entries = 0;
  for (fs::directory_iterator it(folder, error), end; !error && it != end;
       it.increment(error)) {
    if (++num_entries > kMaxFolderEntries) {
      return Fail(ErrorCode::kLimit,
                  StrCat("\"", EscapeForTerminal(folder), "\" holds more than ",
                         kMaxFolderEntries, " files"));
    }
    std::error_code ignored;
    const std::string name = it->path().filename().string();
    if (it->is_regular_file(ignored) && IsSumsListName(name)) {
      lists.push_back(name);
    }
  }
  if (error) return FailErrno("list", folder, error.value());
  std::sort(lists.begin(), lists.end());
  return lists;
}

}  // namespace verify
