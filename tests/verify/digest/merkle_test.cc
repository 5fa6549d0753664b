// SPDX-License-Identifier: Apache-2.0
#include "verify/digest/merkle.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "verify/base/text.h"

namespace verify {
namespace {

// Byte i is i * 7 + (i >> 8) * 13 + (i >> 16) * 31, modulo 256.
std::vector<std::byte> Pattern(size_t size) {
  std::vector<std::byte> bytes(size);
  for (size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<std::byte>(i * 7 + (i >> 8) * 13 + (i >> 16) * 31);
  }
  return bytes;
}

// Two digests one after the other, hashed: by hand, without the class.
Sha256Digest Pair(const Sha256Digest& left, const Sha256Digest& right) {
  Sha256Hasher hasher;
  hasher.Update(left);
  hasher.Update(right);
  return hasher.Finish();
}

// Leaves two by two, and one by one through OpenSSL.
TEST(MerkleTest, MethodsAgree) {
  MerkleHasher plain(Sha256Lane::Method::kPlain);
  for (const size_t size : {1u, 16384u, 16385u, 32768u, 49152u, 262143u}) {
    const std::vector<std::byte> bytes = Pattern(size);
    EXPECT_EQ(MerkleHasher().SubtreeRoot(bytes), plain.SubtreeRoot(bytes))
        << size;
  }
}

MerkleTree::Roots RootsOf(ByteSpan bytes, size_t piece_length,
                          size_t step = 1u << 20) {
  MerkleTree tree(piece_length);
  while (!bytes.empty()) {
    const size_t size = std::min(step, bytes.size());
    tree.Update(bytes.first(size));
    bytes = bytes.subspan(size);
  }
  return tree.Finish();
}

TEST(MerkleTest, EmptyFileHasNoRoot) {
  const auto roots = RootsOf({}, 16384);
  EXPECT_FALSE(roots.pieces_root.has_value());
  EXPECT_TRUE(roots.piece_layer.empty());
}

TEST(MerkleTest, RootOfOneBlockIsItsLeaf) {
  for (const size_t size : {1u, 100u, 16383u, 16384u}) {
    const auto bytes = Pattern(size);
    const auto roots = RootsOf(bytes, 16384);
    EXPECT_EQ(roots.pieces_root, Sha256(bytes)) << size;
    EXPECT_TRUE(roots.piece_layer.empty()) << size;
  }
}

TEST(MerkleTest, TwoAndThreeBlocksByHand) {
  const auto bytes = Pattern(3 * 16384 - 5);
  const ByteSpan all(bytes);
  const auto a = Sha256(all.first(16384));
  const auto b = Sha256(all.subspan(16384, 16384));
  const auto c = Sha256(all.subspan(2 * 16384));  // short, not padded
  EXPECT_EQ(RootsOf(all.first(2 * 16384), 65536).pieces_root, Pair(a, b));
  EXPECT_EQ(RootsOf(all, 65536).pieces_root,
            Pair(Pair(a, b), Pair(c, Sha256Digest{})));
}

TEST(MerkleTest, PieceLayerByHand) {
  // Five blocks in pieces of two: three nodes, the last half empty.
  const auto bytes = Pattern(5 * 16384);
  const ByteSpan all(bytes);
  std::vector<Sha256Digest> leaves;
  for (size_t i = 0; i < 5; ++i) {
    leaves.push_back(Sha256(all.subspan(i * 16384, 16384)));
  }
  const Sha256Digest zero{};
  const auto p0 = Pair(leaves[0], leaves[1]);
  const auto p1 = Pair(leaves[2], leaves[3]);
  const auto p2 = Pair(leaves[4], zero);
  const auto roots = RootsOf(all, 2 * 16384);
  EXPECT_EQ(roots.piece_layer, (std::vector<Sha256Digest>{p0, p1, p2}));
  EXPECT_EQ(roots.pieces_root, Pair(Pair(p0, p1), Pair(p2, Pair(zero, zero))));
}

TEST(MerkleTest, LayerIsAbsentUpToOnePiece) {
  const auto bytes = Pattern(65537);
  EXPECT_TRUE(RootsOf(ByteSpan(bytes).first(65536), 65536).piece_layer.empty());
  EXPECT_EQ(RootsOf(bytes, 65536).piece_layer.size(), 2u);
}

// Roots of the same bytes by 30 lines of Python over hashlib.
TEST(MerkleTest, MatchesAnotherImplementation) {
  const std::vector<std::pair<size_t, std::string_view>> cases = {
      {1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
      {16384,
       "127c52d4afc9d4e335b94d914f75fbf75b5dc62e6dbd31c6d71c868fc23e5fe5"},
      {16385,
       "ed50aa6f263172ac5097e54684d484dd9036bae3d7c729b4ede1bd2a125514fe"},
      {100000,
       "481b2f79e294e8a8dfc5ac98970fc1a340754237b198afdb52e76967f0de7ce4"},
      {1048576,
       "a230229072266de38df388e6a1e33f4d59fc4687a8b7e6e2b5ab87cc60e5c611"},
      {1048577,
       "778914ca01e2fdbda82cf62c66f6bdbf3ce6d4205ff355e4e3069928cb6ca36a"},
      {3000000,
       "d68839db2d66a09ce5ee734169b8620ac7a85f58e37cb29b328c6f4318bac06d"},
  };
  for (const auto& [size, hex] : cases) {
    const auto bytes = Pattern(size);
    for (const size_t piece : {size_t{16384}, size_t{65536}, size_t{1} << 21}) {
      EXPECT_EQ(HexEncode(*RootsOf(bytes, piece).pieces_root), hex)
          << size << " in pieces of " << piece;
    }
    EXPECT_EQ(HexEncode(MerkleHasher().SubtreeRoot(bytes)), hex) << size;
  }
}

TEST(MerkleTest, RootDoesNotDependOnHowBytesComeIn) {
  const auto bytes = Pattern(100000);
  const auto whole = RootsOf(bytes, 32768);
  for (const size_t step : {1u, 1000u, 16384u, 16385u, 99999u}) {
    const auto roots = RootsOf(bytes, 32768, step);
    EXPECT_EQ(roots.pieces_root, whole.pieces_root) << step;
    EXPECT_EQ(roots.piece_layer, whole.piece_layer) << step;
  }
}

TEST(MerkleTest, ZeroRootIsThatOfZeroLeaves) {
  MerkleHasher hasher;
  const Sha256Digest zero{};
  EXPECT_EQ(hasher.ZeroRoot(1), zero);
  EXPECT_EQ(hasher.ZeroRoot(2), Pair(zero, zero));
  EXPECT_EQ(hasher.ZeroRoot(4), Pair(Pair(zero, zero), Pair(zero, zero)));
}

}  // namespace
}  // namespace verify
