// SPDX-License-Identifier: Apache-2.0
// Pages of sources that are mapped files: asked for ahead of their use, given
// back after it. Memory of other kinds is left alone, since giving it back
// would empty it. Tested by tests/inference/convert/source_pages_test.cc.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "verify/base/bytes.h"
#include "verify/base/result.h"

namespace inference {

// Thread-safe. Knows the maps that were there when it was made.
class SourcePages {
 public:
  SourcePages();

  // Starts reading; returns at once.
  void WillNeed(verify::ByteSpan bytes) const;
  // Reads now, so that the first look at each page costs no fault, and a file
  // that has become shorter is an error and no signal. What is cut off between
  // this and the use of the bytes still is one. kMismatch (E-CHANGED).
  verify::Result<void> Load(verify::ByteSpan bytes) const;
  // Will not be needed again.
  void Drop(verify::ByteSpan bytes) const;

  // Whether all of it lies in one map of a file that is only read.
  bool IsMappedFile(verify::ByteSpan bytes) const;

 private:
  std::vector<std::pair<uintptr_t, uintptr_t>> maps_;  // sorted, [begin, end)
};

}  // namespace inference
