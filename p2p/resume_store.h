// SPDX-License-Identifier: Apache-2.0
// The state of a download between runs: a versioned file with a digest of its
// body, written atomically, with one generation before it.
// docs/decisions/0001-session-and-state.md gives the format byte by byte.
// Tested by tests/p2p/resume_store_test.cc, fuzzed by
// tests/fuzz/resume_store_fuzz.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "p2p/info_hash.h"
#include "verify/base/bytes.h"
#include "verify/base/result.h"

namespace p2p {

struct ResumeState {
  InfoHashes info_hashes;
  // Whole .torrent, or, where its hash layers are not known (v2), the info
  // dictionary alone; both empty before the metadata.
  std::vector<std::byte> torrent;
  std::vector<std::byte> info;
  // libtorrent's resume data, opaque here; empty if there is none yet.
  std::vector<std::byte> resume_data;
  // What the payload files looked like (PayloadFingerprint) when `resume_data`
  // was taken; empty if they were not at rest.
  std::string payload_fingerprint;
  std::vector<std::string> trackers;
  std::vector<std::string> web_seeds;

  bool operator==(const ResumeState&) const = default;
};

inline constexpr uint64_t kMaxStateBytes = 256u << 20;
inline constexpr size_t kMaxStateUrls = 1000;
inline constexpr size_t kMaxStateUrlBytes = 8192;

// Requires at least one info-hash.
std::vector<std::byte> EncodeState(const ResumeState& state);

// Errors: kCorrupt (id E-STATE: magic, digest, field that is unknown, twice,
// of a wrong size or missing), kUnsupported (a later version; E-STATE),
// kLimit.
verify::Result<ResumeState> DecodeState(verify::ByteSpan bytes);

struct LoadedState {
  std::optional<ResumeState> state;
  // Why a generation was passed over; one line each.
  std::vector<std::string> remarks;
};

// The newest generation that reads well. A file that does not is a remark,
// never an error: the download goes on from the payload itself.
LoadedState LoadState(const std::string& path);

// Keeps the present generation as PATH.prev and writes the new one: after a
// crash at any point one of the two is whole. Errors: kIo.
verify::Result<void> SaveState(const std::string& path,
                               const ResumeState& state);

}  // namespace p2p
