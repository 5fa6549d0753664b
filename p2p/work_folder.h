// SPDX-License-Identifier: Apache-2.0
// The private folder of one download: payload under data/, the state beside
// it, a lock against a second process, and a marker that tells a clean stop
// from a crash. docs/decisions/0001-session-and-state.md.
// Tested by tests/p2p/work_folder_test.cc.
#pragma once

#include <string>

#include "verify/base/file.h"
#include "verify/base/result.h"

namespace p2p {

// Holds the lock while it lives. Movable; one thread.
class WorkFolder {
 public:
  // Makes the folder (0700) and its data folder if they are absent.
  // Errors: kBusy (another process has it, id E-LOCKED), kIo (no permission,
  // not a folder, someone else's, or a symbolic link: id E-SYMLINK).
  static verify::Result<WorkFolder> Open(const std::string& path);

  const std::string& path() const { return path_; }
  std::string data_path() const { return path_ + "/data"; }
  std::string state_path() const { return path_ + "/state"; }

  // True if a former run wrote payload and did not come to its end.
  bool unclean() const { return unclean_; }
  // Marks the folder before the first byte of payload is written; lasting
  // when it returns.
  verify::Result<void> MarkDirty();
  // Takes the mark away; all payload must be on disk.
  verify::Result<void> MarkClean();

  // Refuses symbolic links and special files anywhere under data/: libtorrent
  // would write through them. Errors: kIo, id E-SYMLINK.
  verify::Result<void> CheckPayloadTree() const;

 private:
  WorkFolder(std::string path, verify::UniqueFd folder, verify::UniqueFd lock)
      : path_(std::move(path)),
        folder_(std::move(folder)),
        lock_(std::move(lock)) {}

  std::string path_;
  verify::UniqueFd folder_;
  verify::UniqueFd lock_;
  bool unclean_ = false;
};

}  // namespace p2p
