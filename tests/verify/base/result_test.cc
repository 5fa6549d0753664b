// SPDX-License-Identifier: Apache-2.0
#include "verify/base/result.h"

#include <memory>
#include <string>

namespace verify {
namespace {

Result<int> Half(int value) {
  if (value % 2 != 0) {
    return Fail(ErrorCode::kInvalidArgument, "odd").At(7).Id("E-ODD").Hint(
        "give an even one");
  }
  return value / 2;
}

Result<int> Quarter(int value) {
  ASSIGN_OR_RETURN(const int half, Half(value));
  return Half(half);
}

Result<void> CheckEven(int value) {
  RETURN_IF_ERROR(Half(value));
  return {};
}

TEST(ResultTest, CarriesTheValue) {
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_TRUE(CheckEven(4).has_value());
}

TEST(ResultTest, CarriesTheErrorUnchanged) {
  const auto result = Quarter(6);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(result.error().id, "E-ODD");
  EXPECT_EQ(result.error().hint, "give an even one");
  EXPECT_EQ(result.error().ToString(), "odd (at byte 7)");
  EXPECT_FALSE(CheckEven(3));
}

TEST(ResultTest, AddsContext) {
  auto result = Half(1);
  const Result<int> with_context =
      WithContext(std::move(result).error(), "file \"x\"");
  EXPECT_EQ(with_context.error().message, "file \"x\": odd");
  EXPECT_EQ(with_context.error().id, "E-ODD");
}

TEST(ResultTest, MovesValuesThatCannotBeCopied) {
  Result<std::unique_ptr<int>> result(std::make_unique<int>(3));
  const std::unique_ptr<int> value = std::move(result).value();
  EXPECT_EQ(*value, 3);
}

TEST(ResultDeathTest, ValueOfAnErrorIsABug) {
  const Result<int> result = Half(1);
  EXPECT_DEATH(static_cast<void>(result.value()), "check failed");
}

}  // namespace
}  // namespace verify
