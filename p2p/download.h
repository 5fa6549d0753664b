// SPDX-License-Identifier: Apache-2.0
// One download from a swarm, from magnet or metainfo to flushed files.
// Tested by tests/p2p/download_test.cc (real sessions on loopback).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "p2p/early_look.h"
#include "p2p/events.h"
#include "p2p/magnet.h"
#include "p2p/metainfo.h"
#include "p2p/piece_check.h"
#include "p2p/selection.h"
#include "p2p/settings.h"
#include "verify/base/progress.h"
#include "verify/base/result.h"

namespace p2p {

// A copy of the payload that stands at a place of its own.
struct CopyElsewhere {
  std::string path;  // empty: there is none
  PieceSet good;     // pieces that are right there
};

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
  // Which files are wanted; empty: all.
  SelectionRequest selection;
  // Called while the payload is on its way: p2p/early_look.h. May be empty.
  LookFunction look;
  // Called once after `approve`: finds a copy that is here already, whose good
  // pieces are not fetched again and not written either. May be empty.
  std::function<verify::Result<CopyElsewhere>(const Metainfo&,
                                              const PieceLayers&)>
      find_copy;
  // A former copy of the payload that is to be used and left as it is: what is
  // right in it is linked or copied into the work folder. Empty: none.
  std::string adopt_path;
  // To keep free on the disk besides what is fetched.
  uint64_t reserve_bytes = 0;
};

struct DownloadOutcome {
  Metainfo metainfo;
  std::vector<std::byte> torrent;  // whole .torrent, v1 pieces included
  std::string payload_path;        // WORK/data/NAME
  Selection selection;             // the files that were wanted
  // The pieces that are at payload_path now, each checked by our own hashing;
  // all of them for a download of everything.
  PieceSet pieces;
  uint64_t downloaded_bytes = 0;  // payload received by this process
  uint64_t wasted_bytes = 0;      // received, but failed its hash or twice
};

// Runs until every wanted piece passed its hash and is flushed to disk, then
// closes the session. The payload then holds exactly the wanted files; with a
// copy elsewhere, the pieces that were not right there, for ApplyPieces. State
// is saved atomically when the metadata comes, every 30 s, and on every way
// out, so that a kill at any point loses at most the pieces in flight. After an
// unclean stop pieces on disk are checked again first. Errors: kNetwork (no
// metadata or peers in time, id E-NO-PEERS, E-NO-METADATA, E-STALLED), kIo
// (disk, E-DISK-FULL), kCorrupt/kLimit (metainfo rules), kMismatch (swarm sends
// wrong bytes beyond the waste limit), kBusy (port taken, folder locked),
// kCancelled (state saved).
verify::Result<DownloadOutcome> Download(const DownloadOptions& options,
                                         const verify::CancelToken& cancel,
                                         TransferSink& sink);

// What a plan of a selection says, with nothing here yet.
TransferPlan PlanOf(const Metainfo& metainfo, const Selection& selection);

struct FetchedTorrent {
  Metainfo metainfo;
  std::vector<std::byte> torrent;  // whole .torrent; empty if layers lack
};

// The metadata alone, from what is given, from the state of a former run or
// from the swarm; nothing is written. Errors as Download.
verify::Result<FetchedTorrent> FetchTorrent(const DownloadOptions& options,
                                            const verify::CancelToken& cancel,
                                            TransferSink& sink);

}  // namespace p2p
