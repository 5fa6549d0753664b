// SPDX-License-Identifier: Apache-2.0
// Long because: choosing, fetching, judging and giving up share one state.
#include "p2p/web_seeds.h"

#include <curl/curl.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <thread>
#include <utility>

#include "p2p/http_range.h"
#include "verify/base/check.h"
#include "verify/base/text.h"
#include "verify/digest/digest.h"

namespace p2p {
namespace {

using verify::EscapeForTerminal;
using verify::StrCat;
using SteadyClock = std::chrono::steady_clock;
using std::chrono::duration;
using std::chrono::duration_cast;
using Kind = RangeVerdict::Kind;

// What one request sequence fetches at most, but for a larger piece.
constexpr uint64_t kBatchBytes = 8u << 20;
constexpr size_t kRequestsPerSource = 2;
constexpr size_t kMaxRequests = 4;
// Pieces that wait for Take: nothing is begun beyond.
constexpr uint64_t kMaxReadyBytes = 16u << 20;
constexpr size_t kMaxWrongPieces = 3;
constexpr int kMaxFailures = 10;
constexpr int kMaxMisses = 10;
constexpr double kFirstWaitSeconds = 1;
constexpr double kLongestWaitSeconds = 120;
constexpr int kPollMs = 100;

void AppendEncoded(std::string& to, std::string_view part) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  for (const char c : part) {
    const auto byte = static_cast<unsigned char>(c);
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
        (c >= 'A' && c <= 'Z') || c == '-' || c == '.' || c == '_' ||
        c == '~' || c == '/') {
      to += c;
    } else {
      to += '%';
      to += kHex[byte >> 4];
      to += kHex[byte & 15];
    }
  }
}

}  // namespace

std::string WebSeedFileUrl(std::string_view url, const Metainfo& metainfo,
                           const MetainfoFile& file) {
  std::string full(url);
  if (metainfo.single_file && !full.ends_with('/')) return full;
  if (!full.ends_with('/')) full += '/';
  AppendEncoded(full, metainfo.name);
  if (!metainfo.single_file) {
    full += '/';
    AppendEncoded(full, file.path);
  }
  return full;
}

class WebSeeds::Worker {
 public:
  Worker(WebSeeds& owner, const Metainfo& metainfo, WebSeedOptions options)
      : owner_(owner), metainfo_(metainfo) {
    CHECK(!options.sources.empty());
    CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    multi_.reset(curl_multi_init());
    CHECK(multi_ != nullptr);
    for (const MetainfoFile& file : metainfo_.files) {
      layout_end_ = std::max(layout_end_, file.offset + file.size_bytes);
    }
    taken_.assign(metainfo_.num_pieces(), false);
    const size_t lanes =
        std::min(kMaxRequests, kRequestsPerSource * options.sources.size());
    for (const WebSeedSource& named : options.sources) {
      Source source;
      source.url = named.url;
      source.rules.origin = named.url;
      source.rules.named_by_user = named.named_by_user;
      source.rules.allow_local = options.allow_local;
      source.rules.proxy = options.proxy;
      source.rules.proxy_login = options.proxy_login;
      sources_.push_back(std::move(source));
    }
    owner_.num_alive_ = sources_.size();
    lanes_.resize(lanes);
    thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
  }

  ~Worker() {
    Stop();
    multi_.reset();
    curl_global_cleanup();
  }

  void Stop() {
    if (!thread_.joinable()) return;
    thread_.request_stop();
    curl_multi_wakeup(multi_.get());
    thread_.join();
  }

  void Want(std::vector<uint32_t> pieces) {
    {
      const std::lock_guard lock(mu_);
      wanted_ = std::move(pieces);
    }
    curl_multi_wakeup(multi_.get());
  }

  News Take() {
    const std::lock_guard lock(mu_);
    ready_bytes_ = 0;
    return std::exchange(news_, {});
  }

  void OnPieceFailed(uint32_t piece, bool wrong) {
    {
      const std::lock_guard lock(mu_);
      failed_.emplace_back(piece, wrong);
    }
    curl_multi_wakeup(multi_.get());
  }

 private:
  struct MultiDeleter {
    void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
  };

  // One file's part of a batch.
  struct Slice {
    size_t file_index = 0;
    uint64_t offset = 0;  // in the file
    uint64_t size = 0;
    uint64_t at = 0;  // in the batch's buffer
  };

