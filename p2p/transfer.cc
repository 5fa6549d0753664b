// SPDX-License-Identifier: Apache-2.0
// Long because: alerts, limits and the way out share the state of one run.
#include "p2p/transfer.h"

#include <algorithm>
#include <chrono>
#include <libtorrent/bencode.hpp>
#include <libtorrent/entry.hpp>
#include <libtorrent/torrent_flags.hpp>
#include <libtorrent/torrent_status.hpp>
#include <libtorrent/write_resume_data.hpp>
#include <map>
#include <optional>
#include <utility>

#include "p2p/metadata_fetch.h"
#include "p2p/metainfo.h"
#include "p2p/payload_check.h"
#include "p2p/resume_store.h"
#include "p2p/session.h"
#include "p2p/web_seed_feed.h"
#include "verify/base/text.h"

namespace p2p {
namespace {

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::Result;
using verify::StrCat;
using SteadyClock = std::chrono::steady_clock;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr auto kPoll = milliseconds(100);
constexpr auto kReport = milliseconds(500);
constexpr auto kSaveEvery = seconds(30);
// Without a byte for so long a transfer says why.
constexpr auto kIdle = seconds(10);
constexpr auto kFirstLayersSave = seconds(3);
constexpr auto kCheckSpaceEvery = seconds(2);
// What stays free of a disk that others fill as well.
constexpr uint64_t kMinFreeBytes = 64u << 20;
// A piece that fails this often has no good source.
constexpr int kMaxPieceFailures = 20;
constexpr uint64_t kMinWasteLimit = 64u << 20;
// Everyone was banned: so often, and so long after the last byte, all get
// another chance.
constexpr int kMaxSecondChances = 3;
constexpr auto kSecondChanceAfter = seconds(2);

class TransferRun {
 public:
  TransferRun(const DownloadOptions& options, const CheckedTorrent& torrent,
              const TransferStart& start, FetchScope& scope, WorkFolder& folder,
              const verify::CancelToken& cancel, TransferSink& sink)
      : options_(options),
        checked_(torrent),
        start_(start),
        scope_(scope),
        folder_(folder),
        cancel_(cancel),
        sink_(sink),
        files_(torrent.info->files()) {
    state_.info_hashes = checked_.metainfo.info_hashes;
    state_.torrent = checked_.torrent;
    if (state_.torrent.empty()) state_.info = checked_.info_bytes;
    state_.trackers = start_.trackers;
    state_.web_seeds = start_.web_seeds;
    progress_.stage = TransferStage::kDownload;
    counted_ = start_.have;
    counted_.resize(checked_.metainfo.num_pieces(), false);
    CountWanted();
  }

  Result<TransferResult> Run() {
    SessionOptions session_options;
    session_options.role = SessionRole::kDownload;
    session_options.preferred_port = start_.port;
    session_options.is_second = start_.is_second;
    session_options.dht_state = start_.dht_state;
    ASSIGN_OR_RETURN(session_,
                     Session::Open(options_.session, session_options, sink_));
    RETURN_IF_ERROR(folder_.MarkDirty());
    torrent_ = session_->engine().add_torrent(MakeParams());
    WebSeedOptions web = session_->WebSeedsOf(start_.web_seeds);
    if (!web.sources.empty()) {
      web_.emplace(checked_.metainfo, files_, std::move(web));
      web_->OnPieces(ToBitfield(start_.have));
    }
    session_->Resume();
    return Finish(Loop());
  }

 private:
  lt::add_torrent_params MakeParams() const {
    lt::add_torrent_params params;
    params.ti = checked_.info;
    params.save_path = folder_.data_path();
    session_->Prepare(params, start_.trackers);
    params.piece_priorities = PiecePriorities(scope_);
    params.unfinished_pieces = start_.unfinished;
    params.have_pieces = ToBitfield(start_.have);
    session_->AddPeers(params, options_.magnet.peers);
    for (const lt::tcp::endpoint& peer : start_.peers) {
      params.peers.push_back(peer);
    }
    return params;
  }

