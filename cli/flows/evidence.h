// SPDX-License-Identifier: Apache-2.0
// Gathers what says how the files of a model should be: what lies in and
// beside its folder, and what the user names. Each source becomes one
// verify::Evidence with names relative to the folder.
// To add a form of source: a reader in evidence_forms; recognise it by its
// content in ReadFile() (evidence_against.cc); if it is to be found by itself,
// in FindWithin() or FindBeside() (evidence.cc).
// Tested by tests/scripts/verify_sources.py.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/context.h"
#include "cli/state/torrent_store.h"
#include "p2p/settings.h"
#include "verify/base/result.h"
#include "verify/manifest/evidence.h"

namespace cli {

struct FoundEvidence {
  std::optional<KnownTorrent> torrent;
  std::vector<verify::Evidence> evidence;
  // Files below the folder that are sources: none has to name them.
  std::vector<std::string> source_files;
  // A model.sig or minisign's signature that was named; for CheckSignatures.
  std::string signature_file;
  // A Lodestone manifest that was named; for CheckNamedManifest.
  std::string manifest_file;
};

// What lies in the folder `path` and its subfolders and beside it; for a file,
// beside the file. A source that cannot be read proves nothing and hides
// nothing: it is a warning. Torrents and signatures are not looked for
// (TorrentStore and CheckSignatures do).
// Errors: kIo, kLimit (of listing the folder).
verify::Result<FoundEvidence> FindEvidence(const std::string& path,
                                           Output& output);

struct AgainstOptions {
  std::string path;                  // what is to be checked
  std::vector<std::string> against;  // in the words of the user
  // For a magnet whose metadata is to be fetched.
  p2p::SessionSettings session;
  double metadata_timeout_s = 0;
};

// What the user names: files in any form, told by their content; a folder of
// files or Git LFS pointers; a magnet, info-hash, URL of a .torrent or name of
// the catalogue, whose metadata is fetched if it is not known here.
// Errors: kNotFound (no such thing; E-LIST-NAMES: it names no file of `path`),
// kCorrupt (E-HTML, E-SUMS, E-PATH, ...: what it is cannot be read),
// kInvalidArgument (two torrents or signatures; E-REPORT: a report is no
// evidence), kNetwork and others of fetching.
verify::Result<FoundEvidence> ReadAgainst(const AgainstOptions& options,
                                          Context& context);

}  // namespace cli
