// SPDX-License-Identifier: Apache-2.0
// What a user names as the thing to fetch, whatever its form, and what is said
// and asked before the first byte of it.
// Tested by tests/scripts/get_demo.py, bad_input.py, sources.py, catalog.py.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "cli/context.h"
#include "p2p/catalog.h"
#include "p2p/magnet.h"
#include "p2p/metainfo.h"
#include "p2p/settings.h"
#include "verify/base/result.h"

namespace cli {

enum class SourceKind { kMagnet, kInfoHash, kTorrentFile, kUrl, kName };

// As a magnet and, if known, the metainfo.
struct Source {
  SourceKind kind = SourceKind::kMagnet;
  p2p::Magnet magnet;  // without the endpoints that may not be used
  std::vector<std::byte> torrent;
  std::optional<p2p::Metainfo> metainfo;
  // What the catalogue knows of it, found by name or by hash.
  std::optional<p2p::CatalogEntry> entry;
  // One line each, printable.
  std::vector<std::string> repairs;
  std::vector<std::string> remarks;  // parts of a magnet that were left out
  std::vector<std::string> dropped;  // endpoints that may not be used
  std::vector<std::string> catalog_warnings;
};

// A magnet link (v1, v2, hybrid), an info-hash (40 or 64 hex digits, 32 base32
// digits), an http(s) URL of a .torrent, the path of one, or a name in the
// catalogue in any case; a text with a slash or the ending .torrent is a path.
// Errors: kInvalidArgument (E-MAGNET), kNotFound (E-SOURCE; names that are like
// it in the hint), kCorrupt, and those of FetchUrl.
verify::Result<Source> ResolveSource(const std::string& text,
                                     const p2p::SessionSettings& session,
                                     Context& context);

// The same, and says what was repaired or dropped.
verify::Result<Source> ReadSource(const std::string& text,
                                  const p2p::SessionSettings& session,
                                  Context& context);

// Whether fetching may begin though nobody can be asked: a name is not enough
// without --yes or --json. Errors: kInvalidArgument, id E-CONFIRM.
verify::Result<void> CheckConsent(const Source& source, const Context& context);

enum class Question { kAsk, kNone };

// Once the metadata is here: holds it against the catalogue, says licence, size
// and provenance, and asks if it is to. Errors: those of CheckAgainstEntry and
// Confirm.
verify::Result<void> ApproveFetch(const std::optional<p2p::CatalogEntry>& entry,
                                  const p2p::Metainfo& metainfo,
                                  Question question, Context& context);

}  // namespace cli
