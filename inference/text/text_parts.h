// SPDX-License-Identifier: Apache-2.0
// Where a long text may be cut so that its parts have the ids of the whole.
// Tested by tests/inference/text/tokenizer_test.cc (long texts).
#pragma once

#include <bitset>
#include <cstddef>
#include <string_view>

namespace inference {

// Thread-safe once filled.
class TextParts {
 public:
  // A part is at least the first long, if there is so much, and at most the
  // second.
  static constexpr size_t kPartBytes = 256u << 10;
  static constexpr size_t kMaxPartBytes = 16u << 20;

  // Tells of a token: what stands side by side in it is not parted.
  void Note(std::string_view token);

  // Where the first part of `text` ends: between two ASCII characters that no
  // token joins or, where there are none for long, between two characters.
  size_t FirstEnd(std::string_view text,
                  size_t max_bytes = kMaxPartBytes) const;

 private:
  // Bit 128 * a + b: the ASCII characters a and b stand side by side.
  std::bitset<128 * 128> joined_;
};

// The end of the first part of `text` where any place between two characters
// will do.
size_t CharacterEnd(std::string_view text, size_t max_bytes);

}  // namespace inference
