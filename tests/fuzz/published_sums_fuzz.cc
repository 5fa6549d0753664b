// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "verify/manifest/published_sums.h"

// The first byte chooses the name of the list, which changes how it is read.
// No name that comes out leads out of the folder.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  static constexpr std::string_view kLists[] = {"RELEASE", "SHA256SUMS",
                                                "model.gguf.md5"};
  const auto sums = verify::ParsePublishedSums(
      {reinterpret_cast<const char*>(data) + 1, size - 1}, kLists[data[0] % 3]);
  if (!sums) return 0;
  for (const auto& sum : *sums) {
    const std::string_view name = sum.name;
    if (name.empty() || name.front() == '/' || name.back() == '/' ||
        name == ".." || name.starts_with("../") || name.ends_with("/..") ||
        name.find("/../") != std::string_view::npos) {
      std::abort();
    }
    if (sum.digest.size() < 16 || sum.digest.size() > 64) std::abort();
  }
  return 0;
}
