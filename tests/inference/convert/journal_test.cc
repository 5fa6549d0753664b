// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/journal.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "verify/base/bytes.h"
#include "verify/base/text.h"

namespace inference {
namespace {

using verify::Sha256Digest;
using verify::StrCat;

Sha256Digest Plan(std::string_view name = "plan") {
  return verify::Sha256(verify::AsBytes(name));
}

std::string ThreeLines() {
  return JournalHead(Plan()) + JournalLine(0, 0) + JournalLine(2, 0xabcdef) +
         JournalLine(1, UINT64_MAX);
}

// The CRC is that of `python3 -c "import zlib; print(hex(zlib.crc32(
// b'2 0000000000abcdef')))"`.
TEST(JournalTest, IsText) {
  EXPECT_EQ(JournalLine(2, 0xabcdef), "2 0000000000abcdef 03fa6e24\n");
  EXPECT_EQ(JournalHead(Plan()).substr(0, 36),
            "lodestone conversion journal 1\nplan ");
  EXPECT_LE(JournalLine(SIZE_MAX, UINT64_MAX).size(), kMaxJournalLineBytes);
}

TEST(JournalTest, TellsWhatWasWritten) {
  const auto journal = ReadJournal(ThreeLines(), Plan(), 4);
  ASSERT_TRUE(journal.has_value());
  EXPECT_EQ(journal->sums[0], 0u);
  EXPECT_EQ(journal->sums[1], UINT64_MAX);
  EXPECT_EQ(journal->sums[2], 0xabcdefu);
  EXPECT_FALSE(journal->sums[3].has_value());
  EXPECT_EQ(journal->good_bytes, ThreeLines().size());
}

TEST(JournalTest, IsOfOnePlan) {
  EXPECT_FALSE(ReadJournal(ThreeLines(), Plan("another"), 4).has_value());
  EXPECT_FALSE(ReadJournal("", Plan(), 4).has_value());
  EXPECT_FALSE(ReadJournal("GGUF", Plan(), 4).has_value());
}

// A run that was cut off while it wrote a line.
TEST(JournalTest, EndsAtTheFirstLineThatIsNotWhole) {
  const std::string text = ThreeLines();
  const size_t head = JournalHead(Plan()).size();
  for (size_t size = 0; size < text.size(); ++size) {
    const auto journal = ReadJournal(text.substr(0, size), Plan(), 4);
    ASSERT_EQ(journal.has_value(), size >= head) << size;
    if (!journal.has_value()) continue;
    EXPECT_LE(journal->good_bytes, size);
    size_t known = 0;
    for (const auto& sum : journal->sums)
      known += static_cast<size_t>(sum.has_value());

    EXPECT_EQ(known, static_cast<size_t>(std::count(
                         text.begin() + static_cast<ptrdiff_t>(head),
                         text.begin() + static_cast<ptrdiff_t>(size), '\n')));
  }
}

TEST(JournalTest, BelievesNoLineThatWasChanged) {
  const std::string text = ThreeLines();
  const auto good = ReadJournal(text, Plan(), 4);
  for (size_t at = 0; at < text.size(); ++at) {
    std::string changed = text;
    changed[at] ^= 1;
    const auto journal = ReadJournal(changed, Plan(), 4);
    if (!journal.has_value()) continue;
    for (size_t i = 0; i < 4; ++i) {
      EXPECT_TRUE(!journal->sums[i].has_value() ||
                  journal->sums[i] == good->sums[i])
          << at;
    }
  }
}

TEST(JournalTest, KnowsNoUnitsBeyondThePlan) {
  const std::string text = ThreeLines() + JournalLine(4, 1) + JournalLine(3, 1);
  const auto journal = ReadJournal(text, Plan(), 4);
  ASSERT_TRUE(journal.has_value());
  EXPECT_EQ(journal->good_bytes, ThreeLines().size());
  EXPECT_FALSE(journal->sums[3].has_value());
  EXPECT_TRUE(ReadJournal(StrCat(JournalHead(Plan()), "-1 0 0\n",
                                 "99999999999999999999999 0 0\n"),
                          Plan(), 4)
                  .has_value());
}

}  // namespace
}  // namespace inference