  // Consecutive pieces that one source fetches slice by slice.
  struct Batch {
    uint32_t first = 0;
    uint32_t count = 0;
    std::vector<uint64_t> piece_at;  // count + 1 offsets in `bytes`
    std::vector<std::byte> bytes;
    std::vector<Slice> slices;
    size_t current = 0;  // slice
  };

  struct Source {
    std::string url;
    HttpRules rules;
    bool alive = true;
    int failures = 0;  // in a row
    int misses = 0;    // files that it has not got, in a row
    SteadyClock::time_point next_try{};
    std::set<uint32_t> wrong;  // pieces
    std::set<size_t> missing_files;
    std::string told;  // the last reason said to the user
    size_t running = 0;
  };

  // A handle that carries one batch after the other.
  struct Lane {
    std::unique_ptr<RangeRequest> request;
    size_t source = 0;
    std::optional<Batch> batch;
  };

  void Run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      HearOfFailures();
      for (Lane& lane : lanes_) {
        if (!lane.batch.has_value()) TryStart(lane);
      }
      int running = 0;
      curl_multi_perform(multi_.get(), &running);
      int left = 0;
      while (CURLMsg* message = curl_multi_info_read(multi_.get(), &left)) {
        if (message->msg == CURLMSG_DONE) {
          OnDone(message->easy_handle, message->data.result);
        }
      }
      curl_multi_poll(multi_.get(), nullptr, 0, kPollMs, nullptr);
    }
    for (Lane& lane : lanes_) {
      if (lane.batch.has_value()) {
        curl_multi_remove_handle(multi_.get(), lane.request->easy());
      }
      lane.request.reset();
    }
  }

  void HearOfFailures() {
    std::vector<std::pair<uint32_t, bool>> failed;
    {
      const std::lock_guard lock(mu_);
      failed.swap(failed_);
    }
    for (const auto& [piece, wrong] : failed) {
      taken_[piece] = false;
      const auto sender = sent_by_.find(piece);
      if (sender == sent_by_.end()) continue;
      // With a v1 digest the piece was right when it was handed over.
      if (wrong && metainfo_.piece_digests.empty()) {
        OnWrongPiece(sources_[sender->second], piece);
      }
      sent_by_.erase(sender);
    }
  }

  uint64_t PieceSize(uint32_t piece) const {
    const uint64_t begin = uint64_t{piece} * metainfo_.piece_length;
    return std::min(metainfo_.piece_length, layout_end_ - begin);
  }

  bool MayAsk(const Source& source, uint32_t piece) const {
    if (taken_[piece] || source.wrong.contains(piece)) return false;
    if (source.missing_files.empty()) return true;
    const std::vector<FileRange> ranges = PieceRanges(metainfo_, piece);
    return std::none_of(
        ranges.begin(), ranges.end(), [&](const FileRange& range) {
          return source.missing_files.contains(range.file_index);
        });
  }

  // The first wanted piece that this source may have, and its successors.
  std::optional<Batch> ChooseBatch(const Source& source) {
    const std::lock_guard lock(mu_);
    if (ready_bytes_ >= kMaxReadyBytes) return std::nullopt;
    const auto first =
        std::find_if(wanted_.begin(), wanted_.end(),
                     [&](uint32_t piece) { return MayAsk(source, piece); });
    if (first == wanted_.end()) return std::nullopt;
    Batch batch;
    batch.first = *first;
    uint64_t bytes = 0;
    for (auto next = first; next != wanted_.end(); ++next) {
      const uint64_t size = PieceSize(*next);
      if (*next != batch.first + batch.count ||
          (batch.count > 0 && bytes + size > kBatchBytes) ||
          !MayAsk(source, *next)) {
        break;
      }
      batch.piece_at.push_back(bytes);
      bytes += size;
      ++batch.count;
    }
    batch.piece_at.push_back(bytes);
    return batch;
  }

  void FillBatch(Batch& batch) {
    for (uint32_t i = 0; i < batch.count; ++i) {
      const uint32_t piece = batch.first + i;
      taken_[piece] = true;
      const uint64_t begin = uint64_t{piece} * metainfo_.piece_length;
      for (const FileRange& range : PieceRanges(metainfo_, piece)) {
        const uint64_t at =
            batch.piece_at[i] +
            (metainfo_.files[range.file_index].offset + range.offset - begin);
        if (!batch.slices.empty()) {
          Slice& last = batch.slices.back();
          if (last.file_index == range.file_index &&
              last.offset + last.size == range.offset) {
            last.size += range.size_bytes;
            continue;
          }
        }
        batch.slices.push_back(
            {range.file_index, range.offset, range.size_bytes, at});
      }
    }
    batch.bytes.resize(batch.piece_at.back());
  }

  void TryStart(Lane& lane) {
    const auto now = SteadyClock::now();
    for (size_t i = 0; i < sources_.size(); ++i) {
      // In turn, so that each gets its share.
      const size_t index = (next_source_ + i) % sources_.size();
      Source& source = sources_[index];
      if (!source.alive || now < source.next_try ||
          source.running >= kRequestsPerSource ||
          (source.failures > 0 && source.running > 0)) {
        continue;
      }
      std::optional<Batch> batch = ChooseBatch(source);
      if (!batch.has_value()) continue;
      FillBatch(*batch);
      if (lane.request == nullptr || lane.source != index) {
        lane.request = std::make_unique<RangeRequest>(source.rules);
      }
      lane.source = index;
      lane.batch = std::move(batch);
      ++source.running;
      next_source_ = index + 1;
      if (lane.batch->slices.empty()) {
        EndBatch(lane, lane.batch->bytes.size());  // padding alone
      } else {
        BeginSlice(lane);
      }
      return;
    }
  }

  void BeginSlice(Lane& lane) {
    Batch& batch = *lane.batch;
    const Slice& slice = batch.slices[batch.current];
    const uint64_t limit = owner_.limit_bytes_per_s_;
    lane.request->SetLimit(
        limit == 0 ? 0 : std::max<uint64_t>(1, limit / lanes_.size()));
    const MetainfoFile& file = metainfo_.files[slice.file_index];
    lane.request->Begin(
        WebSeedFileUrl(sources_[lane.source].url, metainfo_, file),
        slice.offset, std::span(batch.bytes).subspan(slice.at, slice.size),
        file.size_bytes);
    curl_multi_add_handle(multi_.get(), lane.request->easy());
  }

  void OnDone(CURL* easy, CURLcode code) {
    const auto lane =
        std::find_if(lanes_.begin(), lanes_.end(), [&](const Lane& candidate) {
          return candidate.request != nullptr &&
                 candidate.request->easy() == easy;
        });
    curl_multi_remove_handle(multi_.get(), easy);
    if (lane == lanes_.end()) return;
    const std::optional<RangeVerdict> verdict = lane->request->Finish(code);
    if (!verdict.has_value()) {
      curl_multi_add_handle(multi_.get(), easy);
      return;
    }
    Batch& batch = *lane->batch;
    const Slice slice = batch.slices[batch.current];
    owner_.downloaded_bytes_ += lane->request->received();
    Source& source = sources_[lane->source];
    if (verdict->kind == Kind::kComplete) {
      source.failures = 0;
      source.misses = 0;
      if (++batch.current < batch.slices.size()) {
        BeginSlice(*lane);
      } else {
        EndBatch(*lane, batch.bytes.size());
      }
      return;
    }
    // A body that was cut off may hold whole pieces; what a server sends that
    // breaks the rules is not even looked at.
    const bool partial = verdict->kind == Kind::kRetryLater;
    const size_t good = EndBatch(
        *lane, partial ? slice.at + lane->request->received() : slice.at);
    if (partial && good > 0) {
      // It gets on, piece by piece: no reason to wait.
      source.failures = 0;
      TellOnce(source, verdict->reason);
      return;
    }
    if (!partial) owner_.wasted_bytes_ += lane->request->received();
    OnFailure(source, slice.file_index, *verdict);
  }

  // Hands over the whole pieces within the first `bytes` and frees the lane.
  // Returns how many there were.
  size_t EndBatch(Lane& lane, uint64_t bytes) {
    const Batch batch = std::move(*lane.batch);
    lane.batch.reset();
    Source& source = sources_[lane.source];
    --source.running;
    size_t good = 0;
    uint64_t used = 0;
    for (uint32_t i = 0; i < batch.count; ++i) {
      const uint32_t piece = batch.first + i;
      const uint64_t end = batch.piece_at[i + 1];
      if (end > bytes) {
        taken_[piece] = false;
        continue;
      }
      used = end;
      const verify::ByteSpan content =
          verify::ByteSpan(batch.bytes)
              .subspan(batch.piece_at[i], end - batch.piece_at[i]);
      if (!metainfo_.piece_digests.empty() &&
          verify::Sha1(content) != metainfo_.piece_digests[piece]) {
        taken_[piece] = false;
        OnWrongPiece(source, piece);
        continue;
      }
      ++good;
      sent_by_[piece] = lane.source;
      const std::string_view text = verify::AsText(content);
      const std::lock_guard lock(mu_);
      ready_bytes_ += content.size();
      news_.pieces.push_back({piece, {text.begin(), text.end()}});
    }
    owner_.wasted_bytes_ += bytes - used;
    return good;
  }

  void OnWrongPiece(Source& source, uint32_t piece) {
    source.wrong.insert(piece);
    ++owner_.wrong_pieces_;
    owner_.wasted_bytes_ += PieceSize(piece);
    Tell("HASH_FAILED",
         StrCat("piece ", piece, " came with wrong bytes from web seed ",
                EscapeForTerminal(source.url), " and was dropped"));
    if (source.wrong.size() < kMaxWrongPieces || !source.alive) return;
    Retire(source);
    Tell("WEB_SEED_BANNED",
         StrCat("web seed ", EscapeForTerminal(source.url), " sent ",
                source.wrong.size(), " wrong pieces and is not used any more"));
  }

  void OnFailure(Source& source, size_t file_index,
                 const RangeVerdict& verdict) {
    if (!source.alive) return;
    if (verdict.kind == Kind::kBroken) {
      Retire(source);
      Tell("WEB_SEED_BANNED",
           StrCat("web seed ", EscapeForTerminal(source.url),
                  " is not used any more: ", verdict.reason));
      return;
    }
    if (verdict.kind == Kind::kFileMissing) {
      source.missing_files.insert(file_index);
      if (++source.misses >= kMaxMisses) {
        Retire(source);
        Tell("WEB_SEED_FAILED",
             StrCat("web seed ", EscapeForTerminal(source.url), " has none of ",
                    source.misses,
                    " files and is not used any more: ", verdict.reason));
        return;
      }
      TellOnce(
          source,
          StrCat(verdict.reason, " for \"",
                 EscapeForTerminal(metainfo_.files[file_index].path), "\""));
      return;
    }
    if (++source.failures >= kMaxFailures) {
      Retire(source);
      Tell("WEB_SEED_FAILED",
           StrCat("web seed ", EscapeForTerminal(source.url), " failed ",
                  source.failures,
                  " times in a row and is not tried again in this run: ",
                  verdict.reason));
      return;
    }
    double wait = kFirstWaitSeconds;
    for (int i = 1; i < source.failures; ++i) wait *= 2;
    wait = std::max(std::min(wait, kLongestWaitSeconds), verdict.retry_after_s);
    source.next_try = SteadyClock::now() + duration_cast<SteadyClock::duration>(
                                               duration<double>(wait));
    TellOnce(source, verdict.reason);
  }

  void Retire(Source& source) {
    source.alive = false;
    --owner_.num_alive_;
  }

  void Tell(std::string code, std::string message) {
    const std::lock_guard lock(mu_);
    // A server decides how often: what waits for Take is bounded.
    if (news_.notices.size() >= 100) return;
    news_.notices.push_back({std::move(code), std::move(message), ""});
  }

  void TellOnce(Source& source, const std::string& reason) {
    if (source.told == reason) return;
    source.told = reason;
    Tell("WEB_SEED_FAILED",
         StrCat("web seed ", EscapeForTerminal(source.url), ": ", reason));
  }

  WebSeeds& owner_;
  const Metainfo& metainfo_;
  uint64_t layout_end_ = 0;
  std::unique_ptr<CURLM, MultiDeleter> multi_;

  // Of the thread alone.
  std::vector<Source> sources_;
  std::vector<Lane> lanes_;
  size_t next_source_ = 0;
  std::vector<bool> taken_;  // being fetched, or handed over
  std::map<uint32_t, size_t> sent_by_;

  std::mutex mu_;
  std::vector<uint32_t> wanted_;                   // guarded by mu_
  std::vector<std::pair<uint32_t, bool>> failed_;  // guarded by mu_
  News news_;                                      // guarded by mu_
  uint64_t ready_bytes_ = 0;                       // guarded by mu_

  std::jthread thread_;  // last: it ends before what it uses
};

WebSeeds::WebSeeds(const Metainfo& metainfo, WebSeedOptions options)
    : worker_(std::make_unique<Worker>(*this, metainfo, std::move(options))) {}

WebSeeds::~WebSeeds() = default;

void WebSeeds::Want(std::vector<uint32_t> pieces) {
  worker_->Want(std::move(pieces));
}

void WebSeeds::Stop() { worker_->Stop(); }

WebSeeds::News WebSeeds::Take() { return worker_->Take(); }

void WebSeeds::OnPieceFailed(uint32_t piece, bool wrong) {
  worker_->OnPieceFailed(piece, wrong);
}

}  // namespace p2p
