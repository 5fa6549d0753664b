// SPDX-License-Identifier: Apache-2.0
// Tells the state database of a model that was fetched or published, so that
// ls lists it and seed need not read it again.
// Tested by tests/scripts/seed_service.py.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/context.h"
#include "cli/state/state_db.h"
#include "p2p/metainfo.h"

namespace cli {

enum class ModelOrigin { kFetched, kPublished };

// `before`: the files as they stood before the read that found them right
// against the torrent; they count as verified if they stand so at `path` now
// (a folder that was renamed meanwhile keeps its inodes). `level`: of trust.
// A database that cannot be written costs a warning.
void RegisterModel(const p2p::Metainfo& metainfo, const std::string& path,
                   const std::optional<std::vector<VerifiedFile>>& before,
                   const std::string& level, ModelOrigin origin,
                   Output& output);

}  // namespace cli