  // Until every wanted piece is here, or something stops the transfer.
  Result<void> Loop() {
    auto next_report = SteadyClock::now();
    auto next_status = next_report;
    auto next_save =
        next_report + (LacksLayers() ? kFirstLayersSave : kSaveEvery);
    last_news_ = next_report;
    while (true) {
      if (cancel_.cancelled()) return FailCancelled();
      for (const lt::alert* alert : session_->Wait(kPoll)) OnAlert(*alert);
      if (error_.has_value()) return verify::Unexpected(*error_);
      RETURN_IF_ERROR(TendLook());
      if (wanted_left_ == 0 && !scope_.look_pending()) return {};
      const auto now = SteadyClock::now();
      session_->Tend(torrent_);
      if (web_.has_value()) web_->Pump(torrent_, sink_);
      if (scope_.look_pending() && now >= next_status) {
        next_status = now + kPoll;
        AskForStatus();
      }
      if (now >= next_report) {
        next_report = now + kReport;
        if (web_.has_value()) {
          web_->Refresh(torrent_, progress_.num_peers > 0,
                        session_->rates().down_bytes_per_s, peers_rate_);
        }
        AskForStatus();
        progress_.swarm = AccountIfIdle(now);
        sink_.OnProgress(progress_);
      }
      if (now >= next_save) {
        next_save = now + kSaveEvery;
        want_layers_ = LacksLayers();
        torrent_.save_resume_data(want_layers_
                                      ? lt::torrent_handle::save_info_dict
                                      : lt::torrent_handle::only_if_modified);
      }
      if (now >= next_space_check_) {
        next_space_check_ = now + kCheckSpaceEvery;
        RETURN_IF_ERROR(CheckSpace());
      }
      GiveSecondChance(now);
      RETURN_IF_ERROR(CheckWaste());
      RETURN_IF_ERROR(CheckStall(now));
    }
  }

  // Lets the caller see what is here so far, once it is on disk; asks for more
  // when it has seen enough, or when what it waits for is slow to come.
  Result<void> TendLook() {
    if (!scope_.look_pending()) return {};
    if (!scope_.LookReady(counted_)) {
      if (scope_.Widen(counted_)) AskForOpen();
      return {};
    }
    if (!look_flushing_) {
      look_flushing_ = true;
      flushed_ = false;
      torrent_.flush_cache();
      return {};
    }
    if (!flushed_) return {};
    look_flushing_ = false;
    RETURN_IF_ERROR(scope_.Look(counted_));
    CountWanted();
    AskForOpen();
    return {};
  }

  void AskForStatus() {
    session_->engine().post_torrent_updates(
        lt::torrent_handle::query_pieces |
        lt::torrent_handle::query_distributed_copies);
  }

  void AskForOpen() { torrent_.prioritize_pieces(PiecePriorities(scope_)); }

  // Totals of the report, when what is wanted has changed.
  void CountWanted() {
    progress_.total_bytes = 0;
    progress_.done_bytes = 0;
    progress_.pieces_done = 0;
    wanted_left_ = 0;
    for (size_t i = 0; i < counted_.size(); ++i) {
      if (!scope_.Wants(i)) continue;
      const uint64_t bytes =
          PieceBytes(files_, lt::piece_index_t(static_cast<int>(i)));
      progress_.total_bytes += bytes;
      if (counted_[i]) {
        progress_.done_bytes += bytes;
        ++progress_.pieces_done;
      } else {
        ++wanted_left_;
      }
    }
  }

  // Stops before the disk is full: what was fetched by then is kept and the
  // state can still be written.
  Result<void> CheckSpace() const {
    const auto free_bytes = verify::FreeBytes(folder_.data_path());
    if (!free_bytes) return {};
    const uint64_t remaining = RemainingBytes();
    const uint64_t floor =
        options_.reserve_bytes + std::min(kMinFreeBytes, remaining);
    if (*free_bytes >= floor) return {};
    return Fail(ErrorCode::kIo,
                StrCat("\"", EscapeForTerminal(folder_.path()),
                       "\": ", *free_bytes, " bytes free, ", remaining,
                       " are still needed and ", options_.reserve_bytes,
                       " are to stay free"))
        .Id("E-DISK-FULL")
        .Hint(
            "free some space and run the same command again; what is here "
            "is kept");
  }

