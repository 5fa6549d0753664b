// SPDX-License-Identifier: Apache-2.0
#include "verify/manifest/published_sums.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"
#include "verify/base/file.h"
#include "verify/base/text.h"

namespace verify {
namespace {

using tests::ExpectError;

// RFC 1321 and FIPS 180-2 digests of "abc".
constexpr std::string_view kMd5 = "900150983cd24fb0d6963f7d28e17f72";
constexpr std::string_view kSha1 = "a9993e364706816aba3e25717850c26c9cd0d89d";
constexpr std::string_view kSha256 =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr std::string_view kOtherMd5 = "d41d8cd98f00b204e9800998ecf8427e";

std::vector<PublishedSum> Parsed(std::string_view text, std::string_view list) {
  auto sums = ParsePublishedSums(text, list);
  EXPECT_TRUE(sums.has_value()) << sums.error().message;
  return sums ? *sums : std::vector<PublishedSum>();
}

void ExpectOne(std::string_view text, std::string_view list,
               std::string_view name, SumAlgorithm algorithm,
               std::string_view hex) {
  const auto sums = Parsed(text, list);
  ASSERT_EQ(sums.size(), 1u) << text;
  EXPECT_EQ(sums[0].name, name) << text;
  EXPECT_EQ(sums[0].algorithm, algorithm) << text;
  EXPECT_EQ(HexEncode(sums[0].digest), hex) << text;
  EXPECT_EQ(sums[0].list, list) << text;
}

// The banner of the first Mixtral torrent, with the digests as published.
TEST(PublishedSumsTest, ReadsTheBannerOfMixtral) {
  const auto sums = Parsed(
      " ╓────────────────────────────────────────────────────────╖\n"
      " ║                     M I S T R A L                      ║\n"
      " ║                     ·· md5sum ··                       ║\n"
      " ║   1faa9bc9b20fcfe81fcd4eb7166a79e6  consolidated.00.pth ║\n"
      " ║   37974873eb68a7ab30c4912fc36264ae  tokenizer.model     ║\n"
      " ╙────────────────────────────────────────────────────────╜\n",
      "RELEASE");
  ASSERT_EQ(sums.size(), 2u);
  EXPECT_EQ(sums[0].name, "consolidated.00.pth");
  EXPECT_EQ(HexEncode(sums[0].digest), "1faa9bc9b20fcfe81fcd4eb7166a79e6");
  EXPECT_EQ(sums[0].algorithm, SumAlgorithm::kMd5);
  EXPECT_EQ(sums[0].list, "RELEASE");
  EXPECT_EQ(sums[1].name, "tokenizer.model");
}

// md5sum of the files in the repository, as coreutils prints them.
TEST(PublishedSumsTest, ReadsTheBannerOfTheDemoModel) {
  const auto text = ReadSmallTextFile(
      StrCat(LODESTONE_SOURCE_DIR, "/magnets/demo/RELEASE"), kMaxSumsBytes);
  ASSERT_TRUE(text.has_value()) << text.error().message;
  const auto sums = Parsed(*text, "RELEASE");
  ASSERT_EQ(sums.size(), 2u);
  EXPECT_EQ(sums[0].name, "consolidated.00.pth");
  EXPECT_EQ(HexEncode(sums[0].digest), "ca79f34293e8b631b18b3003c45df7e5");
  EXPECT_EQ(sums[1].name, "tokenizer.model");
  EXPECT_EQ(HexEncode(sums[1].digest), "da93764b6b274b97219cd8587fbed6c5");
}

TEST(PublishedSumsTest, BannerWithoutDigestsHasNone) {
  EXPECT_TRUE(Parsed("just a text\n\n1faa  x\n", "RELEASE").empty());
  EXPECT_TRUE(Parsed(kMd5, "RELEASE").empty());  // no name beside it
  EXPECT_TRUE(Parsed("", "RELEASE").empty());
}

TEST(PublishedSumsTest, ReadsEveryFormOfALine) {
  const std::string md5(kMd5);
  const std::vector<std::pair<std::string, std::string_view>> cases = {
      {md5 + "  a.bin\n", "a.bin"},
      {md5 + "  a.bin", "a.bin"},                     // no newline at the end
      {md5 + " *a.bin\n", "a.bin"},                   // binary
      {md5 + " a.bin\n", "a.bin"},                    // one blank
      {md5 + "\ta.bin\n", "a.bin"},                   // a tab
      {md5 + "  a.bin\r\n", "a.bin"},                 // CRLF
      {"\xEF\xBB\xBF" + md5 + "  a.bin\n", "a.bin"},  // byte order mark
      {"900150983CD24FB0D6963F7D28E17F72  a.bin\n", "a.bin"},
      {md5 + "  ./a.bin\n", "a.bin"},
      {md5 + "  dir/a.bin\n", "dir/a.bin"},
      {md5 + "  a b.bin\n", "a b.bin"},
      {"\\" + md5 + "  a\\\\b\n", "a\\b"},  // escaped backslash
      {"\\" + md5 + "  a\\nb\n", "a\nb"},   // escaped newline
      {"MD5 (a.bin) = " + md5 + "\n", "a.bin"},
      {"MD5 (a (1).bin) = " + md5 + "\n", "a (1).bin"},
      {"# made by hand\n\n" + md5 + "  a.bin\n", "a.bin"},
      {"BLAKE2b-16 (a.bin) = 00ff\n" + md5 + "  a.bin\n", "a.bin"},
      {md5 + "  a.bin\n" + md5 + "  a.bin\n", "a.bin"},  // twice the same
  };
  for (const auto& [text, name] : cases) {
    ExpectOne(text, "MD5SUMS", name, SumAlgorithm::kMd5, kMd5);
  }
}

// RFC 7693, appendix A, and FIPS 180-2, appendix C: digests of "abc".
TEST(PublishedSumsTest, TellsBlake2bFromTheNameOfTheListOrOfTheLine) {
  const std::string_view blake2b =
      "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
      "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923";
  const std::string_view sha512 =
      "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
      "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
  for (const std::string_view list : {"B2SUMS", "b2sums.txt", "a.b2"}) {
    ExpectOne(StrCat(blake2b, "  a"), list, "a", SumAlgorithm::kBlake2b,
              blake2b);
    // Who names the algorithm is believed, and a short one is no SHA-256.
    ExpectOne(StrCat("SHA512 (a) = ", sha512), list, "a", SumAlgorithm::kSha512,
              sha512);
    ExpectError(ParsePublishedSums(StrCat(kSha256, "  a"), list),
                ErrorCode::kCorrupt, "64 hexadecimal digits", "E-SUMS");
  }
  ExpectOne(blake2b, "a.b2", "a", SumAlgorithm::kBlake2b, blake2b);
  ExpectOne(StrCat("BLAKE2b (a) = ", blake2b), "x", "a", SumAlgorithm::kBlake2b,
            blake2b);
  for (const std::string_view list : {"SHA512SUMS", "x", "a.sha512"}) {
    ExpectOne(StrCat(sha512, "  a"), list, "a", SumAlgorithm::kSha512, sha512);
  }
  ExpectError(ParsePublishedSums("BLAKE2b (a) = 00", "x"), ErrorCode::kCorrupt,
              "2 characters", "E-SUMS");
}

TEST(PublishedSumsTest, TellsTheKindFromTheLength) {
  ExpectOne(StrCat(kSha1, "  a"), "x", "a", SumAlgorithm::kSha1, kSha1);
  ExpectOne(StrCat(kSha256, "  a"), "x", "a", SumAlgorithm::kSha256, kSha256);
  ExpectOne(StrCat("SHA256 (a) = ", kSha256), "x", "a", SumAlgorithm::kSha256,
            kSha256);
  const std::string long_hex(96, 'a');
  ExpectOne(long_hex + "  a", "x", "a", SumAlgorithm::kSha384, long_hex);
  const std::string longer_hex(128, 'b');
  ExpectOne(longer_hex + "  a", "x", "a", SumAlgorithm::kSha512, longer_hex);
}

TEST(PublishedSumsTest, BareDigestIsThatOfTheFileItIsCalledAfter) {
  ExpectOne(StrCat(kMd5, "\n"), "model.gguf.md5", "model.gguf",
            SumAlgorithm::kMd5, kMd5);
  ExpectOne(kSha256, "a.SHA256", "a", SumAlgorithm::kSha256, kSha256);
  ExpectError(ParsePublishedSums(kMd5, "MD5SUMS"), ErrorCode::kCorrupt,
              "without a name", "E-SUMS");
}

TEST(PublishedSumsTest, OneFileMayHaveDigestsOfSeveralKinds) {
  EXPECT_EQ(Parsed(StrCat(kMd5, "  a\n", kSha256, "  a\n"), "x").size(), 2u);
}

TEST(PublishedSumsTest, RefusesNamesThatLeaveTheFolder) {
  for (const std::string_view name :
       {"/etc/passwd", "../a", "a/../../b", "a/..", "..", ".", "a//b", "a/",
        "a/./b", "C:\\a", "C:/a", "\\\\server\\a", "..\\a", "a\\..\\b"}) {
    ExpectError(ParsePublishedSums(StrCat(kMd5, "  ", name), "x"),
                ErrorCode::kCorrupt, "line 1", "E-PATH");
    ExpectError(ParsePublishedSums(StrCat("MD5 (", name, ") = ", kMd5), "x"),
                ErrorCode::kCorrupt, "line 1", "E-PATH");
    ExpectError(
        ParsePublishedSums(StrCat("║ ", kMd5, "  ", name, " ║"), "RELEASE"),
        ErrorCode::kCorrupt, "line 1", "E-PATH");
  }
  ExpectError(
      ParsePublishedSums(StrCat(kMd5, "  ", std::string(5000, 'a')), "x"),
      ErrorCode::kCorrupt, "no name inside", "E-PATH");
}

TEST(PublishedSumsTest, RefusesTwoDigestsOfOneFile) {
  ExpectError(
      ParsePublishedSums(StrCat(kMd5, "  a\n", kOtherMd5, "  ./a\n"), "x"),
      ErrorCode::kCorrupt, kOtherMd5, "E-SUMS");
}

TEST(PublishedSumsTest, RefusesWhatIsNoList) {
  for (const std::string& text :
       {std::string("hello\n"), StrCat(kMd5, "x  a"), StrCat("12ab  a"),
        StrCat("MD5 (a) = ", kSha256), std::string("MD5 (a) = zz"),
        StrCat("\\", kMd5, "  a\\x"), StrCat("\\", kMd5, "  a\\"),
        std::string("a\xFF\n"), std::string("a\0b", 3)}) {
    ExpectError(ParsePublishedSums(text, "x"), ErrorCode::kCorrupt, "\"x\"",
                "E-SUMS");
  }
}

TEST(PublishedSumsTest, RefusesAnEndlessList) {
  ExpectError(ParsePublishedSums(std::string(kMaxSumsBytes + 1, '\n'), "x"),
              ErrorCode::kLimit, "limit", "E-SUMS");
}

TEST(PublishedSumsTest, EscapesNamesInMessages) {
  const auto sums =
      ParsePublishedSums(StrCat(kMd5, "  ../\x1b[2Ja"), "x\x1b[0m");
  ASSERT_FALSE(sums.has_value());
  EXPECT_EQ(sums.error().message.find('\x1b'), std::string::npos);
}

// Every shorter text and every flipped bit: an answer, never a name outside.
TEST(PublishedSumsTest, SurvivesTruncationAndFlips) {
  const std::string text =
      StrCat("\\", kMd5, "  a\\\\b\r\n", kSha256, " *./c/d\nMD5 (e) = ", kMd5,
             "\n║ ", kSha1, "  f ║\n");
  for (const std::string_view list : {"RELEASE", "x", "y.md5"}) {
    for (size_t i = 0; i < text.size() * 8; ++i) {
      std::string hostile = text;
      hostile[i / 8] ^= static_cast<char>(1u << (i % 8));
      for (const std::string& input : {hostile, text.substr(0, i / 8)}) {
        const auto sums = ParsePublishedSums(input, list);
        if (!sums) continue;
        for (const PublishedSum& sum : *sums) {
          EXPECT_FALSE(sum.name.empty());
          EXPECT_NE(sum.name[0], '/');
          // "..c" is a name like any other; a part ".." is not.
          EXPECT_EQ(("/" + sum.name + "/").find("/../"), std::string::npos);
        }
      }
    }
  }
}

TEST(PublishedSumsTest, FindsAllListsOfAFolder) {
  tests::TempDir dir;
  for (const std::string_view name :
       {"RELEASE", "SHA256SUMS", "checklist.chk", "tokenizer_checklist.chk",
        "c.gguf.md5", "sha1sum.txt", "B2SUMS", "notes.txt", "md5.txt",
        "sub/SHA256SUMS"}) {
    dir.Write(name, "");
  }
  const auto lists = ListSumLists(dir.path());
  ASSERT_TRUE(lists.has_value()) << lists.error().message;
  EXPECT_EQ(*lists,
            (std::vector<std::string>{
                "B2SUMS", "RELEASE", "SHA256SUMS", "c.gguf.md5",
                "checklist.chk", "sha1sum.txt", "tokenizer_checklist.chk"}));
}

TEST(PublishedSumsTest, FolderMayHoldNoListOrNotExist) {
  tests::TempDir dir;
  const auto lists = ListSumLists(dir.path());
  ASSERT_TRUE(lists.has_value());
  EXPECT_TRUE(lists->empty());
  ExpectError(ListSumLists(dir.File("absent")), ErrorCode::kNotFound, "absent");
}

TEST(PublishedSumsTest, NamesAWebPageInPlaceOfAList) {
  for (const std::string_view page :
       {"<!DOCTYPE html>\n<html>404</html>", "\xEF\xBB\xBF  <html lang=en>",
        "<?xml version=\"1.0\"?><Error/>"}) {
    ExpectError(ParsePublishedSums(page, "SHA256SUMS"), ErrorCode::kCorrupt,
                "an HTML page", "E-HTML");
    ExpectError(ParsePublishedSums(page, "RELEASE"), ErrorCode::kCorrupt,
                "an HTML page", "E-HTML");
  }
}

}  // namespace
}  // namespace verify
