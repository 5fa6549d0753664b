// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/report_html.h"

#include <gtest/gtest.h>

#include <string>

namespace cli {
namespace {

TEST(ReportHtmlTest, EscapesMarkupAndWhatHides) {
  EXPECT_EQ(EscapeHtml("a<b>&\"'"), "a&lt;b&gt;&amp;&quot;&#39;");
  EXPECT_EQ(EscapeHtml("a\x1b[2J\n"), "a\\x1b[2J\\x0a");
  // U+202E turns the line around; a lone byte is no UTF-8.
  EXPECT_EQ(EscapeHtml("a\u202E"), "a\\u{202e}");
  EXPECT_EQ(EscapeHtml("\xff"), "\\xff");
  EXPECT_EQ(EscapeHtml("größe"), "größe");
  // Nothing is cut off.
  const std::string text(10'000, '<');
  EXPECT_EQ(EscapeHtml(text).size(), 4 * text.size());
}

}  // namespace
}  // namespace cli
