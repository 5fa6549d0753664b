// SPDX-License-Identifier: Apache-2.0
// The v2 side of the hash engine: pieces and roots of BEP 52 beside the rest.
// Expected values come from MerkleTree, which has its own tests against other
// implementations and takes the bytes of one file in order.
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/content.h"
#include "tests/support/temp_dir.h"
#include "verify/base/text.h"
#include "verify/digest/hash_engine.h"
#include "verify/digest/merkle.h"

namespace verify {
namespace {

using tests::Content;

constexpr uint64_t kKiB = 1u << 10;
constexpr uint64_t kMiB = 1u << 20;

std::vector<Sha256Digest> ExpectedPieces(std::string_view content,
                                         uint64_t piece_length) {
  MerkleTree tree(piece_length);
  tree.Update(AsBytes(content));
  MerkleTree::Roots roots = tree.Finish();
  if (roots.piece_layer.empty() && roots.pieces_root.has_value()) {
    return {*roots.pieces_root};
  }
  return std::move(roots.piece_layer);
}

struct Payload {
  tests::TempDir dir;
  HashRequest request;
  std::vector<std::string> contents;

  explicit Payload(uint64_t piece_length) {
    request.merkle_piece_length = piece_length;
  }
  void AddFile(std::string content) {
    HashFile file;
    file.path = dir.Write(StrCat("f", contents.size()), content);
    file.size_bytes = content.size();
    file.sums = {};
    file.want_merkle = true;
    file.merkle_pieces = ExpectedPieces(content, request.merkle_piece_length);
    request.files.push_back(std::move(file));
    contents.push_back(std::move(content));
  }
  Result<HashOutcome> Hash() const {
    const CancelToken cancel;
    return HashFiles(request, cancel, nullptr);
  }
};

TEST(HashEngineV2Test, PiecesAreThoseOfATreeBuiltInOrder) {
  for (const uint64_t length : {16 * kKiB, 64 * kKiB, 2 * kMiB}) {
    for (const bool with_v1 : {false, true}) {
      for (const bool with_sha256 : {false, true}) {
        Payload payload(length);
        for (const uint64_t size :
             {uint64_t{0}, uint64_t{1}, 16 * kKiB, 16 * kKiB + 1, length - 1,
              length, length + 1, 3 * length + 12345, 9 * kMiB + 4321}) {
          payload.AddFile(Content(size, static_cast<uint32_t>(size)));
          if (with_sha256) {
            payload.request.files.back().sums = {SumAlgorithm::kSha256};
          }
        }
        // No pads, so that only some files begin with a v1 piece.
        payload.request.piece_length = with_v1 ? length : 0;
        payload.request.num_threads = 3;
        const auto outcome = payload.Hash();
        ASSERT_TRUE(outcome.has_value());
        for (size_t i = 0; i < payload.contents.size(); ++i) {
          const FileDigests& file = outcome->files[i];
          const auto expected = ExpectedPieces(payload.contents[i], length);
          EXPECT_EQ(file.state, FileState::kOk) << i;
          EXPECT_EQ(file.merkle_pieces, expected) << length << " " << i;
          EXPECT_TRUE(file.bad_merkle_pieces.empty()) << length << " " << i;
          EXPECT_EQ(file.merkle_root.has_value(), !expected.empty());
          if (expected.empty()) continue;
          EXPECT_EQ(*file.merkle_root,
                    MerkleHasher().SubtreeRoot(AsBytes(payload.contents[i])));
        }
      }
    }
  }
}

TEST(HashEngineV2Test, NamesTheBadPiecesOfEachFile) {
  for (const uint64_t length : {64 * kKiB, 2 * kMiB}) {
    Payload payload(length);
    payload.AddFile(Content(5 * length + 7, 1));
    payload.AddFile(Content(length, 2));
    payload.AddFile(Content(10, 3));
    payload.contents[0][3 * length] ^= 1;
    payload.contents[0][5 * length + 6] ^= 1;
    payload.contents[2][9] ^= 1;
    payload.dir.Write("f0", payload.contents[0]);
    payload.dir.Write("f2", payload.contents[2]);
    const auto outcome = payload.Hash();
    ASSERT_TRUE(outcome.has_value());
    EXPECT_EQ(outcome->files[0].bad_merkle_pieces,
              (std::vector<uint32_t>{3, 5}));
    EXPECT_TRUE(outcome->files[1].bad_merkle_pieces.empty());
    EXPECT_EQ(outcome->files[2].bad_merkle_pieces, (std::vector<uint32_t>{0}));
  }
}

TEST(HashEngineV2Test, ShortAndMissingFilesKeepThePiecesThatAreThere) {
  Payload payload(64 * kKiB);
  payload.AddFile(Content(300'000, 4));  // 4.58 pieces
  payload.AddFile(Content(200'000, 5));  // 3.05 pieces
  payload.AddFile(Content(100, 6));
  payload.dir.Write("f0", payload.contents[0].substr(0, 140'000));  // 2.14
  ASSERT_EQ(unlink(payload.request.files[1].path.c_str()), 0);
  payload.dir.Write("f2", "");
  const auto outcome = payload.Hash();
  ASSERT_TRUE(outcome.has_value());
  EXPECT_EQ(outcome->files[0].state, FileState::kWrongSize);
  EXPECT_FALSE(outcome->files[0].merkle_root.has_value());
  EXPECT_EQ(outcome->files[0].bad_merkle_pieces,
            (std::vector<uint32_t>{2, 3, 4}));
  EXPECT_EQ(outcome->files[1].state, FileState::kMissing);
  EXPECT_EQ(outcome->files[1].bad_merkle_pieces,
            (std::vector<uint32_t>{0, 1, 2, 3}));
  EXPECT_EQ(outcome->files[2].bad_merkle_pieces, (std::vector<uint32_t>{0}));
}

TEST(HashEngineV2Test, LongFileHasTheRightPieces) {
  Payload payload(16 * kKiB);
  payload.AddFile(Content(50'000, 7));
  payload.dir.Write("f0", payload.contents[0] + "more");
  const auto outcome = payload.Hash();
  ASSERT_TRUE(outcome.has_value());
  EXPECT_EQ(outcome->files[0].state, FileState::kWrongSize);
  EXPECT_FALSE(outcome->files[0].merkle_root.has_value());
  EXPECT_TRUE(outcome->files[0].bad_merkle_pieces.empty());
}

// A torrent may claim any size: what is not there costs no memory.
TEST(HashEngineV2Test, ClaimedSizeOfAShortFileCostsNothing) {
  Payload payload(512 * kMiB);
  payload.AddFile("abc");
  payload.request.files[0].size_bytes = uint64_t{1} << 48;
  payload.request.files[0].merkle_pieces.assign(1u << 19, {});
  const auto outcome = payload.Hash();
  ASSERT_TRUE(outcome.has_value());
  EXPECT_EQ(outcome->files[0].state, FileState::kWrongSize);
  EXPECT_EQ(outcome->files[0].bad_merkle_pieces.size(), 1u << 19);
}

TEST(HashEngineV2Test, RefusesLengthsAndCountsThatDoNotFit) {
  for (const uint64_t length : {8 * kKiB, 48 * kKiB}) {
    Payload payload(16 * kKiB);
    payload.AddFile("abc");
    payload.request.merkle_piece_length = length;
    const auto outcome = payload.Hash();
    ASSERT_FALSE(outcome.has_value()) << length;
    EXPECT_EQ(outcome.error().code, ErrorCode::kInvalidArgument);
  }
  Payload payload(16 * kKiB);
  payload.AddFile(Content(100'000, 8));
  payload.request.files[0].merkle_pieces.pop_back();
  EXPECT_EQ(payload.Hash().error().code, ErrorCode::kInvalidArgument);
  payload.request.files[0].merkle_pieces.clear();
  EXPECT_TRUE(payload.Hash().has_value());
  payload.request.files[0].size_bytes = (uint64_t{1} << 40) + 1;
  payload.request.files[0].path += ".missing";
  EXPECT_EQ(payload.Hash().error().code, ErrorCode::kLimit);
}

}  // namespace
}  // namespace verify
