// SPDX-License-Identifier: Apache-2.0
// The files that a new torrent is to hold. Internal to p2p.
// Tested by tests/p2p/create_torrent_test.cc.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "verify/base/file.h"
#include "verify/base/result.h"

namespace p2p {

struct PayloadFile {
  std::vector<std::string> parts;  // below the folder; the name of a file
  std::string path;                // on disk
  verify::FileIdentity identity;
};

struct Payload {
  std::string name;
  bool single_file = false;
  std::vector<PayloadFile> files;  // ascending by parts
  std::vector<std::string> left_out;
};

// Errors: kNotFound, kIo (a folder that cannot be read), kInvalidArgument
// (symlink, special file, no content, a name that path_policy refuses: with
// its id), kLimit (files, depth).
verify::Result<Payload> WalkPayload(const std::string& path);

// kMismatch if the file is no longer what it was.
verify::Result<void> CheckUnchanged(const PayloadFile& file);

}  // namespace p2p
