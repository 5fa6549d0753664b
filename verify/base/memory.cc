// SPDX-License-Identifier: Apache-2.0
#include "verify/base/memory.h"

#include <charconv>
#include <fstream>
#include <sstream>
#include <string>
#include <system_error>

namespace verify {

std::optional<uint64_t> ParseAvailableMemory(std::string_view meminfo) {
  constexpr std::string_view kName = "MemAvailable:";
  size_t at = meminfo.find(kName);
  if (at == std::string_view::npos || (at > 0 && meminfo[at - 1] != '\n')) {
    return std::nullopt;
  }
  at = meminfo.find_first_not_of(' ', at + kName.size());
  if (at == std::string_view::npos) return std::nullopt;
  uint64_t kib = 0;
  const char* const end = meminfo.data() + meminfo.size();
  const auto [stop, error] = std::from_chars(meminfo.data() + at, end, kib);
  constexpr std::string_view kUnit = " kB";
  if (error != std::errc() || kib > (UINT64_MAX >> 10) ||
      !std::string_view(stop, static_cast<size_t>(end - stop))
           .starts_with(kUnit)) {
    return std::nullopt;
  }
  return kib << 10;
}

std::optional<uint64_t> AvailableMemory() {
  std::ifstream file("/proc/meminfo");
  std::ostringstream text;
  text << file.rdbuf();
  return ParseAvailableMemory(text.str());
}

}  // namespace verify
