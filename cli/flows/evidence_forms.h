// SPDX-License-Identifier: Apache-2.0
// Turns one file (or folder) that says something of others into evidence, for
// each form of such files. Internal to evidence.
#pragma once

#include <string>
#include <vector>

#include "cli/context.h"
#include "verify/base/result.h"
#include "verify/manifest/evidence.h"

namespace cli {

// In all of them `source` is what the user calls it and `prefix` is put before
// the names that it states: "" or "sub/".

// A list of sums in any form that published_sums knows; `name` tells the kind
// and the file where the list itself does not. Errors: those of parsing, kIo.
verify::Result<verify::Evidence> ReadSumList(const std::string& path,
                                             const std::string& name,
                                             const std::string& source,
                                             const std::string& prefix);

// model.safetensors.index.json: which shards there are, compressed (.zst) or
// not. Errors: as above.
verify::Result<verify::Evidence> ReadShardIndex(const std::string& path,
                                                const std::string& source,
                                                const std::string& prefix);

// One pointer that stands for the file `name`. Errors: as above.
verify::Result<verify::Evidence> ReadLfsPointerFile(const std::string& path,
                                                    const std::string& name,
                                                    const std::string& source);

// What the hub's client noted of the download of `name`; `path` is the record.
// Errors: as above.
verify::Result<verify::Evidence> ReadHubRecord(const std::string& path,
                                               const std::string& name,
                                               const std::string& source);

// Another folder as it should be: Git LFS pointers speak for the files they
// stand for, all other files for themselves, by their SHA-256.
// Errors: those above, kCancelled.
verify::Result<verify::Evidence> ReadReferenceFolder(const std::string& folder,
                                                     Context& context);

}  // namespace cli
