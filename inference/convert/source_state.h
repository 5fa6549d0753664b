// SPDX-License-Identifier: Apache-2.0
// Whether the files of a source are still what they were.
// Tested by tests/inference/convert/source_state_test.cc.
#pragma once

#include <string>
#include <vector>

#include "verify/base/file_stamp.h"
#include "verify/base/result.h"

namespace inference {

// Of files at one moment: their identities, sizes and times, not their bytes.
class SourceState {
 public:
  // Errors: kNotFound, kIo.
  static verify::Result<SourceState> Of(std::vector<std::string> paths);

  // A text for each file, the same after the machine has started again.
  std::vector<std::string> Describe() const;

  // kMismatch (E-CHANGED) with the first file that is another or was written
  // since.
  verify::Result<void> CheckUnchanged() const;

 private:
  std::vector<std::string> paths_;
  std::vector<verify::FileStamp> stamps_;
};

}  // namespace inference
