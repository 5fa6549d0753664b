// SPDX-License-Identifier: Apache-2.0
// Torrents for tests, right or wrong on purpose, written without the code
// under test.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tests {

// Bencoded values.
std::string Str(std::string_view text);
std::string Int(int64_t value);
std::string List(const std::vector<std::string>& values);

// Entries as key and encoded value; written in ascending order of keys.
class Dict {
 public:
  Dict& Set(std::string_view key, std::string value);
  Dict& Erase(std::string_view key);
  std::string Encode() const;

 private:
  std::vector<std::pair<std::string, std::string>> entries_;
};

struct FileSpec {
  std::vector<std::string> path;
  int64_t size = 0;
  std::string attr;
};

inline constexpr int64_t kPiece = 16384;

// An info dictionary of v1 whose "pieces" have the right length.
Dict V1Info(const std::vector<FileSpec>& files, std::string_view name = "model",
            int64_t piece_length = kPiece);
Dict V1SingleInfo(std::string_view name, int64_t size,
                  int64_t piece_length = kPiece);

// A v2 leaf: {"": {length, pieces root}}; the root is 32 times `root_byte`.
std::string Leaf(int64_t size, char root_byte = 'r');

// A v2 info dictionary with an encoded file tree.
Dict V2Info(std::string tree, std::string_view name = "model",
            int64_t piece_length = kPiece);

// A whole .torrent around an info dictionary.
std::string Torrent(const Dict& info);

}  // namespace tests
