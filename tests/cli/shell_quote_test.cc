// SPDX-License-Identifier: Apache-2.0
#include "cli/shell_quote.h"

namespace cli {
namespace {

TEST(ShellQuoteTest, QuotesWhatAShellWouldTouch) {
  EXPECT_EQ(ShellQuote("models/mixtral-8x7b"), "models/mixtral-8x7b");
  EXPECT_EQ(ShellQuote("a b"), "'a b'");
  EXPECT_EQ(ShellQuote("it's"), "'it'\\''s'");
  EXPECT_EQ(ShellQuote("magnet:?xt=a&b"), "'magnet:?xt=a&b'");
  EXPECT_EQ(ShellQuote(""), "''");
}

}  // namespace
}  // namespace cli
