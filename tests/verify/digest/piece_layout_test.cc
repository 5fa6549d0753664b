// SPDX-License-Identifier: Apache-2.0
#include "verify/digest/piece_layout.h"

#include <gtest/gtest.h>

#include <vector>

namespace verify {
namespace {

using Parts = std::vector<FileRange>;
using Range = PieceLayout::PieceRange;

PieceLayout Layout(const std::vector<uint64_t>& sizes, uint64_t length) {
  auto layout = PieceLayout::Create(sizes, length);
  EXPECT_TRUE(layout.has_value());
  return *layout;
}

// Files of 10, 0, 3 and 7 bytes in pieces of 4:
//   aaaa aaaa aacc cddd dddd
TEST(PieceLayoutTest, CutsFilesIntoPieces) {
  const PieceLayout layout = Layout({10, 0, 3, 7}, 4);
  EXPECT_EQ(layout.total_bytes(), 20u);
  EXPECT_EQ(layout.num_pieces(), 5u);
  EXPECT_EQ(layout.FileStart(0), 0u);
  EXPECT_EQ(layout.FileStart(1), 10u);
  EXPECT_EQ(layout.FileStart(2), 10u);
  EXPECT_EQ(layout.FileStart(3), 13u);
  EXPECT_EQ(layout.PiecesInside(0), (Range{0, 2}));
  EXPECT_EQ(layout.PiecesInside(1), (Range{}));
  EXPECT_EQ(layout.PiecesInside(2), (Range{}));
  EXPECT_EQ(layout.PiecesInside(3), (Range{4, 5}));
  EXPECT_EQ(layout.PartsOf(0), (Parts{{0, 0, 4}}));
  EXPECT_EQ(layout.PartsOf(1), (Parts{{0, 4, 4}}));
  EXPECT_EQ(layout.PartsOf(2), (Parts{{0, 8, 2}, {2, 0, 2}}));
  EXPECT_EQ(layout.PartsOf(3), (Parts{{2, 2, 1}, {3, 0, 3}}));
  EXPECT_EQ(layout.PartsOf(4), (Parts{{3, 3, 4}}));
}

TEST(PieceLayoutTest, LastPieceIsShort) {
  const PieceLayout layout = Layout({5, 4}, 4);
  EXPECT_EQ(layout.num_pieces(), 3u);
  EXPECT_EQ(layout.PieceBytes(0), 4u);
  EXPECT_EQ(layout.PieceBytes(2), 1u);
  EXPECT_EQ(layout.PiecesInside(0), (Range{0, 1}));
  // The piece [8, 9) lies in the last file and ends with it.
  EXPECT_EQ(layout.PiecesInside(1), (Range{2, 3}));
  EXPECT_EQ(layout.PartsOf(1), (Parts{{0, 4, 1}, {1, 0, 3}}));
  EXPECT_EQ(layout.PartsOf(2), (Parts{{1, 3, 1}}));
}

TEST(PieceLayoutTest, OnePieceOverManyFiles) {
  const PieceLayout layout = Layout({1, 2, 0, 3, 0}, 100);
  EXPECT_EQ(layout.num_pieces(), 1u);
  EXPECT_EQ(layout.PartsOf(0), (Parts{{0, 0, 1}, {1, 0, 2}, {3, 0, 3}}));
  EXPECT_EQ(layout.PiecesInside(3), (Range{}));
}

TEST(PieceLayoutTest, NothingToCut) {
  EXPECT_EQ(Layout({}, 4).num_pieces(), 0u);
  EXPECT_EQ(Layout({0, 0}, 4).num_pieces(), 0u);
  EXPECT_EQ(Layout({0, 0}, 4).PiecesInside(1), (Range{}));
  EXPECT_EQ(Layout({10}, 0).num_pieces(), 0u);
}

TEST(PieceLayoutTest, RefusesSizesThatOverflow) {
  const auto layout = PieceLayout::Create({UINT64_MAX, 1}, 4);
  ASSERT_FALSE(layout.has_value());
  EXPECT_EQ(layout.error().code, ErrorCode::kInvalidArgument);
}

TEST(PieceLayoutTest, RefusesTooManyPieces) {
  const auto layout = PieceLayout::Create({(kMaxPieces + 1) * 16}, 16);
  ASSERT_FALSE(layout.has_value());
  EXPECT_EQ(layout.error().code, ErrorCode::kLimit);
  EXPECT_TRUE(PieceLayout::Create({kMaxPieces * 16}, 16).has_value());
  EXPECT_TRUE(PieceLayout::Create({UINT64_MAX}, UINT64_MAX).has_value());
}

}  // namespace
}  // namespace verify
