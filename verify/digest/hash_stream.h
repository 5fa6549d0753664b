// SPDX-License-Identifier: Apache-2.0
// One range of one file on its way from the disk through all digests that are
// wanted of it. Part of hash_engine; not for other users.
//
//   read ──> ring of blocks ──> lanes of sums (each serial: MD5, SHA-256, ...)
//                          ├──> lane pieces   (serial: SHA-1 of each piece)
//                          └──> lane Merkle   (blocks in any order)
//
// A whole-file digest is a chain and cannot be spread, so each lane may be
// worked on by another thread while one reader keeps the ring full. That moves
// every block from one processor's cache to another's: where there are streams
// enough for all threads, one thread alone takes a block through all lanes
// instead, in a buffer of its own that stays in its cache. Where only pieces
// are wanted it takes two of them side by side (sha1_pair.h); where there are
// more streams than threads it takes two streams at a time, whose SHA-256 go
// side by side (sha256_lane.h).
// Tested by tests/verify/digest/hash_engine_test.cc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "verify/base/direct_file.h"
#include "verify/base/file.h"
#include "verify/base/progress.h"
#include "verify/digest/digest.h"
#include "verify/digest/hash_engine.h"
#include "verify/digest/hash_plan.h"
#include "verify/digest/merkle_nodes.h"
#include "verify/digest/piece_layout.h"
#include "verify/digest/sha256_lane.h"

namespace verify::internal {

inline constexpr size_t kRingBlocks = 8;
// A thread's buffer: a block of each of two streams.
inline constexpr size_t kBufferBytes = 2 * kBlockBytes;
// What a thread takes through a stream alone before it looks around again.
inline constexpr uint64_t kSoloBytes = 8 * kBlockBytes;

using BlockRing = std::array<AlignedBuffer, kRingBlocks>;

// Digests of pieces as they become known. Different pieces may be set from
// different threads at once.
struct PieceResults {
  std::vector<Sha1Digest> digests;
  std::vector<uint8_t> known;  // 1: `digests` holds this piece

  void Set(uint64_t piece, const Sha1Digest& digest) {
    digests[static_cast<size_t>(piece)] = digest;
    known[static_cast<size_t>(piece)] = 1;
  }
};

// What the streams of one file share.
struct FileJob {
  size_t streams_left = 0;
  FileDigests result;       // guarded by the engine's lock
  bool not_direct = false;  // guarded by the engine's lock
  MerkleNodes merkle;       // of what was read; else empty
};

// The engine calls Best, Start and Complete under its lock and Run without;
// what Run touches is set apart by them: one reader at a time, one thread per
// serial lane, a slot is refilled only when all lanes are through, and a thread
// goes solo only when nobody else is in the stream.
class HashStream {
 public:
  enum class StepKind { kOpen, kRead, kLane, kSolo };
  enum class Sharing { kAlone, kShared };
  struct Step {
    StepKind kind = StepKind::kRead;
    size_t lane = 0;
    uint64_t block = 0;
    int urgency = 0;
  };

  HashStream(const StreamPlan& plan, const HashFile& file,
             const PieceLayout& layout, PieceResults& pieces, FileJob& job,
             BlockRing ring);

  // The most urgent step that can be taken now, and in `count` (added to) how
  // many there are. kShared: lanes may be spread over threads.
  std::optional<Step> Best(Sharing sharing, size_t& count) const;
  void Start(const Step& step);
  // `buffer`: the thread's own, of kBufferBytes.
  void Run(const Step& step, std::span<std::byte> buffer,
           const CancelToken& cancel);
  // Whether its next step can be a kSolo together with another stream's.
  bool CanPair() const;
  // In place of Run, a kSolo of both.
  static void RunBoth(HashStream& a, HashStream& b, std::span<std::byte> buffer,
                      const CancelToken& cancel);
  // Returns how many bytes are through all lanes since the last call.
  uint64_t Complete(const Step& step);
  bool done() const;

  // Bytes that are not through all lanes.
  uint64_t remaining_bytes() const { return unread_bytes(); }

  // Bytes of the plan that did not go through the lanes: not there, or of no
  // use. Once done.
  uint64_t unread_bytes() const {
    return plan_.end - plan_.begin - retired_bytes_;
  }

  // Once done, without the lock: looks whether the file has changed.
  void CheckUnchanged();
  // Under the lock: adds what came out to the file's job.
  void MergeInto(FileJob& job);

  const StreamPlan& plan() const { return plan_; }
  BlockRing TakeRing() { return std::move(ring_); }

 private:
  enum class LaneKind { kSum, kPieces, kMerkle };
  struct Goal {
    LaneKind kind = LaneKind::kSum;
    SumAlgorithm algorithm = SumAlgorithm::kMd5;  // of kSum
  };
  struct Lane {
    Goal goal;
    uint64_t next = 0;  // the next block to take
    bool busy = false;
  };
  struct Slot {
    uint64_t offset = 0;
    size_t size = 0;
    bool hole = false;   // could not be read
    size_t pending = 0;  // lanes that are not through
  };

  void OpenFile();
  void AdviseUpTo(uint64_t end);
  Result<void> ReadFile(uint64_t offset, std::span<std::byte> out);
  void ReadBlock(Slot& slot, std::span<std::byte> buffer);
  bool PairAhead() const;
  bool HashPair(std::span<std::byte> buffer, const CancelToken& cancel);
  void RunSolo(std::span<std::byte> buffer, const CancelToken& cancel);
  bool Wants(LaneKind kind) const;
  void RunLane(const Goal& goal, const Slot& slot, ByteSpan bytes);
  void HashPieces(const Slot& slot, ByteSpan bytes);
  void Fail(FileState state, std::string error);
  bool JudgesParts() const;
  bool Available(const Lane& lane) const;

  const StreamPlan plan_;
  const HashFile& file_;
  const PieceLayout& layout_;
  PieceResults& pieces_;
  FileJob& job_;
  BlockRing ring_;

  // Guarded by the engine's lock.
  bool opened_ = false;
  bool reading_ = false;
  bool solo_ = false;      // a thread is in it alone
  uint64_t produced_ = 0;  // blocks read
  uint64_t retired_ = 0;   // blocks that are through all lanes
  uint64_t retired_bytes_ = 0;
  bool at_end_ = false;
  std::array<Slot, kRingBlocks> slots_;
  std::vector<Lane> lanes_;

  // Of the reader.
  std::optional<ReadOnlyFile> source_;
  std::optional<DirectFile> direct_;  // of the same
  std::vector<Goal> wanted_;
  uint64_t read_offset_ = 0;
  uint64_t read_end_ = 0;
  uint64_t advised_end_ = 0;  // up to here the system was told to read ahead
  bool may_pair_ = false;     // pieces two by two: nothing else is wanted
  uint64_t solo_bytes_ = 0;   // of the last solo step
  FileState state_ = FileState::kOk;
  uint64_t actual_size_bytes_ = 0;
  std::string error_;

  // Of one lane each.
  std::optional<Sha256Lane> sha256_;
  std::map<SumAlgorithm, SumHasher> sums_;  // all others
  std::optional<Sha1Hasher> sha1_;
  bool piece_whole_ = false;  // all bytes of the current piece so far
};

}  // namespace verify::internal
