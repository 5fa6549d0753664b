// SPDX-License-Identifier: Apache-2.0
// Files that change or are replaced, that are known, or that are read past the
// page cache.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "tests/support/content.h"
#include "tests/support/expect_error.h"
#include "tests/verify/digest/hash_payload.h"
#include "verify/digest/hash_engine.h"

namespace verify {
namespace {

using tests::Content;
using tests::ExpectAllRight;
using tests::Hash;
using tests::kMiB;
using tests::Payload;
using tests::RecordedProgress;

TEST(HashEngineStateTest, D13NoticesThatAFileChanged) {
  Payload payload;
  payload.AddFile(Content(4 * kMiB, 26));
  const std::string path = payload.request.files[0].path;
  RecordedProgress sink([&path] {
    // Another time of modification, as an editor would leave it.
    const timespec times[2] = {{0, UTIME_OMIT}, {12345, 0}};
    ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  });
  const auto outcome = Hash(payload.request, &sink);
  ASSERT_TRUE(outcome.has_value());
  EXPECT_EQ(outcome->files[0].state, FileState::kChanged);
  EXPECT_NE(outcome->files[0].error.find("changed"), std::string::npos);
  EXPECT_TRUE(outcome->files[0].sums.empty());
}

// What was read stays as it was, but the path leads elsewhere by then.
TEST(HashEngineStateTest, D13NoticesThatAnotherFileTookItsPlace) {
  for (const bool removed : {false, true}) {
    Payload payload;
    payload.AddFile(Content(4 * kMiB, 27));
    payload.AddFile(Content(1000, 28));
    const std::string path = payload.request.files[0].path;
    const std::string other = payload.dir.Write("other", payload.contents[0]);
    RecordedProgress sink([&] {
      ASSERT_EQ(removed ? unlink(path.c_str())
                        : std::rename(other.c_str(), path.c_str()),
                0);
    });
    payload.request.num_threads = 1;
    const auto outcome = Hash(payload.request, &sink);
    ASSERT_TRUE(outcome.has_value());
    EXPECT_EQ(outcome->files[0].state, FileState::kChanged);
    EXPECT_NE(outcome->files[0].error.find("in its place"), std::string::npos)
        << outcome->files[0].error;
    EXPECT_TRUE(outcome->files[0].sums.empty());
    EXPECT_FALSE(outcome->files[0].merkle_root.has_value());
    EXPECT_EQ(outcome->files[1].state, FileState::kOk);
  }
}

// Digests that are wrong on purpose, so that it shows where they come from.
TEST(HashEngineStateTest, KnownFilesAreNotRead) {
  Payload payload;
  payload.AddFile(Content(100'000, 41));
  payload.AddFile(Content(50'000, 42));
  payload.request.piece_length = 16'384;
  KnownDigests known;
  known.sums[SumAlgorithm::kMd5] = std::vector<std::byte>(16, std::byte{1});
  known.sums[SumAlgorithm::kSha256] = std::vector<std::byte>(32, std::byte{2});
  known.sums[SumAlgorithm::kSha1] = std::vector<std::byte>(20, std::byte{3});
  known.merkle_root = Sha256Digest{std::byte{4}};
  known.pieces.assign(6, Sha1Digest{std::byte{5}});  // 100000 / 16384 = 6.1
  payload.request.files[0].known = known;
  const auto outcome = Hash(payload.request);
  ASSERT_TRUE(outcome.has_value());
  EXPECT_TRUE(outcome->files[0].known);
  EXPECT_FALSE(outcome->files[1].known);
  EXPECT_EQ(outcome->bytes_read, 50'000u);
  // SHA-1 was not wanted.
  EXPECT_EQ(outcome->files[0].sums.size(), 2u);
  EXPECT_EQ(*outcome->files[0].Sum(SumAlgorithm::kMd5),
            known.sums[SumAlgorithm::kMd5]);
  EXPECT_EQ(outcome->files[0].merkle_root, known.merkle_root);
  const auto pieces = payload.ExpectedPieces();
  for (size_t i = 0; i < pieces.size(); ++i) {
    // The seventh lies in both files, and is read.
    EXPECT_EQ(outcome->piece_digests[i], i < 6 ? known.pieces[0] : pieces[i])
        << i;
  }
}

TEST(HashEngineStateTest, KnownFilesThatAreGoneOrOfAnotherSizeAreNotBelieved) {
  Payload payload;
  payload.AddFile("abc");
  payload.AddFile("abc");
  for (HashFile& file : payload.request.files) {
    file.want_merkle = false;
    file.sums = {SumAlgorithm::kMd5};
    file.known.emplace();
    file.known->sums[SumAlgorithm::kMd5].resize(16);
  }
  payload.dir.Write("f0", "abcd");
  ASSERT_EQ(unlink(payload.request.files[1].path.c_str()), 0);
  const auto outcome = Hash(payload.request);
  ASSERT_TRUE(outcome.has_value());
  EXPECT_EQ(outcome->files[0].state, FileState::kWrongSize);
  EXPECT_EQ(outcome->files[1].state, FileState::kMissing);
  for (const FileDigests& file : outcome->files) {
    EXPECT_FALSE(file.known);
    EXPECT_TRUE(file.sums.empty());
  }
}

TEST(HashEngineStateTest, RefusesKnownDigestsThatAreNotAllThatIsWanted) {
  Payload payload;
  payload.AddFile(Content(100'000, 43));
  payload.request.piece_length = 16'384;
  HashFile& file = payload.request.files[0];
  file.sums = {SumAlgorithm::kMd5};
  KnownDigests all;
  all.sums[SumAlgorithm::kMd5].resize(16);
  all.merkle_root.emplace();
  all.pieces.resize(7);
  file.known = all;
  EXPECT_TRUE(Hash(payload.request).has_value());
  const auto refused = [&] {
    tests::ExpectError(Hash(payload.request), ErrorCode::kInvalidArgument,
                       "is not what is wanted");
    file.known = all;
  };
  file.known->sums.clear();
  refused();
  file.known->merkle_root.reset();
  refused();
  file.known->pieces.pop_back();
  refused();
  payload.request.merkle_piece_length = 16'384;
  refused();
}

// The same comes out, whether the file system can or not.
TEST(HashEngineStateTest, ReadsPastThePageCache) {
  for (const uint64_t piece_length : {uint64_t{0}, kMiB, uint64_t{100'000}}) {
    Payload payload;
    payload.AddFile(Content(9 * kMiB + 4321, 44));
    payload.AddFile(Content(4096, 45));
    payload.AddFile(Content(3 * kMiB, 46));
    payload.AddFile("");
    payload.request.piece_length = piece_length;
    payload.request.read_mode = ReadMode::kDirect;
    payload.request.num_threads = 2;
    auto outcome = Hash(payload.request);
    ASSERT_TRUE(outcome.has_value());
    ExpectAllRight(payload, *outcome);
    EXPECT_TRUE(outcome->files_not_direct == 0 ||
                outcome->files_not_direct == 3)
        << outcome->files_not_direct;
    for (HashFile& file : payload.request.files) {
      file.sums = {};
      file.want_merkle = false;
    }
    outcome = Hash(payload.request);
    ASSERT_TRUE(outcome.has_value());
    ExpectAllRight(payload, *outcome);
  }
}

}  // namespace
}  // namespace verify
