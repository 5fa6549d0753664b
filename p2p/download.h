// SPDX-License-Identifier: Apache-2.0
// One download from a swarm, from magnet or metainfo to flushed files.
// Tested by tests/p2p/download_test.cc (real sessions on loopback).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "p2p/events.h"
#include "p2p/magnet.h"
#include "p2p/metainfo.h"
#include "p2p/settings.h"
#include "verify/base/progress.h"
#include "verify/base/result.h"

namespace p2p {

struct DownloadOptions {
  // What to fetch: a magnet, with or without the metainfo bytes.
  Magnet magnet;
  std::vector<std::byte> torrent;  // a whole .torrent file, or empty
  // Work folder, made 0700 if absent. Payload goes to WORK/data/NAME..., the
  // state of the transfer beside it. The same folder resumes.
  std::string work_folder;
  SessionSettings session;
  double metadata_timeout_s = 0;  // 0: none
  double stall_timeout_s = 0;     // 0: none; time without one new byte
  // More bytes than this are refused before the first byte; 0: no limit.
  uint64_t max_total_bytes = 0;
  // Called once when the metainfo is known and keeps our rules, before the
  // first payload byte is asked for or written; an error ends the download
  // with that error. May be empty.
  std::function<verify::Result<void>(const Metainfo&)> approve;
};

struct DownloadOutcome {
  Metainfo metainfo;
  std::vector<std::byte> torrent;  // whole .torrent, v1 pieces included
  std::string payload_path;        // WORK/data/NAME
  uint64_t downloaded_bytes = 0;   // payload received by this process
  uint64_t wasted_bytes = 0;       // received, but failed its hash or twice
};

// Runs until every piece passed its hash and is flushed to disk, then closes
// the session. State is saved atomically when the metadata comes, every 30 s,
// and on every way out, so that a kill at any point loses at most the pieces
// in flight. After an unclean stop pieces on disk are checked again first.
// Errors: kNetwork (no metadata or peers in time, id E-NO-PEERS,
// E-NO-METADATA, E-STALLED), kIo (disk, E-DISK-FULL), kCorrupt/kLimit
// (metainfo rules), kMismatch (swarm sends wrong bytes beyond the waste
// limit), kBusy (port taken, folder locked), kCancelled (state saved).
verify::Result<DownloadOutcome> Download(const DownloadOptions& options,
                                         const verify::CancelToken& cancel,
                                         TransferSink& sink);

}  // namespace p2p
