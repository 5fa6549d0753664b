// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/seed_model.h"

#include <ctime>
#include <exception>
#include <utility>

#include "cli/flows/verify_flow.h"
#include "cli/shell_quote.h"
#include "p2p/create_torrent.h"
#include "verify/base/text.h"
#include "verify/manifest/report.h"

namespace cli {
namespace {

using verify::Result;
using verify::StrCat;

// Unknown content gets a torrent of its own, the one `publish` would write;
// hashing it is the check.
Result<KnownTorrent> MakeTorrent(const std::string& path,
                                 const std::vector<std::string>& trackers,
                                 Context& context) {
  context.output.StageBegin("pieces");
  p2p::CreateOptions create;
  create.path = path;
  create.trackers = trackers;
  StageProgress progress(context.output, "pieces");
  auto created = p2p::CreateTorrent(create, context.cancel, &progress);
  context.output.StageEnd("pieces", created.has_value(),
                          created ? "no torrent of it is known: made one" : "");
  if (!created) return verify::Unexpected(std::move(created).error());
  return KnownTorrent{std::move(created->torrent),
                      std::move(created->metainfo),
                      "just made",
                      {}};
}

Result<CheckOutcome> Check(const SeedTarget& target,
                           const std::vector<std::string>& trackers,
                           Context& context) {
  CheckOutcome outcome;
  outcome.torrent = target.torrent;
  std::optional<std::vector<VerifiedFile>> before;
  if (outcome.torrent.has_value()) {
    before = PayloadIdentities(outcome.torrent->metainfo, target.path);
    if (!target.verified) {
      VerifyOptions options;
      options.path = target.path;
      options.torrent = outcome.torrent;
      options.level = VerifyLevel::kChecksums;
      ASSIGN_OR_RETURN(const VerifyReport report, RunVerify(options, context));
      if (report.error.has_value()) {
        verify::Error failure = *report.error;
        failure.hint = StrCat("it is not served; see lodestone verify ",
                              ShellQuote(target.path),
                              "; another model with files of the same names "
                              "and sizes gets a torrent of its own by "
                              "lodestone publish");
        return verify::Unexpected(std::move(failure));
      }
      outcome.level = verify::TrustLevelName(report.content.level);
      if (!before.has_value()) {
        return verify::Fail(verify::ErrorCode::kNotFound,
                            StrCat("only some files of \"",
                                   verify::EscapeForTerminal(target.path),
                                   "\" are here"))
            .Id("E-SEED-PARTIAL")
            .Hint("it is not served; lodestone get fetches the rest");
      }
    }
  } else {
    // What CreateTorrent read it has compared with what it was by itself.
    ASSIGN_OR_RETURN(outcome.torrent,
                     MakeTorrent(target.path, trackers, context));
  }
  const auto after = PayloadIdentities(outcome.torrent->metainfo, target.path);
  if (!after.has_value() ||
      (before.has_value() && !SameIdentities(*before, *after))) {
    return verify::Fail(verify::ErrorCode::kMismatch,
                        StrCat("\"", verify::EscapeForTerminal(target.path),
                               "\" changed while it was checked"))
        .Id("E-SEED-CHANGED")
        .Hint("it is not served; let nothing write to it");
  }
  outcome.files = *after;
  outcome.was_read = !target.verified;
  return outcome;
}

}  // namespace

std::string_view ModelStateName(ModelState state) {
  switch (state) {
    case ModelState::kWaiting:
      return "waiting";
    case ModelState::kChecking:
      return "checking";
    case ModelState::kServing:
      return "seeding";
    case ModelState::kPaused:
      return "paused";
    case ModelState::kFailed:
      return "failed";
    case ModelState::kEnded:
      return "ended";
  }
  return "failed";
}

std::string TimeText(std::optional<int64_t> seconds) {
  if (!seconds.has_value()) return {};
  const auto time = static_cast<std::time_t>(*seconds);
  std::tm parts{};
  char text[32] = "";
  if (::gmtime_r(&time, &parts) == nullptr) return {};
  std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

SeedRecord SeedModel::Record() const {
  SeedRecord out = record;
  out.path = target.path;
  out.uploaded_bytes = uploaded_bytes();
  out.seed_seconds = clock.seed_seconds();
  out.policy = p2p::FormatSeedPolicy(policy);
  return out;
}

verify::Json SeedModel::Describe() const {
  verify::Json out;
  out["name"] = name;
  out["path"] = target.path;
  out["key"] = key;
  out["state"] = ModelStateName(state);
  out["bytes"] = status.total_bytes;
  out["uploaded_bytes"] = uploaded_bytes();
  out["ratio"] = status.total_bytes == 0
                     ? 0.0
                     : static_cast<double>(uploaded_bytes()) /
                           static_cast<double>(status.total_bytes);
  out["rate_up"] = status.up_bytes_per_s;
  out["peers"] = status.num_peers;
  out["availability"] = status.availability;
  out["seed_seconds"] = clock.seed_seconds();
  out["idle_seconds"] = clock.idle_seconds();
  out["policy"] = p2p::FormatSeedPolicy(policy);
  out["last_complete"] = TimeText(record.last_complete_s);
  out["reason"] = reason;
  out["error"] = error.has_value() ? error->message : std::string();
  return out;
}

ModelCheck::ModelCheck(SeedTarget target, std::vector<std::string> trackers,
                       Output& output)
    : path_(target.path),
      thread_([this, target = std::move(target), trackers = std::move(trackers),
               &output] {
        Context context{output, cancel_};
        try {
          auto outcome = Check(target, trackers, context);
          if (outcome) {
            outcome_ = std::move(*outcome);
          } else {
            outcome_.error = std::move(outcome).error();
          }
        } catch (const std::exception& error) {
          outcome_.error = verify::Error{verify::ErrorCode::kInternal,
                                         StrCat("check: ", error.what()),
                                         std::nullopt, "E-INTERNAL", ""};
        }
        done_.store(true);
      }) {}

ModelCheck::~ModelCheck() { Cancel(); }

CheckOutcome ModelCheck::Take() {
  thread_.join();
  return std::move(outcome_);
}

}  // namespace cli
