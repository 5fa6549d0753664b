// SPDX-License-Identifier: Apache-2.0
// Which files of a torrent are wanted: globs, indices and names of a user, the
// so= of a magnet, and what a chosen part of a model needs beside it. Pure:
// nothing is read. Tested by tests/p2p/selection_test.cc.
//
// Globs:
//   ?       one character but '/'
//   *       any characters but '/'
//   **      any characters; "**/" also none, so that a/**/b matches a/b
//   [a-z]   one of these characters; [!a-z] or [^a-z] one but these
//   \c      the character c itself
// A glob without '/' is compared with the last part of a path, one with '/'
// with the path below the torrent's folder; one that ends in '/' stands for
// all that the folder holds. Upper and lower case differ.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "p2p/metainfo.h"
#include "verify/base/result.h"

namespace p2p {

inline constexpr size_t kMaxGlobBytes = 4096;

struct SelectionRequest {
  std::vector<std::string> select;   // globs: any of them; none: all files
  std::vector<std::string> exclude;  // globs: taken away again
  // Indices ("3", "2-5") and names, each item a comma-separated list or one
  // name as it is.
  std::vector<std::string> files;
  std::vector<uint32_t> indices;  // of a magnet's so=

  bool empty() const {
    return select.empty() && exclude.empty() && files.empty() &&
           indices.empty();
  }
};

struct Selection {
  // One for each of Metainfo::files; pads are never wanted.
  std::vector<bool> files;
  // Files that were chosen and list the shards of a model: what they name is
  // to be added by AddShards once they have been read.
  std::vector<size_t> shard_indexes;

  // True if every file is wanted.
  bool IsAll(const Metainfo& metainfo) const;
  uint64_t WantedBytes(const Metainfo& metainfo) const;
  size_t NumWanted() const;
};

// What the request chooses. An index is the place of a file in the torrent,
// from 0, pads counted, as so= has it. With a chosen file of weights come the
// index, the configuration and the tokenizer in its folder, unless excluded;
// indices of so= are taken to the letter.
// Errors: kInvalidArgument, id E-SELECT: a glob, an index or a name that fits
// no file (the files are listed), a malformed glob, nothing left.
verify::Result<Selection> SelectFiles(const Metainfo& metainfo,
                                      const SelectionRequest& request);

// Adds the shards that an index in the torrent names, but for excluded ones.
// `shards`: file names in the folder of the index. Errors: kCorrupt, id
// E-SHARD: a name that the torrent does not hold.
verify::Result<void> AddShards(const Metainfo& metainfo,
                               const SelectionRequest& request,
                               size_t index_file,
                               const std::vector<std::string>& shards,
                               Selection& selection);

// True if the glob fits the path, as said above. A malformed glob fits
// nothing. Time grows with the product of both lengths.
bool GlobMatches(std::string_view glob, std::string_view path);

}  // namespace p2p
