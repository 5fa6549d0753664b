// SPDX-License-Identifier: Apache-2.0
#include "p2p/seeder.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <libtorrent/torrent_flags.hpp>
#include <libtorrent/torrent_status.hpp>
#include <utility>

#include "p2p/session.h"
#include "p2p/torrent_plan.h"
#include "verify/base/file.h"
#include "verify/base/text.h"

namespace p2p {
namespace {

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Result;
using verify::StrCat;
using SteadyClock = std::chrono::steady_clock;

constexpr auto kReport = std::chrono::milliseconds(500);

verify::Unexpected FailChanged(std::string_view what) {
  return verify::Fail(ErrorCode::kMismatch,
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

Result<std::string> TopName(const SeedItem& item, const Metainfo& metainfo) {
  const std::string& name =
      item.payload_name.empty() ? metainfo.name : item.payload_name;
  if (name.find('/') != std::string::npos || name == "." || name == "..") {
    return verify::Fail(ErrorCode::kInvalidArgument,
                        StrCat("\"", EscapeForTerminal(name),
                               "\" is not a name of a file or folder"));
  }
  return name;
}

}  // namespace

class Seeder::Impl {
 public:
  explicit Impl(std::unique_ptr<Session> session, TransferSink& sink)
      : session_(std::move(session)), sink_(sink) {
    session_->Resume();
  }

  Result<std::string> Add(const SeedItem& item) {
    ASSIGN_OR_RETURN(CheckedTorrent torrent, CheckTorrent(item.torrent));
    ASSIGN_OR_RETURN(const std::string top_name,
                     TopName(item, torrent.metainfo));
    RETURN_IF_ERROR(CheckFiles(torrent.metainfo, item.save_folder, top_name));
    const std::string key = torrent.metainfo.info_hashes.Key();
    if (const Entry* there = Find(key)) {
      if (there->status.state != SeedState::kFailed) {
        return verify::Fail(ErrorCode::kBusy,
                            StrCat("torrent ", key, " is served already"))
            .Id("E-SEEDING");
      }
      Remove(key);
    }
    Entry entry;
    entry.status.key = key;
    entry.status.state = item.paused ? SeedState::kPaused : SeedState::kServing;
    entry.status.total_bytes = torrent.metainfo.total_bytes();
    entry.status.num_pieces = static_cast<uint32_t>(torrent.info->num_pieces());
    const auto added = Guarded("seed", [&] {
      RenameTop(*torrent.info, top_name);
      lt::add_torrent_params params;
      params.ti = torrent.info;
      params.save_path = item.save_folder;
      session_->Prepare(params, torrent.metainfo.trackers);
      // The caller verified every piece: nothing is read before it is asked
      // for, and then it is hashed once. Upload mode: should a file have
      // changed, nothing is fetched over it.
      params.flags |=
          lt::torrent_flags::seed_mode | lt::torrent_flags::upload_mode;
      if (item.paused) params.flags |= lt::torrent_flags::paused;
      entry.handle = session_->engine().add_torrent(std::move(params));
    });
    if (!added) return verify::Unexpected(added.error());
    sink_.OnPlan(MakePlan(torrent.metainfo, torrent.metainfo.total_bytes()));
    entries_.push_back(std::move(entry));
    return key;
  }

  bool Remove(const std::string& key) {
    const auto entry = std::find_if(
        entries_.begin(), entries_.end(),
        [&](const Entry& other) { return other.status.key == key; });
    if (entry == entries_.end()) return false;
    Withdraw(*entry);
    entries_.erase(entry);
    return true;
  }

  bool SetPaused(const std::string& key, bool paused) {
    Entry* entry = Find(key);
    if (entry == nullptr || entry->status.state == SeedState::kFailed) {
      return false;
    }
    entry->status.state = paused ? SeedState::kPaused : SeedState::kServing;
    static_cast<void>(Guarded("pause", [&] {
      if (paused) {
        entry->handle.pause();
      } else {
        entry->handle.resume();
      }
    }));
    return true;
  }

  bool Fail(const std::string& key, const verify::Error& error) {
    Entry* entry = Find(key);
    if (entry == nullptr) return false;
    Stop(*entry, error);
    return true;
  }

  void SetRates(uint64_t down_bytes_per_s, uint64_t up_bytes_per_s) {
    lt::settings_pack pack;
    p2p::SetRates(pack, {.down_bytes_per_s = down_bytes_per_s,
                         .up_bytes_per_s = up_bytes_per_s});
    session_->engine().apply_settings(std::move(pack));
  }

  void Poll(std::chrono::milliseconds timeout) {
    for (const lt::alert* alert : session_->Wait(timeout)) OnAlert(*alert);
    std::vector<lt::torrent_handle> handles;
    for (const Entry& entry : entries_) {
      if (entry.status.state == SeedState::kServing) {
        handles.push_back(entry.handle);
      }
    }
    session_->TendAll(handles);
    const auto now = SteadyClock::now();
    if (now >= next_report_) {
      next_report_ = now + kReport;
      session_->engine().post_torrent_updates(
          lt::torrent_handle::query_distributed_copies);
    }
  }

  std::vector<SeedStatus> Statuses() const {
    std::vector<SeedStatus> statuses;
    for (const Entry& entry : entries_) statuses.push_back(entry.status);
    return statuses;
  }

  void Refresh() {
    static_cast<void>(Guarded("status", [&] {
      for (Entry& entry : entries_) {
        if (entry.status.state == SeedState::kFailed) continue;
        OnStatus(entry, entry.handle.status(
                            lt::torrent_handle::query_distributed_copies));
      }
    }));
  }

  uint16_t port() const { return session_->port(); }
  void Stop() { session_->Stop(); }

 private:
  struct Entry {
    SeedStatus status;
    lt::torrent_handle handle;
  };

  Entry* Find(const std::string& key) {
    for (Entry& entry : entries_) {
      if (entry.status.key == key) return &entry;
    }
    return nullptr;
  }

  Entry* Find(const lt::torrent_handle& handle) {
    for (Entry& entry : entries_) {
      if (entry.handle == handle) return &entry;
    }
    return nullptr;
  }

  // Out of the engine; no file is touched.
  void Withdraw(const Entry& entry) {
    if (entry.status.state == SeedState::kFailed) return;
    static_cast<void>(Guarded(
        "remove", [&] { session_->engine().remove_torrent(entry.handle); }));
  }

  void Stop(Entry& entry, const verify::Error& error) {
    if (entry.status.state == SeedState::kFailed) return;
    Withdraw(entry);
    entry.status.state = SeedState::kFailed;
    entry.status.error = error;
    entry.status.up_bytes_per_s = 0;
    entry.status.num_peers = 0;
  }

  void OnAlert(const lt::alert& alert) {
    if (const auto* update = lt::alert_cast<lt::state_update_alert>(&alert)) {
      for (const lt::torrent_status& status : update->status) {
        if (Entry* entry = Find(status.handle)) OnStatus(*entry, status);
      }
      return;
    }
    const auto* of_torrent = dynamic_cast<const lt::torrent_alert*>(&alert);
    if (of_torrent == nullptr) return;
    Entry* entry = Find(of_torrent->handle);
    if (entry == nullptr) return;
    if (const auto* disk = lt::alert_cast<lt::file_error_alert>(&alert)) {
      Stop(*entry,
           verify::Fail(ErrorCode::kIo,
                        StrCat("\"", EscapeForTerminal(disk->filename()),
                               "\": ", lt::operation_name(disk->op), ": ",
                               ErrorText(disk->error)))
               .error());
    } else if (const auto* refused =
                   lt::alert_cast<lt::fastresume_rejected_alert>(&alert)) {
      Stop(*entry, FailChanged(ErrorText(refused->error)).error());
    } else if (const auto* state =
                   lt::alert_cast<lt::state_changed_alert>(&alert)) {
      // The engine hashes everything again once a piece that it was asked for
      // has the wrong bytes.
      if (state->state == lt::torrent_status::checking_files ||
          state->state == lt::torrent_status::downloading) {
        Stop(*entry, FailChanged("a piece does not match its hash").error());
      }
    } else if (const auto* broken =
                   lt::alert_cast<lt::torrent_error_alert>(&alert)) {
      Stop(*entry,
           verify::Fail(ErrorCode::kIo,
                        StrCat("seeding stopped: ", ErrorText(broken->error)))
               .error());
    }
  }

  static void OnStatus(Entry& entry, const lt::torrent_status& status) {
    SeedStatus& out = entry.status;
    out.up_bytes_per_s = status.upload_payload_rate;
    if (status.total_payload_upload > 0) {
      out.uploaded_bytes = static_cast<uint64_t>(status.total_payload_upload);
    }
    out.num_peers = status.num_peers;
    out.complete.connected_seeds = status.num_seeds;
    out.complete.known_seeds = status.list_seeds;
    out.complete.tracker_complete = status.num_complete;
    // Of a torrent that is whole here the engine counts none.
    out.availability =
        1.0 + std::max(0.0, static_cast<double>(status.distributed_copies));
  }

  std::unique_ptr<Session> session_;
  TransferSink& sink_;
  std::vector<Entry> entries_;
  SteadyClock::time_point next_report_{};
};

TransferProgress ProgressOf(const SeedStatus& status) {
  TransferProgress progress;
  progress.stage = TransferStage::kSeed;
  progress.total_bytes = status.total_bytes;
  progress.done_bytes = status.total_bytes;
  progress.pieces_done = status.num_pieces;
  progress.up_bytes_per_s = status.up_bytes_per_s;
  progress.uploaded_bytes = status.uploaded_bytes;
  progress.num_peers = status.num_peers;
  progress.num_seeds = status.complete.connected_seeds;
  progress.availability = status.availability;
  return progress;
}

Seeder::Seeder(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Seeder::~Seeder() = default;

Result<std::unique_ptr<Seeder>> Seeder::Open(const SessionSettings& settings,
                                             TransferSink& sink) {
  SessionOptions options;
  options.role = SessionRole::kSeed;
  ASSIGN_OR_RETURN(std::unique_ptr<Session> session,
                   Session::Open(settings, options, sink));
  return std::unique_ptr<Seeder>(
      new Seeder(std::make_unique<Impl>(std::move(session), sink)));
}

Result<std::string> Seeder::Add(const SeedItem& item) {
  return impl_->Add(item);
}
bool Seeder::Remove(const std::string& key) { return impl_->Remove(key); }
bool Seeder::SetPaused(const std::string& key, bool paused) {
  return impl_->SetPaused(key, paused);
}
bool Seeder::Fail(const std::string& key, const verify::Error& error) {
  return impl_->Fail(key, error);
}
void Seeder::SetRates(uint64_t down_bytes_per_s, uint64_t up_bytes_per_s) {
  impl_->SetRates(down_bytes_per_s, up_bytes_per_s);
}
void Seeder::Poll(std::chrono::milliseconds timeout) { impl_->Poll(timeout); }
std::vector<SeedStatus> Seeder::Statuses() const { return impl_->Statuses(); }
void Seeder::Refresh() { impl_->Refresh(); }
uint16_t Seeder::port() const { return impl_->port(); }
void Seeder::Stop() { impl_->Stop(); }

}  // namespace p2p
