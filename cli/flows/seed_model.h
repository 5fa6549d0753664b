// SPDX-License-Identifier: Apache-2.0
// One model of a seeder: what it is, how it stands, and the check that it goes
// through before it is served and now and then after. Internal to the seed
// service. Tested by tests/scripts/seed_service.py.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "cli/context.h"
#include "cli/flows/seed_service.h"
#include "cli/state/state_db.h"
#include "p2p/seed_policy.h"
#include "p2p/seeder.h"
#include "verify/base/json.h"

namespace cli {

enum class ModelState {
  kWaiting,
  kChecking,
  kServing,
  kPaused,
  kFailed,
  kEnded
};
std::string_view ModelStateName(ModelState state);

struct SeedModel {
  SeedTarget target;
  std::string name;
  std::string key;  // empty until the torrent is known
  ModelState state = ModelState::kWaiting;
  SeedRecord record;  // as stored; counters of former runs
  p2p::SeedPolicy policy;
  p2p::SeedClock clock;
  p2p::CompletePeerWatch watch;
  p2p::SeedStatus status;  // the engine's
  std::optional<verify::Error> error;
  std::string reason;  // of the last verdict
  bool told_last = false;
  bool must_hash = false;  // not by the state database alone
  double checked_s = 0;    // steady time of the last check
  bool is_scrub = false;   // it was served before this check

  uint64_t uploaded_bytes() const {
    return record.uploaded_bytes + status.uploaded_bytes;
  }
  bool active() const {
    return state != ModelState::kFailed && state != ModelState::kEnded;
  }
  // What is to be stored now.
  SeedRecord Record() const;
  // As `ps` shows it; `now_s` since 1970.
  verify::Json Describe() const;
};

// What a check found.
struct CheckOutcome {
  std::optional<verify::Error> error;
  std::optional<KnownTorrent> torrent;
  std::vector<VerifiedFile> files;  // as they were before and after
  std::string level;
  bool was_read = false;  // not believed from an earlier read
};

// Hashes a model on a thread of its own. Used by one thread.
class ModelCheck {
 public:
  // `output` outlives this.
  ModelCheck(SeedTarget target, std::vector<std::string> trackers,
             Output& output);
  ~ModelCheck();  // cancels and waits

  const std::string& path() const { return path_; }
  void Cancel() { cancel_.Cancel(); }
  bool done() const { return done_.load(); }
  // Requires done().
  CheckOutcome Take();

 private:
  std::string path_;
  verify::CancelToken cancel_;
  std::atomic<bool> done_{false};
  CheckOutcome outcome_;  // written before done_
  std::jthread thread_;
};

// RFC 3339, UTC; empty for nothing.
std::string TimeText(std::optional<int64_t> seconds);

}  // namespace cli
