// SPDX-License-Identifier: Apache-2.0
// What a check of a folder reads: the files of the torrent in its order, then
// all others, each with the digests that a source states of it.
// Internal to content_check.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/flows/content_check.h"
#include "verify/base/result.h"
#include "verify/digest/hash_engine.h"
#include "verify/manifest/evidence_check.h"

namespace cli {

// Refers to the options it was made of, which must outlive it.
struct ContentPlan {
  explicit ContentPlan(const ContentOptions& of)
      : options(of), statements(of.evidence) {}

  const ContentOptions& options;
  verify::EvidenceIndex statements;
  ContentReport report;  // a verdict for each file, not judged yet
  bool pieces_only = false;
  std::string base_folder;  // where relative paths begin
  // In step: what is hashed of the torrent, and its verdict. Pads have none.
  verify::HashRequest request;
  std::vector<std::optional<size_t>> verdict_of;
  // The same for files that are not the torrent's, if there is one.
  verify::HashRequest extra_request;
  std::vector<size_t> extra_verdict_of;

  const KnownTorrent* torrent() const {
    return options.torrent.has_value() ? &*options.torrent : nullptr;
  }
  // The verdict on a file of the torrent; null for a pad.
  FileVerdict* verdict(size_t torrent_file) {
    return torrent_file < verdict_of.size() &&
                   verdict_of[torrent_file].has_value()
               ? &report.files[*verdict_of[torrent_file]]
               : nullptr;
  }
};

// What git and the Hugging Face client keep for themselves in a folder: no
// part of the model, so not read unless a source names it.
bool IsBookkeeping(std::string_view relative);

// Errors: those of CheckContent but for the hashing.
verify::Result<ContentPlan> PlanContent(const ContentOptions& options,
                                        Output& output);

}  // namespace cli
