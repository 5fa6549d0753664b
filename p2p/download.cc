// SPDX-License-Identifier: Apache-2.0
// A download in order: folder, state, metadata, what is here already, limits,
// transfer. The transfer itself is p2p/transfer.
#include "p2p/download.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <libtorrent/read_resume_data.hpp>
#include <utility>

#include "p2p/metadata_fetch.h"
#include "p2p/payload_check.h"
#include "p2p/resume_store.h"
#include "p2p/torrent_plan.h"
#include "p2p/transfer.h"
#include "p2p/work_folder.h"
#include "verify/base/text.h"

namespace p2p {
namespace {

using verify::ErrorCode;
using verify::Fail;
using verify::Result;
using verify::StrCat;

class DownloadRun {
 public:
  DownloadRun(const DownloadOptions& options, const verify::CancelToken& cancel,
              TransferSink& sink, WorkFolder folder)
      : options_(options),
        cancel_(cancel),
        sink_(sink),
        folder_(std::move(folder)) {}

  Result<DownloadOutcome> Run() {
    RETURN_IF_ERROR(folder_.CheckPayloadTree());
    LoadFormerState();
    RETURN_IF_ERROR(ObtainTorrent());
    RETURN_IF_ERROR(CheckSize());
    if (options_.approve) {
      RETURN_IF_ERROR(options_.approve(torrent_.metainfo));
    }
    RETURN_IF_ERROR(FindWhatIsHere());
    const uint64_t here_bytes = HereBytes();
    sink_.OnPlan(MakePlan(torrent_.metainfo, here_bytes));
    if (AllHere()) {
      RETURN_IF_ERROR(SettleWhole());
      return Complete({});
    }
    RETURN_IF_ERROR(CheckSpace(here_bytes));
    if (cancel_.cancelled()) return FailCancelled();
    return Transfer();
  }

 private:
  // The hashes asked for: of the magnet, of the .torrent, or of both.
  InfoHashes Wanted() const { return options_.magnet.info_hashes; }

  void LoadFormerState() {
    LoadedState loaded = LoadState(folder_.state_path());
    for (const std::string& remark : loaded.remarks) {
      sink_.OnNotice({"STATE_IGNORED", remark,
                      "what is on disk is checked piece by piece instead"});
    }
    if (!loaded.state.has_value()) return;
    const InfoHashes wanted = Wanted();
    // Either hash may name the torrent: a v1 magnet can turn out a hybrid.
    const InfoHashes& had = loaded.state->info_hashes;
    const bool same = (wanted.v1.has_value() && wanted.v1 == had.v1) ||
                      (wanted.v2.has_value() && wanted.v2 == had.v2);
    if (!same && !options_.torrent.empty() && !wanted.v1 && !wanted.v2) {
      former_ = std::move(loaded.state);  // compared once the hash is known
      return;
    }
    if (!same) {
      sink_.OnNotice(
          {"STATE_IGNORED",
           StrCat("the state in \"", verify::EscapeForTerminal(folder_.path()),
                  "\" is of another torrent"),
           ""});
      return;
    }
    former_ = std::move(loaded.state);
  }

  Result<void> Adopt(Result<CheckedTorrent> torrent) {
    ASSIGN_OR_RETURN(torrent_, std::move(torrent));
    RETURN_IF_ERROR(CheckIdentity(Wanted(), torrent_.metainfo.info_hashes));
    if (former_.has_value() &&
        former_->info_hashes.v1 != torrent_.metainfo.info_hashes.v1 &&
        former_->info_hashes.v2 != torrent_.metainfo.info_hashes.v2) {
      former_.reset();
    }
    return {};
  }

  Result<void> ObtainTorrent() {
    if (!options_.torrent.empty()) return Adopt(CheckTorrent(options_.torrent));
    if (former_.has_value() &&
        !(former_->torrent.empty() && former_->info.empty())) {
      const auto adopted = Adopt(
          former_->torrent.empty()
              ? CheckInfo(former_->info, former_->trackers, former_->web_seeds)
              : CheckTorrent(former_->torrent));
      if (adopted) return {};
      // A state that lies is no reason to fail: ask the swarm again.
      sink_.OnNotice({"STATE_IGNORED", adopted.error().ToString(), ""});
      former_.reset();
    }
    ASSIGN_OR_RETURN(fetched_, FetchMetadata(options_, cancel_, sink_));
    // Our rules on the bytes that peers sent come before anything else.
    RETURN_IF_ERROR(
        Adopt(CheckInfo(std::move(fetched_.info), options_.magnet.trackers,
                        options_.magnet.web_seeds)));
    return SaveMetadata();
  }

