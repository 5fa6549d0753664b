// SPDX-License-Identifier: Apache-2.0
// Gives a fuzz target an ordinary main: runs it on every file of the folders
// named, and for each on every prefix that ends at a power of two, so that a
// corpus is a test in every build. Fails if a folder holds no file.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

int main(int argc, char** argv) {
  size_t num_files = 0;
  for (int i = 1; i < argc; ++i) {
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(argv[i])) {
      if (!entry.is_regular_file()) continue;
      std::ifstream in(entry.path(), std::ios::binary);
      const std::vector<char> bytes{std::istreambuf_iterator<char>(in), {}};
      const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
      for (size_t prefix = 1; prefix < bytes.size(); prefix *= 2) {
        LLVMFuzzerTestOneInput(data, prefix);
      }
      LLVMFuzzerTestOneInput(data, bytes.size());
      ++num_files;
    }
  }
  std::printf("%zu corpus files replayed\n", num_files);
  return num_files == 0 ? 1 : 0;
}
