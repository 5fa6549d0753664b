// SPDX-License-Identifier: Apache-2.0
#include "verify/base/path_policy.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "verify/base/name_folding.h"

namespace verify {
namespace {

std::string_view IdOf(std::string_view part) {
  const auto problem = CheckPart(part);
  return problem.has_value() ? problem->id : "";
}

TEST(PathPolicyTest, AcceptsOrdinaryNames) {
  for (const std::string_view part :
       {"consolidated.00.pth", "tokenizer.model", "...", "a b", "-",
        "ab:", "1:", "\xE6\xA8\xA1\xE5\x9E\x8B", "caf\xC3\xA9",
        "\xF0\x9F\xA6\x99.gguf", "~", "con", "$HOME", "a;rm -rf"}) {
    EXPECT_EQ(IdOf(part), "") << part;
  }
}

TEST(PathPolicyTest, CutsAPathIntoItsParts) {
  std::vector<std::string_view> parts;
  EXPECT_FALSE(CheckPath("a/b c/d", parts).has_value());
  EXPECT_EQ(parts, (std::vector<std::string_view>{"a", "b c", "d"}));
  for (const std::string_view path :
       {"", "/", "/a", "a/", "a//b", "../a", "a/..", "a/./b", "C:/a"}) {
    const auto problem = CheckPath(path, parts);
    ASSERT_TRUE(problem.has_value()) << path;
    EXPECT_EQ(problem->id, "E-PATH") << path;
  }
  std::string deep = "a";
  for (size_t i = 1; i < kMaxPathDepth; ++i) deep += "/a";
  EXPECT_FALSE(CheckPath(deep, parts).has_value());
  EXPECT_TRUE(CheckPath(deep + "/a", parts).has_value());
  EXPECT_TRUE(CheckPath(std::string(kMaxPathBytes + 1, 'a'), parts));
}

TEST(PathPolicyTest, RefusesNamesThatLeaveTheFolder) {
  for (const std::string_view part :
       {"", ".", "..", "/", "/etc", "a/", "\\", "a\\b", "\\\\host\\share",
        "C:", "c:\\x", "C:relative", "\\\\?\\C:\\x"}) {
    EXPECT_EQ(IdOf(part), "E-PATH") << part;
  }
}

TEST(PathPolicyTest, RefusesNamesThatWouldBeAltered) {
  for (const std::string_view part : {
           std::string_view("\x80"),              // a lone continuation byte
           std::string_view("\xC1\xBF"),          // overlong
           std::string_view("\xED\xA0\x80"),      // a surrogate
           std::string_view("\xF4\x90\x80\x80"),  // beyond Unicode
           std::string_view("a\0", 2), std::string_view("a\t"),
           std::string_view("\x1B[2J"), std::string_view("a\x7F"),
           std::string_view("a\xC2\x9B"),     // C1
           std::string_view("\xE2\x80\x8E"),  // left-to-right mark
           std::string_view("\xE2\x80\xAE"),  // right-to-left override
           std::string_view("\xE2\x81\xA9"),  // pop isolate
           std::string_view("\xE2\x80\x8D"),  // zero-width joiner
           std::string_view("\xEF\xBB\xBF"),  // byte order mark
       }) {
    EXPECT_EQ(IdOf(part), "E-NAME-ALTERED");
  }
  EXPECT_EQ(IdOf(std::string(239, 'a')), "");
  EXPECT_EQ(IdOf(std::string(240, 'a')), "E-NAME-ALTERED");
}

TEST(PathPolicyTest, KnowsWhatWindowsCannotStore) {
  for (const std::string_view part :
       {"CON",  "con",         "nul.txt", "Aux.tar.gz", "com1", "COM9.bin",
        "lpt0", "COM\xC2\xB9", "CONIN$",  "con .txt",   "a.",   "a ",
        "a<b",  "a|b",         "a?",      "a*",         "a\"b", "ab:c",
        ".git", "-rf",         " a"}) {
    EXPECT_TRUE(PortabilityProblem(part).has_value()) << part;
  }
  for (const std::string_view part :
       {"console", "com", "com10", "lptx", "auxiliary.txt", "a.b", "nullable",
        "RELEASE", "params.json"}) {
    EXPECT_EQ(PortabilityProblem(part), std::nullopt) << part;
  }
}

// Pairs that are canonically equal or equal but for case, from the Unicode
// Character Database.
TEST(PathPolicyTest, FoldsWhatFileSystemsTakeForOne) {
  const std::vector<std::pair<std::string_view, std::string_view>> equal = {
      {"README", "readme"},
      {"\xC3\x89", "\xC3\xA9"},               // E, e with acute
      {"\xC3\xA9", "e\xCC\x81"},              // composed, decomposed
      {"\xC3\x89", "e\xCC\x81"},              // both at once
      {"\xE2\x84\xAB", "\xC3\xA5"},           // angstrom sign
      {"\xE2\x84\xAB", "A\xCC\x8A"},          //
      {"\xE2\x84\xAA", "k"},                  // kelvin sign
      {"\xC3\x9F", "SS"},                     // sharp s
      {"\xE1\xBA\x9E", "ss"},                 // capital sharp s
      {"\xEF\xAC\x81", "fi"},                 // ligature
      {"\xCE\xA3", "\xCF\x82"},               // sigma, final sigma
      {"\xCE\x86", "\xCE\xB1\xCC\x81"},       // alpha with tonos
      {"\xD0\x99", "\xD0\xB8\xCC\x86"},       // Cyrillic short i
      {"\xE1\xBB\x87", "e\xCC\xA3\xCC\x82"},  // Vietnamese, two marks
      {"\xE1\xBB\x87", "e\xCC\x82\xCC\xA3"},  // in the other order
      {"\xEA\xB0\x81", "\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8"},  // Hangul
      {"\xE3\x81\x8C", "\xE3\x81\x8B\xE3\x82\x99"},              // kana
      {"\xC4\xB0", "i\xCC\x87"},                                 // I with dot
      {"\xEF\xBC\xA1", "\xEF\xBD\x81"},                          // full-width A
      {"\xF0\x90\x90\x80", "\xF0\x90\x90\xA8"},                  // Deseret
      {"a. .", "a"},
  };
  for (const auto& [a, b] : equal) {
    EXPECT_EQ(FoldName(a), FoldName(b)) << a << " " << b;
  }
  const std::vector<std::pair<std::string_view, std::string_view>> different = {
      {"a", "b"},        {"e", "\xC3\xA9"},
      {"a", "\xD0\xB0"},  // Latin and Cyrillic a: not one name for any system
      {".", ""},         {"\xC4\xB1", "i"},  // dotless i
      {"a.b", "ab"},
  };
  for (const auto& [a, b] : different) {
    EXPECT_NE(FoldName(a), FoldName(b)) << a << " " << b;
  }
}

TEST(PathPolicyTest, FoldingSurvivesAnyBytes) {
  for (int lead = 0; lead < 256; ++lead) {
    for (int next = 0; next < 256; ++next) {
      const std::string name = {static_cast<char>(lead),
                                static_cast<char>(next)};
      EXPECT_FALSE(FoldName(name).empty());
    }
  }
  EXPECT_EQ(FoldName(""), "");
  EXPECT_NE(FoldName("\xFF"), FoldName("\xFE"));
}

std::string Collide(const std::vector<std::vector<std::string_view>>& paths) {
  PathSet set;
  for (const auto& path : paths) {
    if (auto collision = set.AddFile(path)) return *collision;
  }
  return "";
}

TEST(PathPolicyTest, FindsCollisions) {
  EXPECT_EQ(Collide({{"a"}, {"b"}, {"c", "a"}, {"c", "b"}, {"d", "a"}}), "");
  EXPECT_EQ(Collide({{"a"}, {"a"}}), "there twice");
  EXPECT_EQ(Collide({{"a", "b"}, {"A", "c"}}),
            "equal to \"a\" where case is ignored");
  EXPECT_EQ(Collide({{"a"}, {"a", "b"}}), "both file and folder at \"a\"");
  EXPECT_EQ(Collide({{"a", "b"}, {"a"}}), "both file and folder at \"a\"");
  // The separator of the keys inside cannot be forged: a part holds no "/".
  EXPECT_EQ(Collide({{"1", "x"}, {"1x"}}), "");
}

TEST(PathPolicyTest, ProblemsAreListedByTheGravest) {
  ProblemList problems;
  EXPECT_TRUE(problems.empty());
  problems.Add(kPadId, "p", "a pad");
  EXPECT_EQ(problems.id(), "E-PAD");
  problems.Add(kNameCollisionId, "c", "twice");
  EXPECT_EQ(problems.id(), "E-NAME-COLLISION");
  problems.Add(kPathId, "x\n", "bad");
  problems.Add(kSymlinkId, "s", "a symlink");
  EXPECT_EQ(problems.id(), "E-PATH");
  EXPECT_EQ(problems.Message(),
            "\"p\": a pad; \"c\": twice; \"x\\x0a\": bad; \"s\": a symlink");
}

}  // namespace
}  // namespace verify
