// SPDX-License-Identifier: Apache-2.0
// Tar archives, zstd frames and seek tables, right or wrong in the way that a
// test asks for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tests {

struct ZstdFrameOptions {
  bool checksum = true;
  bool content_size = true;
  int window_log = 0;  // 0: libzstd's choice
  int level = 3;
};
// One frame made by libzstd.
std::string ZstdFrameOf(std::string_view content,
                        const ZstdFrameOptions& options = {});

// A frame by hand: its descriptor, what follows it in the header, its blocks.
std::string RawZstdFrame(uint8_t descriptor, std::string_view header,
                         std::string_view blocks);
enum class ZstdBlock : uint32_t {
  kRaw = 0,
  kRepeated = 1,
  kCompressed = 2,
  kReserved = 3
};
std::string ZstdBlockOf(ZstdBlock type, uint32_t size, std::string_view bytes,
                        bool last);
std::string SkippableFrame(std::string_view content, uint32_t variant = 0);

struct SeekTableOptions {
  bool checksums = true;
  uint8_t descriptor_bits = 0;                       // set besides
  std::optional<uint32_t> count;                     // in the footer
  std::optional<uint32_t> frame_bytes;               // in the header
  std::vector<std::pair<uint32_t, uint32_t>> sizes;  // instead of the real ones
  std::optional<uint32_t> checksum;                  // of every entry
};
// Frames (compressed, content) and their table.
std::string SeekableOf(
    const std::vector<std::pair<std::string, std::string>>& frames,
    const SeekTableOptions& options = {});
// `content` cut into frames of at most `frame_bytes`.
std::string SeekableOf(std::string_view content, size_t frame_bytes,
                       const SeekTableOptions& options = {});

struct TarEntry {
  std::string name;
  std::string content;
  char type = '0';
  std::string mode = "0000644";
  std::string link_target;
  std::string prefix;
  std::string magic = std::string(
      "ustar\0"
      "00",
      8);
  // Lies.
  std::optional<std::string> size_field;  // 12 bytes at most
  std::optional<std::string> checksum_field;
};
std::string TarMemberOf(const TarEntry& entry);  // header, content, padding
// With the mark of the end.
std::string TarOf(const std::vector<TarEntry>& entries);
std::string TarEnd();  // 1024 zeros
// "LENGTH KEY=VALUE\n"
std::string PaxRecord(std::string_view key, std::string_view value);

}  // namespace tests
