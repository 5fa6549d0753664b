// SPDX-License-Identifier: Apache-2.0
// What a download is to fetch, and in which order: the chosen files less what
// is elsewhere; first the pieces that tell what a model is, then, once the
// caller has looked at those, the rest. No libtorrent. Internal to p2p.
// Tested by tests/p2p/fetch_scope_test.cc.
//
// While a look is pending only a window of the other pieces is open, so that a
// model that is refused costs little: 256 MiB, which keeps a fast link busy
// until the look is over, and twice as much each time that it was used up,
// since the telling pieces may be rare in the swarm.
#pragma once

#include <cstdint>
#include <string>

#include "p2p/early_look.h"
#include "p2p/metainfo.h"
#include "p2p/piece_check.h"
#include "p2p/selection.h"
#include "verify/base/result.h"

namespace p2p {

// Files up to this size are fetched whole before the rest.
inline constexpr uint64_t kSmallFileBytes = 4u << 20;
// And shard indexes up to this size.
inline constexpr uint64_t kMaxShardIndexBytes = 64u << 20;

// The pieces of the chosen files that tell what they are: all of the small
// ones, both ends of the large ones, where formats keep their headers.
PieceSet TellingPieces(const Metainfo& metainfo, const Selection& selection);

class FetchScope {
 public:
  FetchScope() = default;
  // `metainfo` outlives this. `look` may be empty. `elsewhere`: good pieces of
  // a copy at `elsewhere_path`; both empty if there is none.
  FetchScope(const Metainfo& metainfo, Selection selection,
             std::string payload_path, LookFunction look, PieceSet elsewhere,
             std::string elsewhere_path);

  const Selection& selection() const { return selection_; }
  // What is to be on disk here in the end.
  const PieceSet& wanted() const { return wanted_; }
  bool Wants(size_t piece) const { return wanted_[piece]; }
  // To be asked for before all others; and all that may be asked for now.
  const PieceSet& first() const { return awaited_; }
  const PieceSet& open() const { return open_; }

  bool AllHere(const PieceSet& have) const;

  // True until the caller has seen what it wanted to see.
  bool look_pending() const { return pending_; }
  bool LookReady(const PieceSet& have) const;
  // Calls the look function; may widen all sets. Every piece in `have` can be
  // read from disk. If all that is wanted is here, it is called only where it
  // may add to the selection. Errors: those of the function.
  verify::Result<void> Look(const PieceSet& have);
  // Opens more if the window is used up; true if it did.
  bool Widen(const PieceSet& have);

 private:
  void Want();
  void OpenWindow(const PieceSet& have);

  const Metainfo* metainfo_ = nullptr;
  Selection selection_;
  std::string payload_path_;
  LookFunction look_;
  PieceSet elsewhere_;
  std::string elsewhere_path_;
  PieceSet wanted_;
  PieceSet awaited_;
  PieceSet open_;
  uint64_t window_bytes_ = 0;
  int looks_ = 0;
  bool pending_ = false;
};

}  // namespace p2p
