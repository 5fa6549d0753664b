// SPDX-License-Identifier: Apache-2.0
#include "inference/text/bpe_merger.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <queue>
#include <utility>

namespace inference {
namespace {

constexpr uint32_t kNone = std::numeric_limits<uint32_t>::max();

struct Symbol {
  uint32_t id = kNone;  // none: joined to the one before it
  uint32_t before = kNone;
  uint32_t after = kNone;
};

// A pair that can be joined, unless one of the two has changed since.
struct Candidate {
  uint32_t place = 0;  // of the left symbol
  const MergeTable::Merge* merge = nullptr;

  // For a queue whose top is the greatest.
  bool operator<(const Candidate& other) const {
    if (merge->rank != other.merge->rank)
      return merge->rank > other.merge->rank;
    return place > other.place;
  }
};

}  // namespace

MergeTable::MergeTable(std::vector<Merge> merges, size_t num_ids)
    : merges_(std::move(merges)), first_(num_ids + 1, 0) {
  const auto same = [](const Merge& a, const Merge& b) {
    return a.left == b.left && a.right == b.right;
  };
  std::sort(merges_.begin(), merges_.end(), [](const Merge& a, const Merge& b) {
    if (a.left != b.left) return a.left < b.left;
    if (a.right != b.right) return a.right < b.right;
    return a.rank < b.rank;
  });
  merges_.erase(std::unique(merges_.begin(), merges_.end(), same),
                merges_.end());
  for (const Merge& merge : merges_) ++first_[merge.left + 1];
  for (size_t id = 0; id < num_ids; ++id) first_[id + 1] += first_[id];
}

const MergeTable::Merge* MergeTable::Find(uint32_t left, uint32_t right) const {
  const Merge* const begin = merges_.data() + first_[left];
  const Merge* const end = merges_.data() + first_[left + 1];
  const Merge* const found = std::lower_bound(
      begin, end, right,
      [](const Merge& merge, uint32_t wanted) { return merge.right < wanted; });
  return found != end && found->right == right ? found : nullptr;
}

void MergeTable::Join(std::vector<uint32_t>& symbols) const {
  if (symbols.size() < 2) return;
  const auto count = static_cast<uint32_t>(symbols.size());
  std::vector<Symbol> chain(count);
  for (uint32_t i = 0; i < count; ++i) {
    chain[i] = {symbols[i], i == 0 ? kNone : i - 1,
                i + 1 == count ? kNone : i + 1};
  }
  std::vector<Candidate> found;
  for (uint32_t i = 0; i + 1 < count; ++i) {
    if (const Merge* merge = Find(symbols[i], symbols[i + 1])) {
      found.push_back({i, merge});
    }
  }
  // Each join takes one symbol away and adds at most two candidates, so that
  // there are fewer than 3 n in all.
  std::priority_queue<Candidate> queue(std::less<Candidate>(),
                                       std::move(found));
  const auto add = [&](uint32_t place) {
    if (place == kNone || chain[place].after == kNone) return;
    const Merge* merge = Find(chain[place].id, chain[chain[place].after].id);
    if (merge != nullptr) queue.push({place, merge});
  };
  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    Symbol& left = chain[top.place];
    if (left.id != top.merge->left || left.after == kNone) continue;
    Symbol& right = chain[left.after];
    if (right.id != top.merge->right) continue;
    left.id = top.merge->result;
    right.id = kNone;
    left.after = right.after;
    if (left.after != kNone) chain[left.after].before = top.place;
    add(left.before);
    add(top.place);
  }
  size_t kept = 0;
  for (const Symbol& symbol : chain) {
    if (symbol.id != kNone) symbols[kept++] = symbol.id;
  }
  symbols.resize(kept);
}

}  // namespace inference
