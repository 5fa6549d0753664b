// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "verify/manifest/manifest.h"

// What is read is written as the very bytes it came in; no name that comes out
// leads out of the folder.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto manifest = verify::ParseManifest(text);
  if (!manifest) {
    if (manifest.error().id.empty() || manifest.error().message.empty()) {
      std::abort();
    }
    return 0;
  }
  const auto written = verify::FormatManifest(*manifest);
  if (!written || *written != text) std::abort();
  for (const auto& file : manifest->files) {
    const std::string_view path = file.path;
    if (path.empty() || path.front() == '/' || path.back() == '/' ||
        path == ".." || path.starts_with("../") || path.ends_with("/..") ||
        path.find("/../") != std::string_view::npos) {
      std::abort();
    }
  }
  return 0;
}
