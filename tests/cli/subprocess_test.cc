// SPDX-License-Identifier: Apache-2.0
#include "cli/subprocess.h"

namespace cli {
namespace {

TEST(SubprocessTest, ReadsLinesAndTheExitCode) {
  auto child = Subprocess::Start(
      {"/bin/sh", "-c", "echo one; echo two; exit 7"}, ChildOutput::kPipe);
  ASSERT_TRUE(child);
  EXPECT_EQ(child->ReadLine(), "one");
  EXPECT_EQ(child->ReadLine(), "two");
  EXPECT_EQ(child->ReadLine(), std::nullopt);
  EXPECT_EQ(child->Wait(), 7);
}

TEST(SubprocessTest, StopEndsAChildThatWaits) {
  auto sleeper = Subprocess::Start({"/bin/sleep", "1000"}, ChildOutput::kPipe);
  ASSERT_TRUE(sleeper);
  EXPECT_EQ(sleeper->Stop(), 128 + 15);
}

TEST(SubprocessTest, AProgramThatIsNotThereIs127) {
  auto child = Subprocess::Start({"/nonexistent/program"}, ChildOutput::kPipe);
  ASSERT_TRUE(child);
  EXPECT_EQ(child->Wait(), 127);
}

}  // namespace
}  // namespace cli
