// SPDX-License-Identifier: Apache-2.0
#include "cli/qr_code.h"

#include <qrencode.h>

#include <memory>

namespace cli {
namespace {

constexpr int kQuiet = 2;

struct QrDeleter {
  void operator()(QRcode* code) const { QRcode_free(code); }
};

}  // namespace

std::optional<std::string> QrCode(std::string_view text, int max_modules) {
  const std::unique_ptr<QRcode, QrDeleter> code(QRcode_encodeData(
      static_cast<int>(text.size()),
      reinterpret_cast<const unsigned char*>(text.data()), 0, QR_ECLEVEL_L));
  if (code == nullptr || code->width > max_modules) return std::nullopt;
  const int width = code->width;
  const auto is_light = [&](int x, int y) {
    if (x < 0 || y < 0 || x >= width || y >= width) return true;
    return (code->data[y * width + x] & 1) == 0;
  };
  std::string out;
  for (int y = -kQuiet; y < width + kQuiet; y += 2) {
    for (int x = -kQuiet; x < width + kQuiet; ++x) {
      const bool upper = is_light(x, y);
      // Below the quiet zone there is nothing to draw.
      const bool lower = y + 1 < width + kQuiet && is_light(x, y + 1);
      out += upper && lower ? "\u2588"
             : upper        ? "\u2580"
             : lower        ? "\u2584"
                            : " ";
    }
    out += "\n";
  }
  out.pop_back();
  return out;
}

}  // namespace cli
