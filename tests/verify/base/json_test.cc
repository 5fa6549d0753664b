// SPDX-License-Identifier: Apache-2.0
#include "verify/base/json.h"

#include <string>

namespace verify {
namespace {

TEST(ParseJsonTest, ReadsNestedValues) {
  const auto json = ParseJson(R"({"a":[1,{"b":"c"}],"d":-2.5,"e":null})");
  ASSERT_TRUE(json) << json.error().message;
  EXPECT_EQ((*json)["a"][1]["b"], "c");
  EXPECT_EQ((*json)["d"], -2.5);
  EXPECT_TRUE((*json)["e"].is_null());
}

TEST(ParseJsonTest, RefusesAKeyTwiceEvenIfEscaped) {
  const auto json = ParseJson(R"({"a":1,"\u0061":2})");
  ASSERT_FALSE(json);
  EXPECT_EQ(json.error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(json.error().id, "E-JSON-DUPLICATE");
  // The same key in two different objects is no repetition.
  EXPECT_TRUE(ParseJson(R"([{"a":1},{"a":{"a":2}}])"));
}

TEST(ParseJsonTest, RefusesWhatIsNotOneValue) {
  for (const char* text : {"", "{", "{}x", "[1,]", "{'a':1}", "nul", "\"\xff\"",
                           "/*c*/1", "[1]\n[2]"}) {
    const auto json = ParseJson(text);
    ASSERT_FALSE(json) << text;
    EXPECT_EQ(json.error().code, ErrorCode::kCorrupt) << text;
  }
}

TEST(ParseJsonTest, KeepsItsLimits) {
  JsonLimits limits;
  limits.max_depth = 3;
  EXPECT_TRUE(ParseJson("[[[1]]]", limits));
  const auto deep = ParseJson("[[[[1]]]]", limits);
  ASSERT_FALSE(deep);
  EXPECT_EQ(deep.error().code, ErrorCode::kLimit);
  // A nest of a million must be refused at depth 3, not recursed into.
  EXPECT_FALSE(ParseJson(std::string(1'000'000, '['), limits));
  limits.max_values = 3;
  EXPECT_TRUE(ParseJson("[1,2]", limits));
  EXPECT_FALSE(ParseJson("[1,2,3]", limits));
  limits.max_bytes = 4;
  EXPECT_FALSE(ParseJson("[1,2]", limits));
}

TEST(CheckJsonLimitsTest, LooksBeforeAnythingIsBuilt) {
  const auto refused = [](std::string_view text, const JsonLimits& limits) {
    const auto result = CheckJsonLimits(text, limits);
    return result ? "" : result.error().ToString();
  };
  JsonLimits limits;
  limits.max_values = 3;
  // Commas inside of texts are none; an escaped quote ends no text.
  EXPECT_EQ(refused(R"({"a,b":",\",,","c":1})", limits), "");
  EXPECT_EQ(refused("[1,2,3,4]", limits),
            "JSON: more than 3 values (at byte 6)");
  limits.max_text_bytes = 4;
  EXPECT_EQ(refused(R"(["abcd"])", limits), "");
  EXPECT_EQ(refused(R"({"abcde":1})", limits),
            "JSON: a text of more than 4 bytes (at byte 1)");
  EXPECT_EQ(refused(R"("a\"\"b)", limits),
            "JSON: a text of more than 4 bytes (at byte 0)");
  EXPECT_EQ(refused(R"("abc\)", limits), "");  // cut off: the parser says so
  EXPECT_EQ(refused("", limits), "");
}

TEST(AsUnsignedTest, TakesWholeNumbersOnly) {
  const auto as_unsigned = [](const char* text) {
    return AsUnsigned(*ParseJson(text));
  };
  EXPECT_EQ(as_unsigned("18446744073709551615"), 18446744073709551615u);
  EXPECT_FALSE(as_unsigned("-1").has_value());
  EXPECT_FALSE(as_unsigned("1.0").has_value());
  EXPECT_FALSE(as_unsigned("1e3").has_value());
  EXPECT_FALSE(as_unsigned("\"1\"").has_value());
}

}  // namespace
}  // namespace verify
