// SPDX-License-Identifier: Apache-2.0
// Magnets, torrents and catalogue entries as fields of a document
// (docs/json-documents.schema.json). Tested by tests/scripts/catalog.py.
#pragma once

#include <optional>
#include <string>

#include "cli/output.h"
#include "p2p/catalog.h"
#include "p2p/info_hash.h"

namespace cli {

// Lower-case hex, or null.
Fields HashField(const std::optional<p2p::InfoHashV1>& hash);
Fields HashField(const std::optional<p2p::InfoHashV2>& hash);

// What every list of entries shows.
Fields DescribeEntry(const p2p::CatalogEntry& entry);
// And everything else: links as published with what was repaired, files, sums,
// provenance.
Fields DescribeEntryInFull(const p2p::CatalogEntry& entry);

// The same for people, several lines without a last line end.
std::string EntryText(const p2p::CatalogEntry& entry);

}  // namespace cli