  ResumeState StateNow() const {
    ResumeState state;
    state.info_hashes = torrent_.metainfo.info_hashes;
    state.torrent = torrent_.torrent;
    if (state.torrent.empty()) state.info = torrent_.info_bytes;
    state.trackers = options_.magnet.trackers;
    state.web_seeds = options_.magnet.web_seeds;
    return state;
  }

  // So that the next run need not ask the swarm again.
  Result<void> SaveMetadata() const {
    return SaveState(folder_.state_path(), StateNow());
  }

  Result<void> CheckSize() const {
    const uint64_t total = torrent_.metainfo.total_bytes();
    if (options_.max_total_bytes == 0 || total <= options_.max_total_bytes) {
      return {};
    }
    return Fail(ErrorCode::kLimit,
                StrCat("torrent: ", total, " bytes, at most ",
                       options_.max_total_bytes, " allowed"))
        .Id("E-TOO-BIG")
        .Hint("allow a larger total if this is what you want");
  }

  // Decides which pieces are good: by the former state after a clean stop, by
  // hashing otherwise.
  Result<void> FindWhatIsHere() {
    const std::string data = folder_.data_path();
    if (!AnyPayload(torrent_.metainfo, data)) {
      former_.reset();
      start_.have.assign(static_cast<size_t>(torrent_.info->num_pieces()),
                         false);
      return {};
    }
    if (!folder_.unclean() && former_.has_value() &&
        !former_->resume_data.empty() &&
        former_->payload_fingerprint ==
            PayloadFingerprint(torrent_.metainfo, data) &&
        TakeResumeData()) {
      at_rest_ = true;
      return {};
    }
    if (torrent_.metainfo.piece_digests.empty()) {
      // v2 only: libtorrent hashes the files when the torrent is added.
      start_.have.clear();
      return {};
    }
    sink_.OnNotice(
        {"RECHECK",
         folder_.unclean()
             ? "the last run did not end in order: checking what is on disk"
             : "the files changed since the last run: checking what is on "
               "disk",
         ""});
    const auto tick = [&](const std::string& item, uint64_t done,
                          uint64_t total) {
      TransferProgress progress;
      progress.stage = TransferStage::kDownload;
      progress.done_bytes = done;
      progress.total_bytes = total;
      progress.item = item;
      sink_.OnProgress(progress);
    };
    ASSIGN_OR_RETURN(start_.have,
                     RecheckPayload(torrent_.metainfo, data, cancel_, tick));
    return {};
  }

  // False if the resume data does not read or fit.
  bool TakeResumeData() {
    const std::string_view text = verify::AsText(former_->resume_data);
    lt::error_code error;
    auto read = Guarded("resume data", [&] {
      return lt::read_resume_data(
          {text.data(), static_cast<std::ptrdiff_t>(text.size())}, error);
    });
    if (!read || error) return false;
    lt::add_torrent_params& params = *read;
    const int num_pieces = torrent_.info->num_pieces();
    if (params.have_pieces.size() != num_pieces) return false;
    start_.have.assign(static_cast<size_t>(num_pieces), false);
    for (const lt::piece_index_t piece : params.have_pieces.range()) {
      start_.have[static_cast<size_t>(static_cast<int>(piece))] =
          params.have_pieces.get_bit(piece);
    }
    start_.unfinished = std::move(params.unfinished_pieces);
    for (const lt::tcp::endpoint& peer : params.peers) {
      start_.peers.push_back(peer);
    }
    return true;
  }

  uint64_t HereBytes() const {
    uint64_t bytes = 0;
    for (size_t i = 0; i < start_.have.size(); ++i) {
      if (!start_.have[i]) continue;
      bytes += PieceBytes(torrent_.info->files(),
                          lt::piece_index_t(static_cast<int>(i)));
    }
    return bytes;
  }

  bool AllHere() const {
    return !start_.have.empty() &&
           std::all_of(start_.have.begin(), start_.have.end(),
                       [](bool here) { return here; }) &&
           AllPayloadSizes(torrent_.metainfo, folder_.data_path());
  }

