// SPDX-License-Identifier: Apache-2.0
#include "verify/manifest/oms_statement.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/expect_error.h"
#include "tests/support/oms_builder.h"
#include "verify/base/text.h"

namespace verify {
namespace {

using tests::ExpectError;
using tests::OmsStatementParts;
using tests::SetOmsRoot;

Result<OmsStatement> Parsed(const Json& statement) {
  const std::string text = statement.dump();
  return ParseOmsStatement(AsBytes(text));
}

// Changes the statement, makes its root right again and parses it.
Result<OmsStatement> With(const std::function<void(Json&)>& change) {
  Json statement = OmsStatementParts();
  change(statement);
  SetOmsRoot(statement);
  return Parsed(statement);
}

void ExpectRefused(const std::function<void(Json&)>& change,
                   std::string_view part) {
  ExpectError(With(change), ErrorCode::kUntrusted, part, "E-OMS-STATEMENT");
}

TEST(OmsStatementTest, ReadsFilesAndWhatIsLeftOut) {
  const auto statement = With([](Json& s) {
    s["predicate"]["serialization"]["ignore_paths"] = {".git", "cache/x"};
    s["predicate"]["resources"][0]["annotations"] = {{"any", "thing"}};
  });
  ASSERT_TRUE(statement.has_value()) << statement.error().message;
  EXPECT_EQ(statement->model_name, "model");
  ASSERT_EQ(statement->resources.size(), 2u);
  EXPECT_EQ(statement->resources[0].name, "a.bin");
  // sha256sum of "aaa".
  EXPECT_EQ(HexEncode(statement->resources[0].digest),
            "9834876dcfb05cb167a5c24953eba58c4ac89b1adf57f28f2f9d09af107ee8f0");
  EXPECT_EQ(statement->resources[1].name, "b/c.json");
  EXPECT_EQ(statement->ignore_paths,
            (std::vector<std::string>{".git", "cache/x"}));
}

// The specification's example folder of the reference implementation's tests:
// the root over the two digests in order.
TEST(OmsStatementTest, RootIsOverTheRawDigestsInOrder) {
  std::vector<PublishedSum> resources(2);
  resources[0].digest = *HexDecode(
      "bc9a717db6064a32cbe9eae6fc40651dd6d36ef1757183f590eff2b1765d7ebc");
  resources[1].digest = *HexDecode(
      "32dcb1f8e1ae52d5963e56a6ba06ab58b424c15ed2a6b70d2feca1d089370028");
  EXPECT_EQ(HexEncode(OmsRootDigest(resources)),
            "92745110b1ab4368471cbe31664e10174e954b113a3df333db860317b2c6dec4");
  std::swap(resources[0], resources[1]);
  EXPECT_NE(HexEncode(OmsRootDigest(resources)),
            "92745110b1ab4368471cbe31664e10174e954b113a3df333db860317b2c6dec4");
}

TEST(OmsStatementTest, D5RefusesAnotherTypeOrPredicate) {
  ExpectRefused([](Json& s) { s["_type"] = "https://in-toto.io/Statement/v2"; },
                "_type");
  ExpectRefused(
      [](Json& s) {
        s["predicateType"] = "https://model_signing/Digests/v0.1";
      },
      "predicateType");
  ExpectRefused([](Json& s) { s["predicate"]["more"] = 1; }, "more");
  ExpectRefused([](Json& s) { s["more"] = 1; }, "more");
  Json statement = OmsStatementParts();
  statement["predicate"] = "x";
  ExpectError(Parsed(statement), ErrorCode::kUntrusted, "predicate",
              "E-OMS-STATEMENT");
}

TEST(OmsStatementTest, D5RefusesAllButOneSubject) {
  Json statement = OmsStatementParts();
  statement["subject"].push_back(statement["subject"][0]);
  ExpectError(Parsed(statement), ErrorCode::kUntrusted, "2 subjects");
  statement["subject"] = Json::array();
  ExpectError(Parsed(statement), ErrorCode::kUntrusted, "0 subjects");
  statement = OmsStatementParts();
  statement["subject"][0]["digest"]["sha512"] = "00";
  ExpectError(Parsed(statement), ErrorCode::kUntrusted, "sha512");
}

TEST(OmsStatementTest, D5RefusesAnotherRoot) {
  Json statement = OmsStatementParts();
  std::swap(statement["predicate"]["resources"][0],
            statement["predicate"]["resources"][1]);
  ExpectError(Parsed(statement), ErrorCode::kUntrusted, "root digest");
  // In any order that the root is of: it is the signer's to choose.
  SetOmsRoot(statement);
  EXPECT_TRUE(Parsed(statement).has_value());
}

TEST(OmsStatementTest, D5RefusesKeysThatStandTwice) {
  std::string text = OmsStatementParts().dump();
  text.insert(1, R"("_type":"https://in-toto.io/Statement/v1",)");
  ExpectError(ParseOmsStatement(AsBytes(text)), ErrorCode::kUntrusted, "twice");
  // Escaped, the same key.
  text = OmsStatementParts().dump();
  text.insert(1, R"("\u005ftype":"https://in-toto.io/Statement/v1",)");
  ExpectError(ParseOmsStatement(AsBytes(text)), ErrorCode::kUntrusted, "twice");
  text = OmsStatementParts().dump() + "{}";
  ExpectError(ParseOmsStatement(AsBytes(text)), ErrorCode::kUntrusted, "JSON");
}

TEST(OmsStatementTest, D5SaysWhatIsNotImplemented) {
  for (const char* hash : {"blake2b", "blake3"}) {
    ExpectError(With([&](Json& s) {
                  s["predicate"]["serialization"]["hash_type"] = hash;
                }),
                ErrorCode::kUnsupported, hash, "E-OMS-METHOD");
    ExpectError(With([&](Json& s) {
                  s["predicate"]["resources"][1]["algorithm"] = hash;
                }),
                ErrorCode::kUnsupported, hash, "E-OMS-METHOD");
  }
  ExpectError(With([](Json& s) {
                s["predicate"]["serialization"]["method"] = "shards";
                s["predicate"]["serialization"]["shard_size"] = 1000000000;
              }),
              ErrorCode::kUnsupported, "shards", "E-OMS-METHOD");
  ExpectRefused(
      [](Json& s) { s["predicate"]["serialization"]["method"] = "tree"; },
      "tree");
  ExpectRefused(
      [](Json& s) { s["predicate"]["serialization"]["hash_type"] = "md5"; },
      "md5");
  ExpectRefused(
      [](Json& s) { s["predicate"]["serialization"]["shard_size"] = 5; },
      "shard_size");
  ExpectRefused(
      [](Json& s) { s["predicate"]["serialization"]["allow_symlinks"] = true; },
      "allow_symlinks");
  ExpectRefused(
      [](Json& s) { s["predicate"]["serialization"].erase("allow_symlinks"); },
      "allow_symlinks");
}

TEST(OmsStatementTest, RefusesDigestsThatAreNone) {
  const std::string digest =
      "9834876dcfb05cb167a5c24953eba58c4ac89b1adf57f28f2f9d09af107ee8f0";
  for (const std::string& bad :
       {digest.substr(2), digest + "00", std::string(64, 'A'), std::string(),
        std::string(64, 'g')}) {
    ExpectRefused(
        [&](Json& s) { s["predicate"]["resources"][0]["digest"] = bad; },
        "SHA-256");
  }
  ExpectRefused([](Json& s) { s["predicate"]["resources"] = Json::array(); },
                "no file");
}

TEST(OmsStatementTest, D9RefusesNamesThatAreNotCanonical) {
  for (const char* name : {"/a", "../a", "a/../b", "./a", "a/./b", "a//b", "a/",
                           "", ".", "..", "a\\b", "C:/a", "a\x01",
                           "a\xE2\x80\xAE"
                           "b"}) {
    ExpectRefused(
        [&](Json& s) { s["predicate"]["resources"][0]["name"] = name; },
        "resource");
    ExpectRefused(
        [&](Json& s) {
          s["predicate"]["serialization"]["ignore_paths"] = {name};
        },
        "ignored path");
  }
}

TEST(OmsStatementTest, D9RefusesNamesThatAreOneOnSomeSystem) {
  for (const auto& [a, b] : {std::pair{"x.bin", "x.bin"},
                             {"x.bin", "X.BIN"},
                             {"caf\xC3\xA9", "cafe\xCC\x81"},
                             {"x", "x/y"},
                             {"x/y", "X"},
                             {"x", "x."}}) {
    ExpectRefused(
        [&, a = a, b = b](Json& s) {
          s["predicate"]["resources"][0]["name"] = a;
          s["predicate"]["resources"][1]["name"] = b;
        },
        "resource");
  }
}

TEST(OmsStatementTest, WritesNamesInTheOrderOfCodePoints) {
  OmsStatement statement;
  statement.model_name = "m";
  for (const char* name :
       {"a/b", "a.b", "\xF0\x9F\xA6\x99", "a-b", "\xEF\xBC\xA1"}) {
    statement.resources.push_back({.name = name,
                                   .algorithm = SumAlgorithm::kSha256,
                                   .digest = std::vector<std::byte>(32),
                                   .list = {}});
  }
  const auto text = WriteOmsStatement(statement);
  ASSERT_TRUE(text.has_value()) << text.error().message;
  const auto again = ParseOmsStatement(AsBytes(*text));
  ASSERT_TRUE(again.has_value()) << again.error().message;
  std::vector<std::string> names;
  for (const auto& resource : again->resources) names.push_back(resource.name);
  // '-' 2D, '.' 2E, '/' 2F; U+FF21 before U+1F999, unlike in UTF-16.
  EXPECT_EQ(names,
            (std::vector<std::string>{"a-b", "a.b", "a/b", "\xEF\xBC\xA1",
                                      "\xF0\x9F\xA6\x99"}));
}

TEST(OmsStatementTest, WritesNothingThatAVerifierRefuses) {
  const auto sum = [](std::string name) {
    return PublishedSum{.name = std::move(name),
                        .algorithm = SumAlgorithm::kSha256,
                        .digest = std::vector<std::byte>(32),
                        .list = {}};
  };
  for (std::vector<PublishedSum> resources : {std::vector<PublishedSum>{},
                                              {sum("../a")},
                                              {sum("a"), sum("A")},
                                              {sum("\xFF")},
                                              {sum("a"), sum("a/b")}}) {
    OmsStatement statement;
    statement.model_name = "m";
    statement.resources = std::move(resources);
    ExpectError(WriteOmsStatement(statement), ErrorCode::kInvalidArgument,
                "cannot sign", "E-SIGN-FILES");
  }
}

TEST(OmsStatementTest, SurvivesEveryTruncationAndEveryByte) {
  const std::string text = OmsStatementParts().dump();
  for (size_t size = 0; size < text.size(); ++size) {
    EXPECT_FALSE(
        ParseOmsStatement(AsBytes(std::string_view(text).substr(0, size))));
  }
  for (size_t i = 0; i < text.size(); ++i) {
    std::string changed = text;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    const auto statement = ParseOmsStatement(AsBytes(changed));
    if (!statement) {
      EXPECT_TRUE(statement.error().code == ErrorCode::kUntrusted ||
                  statement.error().code == ErrorCode::kUnsupported);
    }
  }
}

TEST(OmsStatementTest, KnowsWhatIsNeverSigned) {
  for (const char* name : {".git", ".git/config", ".gitignore",
                           ".gitattributes", ".github/x.yml"}) {
    EXPECT_TRUE(IsOutsideOmsScope(name)) << name;
  }
  for (const char* name : {"a/.git", ".gitx", "git", ".gitmodules"}) {
    EXPECT_FALSE(IsOutsideOmsScope(name)) << name;
  }
}

}  // namespace
}  // namespace verify
