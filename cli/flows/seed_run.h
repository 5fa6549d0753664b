// SPDX-License-Identifier: Apache-2.0
// One run of the seed service: its models, their checks, its loop. Internal to
// the seed service; seed_control.cc holds what its socket may ask.
// Tested by tests/scripts/seed_service.py.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/control/control_socket.h"
#include "cli/flows/seed_model.h"
#include "cli/flows/seed_service.h"
#include "cli/flows/transfer_sink.h"
#include "cli/state/state_db.h"
#include "cli/web/metrics_server.h"
#include "p2p/seeder.h"
#include "verify/base/json.h"

namespace cli {

// What the engine says of several torrents at once: ports once, the plans, and
// notices.
class ServiceSink final : public p2p::TransferSink {
 public:
  explicit ServiceSink(Output& output) : inner_(output, "/"), output_(output) {}

  void OnPlan(const p2p::TransferPlan& plan) override { inner_.OnPlan(plan); }
  void OnProgress(const p2p::TransferProgress& progress) override {
    inner_.OnProgress(progress);
  }
  void OnNotice(const p2p::TransferNotice& notice) override {
    inner_.OnNotice(notice);
  }
  void OnListen(const std::string& endpoint) override {
    inner_.OnListen(endpoint);
    if (!endpoint_.empty()) return;
    endpoint_ = endpoint;
    output_.Say("listening on " + endpoint + "; stop with Ctrl-C");
  }
  void EndStage(bool ok, std::string_view text) { inner_.EndStage(ok, text); }

 private:
  OutputTransferSink inner_;
  Output& output_;
  std::string endpoint_;
};

class SeedRun {
 public:
  SeedRun(const SeedServiceOptions& options, Context& context)
      : options_(options),
        context_(context),
        output_(context.output),
        sink_(context.output) {}

  verify::Result<CommandResult> Run();

 private:
  static double SteadyNow();
  verify::Result<void> Open();
  SeedModel& AddModel(const SeedTarget& target,
                      const std::optional<p2p::SeedPolicy>& policy);
  void NextCheck(double now_s);
  void FinishCheck(double now_s);
  void Serve(SeedModel& model, const KnownTorrent& torrent);
  void StopModel(SeedModel& model, const verify::Error& error);
  void TakeStatuses(double now_s);
  void Judge(SeedModel& model);
  void Save();
  void Report();
  verify::Json OnRequest(const verify::Json& request);
  verify::Json AddByRequest(const verify::Json& request);
  verify::Result<CommandResult> End();
  // A state that cannot be written costs a re-check later, and is said once.
  void Note(const verify::Result<void>& stored);

  SeedModel* FindModel(const std::string& what) {
    for (const auto& model : models_) {
      if (model->name == what || model->target.path == what ||
          (what.size() >= 8 && model->key.starts_with(what))) {
        return model.get();
      }
    }
    return nullptr;
  }
  bool AnyActive() const {
    return std::any_of(models_.begin(), models_.end(),
                       [](const auto& model) { return model->active(); });
  }

  const SeedServiceOptions& options_;
  Context& context_;
  Output& output_;
  ServiceSink sink_;
  TorrentStore store_ = TorrentStore::Default();
  std::optional<StateDb> state_;
  std::unique_ptr<ControlServer> control_;
  std::unique_ptr<MetricsServer> metrics_;
  std::unique_ptr<p2p::Seeder> seeder_;
  std::vector<std::unique_ptr<SeedModel>> models_;
  std::unique_ptr<ModelCheck> check_;
  bool stop_ = false;
  bool state_failed_ = false;
  double started_s_ = 0;
};

}  // namespace cli
