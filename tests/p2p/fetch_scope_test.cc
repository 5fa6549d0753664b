// SPDX-License-Identifier: Apache-2.0
#include "p2p/fetch_scope.h"

#include <gtest/gtest.h>

#include <vector>

namespace tests {
namespace {

using p2p::FetchScope;
using p2p::LookAnswer;
using p2p::Metainfo;
using p2p::NumSet;
using p2p::PartialPayload;
using p2p::PieceSet;

constexpr uint64_t kLength = 1u << 20;

// 30 MiB of weights between two small files: pieces 0, 1 to 30 and 31.
Metainfo MakeModel() {
  Metainfo metainfo;
  metainfo.name = "model";
  metainfo.piece_length = kLength;
  metainfo.files.push_back({"config.json", kLength, false, {}, 0});
  metainfo.files.push_back({"weights.bin", 30 * kLength, false, {}, kLength});
  metainfo.files.push_back(
      {"tokenizer.model", kLength, false, {}, 31 * kLength});
  return metainfo;
}

p2p::Selection All(const Metainfo& metainfo) {
  return *p2p::SelectFiles(metainfo, {});
}

p2p::SelectionRequest WeightsAlone() {
  p2p::SelectionRequest request;
  request.indices = {1};
  return request;
}

PieceSet Pieces(std::initializer_list<size_t> which, size_t count = 32) {
  PieceSet pieces(count, false);
  for (const size_t piece : which) pieces[piece] = true;
  return pieces;
}

TEST(TellingPiecesTest, AreSmallFilesAndBothEndsOfLargeOnes) {
  const Metainfo metainfo = MakeModel();
  EXPECT_EQ(p2p::TellingPieces(metainfo, All(metainfo)),
            Pieces({0, 1, 30, 31}));
  EXPECT_EQ(
      p2p::TellingPieces(metainfo, *p2p::SelectFiles(metainfo, WeightsAlone())),
      Pieces({1, 30}));
}

TEST(FetchScopeTest, WithoutALookAllIsOpen) {
  const Metainfo metainfo = MakeModel();
  const FetchScope scope(metainfo, All(metainfo), "", nullptr, {}, "");
  EXPECT_FALSE(scope.look_pending());
  EXPECT_EQ(NumSet(scope.open()), 32u);
  EXPECT_FALSE(scope.AllHere(Pieces({0})));
  EXPECT_TRUE(scope.AllHere(PieceSet(32, true)));
}

TEST(FetchScopeTest, OpensAWindowUntilTheLookIsOver) {
  const Metainfo metainfo = MakeModel();
  int looks = 0;
  const auto look =
      [&](const PartialPayload& payload) -> verify::Result<LookAnswer> {
    EXPECT_TRUE(payload.is_here(1, 0, kLength));
    EXPECT_FALSE(payload.is_here(1, kLength, 1));
    EXPECT_FALSE(payload.is_here(1, 0, kLength + 1)) << "one byte too many";
    EXPECT_TRUE(payload.is_here(1, 30 * kLength - 1, 1));
    EXPECT_EQ(payload.path_of(1), "data/weights.bin");
    LookAnswer answer;
    if (++looks == 1) answer.need.push_back({1, 9 * kLength, 1});
    return answer;
  };
  FetchScope scope(metainfo, All(metainfo), "data", look, {}, "");
  EXPECT_EQ(scope.first(), Pieces({0, 1, 30, 31}));
  // Four telling ones, and 4 MiB of the rest.
  EXPECT_EQ(NumSet(scope.open()), 8u);
  EXPECT_FALSE(scope.LookReady(Pieces({0, 1, 30})));
  const PieceSet have = Pieces({0, 1, 30, 31});
  ASSERT_TRUE(scope.LookReady(have));
  ASSERT_TRUE(scope.Look(have));
  EXPECT_TRUE(scope.look_pending());
  EXPECT_TRUE(scope.first()[10]) << "9 MiB into the weights";
  EXPECT_FALSE(scope.LookReady(have));
  PieceSet more = have;
  more[10] = true;
  ASSERT_TRUE(scope.LookReady(more));
  ASSERT_TRUE(scope.Look(more));
  EXPECT_EQ(looks, 2);
  EXPECT_FALSE(scope.look_pending());
  EXPECT_EQ(NumSet(scope.open()), 32u);
}

TEST(FetchScopeTest, OpensMoreWhereTellingPiecesAreRare) {
  const Metainfo metainfo = MakeModel();
  const auto look = [](const PartialPayload&) -> verify::Result<LookAnswer> {
    return LookAnswer{};
  };
  FetchScope scope(metainfo, All(metainfo), "", look, {}, "");
  PieceSet have(32, false);
  EXPECT_FALSE(scope.Widen(have)) << "the window is not used up";
  size_t open = NumSet(scope.open());
  int widened = 0;
  while (open < 32) {
    for (size_t i = 0; i < 32; ++i) {
      have[i] = scope.open()[i] && !scope.first()[i];
    }
    ASSERT_TRUE(scope.Widen(have));
    EXPECT_GT(NumSet(scope.open()), open);
    open = NumSet(scope.open());
    ASSERT_LT(++widened, 10);
  }
  EXPECT_TRUE(scope.look_pending());
}

TEST(FetchScopeTest, RefusalComesThrough) {
  const Metainfo metainfo = MakeModel();
  const auto look = [](const PartialPayload&) -> verify::Result<LookAnswer> {
    return verify::Fail(verify::ErrorCode::kCorrupt, "a program");
  };
  FetchScope scope(metainfo, All(metainfo), "", look, {}, "");
  const auto looked = scope.Look(Pieces({0, 1, 30, 31}));
  ASSERT_FALSE(looked);
  EXPECT_EQ(looked.error().message, "a program");
}

TEST(FetchScopeTest, NoLookIsNeededOnceAllIsHere) {
  const Metainfo metainfo = MakeModel();
  const auto look = [](const PartialPayload&) -> verify::Result<LookAnswer> {
    ADD_FAILURE() << "the check of the whole follows";
    return LookAnswer{};
  };
  FetchScope scope(metainfo, All(metainfo), "", look, {}, "");
  ASSERT_TRUE(scope.Look(PieceSet(32, true)));
  EXPECT_FALSE(scope.look_pending());
}

TEST(FetchScopeTest, WantsNothingThatStandsElsewhere) {
  const Metainfo metainfo = MakeModel();
  PieceSet elsewhere(32, true);
  elsewhere[5] = false;
  const auto look =
      [](const PartialPayload& payload) -> verify::Result<LookAnswer> {
    EXPECT_TRUE(payload.indexes_only);
    EXPECT_EQ(payload.path_of(0), "copy/config.json");
    EXPECT_EQ(payload.path_of(1), "data/weights.bin");
    return LookAnswer{};
  };
  FetchScope scope(metainfo, All(metainfo), "data", look, elsewhere, "copy");
  EXPECT_EQ(scope.wanted(), Pieces({5}));
  ASSERT_TRUE(scope.LookReady(PieceSet(32, false)));
  ASSERT_TRUE(scope.Look(PieceSet(32, false)));
}

}  // namespace
}  // namespace tests
