// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/seed_service.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <memory>
#include <utility>

#include "cli/flows/seed_run.h"
#include "cli/sd_notify.h"
#include "cli/state/paths.h"
#include "cli/web/seed_metrics.h"
#include "p2p/magnet.h"
#include "verify/base/text.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::FormatSize;
using verify::Json;
using verify::Result;
using verify::StrCat;

constexpr auto kPoll = std::chrono::milliseconds(50);
constexpr double kJudgeEvery_s = 1;
constexpr double kReportEvery_s = 0.5;
// At most so much of the counters is lost by a kill.
constexpr double kSaveEvery_s = 5;

int64_t WallNow() { return static_cast<int64_t>(std::time(nullptr)); }

}  // namespace

double SeedRun::SteadyNow() {
  return std::chrono::duration<double>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void SeedRun::Note(const Result<void>& stored) {
  if (stored || state_failed_) return;
  state_failed_ = true;
  output_.Warning("STATE_NOT_SAVED", stored.error().message,
                  "counters and what was verified may be lost");
}

Result<void> SeedRun::Open() {
  // First of all: who is second learns it before anything is read or opened.
  ASSIGN_OR_RETURN(
      control_, ControlServer::Listen(RuntimeFolder(), options_.socket_name));
  std::string warning;
  auto state = StateDb::Open(StateDb::DefaultPath(), warning);
  if (!warning.empty()) output_.Warning("STATE_REBUILT", warning);
  if (state) {
    state_.emplace(std::move(*state));
  } else {
    Note(verify::Unexpected(state.error()));
  }
  if (!options_.metrics_listen.empty()) {
    ASSIGN_OR_RETURN(metrics_, MetricsServer::Start(options_.metrics_listen,
                                                    options_.metrics_token));
    output_.Event("listen",
                  {{"endpoint", metrics_->endpoint()}, {"service", "metrics"}});
    output_.Say(StrCat("metrics: http://", metrics_->endpoint(), "/metrics"));
  }
  ASSIGN_OR_RETURN(seeder_, p2p::Seeder::Open(options_.session, sink_));
  return {};
}

SeedModel& SeedRun::AddModel(const SeedTarget& target,
                             const std::optional<p2p::SeedPolicy>& policy) {
  auto model = std::make_unique<SeedModel>();
  model->target = target;
  model->must_hash = options_.rehash;
  model->name = fs::path(target.path).filename().string();
  model->record.path = target.path;
  if (state_.has_value()) {
    if (auto known = state_->FindSeed(target.path);
        known && known->has_value()) {
      model->record = **known;
    }
    if (auto known = state_->FindModel(target.path);
        known && known->has_value()) {
      model->name = (*known)->name;
    }
  }
  if (policy.has_value()) {
    model->policy = *policy;
  } else if (auto stored = p2p::ParseSeedPolicy(model->record.policy)) {
    model->policy = *stored;
  }
  model->clock = p2p::SeedClock(model->record.seed_seconds);
  // One that runs beside is for the moment.
  if (options_.socket_name == kUsualSeeder) model->record.wanted = true;
  model->record.ended.clear();
  models_.push_back(std::move(model));
  return *models_.back();
}

// Begins the check of the next model that waits, or that is due for a scrub.
void SeedRun::NextCheck(double now_s) {
  if (check_ != nullptr || stop_) return;
  for (const auto& model : models_) {
    const bool due = options_.scrub_s > 0 &&
                     model->state == ModelState::kServing &&
                     now_s - model->checked_s >= options_.scrub_s;
    if (model->state != ModelState::kWaiting && !due) continue;
    model->is_scrub = due;
    SeedTarget target = model->target;
    if (due) target.verified = false;
    if (!target.torrent.has_value()) {
      target.torrent = store_.FindForPath(target.path);
    }
    // The files as they were when they were last found right: no need to read.
    if (!due && !model->must_hash && target.torrent.has_value() &&
        state_.has_value()) {
      const auto files =
          PayloadIdentities(target.torrent->metainfo, target.path);
      if (files.has_value()) {
        const auto known = state_->AllVerified(
            *files, VerifiedDigest(target.torrent->metainfo));
        if (known && *known) target.verified = true;
      }
    }
    if (!due) model->state = ModelState::kChecking;
    check_ = std::make_unique<ModelCheck>(std::move(target),
                                          options_.session.trackers, output_);
    return;
  }
}

void SeedRun::FinishCheck(double now_s) {
  if (check_ == nullptr || !check_->done()) return;
  const std::string path = check_->path();
  CheckOutcome outcome = check_->Take();
  check_.reset();
  SeedModel* model = FindModel(path);
  if (model == nullptr) return;  // removed meanwhile
  model->checked_s = now_s;
  if (outcome.error.has_value()) {
    if (outcome.error->code == ErrorCode::kCancelled) return;
    StopModel(*model, *outcome.error);
    return;
  }
  const p2p::Metainfo& metainfo = outcome.torrent->metainfo;
  model->must_hash = false;
  model->key = metainfo.info_hashes.Key();
  model->status.total_bytes = metainfo.total_bytes();
  if (state_.has_value()) {
    ModelRecord record = ModelOf(metainfo, path);
    record.level = outcome.level;
    auto name = state_->PutModel(record);
    if (name) {
      model->name = *name;
    } else {
      Note(verify::Unexpected(name.error()));
    }
    if (outcome.was_read) {
      Note(state_->PutVerified(outcome.files, VerifiedDigest(metainfo),
                               outcome.level, WallNow()));
    }
  }
  if (auto saved = store_.Save(outcome.torrent->bytes, metainfo, path);
      !saved) {
    Note(saved);
  }
  if (!model->is_scrub) Serve(*model, *outcome.torrent);
  model->is_scrub = false;
  Save();
}

void SeedRun::Serve(SeedModel& model, const KnownTorrent& torrent) {
  const fs::path path = model.target.path;
  p2p::SeedItem item;
  item.torrent = torrent.bytes;
  item.save_folder = path.parent_path();
  item.payload_name = path.filename();
  item.paused = model.record.paused;
  const auto key = seeder_->Add(item);
  if (!key) {
    // What the engine has under this key, if anything, is another model's.
    model.key.clear();
    StopModel(model, key.error());
    return;
  }
  model.state = item.paused ? ModelState::kPaused : ModelState::kServing;
  p2p::Magnet magnet = p2p::MagnetOf(torrent.metainfo);
  magnet.trackers.insert(magnet.trackers.end(),
                         options_.session.trackers.begin(),
                         options_.session.trackers.end());
  output_.Say(StrCat(item.paused ? "paused " : "seeding ",
                     EscapeForTerminal(model.name), " (",
                     FormatSize(model.status.total_bytes), ")"));
  output_.Print(p2p::FormatMagnet(magnet));
}

void SeedRun::StopModel(SeedModel& model, const verify::Error& error) {
  model.state = ModelState::kFailed;
  model.error = error;
  if (!model.key.empty()) seeder_->Fail(model.key, error);
  if (state_.has_value() && error.code == ErrorCode::kMismatch) {
    // Never believed again without a read.
    if (const auto torrent = store_.FindForPath(model.target.path)) {
      if (const auto files =
              PayloadIdentities(torrent->metainfo, model.target.path)) {
        Note(state_->ForgetVerified(*files));
      }
    }
  }
  if (models_.size() > 1 || options_.stay) {
    output_.Warning("SEED_STOPPED",
                    StrCat(EscapeForTerminal(model.name), ": ", error.message),
                    error.hint.empty() ? "the others go on" : error.hint);
  }
  Save();
}

void SeedRun::TakeStatuses(double now_s) {
  for (const p2p::SeedStatus& status : seeder_->Statuses()) {
    for (const auto& model : models_) {
      if (model->key != status.key || !model->active() ||
          model->state == ModelState::kChecking) {
        continue;
      }
      model->status = status;
      model->clock.Advance(now_s, model->state == ModelState::kServing,
                           model->uploaded_bytes());
      if (model->watch.Look(status.complete)) {
        model->record.last_complete_s = WallNow();
      }
      if (status.state == p2p::SeedState::kFailed) {
        StopModel(*model, *status.error);
      }
    }
  }
}

void SeedRun::Judge(SeedModel& model) {
  if (model.state != ModelState::kServing) return;
  p2p::SeedFacts facts;
  facts.total_bytes = model.status.total_bytes;
  facts.uploaded_bytes = model.uploaded_bytes();
  facts.seed_seconds = model.clock.seed_seconds();
  facts.idle_seconds = model.clock.idle_seconds();
  if (model.record.last_complete_s.has_value()) {
    facts.since_other_complete_s = std::max(
        0.0, static_cast<double>(WallNow() - *model.record.last_complete_s));
  }
  const p2p::SeedVerdict verdict = p2p::JudgeSeed(model.policy, facts);
  model.reason = verdict.reason;
  if (verdict.held_as_last && !model.told_last) {
    model.told_last = true;
    output_.Warning("LAST_COMPLETE_PEER",
                    StrCat(EscapeForTerminal(model.name), ": ", verdict.reason),
                    "--stop-even-if-last stops it all the same");
  }
  if (!verdict.stop) return;
  seeder_->Refresh();
  TakeStatuses(SteadyNow());
  seeder_->Remove(model.key);
  model.state = ModelState::kEnded;
  model.record.wanted = false;
  model.record.ended = verdict.reason;
  output_.Say(
      StrCat("stopped ", EscapeForTerminal(model.name), ": ", verdict.reason));
  Save();
}

void SeedRun::Save() {
  if (!state_.has_value()) return;
  std::vector<SeedRecord> records;
  for (const auto& model : models_) {
    // What was never served here has nothing to remember yet.
    if (!model->key.empty()) records.push_back(model->Record());
  }
  if (!records.empty()) Note(state_->PutSeeds(records));
}

void SeedRun::Report() {
  if (metrics_ != nullptr) {
    metrics_->SetText(SeedMetricsText(models_, SteadyNow() - started_s_));
  }
  // Two stages at once would make one line of two.
  if (check_ != nullptr) return;
  p2p::SeedStatus sum;
  double availability = 0;
  for (const auto& model : models_) {
    if (model->state != ModelState::kServing) continue;
    sum.total_bytes += model->status.total_bytes;
    sum.num_pieces += model->status.num_pieces;
    sum.uploaded_bytes += model->status.uploaded_bytes;
    sum.up_bytes_per_s += model->status.up_bytes_per_s;
    sum.num_peers += model->status.num_peers;
    sum.complete.connected_seeds += model->status.complete.connected_seeds;
    availability = availability == 0
                       ? model->status.availability
                       : std::min(availability, model->status.availability);
  }
  if (sum.total_bytes == 0) return;
  sum.availability = availability;
  sink_.OnProgress(p2p::ProgressOf(sum));
}

Result<CommandResult> SeedRun::Run() {
  RETURN_IF_ERROR(Open());
  started_s_ = SteadyNow();
  for (const SeedTarget& target : options_.targets) {
    if (FindModel(target.path) == nullptr) AddModel(target, options_.policy);
  }
  NotifySystemd("READY=1");
  if (options_.on_ready) options_.on_ready();
  double next_judge = 0;
  double next_report = 0;
  double next_save = started_s_ + kSaveEvery_s;
  const auto on_request = [this](const Json& request) {
    return OnRequest(request);
  };
  while (!context_.cancel.cancelled() && !stop_ &&
         (options_.stay || AnyActive())) {
    seeder_->Poll(kPoll);
    const double now_s = SteadyNow();
    FinishCheck(now_s);
    NextCheck(now_s);
    TakeStatuses(now_s);
    control_->Serve(on_request, ControlServer::Clock::now());
    if (now_s >= next_judge) {
      next_judge = now_s + kJudgeEvery_s;
      for (const auto& model : models_) Judge(*model);
    }
    if (now_s >= next_report) {
      next_report = now_s + kReportEvery_s;
      Report();
    }
    if (now_s >= next_save) {
      next_save = now_s + kSaveEvery_s;
      Save();
    }
  }
  return End();
}

Result<CommandResult> SeedRun::End() {
  NotifySystemd("STOPPING=1");
  // An answer that was just made, as to "stop", still goes out.
  control_->Serve([this](const Json& request) { return OnRequest(request); },
                  ControlServer::Clock::now());
  check_.reset();
  // Reports come twice a second; the last bytes count as well.
  seeder_->Refresh();
  TakeStatuses(SteadyNow());
  Save();
  seeder_->Stop();
  CommandResult result;
  uint64_t uploaded = 0;
  size_t failed = 0;
  result.summary["models"] = Fields::array();
  for (const auto& model : models_) {
    uploaded += model->status.uploaded_bytes;
    if (model->state == ModelState::kFailed) ++failed;
    Fields entry;
    entry["name"] = model->name;
    entry["path"] = model->target.path;
    entry["state"] = ModelStateName(model->state);
    entry["uploaded_bytes"] = model->uploaded_bytes();
    entry["seed_seconds"] = model->clock.seed_seconds();
    entry["reason"] =
        model->error.has_value() ? model->error->message : model->reason;
    result.summary["models"].push_back(std::move(entry));
  }
  result.summary["uploaded_bytes"] = uploaded;
  sink_.EndStage(failed == 0, StrCat(FormatSize(uploaded), " uploaded"));
  if (failed > 0 && failed == models_.size() && models_.size() == 1) {
    return verify::Unexpected(*models_.front()->error);
  }
  if (models_.size() == 1) result.path = models_.front()->target.path;
  if (failed > 0) result.code = ExitCode::kIncomplete;
  if (context_.cancel.cancelled()) result.code = ExitCode::kInterrupted;
  return result;
}

std::string SeparateSocketName() { return StrCat("seed-", ::getpid()); }

Result<CommandResult> RunSeedService(const SeedServiceOptions& options,
                                     Context& context) {
  return SeedRun(options, context).Run();
}

}  // namespace cli
