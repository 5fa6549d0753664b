// SPDX-License-Identifier: Apache-2.0
#include "p2p/seed.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <libtorrent/torrent_flags.hpp>
#include <libtorrent/torrent_status.hpp>
#include <memory>
#include <optional>
#include <utility>

#include "p2p/session.h"
#include "p2p/torrent_plan.h"
#include "verify/base/file.h"
#include "verify/base/text.h"

namespace p2p {
namespace {

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::Result;
using verify::StrCat;
using SteadyClock = std::chrono::steady_clock;

constexpr auto kPoll = std::chrono::milliseconds(100);
constexpr auto kReport = std::chrono::milliseconds(500);

verify::Unexpected FailChanged(std::string_view what) {
  return Fail(ErrorCode::kMismatch,
              StrCat("the files are not as they were verified: ", what))
      .Id("E-SEED-CHANGED")
      .Hint("verify them again before seeding");
}

// Every file must be there with its size; who seeds is not to make it.
Result<void> CheckFiles(const Metainfo& metainfo, const std::string& folder,
                        const std::string& top_name) {
  for (const MetainfoFile& file : metainfo.files) {
    if (file.is_pad) continue;
    const std::string path =
        metainfo.single_file ? StrCat(folder, "/", top_name)
                             : StrCat(folder, "/", top_name, "/", file.path);
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) {
      return verify::FailErrno("look at", path, errno);
    }
    if (!S_ISREG(info.st_mode) ||
        static_cast<uint64_t>(info.st_size) != file.size_bytes) {
      return FailChanged(StrCat("\"", EscapeForTerminal(path),
                                "\": ", file.size_bytes, " bytes expected, ",
                                info.st_size, " found"));
    }
  }
  return {};
}

// Points every file of the torrent at the folder where the payload stands.
void RenameTop(lt::torrent_info& info, const std::string& top_name) {
  const lt::file_storage& files = info.files();
  if (top_name == files.name()) return;
  const std::string old_prefix = files.name() + "/";
  for (const lt::file_index_t file : files.file_range()) {
    if (files.pad_file_at(file)) continue;
    const std::string path = files.file_path(file);
    info.rename_file(
        file, path == files.name()
                  ? top_name
                  : StrCat(top_name, "/", path.substr(old_prefix.size())));
  }
}

class SeedRun {
 public:
  SeedRun(const SeedOptions& options, const CheckedTorrent& torrent,
          const verify::CancelToken& cancel, TransferSink& sink,
          Session& session)
      : options_(options),
        checked_(torrent),
        cancel_(cancel),
        sink_(sink),
        session_(session) {
    progress_.stage = TransferStage::kSeed;
    progress_.total_bytes = checked_.metainfo.total_bytes();
    progress_.done_bytes = progress_.total_bytes;
    progress_.pieces_done = static_cast<uint32_t>(checked_.info->num_pieces());
  }

  Result<SeedOutcome> Run() {
    torrent_ = session_.engine().add_torrent(MakeParams());
    session_.Resume();
    const auto start = SteadyClock::now();
    auto next_report = start;
    while (true) {
      for (const lt::alert* alert : session_.Wait(kPoll)) OnAlert(*alert);
      if (error_.has_value()) return verify::Unexpected(*error_);
      const auto now = SteadyClock::now();
      session_.Tend(torrent_);
      if (now >= next_report) {
        next_report = now + kReport;
        session_.engine().post_torrent_updates(
            lt::torrent_handle::query_distributed_copies);
        sink_.OnProgress(progress_);
      }
      if (cancel_.cancelled() || LimitReached(now - start)) break;
    }
    // Reports come twice a second; the last bytes count as well.
    OnStatus(torrent_.status(lt::status_flags_t{}));
    session_.Stop();
    return SeedOutcome{progress_.uploaded_bytes};
  }

 private:
  lt::add_torrent_params MakeParams() const {
    lt::add_torrent_params params;
    params.ti = checked_.info;
    params.save_path = options_.save_folder;
    std::vector<std::string> trackers = checked_.metainfo.trackers;
    trackers.insert(trackers.end(), options_.extra_trackers.begin(),
                    options_.extra_trackers.end());
    session_.Prepare(params, trackers, {});
    // The caller verified every piece: nothing is read before it is asked
    // for, and then it is hashed once. Upload mode: should a file have
    // changed, nothing is fetched over it.
    params.flags |=
        lt::torrent_flags::seed_mode | lt::torrent_flags::upload_mode;
    return params;
  }

