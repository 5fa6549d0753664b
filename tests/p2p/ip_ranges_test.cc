// SPDX-License-Identifier: Apache-2.0
// Address ranges and the block lists of PeerGuardian and eMule. The ends of
// networks are worked out by hand.
#include "p2p/ip_ranges.h"

#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace p2p {
namespace {

IpAddress Address(std::string_view text) {
  const auto address = ParseIpAddress(text);
  EXPECT_TRUE(address.has_value()) << text;
  return address.value_or(IpAddress{});
}

IpRange Range(std::string_view first, std::string_view last) {
  return {Address(first), Address(last)};
}

std::vector<IpRange> Parse(std::string_view text) {
  std::string remark;
  const auto ranges = ParseIpFilter(text, remark);
  EXPECT_TRUE(ranges) << text;
  EXPECT_EQ(remark, "");
  return ranges ? *ranges : std::vector<IpRange>();
}

TEST(IpRangeTest, ReadsNetworksOfBothFamilies) {
  EXPECT_EQ(ParseIpRange("192.0.2.77/24"), Range("192.0.2.0", "192.0.2.255"));
  EXPECT_EQ(ParseIpRange("10.0.0.0/8"), Range("10.0.0.0", "10.255.255.255"));
  EXPECT_EQ(ParseIpRange("0.0.0.0/0"), Range("0.0.0.0", "255.255.255.255"));
  EXPECT_EQ(ParseIpRange("192.0.2.5/32"), Range("192.0.2.5", "192.0.2.5"));
  EXPECT_EQ(ParseIpRange("192.0.2.128/25"),
            Range("192.0.2.128", "192.0.2.255"));
  EXPECT_EQ(ParseIpRange("2001:db8::/33"),
            Range("2001:db8::", "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff"));
  EXPECT_EQ(ParseIpRange("::1"), Range("::1", "::1"));
}

TEST(IpRangeTest, RefusesWhatIsNone) {
  for (const char* text :
       {"", "host", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.4/33", "1.2.3.4/",
        "1.2.3.4/-1", "::/129", "1.2.3.9-1.2.3.4", "1.2.3.4-::1", "1.2.3.4-",
        "-1.2.3.4", "1..2.3", "0001.2.3.4", "1.2.3.4/8x"}) {
    EXPECT_FALSE(ParseIpRange(text).has_value()) << text;
  }
  EXPECT_FALSE(ParseIpAddress(std::string_view("::1\0", 4)).has_value());
}

TEST(IpFilterTest, ReadsPeerGuardianText) {
  const auto ranges = Parse(
      "# list\n"
      "Some company:192.0.2.1-192.0.2.9\r\n"
      "With: a colon:198.51.100.0-198.51.100.255\n");
  ASSERT_EQ(ranges.size(), 2u);
  EXPECT_EQ(ranges[0], Range("192.0.2.1", "192.0.2.9"));
  EXPECT_EQ(ranges[1], Range("198.51.100.0", "198.51.100.255"));
}

TEST(IpFilterTest, ReadsEmuleDatAndHonoursItsAccessLevel) {
  const auto ranges = Parse(
      "001.002.003.004 - 001.002.003.010 , 000 , blocked\n"
      "001.002.004.000 - 001.002.004.255 , 127 , allowed\n"
      "001.002.005.000 - 001.002.005.255 , 126 , blocked, too\n");
  ASSERT_EQ(ranges.size(), 2u);
  EXPECT_EQ(ranges[0], Range("1.2.3.4", "1.2.3.10"));
  EXPECT_EQ(ranges[1], Range("1.2.5.0", "1.2.5.255"));
}

TEST(IpFilterTest, ReadsNetworksRangesAndComments) {
  const auto ranges = Parse(
      "; a comment\n\n// another\n"
      "203.0.113.0/30\n2001:db8::/127\n 192.0.2.1 - 192.0.2.2 \n192.0.2.7");
  ASSERT_EQ(ranges.size(), 4u);
  EXPECT_EQ(ranges[0], Range("203.0.113.0", "203.0.113.3"));
  EXPECT_EQ(ranges[1], Range("2001:db8::", "2001:db8::1"));
  EXPECT_EQ(ranges[2], Range("192.0.2.1", "192.0.2.2"));
  EXPECT_EQ(ranges[3], Range("192.0.2.7", "192.0.2.7"));
}

TEST(IpFilterTest, SaysWhichLinesItCouldNotRead) {
  std::string text;
  for (int i = 0; i < 20; ++i) text += "192.0.2.1\n";
  text += "what is this\n";
  std::string remark;
  const auto ranges = ParseIpFilter(text, remark);
  ASSERT_TRUE(ranges);
  EXPECT_EQ(ranges->size(), 20u);
  EXPECT_NE(remark.find("line 21: \"what is this\""), std::string::npos)
      << remark;
}

TEST(IpFilterTest, RefusesAFileThatIsNoList) {
  std::string remark;
  const auto ranges = ParseIpFilter("<html>\n<body>\n1.2.3.4\n", remark);
  ASSERT_FALSE(ranges);
  EXPECT_EQ(ranges.error().code, verify::ErrorCode::kInvalidArgument);
  EXPECT_NE(ranges.error().message.find("line 1: \"<html>\""),
            std::string::npos);
}

TEST(IpFilterTest, ReadsAFileAndNamesItInErrors) {
  const tests::TempDir temp;
  std::ofstream(temp.File("list")) << "192.0.2.0/24\n";
  std::string remark;
  const auto ranges = ReadIpFilter(temp.File("list"), remark);
  ASSERT_TRUE(ranges);
  EXPECT_EQ(ranges->size(), 1u);
  std::ofstream(temp.File("junk")) << "junk\n";
  const auto junk = ReadIpFilter(temp.File("junk"), remark);
  ASSERT_FALSE(junk);
  EXPECT_NE(junk.error().message.find("junk\": line 1"), std::string::npos)
      << junk.error().message;
  const auto absent = ReadIpFilter(temp.File("absent"), remark);
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code, verify::ErrorCode::kNotFound);
}

}  // namespace
}  // namespace p2p
