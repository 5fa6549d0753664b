// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/source_state.h"

#include <cstddef>
#include <utility>

#include "verify/base/text.h"

namespace inference {

using verify::ErrorCode;
using verify::FileStamp;
using verify::Result;
using verify::StrCat;

Result<SourceState> SourceState::Of(std::vector<std::string> paths) {
  SourceState state;
  for (const std::string& path : paths) {
    ASSIGN_OR_RETURN(const FileStamp stamp, verify::StampOf(path));
    state.stamps_.push_back(stamp);
  }
  state.paths_ = std::move(paths);
  return state;
}

std::vector<std::string> SourceState::Describe() const {
  std::vector<std::string> texts;
  for (const FileStamp& stamp : stamps_) {
    // Without the number of the device, which may be another after a start.
    texts.push_back(StrCat(stamp.identity.inode, ' ', stamp.identity.size_bytes,
                           ' ', stamp.identity.mtime_ns, ' ', stamp.ctime_ns));
  }
  return texts;
}

Result<void> SourceState::CheckUnchanged() const {
  for (size_t i = 0; i < paths_.size(); ++i) {
    const auto now = verify::StampOf(paths_[i]);
    if (now && *now == stamps_[i]) continue;
    return verify::Fail(ErrorCode::kMismatch,
                        StrCat("\"", verify::EscapeForTerminal(paths_[i]),
                               "\" changed while it was converted"))
        .Id("E-CHANGED")
        .Hint("let nothing write to the source and convert again");
  }
  return {};
}

}  // namespace inference
