// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/licence.h"

#include <algorithm>
#include <array>

#include "verify/base/file.h"
#include "verify/base/text.h"

namespace cli {
namespace {

constexpr uint64_t kMaxLicenceBytes = 4u << 20;
constexpr size_t kMaxNameBytes = 80;

struct Known {
  std::string_view phrase;  // lower case
  std::string_view name;
};

// The more telling phrase first.
constexpr std::array<Known, 10> kKnown = {{
    {"apache license version 2.0", "Apache-2.0"},
    {"mit license", "MIT"},
    {"gnu affero general public license", "AGPL"},
    {"gnu lesser general public license", "LGPL"},
    {"gnu general public license", "GPL"},
    {"mistral ai research license", "Mistral Research License"},
    {"mistral ai non-production license", "Mistral Non-Production License"},
    {"llama 2 community license", "Llama 2 Community License"},
    {"llama 3 community license", "Llama 3 Community License"},
    {"creative commons attribution-noncommercial", "CC-BY-NC"},
}};

// Lower case, with single spaces.
std::string Squeeze(std::string_view text) {
  std::string out;
  for (const char c : verify::AsciiLower(text)) {
    const bool blank =
        c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == ',';
    if (!blank) {
      out.push_back(c);
    } else if (!out.empty() && out.back() != ' ') {
      out.push_back(' ');
    }
  }
  return out;
}

}  // namespace

std::optional<std::string> LicenceOfText(std::string_view text) {
  constexpr size_t kTitleBytes = 2000;
  const std::string start = Squeeze(text.substr(0, kTitleBytes));
  for (const Known& known : kKnown) {
    if (start.find(known.phrase) != std::string::npos) {
      return std::string(known.name);
    }
  }
  return std::nullopt;
}

std::optional<std::string> LicenceOfCard(std::string_view text) {
  if (!text.starts_with("---")) return std::nullopt;
  size_t at = text.find('\n');
  while (at != std::string_view::npos) {
    const size_t begin = at + 1;
    at = text.find('\n', begin);
    const std::string_view line =
        text.substr(begin, at == std::string_view::npos ? at : at - begin);
    if (line.starts_with("---")) return std::nullopt;
    constexpr std::string_view kKey = "license:";
    if (!line.starts_with(kKey)) continue;
    std::string_view value = verify::TrimAscii(line.substr(kKey.size()));
    if (value.size() >= 2 && (value.front() == '"' || value.front() == '\'') &&
        value.back() == value.front()) {
      value = value.substr(1, value.size() - 2);
    }
    if (value.empty() || value.size() > kMaxNameBytes) return std::nullopt;
    return std::string(value);
  }
  return std::nullopt;
}

std::optional<Licence> FindLicence(const std::vector<NamedFile>& files) {
  const auto look = [&](std::string_view name,
                        auto&& reader) -> std::optional<Licence> {
    for (const NamedFile& file : files) {
      const std::string lower = verify::AsciiLower(file.name);
      if (lower != name && lower != std::string(name) + ".txt" &&
          lower != std::string(name) + ".md") {
        continue;
      }
      const auto text = verify::ReadSmallTextFile(file.path, kMaxLicenceBytes);
      if (!text) continue;
      if (auto found = reader(*text)) return Licence{*found, file.name};
    }
    return std::nullopt;
  };
  if (auto card = look("readme", LicenceOfCard)) return card;
  for (const std::string_view name : {"license", "licence", "copying"}) {
    if (auto text = look(name, LicenceOfText)) return text;
  }
  return std::nullopt;
}

}  // namespace cli
