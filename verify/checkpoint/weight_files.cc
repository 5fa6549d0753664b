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

// A set and what is known of its parts.
struct FoundSet {
  std::vector<PartName> parts;  // none: `name` is a file by itself
  std::string name;
};

std::vector<FoundSet> GroupNames(const std::vector<std::string>& names) {
  std::vector<FoundSet> sets;
  std::map<std::string, size_t> by_group;
  for (const std::string& name : names) {
    auto part = ParsePartName(name);
    if (part.has_value()) {
      const auto [it, is_new] = by_group.emplace(part->group(), sets.size());
      if (is_new) sets.push_back({{}, name});
      sets[it->second].parts.push_back(*std::move(part));
    } else if (IsWholeCheckpoint(name)) {
      sets.push_back({{}, name});
    }
  }
  for (FoundSet& set : sets) {
    std::sort(set.parts.begin(), set.parts.end(),
              [](const PartName& a, const PartName& b) {
                return a.number < b.number;
              });
  }
  return sets;
}

WeightSet InFolder(const std::string& folder, const FoundSet& found) {
  WeightSet set;
  set.is_index = found.name == kShardIndexName;
  const auto add = [&](const std::string& name) {
    set.files.push_back((fs::path(folder) / name).string());
  };
  for (const PartName& part : found.parts) add(part.name_of(part.number));
  if (found.parts.empty()) add(found.name);
  return set;
}

// Every number there is to be is there, each once: "1" and "01" are the same.
Result<void> CheckComplete(const std::string& folder, const FoundSet& found) {
  const std::vector<PartName>& parts = found.parts;
  if (parts.empty()) return {};
  const uint64_t count =
      parts.front().count > 0 ? parts.front().count : parts.back().number + 1;
  for (size_t i = 1; i < parts.size(); ++i) {
    if (parts[i].number != parts[i - 1].number) continue;
    return Fail(ErrorCode::kInvalidArgument,
                StrCat("\"", EscapeForTerminal(folder), "\" holds part ",
                       parts[i].number + parts[i].first,
                       " of its weights twice, under names of other lengths"))
        .Id("E-SHARDS");
  }
  for (uint64_t i = 0; i < count; ++i) {
    if (i < parts.size() && parts[i].number == i) continue;
    return Fail(ErrorCode::kNotFound,
                StrCat("\"", EscapeForTerminal(folder), "\" lacks \"",
                       EscapeForTerminal(parts.front().name_of(i), 200),
                       "\", one of ", count, " files of its weights"))
        .Id(kShardMissing)
        .Hint("fetch the missing file; without it the model is none");
  }
  return {};
}

}  // namespace

Result<std::vector<WeightSet>> ListWeightSets(const std::string& folder) {
  ASSIGN_OR_RETURN(const auto names, ListNames(folder));
  std::vector<WeightSet> sets;
  for (const FoundSet& found : GroupNames(names)) {
    sets.push_back(InFolder(folder, found));
  }
  return sets;
}

Result<WeightSet> ChooseWeightSet(const std::string& folder) {
  ASSIGN_OR_RETURN(const auto names, ListNames(folder));
  const std::vector<FoundSet> found = GroupNames(names);
  const std::string shown = EscapeForTerminal(folder);
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
      list += EscapeForTerminal(set.name, 128);
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
  const auto part = ParsePartName(name);
  WeightSet alone{{path}, name == kShardIndexName};
  if (!part.has_value()) return alone;
  const std::string folder =
      full.has_parent_path() ? full.parent_path().string() : ".";
  ASSIGN_OR_RETURN(const auto names, ListNames(folder));
  for (const FoundSet& found : GroupNames(names)) {
    if (found.parts.empty() || found.parts.front().group() != part->group()) {
      continue;
    }
    // One file of what may be one: whatever its number.
    if (found.parts.size() == 1 && part->count == 0) return alone;
    RETURN_IF_ERROR(CheckComplete(folder, found));
    return full.has_parent_path() ? InFolder(folder, found)
                                  : InFolder("", found);
  }
  return alone;
}

}  // namespace verify
