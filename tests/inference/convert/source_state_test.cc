// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/source_state.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace inference {
namespace {

using tests::ExpectError;
using verify::ErrorCode;

TEST(SourceStateTest, NamesTheFileThatChanged) {
  const tests::TempDir dir;
  const std::string a = dir.Write("a", "123");
  const std::string b = dir.Write("b", "456");
  const auto state = SourceState::Of({a, b});
  ASSERT_TRUE(state);
  EXPECT_TRUE(state->CheckUnchanged());
  EXPECT_EQ(state->Describe(), SourceState::Of({a, b})->Describe());
  // Another file of the same bytes in its place.
  dir.Write("c", "456");
  std::filesystem::rename(dir.File("c"), b);
  ExpectError(state->CheckUnchanged(), ErrorCode::kMismatch, "/b\" changed",
              "E-CHANGED");
  const auto again = SourceState::Of({a, b});
  ASSERT_TRUE(again);
  EXPECT_EQ(again->Describe()[0], state->Describe()[0]);
  EXPECT_NE(again->Describe()[1], state->Describe()[1]);
  ASSERT_EQ(::truncate(a.c_str(), 2), 0);
  ExpectError(again->CheckUnchanged(), ErrorCode::kMismatch, "/a\" changed",
              "E-CHANGED");
  std::filesystem::remove(a);
  ExpectError(again->CheckUnchanged(), ErrorCode::kMismatch, "/a\" changed",
              "E-CHANGED");
  ExpectError(SourceState::Of({a}), ErrorCode::kNotFound, "/a");
}

}  // namespace
}  // namespace inference
