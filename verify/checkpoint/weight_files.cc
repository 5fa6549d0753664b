// SPDX-License-Identifier: Apache-2.0
#include "verify/checkpoint/weight_files.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <optional>
#include <system_error>
#include <utility>

#include "verify/base/file.h"
#include "verify/base/text.h"

namespace verify {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxFolderEntries = 100'000;

// What the name of a part says.
struct PartName {
  std::string before;  // the number
  std::string after;
  size_t digits = 0;
  uint64_t number = 0;  // from 0
  uint64_t first = 0;   // how the first is numbered in its name
  uint64_t count = 0;   // 0: not said

  std::string group() const { return StrCat(before, "*", after); }
  std::string name_of(uint64_t index) const {
    std::string text = std::to_string(index + first);
    if (text.size() < digits) text.insert(0, digits - text.size(), '0');
    return StrCat(before, text, after);
  }
};

std::optional<uint64_t> Digits(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || text.size() > 9 || error != std::errc() ||
      end != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

// "consolidated.07.pt"
std::optional<PartName> NumberedPart(std::string_view name) {
  constexpr std::string_view kPrefix = "consolidated.";
  for (const std::string_view extension : {".pth", ".pt"}) {
    if (!name.starts_with(kPrefix) || !name.ends_with(extension) ||
        name.size() <= kPrefix.size() + extension.size()) {
      continue;
    }
    const std::string_view digits = name.substr(
        kPrefix.size(), name.size() - kPrefix.size() - extension.size());
    const auto number = Digits(digits);
    if (!number.has_value() || *number >= kMaxWeightParts) return std::nullopt;
    return PartName{std::string(kPrefix),
                    std::string(extension),
                    digits.size(),
                    *number,
                    0,
                    0};
  }
  return std::nullopt;
}

// "model-00002-of-00003.gguf"
std::optional<PartName> CountedPart(std::string_view name) {
  const bool is_gguf = name.ends_with(".gguf");
  if (!is_gguf &&
      !(name.starts_with("consolidated-") && name.ends_with(".safetensors"))) {
    return std::nullopt;
  }
  const size_t dot = name.rfind('.');
  constexpr std::string_view kOf = "-of-";
  const size_t of = name.substr(0, dot).rfind(kOf);
  if (of == std::string_view::npos || of == 0) return std::nullopt;
  const size_t dash = name.rfind('-', of - 1);
  if (dash == std::string_view::npos || dash == 0) return std::nullopt;
  if (!is_gguf && dash + 1 != std::string_view("consolidated-").size()) {
    return std::nullopt;
  }
  const std::string_view digits = name.substr(dash + 1, of - dash - 1);
  const auto number = Digits(digits);
  const auto count =
      Digits(name.substr(of + kOf.size(), dot - of - kOf.size()));
  if (!number.has_value() || !count.has_value() || *number == 0 ||
      *number > *count || *count > kMaxWeightParts) {
    return std::nullopt;
  }
  return PartName{std::string(name.substr(0, dash + 1)),
                  std::string(name.substr(of)),
                  digits.size(),
                  *number - 1,
                  1,
                  *count};
}

std::optional<PartName> ParsePartName(std::string_view name) {
  auto part = NumberedPart(name);
  return part.has_value() ? part : CountedPart(name);
}

bool IsWholeCheckpoint(std::string_view name) {
  return name == "consolidated.safetensors" || name == "model.safetensors" ||
         name == kShardIndexName || name.ends_with(".gguf");
}

constexpr std::string_view kCompressedExtensions[] = {".zst", ".zstd"};

// "consolidated.00.pth" of "consolidated.00.pth.zst"; of another name itself.
std::string_view WithoutCompression(std::string_view name) {
  for (const std::string_view extension : kCompressedExtensions) {
    if (name.ends_with(extension)) {
      return name.substr(0, name.size() - extension.size());
    }
  }
  return name;
}

Result<std::vector<std::string>> ListNames(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  fs::directory_iterator it(folder, error);
  for (; !error && it != fs::directory_iterator(); it.increment(error)) {
    if (names.size() >= kMaxFolderEntries) {
      return Fail(ErrorCode::kLimit,
                  StrCat("\"", EscapeForTerminal(folder), "\" holds more than ",
                         kMaxFolderEntries, " files"));
    }
    std::error_code ignored;
    if (!it->is_regular_file(ignored)) continue;
    names.push_back(it->path().filename().string());
  }
  if (error) return FailErrno("list", folder, error.value());
  std::sort(names.begin(), names.end());
  return names;
}

// What the name of a piece says of it.
struct PieceName {
  std::string whole;   // the name of the file that was cut
  std::string before;  // the number, from `whole` on
  std::string after;
  uint64_t number = 0;  // from 0
  uint64_t first = 0;   // how the first is numbered in its name
  uint64_t count = 0;   // 0: not said
  size_t letters = 0;   // not 0: the number is so many letters

  std::string group() const {
    return StrCat(whole, before, letters, "*", after);
  }
  std::string name_of(uint64_t index) const {
    std::string text;
    for (size_t i = 0; i < letters; ++i, index /= kLetters) {
      text.insert(0, 1, static_cast<char>('a' + index % kLetters));
    }
    if (letters == 0) text = std::to_string(index + first);
    return StrCat(whole, before, text, after);
  }
  static constexpr uint64_t kLetters = 26;
};

// "model.gguf-split-b", "consolidated.00.pth-split1"
std::optional<PieceName> SplitPiece(std::string_view name) {
  constexpr std::string_view kSplit = "-split";
  const size_t at = name.rfind(kSplit);
  if (at == std::string_view::npos || at == 0) return std::nullopt;
  PieceName piece;
  piece.whole = name.substr(0, at);
  piece.before = kSplit;
  std::string_view rest = name.substr(at + kSplit.size());
  if (const auto number = Digits(rest); number.has_value()) {
    piece.number = *number;
    // "1" and "01" would be the same piece.
    if (std::to_string(*number) != rest) return std::nullopt;
    return piece;
  }
  if (!rest.starts_with('-')) return std::nullopt;
  rest.remove_prefix(1);
  piece.before += '-';
  piece.letters = rest.size();
  if (rest.empty() || rest.size() > 2) return std::nullopt;
  for (const char c : rest) {
    if (c < 'a' || c > 'z') return std::nullopt;
    piece.number =
        piece.number * PieceName::kLetters + static_cast<uint64_t>(c - 'a');
  }
  return piece;
}

// "model.gguf.part1of2"
std::optional<PieceName> CountedPiece(std::string_view name) {
  constexpr std::string_view kPart = ".part";
  const size_t at = name.rfind(kPart);
  if (at == std::string_view::npos || at == 0) return std::nullopt;
  const std::string_view rest = name.substr(at + kPart.size());
  const size_t of = rest.find("of");
  if (of == std::string_view::npos) return std::nullopt;
  const auto number = Digits(rest.substr(0, of));
  const auto count = Digits(rest.substr(of + 2));
  if (!number.has_value() || !count.has_value() || *number == 0 ||
      *number > *count || std::to_string(*number) != rest.substr(0, of)) {
    return std::nullopt;
  }
  return PieceName{std::string(name.substr(0, at)),
                   std::string(kPart),
                   std::string(rest.substr(of)),
                   *number - 1,
                   1,
                   *count,
                   0};
}

std::optional<PieceName> ParsePieceName(std::string_view name) {
  auto piece = SplitPiece(name);
  if (!piece.has_value()) piece = CountedPiece(name);
  if (!piece.has_value() || piece->number >= kMaxWeightParts ||
      piece->count > kMaxWeightParts) {
    return std::nullopt;
  }
  return piece;
}

// A file by its name, or its pieces in order.
struct FoundFile {
  std::string name;
  std::vector<PieceName> pieces;  // none: it is whole
  std::optional<PartName> part;   // what its name says, if it is one of several
  bool is_compressed = false;

  // A name that is there.
  std::string name_here() const {
    return pieces.empty() ? name
                          : pieces.front().name_of(pieces.front().number);
  }
};

struct FoundSet {
  std::vector<FoundFile> files;

  bool is_compressed() const {
    return std::all_of(files.begin(), files.end(), [](const FoundFile& file) {
      return file.is_compressed;
    });
  }
};

// Weights among the names, which are sorted, each whole or in pieces.
std::vector<FoundFile> FindFiles(const std::vector<std::string>& names) {
  std::vector<FoundFile> files;
  std::map<std::string, size_t> by_group;
  for (const std::string& name : names) {
    auto piece = ParsePieceName(name);
    const std::string_view plain = WithoutCompression(name);
    const bool is_compressed = !piece.has_value() && plain != name;
    const std::string whole(piece.has_value() ? piece->whole : plain);
    auto part = ParsePartName(whole);
    if (!part.has_value() && !IsWholeCheckpoint(whole)) continue;
    if (whole == kShardIndexName && whole != name) continue;
    // What was unpacked beside its archive is what is used.
    if (is_compressed &&
        std::binary_search(names.begin(), names.end(), whole)) {
      continue;
    }
    if (!piece.has_value()) {
      files.push_back({name, {}, std::move(part), is_compressed});
      continue;
    }
    const auto [it, is_new] = by_group.emplace(piece->group(), files.size());
    if (is_new) files.push_back({whole, {}, std::move(part), false});
    files[it->second].pieces.push_back(*std::move(piece));
  }
  for (FoundFile& file : files) {
    std::sort(file.pieces.begin(), file.pieces.end(),
              [](const PieceName& a, const PieceName& b) {
                return a.number < b.number;
              });
  }
  return files;
}

std::vector<FoundSet> GroupNames(const std::vector<std::string>& names) {
  std::vector<FoundSet> sets;
  std::map<std::string, size_t> by_group;
  for (FoundFile& file : FindFiles(names)) {
    if (!file.part.has_value()) {
      sets.push_back({{std::move(file)}});
      continue;
    }
    const auto [it, is_new] = by_group.emplace(file.part->group(), sets.size());
    if (is_new) sets.emplace_back();
    sets[it->second].files.push_back(std::move(file));
  }
  for (FoundSet& set : sets) {
    std::sort(set.files.begin(), set.files.end(),
              [](const FoundFile& a, const FoundFile& b) {
                return a.part.has_value() && b.part.has_value() &&
                       a.part->number < b.part->number;
              });
  }
  return sets;
}

WeightSet InFolder(const std::string& folder, const FoundSet& found) {
  WeightSet set;
  set.is_index = found.files.front().name == kShardIndexName;
  const auto in_folder = [&](const std::string& name) {
    return (fs::path(folder) / name).string();
  };
  for (const FoundFile& file : found.files) {
    set.files.push_back(in_folder(file.name));
    std::vector<std::string> pieces;
    for (const PieceName& piece : file.pieces) {
      pieces.push_back(in_folder(piece.name_of(piece.number)));
    }
    set.pieces.push_back(std::move(pieces));
  }
  return set;
}

Unexpected Lacks(const std::string& folder, const std::string& name,
                 std::string_view of_what) {
  return Fail(ErrorCode::kNotFound,
              StrCat("\"", EscapeForTerminal(folder), "\" lacks \"",
                     EscapeForTerminal(name, 200), "\", ", of_what))
      .Id(kShardMissing)
      .Hint("fetch the missing file; without it the model is none");
}

Result<void> CheckPieces(const std::string& folder, const FoundFile& file) {
  const std::vector<PieceName>& pieces = file.pieces;
  if (pieces.empty()) return {};
  // Where no name says how many there are, a last one that is missing is seen
  // when the whole is read.
  const uint64_t count =
      pieces.front().count > 0 ? pieces.front().count : pieces.size();
  for (uint64_t i = 0; i < count; ++i) {
    if (i < pieces.size() && pieces[static_cast<size_t>(i)].number == i) {
      continue;
    }
    return Lacks(
        folder, pieces.front().name_of(i),
        StrCat("a piece of \"", EscapeForTerminal(file.name, 200), "\""));
  }
  return {};
}

// Every number there is to be is there, each once: "1" and "01" are the same.
Result<void> CheckComplete(const std::string& folder, const FoundSet& found) {
  const std::vector<FoundFile>& files = found.files;
  if (files.front().part.has_value()) {
    const PartName& first = *files.front().part;
    const uint64_t count =
        first.count > 0 ? first.count : files.back().part->number + 1;
    for (size_t i = 1; i < files.size(); ++i) {
      if (files[i].part->number != files[i - 1].part->number) continue;
      return Fail(ErrorCode::kInvalidArgument,
                  StrCat("\"", EscapeForTerminal(folder), "\" holds part ",
                         files[i].part->number + first.first,
                         " of its weights twice, as \"",
                         EscapeForTerminal(files[i - 1].name_here(), 200),
                         "\" and as \"",
                         EscapeForTerminal(files[i].name_here(), 200), "\""))
          .Id("E-SHARDS");
    }
    for (uint64_t i = 0; i < count; ++i) {
      const auto place = static_cast<size_t>(i);
      if (i < files.size() && files[place].part->number == i) continue;
      return Lacks(folder, first.name_of(i),
                   StrCat("one of ", count, " files of its weights"));
    }
  }
  for (const FoundFile& file : files) {
    RETURN_IF_ERROR(CheckPieces(folder, file));
  }
  return {};
}

// Whether `name`, which is there or not, is this file or a piece of it.
bool Names(const FoundFile& file, const std::string& name,
           const std::optional<PieceName>& piece, bool is_there) {
  if (piece.has_value()) {
    return !file.pieces.empty() &&
           file.pieces.front().group() == piece->group();
  }
  return file.name == name && file.pieces.empty() == is_there;
}

}  // namespace

std::string PathHere(const std::string& path) {
  std::error_code ignored;
  if (fs::exists(path, ignored)) return path;
  for (const std::string_view extension : kCompressedExtensions) {
    const std::string compressed = StrCat(path, extension);
    if (fs::is_regular_file(compressed, ignored)) return compressed;
  }
  return path;
}

bool WeightSet::in_pieces() const {
  return std::any_of(pieces.begin(), pieces.end(),
                     [](const auto& of_file) { return !of_file.empty(); });
}

Result<std::vector<WeightSet>> ListWeightSets(const std::string& folder) {
  ASSIGN_OR_RETURN(const auto names, ListNames(folder));
  std::vector<WeightSet> sets;
  for (const FoundSet& found : GroupNames(names)) {
    if (!found.is_compressed()) sets.push_back(InFolder(folder, found));
  }
  return sets;
}

Result<WeightSet> ChooseWeightSet(const std::string& folder) {
  ASSIGN_OR_RETURN(const auto names, ListNames(folder));
  std::vector<FoundSet> found = GroupNames(names);
  const std::string shown = EscapeForTerminal(folder);
  // Beside weights that can be used as they are, compressed ones are passed
  // over.
  if (!std::all_of(found.begin(), found.end(),
                   [](const FoundSet& set) { return set.is_compressed(); })) {
    std::erase_if(found,
                  [](const FoundSet& set) { return set.is_compressed(); });
  }
  if (found.empty()) {
    return Fail(ErrorCode::kNotFound,
                StrCat("\"", shown, "\": no weights in this folder"))
        .Hint(
            "looked for consolidated.*.pth, consolidated.*.pt, "
            "consolidated*.safetensors, model.safetensors.index.json, "
            "model.safetensors and *.gguf");
  }
  if (found.size() > 1) {
    std::string list;
    for (const FoundSet& set : found) {
      if (!list.empty()) list += ", ";
      list += EscapeForTerminal(set.files.front().name_here(), 128);
    }
    return Fail(ErrorCode::kInvalidArgument,
                StrCat("\"", shown, "\" holds weights more than once: ", list))
        .Hint("name the file to use instead of its folder");
  }
  RETURN_IF_ERROR(CheckComplete(folder, found.front()));
  return InFolder(folder, found.front());
}

Result<WeightSet> WeightSetOf(const std::string& path) {
  const fs::path full(path);
  const std::string name = full.filename().string();
  const auto piece = ParsePieceName(name);
  const auto part =
      ParsePartName(piece.has_value() ? std::string_view(piece->whole)
                                      : WithoutCompression(name));
  std::error_code ignored;
  const bool is_there = fs::exists(full, ignored);
  const WeightSet alone{{path}, name == kShardIndexName, {{}}};
  if (!piece.has_value() && !part.has_value() && is_there) return alone;
  const std::string folder =
      full.has_parent_path() ? full.parent_path().string() : ".";
  ASSIGN_OR_RETURN(const auto names, ListNames(folder));
  for (const FoundSet& found : GroupNames(names)) {
    const bool is_in = std::any_of(found.files.begin(), found.files.end(),
                                   [&](const FoundFile& file) {
                                     return Names(file, name, piece, is_there);
                                   });
    if (!is_in) continue;
    // One file of what may be one: whatever its number.
    if (found.files.size() == 1 && found.files.front().pieces.empty() &&
        (!part.has_value() || part->count == 0)) {
      return alone;
    }
    RETURN_IF_ERROR(CheckComplete(folder, found));
    return full.has_parent_path() ? InFolder(folder, found)
                                  : InFolder("", found);
  }
  return alone;
}

}  // namespace verify
