// SPDX-License-Identifier: Apache-2.0
// Torrents, seeders and a recording sink for tests that run real sessions on
// the loopback device.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "p2p/download.h"
#include "p2p/events.h"
#include "p2p/magnet.h"
#include "p2p/seed.h"
#include "p2p/settings.h"
#include "verify/base/progress.h"

namespace tests {

struct TestFile {
  std::string path;  // below the torrent's folder; empty: single-file torrent
  std::string content;
};

struct TestTorrent {
  std::string name;
  std::vector<TestFile> files;
  std::string info;  // bencoded info dictionary
  std::vector<std::byte> torrent;
  p2p::Magnet magnet;  // the hash alone

  uint64_t total_bytes() const;
};

// `count` bytes that look random and depend on `seed` alone.
std::string NoiseBytes(size_t count, uint32_t seed);

// A v1 torrent, bencoded here and hashed by OpenSSL. Nothing checks the names,
// so that hostile ones can be made.
TestTorrent MakeV1Torrent(const std::string& name, std::vector<TestFile> files,
                          size_t piece_length);
// v1 and v2 in one, made by libtorrent from the files below `folder`/name.
TestTorrent MakeHybridTorrent(const std::string& folder,
                              const std::string& name,
                              std::vector<TestFile> files, int piece_length);

// Writes the files to `folder`/name.
void WritePayload(const TestTorrent& torrent, const std::string& folder);
// Empty if the payload at `path` is what the torrent holds, file by file, with
// nothing besides; else what differs.
std::string DescribeDifference(const TestTorrent& torrent,
                               const std::string& path);

// Loopback only: no DHT, no LSD, a free port.
p2p::SessionSettings LoopbackSettings();

// Records all reports; other threads can wait for one.
class RecordingSink final : public p2p::TransferSink {
 public:
  void OnPlan(const p2p::TransferPlan& plan) override;
  void OnProgress(const p2p::TransferProgress& progress) override;
  void OnNotice(const p2p::TransferNotice& notice) override;
  void OnListen(const std::string& endpoint) override;

  // Called on the transfer's thread with each progress report. Set before the
  // transfer starts.
  std::function<void(const p2p::TransferProgress&)> on_progress;

  // Waits up to 20 s for a listening port; 0 if none came.
  uint16_t WaitForPort();
  bool HasNotice(const std::string& code) const;
  std::vector<p2p::TransferPlan> plans() const;
  p2p::TransferProgress last_progress() const;
  std::vector<std::string> endpoints() const;

 private:
  mutable std::mutex mu_;
  std::condition_variable changed_;
  std::vector<p2p::TransferPlan> plans_;      // guarded by mu_
  std::vector<p2p::TransferNotice> notices_;  // guarded by mu_
  std::vector<std::string> endpoints_;        // guarded by mu_
  p2p::TransferProgress progress_;            // guarded by mu_
};

// p2p::Seed on a thread of its own, until Stop or destruction.
class SeedThread {
 public:
  explicit SeedThread(p2p::SeedOptions options);
  ~SeedThread();

  uint16_t port() { return sink_.WaitForPort(); }
  RecordingSink& sink() { return sink_; }
  // Waits for Seed to return of itself.
  verify::Result<p2p::SeedOutcome> Join();
  verify::Result<p2p::SeedOutcome> Stop();

 private:
  RecordingSink sink_;
  verify::CancelToken cancel_;
  std::optional<verify::Result<p2p::SeedOutcome>> outcome_;
  std::thread thread_;
};

// A libtorrent session that claims to have every piece and serves whatever
// stands on disk: a peer that lies. It has an address of its own, so that what
// is held against it is not held against others.
class LyingSeeder {
 public:
  LyingSeeder(const TestTorrent& torrent, const std::string& folder);
  ~LyingSeeder();
  static constexpr char kAddress[] = "127.0.0.2";
  uint16_t port() const { return port_; }

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  uint16_t port_ = 0;
};

// Options to fetch `torrent` by its hash from 127.0.0.1:port.
p2p::DownloadOptions FetchOptions(const TestTorrent& torrent,
                                  const std::string& work_folder,
                                  uint16_t port);
// Options to seed `torrent` from `folder` on loopback.
p2p::SeedOptions ServeOptions(const TestTorrent& torrent,
                              const std::string& folder);

}  // namespace tests
