// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "verify/container/tar_reader.h"

// Names of an accepted member stay in the folder and are there once; its
// content lies in the archive.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const verify::MemorySource source(std::as_bytes(std::span(data, size)));
  verify::SourceStream stream(source);
  verify::TarReader tar(stream);
  std::set<std::string> files;
  std::array<std::byte, 300> buffer{};
  uint64_t total = 0;
  while (true) {
    const auto member = tar.Next();
    if (!member || !member->has_value()) return 0;
    const verify::TarMember& found = **member;
    const std::string path = "/" + found.path + "/";
    for (const std::string_view part : {"//", "/../", "/./"}) {
      if (path.find(part) != std::string::npos) std::abort();
    }
    if (path.find('\0') != std::string::npos) std::abort();
    if (!found.is_folder && !files.insert(found.path).second) std::abort();
    total += found.size_bytes;
    if (total > size) std::abort();
    // Every other file is read, the rest skipped.
    if (files.size() % 2 == 0) continue;
    uint64_t content = 0;
    while (true) {
      const auto got = tar.Read(buffer);
      if (!got) return 0;
      if (*got == 0) break;
      content += *got;
    }
    if (content != found.size_bytes) std::abort();
  }
}
