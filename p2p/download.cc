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

#include "p2p/adopt.h"
#include "p2p/fetch_scope.h"
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
    RETURN_IF_ERROR(MakeScope());
    RETURN_IF_ERROR(FindWhatIsHere());
    if (!options_.adopt_path.empty()) RETURN_IF_ERROR(Adopt());
    while (scope_.LookReady(start_.have)) {
      RETURN_IF_ERROR(scope_.Look(start_.have));
    }
    SayPlan();
    if (AllHere()) {
      RETURN_IF_ERROR(SettleWhole());
      return Complete({});
    }
    RETURN_IF_ERROR(CheckSpace());
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

  Result<void> Take(Result<CheckedTorrent> torrent) {
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
    if (!options_.torrent.empty()) return Take(CheckTorrent(options_.torrent));
    if (former_.has_value() &&
        !(former_->torrent.empty() && former_->info.empty())) {
      const auto taken = Take(
          former_->torrent.empty()
              ? CheckInfo(former_->info, former_->trackers, former_->web_seeds)
              : CheckTorrent(former_->torrent));
      if (taken) return {};
      // A state that lies is no reason to fail: ask the swarm again.
      sink_.OnNotice({"STATE_IGNORED", taken.error().ToString(), ""});
      former_.reset();
    }
    ASSIGN_OR_RETURN(fetched_, FetchMetadata(options_, cancel_, sink_));
    // Our rules on the bytes that peers sent come before anything else.
    RETURN_IF_ERROR(
        Take(CheckInfo(std::move(fetched_.info), options_.magnet.trackers,
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

  // What is wanted: the chosen files, less what a copy elsewhere holds.
  Result<void> MakeScope() {
    layers_ = ReadPieceLayers(torrent_.torrent);
    ASSIGN_OR_RETURN(Selection selection,
                     SelectFiles(torrent_.metainfo, options_.selection));
    CopyElsewhere copy;
    if (options_.find_copy) {
      ASSIGN_OR_RETURN(copy, options_.find_copy(torrent_.metainfo, layers_));
    }
    has_copy_ = !copy.path.empty();
    scope_ =
        FetchScope(torrent_.metainfo, std::move(selection), PayloadPath(),
                   options_.look, std::move(copy.good), std::move(copy.path));
    return {};
  }

  std::string PayloadPath() const {
    return StrCat(folder_.data_path(), "/", torrent_.metainfo.name);
  }

  // Decides which pieces are good: by the former state after a clean stop, by
  // hashing otherwise.
  Result<void> FindWhatIsHere() {
    const std::string data = folder_.data_path();
    if (!AnyPayload(torrent_.metainfo, data)) {
      former_.reset();
      start_.have.assign(torrent_.metainfo.num_pieces(), false);
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
    sink_.OnNotice(
        {"RECHECK",
         folder_.unclean()
             ? "the last run did not end in order: checking what is on disk"
             : "the files changed since the last run: checking what is on "
               "disk",
         ""});
    ASSIGN_OR_RETURN(start_.have, Check(PayloadPath(), {}));
    return {};
  }

  // Hashes the pieces (empty: all) of the payload at a path.
  Result<PieceSet> Check(const std::string& path, PieceSet pieces) {
    PieceCheckOptions check;
    check.payload_path = path;
    check.pieces = std::move(pieces);
    check.tick = [&](const std::string& item, uint64_t done, uint64_t total) {
      TransferProgress progress;
      progress.stage = TransferStage::kDownload;
      progress.done_bytes = done;
      progress.total_bytes = total;
      progress.item = item;
      sink_.OnProgress(progress);
    };
    return CheckPieces(torrent_.metainfo, layers_, check, cancel_);
  }

  // Takes over what is right in a former copy at another place.
  Result<void> Adopt() {
    PieceSet missing = scope_.wanted();
    for (size_t i = 0; i < missing.size(); ++i) {
      if (start_.have[i]) missing[i] = false;
    }
    if (NumSet(missing) == 0) return {};
    ASSIGN_OR_RETURN(const PieceSet good,
                     Check(options_.adopt_path, std::move(missing)));
    if (NumSet(good) == 0) {
      sink_.OnNotice(
          {"NOTHING_TO_ADOPT",
           StrCat("\"", verify::EscapeForTerminal(options_.adopt_path),
                  "\" holds nothing of this torrent"),
           ""});
      return {};
    }
    RETURN_IF_ERROR(folder_.MarkDirty());
    at_rest_ = false;
    return BringIn(torrent_.metainfo, options_.adopt_path, PayloadPath(), good,
                   start_.have);
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

  // Of the wanted pieces, those that are here or are not.
  uint64_t WantedBytes(bool here) const {
    uint64_t bytes = 0;
    for (size_t i = 0; i < start_.have.size(); ++i) {
      if (!scope_.Wants(i) || start_.have[i] != here) continue;
      bytes += PieceBytes(torrent_.info->files(),
                          lt::piece_index_t(static_cast<int>(i)));
    }
    return bytes;
  }

  uint64_t NeededBytes() const {
    const uint64_t remaining = WantedBytes(false);
    return remaining + remaining / 20 + options_.reserve_bytes;
  }

  void SayPlan() {
    TransferPlan plan =
        MakePlan(torrent_.metainfo, WantedBytes(true), &scope_.selection());
    plan.needed_bytes = NeededBytes();
    sink_.OnPlan(plan);
  }

  bool AllHere() const {
    return scope_.AllHere(start_.have) &&
           (has_copy_ || AllPayloadSizes(torrent_.metainfo, folder_.data_path(),
                                         scope_.selection().files));
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

  Result<void> CheckSpace() const {
    const uint64_t needed = NeededBytes();
    ASSIGN_OR_RETURN(const uint64_t free_bytes,
                     verify::FreeBytes(folder_.data_path()));
    if (free_bytes >= needed) return {};
    return Fail(ErrorCode::kIo,
                StrCat("\"", verify::EscapeForTerminal(folder_.path()),
                       "\": ", needed, " bytes needed (", WantedBytes(false),
                       " to fetch, 5 % for the file "
                       "system, ",
                       options_.reserve_bytes, " to keep free), ", free_bytes,
                       " free"))
        .Id("E-DISK-FULL")
        .Hint(
            "free some space, choose fewer files, or choose a folder on "
            "another disk");
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
      return RunTransfer(options_, torrent_, start_, scope_, folder_, cancel_,
                         sink_);
    });
    if (!ran) return verify::Unexpected(ran.error());
    if (!*ran) return verify::Unexpected(ran->error());
    return Complete(**ran);
  }

  // libtorrent has hashed what it fetched; what is handed on although a file
  // beside it is not, is hashed by us as well while all of it is here.
  Result<void> CheckCutPieces() {
    PieceSet cut = scope_.wanted();
    if (!has_copy_) {
      const std::vector<bool>& files = scope_.selection().files;
      std::vector<bool> others(files.size());
      for (size_t i = 0; i < files.size(); ++i) others[i] = !files[i];
      const PieceSet of_others = PiecesOfFiles(torrent_.metainfo, others);
      for (size_t i = 0; i < cut.size(); ++i) cut[i] = cut[i] && of_others[i];
    }
    if (NumSet(cut) == 0) return {};
    ASSIGN_OR_RETURN(const PieceSet good, Check(PayloadPath(), cut));
    for (size_t i = 0; i < cut.size(); ++i) {
      if (!cut[i] || good[i]) continue;
      return Fail(ErrorCode::kIo,
                  StrCat("\"", verify::EscapeForTerminal(folder_.data_path()),
                         "\": piece ", i, " changed while it was downloaded"));
    }
    return {};
  }

  Result<DownloadOutcome> Complete(TransferResult result) {
    const std::vector<bool>& files = scope_.selection().files;
    if (!has_copy_ &&
        !AllPayloadSizes(torrent_.metainfo, folder_.data_path(), files)) {
      return Fail(ErrorCode::kIo,
                  StrCat("\"", verify::EscapeForTerminal(folder_.data_path()),
                         "\": a file changed while it was downloaded"));
    }
    if (has_copy_ || !scope_.selection().IsAll(torrent_.metainfo)) {
      RETURN_IF_ERROR(CheckCutPieces());
      if (!has_copy_) {
        RETURN_IF_ERROR(
            RemoveUnwanted(torrent_.metainfo, folder_.data_path(), files));
      }
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
    outcome.payload_path = PayloadPath();
    outcome.selection = scope_.selection();
    outcome.pieces = scope_.wanted();
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
  PieceLayers layers_;
  FetchedMetadata fetched_;
  FetchScope scope_;
  TransferStart start_;
  bool has_copy_ = false;  // elsewhere: see find_copy
  bool at_rest_ = false;   // payload and state are as a clean stop left them
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

TransferPlan PlanOf(const Metainfo& metainfo, const Selection& selection) {
  return MakePlan(metainfo, 0, &selection);
}

Result<FetchedTorrent> FetchTorrent(const DownloadOptions& options,
                                    const verify::CancelToken& cancel,
                                    TransferSink& sink) {
  const InfoHashes& wanted = options.magnet.info_hashes;
  const auto checked = [&]() -> Result<CheckedTorrent> {
    if (!options.torrent.empty()) return CheckTorrent(options.torrent);
    const LoadedState former = LoadState(options.work_folder + "/state");
    if (former.state.has_value() && !former.state->torrent.empty()) {
      auto known = CheckTorrent(former.state->torrent);
      if (known && CheckIdentity(wanted, known->metainfo.info_hashes)) {
        return known;
      }
    }
    ASSIGN_OR_RETURN(FetchedMetadata fetched,
                     FetchMetadata(options, cancel, sink));
    return CheckInfo(std::move(fetched.info), options.magnet.trackers,
                     options.magnet.web_seeds);
  };
  ASSIGN_OR_RETURN(CheckedTorrent torrent, checked());
  RETURN_IF_ERROR(CheckIdentity(wanted, torrent.metainfo.info_hashes));
  return FetchedTorrent{std::move(torrent.metainfo),
                        std::move(torrent.torrent)};
}

}  // namespace p2p
