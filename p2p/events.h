// SPDX-License-Identifier: Apache-2.0
// All that p2p reports while it works: plain structs, no library types.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "p2p/info_hash.h"

namespace p2p {

enum class TransferStage { kMetadata, kDownload, kFlush, kSeed };

struct TrackerAccount {
  std::string url;
  // Its last answer in words: "12 peers", "timed out"; empty: not answered yet.
  std::string answer;
  bool failed = false;
};

// Why nothing comes: what was tried, and what came of it.
struct SwarmAccount {
  std::vector<TrackerAccount> trackers;  // at most 50
  std::optional<int64_t> dht_nodes;      // nothing: the DHT is off
  int peers_known = 0;
  int peers_connected = 0;
  uint64_t peers_reached = 0;  // connections that were made, ever
  double waited_s = 0;         // since the last byte, or since the start
  // The same as one line: "2 trackers tried (udp://...: timed out), 0 DHT
  // nodes, 0 peers known, 0 peers reached".
  std::string text;
};

struct TransferProgress {
  TransferStage stage = TransferStage::kMetadata;
  uint64_t done_bytes = 0;   // verified piece by piece
  uint64_t total_bytes = 0;  // 0 before the metadata
  double down_bytes_per_s = 0;
  double up_bytes_per_s = 0;
  uint64_t uploaded_bytes = 0;
  int num_peers = 0;
  int num_seeds = 0;
  double availability = 0;  // copies in the swarm
  uint32_t pieces_done = 0;
  std::string item;  // path of the file that grows, or empty
  // Given while there is no metadata, or no byte came for a while.
  std::optional<SwarmAccount> swarm;
};

struct PlanFile {
  std::string path;  // relative, "/" between parts
  uint64_t size_bytes = 0;
  bool selected = true;
  size_t index = 0;  // in the torrent, pads counted: what --files names
};

// Known once the metadata is here (or the .torrent was given).
struct TransferPlan {
  std::string name;
  InfoHashes info_hashes;
  std::string magnet;
  uint64_t total_bytes = 0;
  uint64_t piece_length = 0;
  uint32_t num_pieces = 0;
  std::vector<PlanFile> files;
  uint64_t resume_bytes = 0;    // already here
  uint64_t selected_bytes = 0;  // of the files that are wanted
  // What the disk has to have free: what is still to come, with room for the
  // file system, and what the user wants to keep free.
  uint64_t needed_bytes = 0;
};

// A remark that does not stop the transfer: a tracker that failed, a peer that
// was banned, a magnet that was repaired.
struct TransferNotice {
  std::string code;  // UPPER_SNAKE
  std::string message;
  std::string hint;
};

// Called on the thread that runs the transfer, never under a lock.
class TransferSink {
 public:
  virtual ~TransferSink() = default;
  virtual void OnPlan(const TransferPlan& plan) = 0;
  virtual void OnProgress(const TransferProgress& progress) = 0;
  virtual void OnNotice(const TransferNotice& notice) = 0;
  // A port is open: "127.0.0.1:6881".
  virtual void OnListen(const std::string& endpoint) = 0;
};

}  // namespace p2p
