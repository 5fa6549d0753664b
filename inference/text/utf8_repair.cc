// SPDX-License-Identifier: Apache-2.0
#include "inference/text/utf8_repair.h"

#include <algorithm>
#include <string_view>

#include "verify/base/text.h"

namespace inference {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD

}  // namespace

std::string TakeCharacters(std::string& bytes, bool last) {
  std::string out;
  size_t position = 0;
  while (position < bytes.size()) {
    const auto lead = static_cast<unsigned char>(bytes[position]);
    const size_t length = lead < 0x80   ? 1
                          : lead < 0xe0 ? 2
                          : lead < 0xf0 ? 3
                                        : 4;
    const size_t available = std::min(length, bytes.size() - position);
    const std::string_view piece(bytes.data() + position, available);
    if (available == length && verify::IsValidUtf8(piece)) {
      out.append(piece);
      position += length;
      continue;
    }
    // Undecided: a start that some continuation would complete. Whether one
    // can is tried with the least and the greatest.
    if (available < length && !last) {
      std::string low(piece);
      std::string high(piece);
      low.append(length - available, '\x80');
      high.append(length - available, '\xbf');
      if (verify::IsValidUtf8(low) || verify::IsValidUtf8(high)) break;
    }
    out.append(kReplacement);
    ++position;
  }
  bytes.erase(0, position);
  return out;
}

}  // namespace inference
