// SPDX-License-Identifier: Apache-2.0
#include "p2p/display_text.h"

#include "verify/base/text.h"

namespace p2p {

std::string ToValidUtf8(std::string_view text, size_t max_bytes) {
  std::string out;
  size_t i = 0;
  while (i < text.size()) {
    size_t size = 0;
    for (size_t length = 1; length <= 4 && i + length <= text.size();
         ++length) {
      if (verify::IsValidUtf8(text.substr(i, length))) {
        size = length;
        break;
      }
    }
    const std::string_view piece =
        size == 0 ? std::string_view("\xEF\xBF\xBD") : text.substr(i, size);
    if (out.size() + piece.size() > max_bytes) break;
    out.append(piece);
    i += size == 0 ? 1 : size;
  }
  return out;
}

}  // namespace p2p
