// SPDX-License-Identifier: Apache-2.0
// Bringing bytes that are right from one place to another on disk: a former
// copy into the work folder, and fetched pieces into a copy that is to be made
// right. docs/decisions/0002-adoption-and-repair.md says why no step can make a
// copy worse. Tested by tests/p2p/adopt_test.cc.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "p2p/metainfo.h"
#include "p2p/piece_check.h"
#include "verify/base/result.h"

namespace p2p {

// Takes the pieces `good` of the payload at `from` over into the one at `to`,
// which may be there in part, and marks in `have` those that are there now.
// `from` is only read. A file of which every piece is good and that `to` lacks
// is cloned (a copy on write), else linked, else copied; of others the good
// pieces are copied. Errors: kIo (E-DISK-FULL among them).
verify::Result<void> BringIn(const Metainfo& metainfo, const std::string& from,
                             const std::string& to, const PieceSet& good,
                             PieceSet& have);

struct ApplyOptions {
  std::string from;         // payload that holds `pieces`, all of them right
  std::string to;           // the copy to be made right; made if absent
  PieceSet pieces;          // what of `from` to write
  PieceSet good;            // what is right in `to` already
  std::vector<bool> files;  // which files to write; one flag for each
};

struct ApplyOutcome {
  uint64_t written_bytes = 0;
  uint64_t files_made = 0;      // that were not there
  uint64_t files_repaired = 0;  // that were there
};

// Writes the pieces into the copy. A file without one good piece is replaced
// as a whole, by a rename; in others the pieces are written where they belong,
// bytes that are right already among them, so that being killed at any point
// leaves no byte worse than it was. All of it lasts when this returns. What the
// torrent does not name is not touched.
// Errors: kIo (id E-SYMLINK for a link or special file in the way).
verify::Result<ApplyOutcome> ApplyPieces(const Metainfo& metainfo,
                                         const ApplyOptions& options);

}  // namespace p2p