  uint64_t RemainingBytes() const {
    return progress_.total_bytes -
           std::min(progress_.total_bytes, progress_.done_bytes);
  }

  void OnAlert(const lt::alert& alert) {
    if (const auto* update = lt::alert_cast<lt::state_update_alert>(&alert)) {
      for (const lt::torrent_status& status : update->status) OnStatus(status);
    } else if (lt::alert_cast<lt::torrent_finished_alert>(&alert) != nullptr) {
      // Which pieces those are comes with the report.
      session_->engine().post_torrent_updates(lt::torrent_handle::query_pieces);
    } else if (const auto* failed =
                   lt::alert_cast<lt::hash_failed_alert>(&alert)) {
      OnHashFailed(*failed);
    } else if (const auto* disk =
                   lt::alert_cast<lt::file_error_alert>(&alert)) {
      OnFileError(*disk);
    } else if (const auto* broken =
                   lt::alert_cast<lt::torrent_error_alert>(&alert)) {
      OnTorrentError(*broken);
    } else if (lt::alert_cast<lt::fastresume_rejected_alert>(&alert) !=
               nullptr) {
      if (!error_.has_value()) {
        error_ = Fail(ErrorCode::kIo,
                      StrCat("\"", EscapeForTerminal(folder_.path()),
                             "\": files went away while they were opened"))
                     .Id("E-FILES-CHANGED")
                     .Hint(
                         "run the same command again: what is left is checked "
                         "first")
                     .error();
      }
    } else if (const auto* saved =
                   lt::alert_cast<lt::save_resume_data_alert>(&alert)) {
      OnResumeData(saved->params);
    } else if (lt::alert_cast<lt::save_resume_data_failed_alert>(&alert) !=
               nullptr) {
      // Not modified since the last one, as a rule.
      resume_answered_ = true;
    } else if (lt::alert_cast<lt::torrent_paused_alert>(&alert) != nullptr) {
      paused_ = true;
    } else if (lt::alert_cast<lt::cache_flushed_alert>(&alert) != nullptr) {
      flushed_ = true;
    }
  }

  void OnStatus(const lt::torrent_status& status) {
    peers_rate_ = status.download_payload_rate;
    progress_.down_bytes_per_s = peers_rate_;
    if (web_.has_value()) progress_.down_bytes_per_s += web_->bytes_per_s();
    progress_.up_bytes_per_s = status.upload_payload_rate;
    progress_.uploaded_bytes = static_cast<uint64_t>(
        std::max<int64_t>(status.total_payload_upload, 0));
    progress_.num_peers = status.num_peers;
    progress_.num_seeds = status.num_seeds;
    progress_.availability =
        std::max(0.0, static_cast<double>(status.distributed_copies));
    // Before it has taken over what is here, the engine reports nothing of it.
    const bool knows_pieces =
        status.state != lt::torrent_status::checking_resume_data &&
        status.state != lt::torrent_status::checking_files;
    if (knows_pieces) {
      CountPieces(status.pieces);
      if (web_.has_value()) web_->OnPieces(status.pieces);
    }
    const uint64_t downloaded =
        static_cast<uint64_t>(
            std::max<int64_t>(status.total_payload_download, 0)) +
        (web_.has_value() ? web_->seeds().downloaded_bytes() : 0);
    if (downloaded > result_.downloaded_bytes) {
      last_news_ = SteadyClock::now();
    }
    result_.downloaded_bytes = downloaded;
    result_.wasted_bytes = static_cast<uint64_t>(
        std::max<int64_t>(status.total_failed_bytes, 0) +
        std::max<int64_t>(status.total_redundant_bytes, 0));
    failed_bytes_ =
        static_cast<uint64_t>(std::max<int64_t>(status.total_failed_bytes, 0));
    if (web_.has_value()) {
      result_.wasted_bytes += web_->seeds().wasted_bytes();
      failed_bytes_ += web_->seeds().wasted_bytes();
    }
  }

