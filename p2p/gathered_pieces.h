// SPDX-License-Identifier: Apache-2.0
// Pieces on their way from peers to the disk. Blocks gather in a buffer until
// their piece is whole; it is hashed there and written in one go. Memory is
// bounded: beyond the budget what waited longest is written as it is.
//
// A unit is what shares a buffer: a piece or, of pieces beyond 16 MiB, a part
// of 4 MiB, which is written when it is whole and hashed from the disk later.
// Internal to p2p's disk layer. Tested by tests/p2p/disk_io_test.cc.
#pragma once

#include <compare>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "p2p/disk_tasks.h"
#include "p2p/lt_bridge.h"
#include "p2p/payload_files.h"
#include "p2p/piece_buffer.h"
#include "p2p/piece_hashing.h"

namespace p2p {

// What keeps a torrent, and so its list of files, while a task works on it. It
// must not die on a task's thread: tasks pass it on to the engine's.
using Keeper = std::shared_ptr<void>;

// One torrent as the disk layer sees it.
struct DiskStorage {
  DiskStorage(const lt::storage_params& params,
              const PayloadFilesOptions& options, const Keeper& torrent)
      : files(params.mapped_files != nullptr ? *params.mapped_files
                                             : params.files,
              params.path, {params.priorities.begin(), params.priorities.end()},
              options),
        owner(torrent) {
    constexpr size_t kMaxWholePiece = 16u << 20;
    constexpr size_t kPartBytes = 4u << 20;
    const auto piece = static_cast<size_t>(params.files.piece_length());
    whole_pieces = piece <= kMaxWholePiece;
    unit_bytes = whole_pieces ? piece : kPartBytes;
  }

  PayloadFiles files;
  std::weak_ptr<void> owner;
  size_t unit_bytes = 0;
  bool whole_pieces = true;  // a unit is a piece
  // A write that failed after its blocks were taken; told with the next one.
  std::mutex error_mu;
  lt::storage_error write_error;  // guarded by error_mu

  lt::storage_error TakeError() {
    const std::lock_guard lock(error_mu);
    return std::exchange(write_error, lt::storage_error());
  }
  void KeepError(const lt::storage_error& error) {
    const std::lock_guard lock(error_mu);
    if (!write_error) write_error = error;
  }
};

using StoragePtr = std::shared_ptr<DiskStorage>;

// Called by the engine's thread, but for what its tasks do.
class GatheredPieces {
 public:
  // All but the budget outlive this.
  GatheredPieces(size_t budget_bytes, PieceBuffers& buffers,
                 Completions& completions, TaskThreads& threads)
      : budget_bytes_(budget_bytes),
        buffers_(buffers),
        completions_(completions),
        threads_(threads) {}

  // Takes a copy of a block. True: there is more than the budget now, or much
  // on its way to the disk, and who sent it should wait for WhenRelieved. Sets
  // `error` if there is no memory.
  bool Put(const StoragePtr& storage, const lt::peer_request& request,
           const char* bytes, lt::storage_error& error);
  // Runs `task` on the engine's thread once there is room again.
  void WhenRelieved(const DiskStorage& storage, Task task);

  // True if any block of the piece is here.
  bool Has(const DiskStorage& storage, lt::piece_index_t piece);

  // Hashes the piece where it lies and writes it, on a task's thread, which
  // then calls `done`. False, with `done` as it was, if the piece is not
  // gathered as a whole or is being written: hash it from the disk then.
  using HashDone = std::function<void(Keeper, const PieceHashes&)>;
  bool Hash(const StoragePtr& storage, lt::piece_index_t piece, bool v1,
            lt::span<lt::sha256_hash> v2, HashDone& done);

  // Runs `body(keeper)` on a task's thread after all blocks of the piece, or of
  // the torrent, that are here now went to the disk.
  template <typename F>
  void AfterFlush(const StoragePtr& storage, std::optional<int> piece,
                  F&& body) {
    RunAfterFlush(*storage, piece,
                  Task([keeper = storage->owner.lock(),
                        body = std::forward<F>(body)]() mutable {
                    body(std::move(keeper));
                  }));
  }

  // Forgets what it has of a torrent that no task works on any more.
  void Drop(const DiskStorage& storage);
  // Begins to write everything.
  void FlushAll();

 private:
  class Fence;
  // Blocks of one unit that are not on disk yet. Made, filled and put to work
  // by the engine's thread; while it is busy a task reads the blocks that were
  // there when it began.
  struct Unit {
    StoragePtr storage;
    int piece = 0;
    size_t offset = 0;  // in the piece
    PieceBuffer buffer;
    std::vector<bool> dirty;  // by block
    size_t num_dirty = 0;
    bool busy = false;
    std::vector<std::shared_ptr<Fence>> fences;
    std::list<Unit*>::iterator use;
  };
  struct UnitKey {
    const DiskStorage* storage = nullptr;
    int piece = 0;
    size_t offset = 0;
    auto operator<=>(const UnitKey&) const = default;
  };

  static UnitKey KeyOf(const Unit& unit) {
    return {unit.storage.get(), unit.piece, unit.offset};
  }
  size_t Budget(const DiskStorage& storage) const;
  size_t MaxBusy(const DiskStorage& storage) const;

  // With mu_ held.
  Unit* FindOrMake(const StoragePtr& storage, const lt::peer_request& request);
  void BeginBusy(Unit& unit);
  void BeginFlush(Unit& unit);
  void Relieve(const DiskStorage& storage);
  bool IsRelieved(const DiskStorage& storage) const;

  // On a task's thread.
  static void WriteDirty(Unit& unit, const std::vector<bool>& dirty,
                         lt::storage_error& error);
  static PieceHashes HashUnit(Unit& unit, bool v1, lt::span<lt::sha256_hash> v2,
                              const std::vector<bool>& dirty);
  void EndBusy(Unit& unit, const std::vector<bool>& written);

  void RunAfterFlush(const DiskStorage& storage, std::optional<int> piece,
                     Task task);

  const size_t budget_bytes_;
  PieceBuffers& buffers_;
  Completions& completions_;
  TaskThreads& threads_;

  std::mutex mu_;
  std::condition_variable idle_;
  // All below guarded by mu_.
  std::map<UnitKey, std::unique_ptr<Unit>> units_;
  std::list<Unit*> uses_;      // those not busy, least recently written first
  size_t used_bytes_ = 0;      // buffers of all units
  size_t busy_bytes_ = 0;      // of those that a task works on
  std::vector<Task> waiting_;  // for room
};

}  // namespace p2p
