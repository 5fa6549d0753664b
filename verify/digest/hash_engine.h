// SPDX-License-Identifier: Apache-2.0
// Every digest that is wanted of many files, in one read of each file.
// Tested by tests/verify/digest/hash_engine_test.cc and hash_engine_v2_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "verify/base/file.h"
#include "verify/base/progress.h"
#include "verify/base/result.h"
#include "verify/digest/digest.h"

namespace verify {

// Digests of a file from when it was read before. Whoever gives them vouches
// that it is still the same.
struct KnownDigests {
  std::map<SumAlgorithm, std::vector<std::byte>> sums;
  std::optional<Sha256Digest> merkle_root;
  std::vector<Sha1Digest> pieces;  // v1, of those that lie in the file
};

// The payload as BitTorrent v1 sees it: files (and pads of zeros) one after
// the other, cut into pieces.
struct HashFile {
  std::string path;         // empty: a pad of `size_bytes` zeros
  uint64_t size_bytes = 0;  // expected; what is missing hashes as absent
  // Digests of the whole file; a pad has none.
  SumSet sums = {SumAlgorithm::kSha256};
  bool want_merkle = false;  // BEP 52 pieces root; an empty file has none
  // The expected roots of its v2 pieces, one each: the file's piece layer, or
  // for a file of at most one piece its pieces root. Empty: nothing expected.
  // Only with want_merkle and merkle_piece_length.
  std::vector<Sha256Digest> merkle_pieces;
  // All that is wanted: it is not read then, but for pieces that it shares with
  // other files, only looked at. Without merkle_piece_length alone.
  std::optional<KnownDigests> known;
};

// kDirect: past the page cache, where the file system has that.
enum class ReadMode { kCached, kDirect };

struct HashRequest {
  std::vector<HashFile> files;
  // 0: no pieces. Else `piece_digests` are the expected SHA-1s, or empty to
  // compute them (publish).
  uint64_t piece_length = 0;
  std::vector<Sha1Digest> piece_digests;
  // 0: v2 pieces are not told apart. Else a power of two of at least 16 KiB;
  // each file begins a piece of its own.
  uint64_t merkle_piece_length = 0;
  size_t num_threads = 0;  // 0: all processors
  ReadMode read_mode = ReadMode::kCached;
};

// kChanged: while it was read, by writing or by putting another in its place.
enum class FileState { kOk, kMissing, kWrongSize, kUnreadable, kChanged };

struct FileDigests {
  FileState state = FileState::kOk;
  uint64_t actual_size_bytes = 0;
  std::string error;  // for kUnreadable and kChanged
  // As it was read; nothing where it could not be opened.
  std::optional<FileIdentity> identity;
  bool known = false;  // taken over from HashFile::known
  // Those that were wanted, if the state is kOk.
  std::map<SumAlgorithm, std::vector<std::byte>> sums;
  std::optional<Sha256Digest> merkle_root;
  // With want_merkle and merkle_piece_length: as HashFile::merkle_pieces, all
  // zero where unreadable. Empty if the file could not be opened.
  std::vector<Sha256Digest> merkle_pieces;
  // Numbered within the file, ascending; only with expected ones.
  std::vector<uint32_t> bad_merkle_pieces;

  // Null: not wanted, or not to be had. Valid while this lives.
  const std::vector<std::byte>* Sum(SumAlgorithm algorithm) const {
    const auto found = sums.find(algorithm);
    return found == sums.end() ? nullptr : &found->second;
  }
};

struct HashOutcome {
  std::vector<FileDigests> files;         // as in the request
  std::vector<Sha1Digest> piece_digests;  // computed; all zero where unreadable
  std::vector<uint32_t> bad_pieces;  // ascending; only with expected digests
  uint64_t bytes_read = 0;
  // kDirect: some were read through the page cache, as their file system wants.
  uint64_t files_not_direct = 0;
};

// Reads every file once, in large blocks, on all threads; memory grows with
// the number of pieces alone. A piece that crosses files is read once more. A
// missing, short or unreadable file is an outcome, not an error, and its pieces
// that are all there are still judged; so is a file that changes while it is
// read. What kCached reads stays in the page cache, but does not count as used
// there, so that it goes first when memory is short. Digests of a whole file
// are given for kOk only. `progress` may be null; it is called from several
// threads and its numbers may come out of order. Speed: the slowest digest of
// the largest file, or the work of all digests over all processors, whichever
// is more. Errors: kInvalidArgument (counts that do not fit the sizes, a wrong
// v2 piece length, known digests that are not all that is wanted), kLimit (more
// than kMaxPieces of v1 or of v2), kCancelled.
Result<HashOutcome> HashFiles(const HashRequest& request,
                              const CancelToken& cancel,
                              ProgressSink* progress);

}  // namespace verify