  void CountPieces(const lt::typed_bitfield<lt::piece_index_t>& pieces) {
    if (static_cast<size_t>(pieces.size()) != counted_.size()) return;
    for (const lt::piece_index_t piece : pieces.range()) {
      const auto index = static_cast<size_t>(static_cast<int>(piece));
      if (pieces.get_bit(piece) == counted_[index]) continue;
      counted_[index] = !counted_[index];
      if (counted_[index]) good_since_failure_ = true;
      if (!scope_.Wants(index)) continue;
      const uint64_t bytes = PieceBytes(files_, piece);
      if (counted_[index]) {
        progress_.done_bytes += bytes;
        ++progress_.pieces_done;
        --wanted_left_;
        progress_.item = PieceItem(files_, piece);
      } else {
        progress_.done_bytes -= bytes;
        --progress_.pieces_done;
        ++wanted_left_;
      }
    }
  }

  void OnHashFailed(const lt::hash_failed_alert& alert) {
    const int piece = static_cast<int>(alert.piece_index);
    if (web_.has_value()) web_->OnHashFailed(alert.piece_index);
    good_since_failure_ = false;
    ++hash_failures_;
    worst_piece_failures_ =
        std::max(worst_piece_failures_, ++piece_failures_[piece]);
    if (hash_failures_ <= 20) {
      sink_.OnNotice(
          {"HASH_FAILED",
           StrCat("piece ", piece, " arrived with wrong bytes and was dropped"),
           ""});
    }
  }

  void OnFileError(const lt::file_error_alert& alert) {
    disk_error_ = true;
    if (error_.has_value()) return;
    const std::string what = StrCat("\"", EscapeForTerminal(alert.filename()),
                                    "\": ", lt::operation_name(alert.op), ": ",
                                    ErrorText(alert.error));
    if (!IsDiskFull(alert.error)) {
      error_ = Fail(ErrorCode::kIo, what).error();
      return;
    }
    const uint64_t remaining = RemainingBytes();
    error_ = Fail(ErrorCode::kIo,
                  StrCat(what, ": ", remaining, " bytes are still needed"))
                 .Id("E-DISK-FULL")
                 .Hint("free some space and run the same command again")
                 .error();
  }

  void OnTorrentError(const lt::torrent_error_alert& alert) {
    disk_error_ = true;
    if (error_.has_value()) return;
    if (alert.error == lt::errors::torrent_inconsistent_hashes) {
      error_ = Fail(ErrorCode::kMismatch,
                    "the v1 and the v2 hashes of this torrent speak of "
                    "different bytes")
                   .Id("E-HYBRID")
                   .Hint("do not use this torrent")
                   .error();
      return;
    }
    error_ = Fail(ErrorCode::kIo,
                  StrCat("transfer stopped: ", ErrorText(alert.error)))
                 .error();
  }

  void OnResumeData(lt::add_torrent_params params) {
    resume_answered_ = true;
    if (want_layers_ && params.ti != nullptr) TakeLayers(params);
    // The block layer of a v2 torrent is 32 bytes for each 16 KiB, and can be
    // had again; 2.0.8 reads it back wrong besides.
    params.merkle_trees.clear();
    params.merkle_tree_mask.clear();
    params.verified_leaf_hashes.clear();
    params.ti.reset();
    const std::vector<char> buffer = lt::write_resume_data_buf(params);
    const verify::ByteSpan bytes =
        verify::AsBytes({buffer.data(), buffer.size()});
    state_.resume_data.assign(bytes.begin(), bytes.end());
    const auto saved = SaveState(folder_.state_path(), state_);
    if (!saved && !error_.has_value()) error_ = saved.error();
  }

  // A whole .torrent of a v2 torrent needs hash layers, which come from peers.
  void TakeLayers(const lt::add_torrent_params& params) {
    const auto whole = Guarded("torrent", [&] {
      lt::entry torrent = lt::write_torrent_file(params);
      std::vector<char> buffer;
      lt::bencode(std::back_inserter(buffer), torrent);
      return buffer;
    });
    if (!whole) return;
    const verify::ByteSpan bytes =
        verify::AsBytes({whole->data(), whole->size()});
    if (!ParseMetainfo(bytes)) return;
    result_.torrent.assign(bytes.begin(), bytes.end());
    // With them the next run can check what is on disk piece by piece.
    state_.torrent = result_.torrent;
    state_.info.clear();
  }

