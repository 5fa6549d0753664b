// SPDX-License-Identifier: Apache-2.0
// A result that is being written, under a name that says so: OUTPUT.partial, a
// file or a folder, with OUTPUT.partial-journal beside it. A run that is cut
// off, by whatever, leaves both; the next one goes on.
// Tested by tests/inference/convert/partial_result_test.cc and
// tests/scripts/convert_resume.py.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "inference/convert/convert_plan.h"
#include "inference/convert/journal.h"
#include "verify/base/bytes.h"
#include "verify/base/file.h"
#include "verify/base/result.h"
#include "verify/digest/digest.h"

namespace inference {

// Order of what lasts: the journal's head, before any data; the data of a unit,
// before the line that names it; all data, before the final name; the final
// name, before the journal goes. One process at a time. Movable; one thread but
// for ReadUnit, which is thread-safe.
class PartialResult {
 public:
  // Looks at what is there and locks it; makes nothing. `plan` must outlive it.
  // Errors: kBusy (E-LOCKED), kIo (E-EXISTS: something of the partial name that
  // no journal speaks for).
  static verify::Result<PartialResult> Open(std::string output,
                                            const ConvertPlan& plan,
                                            const verify::Sha256Digest& digest);

  // OUTPUT.partial
  const std::string& path() const { return path_; }
  // Something is there, and is of another plan: Begin does away with it.
  bool starts_anew() const { return has_journal_ && !journal_.has_value(); }
  // Bytes on the disk that the result already has.
  uint64_t TakenBytes() const;

  // Makes or opens all files at their full size and writes their heads.
  // Errors: kIo (E-DISK-FULL, ...).
  verify::Result<void> Begin();

  // What the journal says of a unit; nothing if it does not speak of it.
  std::optional<uint64_t> SumOf(size_t unit) const;
  // The bytes that stand where the unit belongs. Requires Begin.
  verify::Result<void> ReadUnit(const Unit& unit,
                                std::span<std::byte> out) const;

  // Writes the bytes of plan.units[index]; about once a second, and at least
  // every few hundred MiB, makes lasting what was written. Starts writing to
  // the disk at once and forgets pages that are there, so that neither dirty
  // pages nor old ones fill the memory. Requires Begin.
  verify::Result<void> WriteUnit(size_t index, verify::ByteSpan bytes,
                                 uint64_t sum);
  // Makes lasting what was written, then says so in the journal.
  verify::Result<void> Checkpoint();

  // Gives the result its names. kIo (E-EXISTS: something got there first and
  // `overwrite` is false). Requires all units written.
  verify::Result<void> Commit(bool overwrite);
  // Removes all that is there.
  void Discard();

 private:
  struct OpenFile {
    verify::UniqueFd fd;
    std::string path;
    uint64_t written_to = 0;  // start of what may not be on the disk yet
    bool is_dirty = false;
  };

  PartialResult(std::string output, const ConvertPlan& plan,
                const verify::Sha256Digest& digest);

  bool in_folder() const { return plan_->is_folder || plan_->files.size() > 1; }
  std::string PathOf(size_t file) const;
  verify::Result<void> BeginJournal();
  verify::Result<void> Clear();
  verify::Result<void> OpenFiles();
  verify::Result<void> Reserve(const OpenFile& file, uint64_t bytes) const;
  verify::Result<void> Write(OpenFile& file, uint64_t offset,
                             verify::ByteSpan bytes);
  void WriteBehind(OpenFile& file, uint64_t end);
  verify::Result<void> Promote(const std::string& from, const std::string& to,
                               bool overwrite) const;

  std::string output_;
  std::string path_;
  std::string journal_path_;
  const ConvertPlan* plan_;
  verify::Sha256Digest digest_;
  verify::UniqueFd journal_fd_;
  bool has_journal_ = false;
  std::optional<Journal> journal_;  // of this plan
  std::vector<OpenFile> files_;
  std::string lines_;  // of the journal, not written yet
  uint64_t since_checkpoint_ = 0;
  std::chrono::steady_clock::time_point last_checkpoint_;
};

// OUTPUT without slashes at its end.
std::string WithoutSlash(std::string path);

// Where the files of a result stand in the end.
std::vector<std::string> FinalPaths(const std::string& output,
                                    const ConvertPlan& plan);

// kIo, E-DISK-FULL.
verify::Unexpected DiskFull(const std::string& path, uint64_t needed,
                            uint64_t free);
// The folder of a path: "." for a plain name.
std::string FolderOf(const std::string& path);

}  // namespace inference
