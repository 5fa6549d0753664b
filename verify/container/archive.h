// SPDX-License-Identifier: Apache-2.0
// An archive as one thing: tar, zstd, or tar within zstd. Nothing else is
// opened, and never an archive within an archive. Format: docs/formats/tar.md
// and zstd.md. Tested by tests/verify/container/archive_test.cc.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "verify/base/file.h"
#include "verify/base/result.h"
#include "verify/container/byte_stream.h"
#include "verify/container/zstd_reader.h"
#include "verify/container/zstd_seekable.h"

namespace verify {

// What archives begin with, in words: "a tar archive", "zstd data", "a 7z
// archive" ...; empty for anything else. Zip is not among them: a torch.save
// archive is weights.
std::string_view ArchiveKind(ByteSpan start);

// What weights begin with, in words, as ArchiveKind; by the magic alone.
std::string_view WeightsKind(ByteSpan start);

// How many bytes from the start tell all that can be told.
inline constexpr size_t kArchiveSniffBytes = 4096;

struct ArchiveOptions {
  ZstdOptions zstd;
  // Frames are read one after the other, whatever the table says.
  bool ignore_seek_table = false;
};

// What an archive holds, one byte after the other.
struct ArchiveContent {
  std::unique_ptr<ByteStream> stream;
  // What `stream` decompresses with, if frames are read in order; else null.
  const ZstdStream* zstd = nullptr;
};

// Errors of Open: kUnsupported (id E-ARCHIVE-KIND: another kind of archive),
// kInvalidArgument (E-ARCHIVE-KIND: no archive), kCorrupt (E-ARCHIVE-NESTED:
// zstd that holds an archive other than tar;
// E-POLYGLOT: the start of weights too), those of SeekableZstd and of
// reading.
class Archive {
 public:
  // `file` must outlive it.
  static Result<Archive> Open(const ByteSource& file,
                              const ArchiveOptions& options);

  bool is_zstd() const { return is_zstd_; }
  bool is_tar() const { return is_tar_; }
  // Null if there is no seek table or it is to be ignored.
  const SeekTable* seek_table() const {
    return seekable_ == nullptr ? nullptr : &seekable_->table();
  }
  // Whether a look at all names costs little: nothing is decompressed for it
  // but what is looked at.
  bool can_look_ahead() const { return !is_zstd_ || seekable_ != nullptr; }

  // What the archive holds, from its first byte: the tar, or the one file.
  // Valid while this lives; each call begins anew.
  ArchiveContent Content() const;

 private:
  Archive(const ByteSource& file, const ArchiveOptions& options)
      : file_(&file), options_(options) {}

  const ByteSource* file_;
  ArchiveOptions options_;
  bool is_zstd_ = false;
  bool is_tar_ = false;
  std::unique_ptr<SeekableZstd> seekable_;
};

}  // namespace verify