  // A v2 torrent of which only the magnet was known: its nodes come from peers.
  bool LacksLayers() const {
    return checked_.torrent.empty() && result_.torrent.empty();
  }

  // The engine bans whoever had a part in a few pieces that failed: where
  // several send blocks of the same pieces, one liar can take honest peers
  // with it. Alone, a liar is told from others by its first piece.
  void GiveSecondChance(SteadyClock::time_point now) {
    const uint64_t banned = session_->trace().peers_banned();
    if (banned == forgiven_ || num_chances_ == kMaxSecondChances ||
        progress_.num_peers > 0 || now - last_news_ < kSecondChanceAfter) {
      return;
    }
    forgiven_ = banned;
    ++num_chances_;
    sink_.OnNotice({"SECOND_CHANCE",
                    "no peer is left that was not banned: all are asked again",
                    ""});
    torrent_.clear_peers();
    torrent_.force_reannounce();
  }

  Result<void> CheckWaste() const {
    const uint64_t limit =
        std::max({kMinWasteLimit, 16 * checked_.metainfo.piece_length,
                  progress_.total_bytes / 20});
    if (failed_bytes_ <= limit && worst_piece_failures_ < kMaxPieceFailures) {
      return {};
    }
    return FailCorrupt();
  }

  uint64_t WrongFromWeb() const {
    return web_.has_value() ? web_->seeds().wrong_pieces() : 0;
  }

  verify::Unexpected FailCorrupt() const {
    return Fail(ErrorCode::kMismatch,
                StrCat("the swarm sends wrong bytes: ",
                       hash_failures_ + WrongFromWeb(),
                       " pieces failed their hash, ", failed_bytes_,
                       " bytes dropped, ", session_->trace().peers_banned(),
                       " peers banned"))
        .Id("E-SWARM-CORRUPT")
        .Hint("what passed its hash is kept; try again with other peers");
  }

  Result<void> CheckStall(SteadyClock::time_point now) const {
    if (options_.stall_timeout_s <= 0) return {};
    const double waited_s =
        std::chrono::duration<double>(now - last_news_).count();
    if (waited_s < options_.stall_timeout_s) return {};
    // Whoever is left was banned: that is no matter of time.
    const bool web_banned =
        WrongFromWeb() > 0 && web_->seeds().num_alive() == 0;
    const bool all_banned =
        progress_.num_peers == 0 &&
        (session_->trace().peers_banned() > 0 || web_banned);
    if (hash_failures_ + WrongFromWeb() > 0 &&
        (!good_since_failure_ || all_banned)) {
      return FailCorrupt();
    }
    const bool reached = session_->trace().ever_connected();
    return Fail(ErrorCode::kNetwork,
                StrCat(reached ? "no new byte" : "no peers", " for ",
                       verify::FormatDuration(waited_s), ", ",
                       progress_.done_bytes, " of ", progress_.total_bytes,
                       " bytes here: ",
                       session_->trace().Describe(session_->settings())))
        .Id(reached ? "E-STALLED" : "E-NO-PEERS")
        .Hint(StrCat("what is here is kept, the same command goes on; ",
                     session_->trace().Advice(session_->settings())));
  }

  // Why nothing comes, if that is so.
  std::optional<SwarmAccount> AccountIfIdle(SteadyClock::time_point now) const {
    const auto waited = now - last_news_;
    if (result_.downloaded_bytes > 0 && waited < kIdle) {
      return std::nullopt;
    }
    return session_->trace().Account(
        session_->settings(), std::chrono::duration<double>(waited).count());
  }

  // Handles alerts until `done` holds or the time is over; true if it holds.
  bool WaitUntil(const bool& done, SteadyClock::duration limit) {
    const auto end = SteadyClock::now() + limit;
    while (!done && SteadyClock::now() < end) {
      for (const lt::alert* alert : session_->Wait(milliseconds(50))) {
        OnAlert(*alert);
      }
    }
    return done;
  }

