// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/journal.h"

#include <array>
#include <charconv>
#include <cstdio>

#include "verify/base/bytes.h"
#include "verify/base/text.h"
#include "verify/container/crc32.h"

namespace inference {
namespace {

using verify::StrCat;

constexpr std::string_view kFirstLine = "lodestone conversion journal 1\n";

std::string Hex(uint64_t value, int digits) {
  std::array<char, 20> text{};
  const int size = std::snprintf(text.data(), text.size(), "%0*llx", digits,
                                 static_cast<unsigned long long>(value));
  return {text.data(), static_cast<size_t>(size)};
}

template <typename T>
std::optional<T> Number(std::string_view text, int base) {
  T value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (text.empty() || error != std::errc() ||
      end != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

struct Entry {
  size_t index = 0;
  uint64_t sum = 0;
};

// "12 0123456789abcdef 89abcdef"
std::optional<Entry> ReadLine(std::string_view line) {
  const size_t first = line.find(' ');
  const size_t second = line.rfind(' ');
  if (first == std::string_view::npos || second - first != 17 ||
      line.size() - second != 9) {
    return std::nullopt;
  }
  const auto index = Number<size_t>(line.substr(0, first), 10);
  const auto sum = Number<uint64_t>(line.substr(first + 1, 16), 16);
  const auto crc = Number<uint32_t>(line.substr(second + 1), 16);
  if (!index.has_value() || !sum.has_value() || !crc.has_value() ||
      *crc != verify::Crc32(verify::AsBytes(line.substr(0, second)))) {
    return std::nullopt;
  }
  return Entry{*index, *sum};
}

}  // namespace

std::string JournalHead(const verify::Sha256Digest& plan) {
  return StrCat(kFirstLine, "plan ", verify::HexEncode(plan), '\n');
}

std::string JournalLine(size_t index, uint64_t sum) {
  const std::string line = StrCat(index, ' ', Hex(sum, 16));
  return StrCat(line, ' ', Hex(verify::Crc32(verify::AsBytes(line)), 8), '\n');
}

std::optional<Journal> ReadJournal(std::string_view text,
                                   const verify::Sha256Digest& plan,
                                   size_t num_units) {
  const std::string head = JournalHead(plan);
  if (!text.starts_with(head)) return std::nullopt;
  Journal journal;
  journal.sums.resize(num_units);
  journal.good_bytes = head.size();
  while (true) {
    const size_t end = text.find('\n', journal.good_bytes);
    if (end == std::string_view::npos) return journal;
    const auto entry =
        ReadLine(text.substr(journal.good_bytes, end - journal.good_bytes));
    if (!entry.has_value() || entry->index >= num_units) return journal;
    journal.sums[entry->index] = entry->sum;
    journal.good_bytes = end + 1;
  }
}

}  // namespace inference
