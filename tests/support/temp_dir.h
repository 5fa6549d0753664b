// SPDX-License-Identifier: Apache-2.0
// A directory of its own for one test, removed with all it holds.
#pragma once

#include <string>
#include <string_view>

namespace tests {

class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::string& path() const { return path_; }
  // path() + "/" + name.
  std::string File(std::string_view name) const;
  // Writes the file (parents made as needed) and returns its path.
  std::string Write(std::string_view name, std::string_view content) const;

 private:
  std::string path_;
};

// The whole file; fails the program if it cannot be read.
std::string ReadFile(const std::string& path);

}  // namespace tests
