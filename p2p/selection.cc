// SPDX-License-Identifier: Apache-2.0
#include "p2p/selection.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <unordered_map>
#include <utility>

#include "verify/base/text.h"

namespace p2p {
namespace {

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::Result;
using verify::StrCat;

constexpr size_t kMaxListedFiles = 20;

struct Range {
  char32_t first = 0;
  char32_t last = 0;
};

struct Token {
  enum class Kind { kOne, kClass, kAnyOne, kAny, kAnyDeep, kFolders };
  Kind kind = Kind::kOne;
  bool negated = false;
  std::vector<Range> ranges;  // kOne: a single one
};

// The character at `at`, which moves behind it. A byte that is no UTF-8 stands
// for itself, beyond all characters.
char32_t NextCharacter(std::string_view text, size_t& at) {
  const auto lead = static_cast<unsigned char>(text[at]);
  const size_t size = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  if (size == 1 || lead < 0xC0 || at + size > text.size() ||
      !verify::IsValidUtf8(text.substr(at, size))) {
    ++at;
    return size == 1 ? lead : 0x110000u + lead;
  }
  char32_t value = lead & (0xFFu >> (size + 1));
  for (size_t i = 1; i < size; ++i) {
    value = (value << 6) | (static_cast<unsigned char>(text[at + i]) & 0x3Fu);
  }
  at += size;
  return value;
}

// Behind "[": ranges up to "]", which comes first if it is meant itself.
std::optional<Token> ParseClass(std::string_view glob, size_t& at) {
  Token token;
  token.kind = Token::Kind::kClass;
  if (at < glob.size() && (glob[at] == '!' || glob[at] == '^')) {
    token.negated = true;
    ++at;
  }
  while (at < glob.size()) {
    if (glob[at] == ']' && !token.ranges.empty()) {
      ++at;
      return token;
    }
    if (glob[at] == '\\' && at + 1 < glob.size()) ++at;
    Range range;
    range.first = range.last = NextCharacter(glob, at);
    if (at + 1 < glob.size() && glob[at] == '-' && glob[at + 1] != ']') {
      ++at;
      if (glob[at] == '\\' && at + 1 < glob.size()) ++at;
      range.last = NextCharacter(glob, at);
      if (range.last < range.first) return std::nullopt;
    }
    token.ranges.push_back(range);
  }
  return std::nullopt;
}

std::optional<std::vector<Token>> ParseGlob(std::string_view glob) {
  if (glob.empty() || glob.size() > kMaxGlobBytes) return std::nullopt;
  std::vector<Token> tokens;
  const auto add = [&](Token::Kind kind) { tokens.emplace_back().kind = kind; };
  for (size_t at = 0; at < glob.size();) {
    const char c = glob[at];
    if (c == '*') {
      size_t end = at;
      while (end < glob.size() && glob[end] == '*') ++end;
      const bool deep = end - at >= 2;
      const bool begins_part = at == 0 || glob[at - 1] == '/';
      at = end;
      if (deep && begins_part && at < glob.size() && glob[at] == '/') {
        add(Token::Kind::kFolders);
        ++at;
      } else {
        add(deep ? Token::Kind::kAnyDeep : Token::Kind::kAny);
      }
    } else if (c == '?') {
      add(Token::Kind::kAnyOne);
      ++at;
    } else if (c == '[') {
      ++at;
      auto token = ParseClass(glob, at);
      if (!token.has_value()) return std::nullopt;
      tokens.push_back(std::move(*token));
    } else {
      if (c == '\\') {
        ++at;
        if (at == glob.size()) return std::nullopt;
      }
      const char32_t value = NextCharacter(glob, at);
      tokens.emplace_back().ranges.push_back({value, value});
    }
  }
  if (glob.back() == '/') add(Token::Kind::kAnyDeep);
  return tokens;
}

bool TakesCharacter(const Token& token, char32_t c) {
  const bool in_ranges = std::any_of(
      token.ranges.begin(), token.ranges.end(),
      [c](const Range& range) { return range.first <= c && c <= range.last; });
  switch (token.kind) {
    case Token::Kind::kOne:
      return in_ranges;
    case Token::Kind::kClass:
      return c != '/' && in_ranges != token.negated;
    case Token::Kind::kAnyOne:
    case Token::Kind::kAny:
      return c != '/';
    case Token::Kind::kAnyDeep:
    case Token::Kind::kFolders:
      return true;
  }
  return false;
}

// All places of the text that a prefix of the tokens can end at, token by
// token: no glob takes longer than the product of the lengths.
bool MatchTokens(const std::vector<Token>& tokens, std::string_view text) {
  std::vector<char32_t> characters;
  for (size_t at = 0; at < text.size();) {
    characters.push_back(NextCharacter(text, at));
  }
  const size_t count = characters.size();
  std::vector<bool> now(count + 1, false);
  now[0] = true;
  for (const Token& token : tokens) {
    std::vector<bool> next(count + 1, false);
    bool open = false;  // a run that began before is going on
    for (size_t i = 0; i <= count; ++i) {
      switch (token.kind) {
        case Token::Kind::kAny:
        case Token::Kind::kAnyDeep:
          open = now[i] || (open && TakesCharacter(token, characters[i - 1]));
          if (open) next[i] = true;
          break;
        case Token::Kind::kFolders:
          // None, or whole folders: an end is behind a '/'.
          if (now[i] || (open && characters[i - 1] == '/')) next[i] = true;
          open = open || now[i];
          break;
        default:
          if (now[i] && i < count && TakesCharacter(token, characters[i])) {
            next[i + 1] = true;
          }
      }
    }
    now = std::move(next);
  }
  return now[count];
}

std::string_view LastPart(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

std::string_view FolderOf(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? "" : path.substr(0, slash + 1);
}

// The path that globs and names are compared with.
const std::string& PathOf(const Metainfo& metainfo, size_t file) {
  return metainfo.single_file ? metainfo.name : metainfo.files[file].path;
}

std::string FileList(const Metainfo& metainfo) {
  std::string list;
  size_t listed = 0;
  size_t left = 0;
  for (size_t i = 0; i < metainfo.files.size(); ++i) {
    if (metainfo.files[i].is_pad) continue;
    if (listed == kMaxListedFiles) {
      ++left;
      continue;
    }
    ++listed;
    list += StrCat(list.empty() ? "" : ", ", i, " ",
                   EscapeForTerminal(PathOf(metainfo, i), 80));
  }
  if (left > 0) list += StrCat(" and ", left, " more");
  return list;
}

verify::Unexpected FailSelect(const Metainfo& metainfo, std::string message,
                              std::string hint = {}) {
  if (hint.empty()) hint = StrCat("the files: ", FileList(metainfo));
  return Fail(ErrorCode::kInvalidArgument, std::move(message))
      .Id("E-SELECT")
      .Hint(std::move(hint));
}

class Selector {
 public:
  Selector(const Metainfo& metainfo, const SelectionRequest& request)
      : metainfo_(metainfo), request_(request) {
    chosen_.files.assign(metainfo.files.size(), false);
  }

  Result<Selection> Run() {
    const bool all = request_.select.empty() && request_.files.empty() &&
                     request_.indices.empty();
    for (size_t i = 0; i < metainfo_.files.size(); ++i) {
      if (all && !metainfo_.files[i].is_pad) chosen_.files[i] = true;
    }
    for (const std::string& glob : request_.select) {
      RETURN_IF_ERROR(AddGlob(glob));
    }
    for (const std::string& item : request_.files) {
      RETURN_IF_ERROR(AddItem(item));
    }
    for (const uint32_t index : request_.indices) {
      RETURN_IF_ERROR(AddIndices(index, index, StrCat("so=", index)));
    }
    std::vector<bool> excluded(metainfo_.files.size(), false);
    for (const std::string& glob : request_.exclude) {
      RETURN_IF_ERROR(ForEachMatch(
          "--exclude", glob, [&](size_t file) { excluded[file] = true; }));
    }
    NoteIndexes(excluded);
    // so= and a list that programs made are meant to the letter.
    if (!request_.select.empty() || !request_.files.empty()) AddCompanions();
    for (size_t i = 0; i < excluded.size(); ++i) {
      if (excluded[i]) chosen_.files[i] = false;
    }
    if (chosen_.NumWanted() == 0) {
      return FailSelect(metainfo_, "no file of the torrent is left to fetch");
    }
    return std::move(chosen_);
  }

 private:
  template <typename F>
  Result<void> ForEachMatch(std::string_view flag, const std::string& glob,
                            F&& body) {
    const auto tokens = ParseGlob(glob);
    const std::string shown =
        StrCat(flag, " \"", EscapeForTerminal(glob), "\"");
    if (!tokens.has_value()) {
      return FailSelect(metainfo_, StrCat(shown, ": not a pattern"),
                        "a [ needs its ], a \\ needs a character behind it");
    }
    const bool whole = glob.find('/') != std::string::npos;
    size_t matches = 0;
    for (size_t i = 0; i < metainfo_.files.size(); ++i) {
      if (metainfo_.files[i].is_pad) continue;
      const std::string& path = PathOf(metainfo_, i);
      if (!MatchTokens(*tokens, whole ? path : LastPart(path))) continue;
      ++matches;
      body(i);
    }
    if (matches > 0) return {};
    return FailSelect(metainfo_, StrCat(shown, " fits no file of the torrent"));
  }

  Result<void> AddGlob(const std::string& glob) {
    return ForEachMatch("--select", glob,
                        [&](size_t file) { chosen_.files[file] = true; });
  }

  bool AddName(std::string_view name) {
    for (size_t i = 0; i < metainfo_.files.size(); ++i) {
      if (metainfo_.files[i].is_pad || PathOf(metainfo_, i) != name) continue;
      chosen_.files[i] = true;
      return true;
    }
    return false;
  }

  // A name may hold a comma, so the whole comes first.
  Result<void> AddItem(const std::string& item) {
    if (AddName(item)) return {};
    std::string_view rest = item;
    while (true) {
      const size_t comma = rest.find(',');
      const std::string_view part = verify::TrimAscii(rest.substr(0, comma));
      RETURN_IF_ERROR(AddPart(part));
      if (comma == std::string_view::npos) return {};
      rest.remove_prefix(comma + 1);
    }
  }

  Result<void> AddPart(std::string_view part) {
    if (AddName(part)) return {};
    const std::string shown =
        StrCat("--files \"", EscapeForTerminal(part), "\"");
    uint32_t first = 0;
    const char* const end = part.data() + part.size();
    auto read = std::from_chars(part.data(), end, first);
    if (read.ec == std::errc{}) {
      uint32_t last = first;
      if (read.ptr != end && *read.ptr == '-') {
        read = std::from_chars(read.ptr + 1, end, last);
      }
      if (read.ec == std::errc{} && read.ptr == end && first <= last) {
        return AddIndices(first, last, shown);
      }
    }
    return FailSelect(metainfo_,
                      StrCat(shown, " is no index or file of the torrent"));
  }

  Result<void> AddIndices(uint32_t first, uint32_t last,
                          const std::string& shown) {
    if (last >= metainfo_.files.size()) {
      return FailSelect(metainfo_, StrCat(shown, ": the last file is number ",
                                          metainfo_.files.size() - 1));
    }
    for (size_t i = first; i <= last; ++i) {
      if (metainfo_.files[i].is_pad && first == last) {
        return FailSelect(metainfo_,
                          StrCat(shown, ": file ", i, " is padding"));
      }
      if (!metainfo_.files[i].is_pad) chosen_.files[i] = true;
    }
    return {};
  }

  void NoteIndexes(const std::vector<bool>& excluded) {
    if (request_.select.empty() && request_.files.empty()) return;
    for (size_t i = 0; i < metainfo_.files.size(); ++i) {
      if (chosen_.files[i] && !excluded[i] &&
          PathOf(metainfo_, i).ends_with(".safetensors.index.json")) {
        chosen_.shard_indexes.push_back(i);
      }
    }
  }

  // Weights are of no use without what says how to read them.
  void AddCompanions() {
    static constexpr std::array<std::string_view, 4> kWeights = {
        ".safetensors", ".pth", ".pt", ".bin"};
    static constexpr std::array<std::string_view, 8> kCompanions = {
        "params.json",     "config.json",    "generation_config.json",
        "tokenizer.model", "tokenizer.json", "tokenizer_config.json",
        "tekken.json",     "RELEASE"};
    const std::vector<bool> asked = chosen_.files;
    std::vector<std::string_view> folders;
    for (size_t i = 0; i < asked.size(); ++i) {
      if (!asked[i]) continue;
      const std::string& path = PathOf(metainfo_, i);
      if (std::any_of(
              kWeights.begin(), kWeights.end(),
              [&](std::string_view end) { return path.ends_with(end); })) {
        folders.push_back(FolderOf(path));
      }
    }
    std::sort(folders.begin(), folders.end());
    for (size_t i = 0; i < metainfo_.files.size(); ++i) {
      if (metainfo_.files[i].is_pad) continue;
      const std::string& path = PathOf(metainfo_, i);
      const std::string_view name = LastPart(path);
      const bool companion = name.ends_with(".safetensors.index.json") ||
                             std::find(kCompanions.begin(), kCompanions.end(),
                                       name) != kCompanions.end();
      if (companion &&
          std::binary_search(folders.begin(), folders.end(), FolderOf(path))) {
        chosen_.files[i] = true;
      }
    }
  }

  const Metainfo& metainfo_;
  const SelectionRequest& request_;
  Selection chosen_;
};

}  // namespace

bool Selection::IsAll(const Metainfo& metainfo) const {
  for (size_t i = 0; i < metainfo.files.size(); ++i) {
    if (!metainfo.files[i].is_pad && !files[i]) return false;
  }
  return true;
}

uint64_t Selection::WantedBytes(const Metainfo& metainfo) const {
  uint64_t bytes = 0;
  for (size_t i = 0; i < files.size(); ++i) {
    if (files[i]) bytes += metainfo.files[i].size_bytes;
  }
  return bytes;
}

size_t Selection::NumWanted() const {
  return static_cast<size_t>(std::count(files.begin(), files.end(), true));
}

Result<Selection> SelectFiles(const Metainfo& metainfo,
                              const SelectionRequest& request) {
  return Selector(metainfo, request).Run();
}

Result<void> AddShards(const Metainfo& metainfo,
                       const SelectionRequest& request, size_t index_file,
                       const std::vector<std::string>& shards,
                       Selection& selection) {
  const std::string& index = PathOf(metainfo, index_file);
  const std::string_view folder = FolderOf(index);
  std::unordered_map<std::string_view, size_t> by_path;
  for (size_t i = 0; i < metainfo.files.size(); ++i) {
    if (!metainfo.files[i].is_pad) by_path.emplace(PathOf(metainfo, i), i);
  }
  for (const std::string& shard : shards) {
    const std::string path = StrCat(folder, shard);
    const auto found = by_path.find(path);
    if (found == by_path.end()) {
      return Fail(ErrorCode::kCorrupt,
                  StrCat("\"", EscapeForTerminal(index, 120),
                         "\" names the shard \"", EscapeForTerminal(shard, 120),
                         "\", which is not in the torrent"))
          .Id("E-SHARD")
          .Hint(
              "the torrent does not hold the whole model; choose single "
              "files of it to fetch them all the same");
    }
    const bool excluded = std::any_of(
        request.exclude.begin(), request.exclude.end(),
        [&](const std::string& glob) { return GlobMatches(glob, path); });
    if (!excluded) selection.files[found->second] = true;
  }
  return {};
}

bool GlobMatches(std::string_view glob, std::string_view path) {
  const auto tokens = ParseGlob(glob);
  if (!tokens.has_value()) return false;
  const bool whole = glob.find('/') != std::string_view::npos;
  return MatchTokens(*tokens, whole ? path : LastPart(path));
}

}  // namespace p2p
