// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>

#include "inference/convert/journal.h"
#include "verify/base/bytes.h"

// What is read of a journal is no longer than it, and written anew it reads the
// same.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kUnits = 40;
  const verify::Sha256Digest plan{};  // as in the corpus
  const auto text = verify::AsText(std::as_bytes(std::span(data, size)));
  const auto journal = inference::ReadJournal(text, plan, kUnits);
  if (!journal.has_value()) return 0;
  if (journal->good_bytes > size || journal->sums.size() != kUnits) {
    std::abort();
  }
  std::string again = inference::JournalHead(plan);
  for (size_t i = 0; i < kUnits; ++i) {
    if (journal->sums[i].has_value()) {
      again += inference::JournalLine(i, *journal->sums[i]);
    }
  }
  const auto reread = inference::ReadJournal(again, plan, kUnits);
  if (!reread.has_value() || reread->sums != journal->sums ||
      reread->good_bytes != again.size()) {
    std::abort();
  }
  return 0;
}
