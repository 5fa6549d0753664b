// SPDX-License-Identifier: Apache-2.0
#include "p2p/seed.h"

#include <chrono>
#include <memory>

#include "p2p/seed_policy.h"
#include "p2p/seeder.h"

namespace p2p {
namespace {

using verify::Result;
using SteadyClock = std::chrono::steady_clock;

constexpr auto kPoll = std::chrono::milliseconds(100);
constexpr auto kReport = std::chrono::milliseconds(500);

}  // namespace

Result<SeedOutcome> Seed(const SeedOptions& options,
                         const verify::CancelToken& cancel,
                         TransferSink& sink) {
  SessionSettings settings = options.session;
  settings.trackers.insert(settings.trackers.end(),
                           options.extra_trackers.begin(),
                           options.extra_trackers.end());
  ASSIGN_OR_RETURN(const std::unique_ptr<Seeder> seeder,
                   Seeder::Open(settings, sink));
  SeedItem item;
  item.torrent = options.torrent;
  item.save_folder = options.save_folder;
  item.payload_name = options.payload_name;
  RETURN_IF_ERROR(seeder->Add(item));
  SeedPolicy policy;
  policy.max_ratio = options.max_ratio;
  policy.max_seed_s = options.max_time_s;
  policy.stop_even_if_last = true;
  const auto start = SteadyClock::now();
  auto next_report = start;
  while (true) {
    seeder->Poll(kPoll);
    const SeedStatus status = seeder->Statuses().front();
    if (status.error.has_value()) return verify::Unexpected(*status.error);
    const auto now = SteadyClock::now();
    if (now >= next_report) {
      next_report = now + kReport;
      sink.OnProgress(ProgressOf(status));
    }
    SeedFacts facts;
    facts.total_bytes = status.total_bytes;
    facts.uploaded_bytes = status.uploaded_bytes;
    facts.seed_seconds = std::chrono::duration<double>(now - start).count();
    if (cancel.cancelled() || JudgeSeed(policy, facts).stop) break;
  }
  // Reports come twice a second; the last bytes count as well.
  seeder->Refresh();
  const SeedStatus last = seeder->Statuses().front();
  seeder->Stop();
  return SeedOutcome{last.uploaded_bytes};
}

}  // namespace p2p
