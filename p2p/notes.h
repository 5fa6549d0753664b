// SPDX-License-Identifier: Apache-2.0
// A list of remarks that hostile input cannot blow up.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "verify/base/text.h"

namespace p2p {

// Appends remarks to a list that it does not own (it must outlive this), the
// first `limit` of them; Flush, or destruction, adds one line that counts the
// rest.
class BoundedNotes {
 public:
  explicit BoundedNotes(std::vector<std::string>& out, size_t limit = 50)
      : out_(out), limit_(limit) {}
  ~BoundedNotes() { Flush(); }
  BoundedNotes(const BoundedNotes&) = delete;
  BoundedNotes& operator=(const BoundedNotes&) = delete;

  void Add(std::string line) {
    if (count_++ < limit_) {
      out_.push_back(std::move(line));
    } else {
      ++dropped_;
    }
  }

  void Flush() {
    if (dropped_ > 0) {
      out_.push_back(verify::StrCat("and ", dropped_, " more of this kind"));
    }
    dropped_ = 0;
  }

 private:
  std::vector<std::string>& out_;
  size_t limit_;
  size_t count_ = 0;
  size_t dropped_ = 0;
};

}  // namespace p2p
