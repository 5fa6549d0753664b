// SPDX-License-Identifier: Apache-2.0
// Serves many torrents in one session. What fails in one of them stops that
// one; the others go on. Tested by tests/p2p/seeder_test.cc.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "p2p/events.h"
#include "p2p/seed_policy.h"
#include "p2p/settings.h"
#include "verify/base/result.h"

namespace p2p {

struct SeedItem {
  std::vector<std::byte> torrent;  // whole .torrent file
  // Folder that holds the payload. The caller has just verified every piece:
  // nothing is hashed before it is asked for.
  std::string save_folder;
  // Name of the payload below it; empty: the torrent's.
  std::string payload_name;
  bool paused = false;
};

enum class SeedState { kServing, kPaused, kFailed };

struct SeedStatus {
  std::string key;  // InfoHashes::Key()
  SeedState state = SeedState::kServing;
  uint64_t total_bytes = 0;
  uint32_t num_pieces = 0;
  uint64_t uploaded_bytes = 0;  // since it was added
  double up_bytes_per_s = 0;
  int num_peers = 0;
  double availability = 0;  // copies in the swarm
  CompletePeerWatch::Sight complete;
  std::optional<verify::Error> error;  // of kFailed
};

TransferProgress ProgressOf(const SeedStatus& status);

// Used by one thread. The destructor stops it.
class Seeder {
 public:
  // Listens, with no torrent yet. `sink` outlives it; it hears of plans,
  // ports and notices, of no progress. Errors: those of Session::Open.
  static verify::Result<std::unique_ptr<Seeder>> Open(
      const SessionSettings& settings, TransferSink& sink);
  ~Seeder();
  Seeder(const Seeder&) = delete;
  Seeder& operator=(const Seeder&) = delete;

  // Begins to serve; gives the key. Errors: kMismatch (a file has another
  // size than the torrent says), kNotFound, kBusy (it is served already), those
  // of CheckTorrent.
  verify::Result<std::string> Add(const SeedItem& item);
  // False if there is none with the key.
  bool Remove(const std::string& key);
  bool SetPaused(const std::string& key, bool paused);
  // Stops it as failed, as when wrong bytes were found.
  bool Fail(const std::string& key, const verify::Error& error);
  void SetRates(uint64_t down_bytes_per_s, uint64_t up_bytes_per_s);

  // Takes in what happened within `timeout`.
  void Poll(std::chrono::milliseconds timeout);
  // In the order of Add; as of the last report, at most a second old.
  std::vector<SeedStatus> Statuses() const;
  // Asks the engine for the last numbers, which waits for it.
  void Refresh();

  uint16_t port() const;
  // Says goodbye to peers and trackers within seconds.
  void Stop();

 private:
  class Impl;
  explicit Seeder(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace p2p