  void OnAlert(const lt::alert& alert) {
    if (const auto* update = lt::alert_cast<lt::state_update_alert>(&alert)) {
      for (const lt::torrent_status& status : update->status) OnStatus(status);
    } else if (const auto* disk =
                   lt::alert_cast<lt::file_error_alert>(&alert)) {
      error_ =
          Fail(ErrorCode::kIo, StrCat("\"", EscapeForTerminal(disk->filename()),
                                      "\": ", lt::operation_name(disk->op),
                                      ": ", ErrorText(disk->error)))
              .error();
    } else if (const auto* refused =
                   lt::alert_cast<lt::fastresume_rejected_alert>(&alert)) {
      error_ = FailChanged(ErrorText(refused->error)).error();
    } else if (const auto* state =
                   lt::alert_cast<lt::state_changed_alert>(&alert)) {
      // The engine hashes everything again once a piece that it was asked for
      // has the wrong bytes.
      if (state->state == lt::torrent_status::checking_files ||
          state->state == lt::torrent_status::downloading) {
        error_ = FailChanged("a piece does not match its hash").error();
      }
    } else if (const auto* broken =
                   lt::alert_cast<lt::torrent_error_alert>(&alert)) {
      if (!error_.has_value()) {
        error_ = Fail(ErrorCode::kIo,
                      StrCat("seeding stopped: ", ErrorText(broken->error)))
                     .error();
      }
    }
  }

  void OnStatus(const lt::torrent_status& status) {
    progress_.up_bytes_per_s = status.upload_payload_rate;
    if (status.total_payload_upload > 0) {
      progress_.uploaded_bytes =
          static_cast<uint64_t>(status.total_payload_upload);
    }
    progress_.num_peers = status.num_peers;
    progress_.num_seeds = status.num_seeds;
    // Of a torrent that is whole here the engine counts none.
    progress_.availability =
        1.0 + std::max(0.0, static_cast<double>(status.distributed_copies));
  }

  bool LimitReached(SteadyClock::duration elapsed) const {
    if (options_.max_time_s.has_value() &&
        std::chrono::duration<double>(elapsed).count() >=
            *options_.max_time_s) {
      return true;
    }
    return options_.max_ratio.has_value() && progress_.total_bytes > 0 &&
           static_cast<double>(progress_.uploaded_bytes) >=
               *options_.max_ratio * static_cast<double>(progress_.total_bytes);
  }

  const SeedOptions& options_;
  const CheckedTorrent& checked_;
  const verify::CancelToken& cancel_;
  TransferSink& sink_;
  Session& session_;
  lt::torrent_handle torrent_;
  TransferProgress progress_;
  std::optional<verify::Error> error_;
};

}  // namespace

Result<SeedOutcome> Seed(const SeedOptions& options,
                         const verify::CancelToken& cancel,
                         TransferSink& sink) {
  ASSIGN_OR_RETURN(CheckedTorrent torrent, CheckTorrent(options.torrent));
  const std::string top_name = options.payload_name.empty()
                                   ? torrent.metainfo.name
                                   : options.payload_name;
  if (top_name.find('/') != std::string::npos || top_name == "." ||
      top_name == "..") {
    return Fail(ErrorCode::kInvalidArgument,
                StrCat("\"", EscapeForTerminal(top_name),
                       "\" is not a name of a file or folder"));
  }
  RETURN_IF_ERROR(CheckFiles(torrent.metainfo, options.save_folder, top_name));
  SessionOptions session_options;
  session_options.role = SessionRole::kSeed;
  ASSIGN_OR_RETURN(const std::unique_ptr<Session> session,
                   Session::Open(options.session, session_options, sink));
  auto ran = Guarded("seed", [&] {
    RenameTop(*torrent.info, top_name);
    sink.OnPlan(MakePlan(torrent.metainfo, torrent.metainfo.total_bytes()));
    return SeedRun(options, torrent, cancel, sink, *session).Run();
  });
  if (!ran) return verify::Unexpected(ran.error());
  return std::move(ran).value();
}

}  // namespace p2p