  // Everything was here, so no session runs; the state still has to say so.
  Result<void> SettleWhole() {
    const std::string data = folder_.data_path();
    if (at_rest_) return {};
    RETURN_IF_ERROR(SyncPayload(torrent_.metainfo, data));
    ResumeState state = StateNow();
    auto resume_data = Guarded("resume data", [&] {
      return MakeResumeData(*torrent_.info, start_.have);
    });
    if (!resume_data) return verify::Unexpected(resume_data.error());
    state.resume_data = std::move(resume_data).value();
    state.payload_fingerprint = PayloadFingerprint(torrent_.metainfo, data);
    RETURN_IF_ERROR(SaveState(folder_.state_path(), state));
    return folder_.MarkClean();
  }

  Result<void> CheckSpace(uint64_t here_bytes) const {
    const uint64_t total = torrent_.metainfo.total_bytes();
    const uint64_t remaining = total - std::min(total, here_bytes);
    const uint64_t needed = remaining + remaining / 20;
    ASSIGN_OR_RETURN(const uint64_t free_bytes,
                     verify::FreeBytes(folder_.data_path()));
    if (free_bytes >= needed) return {};
    return Fail(ErrorCode::kIo,
                StrCat("\"", verify::EscapeForTerminal(folder_.path()),
                       "\": ", needed, " bytes needed, ", free_bytes, " free"))
        .Id("E-DISK-FULL")
        .Hint("free some space, or choose a folder on another disk");
  }

  Result<DownloadOutcome> Transfer() {
    start_.trackers = options_.magnet.trackers;
    start_.web_seeds = options_.magnet.web_seeds;
    const auto add = [](std::vector<std::string>& to,
                        const std::vector<std::string>& from) {
      for (const std::string& url : from) {
        if (std::find(to.begin(), to.end(), url) == to.end()) {
          to.push_back(url);
        }
      }
    };
    add(start_.trackers, torrent_.metainfo.trackers);
    add(start_.web_seeds, torrent_.metainfo.web_seeds);
    if (former_.has_value()) {
      add(start_.trackers, former_->trackers);
      add(start_.web_seeds, former_->web_seeds);
    }
    start_.peers.insert(start_.peers.end(), fetched_.peers.begin(),
                        fetched_.peers.end());
    start_.dht_state = std::move(fetched_.dht_state);
    start_.port = fetched_.port;
    start_.is_second = fetched_.by_session;
    auto ran = Guarded("download", [&] {
      return RunTransfer(options_, torrent_, start_, folder_, cancel_, sink_);
    });
    if (!ran) return verify::Unexpected(ran.error());
    if (!*ran) return verify::Unexpected(ran->error());
    return Complete(**ran);
  }

  Result<DownloadOutcome> Complete(TransferResult result) {
    if (!AllPayloadSizes(torrent_.metainfo, folder_.data_path())) {
      return Fail(ErrorCode::kIo,
                  StrCat("\"", verify::EscapeForTerminal(folder_.data_path()),
                         "\": a file changed while it was downloaded"));
    }
    DownloadOutcome outcome;
    outcome.torrent = torrent_.torrent;
    if (!result.torrent.empty()) {
      // A magnet to a v2 torrent: its hash layers came with the payload.
      auto whole = CheckTorrent(std::move(result.torrent));
      if (whole &&
          whole->metainfo.info_hashes == torrent_.metainfo.info_hashes) {
        outcome.torrent = std::move(whole->torrent);
      }
    }
    outcome.payload_path =
        StrCat(folder_.data_path(), "/", torrent_.metainfo.name);
    outcome.metainfo = std::move(torrent_.metainfo);
    outcome.downloaded_bytes = result.downloaded_bytes;
    outcome.wasted_bytes = result.wasted_bytes;
    return outcome;
  }

  const DownloadOptions& options_;
  const verify::CancelToken& cancel_;
  TransferSink& sink_;
  WorkFolder folder_;
  std::optional<ResumeState> former_;
  CheckedTorrent torrent_;
  FetchedMetadata fetched_;
  TransferStart start_;
  bool at_rest_ = false;  // payload and state are as a clean stop left them
};

}  // namespace

Result<DownloadOutcome> Download(const DownloadOptions& options,
                                 const verify::CancelToken& cancel,
                                 TransferSink& sink) {
  if (options.torrent.empty() && !options.magnet.info_hashes.v1 &&
      !options.magnet.info_hashes.v2) {
    return Fail(ErrorCode::kInvalidArgument,
                "neither a magnet nor a torrent was given");
  }
  ASSIGN_OR_RETURN(WorkFolder folder, WorkFolder::Open(options.work_folder));
  return DownloadRun(options, cancel, sink, std::move(folder)).Run();
}

}  // namespace p2p
