// SPDX-License-Identifier: Apache-2.0
#include "cli/state/seen_manifests.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <string>
#include <thread>
#include <vector>

#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"
#include "verify/base/file.h"
#include "verify/base/text.h"

namespace cli {
namespace {

using tests::ExpectError;
using verify::ErrorCode;

SeenManifest Release(uint64_t version, char digest = 'a') {
  return {.key = "k1",
          .model = "demo",
          .version = version,
          .sha256 = std::string(64, digest)};
}

class SeenManifestsTest : public testing::Test {
 protected:
  tests::TempDir dir_;
  std::string path_ = dir_.File("data/seen-manifests.json");
  SeenManifests seen_{path_};
};

TEST_F(SeenManifestsTest, NothingWasSeenAtFirst) {
  const auto found = seen_.Find("k1", "demo");
  ASSERT_TRUE(found.has_value());
  EXPECT_FALSE(found->has_value());
  EXPECT_TRUE(seen_.Check(Release(1)).has_value());
  // A look leaves nothing behind.
  struct stat info {};
  EXPECT_NE(::stat(path_.c_str(), &info), 0);
}

TEST_F(SeenManifestsTest, D11RefusesAnOlderVersionThanWasSeen) {
  ASSERT_TRUE(seen_.Record(Release(5)).has_value());
  ExpectError(seen_.Check(Release(4)), ErrorCode::kUntrusted,
              "version 4, but version 5", "E-ROLLBACK");
  ExpectError(seen_.Record(Release(4)), ErrorCode::kUntrusted, "version 4",
              "E-ROLLBACK");
  EXPECT_TRUE(seen_.Check(Release(5)).has_value());
  EXPECT_TRUE(seen_.Check(Release(6, 'b')).has_value());
  ASSERT_TRUE(seen_.Record(Release(6, 'b')).has_value());
  ExpectError(seen_.Check(Release(5)), ErrorCode::kUntrusted, "version 6",
              "E-ROLLBACK");
  EXPECT_EQ(**seen_.Find("k1", "demo"), Release(6, 'b'));
}

TEST_F(SeenManifestsTest, D11RefusesOneVersionWithOtherBytes) {
  ASSERT_TRUE(seen_.Record(Release(5)).has_value());
  ExpectError(seen_.Check(Release(5, 'b')), ErrorCode::kUntrusted,
              "one version is one manifest", "E-ROLLBACK");
  ExpectError(seen_.Record(Release(5, 'b')), ErrorCode::kUntrusted, "",
              "E-ROLLBACK");
}

TEST_F(SeenManifestsTest, KeysAndModelsAreApart) {
  ASSERT_TRUE(seen_.Record(Release(5)).has_value());
  SeenManifest other = Release(1, 'b');
  other.key = "k2";
  EXPECT_TRUE(seen_.Record(other).has_value());
  other = Release(2, 'c');
  other.model = "demo-large";
  EXPECT_TRUE(seen_.Record(other).has_value());
  EXPECT_EQ(**seen_.Find("k1", "demo"), Release(5));
  EXPECT_EQ(**seen_.Find("k1", "demo-large"), other);
}

TEST_F(SeenManifestsTest, IsForItsOwnerOnly) {
  ASSERT_TRUE(seen_.Record(Release(1)).has_value());
  struct stat info {};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0600u);
}

// Forgetting is what an attacker would want: a broken file stops the check.
TEST_F(SeenManifestsTest, ABrokenFileIsNotForgotten) {
  for (const std::string_view text :
       {"", "{", "[]", "{\"format\":2,\"seen\":[]}", "{\"format\":1}",
        "{\"format\":1,\"seen\":[{\"key\":\"k1\"}]}",
        "{\"format\":1,\"seen\":[{\"key\":\"k1\",\"model\":\"demo\","
        "\"sha256\":\"aa\",\"version\":1}]}",
        "{\"format\":1,\"seen\":[7]}"}) {
    dir_.Write("data/seen-manifests.json", text);
    ExpectError(seen_.Check(Release(9)), ErrorCode::kCorrupt, "seen", "E-SEEN");
    ExpectError(seen_.Record(Release(9)), ErrorCode::kCorrupt, "seen",
                "E-SEEN");
    EXPECT_EQ(*verify::ReadSmallTextFile(path_, 4096), text);
  }
}

TEST_F(SeenManifestsTest, RecordsThatAreMadeAtOnceAllLast) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      for (uint64_t version = 1; version <= 5; ++version) {
        SeenManifest release = Release(version);
        release.model = verify::StrCat("model-", i);
        EXPECT_TRUE(SeenManifests(path_).Record(release).has_value());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < 8; ++i) {
    const auto found = seen_.Find("k1", verify::StrCat("model-", i));
    ASSERT_TRUE(found.has_value() && found->has_value());
    EXPECT_EQ((*found)->version, 5u);
  }
}

}  // namespace
}  // namespace cli
