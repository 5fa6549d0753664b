// SPDX-License-Identifier: Apache-2.0
// Compares the bytes of a folder with everything that says what they should
// be: a torrent's pieces and roots, and all evidence. One read of each file.
//   content_plan    what is read, and which digests of it
//   content_pieces  what pieces and roots say of the files
//   content_sums    what the evidence says of them, and what it leaves out
//   content_report  events and lines
// Tested by tests/scripts/verify_flip.py, verify_sources.py and others there.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/context.h"
#include "cli/flows/cached_hash.h"
#include "cli/state/torrent_store.h"
#include "verify/base/result.h"
#include "verify/digest/hash_engine.h"
#include "verify/manifest/evidence.h"
#include "verify/manifest/evidence_check.h"
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
  verify::FileReport report;                    // name relative to the folder
  std::vector<verify::ComputedDigest> digests;  // none if unread
  std::string sha256;                           // hex; empty if unread
  bool cached = false;  // digests of an earlier run; it was not read
  std::optional<uint64_t> published_bytes;  // the torrent's
  std::string expected;  // "md5:HEX", "sha256:HEX"; empty if none
  // What gave the file its level, or what it differs from, and who signed it.
  std::string source;
  std::string signer_key;
  std::string signer_name;
  std::vector<DamagedRange> damage;
  // What its first bytes say that it is, where it is surely no part of a
  // model: "an HTML page". Else empty.
  std::string content;
  // Its one bad piece holds part of another file, where the damage may be.
  bool maybe_neighbour = false;
  // It shares pieces with files that were left out, and nothing else proves it.
  bool unproven = false;
  // The torrent and another source say different things of it: nobody can
  // tell which is right.
  bool contradicted = false;
  // It is missing, and what names it is an index of the model's own.
  bool missing_part = false;
};

// What evidence there was, without its sums.
struct SourceSummary {
  std::string source;
  verify::TrustLevel level = verify::TrustLevel::kUnverified;
  std::string signer_key;
  std::string signer_name;
  uint64_t num_files = 0;
  bool exhaustive = false;
};

struct ContentReport {
  std::vector<FileVerdict> files;
  std::vector<SourceSummary> sources;
  // The weakest of the files that a source names; kUnverified if models read a
  // file that none names and no source says that it names all there are.
  verify::TrustLevel level = verify::TrustLevel::kUnverified;
  uint64_t num_extra = 0;    // files that no source names, if there is one
  uint64_t num_missing = 0;  // left out on purpose, too
  uint64_t bytes_read = 0;
  uint64_t bytes_not_read = 0;  // digests of an earlier run were compared
  std::vector<HashedFile> hashed;
  uint64_t bad_pieces = 0;
  uint64_t num_pieces = 0;
  // Every file has its v2 root, and that is right.
  bool all_roots_right = false;
  // Files of a partial copy whose ends nothing proves.
  uint64_t num_unproven = 0;
  // What is wrong with the content, if something is, of the file that tells
  // most: kMismatch, kIo; kCorrupt (what stands there is no such file);
  // kUntrusted (a signature leaves out what is there).
  std::optional<verify::Error> error;
};

struct ContentOptions {
  std::string path;  // folder or file
  std::optional<KnownTorrent> torrent;
  // All else that says what the files should be; names are relative to the
  // folder.
  std::vector<verify::Evidence> evidence;
  // Files that are such sources themselves: none has to name them.
  std::vector<std::string> source_files;
  // With a torrent: no digests but those that it holds, no evidence, and files
  // that it does not name are listed unread.
  bool pieces_only = false;
  // Every v1 piece was hashed on its way to the disk: only files that the
  // evidence names are read.
  bool pieces_proven = false;
  size_t num_threads = 0;
  HashingOptions hashing;
  bool brief = false;  // files that are right get no line for people
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
