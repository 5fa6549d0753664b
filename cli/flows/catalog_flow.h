// SPDX-License-Identifier: Apache-2.0
// The catalogue as a user has it, and what is done with its facts about a
// release. Tested by tests/scripts/catalog.py.
#pragma once

#include <string>
#include <vector>

#include "cli/context.h"
#include "cli/flows/content_check.h"
#include "p2p/catalog.h"
#include "verify/base/result.h"
#include "verify/manifest/evidence.h"

namespace cli {

// $XDG_CONFIG_HOME/lodestone/catalog.
std::string UserCatalogFolder();

// What is built in and what the user added; `warnings` says what was left out.
p2p::Catalog LoadCatalog(std::vector<std::string>& warnings);

// For a name that is not in the catalogue: those like it, or where all are.
std::string NamesHint(const p2p::Catalog& catalog, const std::string& name);

// The sums of files that are more than hints.
verify::Evidence EvidenceOf(const p2p::CatalogEntry& entry);

// Tries the unconfirmed sums against the files of `content` that stand at
// `path`; those that name no file against every small one. Says which matched;
// nothing fails by them. Errors: kCancelled.
verify::Result<void> TryUnconfirmedSums(const p2p::CatalogEntry& entry,
                                        const std::string& path,
                                        const ContentReport& content,
                                        Context& context);

// "4 files, 87.0 GiB, licence Apache-2.0" and where the hash comes from; said
// before the first byte. `entry` may be null.
void SayFacts(const p2p::CatalogEntry* entry, const p2p::Metainfo& metainfo,
              Context& context);

}  // namespace cli
