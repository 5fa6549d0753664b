// SPDX-License-Identifier: Apache-2.0
// What an unfinished conversion has written so far, as text beside it. It names
// units of a plan, never places: what plan it is has to be known already.
// Format: docs/formats/conversion_journal.md.
// Tested by tests/inference/convert/journal_test.cc, fuzzed by
// tests/fuzz/conversion_journal_fuzz.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "verify/digest/digest.h"

namespace inference {

// Of a result of 2 TB in units of 2 MiB: half of it.
inline constexpr uint64_t kMaxJournalBytes = 64u << 20;

// The first two lines: what this is, and of which plan.
std::string JournalHead(const verify::Sha256Digest& plan);

// A line that says: unit `index` was written, XXH64 `sum`.
std::string JournalLine(size_t index, uint64_t sum);
inline constexpr size_t kMaxJournalLineBytes = 48;

struct Journal {
  // By unit; nothing where no line speaks of it. What is written there has
  // still to be compared with it.
  std::vector<std::optional<uint64_t>> sums;
  size_t good_bytes = 0;  // head and lines before the first that is torn
};

// Nothing if it is no journal, or that of another plan. The first line that is
// not whole, does not bear its check, or speaks of a unit that is not there
// ends it: what follows was not lasting.
std::optional<Journal> ReadJournal(std::string_view text,
                                   const verify::Sha256Digest& plan,
                                   size_t num_units);

}  // namespace inference
