// SPDX-License-Identifier: Apache-2.0
#include "p2p/catalog.h"

#include <gtest/gtest.h>

#include <array>

#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"
#include "verify/base/text.h"

namespace p2p {
namespace {

using tests::ExpectError;
using verify::ErrorCode;

constexpr std::string_view kHash = "0123456789abcdef0123456789abcdef01234567";

// An entry of few words; every test changes a little of it.
std::string Text() {
  return verify::StrCat(
      "format = 1\nname = \"tiny\"\naliases = [\"tiny-moe\"]\n"
      "title = \"Tiny\"\npublisher = \"Nobody\"\nlicense = \"MIT\"\n"
      "architecture = \"mixtral\"\nreleased = \"2026-01-31\"\n"
      "magnet = \"magnet:?xt=urn:btih:",
      kHash,
      "&dn=Tiny-MoE&tr=udp%3A%2F%2Ftracker.example.org%3A6969\"\n"
      "[size]\nbytes = 1000\n"
      "[[files]]\npath = \"a/b.bin\"\nbytes = 900\ncertainty = \"certain\"\n"
      "[[files]]\npath = \"c.txt\"\ncertainty = \"unconfirmed\"\n"
      "[[sums]]\ndigest = \"1faa9bc9b20fcfe81fcd4eb7166a79e6\"\n"
      "file = \"a/b.bin\"\npublisher = \"Nobody\"\nwhere = \"a page\"\n"
      "certainty = \"high\"\n");
}

std::string Replaced(std::string text, std::string_view from,
                     std::string_view to) {
  const size_t at = text.find(from);
  if (at == std::string::npos) {
    ADD_FAILURE() << "no " << from;
    return text;
  }
  return text.replace(at, from.size(), to);
}

CatalogEntry MustParse(const std::string& text) {
  auto entry = ParseCatalogEntry(text, "t.toml");
  if (!entry) {
    ADD_FAILURE() << entry.error().ToString();
    return {};
  }
  return *std::move(entry);
}

TEST(CatalogTest, ReadsAnEntryAndWritesItBack) {
  const CatalogEntry entry = MustParse(Text());
  EXPECT_EQ(entry.name, "tiny");
  EXPECT_EQ(entry.magnet.display_name, "Tiny-MoE");
  EXPECT_EQ(entry.size_bytes, 1000u);
  EXPECT_EQ(entry.within_percent, 0);
  ASSERT_EQ(entry.files.size(), 2u);
  EXPECT_EQ(entry.files[0].size_bytes, 900u);
  EXPECT_EQ(entry.files[1].certainty, Certainty::kUnconfirmed);
  ASSERT_EQ(entry.sums.size(), 1u);
  EXPECT_EQ(entry.sums[0].digest.size(), 16u);
  const std::string written = FormatCatalogEntry(entry);
  EXPECT_EQ(FormatCatalogEntry(MustParse(written)), written);
}

TEST(CatalogTest, RefusesWhatBreaksARule) {
  const std::vector<std::array<std::string_view, 3>> cases = {
      {"format = 1", "format = 2", "\"format\" is not 1"},
      {"format = 1", "format = 1.5", "\"format\" is no number"},
      {"name = \"tiny\"", "name = \"Tiny\"", "\"name\" is not made of"},
      {"name = \"tiny\"", "name = \"../x\"", "\"name\" is not made of"},
      {"name = \"tiny\"", "nam = \"tiny\"", "unknown key \"nam\""},
      {"license = \"MIT\"\n", "", "no \"license\""},
      {"title = \"Tiny\"", "title = 5", "\"title\" is no text"},
      {"title = \"Tiny\"", "title = \"a\\u001b[2J\"", "cannot be shown"},
      {"title = \"Tiny\"", "title = \"a\\u202eb\"", "cannot be shown"},
      {"title = \"Tiny\"", "title = \"Tiny\"\nextra = 1",
       "unknown key \"extra\""},
      {"title = \"Tiny\"", "title = \"Tiny\"\ntitle = \"Two\"", "line 5"},
      {"\"MIT\"", "\"\"", "\"license\" is empty"},
      {"2026-01-31", "31.1.2026", "\"released\" is not YYYY-MM-DD"},
      {"2026-01-31", "2026-13-31", "\"released\" is not YYYY-MM-DD"},
      {"[\"tiny-moe\"]", "[\"tiny moe\"]", "an alias is not made of"},
      {"[\"tiny-moe\"]", "\"tiny-moe\"", "\"aliases\" is no list"},
      {"urn:btih:0123", "urn:btih:", "36 characters"},
      {"%3A%2F%2Ftracker", "%3A%2F%http://2Ftracker", "only a repaired link"},
      {"tracker.example.org", "127.0.0.1", "only a repaired link"},
      {"bytes = 1000", "bytes = -1", "\"bytes\" is no number"},
      {"bytes = 1000", "bytes = 0", "\"bytes\" is 0"},
      {"bytes = 1000", "bytes = 99999999999999999999", "line 11"},
      {"bytes = 1000", "bytes = 1000\nwithin_percent = 51.0",
       "\"within_percent\" is no number from 0 to 50"},
      {"bytes = 1000", "bytes = 1000\nwithin_percent = nan",
       "\"within_percent\" is no number"},
      {"[size]\nbytes = 1000\n", "", "no table \"size\""},
      {"a/b.bin", "../b.bin", "the path leaves the folder"},
      {"a/b.bin", "/b.bin", "the path leaves the folder"},
      {"path = \"c.txt\"", "path = \"a/b.bin\"", "is listed twice"},
      {"\"certain\"", "\"sure\"", "is none of certain, high"},
      {"1faa9bc9b20f", "1faa", "is no md5, sha1 or sha256"},
      {"file = \"a/b.bin\"\npub", "pub", "can only be unconfirmed"},
      {"[[sums]]", "[sums]", "\"sums\" is no list"},
      {"[size]", "[[[size]]]", "line 10"},
  };
  for (const auto& [from, to, part] : cases) {
    ExpectError(ParseCatalogEntry(Replaced(Text(), from, to), "t.toml"),
                ErrorCode::kCorrupt, part, "E-CATALOG");
  }
  // A published link of another torrent.
  ExpectError(
      ParseCatalogEntry(verify::StrCat(Text(),
                                       "[[published]]\nwhere = \"x\"\n"
                                       "magnet = \"magnet:?xt=urn:btih:",
                                       std::string(40, 'a'), "\"\n"),
                        "t.toml"),
      ErrorCode::kCorrupt, "its info-hash is not that", "E-CATALOG");
  ExpectError(ParseCatalogEntry("\xff", "t.toml"), ErrorCode::kCorrupt,
              "not UTF-8", "E-CATALOG");
}

TEST(CatalogTest, LimitsSizeItemsAndDepth) {
  ExpectError(
      ParseCatalogEntry(std::string(kMaxCatalogFileBytes + 1, '#'), "t.toml"),
      ErrorCode::kLimit, "bytes, at most", "E-CATALOG");
  std::string many = Text();
  for (size_t i = 0; i < kMaxCatalogItems; ++i) {
    many += verify::StrCat("[[files]]\npath=\"", i, "\"\ncertainty=\"high\"\n");
  }
  ExpectError(ParseCatalogEntry(many, "t.toml"), ErrorCode::kLimit,
              "items, at most", "E-CATALOG");
  const std::string deep =
      "x = " + std::string(50'000, '[') + std::string(50'000, ']');
  ExpectError(ParseCatalogEntry(deep, "t.toml"), ErrorCode::kCorrupt, "line 1",
              "E-CATALOG");
}

TEST(CatalogTest, TruncationAndFlipsNeverCrash) {
  const std::string text = Text();
  for (size_t i = 0; i < text.size(); ++i) {
    (void)ParseCatalogEntry(std::string_view(text).substr(0, i), "t");
    std::string flipped = text;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x15);
    const auto entry = ParseCatalogEntry(flipped, "t");
    if (!entry) {
      EXPECT_EQ(entry.error().id, "E-CATALOG");
    }
  }
}

TEST(CatalogTest, FindsByNameAliasLinkNameAndHash) {
  Catalog catalog;
  ASSERT_TRUE(catalog.Add(MustParse(Text())).has_value());
  for (const std::string_view name : {"tiny", "TINY", "tiny-moe", "Tiny-MoE"}) {
    ASSERT_NE(catalog.Find(name), nullptr) << name;
  }
  EXPECT_EQ(catalog.Find("tin"), nullptr);
  EXPECT_NE(catalog.FindByHash(*ParseInfoHash(kHash)), nullptr);
  EXPECT_EQ(catalog.FindByHash(*ParseInfoHash(std::string(40, 'a'))), nullptr);
}

TEST(CatalogTest, SuggestsNamesThatAreLike) {
  const Catalog catalog = Catalog::BuiltIn();
  EXPECT_EQ(catalog.NamesLike("mixtral-8x7"),
            std::vector<std::string>{"mixtral-8x7b-v0.1"});
  EXPECT_EQ(
      catalog.NamesLike("mixtral"),
      (std::vector<std::string>{"mixtral-8x22b-v0.1", "mixtral-8x7b-v0.1"}));
  EXPECT_EQ(catalog.NamesLike("grok1"), std::vector<std::string>{"grok-1"});
  EXPECT_TRUE(catalog.NamesLike("llama").empty());
  EXPECT_TRUE(catalog.NamesLike(std::string(100'000, 'x')).empty());
}

TEST(CatalogTest, NoEntryTakesThePlaceOfAnother) {
  const std::string taken[] = {
      Replaced(Replaced(Text(), "\"tiny\"", "\"grok-1\""), "0123", "9999"),
      Replaced(Replaced(Text(), "[\"tiny-moe\"]", "[\"mixtral-8x7b\"]"), "0123",
               "9999"),
      Replaced(Text(), std::string(kHash),
               "5546272da9065eddeb6fcd7ffddeef5b75be79a7"),
      Replaced(Text(), "Tiny-MoE", "Mixtral-8x22B"),
  };
  for (const std::string& text : taken) {
    Catalog catalog = Catalog::BuiltIn();
    ExpectError(catalog.Add(MustParse(text)), ErrorCode::kInvalidArgument,
                "has the same", "E-CATALOG");
    EXPECT_EQ(catalog.entries().size(), 6u);
  }
}

TEST(CatalogTest, AFolderAddsAndSaysWhatItLeavesOut) {
  const tests::TempDir dir;
  dir.Write("a.toml", Text());
  dir.Write("b.toml", Replaced(Text(), "\"tiny\"", "\"grok-1\""));
  dir.Write("c.toml", "format = ");
  dir.Write("d.txt", "not looked at");
  dir.Write("e.toml", std::string(kMaxCatalogFileBytes + 1, '#'));
  Catalog catalog = Catalog::BuiltIn();
  std::vector<std::string> warnings;
  catalog.AddFolder(dir.path(), warnings);
  EXPECT_EQ(catalog.entries().size(), 7u);
  ASSERT_EQ(warnings.size(), 3u);
  EXPECT_NE(warnings[0].find("b.toml"), std::string::npos) << warnings[0];
  EXPECT_NE(warnings[1].find("c.toml"), std::string::npos) << warnings[1];
  EXPECT_NE(warnings[2].find("e.toml"), std::string::npos) << warnings[2];
  EXPECT_EQ(catalog.Find("grok-1")->origin, "built in");
  catalog.AddFolder(dir.path() + "/not-there", warnings);
  EXPECT_EQ(warnings.size(), 3u);
}

Metainfo MetainfoOf(uint64_t a_bytes, uint64_t c_bytes, bool with_c = true) {
  Metainfo metainfo;
  metainfo.name = "Tiny-MoE";
  metainfo.info_hashes = *ParseInfoHash(kHash);
  metainfo.files.push_back({"a/b.bin", a_bytes, false, std::nullopt, 0});
  metainfo.files.push_back({".pad/1", 77, true, std::nullopt, 0});
  if (with_c) {
    metainfo.files.push_back({"c.txt", c_bytes, false, std::nullopt, 0});
  }
  return metainfo;
}

TEST(CatalogTest, HoldsATorrentAgainstAnEntry) {
  CatalogEntry entry = MustParse(Text());
  std::vector<std::string> remarks;
  EXPECT_TRUE(
      CheckAgainstEntry(entry, MetainfoOf(900, 100), remarks).has_value());
  EXPECT_TRUE(remarks.empty());
  constexpr std::string_view kId = "E-CATALOG-MISMATCH";
  const auto check = [&](const Metainfo& metainfo) {
    return CheckAgainstEntry(entry, metainfo, remarks);
  };
  ExpectError(check(MetainfoOf(900, 101)), ErrorCode::kMismatch,
              "1001 bytes in the torrent, 1000 expected", kId);
  ExpectError(check(MetainfoOf(901, 99)), ErrorCode::kMismatch,
              "\"a/b.bin\": 901 bytes in the torrent, 900 expected", kId);
  // An estimate of 1000 within 10 percent: 900 to 1100.
  entry.within_percent = 10;
  EXPECT_TRUE(check(MetainfoOf(900, 200)).has_value());
  EXPECT_FALSE(check(MetainfoOf(900, 201)).has_value());
  // What is unconfirmed is only remarked upon.
  EXPECT_TRUE(check(MetainfoOf(900, 0, false)).has_value());
  ASSERT_EQ(remarks.size(), 1u);
  EXPECT_NE(remarks[0].find("no file \"c.txt\""), std::string::npos);
  entry.num_files = 2;
  ExpectError(check(MetainfoOf(900, 0, false)), ErrorCode::kMismatch,
              "1 files in the torrent, 2 expected", kId);
  Metainfo other = MetainfoOf(900, 100);
  other.info_hashes = *ParseInfoHash(std::string(40, 'a'));
  ExpectError(check(other), ErrorCode::kMismatch, "another info-hash", kId);
}

}  // namespace
}  // namespace p2p
