// SPDX-License-Identifier: Apache-2.0
#include "cli/chat/expert_table.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

namespace cli {
namespace {

// One layer of four experts; tokens take {3, 1}, {3, 0}, {3, 2}, {1, 3} with
// weights 3/4 and 1/4: counts 1 2 1 4, first choices 0 1 0 3.
inference::ExpertTrace Trace() {
  verify::ModelConfig config;
  config.num_layers = 1;
  config.num_experts = 4;
  config.num_experts_per_token = 2;
  inference::ExpertTrace trace(config);
  std::vector<float> weights;
  for (int i = 0; i < 4; ++i) weights.insert(weights.end(), {0.75f, 0.25f});
  trace.OnExperts(0, std::vector<uint32_t>{3, 1, 3, 0, 3, 2, 1, 3}, weights, 4,
                  2);
  return trace;
}

TEST(ExpertFieldsTest, AreThoseOfTheEvent) {
  const Fields fields = ExpertFields(Trace(), 2);
  EXPECT_EQ(fields["layers"], 1);
  EXPECT_EQ(fields["experts"], 4);
  EXPECT_EQ(fields["top_k"], 2);
  EXPECT_EQ(fields["tokens"], 4);
  EXPECT_EQ(fields["counts"].dump(), "[[1,2,1,4]]");
  EXPECT_EQ(fields["first_counts"].dump(), "[[0,1,0,3]]");
  EXPECT_EQ(fields["gate_sum"].dump(), "[[0.25,1.0,0.25,2.5]]");
  // Of three pairs the first choice is the same in two, expert 3 in all.
  EXPECT_NEAR(fields["repeat_first"][0].get<double>(), 2.0 / 3, 1e-12);
  EXPECT_EQ(fields["repeat_any"][0], 1.0);
  EXPECT_EQ(fields["margin"][0], 0.5);
  // Shares 1/8, 1/4, 1/8, 1/2: (3/8 + 2/4 + 3/8 + 1/2) bits of 2.
  EXPECT_NEAR(fields["entropy"][0].get<double>(), 1.75 / 2, 1e-12);
}

TEST(ExpertTableTest, HasALineForEachLayer) {
  const auto lines = ExpertTable(Trace(), 2, false);
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0].substr(0, 32), "4 tokens, 2 of 4 experts each; a");
  EXPECT_EQ(lines[2],
            "    0  2428     0308       3   50 %    0.875   0.500     0.67   "
            "1.00");
  const auto bars = ExpertTable(Trace(), 2, true);
  EXPECT_NE(bars[2].find("▂▄▂█"), std::string::npos) << bars[2];
  EXPECT_NE(bars[2].find(" ▃ █"), std::string::npos) << bars[2];
}

TEST(ExpertTableTest, IsEmptyWhereThereIsNothingToShow) {
  verify::ModelConfig config;
  config.num_layers = 2;
  EXPECT_TRUE(ExpertTable(inference::ExpertTrace(config), 0, true).empty());
  config.num_experts = 4;
  EXPECT_TRUE(ExpertTable(inference::ExpertTrace(config), 2, true).empty());
}

TEST(LocaleTest, TheFirstVariableThatIsSetDecides) {
  const char* const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
  for (const char* name : names) ::unsetenv(name);
  EXPECT_FALSE(LocaleIsUtf8());
  ::setenv("LANG", "de_DE.UTF-8", 1);
  EXPECT_TRUE(LocaleIsUtf8());
  ::setenv("LC_CTYPE", "", 1);
  EXPECT_TRUE(LocaleIsUtf8());
  ::setenv("LC_ALL", "C", 1);
  EXPECT_FALSE(LocaleIsUtf8());
  ::setenv("LC_ALL", "C.utf8", 1);
  EXPECT_TRUE(LocaleIsUtf8());
  for (const char* name : names) ::unsetenv(name);
}

}  // namespace
}  // namespace cli
