// SPDX-License-Identifier: Apache-2.0
#include "p2p/gathered_pieces.h"

#include <algorithm>
#include <cstring>
#include <libtorrent/file_storage.hpp>

namespace p2p {
namespace {

// The budget holds this many units at least.
constexpr size_t kMinUnits = 4;

// What may be on its way to the disk before peers wait: more would only have
// left the processor's cache when its turn comes.
constexpr size_t kMaxBusyBytes = 8u << 20;

// Where half of what may stay is free again.
size_t LowMark(size_t budget_bytes) { return budget_bytes / 4 * 3; }

}  // namespace

// Runs its task when the last of those who hold it has let go.
class GatheredPieces::Fence {
 public:
  Fence(TaskThreads& threads, Task task)
      : threads_(threads), task_(std::move(task)) {}
  ~Fence() { threads_.Add(std::move(task_)); }
  Fence(const Fence&) = delete;
  Fence& operator=(const Fence&) = delete;

 private:
  TaskThreads& threads_;
  Task task_;
};

size_t GatheredPieces::Budget(const DiskStorage& storage) const {
  return std::max(budget_bytes_, kMinUnits * storage.unit_bytes);
}

size_t GatheredPieces::MaxBusy(const DiskStorage& storage) const {
  return std::max(kMaxBusyBytes, 2 * storage.unit_bytes);
}

GatheredPieces::Unit* GatheredPieces::FindOrMake(
    const StoragePtr& storage, const lt::peer_request& request) {
  const int piece = static_cast<int>(request.piece);
  const auto start = static_cast<size_t>(request.start);
  const size_t offset = start - start % storage->unit_bytes;
  std::unique_ptr<Unit>& unit = units_[{storage.get(), piece, offset}];
  if (unit != nullptr) {
    if (!unit->busy) uses_.splice(uses_.end(), uses_, unit->use);
    return unit.get();
  }
  // Buffers have the unit's full size, so that each fits the next piece.
  PieceBuffer buffer = buffers_.Take(storage->unit_bytes);
  if (!buffer.valid()) {
    units_.erase({storage.get(), piece, offset});
    return nullptr;
  }
  const auto piece_bytes =
      static_cast<size_t>(storage->files.files().piece_size(request.piece));
  const size_t bytes = std::min(storage->unit_bytes, piece_bytes - offset);
  unit = std::make_unique<Unit>();
  unit->storage = storage;
  unit->piece = piece;
  unit->offset = offset;
  unit->buffer = std::move(buffer);
  unit->dirty.assign((bytes + kBlockBytes - 1) / kBlockBytes, false);
  uses_.push_back(unit.get());
  unit->use = std::prev(uses_.end());
  used_bytes_ += storage->unit_bytes;
  return unit.get();
}

bool GatheredPieces::Put(const StoragePtr& storage,
                         const lt::peer_request& request, const char* bytes,
                         lt::storage_error& error) {
  std::unique_lock lock(mu_);
  Unit* const unit = FindOrMake(storage, request);
  if (unit == nullptr) {
    error.ec = lt::error_code(ENOMEM, boost::system::system_category());
    error.operation = lt::operation_t::alloc_cache_piece;
    return false;
  }
  const size_t at = static_cast<size_t>(request.start) - unit->offset;
  const size_t block = at / kBlockBytes;
  // A block that comes again while the first is being written: as rare as a
  // piece that failed and is asked for again at once.
  const UnitKey key = KeyOf(*unit);
  idle_.wait(lock, [&] {
    const auto found = units_.find(key);
    return found == units_.end() || !found->second->busy ||
           !found->second->dirty[block];
  });
  if (!units_.contains(key)) {
    lock.unlock();
    return Put(storage, request, bytes, error);
  }
  std::memcpy(unit->buffer.bytes().data() + at, bytes,
              static_cast<size_t>(request.length));
  if (!unit->dirty[block]) {
    unit->dirty[block] = true;
    ++unit->num_dirty;
  }
  if (!storage->whole_pieces && !unit->busy &&
      unit->num_dirty == unit->dirty.size()) {
    BeginFlush(*unit);
  }
  if (used_bytes_ > Budget(*storage)) {
    Relieve(*storage);
    return true;
  }
  return busy_bytes_ > MaxBusy(*storage);
}

void GatheredPieces::WhenRelieved(const DiskStorage& storage, Task task) {
  const std::lock_guard lock(mu_);
  if (IsRelieved(storage)) {
    completions_.Add(std::move(task));
  } else {
    waiting_.push_back(std::move(task));
  }
}

// Where nothing is being written nothing would ever tell.
bool GatheredPieces::IsRelieved(const DiskStorage& storage) const {
  return (used_bytes_ <= LowMark(Budget(storage)) &&
          busy_bytes_ <= MaxBusy(storage)) ||
         busy_bytes_ == 0;
}

bool GatheredPieces::Has(const DiskStorage& storage, lt::piece_index_t piece) {
  const std::lock_guard lock(mu_);
  const auto unit = units_.lower_bound({&storage, static_cast<int>(piece), 0});
  return unit != units_.end() && unit->first.storage == &storage &&
         unit->first.piece == static_cast<int>(piece);
}

bool GatheredPieces::Hash(const StoragePtr& storage, lt::piece_index_t piece,
                          bool v1, lt::span<lt::sha256_hash> v2,
                          HashDone& done) {
  const std::lock_guard lock(mu_);
  const auto found = units_.find({storage.get(), static_cast<int>(piece), 0});
  if (!storage->whole_pieces || found == units_.end() || found->second->busy) {
    return false;
  }
  Unit& unit = *found->second;
  BeginBusy(unit);
  threads_.Add(Task([this, &unit, v1, v2, keeper = storage->owner.lock(),
                     dirty = unit.dirty, done = std::move(done)]() mutable {
    const PieceHashes hashes = HashUnit(unit, v1, v2, dirty);
    EndBusy(unit, dirty);
    done(std::move(keeper), hashes);
  }));
  return true;
}

void GatheredPieces::BeginBusy(Unit& unit) {
  unit.busy = true;
  uses_.erase(unit.use);
  busy_bytes_ += unit.buffer.bytes().size();
}

void GatheredPieces::BeginFlush(Unit& unit) {
  BeginBusy(unit);
  threads_.Add(Task([this, &unit, keeper = unit.storage->owner.lock(),
                     dirty = unit.dirty]() mutable {
    lt::storage_error error;
    WriteDirty(unit, dirty, error);
    if (error) unit.storage->KeepError(error);
    EndBusy(unit, dirty);
    completions_.Add(Task([keeper = std::move(keeper)] {}));
  }));
}

// Enough goes to the disk that the rest is well below the budget.
void GatheredPieces::Relieve(const DiskStorage& storage) {
  const size_t low = LowMark(Budget(storage));
  while (used_bytes_ - busy_bytes_ > low && !uses_.empty()) {
    BeginFlush(*uses_.front());
  }
}

void GatheredPieces::WriteDirty(Unit& unit, const std::vector<bool>& dirty,
                                lt::storage_error& error) {
  const auto piece_bytes = static_cast<size_t>(
      unit.storage->files.files().piece_size(lt::piece_index_t(unit.piece)));
  const size_t unit_bytes =
      std::min(unit.storage->unit_bytes, piece_bytes - unit.offset);
  for (size_t block = 0; block < dirty.size() && !error;) {
    if (!dirty[block]) {
      ++block;
      continue;
    }
    const size_t first = block;
    while (block < dirty.size() && dirty[block]) ++block;
    const size_t begin = first * kBlockBytes;
    const size_t end = std::min(block * kBlockBytes, unit_bytes);
    unit.storage->files.Write(lt::piece_index_t(unit.piece),
                              static_cast<int64_t>(unit.offset + begin),
                              unit.buffer.bytes().subspan(begin, end - begin),
                              error);
  }
}

// What came while it was being written stays; otherwise the unit goes.
void GatheredPieces::EndBusy(Unit& unit, const std::vector<bool>& written) {
  const StoragePtr storage = unit.storage;
  std::vector<std::shared_ptr<Fence>> fences;
  std::unique_ptr<Unit> gone;
  std::vector<Task> relieved;
  {
    const std::lock_guard lock(mu_);
    const size_t size = unit.buffer.bytes().size();
    busy_bytes_ -= size;
    unit.busy = false;
    for (size_t i = 0; i < written.size(); ++i) {
      if (!written[i]) continue;
      unit.dirty[i] = false;
      --unit.num_dirty;
    }
    if (unit.num_dirty == 0) {
      fences.swap(unit.fences);
      const auto found = units_.find(KeyOf(unit));
      gone = std::move(found->second);
      units_.erase(found);
      used_bytes_ -= size;
    } else {
      uses_.push_back(&unit);
      unit.use = std::prev(uses_.end());
      // Who waits for this unit waits for these blocks as well.
      if (!unit.fences.empty()) BeginFlush(unit);
    }
    if (!waiting_.empty()) {
      Relieve(*storage);
      if (IsRelieved(*storage)) relieved.swap(waiting_);
    }
  }
  gone.reset();  // its buffer is free before a peer is told
  idle_.notify_all();
  for (Task& task : relieved) completions_.Add(std::move(task));
}

PieceHashes GatheredPieces::HashUnit(Unit& unit, bool v1,
                                     lt::span<lt::sha256_hash> v2,
                                     const std::vector<bool>& dirty) {
  PieceHashes hashes;
  PayloadFiles& files = unit.storage->files;
  const lt::piece_index_t piece(unit.piece);
  const auto piece_bytes = static_cast<size_t>(files.files().piece_size(piece));
  const std::span<char> bytes = unit.buffer.bytes().first(piece_bytes);
  // Blocks that went to the disk early come back.
  for (size_t block = 0; block < dirty.size() && !hashes.error; ++block) {
    if (dirty[block]) continue;
    const size_t begin = block * kBlockBytes;
    files.Read(piece, static_cast<int64_t>(begin),
               bytes.subspan(begin, std::min(kBlockBytes, piece_bytes - begin)),
               hashes.error);
  }
  if (!hashes.error) {
    PieceHashing hashing(
        v1 ? piece_bytes : 0,
        v2.empty() ? 0 : static_cast<size_t>(files.files().piece_size2(piece)),
        v2);
    hashing.Update(bytes);
    if (v1) hashes.v1 = hashing.FinishV1();
  }
  WriteDirty(unit, dirty, hashes.error);
  return hashes;
}

void GatheredPieces::RunAfterFlush(const DiskStorage& storage,
                                   std::optional<int> piece, Task task) {
  // Let go, if nothing is to be waited for, without the lock.
  const auto fence = std::make_shared<Fence>(threads_, std::move(task));
  const std::lock_guard lock(mu_);
  auto unit = units_.lower_bound({&storage, piece.value_or(0), 0});
  for (; unit != units_.end() && unit->first.storage == &storage; ++unit) {
    if (piece.has_value() && unit->first.piece != *piece) break;
    if (!unit->second->busy) BeginFlush(*unit->second);
    unit->second->fences.push_back(fence);
  }
}

void GatheredPieces::Drop(const DiskStorage& storage) {
  const std::lock_guard lock(mu_);
  std::erase_if(units_, [&](const auto& entry) {
    if (entry.first.storage != &storage) return false;
    used_bytes_ -= entry.second->buffer.bytes().size();
    uses_.erase(entry.second->use);
    return true;
  });
}

void GatheredPieces::FlushAll() {
  const std::lock_guard lock(mu_);
  while (!uses_.empty()) BeginFlush(*uses_.front());
}

}  // namespace p2p
