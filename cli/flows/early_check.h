// SPDX-License-Identifier: Apache-2.0
// A first look at a model while most of it is still being fetched: the small
// files and the headers of the large ones. A model that is wrong or unsafe is
// refused after megabytes rather than after all of it.
// Tested by tests/scripts/early_refusal.py and select.py.
#pragma once

#include "cli/context.h"
#include "p2p/early_look.h"
#include "p2p/selection.h"

namespace cli {

struct EarlyCheckOptions {
  // What the user chose: shards that an index names are added to it.
  p2p::SelectionRequest selection;
  // False: shards are added, nothing is judged.
  bool judge = true;
};

// The function for p2p::DownloadOptions::look. It reads with the readers that
// verify uses, and never a byte that has not passed its hash; what it cannot
// tell yet is left to the check of the whole. Says the licence that it finds.
// Its errors: those of the readers (kCorrupt, kLimit, kUnsupported), with the
// way on in the hint. `context` must outlive it.
p2p::LookFunction MakeEarlyCheck(EarlyCheckOptions options, Context& context);

}  // namespace cli
