// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/cached_hash.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdio>
#include <string>
#include <vector>

#include "cli/state/sqlite.h"
#include "tests/support/content.h"
#include "tests/support/temp_dir.h"
#include "verify/base/file_stamp.h"
#include "verify/base/text.h"

namespace cli {
namespace {

using tests::Content;
using verify::AsBytes;
using verify::FileState;
using verify::SumAlgorithm;

constexpr int64_t kSecondNs = 1'000'000'000;

class CachedHashTest : public testing::Test {
 protected:
  CachedHashTest() {
    options_.state_path = dir_.File("state/state.sqlite");
    options_.cache = DigestCache::kUse;
    AddFile("a", 200'000);
    AddFile("b", 70'000);
    request_.piece_length = 16'384;
  }

  void AddFile(const std::string& name, size_t size) {
    contents_.push_back(Content(size, static_cast<uint32_t>(size)));
    verify::HashFile file;
    file.path = dir_.Write(name, contents_.back());
    file.size_bytes = size;
    file.want_merkle = true;
    request_.files.push_back(std::move(file));
  }

  // An hour after the files were made.
  CachedHashOutcome Hash() {
    const auto stamp = verify::StampOf(request_.files[0].path);
    EXPECT_TRUE(stamp);
    options_.now_ns = stamp->ctime_ns + 3600 * kSecondNs;
    const verify::CancelToken cancel;
    auto outcome = HashFilesCached(request_, options_, cancel, nullptr);
    EXPECT_TRUE(outcome) << outcome.error().ToString();
    EXPECT_EQ(outcome->trouble, "");
    return std::move(*outcome);
  }

  // Bytes of the file changed without a trace in size and time of modification.
  void ChangeInPlace(size_t file, size_t at) {
    const std::string& path = request_.files[file].path;
    struct stat info {};
    ASSERT_EQ(::stat(path.c_str(), &info), 0);
    std::FILE* const out = std::fopen(path.c_str(), "r+");
    ASSERT_NE(out, nullptr);
    ASSERT_EQ(std::fseek(out, static_cast<long>(at), SEEK_SET), 0);
    contents_[file][at] ^= 1;
    ASSERT_EQ(std::fputc(contents_[file][at], out),
              static_cast<unsigned char>(contents_[file][at]));
    ASSERT_EQ(std::fclose(out), 0);
    const timespec times[2] = {info.st_atim, info.st_mtim};
    ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  }

  std::vector<std::byte> Sha256Of(size_t file) const {
    const auto digest = verify::Sha256(AsBytes(contents_[file]));
    return {digest.begin(), digest.end()};
  }

  tests::TempDir dir_;
  CachedHashOptions options_;
  verify::HashRequest request_;
  std::vector<std::string> contents_;
};

TEST_F(CachedHashTest, GivesTheSameWithoutReadingAgain) {
  const CachedHashOutcome first = Hash();
  EXPECT_EQ(first.bytes_not_read, 0u);
  EXPECT_EQ(first.hashed.bytes_read, 270'000u);
  const CachedHashOutcome second = Hash();
  EXPECT_EQ(second.bytes_not_read, 270'000u);
  EXPECT_EQ(second.hashed.bytes_read, 0u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_FALSE(first.hashed.files[i].known);
    EXPECT_TRUE(second.hashed.files[i].known);
    EXPECT_EQ(second.hashed.files[i].sums, first.hashed.files[i].sums);
    EXPECT_EQ(second.hashed.files[i].sums.at(SumAlgorithm::kSha256),
              Sha256Of(i));
    EXPECT_EQ(second.hashed.files[i].merkle_root,
              first.hashed.files[i].merkle_root);
  }
  EXPECT_EQ(second.hashed.piece_digests, first.hashed.piece_digests);
}

TEST_F(CachedHashTest, ComparesWhatIsRememberedEachTime) {
  const auto pieces = Hash().hashed.piece_digests;
  request_.piece_digests = pieces;
  request_.piece_digests[3] = {};  // in "a" alone
  const CachedHashOutcome second = Hash();
  EXPECT_EQ(second.bytes_not_read, 270'000u);
  EXPECT_EQ(second.hashed.bad_pieces, std::vector<uint32_t>{3});
}

TEST_F(CachedHashTest, ReadsWhatIsNotRememberedOfIt) {
  Hash();
  request_.files[1].sums.Add(SumAlgorithm::kMd5);
  const CachedHashOutcome more = Hash();
  EXPECT_TRUE(more.hashed.files[0].known);
  EXPECT_FALSE(more.hashed.files[1].known);
  EXPECT_EQ(more.hashed.bytes_read, 70'000u);
  // And adds it to what is.
  EXPECT_EQ(Hash().bytes_not_read, 270'000u);
  request_.piece_length = 32'768;
  EXPECT_EQ(Hash().bytes_not_read, 0u) << "pieces of another length";
}

TEST_F(CachedHashTest, ReadsAFileAgainThatChangedUnderTheSameTime) {
  Hash();
  ChangeInPlace(0, 100'000);
  const CachedHashOutcome second = Hash();
  EXPECT_FALSE(second.hashed.files[0].known);
  EXPECT_TRUE(second.hashed.files[1].known);
  EXPECT_EQ(second.hashed.files[0].sums.at(SumAlgorithm::kSha256), Sha256Of(0));
}

TEST_F(CachedHashTest, ReadsAFileAgainThatTookItsPlace) {
  Hash();
  contents_[1] = Content(70'000, 99);
  const std::string other = dir_.Write("other", contents_[1]);
  ASSERT_EQ(std::rename(other.c_str(), request_.files[1].path.c_str()), 0);
  const CachedHashOutcome second = Hash();
  EXPECT_FALSE(second.hashed.files[1].known);
  EXPECT_EQ(second.hashed.files[1].sums.at(SumAlgorithm::kSha256), Sha256Of(1));
}

TEST_F(CachedHashTest, RenewReadsAllAndRemembersIt) {
  Hash();
  options_.cache = DigestCache::kRenew;
  EXPECT_EQ(Hash().hashed.bytes_read, 270'000u);
  options_.cache = DigestCache::kUse;
  EXPECT_EQ(Hash().bytes_not_read, 270'000u);
  options_.cache = DigestCache::kOff;
  EXPECT_EQ(Hash().bytes_not_read, 0u);
}

// Written a moment ago: a write right after the reading could bear the same
// time.
TEST_F(CachedHashTest, DoesNotRememberFilesThatHaveNotRested) {
  const verify::CancelToken cancel;
  const auto stamp = verify::StampOf(request_.files[0].path);
  ASSERT_TRUE(stamp);
  options_.now_ns = stamp->ctime_ns + kSecondNs;
  ASSERT_TRUE(HashFilesCached(request_, options_, cancel, nullptr));
  EXPECT_EQ(Hash().bytes_not_read, 0u);
  EXPECT_EQ(Hash().bytes_not_read, 270'000u);
}

// Who damages the database can have files read again, and nothing else.
TEST_F(CachedHashTest, WrongRowsAreNotTakenOver) {
  Hash();
  {
    auto raw = SqliteDatabase::Open(options_.state_path);
    ASSERT_TRUE(raw);
    ASSERT_TRUE(
        raw->Execute("UPDATE file_digests SET digest='abc' "
                     "WHERE kind='sha256'"));
  }
  EXPECT_EQ(Hash().bytes_not_read, 0u);
  EXPECT_EQ(Hash().bytes_not_read, 270'000u) << "they were replaced";
}

TEST_F(CachedHashTest, ADatabaseThatCannotBeOpenedIsSaid) {
  dir_.Write("blocker", "");
  options_.state_path = dir_.File("blocker/state.sqlite");
  const verify::CancelToken cancel;
  const auto outcome = HashFilesCached(request_, options_, cancel, nullptr);
  ASSERT_TRUE(outcome);
  EXPECT_NE(outcome->trouble, "");
  EXPECT_EQ(outcome->hashed.files[0].sums.at(SumAlgorithm::kSha256),
            Sha256Of(0));
}

// Between reading and use: another file in its place by the time all is done.
TEST_F(CachedHashTest, D13NoticesAReplacementOfARememberedFile) {
  Hash();
  // The first file is read for its new sum; at its first block the second, of
  // which everything is remembered, is replaced.
  request_.files[0].sums.Add(SumAlgorithm::kMd5);
  class Replacer final : public verify::ProgressSink {
   public:
    Replacer(std::string from, std::string to)
        : from_(std::move(from)), to_(std::move(to)) {}
    void OnProgress(std::string_view, uint64_t, uint64_t) override {
      static_cast<void>(std::rename(from_.c_str(), to_.c_str()));
    }

   private:
    std::string from_;
    std::string to_;
  };
  Replacer replacer(dir_.Write("other", contents_[1]), request_.files[1].path);
  const verify::CancelToken cancel;
  const auto outcome = HashFilesCached(request_, options_, cancel, &replacer);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->hashed.files[0].state, FileState::kOk);
  EXPECT_EQ(outcome->hashed.files[1].state, FileState::kChanged);
  EXPECT_TRUE(outcome->hashed.files[1].sums.empty());
}

}  // namespace
}  // namespace cli
