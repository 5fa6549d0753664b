// SPDX-License-Identifier: Apache-2.0
#include "p2p/metadata_fetch.h"

#include <chrono>
#include <libtorrent/peer_info.hpp>
#include <libtorrent/torrent_flags.hpp>
#include <libtorrent/torrent_status.hpp>
#include <utility>

#include "verify/base/text.h"

namespace p2p {
namespace {

using verify::ErrorCode;
using verify::Fail;
using verify::Result;
using verify::StrCat;
using SteadyClock = std::chrono::steady_clock;

constexpr auto kPoll = std::chrono::milliseconds(100);
constexpr auto kReport = std::chrono::milliseconds(500);

// How long to wait; the stall limit holds where no other was given, since no
// byte of payload comes before the metadata.
double TimeoutSeconds(const DownloadOptions& options) {
  return options.metadata_timeout_s > 0 ? options.metadata_timeout_s
                                        : options.stall_timeout_s;
}

verify::Unexpected FailNoMetadata(Session& session, double seconds) {
  const SwarmTrace& trace = session.trace();
  const bool reached = trace.ever_connected();
  return Fail(ErrorCode::kNetwork,
              StrCat(reached ? "no metadata" : "no peers", " after ",
                     verify::FormatDuration(seconds), ": ",
                     trace.Describe(session.settings())))
      .Id(reached ? "E-NO-METADATA" : "E-NO-PEERS")
      .Hint(StrCat("only the link is known yet, no file names or sizes; ",
                   trace.Advice(session.settings())));
}

std::vector<lt::tcp::endpoint> ReachedPeers(const lt::torrent_handle& torrent) {
  std::vector<lt::peer_info> infos;
  torrent.get_peer_info(infos);
  std::vector<lt::tcp::endpoint> peers;
  for (const lt::peer_info& info : infos) {
    // Who called us did so from a port where it does not listen.
    if (info.flags & lt::peer_info::local_connection) peers.push_back(info.ip);
  }
  return peers;
}

lt::add_torrent_params MakeParams(const DownloadOptions& options,
                                  Session& session) {
  lt::add_torrent_params params;
  params.info_hashes = ToLibtorrent(options.magnet.info_hashes);
  params.name = "metadata";
  params.save_path.assign(1, '.');  // of a disk that takes nothing
  params.flags |=
      lt::torrent_flags::upload_mode | lt::torrent_flags::default_dont_download;
  session.Prepare(params, options.magnet.trackers);
  session.AddPeers(params, options.magnet.peers);
  return params;
}

class MetadataRun {
 public:
  MetadataRun(const DownloadOptions& options, const verify::CancelToken& cancel,
              TransferSink& sink, Session& session)
      : options_(options), cancel_(cancel), sink_(sink), session_(session) {}

  Result<FetchedMetadata> Run() {
    const auto start = SteadyClock::now();
    const double timeout_s = TimeoutSeconds(options_);
    torrent_ = session_.engine().add_torrent(MakeParams(options_, session_));
    session_.Resume();
    auto next_report = start;
    while (true) {
      if (cancel_.cancelled()) return FailCancelled();
      for (const lt::alert* alert : session_.Wait(kPoll)) OnAlert(*alert);
      if (error_.has_value()) return verify::Unexpected(*error_);
      if (received_) return Collect();
      const auto now = SteadyClock::now();
      session_.Tend(torrent_);
      if (now >= next_report) {
        next_report = now + kReport;
        session_.engine().post_torrent_updates();
        progress_.swarm = session_.trace().Account(
            session_.settings(),
            std::chrono::duration<double>(now - start).count());
        sink_.OnProgress(progress_);
      }
      const double waited_s =
          std::chrono::duration<double>(now - start).count();
      if (timeout_s > 0 && waited_s >= timeout_s) {
        return FailNoMetadata(session_, waited_s);
      }
    }
  }

 private:
  void OnAlert(const lt::alert& alert) {
    if (lt::alert_cast<lt::metadata_received_alert>(&alert) != nullptr) {
      received_ = true;
    } else if (const auto* failed =
                   lt::alert_cast<lt::metadata_failed_alert>(&alert)) {
      sink_.OnNotice(
          {"METADATA_REFUSED",
           StrCat("metadata from a peer: ", ErrorText(failed->error)), ""});
    } else if (const auto* broken =
                   lt::alert_cast<lt::torrent_error_alert>(&alert)) {
      // With the hash proven, a parse error will not go away.
      error_ = Fail(ErrorCode::kCorrupt,
                    StrCat("metadata: ", ErrorText(broken->error)))
                   .Id("E-TORRENT")
                   .error();
    } else if (const auto* update =
                   lt::alert_cast<lt::state_update_alert>(&alert)) {
      for (const lt::torrent_status& status : update->status) {
        progress_.num_peers = status.num_peers;
        progress_.num_seeds = status.num_seeds;
      }
    }
  }

  Result<FetchedMetadata> Collect() {
    FetchedMetadata fetched;
    const std::shared_ptr<const lt::torrent_info> info =
        torrent_.torrent_file();
    if (info == nullptr) {
      return Fail(ErrorCode::kInternal, "metadata came, but is not there");
    }
    const lt::span<const char> section = info->info_section();
    const verify::ByteSpan bytes =
        verify::AsBytes({section.data(), static_cast<size_t>(section.size())});
    fetched.info.assign(bytes.begin(), bytes.end());
    fetched.peers = ReachedPeers(torrent_);
    fetched.dht_state = session_.DhtState();
    fetched.port = session_.port();
    fetched.by_session = true;
    return fetched;
  }

  const DownloadOptions& options_;
  const verify::CancelToken& cancel_;
  TransferSink& sink_;
  Session& session_;
  lt::torrent_handle torrent_;
  TransferProgress progress_;
  std::optional<verify::Error> error_;
  bool received_ = false;
};

}  // namespace

verify::Unexpected FailCancelled() {
  return Fail(ErrorCode::kCancelled, "stopped; what is here is kept")
      .Hint("run the same command again to go on");
}

Result<FetchedMetadata> FetchMetadata(const DownloadOptions& options,
                                      const verify::CancelToken& cancel,
                                      TransferSink& sink) {
  SessionOptions session_options;
  session_options.role = SessionRole::kMetadata;
  ASSIGN_OR_RETURN(const std::unique_ptr<Session> session,
                   Session::Open(options.session, session_options, sink));
  auto fetched = Guarded("fetch metadata", [&] {
    return MetadataRun(options, cancel, sink, *session).Run();
  });
  if (!fetched) return verify::Unexpected(fetched.error());
  return std::move(fetched).value();
}

}  // namespace p2p
