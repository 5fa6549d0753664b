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

constexpr size_t kWeightPieces = 1000;
constexpr size_t kNumPieces = kWeightPieces + 2;
constexpr size_t kLast = kNumPieces - 1;

// 1000 MiB of weights between two small files: pieces 0, 1 to 1000 and 1001.
Metainfo MakeModel() {
  Metainfo metainfo;
  metainfo.name = "model";
  metainfo.piece_length = kLength;
  metainfo.files.push_back({"config.json", kLength, false, {}, 0});
  metainfo.files.push_back(
      {"weights.bin", kWeightPieces * kLength, false, {}, kLength});
  metainfo.files.push_back(
      {"tokenizer.model", kLength, false, {}, kLast * kLength});
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

PieceSet Pieces(std::initializer_list<size_t> which,
                size_t count = kNumPieces) {
  PieceSet pieces(count, false);
  for (const size_t piece : which) pieces[piece] = true;
  return pieces;
}

TEST(TellingPiecesTest, AreSmallFilesAndBothEndsOfLargeOnes) {
  const Metainfo metainfo = MakeModel();
  EXPECT_EQ(p2p::TellingPieces(metainfo, All(metainfo)),
            Pieces({0, 1, kWeightPieces, kLast}));
  EXPECT_EQ(
      p2p::TellingPieces(metainfo, *p2p::SelectFiles(metainfo, WeightsAlone())),
      Pieces({1, kWeightPieces}));
}

TEST(FetchScopeTest, WithoutALookAllIsOpen) {
  const Metainfo metainfo = MakeModel();
  const FetchScope scope(metainfo, All(metainfo), "", nullptr, {}, "");
  EXPECT_FALSE(scope.look_pending());
  EXPECT_EQ(NumSet(scope.open()), kNumPieces);
  EXPECT_FALSE(scope.AllHere(Pieces({0})));
  EXPECT_TRUE(scope.AllHere(PieceSet(kNumPieces, true)));
}

TEST(FetchScopeTest, OpensAWindowUntilTheLookIsOver) {
  const Metainfo metainfo = MakeModel();
  int looks = 0;
  const auto look =
      [&](const PartialPayload& payload) -> verify::Result<LookAnswer> {
    EXPECT_TRUE(payload.is_here(1, 0, kLength));
    EXPECT_FALSE(payload.is_here(1, kLength, 1));
    EXPECT_FALSE(payload.is_here(1, 0, kLength + 1)) << "one byte too many";
    EXPECT_TRUE(payload.is_here(1, kWeightPieces * kLength - 1, 1));
    EXPECT_EQ(payload.path_of(1), "data/weights.bin");
    LookAnswer answer;
    if (++looks == 1) answer.need.push_back({1, 9 * kLength, 1});
    return answer;
  };
  FetchScope scope(metainfo, All(metainfo), "data", look, {}, "");
  EXPECT_EQ(scope.first(), Pieces({0, 1, kWeightPieces, kLast}));
  // Four telling ones, and 256 MiB of the rest.
  EXPECT_EQ(NumSet(scope.open()), 4u + 256u);
  EXPECT_FALSE(scope.LookReady(Pieces({0, 1, kWeightPieces})));
  const PieceSet have = Pieces({0, 1, kWeightPieces, kLast});
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
  EXPECT_EQ(NumSet(scope.open()), kNumPieces);
}

TEST(FetchScopeTest, OpensMoreWhereTellingPiecesAreRare) {
  const Metainfo metainfo = MakeModel();
  const auto look = [](const PartialPayload&) -> verify::Result<LookAnswer> {
    return LookAnswer{};
  };
  FetchScope scope(metainfo, All(metainfo), "", look, {}, "");
  PieceSet have(kNumPieces, false);
  EXPECT_FALSE(scope.Widen(have)) << "the window is not used up";
  size_t open = NumSet(scope.open());
  int widened = 0;
  while (open < kNumPieces) {
    for (size_t i = 0; i < kNumPieces; ++i) {
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
  const auto looked = scope.Look(Pieces({0, 1, kWeightPieces, kLast}));
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
  ASSERT_TRUE(scope.Look(PieceSet(kNumPieces, true)));
  EXPECT_FALSE(scope.look_pending());
}

TEST(FetchScopeTest, WantsNothingThatStandsElsewhere) {
  const Metainfo metainfo = MakeModel();
  PieceSet elsewhere(kNumPieces, true);
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
  ASSERT_TRUE(scope.LookReady(PieceSet(kNumPieces, false)));
  ASSERT_TRUE(scope.Look(PieceSet(kNumPieces, false)));
}

}  // namespace
}  // namespace tests
