// SPDX-License-Identifier: Apache-2.0
#include "verify/digest/hash_engine.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "tests/support/content.h"
#include "tests/verify/digest/hash_payload.h"
#include "verify/base/text.h"
#include "verify/digest/merkle.h"

namespace verify {
namespace {

using tests::Content;
using tests::ExpectAllRight;
using tests::Hash;
using tests::kMiB;
using tests::Payload;
using tests::PlainSums;
using tests::RecordedProgress;

TEST(HashEngineTest, GivesAllDigestsOfOneFile) {
  for (const size_t size :
       {size_t{0}, size_t{1}, size_t{16384}, size_t{kMiB - 1}, size_t{kMiB},
        size_t{kMiB + 1}, size_t{3 * kMiB + 12345}}) {
    Payload payload;
    payload.AddFile(Content(size, 1));
    payload.request.piece_length = 100'000;
    const auto outcome = Hash(payload.request);
    ASSERT_TRUE(outcome.has_value()) << size;
    ExpectAllRight(payload, *outcome);
    EXPECT_EQ(outcome->bytes_read, size);
    EXPECT_TRUE(outcome->bad_pieces.empty());
  }
}

TEST(HashEngineTest, GivesEverySumThereIs) {
  Payload payload;
  payload.AddFile(Content(3 * kMiB + 77, 31));
  payload.AddFile(Content(100'000, 32));
  payload.AddFile("");
  for (size_t i = 0; i < kNumSumAlgorithms; ++i) {
    payload.request.files[0].sums.Add(static_cast<SumAlgorithm>(i));
  }
  payload.request.files[1].sums = {SumAlgorithm::kBlake2b};
  payload.request.files[2].sums = {SumAlgorithm::kSha1, SumAlgorithm::kSha512};
  payload.request.piece_length = 65536;
  for (const size_t threads : {1u, 4u}) {
    payload.request.num_threads = threads;
    const auto outcome = Hash(payload.request);
    ASSERT_TRUE(outcome.has_value());
    ExpectAllRight(payload, *outcome);
    EXPECT_EQ(outcome->files[0].sums.size(), kNumSumAlgorithms);
    ASSERT_NE(outcome->files[1].Sum(SumAlgorithm::kBlake2b), nullptr);
    EXPECT_EQ(outcome->files[1].Sum(SumAlgorithm::kSha256), nullptr);
  }
}

// Two files at a time go through one thread, and each ends at its own length;
// what else is wanted of them takes the same blocks.
TEST(HashEngineTest, MoreFilesThanThreadsGoSideBySide) {
  for (const size_t threads : {1u, 2u, 3u}) {
    for (const bool everything : {false, true}) {
      Payload payload;
      for (const size_t size :
           {9 * kMiB + 1, 8 * kMiB, 3 * kMiB + 63, 700'000ul, 64ul, 1ul, 0ul}) {
        payload.AddFile(Content(size, static_cast<uint32_t>(size)));
        if (everything) continue;
        payload.request.files.back().sums = {SumAlgorithm::kSha256};
        payload.request.files.back().want_merkle = false;
      }
      payload.request.piece_length = everything ? 100'000 : 0;
      payload.request.num_threads = threads;
      const auto outcome = Hash(payload.request);
      ASSERT_TRUE(outcome.has_value());
      ExpectAllRight(payload, *outcome);
      EXPECT_EQ(outcome->bytes_read, payload.joined.size());
    }
  }
}

// One of a pair is cut short while both are read.
TEST(HashEngineTest, AFileThatFailsDoesNotDisturbItsPartner) {
  Payload payload;
  payload.AddFile(Content(24 * kMiB, 33));
  payload.AddFile(Content(24 * kMiB, 34));
  payload.request.num_threads = 1;
  const std::string path = payload.request.files[0].path;
  RecordedProgress sink([&path] { ASSERT_EQ(truncate(path.c_str(), 0), 0); });
  const auto outcome = Hash(payload.request, &sink);
  ASSERT_TRUE(outcome.has_value());
  EXPECT_EQ(outcome->files[0].state, FileState::kUnreadable);
  EXPECT_EQ(outcome->files[1].sums, PlainSums(AsBytes(payload.contents[1]),
                                              payload.request.files[1].sums));
}

TEST(HashEngineTest, PiecesCrossFilesAndPads) {
  for (const uint64_t piece_length :
       {uint64_t{16384}, uint64_t{65536}, uint64_t{70001}, kMiB, 4 * kMiB}) {
    for (const size_t threads : {1u, 2u, 7u}) {
      Payload payload;
      payload.AddFile(Content(200'000, 2));
      payload.AddPad(62'144);
      payload.AddFile("");
      payload.AddFile(Content(10, 3));
      payload.AddFile(Content(11, 4));
      payload.AddFile(Content(1'500'000, 5));
      payload.AddPad(1);
      payload.AddFile(Content(65536, 6));
      payload.request.piece_length = piece_length;
      payload.request.num_threads = threads;
      payload.request.piece_digests = payload.ExpectedPieces();
      const auto outcome = Hash(payload.request);
      ASSERT_TRUE(outcome.has_value());
      ExpectAllRight(payload, *outcome);
      EXPECT_TRUE(outcome->bad_pieces.empty()) << piece_length;
    }
  }
}

// Without digests of whole files the work is cut into segments.
TEST(HashEngineTest, SegmentsOfOneFileGiveTheSame) {
  Payload payload;
  payload.AddFile(Content(18 * kMiB + 4321, 7));
  payload.request.files[0].sums = {};
  const Sha256Digest root = MerkleHasher().SubtreeRoot(AsBytes(payload.joined));
  payload.request.num_threads = 3;
  for (const uint64_t piece_length : {uint64_t{0}, kMiB, 3 * kMiB}) {
    payload.request.piece_length = piece_length;
    const auto outcome = Hash(payload.request);
    ASSERT_TRUE(outcome.has_value());
    EXPECT_EQ(outcome->files[0].merkle_root, root) << piece_length;
    if (piece_length > 0) {
      EXPECT_EQ(outcome->piece_digests, payload.ExpectedPieces());
    }
    EXPECT_EQ(outcome->bytes_read, payload.joined.size());
  }
  payload.request.files[0].want_merkle = false;
  payload.request.piece_length = 3'000'001;
  const auto outcome = Hash(payload.request);
  ASSERT_TRUE(outcome.has_value());
  EXPECT_EQ(outcome->piece_digests, payload.ExpectedPieces());
}

TEST(HashEngineTest, SegmentsBesideOtherFiles) {
  Payload payload;
  payload.AddFile(Content(1000, 8));
  payload.AddFile(Content(10 * kMiB, 9));
  payload.AddFile(Content(1000, 10));
  for (HashFile& file : payload.request.files) {
    file.sums = {};
    file.want_merkle = false;
  }
  payload.request.piece_length = kMiB;
  const auto outcome = Hash(payload.request);
  ASSERT_TRUE(outcome.has_value());
  ExpectAllRight(payload, *outcome);
}

TEST(HashEngineTest, NamesTheBadPieces) {
  Payload payload;
  payload.AddFile(Content(300'000, 11));
  payload.AddFile(Content(300'000, 12));
  payload.request.piece_length = 65536;
  payload.request.piece_digests = payload.ExpectedPieces();
  // Bytes of the pieces 0, 4 (in both files) and 9 (the last).
  payload.contents[0][5] ^= 1;
  payload.contents[0][299'999] ^= 1;
  payload.contents[1][299'999] ^= 1;
  payload.dir.Write("f0", payload.contents[0]);
  payload.dir.Write("f1", payload.contents[1]);
  const auto outcome = Hash(payload.request);
  ASSERT_TRUE(outcome.has_value());
  EXPECT_EQ(outcome->bad_pieces, (std::vector<uint32_t>{0, 4, 9}));
}

// With nothing else wanted they are hashed two by two, where their length is a
// multiple of 64 (100,000 is none). 98,304 is no power of two and no divisor of
// the buffer; of 98,304 and 16,384 a shorter last one is left alone.
TEST(HashEngineTest, PiecesAloneAreRightAndNamed) {
  for (const uint64_t length : {uint64_t{98'304}, uint64_t{100'000},
                                uint64_t{16'384}, uint64_t{kMiB}}) {
    for (const size_t num_threads : {size_t{1}, size_t{3}}) {
      Payload payload;
      payload.AddFile(Content(300'000, 21));
      payload.AddFile(Content(9 * 98'304 + 3 * kMiB, 22));
      for (HashFile& file : payload.request.files) {
        file.sums = {};
        file.want_merkle = false;
      }
      payload.request.piece_length = length;
      payload.request.num_threads = num_threads;
      auto outcome = Hash(payload.request);
      ASSERT_TRUE(outcome.has_value());
      EXPECT_EQ(outcome->piece_digests, payload.ExpectedPieces()) << length;

      payload.request.piece_digests = payload.ExpectedPieces();
      const uint64_t bad = (300'000 + 2 * kMiB) / length;
      payload.contents[1][bad * length - 300'000 + length / 2] ^= 1;
      payload.dir.Write("f1", payload.contents[1]);
      outcome = Hash(payload.request);
      ASSERT_TRUE(outcome.has_value());
      EXPECT_EQ(outcome->bad_pieces,
                std::vector<uint32_t>{static_cast<uint32_t>(bad)})
          << length;
    }
  }
}

TEST(HashEngineTest, MissingFileIsAnOutcome) {
  Payload payload;
  payload.AddFile(Content(100'000, 13));
  payload.AddFile(Content(100'000, 14));
  payload.AddFile(Content(100'000, 15));
  payload.request.piece_length = 16384;
  payload.request.piece_digests = payload.ExpectedPieces();
  ASSERT_EQ(unlink(payload.request.files[1].path.c_str()), 0);
  const auto outcome = Hash(payload.request);
  ASSERT_TRUE(outcome.has_value());
  EXPECT_EQ(outcome->files[0].state, FileState::kOk);
  EXPECT_EQ(outcome->files[1].state, FileState::kMissing);
  EXPECT_TRUE(outcome->files[1].sums.empty());
  EXPECT_EQ(outcome->files[2].state, FileState::kOk);
  // File 1 is [100000, 200000): pieces 6 (98304..) to 12 (..212992).
  EXPECT_EQ(outcome->bad_pieces,
            (std::vector<uint32_t>{6, 7, 8, 9, 10, 11, 12}));
  EXPECT_EQ(outcome->piece_digests[8], Sha1Digest{});
}

TEST(HashEngineTest, ShortFileKeepsThePiecesThatAreThere) {
  Payload payload;
  payload.AddFile(Content(100'000, 16));
  payload.AddFile(Content(100'000, 17));
  payload.request.piece_length = 16384;
  payload.request.piece_digests = payload.ExpectedPieces();
  payload.dir.Write("f0", payload.contents[0].substr(0, 50'000));
  const auto outcome = Hash(payload.request);
  ASSERT_TRUE(outcome.has_value());
  EXPECT_EQ(outcome->files[0].state, FileState::kWrongSize);
  EXPECT_EQ(outcome->files[0].actual_size_bytes, 50'000u);
  EXPECT_TRUE(outcome->files[0].sums.empty());
  EXPECT_FALSE(outcome->files[0].merkle_root.has_value());
  // 50000 / 16384 = 3.05: pieces 0 to 2 are whole; 6 reaches into file 1.
  EXPECT_EQ(outcome->bad_pieces, (std::vector<uint32_t>{3, 4, 5, 6}));
}

TEST(HashEngineTest, LongFileHasTheWrongSize) {
  Payload payload;
  payload.AddFile(Content(50'000, 18));
  payload.request.piece_length = 16384;
  payload.request.piece_digests = payload.ExpectedPieces();
  payload.dir.Write("f0", payload.contents[0] + "more");
  const auto outcome = Hash(payload.request);
  ASSERT_TRUE(outcome.has_value());
  EXPECT_EQ(outcome->files[0].state, FileState::kWrongSize);
  EXPECT_EQ(outcome->files[0].actual_size_bytes, 50'004u);
  EXPECT_TRUE(outcome->files[0].sums.empty());
  EXPECT_TRUE(outcome->bad_pieces.empty());
}

TEST(HashEngineTest, DirectoryIsUnreadable) {
  Payload payload;
  payload.AddFile("abc");
  payload.request.files[0].path = payload.dir.path();
  const auto outcome = Hash(payload.request);
  ASSERT_TRUE(outcome.has_value());
  EXPECT_EQ(outcome->files[0].state, FileState::kUnreadable);
  EXPECT_NE(outcome->files[0].error.find(payload.dir.path()),
            std::string::npos);
}

TEST(HashEngineTest, LooksAtTheSizeWhereNothingIsWanted) {
  Payload payload;
  payload.AddFile("abc");
  payload.AddFile("abcd");
  for (HashFile& file : payload.request.files) {
    file.sums = {};
    file.want_merkle = false;
  }
  payload.request.files[1].size_bytes = 3;
  const auto outcome = Hash(payload.request);
  ASSERT_TRUE(outcome.has_value());
  EXPECT_EQ(outcome->files[0].state, FileState::kOk);
  EXPECT_EQ(outcome->files[1].state, FileState::kWrongSize);
  EXPECT_EQ(outcome->bytes_read, 0u);
}

TEST(HashEngineTest, HashesPadsAloneAndNothing) {
  Payload payload;
  payload.AddPad(100'000);
  payload.request.piece_length = 16384;
  const auto pads = Hash(payload.request);
  ASSERT_TRUE(pads.has_value());
  ExpectAllRight(payload, *pads);
  const auto nothing = Hash({});
  ASSERT_TRUE(nothing.has_value());
  EXPECT_TRUE(nothing->files.empty());
}

TEST(HashEngineTest, RefusesCountsThatDoNotFit) {
  Payload payload;
  payload.AddFile(Content(100, 19));
  payload.request.piece_length = 16;
  payload.request.piece_digests.resize(6);  // 100 / 16 makes 7
  const auto outcome = Hash(payload.request);
  ASSERT_FALSE(outcome.has_value());
  EXPECT_EQ(outcome.error().code, ErrorCode::kInvalidArgument);
  payload.request.piece_length = 0;
  EXPECT_FALSE(Hash(payload.request).has_value());
}

TEST(HashEngineTest, ProgressReachesTheTotal) {
  Payload payload;
  payload.AddFile(Content(3 * kMiB, 20));
  payload.AddFile(Content(1000, 21));
  payload.AddFile(Content(2000, 22));
  ASSERT_EQ(unlink(payload.request.files[2].path.c_str()), 0);
  RecordedProgress sink;
  ASSERT_TRUE(Hash(payload.request, &sink).has_value());
  EXPECT_EQ(sink.total_, 3 * kMiB + 3000);
  EXPECT_EQ(sink.most_, sink.total_);
  EXPECT_TRUE(sink.items_.count(payload.request.files[0].path) > 0);
}

TEST(HashEngineTest, StopsWhenAsked) {
  Payload payload;
  payload.AddFile(Content(24 * kMiB, 23));
  CancelToken cancel;
  RecordedProgress sink([&cancel] { cancel.Cancel(); });
  const auto outcome = HashFiles(payload.request, cancel, &sink);
  ASSERT_FALSE(outcome.has_value());
  EXPECT_EQ(outcome.error().code, ErrorCode::kCancelled);
  // What was buffered at that moment, not all of it.
  EXPECT_LT(sink.most_, 12 * kMiB);
}

TEST(HashEngineTest, SurvivesTruncationWhileReading) {
  Payload payload;
  payload.AddFile(Content(32 * kMiB, 24));
  payload.AddFile(Content(1000, 25));
  payload.request.piece_length = kMiB;
  payload.request.piece_digests = payload.ExpectedPieces();
  const std::string path = payload.request.files[0].path;
  RecordedProgress sink([&path] { ASSERT_EQ(truncate(path.c_str(), 0), 0); });
  payload.request.num_threads = 1;
  const auto outcome = Hash(payload.request, &sink);
  ASSERT_TRUE(outcome.has_value());
  EXPECT_EQ(outcome->files[0].state, FileState::kUnreadable);
  EXPECT_FALSE(outcome->files[0].error.empty());
  EXPECT_TRUE(outcome->files[0].sums.empty());
  EXPECT_EQ(outcome->files[1].state, FileState::kOk);
  EXPECT_GT(outcome->bad_pieces.size(), 20u);
}

TEST(HashEngineTest, ManySmallFilesOnManyThreads) {
  Payload payload;
  for (uint32_t i = 0; i < 200; ++i) {
    payload.AddFile(Content(i * 37 % 5000, i));
  }
  payload.request.piece_length = 16384;
  payload.request.num_threads = 16;
  payload.request.piece_digests = payload.ExpectedPieces();
  const auto outcome = Hash(payload.request);
  ASSERT_TRUE(outcome.has_value());
  ExpectAllRight(payload, *outcome);
  EXPECT_TRUE(outcome->bad_pieces.empty());
}

}  // namespace
}  // namespace verify
