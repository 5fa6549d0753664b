// SPDX-License-Identifier: Apache-2.0
#include "cli/web/bearer_token.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace cli {
namespace {

using tests::ExpectError;
using verify::ErrorCode;
using Verdict = BearerGate::Verdict;

constexpr const char* kToken = "0123456789abcdef+/=";

class TokenFileTest : public testing::Test {
 protected:
  std::string Write(const std::string& text, mode_t mode) {
    const std::string path = dir_.Write("token", text);
    EXPECT_EQ(::chmod(path.c_str(), mode), 0);
    return path;
  }
  tests::TempDir dir_;
};

TEST_F(TokenFileTest, G1IsOneLineThatOnlyItsOwnerReads) {
  EXPECT_EQ(*ReadTokenFile(Write(kToken, 0600)), kToken);
  EXPECT_EQ(*ReadTokenFile(Write(std::string(kToken) + "\n", 0400)), kToken);
  for (const mode_t mode : {0644u, 0640u, 0660u, 0604u, 0602u}) {
    ExpectError(ReadTokenFile(Write(kToken, mode)), ErrorCode::kInvalidArgument,
                "others", "E-TOKEN");
  }
  for (const std::string& text :
       {std::string(), std::string("short"), std::string(600, 'x'),
        std::string("0123456789abcdef with blanks"),
        std::string("0123456789abcdef\nsecond line"),
        std::string("0123456789abcdef\x01"),
        std::string("0123456789abcd\xC3\xA9")}) {
    ExpectError(ReadTokenFile(Write(text, 0600)), ErrorCode::kInvalidArgument,
                "token", "E-TOKEN");
  }
}

TEST_F(TokenFileTest, G1LinksFoldersAndForeignFilesAreRefused) {
  const std::string path = Write(kToken, 0600);
  const std::string link = dir_.File("link");
  ASSERT_EQ(::symlink(path.c_str(), link.c_str()), 0);
  ExpectError(ReadTokenFile(link), ErrorCode::kInvalidArgument, "link",
              "E-TOKEN");
  ExpectError(ReadTokenFile(dir_.path()), ErrorCode::kInvalidArgument,
              "no regular file", "E-TOKEN");
  ExpectError(ReadTokenFile(dir_.File("absent")), ErrorCode::kNotFound, "open");
  if (::geteuid() == 0) {
    ASSERT_EQ(::chown(path.c_str(), 12345, 12345), 0);
    ExpectError(ReadTokenFile(path), ErrorCode::kInvalidArgument,
                "another user", "E-TOKEN");
  }
}

TEST(BearerGateTest, G1OnlyTheTokenPasses) {
  BearerGate gate(kToken);
  const auto now = BearerGate::Clock::now();
  EXPECT_EQ(gate.Judge(std::string("Bearer ") + kToken, now), Verdict::kPass);
  EXPECT_EQ(gate.Judge(std::string("bearer ") + kToken, now), Verdict::kPass);
  for (const std::string& header :
       {std::string(), std::string("Bearer "), std::string("Bearer"),
        std::string(kToken), std::string("Basic ") + kToken,
        std::string("Bearer ") + kToken + "x", std::string("Bearer  ") + kToken,
        std::string("Bearer 0123456789abcdef+/")}) {
    EXPECT_EQ(gate.Judge(header, now), Verdict::kWrong) << header;
  }
}

TEST(BearerGateTest, G1GuessingIsBounded) {
  BearerGate gate(kToken);
  const auto now = BearerGate::Clock::now();
  for (int i = 0; i < BearerGate::kMaxFailures; ++i) {
    EXPECT_EQ(gate.Judge("Bearer guess", now), Verdict::kWrong);
  }
  // Even the right one: else guessing could go on.
  const std::string right = std::string("Bearer ") + kToken;
  EXPECT_EQ(gate.Judge("Bearer guess", now), Verdict::kTooMany);
  EXPECT_EQ(gate.Judge(right, now), Verdict::kTooMany);
  EXPECT_EQ(gate.Judge(right, now + BearerGate::kWindow), Verdict::kPass);
}

}  // namespace
}  // namespace cli
