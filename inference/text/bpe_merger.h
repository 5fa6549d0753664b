// SPDX-License-Identifier: Apache-2.0
// Byte pair encoding of one word: joins neighbours, the best pair first.
// Tested by tests/inference/text/bpe_merger_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace inference {

// Which neighbours join, in which order, and to what. Thread-safe once made.
class MergeTable {
 public:
  struct Merge {
    uint32_t left = 0;
    uint32_t right = 0;
    uint32_t rank = 0;  // the least is joined first
    uint32_t result = 0;
  };

  // Ids are below `num_ids`; of a pair that stands twice, one counts. Sorted
  // and searched, not hashed: ids cannot be chosen to collide.
  MergeTable(std::vector<Merge> merges, size_t num_ids);

  // Null if the two do not join. Requires ids below num_ids.
  const Merge* Find(uint32_t left, uint32_t right) const;

  // Joins neighbours of `symbols` until none can be: always the pair of the
  // least rank, of equals the leftmost. Time n log n for n symbols, memory some
  // 60 bytes for each. At most 2^32 - 2 symbols.
  void Join(std::vector<uint32_t>& symbols) const;

 private:
  std::vector<Merge> merges_;    // by left, right
  std::vector<uint32_t> first_;  // by left: its place in merges_; one more
};

}  // namespace inference
