// SPDX-License-Identifier: Apache-2.0
#include "cli/qr_code.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace cli {
namespace {

std::vector<std::vector<bool>> Light(const std::string& code) {
  std::vector<std::vector<bool>> rows(2);
  size_t row = 0;
  for (size_t i = 0; i < code.size();) {
    if (code[i] == '\n') {
      row += 2;
      rows.resize(row + 2);
      ++i;
      continue;
    }
    const bool blank = code[i] == ' ';
    const std::string block = blank ? " " : code.substr(i, 3);
    rows[row].push_back(block == "\u2588" || block == "\u2580");
    rows[row + 1].push_back(block == "\u2588" || block == "\u2584");
    i += block.size();
  }
  return rows;
}

// ISO/IEC 18004: version 1 has 21 modules; a finder is a dark square of 7 with
// a light ring and a dark core of 3, in three corners.
TEST(QrCodeTest, DrawsTheThreeFinders) {
  const auto code = QrCode("magnet", 177);
  ASSERT_TRUE(code.has_value());
  const auto light = Light(*code);
  const size_t quiet = 2;
  ASSERT_EQ(light[0].size(), 21 + 2 * quiet);
  for (const auto& [left, top] :
       {std::pair<size_t, size_t>{0, 0}, {14, 0}, {0, 14}}) {
    for (size_t y = 0; y < 7; ++y) {
      for (size_t x = 0; x < 7; ++x) {
        const size_t ring = std::min({x, y, 6 - x, 6 - y});
        EXPECT_EQ(light[quiet + top + y][quiet + left + x], ring == 1)
            << x << ", " << y;
      }
    }
  }
  EXPECT_TRUE(light[0][0]) << "the quiet zone is light";
}

TEST(QrCodeTest, RefusesWhatIsTooLong) {
  EXPECT_FALSE(QrCode(std::string(100, 'x'), 21).has_value());
  // Version 40 with the lowest correction holds 2953 bytes.
  EXPECT_TRUE(QrCode(std::string(2953, 'x'), 177).has_value());
  EXPECT_FALSE(QrCode(std::string(2954, 'x'), 177).has_value());
}

}  // namespace
}  // namespace cli
