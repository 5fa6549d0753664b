// SPDX-License-Identifier: Apache-2.0
// Compares the bytes of a folder with everything that says what they should
// be: a torrent's pieces and roots, and published sums. One read of each file.
// Tested by tests/scripts/verify_flip.py and others there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/state/torrent_store.h"
#include "verify/base/result.h"
#include "verify/manifest/published_sums.h"
#include "verify/manifest/report.h"

namespace cli {

// A piece that failed, as a range of one file.
struct DamagedRange {
  uint32_t piece = 0;
  uint64_t begin = 0;  // in the file
  uint64_t end = 0;    // past the last byte
  std::vector<std::string> tensors;
};

// One file: what verify says of it, and what a person needs to act on it.
struct FileVerdict {
  verify::FileReport report;                // name relative to the folder
  std::string sha256;                       // hex; empty if unread
  std::optional<uint64_t> published_bytes;  // the torrent's
  std::string expected;  // "md5:HEX", "sha256:HEX"; empty if none
  std::vector<DamagedRange> damage;
  // Its one bad piece holds part of another file, where the damage may be.
  bool maybe_neighbour = false;
  // It shares pieces with files that were left out, and nothing else proves it.
  bool unproven = false;
};

struct ContentReport {
  std::vector<FileVerdict> files;
  // The weakest of the files; extra ones are not covered and do not count.
  verify::TrustLevel level = verify::TrustLevel::kUnverified;
  uint64_t num_extra = 0;
  uint64_t bytes_read = 0;
  uint64_t bad_pieces = 0;
  uint64_t num_pieces = 0;
  // Files of a partial copy whose ends nothing proves.
  uint64_t num_unproven = 0;
  // What is wrong with the content, if something is: kMismatch or kIo, of the
  // file whose damage is known best.
  std::optional<verify::Error> error;
};

struct ContentOptions {
  std::string path;  // folder or file
  std::optional<KnownTorrent> torrent;
  // One more list of sums, besides those in the folder.
  std::vector<verify::PublishedSum> sums;
  // With a torrent: no digests but those that it holds, no published sums, and
  // files that it does not name are listed unread.
  bool pieces_only = false;
  // Every v1 piece was hashed on its way to the disk: only files that a list
  // has sums of are read.
  bool pieces_proven = false;
  size_t num_threads = 0;
  // The pieces that wanted files of a partial copy share with files that were
  // left out were seen to be right a moment ago, when all of them was here.
  bool cut_pieces_proven = false;
};

// Reads and judges every file, and reports them to `context.output` as the
// stage "pieces" (with a torrent) or "checksums".
// Errors: kNotFound (no such path, an empty folder), kInvalidArgument (a
// torrent of another kind), kLimit, kIo, kCancelled.
verify::Result<ContentReport> CheckContent(const ContentOptions& options,
                                           Context& context);

}  // namespace cli