  // Brings payload, state and session to rest, whatever the outcome was.
  Result<TransferResult> Finish(Result<void> outcome) {
    const bool complete = outcome.has_value();
    if (complete) {
      progress_.stage = TransferStage::kFlush;
      sink_.OnProgress(progress_);
    }
    if (web_.has_value()) web_->Stop();
    torrent_.pause();
    WaitUntil(paused_, seconds(1));
    flushed_ = false;
    torrent_.flush_cache();
    // A whole torrent waits for its last block; an interrupted one is checked
    // again if the disk is slower than this.
    bool at_rest = WaitUntil(flushed_, seconds(2));
    const auto flush_end = SteadyClock::now() + seconds(600);
    while (!at_rest && complete && !cancel_.cancelled() &&
           SteadyClock::now() < flush_end) {
      at_rest = WaitUntil(flushed_, milliseconds(200));
    }
    OnStatus(torrent_.status(lt::torrent_handle::query_pieces));
    want_layers_ = LacksLayers();
    resume_answered_ = false;
    torrent_.save_resume_data(want_layers_ ? lt::torrent_handle::save_info_dict
                                           : lt::resume_data_flags_t{});
    at_rest = WaitUntil(resume_answered_, seconds(2)) && at_rest;
    session_->Stop();
    if (complete) sink_.OnProgress(progress_);
    const Result<void> settled = Settle(at_rest);
    if (!complete) return verify::Unexpected(std::move(outcome).error());
    if (error_.has_value()) return verify::Unexpected(*error_);
    RETURN_IF_ERROR(settled);
    if (!at_rest) {
      if (cancel_.cancelled()) return FailCancelled();
      return Fail(ErrorCode::kIo,
                  "the disk did not take the last blocks in time");
    }
    return std::move(result_);
  }

  // With the engine gone: payload to disk first, then a state that claims it,
  // then the mark of an unclean run may go.
  Result<void> Settle(bool at_rest) {
    if (!at_rest || disk_error_ || state_.resume_data.empty()) return {};
    RETURN_IF_ERROR(SyncPayload(checked_.metainfo, folder_.data_path()));
    state_.payload_fingerprint =
        PayloadFingerprint(checked_.metainfo, folder_.data_path());
    RETURN_IF_ERROR(SaveState(folder_.state_path(), state_));
    return folder_.MarkClean();
  }

  const DownloadOptions& options_;
  const CheckedTorrent& checked_;
  const TransferStart& start_;
  FetchScope& scope_;
  WorkFolder& folder_;
  const verify::CancelToken& cancel_;
  TransferSink& sink_;
  const lt::file_storage& files_;

  std::unique_ptr<Session> session_;
  lt::torrent_handle torrent_;
  std::optional<WebSeedFeed> web_;
  ResumeState state_;
  TransferProgress progress_;
  double peers_rate_ = 0;  // bytes/s
  TransferResult result_;
  std::optional<verify::Error> error_;
  PieceSet counted_;  // what is here, wanted or not
  std::map<int, int> piece_failures_;
  int worst_piece_failures_ = 0;
  uint64_t hash_failures_ = 0;
  uint64_t forgiven_ = 0;  // bans
  int num_chances_ = 0;
  uint64_t failed_bytes_ = 0;
  bool good_since_failure_ = true;
  SteadyClock::time_point last_news_{};
  SteadyClock::time_point next_space_check_{};
  size_t wanted_left_ = 0;  // pieces
  bool look_flushing_ = false;
  bool disk_error_ = false;
  bool paused_ = false;
  bool flushed_ = false;
  bool resume_answered_ = false;
  bool want_layers_ = false;
};

}  // namespace

Result<TransferResult> RunTransfer(const DownloadOptions& options,
                                   const CheckedTorrent& torrent,
                                   const TransferStart& start,
                                   FetchScope& scope, WorkFolder& folder,
                                   const verify::CancelToken& cancel,
                                   TransferSink& sink) {
  return TransferRun(options, torrent, start, scope, folder, cancel, sink)
      .Run();
}

}  // namespace p2p
