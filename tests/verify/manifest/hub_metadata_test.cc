// SPDX-License-Identifier: Apache-2.0
#include "verify/manifest/hub_metadata.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "tests/support/expect_error.h"
#include "verify/base/text.h"

namespace verify {
namespace {

using tests::ExpectError;

// The example of the Git LFS specification.
constexpr std::string_view kPointer =
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:"
    "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
    "size 12345\n";
constexpr std::string_view kOid =
    "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393";
constexpr std::string_view kCommit = "0123456789abcdef0123456789abcdef01234567";

TEST(LfsPointerTest, ReadsTheExampleOfTheSpecification) {
  EXPECT_TRUE(LooksLikeLfsPointer(kPointer));
  const auto pointer = ParseLfsPointer(kPointer);
  ASSERT_TRUE(pointer.has_value()) << pointer.error().message;
  EXPECT_EQ(HexEncode(pointer->sha256), kOid);
  EXPECT_EQ(pointer->size_bytes, 12345u);
}

TEST(LfsPointerTest, PassesOverKeysItDoesNotKnow) {
  std::string text(kPointer);
  text.insert(text.find("oid"), "ext-0-foo sha256:00\n");
  EXPECT_TRUE(ParseLfsPointer(text).has_value());
  // As a client on Windows may have checked it out.
  for (size_t at = 0; (at = text.find('\n', at)) != std::string::npos;
       at += 2) {
    text.insert(at, "\r");
  }
  EXPECT_TRUE(ParseLfsPointer(text).has_value());
}

TEST(LfsPointerTest, C16RefusesWhatIsNoWholePointer) {
  const std::string text(kPointer);
  const auto without = [&](std::string_view part) {
    std::string copy = text;
    const size_t at = copy.find(part);
    copy.erase(at, copy.find('\n', at) + 1 - at);
    return copy;
  };
  const auto with = [&](std::string_view old, std::string_view now) {
    std::string copy = text;
    return copy.replace(copy.find(old), old.size(), now);
  };
  for (const std::string& bad :
       {std::string(), without("version"), without("oid"), without("size"),
        with("sha256:", "sha512:"), with("4d7a", "4d7"), with("4d7a", "zzzz"),
        with("12345", "-1"), with("12345", "1e3"),
        with("12345", "99999999999999999999"), text + text,
        text + "size 12345\n", text + "garbage\n", text + " x\n",
        text + "a " + std::string(1024, 'a')}) {
    ExpectError(ParseLfsPointer(bad), ErrorCode::kCorrupt, "Git LFS pointer",
                "E-LFS-POINTER");
  }
  ExpectError(ParseLfsPointer(with("v1", "v2")), ErrorCode::kUnsupported, "v2",
              "E-LFS-POINTER");
}

TEST(LfsPointerTest, RefusesEveryTruncation) {
  // Without the last digits of the size it is a pointer to a smaller file.
  const size_t whole = kPointer.find("size 1") + 6;
  for (size_t size = 0; size < whole; ++size) {
    EXPECT_FALSE(ParseLfsPointer(kPointer.substr(0, size)).has_value()) << size;
  }
}

TEST(HubMetadataTest, ReadsBothKindsOfEtag) {
  const auto lfs = ParseHubMetadata(StrCat(kCommit, "\n", kOid, "\n1.5\n"));
  ASSERT_TRUE(lfs.has_value()) << lfs.error().message;
  EXPECT_EQ(lfs->commit, kCommit);
  EXPECT_EQ(HexEncode(lfs->etag), kOid);
  // The id of an empty blob, as `git hash-object` prints it.
  constexpr std::string_view kEmpty =
      "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391";
  const auto git =
      ParseHubMetadata(StrCat(kCommit, "\n\"", kEmpty, "\"\n1700000000.25"));
  ASSERT_TRUE(git.has_value()) << git.error().message;
  EXPECT_EQ(HexEncode(git->etag), kEmpty);
}

TEST(HubMetadataTest, RefusesWhatIsNone) {
  for (const std::string& bad :
       {std::string(), std::string("main\n"), StrCat(kCommit, "\n"),
        StrCat(kCommit, "\nabc\n"), StrCat(kCommit, "\n", kOid, "00\n"),
        StrCat("\n", kCommit, "\n", kOid, "\n"), StrCat(kOid, "\n", kOid, "\n"),
        StrCat(kCommit, "\n", kOid, "\n", std::string(5000, '1'))}) {
    ExpectError(ParseHubMetadata(bad), ErrorCode::kCorrupt,
                "record of a download", "E-HUB-METADATA");
  }
}

}  // namespace
}  // namespace verify
