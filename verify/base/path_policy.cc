// SPDX-License-Identifier: Apache-2.0
#include "verify/base/path_policy.h"

#include <algorithm>
#include <array>
#include <limits>

#include "verify/base/name_folding.h"
#include "verify/base/text.h"

namespace verify {
namespace {

constexpr size_t kNamedProblems = 20;

bool IsAsciiLetter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// CON, NUL, COM1 and so on, whatever follows the first dot.
bool IsReservedOnWindows(std::string_view part) {
  std::string stem = AsciiLower(part.substr(0, part.find('.')));
  while (stem.ends_with(' ')) stem.pop_back();
  constexpr std::array<std::string_view, 6> kNames = {
      "con", "prn", "aux", "nul", "conin$", "conout$"};
  if (std::find(kNames.begin(), kNames.end(), stem) != kNames.end()) {
    return true;
  }
  if (!stem.starts_with("com") && !stem.starts_with("lpt")) return false;
  const std::string_view number = std::string_view(stem).substr(3);
  // Windows takes superscript digits too.
  return (number.size() == 1 && number[0] >= '0' && number[0] <= '9') ||
         number == "\xC2\xB9" || number == "\xC2\xB2" || number == "\xC2\xB3";
}

int Rank(std::string_view id) {
  constexpr std::array<std::string_view, 5> kAscending = {
      kPadId, kNameCollisionId, kNameAlteredId, kSymlinkId, kPathId};
  const auto found = std::find(kAscending.begin(), kAscending.end(), id);
  return found == kAscending.end()
             ? 0
             : static_cast<int>(found - kAscending.begin()) + 1;
}

}  // namespace

std::optional<NameProblem> CheckPart(std::string_view part) {
  if (part.empty()) return NameProblem{kPathId, "a part without a name"};
  if (part == "." || part == "..") {
    return NameProblem{kPathId, StrCat("the part \"", part, "\"")};
  }
  if (part.find('/') != std::string_view::npos) {
    return NameProblem{kPathId, "a part that holds \"/\""};
  }
  if (part.find('\\') != std::string_view::npos) {
    return NameProblem{kPathId, "a backslash"};
  }
  if (part.size() >= 2 && part[1] == ':' && IsAsciiLetter(part[0])) {
    return NameProblem{kPathId, "a drive"};
  }
  if (!IsValidUtf8(part)) {
    return NameProblem{kNameAlteredId, "bytes that are not UTF-8"};
  }
  // The list of characters that deceive is kept in one place.
  if (EscapeForTerminal(part, std::numeric_limits<size_t>::max()) != part) {
    return NameProblem{kNameAlteredId, "a control or invisible character"};
  }
  if (part.size() > kMaxPartBytes) {
    return NameProblem{kNameAlteredId,
                       StrCat("a part of ", part.size(), " bytes, at most ",
                              kMaxPartBytes, " are allowed")};
  }
  return std::nullopt;
}

std::optional<NameProblem> CheckPath(std::string_view path,
                                     std::vector<std::string_view>& parts) {
  parts.clear();
  if (path.size() > kMaxPathBytes) {
    return NameProblem{kPathId,
                       StrCat("a path of ", path.size(), " bytes, at most ",
                              kMaxPathBytes, " are allowed")};
  }
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = path.substr(begin, end - begin);
    if (auto problem = CheckPart(part)) return problem;
    if (parts.size() == kMaxPathDepth) {
      return NameProblem{kPathId,
                         StrCat("more than ", kMaxPathDepth, " parts")};
    }
    parts.push_back(part);
    begin = end + 1;
  }
  return std::nullopt;
}

std::optional<std::string> PortabilityProblem(std::string_view part) {
  if (IsReservedOnWindows(part)) return "is reserved on Windows";
  if (part.ends_with('.') || part.ends_with(' ')) {
    return "ends in a dot or blank, which Windows takes away";
  }
  if (part.find_first_of("<>:\"|?*") != std::string_view::npos) {
    return "holds a character that Windows does not store";
  }
  if (part.starts_with('.')) return "is hidden";
  if (part.starts_with('-')) return "looks like an option";
  if (part.starts_with(' ')) return "begins with a blank";
  return std::nullopt;
}

PathSet::Added PathSet::Add(size_t parent, std::string_view name, Kind kind) {
  const bool is_file = kind == Kind::kFile;
  std::string key = StrCat(parent, "/", FoldName(name));
  const auto [entry, is_new] =
      children_.try_emplace(std::move(key), nodes_.size());
  if (is_new) {
    nodes_.push_back({std::string(name), is_file});
    return {entry->second, ""};
  }
  const Node& other = nodes_[entry->second];
  const std::string other_name =
      StrCat("\"", EscapeForTerminal(other.name, 80), "\"");
  std::string collision;
  if (other.name != name) {
    collision = StrCat("equal to ", other_name, " where case is ignored");
  } else if (is_file && other.is_file) {
    collision = "there twice";
  } else if (is_file || other.is_file) {
    collision = StrCat("both file and folder at ", other_name);
  }
  return {entry->second, std::move(collision)};
}

std::optional<std::string> PathSet::AddFile(
    std::span<const std::string_view> parts) {
  size_t parent = kRoot;
  for (size_t i = 0; i < parts.size(); ++i) {
    const bool is_last = i + 1 == parts.size();
    Added added = Add(parent, parts[i], is_last ? Kind::kFile : Kind::kFolder);
    if (!added.collision.empty()) return std::move(added.collision);
    parent = added.node;
  }
  return std::nullopt;
}

void ProblemList::Add(std::string_view id, std::string_view path,
                      std::string reason) {
  if (Rank(id) > Rank(id_)) id_ = id;
  if (count_++ < kNamedProblems) {
    lines_.push_back(
        StrCat("\"", EscapeForTerminal(path, 200), "\": ", reason));
  }
}

std::string_view ProblemList::id() const { return id_; }

std::string ProblemList::Message() const {
  std::string message;
  for (const std::string& line : lines_) {
    if (!message.empty()) message += "; ";
    message += line;
  }
  if (count_ > lines_.size()) {
    message += StrCat("; and ", count_ - lines_.size(), " more");
  }
  return message;
}

}  // namespace verify
