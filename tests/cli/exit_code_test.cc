// SPDX-License-Identifier: Apache-2.0
#include "cli/exit_code.h"

#include <set>

namespace cli {
namespace {

// The numbers are public: scripts rely on them.
TEST(ExitCodeTest, NumbersAndNamesAreThoseOfTheInterface) {
  EXPECT_EQ(static_cast<int>(ExitCode::kUsage), 2);
  EXPECT_EQ(static_cast<int>(ExitCode::kMismatch), 6);
  EXPECT_EQ(static_cast<int>(ExitCode::kMalformed), 8);
  EXPECT_EQ(ExitCodeName(ExitCode::kInterrupted), "interrupted");
  std::set<int> numbers;
  for (const ExitCodeInfo& info : ExitCodes()) {
    EXPECT_TRUE(numbers.insert(static_cast<int>(info.code)).second);
    EXPECT_FALSE(info.meaning.empty());
  }
  EXPECT_EQ(numbers.size(), 15u);
}

TEST(ExitCodeTest, EveryErrorHasItsCode) {
  const auto code = [](verify::ErrorCode error_code) {
    verify::Error error;
    error.code = error_code;
    return static_cast<int>(ExitCodeFor(error));
  };
  EXPECT_EQ(code(verify::ErrorCode::kInvalidArgument), 2);
  EXPECT_EQ(code(verify::ErrorCode::kNotFound), 3);
  EXPECT_EQ(code(verify::ErrorCode::kNetwork), 4);
  EXPECT_EQ(code(verify::ErrorCode::kIo), 5);
  EXPECT_EQ(code(verify::ErrorCode::kMismatch), 6);
  EXPECT_EQ(code(verify::ErrorCode::kCorrupt), 8);
  EXPECT_EQ(code(verify::ErrorCode::kLimit), 8);
  EXPECT_EQ(code(verify::ErrorCode::kUnsupported), 9);
  EXPECT_EQ(code(verify::ErrorCode::kBusy), 12);
  EXPECT_EQ(code(verify::ErrorCode::kCancelled), 130);
  EXPECT_EQ(code(verify::ErrorCode::kInternal), 1);
}

}  // namespace
}  // namespace cli
