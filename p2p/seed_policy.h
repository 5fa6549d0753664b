// SPDX-License-Identifier: Apache-2.0
// When a seeder may stop, and how long it has seeded. Pure: time comes in as
// numbers. The engine's own limits only reorder its queue and its seeding time
// is wrong in 2.0.8, so both are ours. Tested by tests/p2p/seed_policy_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "verify/base/result.h"

namespace p2p {

struct SeedPolicy {
  enum class Rule { kAny, kAll };  // of the limits that are set

  std::optional<double> max_ratio;   // copies uploaded
  std::optional<double> max_seed_s;  // time served
  std::optional<double> max_idle_s;  // since anything was uploaded
  std::optional<uint64_t> max_uploaded_bytes;
  Rule rule = Rule::kAny;
  // Without it the last complete peer of a swarm goes on: whoever stops then
  // takes the model from everybody.
  bool stop_even_if_last = false;

  bool has_limit() const {
    return max_ratio || max_seed_s || max_idle_s || max_uploaded_bytes;
  }
  bool operator==(const SeedPolicy&) const = default;
};

// All runs of one torrent together.
struct SeedFacts {
  uint64_t total_bytes = 0;
  uint64_t uploaded_bytes = 0;
  double seed_seconds = 0;
  double idle_seconds = 0;
  // Since another complete peer was last seen; nothing: never.
  std::optional<double> since_other_complete_s;
};

struct SeedVerdict {
  bool stop = false;
  // A limit is reached, but nobody else is known to have the whole.
  bool held_as_last = false;
  // Which limit was reached and why it holds or not; empty while none is.
  std::string reason;
};

// How long a complete peer that was seen counts as being there: two usual
// intervals between announces.
inline constexpr double kOtherCompleteCounts_s = 3600;

SeedVerdict JudgeSeed(const SeedPolicy& policy, const SeedFacts& facts);

// "ratio=2;time=3600;idle=60;bytes=5;rule=all;last=stop": one line for the
// state database. ParseSeedPolicy: kCorrupt for anything else.
std::string FormatSeedPolicy(const SeedPolicy& policy);
verify::Result<SeedPolicy> ParseSeedPolicy(std::string_view text);

// Adds up the time in which a torrent is served, and since when it is idle.
class SeedClock {
 public:
  // Goes on from what former runs counted.
  explicit SeedClock(double seed_seconds = 0) : seed_seconds_(seed_seconds) {}

  // `now_s`: of a clock that never goes back. The time since the last call
  // counts if `serving` held then; a gap of more than a minute (a machine
  // that slept) counts as one minute.
  void Advance(double now_s, bool serving, uint64_t uploaded_bytes);

  double seed_seconds() const { return seed_seconds_; }
  double idle_seconds() const { return idle_seconds_; }

 private:
  double seed_seconds_ = 0;
  double idle_seconds_ = 0;
  std::optional<double> last_s_;
  bool was_serving_ = false;
  uint64_t last_uploaded_ = 0;
};

// Whether somebody else has the whole torrent, as far as it can be known.
// Trackers count us as well once we have announced, so that one complete peer
// is nobody else.
class CompletePeerWatch {
 public:
  struct Sight {
    int connected_seeds = 0;
    int known_seeds = 0;        // in the list of peers, connected or not
    int tracker_complete = -1;  // -1: no tracker has said
  };
  // True if another complete peer is there now: connected, counted by a
  // tracker, or newly come to be known.
  bool Look(const Sight& sight);

 private:
  int known_seeds_ = 0;
};

}  // namespace p2p
