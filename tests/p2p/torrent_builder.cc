// SPDX-License-Identifier: Apache-2.0
#include "tests/p2p/torrent_builder.h"

#include <algorithm>

namespace tests {

std::string Str(std::string_view text) {
  return std::to_string(text.size()) + ":" + std::string(text);
}

std::string Int(int64_t value) { return "i" + std::to_string(value) + "e"; }

std::string List(const std::vector<std::string>& values) {
  std::string out = "l";
  for (const std::string& value : values) out += value;
  return out + "e";
}

Dict& Dict::Set(std::string_view key, std::string value) {
  Erase(key);
  entries_.emplace_back(key, std::move(value));
  std::sort(entries_.begin(), entries_.end());
  return *this;
}

Dict& Dict::Erase(std::string_view key) {
  std::erase_if(entries_,
                [&](const auto& entry) { return entry.first == key; });
  return *this;
}

std::string Dict::Encode() const {
  std::string out = "d";
  for (const auto& [key, value] : entries_) out += Str(key) + value;
  return out + "e";
}

namespace {

std::string Pieces(int64_t total, int64_t piece_length) {
  const int64_t count =
      piece_length > 0 ? (total + piece_length - 1) / piece_length : 0;
  return Str(std::string(static_cast<size_t>(count) * 20, 'p'));
}

}  // namespace

Dict V1Info(const std::vector<FileSpec>& files, std::string_view name,
            int64_t piece_length) {
  std::vector<std::string> entries;
  int64_t total = 0;
  for (const FileSpec& file : files) {
    std::vector<std::string> parts;
    for (const std::string& part : file.path) parts.push_back(Str(part));
    Dict entry;
    entry.Set("length", Int(file.size)).Set("path", List(parts));
    if (!file.attr.empty()) entry.Set("attr", Str(file.attr));
    entries.push_back(entry.Encode());
    total += file.size;
  }
  Dict info;
  info.Set("files", List(entries))
      .Set("name", Str(name))
      .Set("piece length", Int(piece_length))
      .Set("pieces", Pieces(total, piece_length));
  return info;
}

Dict V1SingleInfo(std::string_view name, int64_t size, int64_t piece_length) {
  Dict info;
  info.Set("length", Int(size))
      .Set("name", Str(name))
      .Set("piece length", Int(piece_length))
      .Set("pieces", Pieces(size, piece_length));
  return info;
}

std::string Leaf(int64_t size, char root_byte) {
  Dict file;
  file.Set("length", Int(size));
  if (size > 0) file.Set("pieces root", Str(std::string(32, root_byte)));
  return Dict().Set("", file.Encode()).Encode();
}

Dict V2Info(std::string tree, std::string_view name, int64_t piece_length) {
  Dict info;
  info.Set("file tree", std::move(tree))
      .Set("meta version", Int(2))
      .Set("name", Str(name))
      .Set("piece length", Int(piece_length));
  return info;
}

std::string Torrent(const Dict& info) {
  return Dict().Set("info", info.Encode()).Encode();
}

}  // namespace tests
