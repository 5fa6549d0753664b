// SPDX-License-Identifier: Apache-2.0
#include "p2p/disk_io.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <libtorrent/add_torrent_params.hpp>
#include <libtorrent/disk_buffer_holder.hpp>
#include <libtorrent/disk_observer.hpp>
#include <libtorrent/file_storage.hpp>
#include <libtorrent/peer_request.hpp>
#include <libtorrent/storage_defs.hpp>
#include <libtorrent/torrent_flags.hpp>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "p2p/disk_tasks.h"
#include "p2p/gathered_pieces.h"
#include "p2p/piece_buffer.h"
#include "p2p/piece_hashing.h"
#include "verify/digest/digest.h"

namespace p2p {
namespace {

constexpr size_t kReadStep = 1u << 20;

// A block for libtorrent, freed here if it never gets there.
class ReadBlock {
 public:
  explicit ReadBlock(size_t size)
      : data_(static_cast<char*>(std::malloc(size))), size_(size) {}
  ReadBlock(ReadBlock&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(other.size_) {}
  ReadBlock& operator=(ReadBlock&&) = delete;
  ~ReadBlock() { std::free(data_); }

  std::span<char> bytes() const { return {data_, size_}; }
  bool valid() const { return data_ != nullptr; }
  lt::disk_buffer_holder Hand(lt::buffer_allocator_interface& allocator) {
    return {allocator, std::exchange(data_, nullptr), static_cast<int>(size_)};
  }

 private:
  char* data_;
  size_t size_;
};

class DiskIo final : public lt::disk_interface,
                     private lt::buffer_allocator_interface {
 public:
  DiskIo(const DiskIoOptions& options, lt::io_context& context)
      : options_(options),
        buffers_(options.budget_bytes + options.budget_bytes / 2),
        completions_(context),
        threads_(std::max<size_t>(options.num_threads, 1)),
        gathered_(options.budget_bytes, buffers_, completions_, threads_) {}
  ~DiskIo() override { abort(true); }

  lt::storage_holder new_torrent(const lt::storage_params& params,
                                 const Keeper& torrent) override;
  void remove_torrent(lt::storage_index_t index) override;
  void async_read(
      lt::storage_index_t index, const lt::peer_request& request,
      std::function<void(lt::disk_buffer_holder, const lt::storage_error&)>
          handler,
      lt::disk_job_flags_t flags) override;
  bool async_write(lt::storage_index_t index, const lt::peer_request& request,
                   const char* bytes,
                   std::shared_ptr<lt::disk_observer> observer,
                   std::function<void(const lt::storage_error&)> handler,
                   lt::disk_job_flags_t flags) override;
  void async_hash(lt::storage_index_t index, lt::piece_index_t piece,
                  lt::span<lt::sha256_hash> v2, lt::disk_job_flags_t flags,
                  std::function<void(lt::piece_index_t, const lt::sha1_hash&,
                                     const lt::storage_error&)>
                      handler) override;
  void async_hash2(lt::storage_index_t index, lt::piece_index_t piece,
                   int offset, lt::disk_job_flags_t flags,
                   std::function<void(lt::piece_index_t, const lt::sha256_hash&,
                                      const lt::storage_error&)>
                       handler) override;
  void async_move_storage(lt::storage_index_t index, std::string path,
                          lt::move_flags_t flags,
                          std::function<void(lt::status_t, const std::string&,
                                             const lt::storage_error&)>
                              handler) override;
  void async_release_files(lt::storage_index_t index,
                           std::function<void()> handler) override;
  void async_check_files(
      lt::storage_index_t index, const lt::add_torrent_params* resume_data,
      lt::aux::vector<std::string, lt::file_index_t> links,
      std::function<void(lt::status_t, const lt::storage_error&)> handler)
      override;
  void async_stop_torrent(lt::storage_index_t index,
                          std::function<void()> handler) override;
  void async_rename_file(
      lt::storage_index_t index, lt::file_index_t file, std::string name,
      std::function<void(const std::string&, lt::file_index_t,
                         const lt::storage_error&)>
          handler) override;
  void async_delete_files(
      lt::storage_index_t index, lt::remove_flags_t flags,
      std::function<void(const lt::storage_error&)> handler) override;
  void async_set_file_priority(
      lt::storage_index_t index,
      lt::aux::vector<lt::download_priority_t, lt::file_index_t> priorities,
      std::function<
          void(const lt::storage_error&,
               lt::aux::vector<lt::download_priority_t, lt::file_index_t>)>
          handler) override;
  void async_clear_piece(
      lt::storage_index_t index, lt::piece_index_t piece,
      std::function<void(lt::piece_index_t)> handler) override;
  void update_stats_counters(lt::counters&) const override {}
  std::vector<lt::open_file_state> get_status(
      lt::storage_index_t) const override {
    return {};
  }
  void abort(bool wait) override;
  void submit_jobs() override {}
  void settings_updated() override {}

 private:
  void free_disk_buffer(char* data) override { std::free(data); }

  const StoragePtr& At(lt::storage_index_t index) const {
    return storages_[static_cast<size_t>(static_cast<uint32_t>(index))];
  }

  // On a task's thread.
  PieceHashes HashFromDisk(DiskStorage& storage, lt::piece_index_t piece,
                           bool v1, lt::span<lt::sha256_hash> v2);
  static std::pair<lt::status_t, lt::storage_error> CheckFiles(
      DiskStorage& storage, const lt::add_torrent_params* resume_data);

  template <typename... Arguments>
  void Answer(Keeper keeper, std::function<void(Arguments...)> handler,
              std::decay_t<Arguments>... arguments);

  const DiskIoOptions options_;
  std::vector<StoragePtr> storages_;  // the engine's thread only

  PieceBuffers buffers_;
  Completions completions_;

  TaskThreads threads_;
  GatheredPieces gathered_;
  bool aborted_ = false;  // the engine's thread only
};

lt::storage_holder DiskIo::new_torrent(const lt::storage_params& params,
                                       const Keeper& torrent) {
  auto storage = std::make_shared<DiskStorage>(params, options_.files, torrent);
  size_t index = 0;
  while (index < storages_.size() && storages_[index] != nullptr) ++index;
  if (index == storages_.size()) storages_.emplace_back();
  storages_[index] = std::move(storage);
  return {lt::storage_index_t(static_cast<uint32_t>(index)), *this};
}

void DiskIo::remove_torrent(lt::storage_index_t index) {
  const StoragePtr storage =
      std::exchange(storages_[static_cast<uint32_t>(index)], nullptr);
  // No task works on it any more, or the torrent would still be kept.
  if (storage != nullptr) gathered_.Drop(*storage);
}

template <typename... Arguments>
void DiskIo::Answer(Keeper keeper, std::function<void(Arguments...)> handler,
                    std::decay_t<Arguments>... arguments) {
  completions_.Add(
      Task([keeper = std::move(keeper), handler = std::move(handler),
            ... values = std::move(arguments)]() mutable {
        if (handler) handler(std::move(values)...);
      }));
}

bool DiskIo::async_write(lt::storage_index_t index,
                         const lt::peer_request& request, const char* bytes,
                         std::shared_ptr<lt::disk_observer> observer,
                         std::function<void(const lt::storage_error&)> handler,
                         lt::disk_job_flags_t) {
  const StoragePtr& storage = At(index);
  lt::storage_error error = storage->TakeError();
  if (options_.files.mode == PayloadMode::kServe) {
    error.ec = lt::error_code(EROFS, boost::system::system_category());
    error.operation = lt::operation_t::file_write;
  }
  if (error || !gathered_.Put(storage, request, bytes, error)) {
    Answer(nullptr, std::move(handler), error);
    return false;
  }
  // A peer goes on as soon as its last block is answered, so that the answer
  // has to wait as well.
  gathered_.WhenRelieved(*storage,
                         Task([handler = std::move(handler),
                               observer = std::move(observer)]() mutable {
                           handler(lt::storage_error());
                           if (observer != nullptr) observer->on_disk();
                         }));
  return true;
}

void DiskIo::async_read(
    lt::storage_index_t index, const lt::peer_request& request,
    std::function<void(lt::disk_buffer_holder, const lt::storage_error&)>
        handler,
    lt::disk_job_flags_t) {
  const StoragePtr& storage = At(index);
  ReadBlock block(static_cast<size_t>(request.length));
  const auto answer = [this](Keeper keeper, auto&& to, ReadBlock&& with,
                             const lt::storage_error& error) {
    completions_.Add(
        Task([this, keeper = std::move(keeper), handler = std::move(to),
              block = std::move(with), error]() mutable {
          handler(error ? lt::disk_buffer_holder() : block.Hand(*this), error);
        }));
  };
  if (!block.valid()) {
    lt::storage_error error(
        lt::error_code(ENOMEM, boost::system::system_category()),
        lt::operation_t::alloc_cache_piece);
    return answer(nullptr, std::move(handler), std::move(block), error);
  }
  // As a rule the bytes are in the page cache: a copy is cheaper than another
  // thread.
  if (!gathered_.Has(*storage, request.piece) &&
      storage->files.ReadIfCached(request.piece, request.start,
                                  block.bytes())) {
    return answer(nullptr, std::move(handler), std::move(block), {});
  }
  gathered_.AfterFlush(
      storage, static_cast<int>(request.piece),
      [storage, request, answer, block = std::move(block),
       handler = std::move(handler)](Keeper keeper) mutable {
        lt::storage_error error;
        storage->files.Read(request.piece, request.start, block.bytes(), error);
        answer(std::move(keeper), std::move(handler), std::move(block), error);
      });
}

PieceHashes DiskIo::HashFromDisk(DiskStorage& storage, lt::piece_index_t piece,
                                 bool v1, lt::span<lt::sha256_hash> v2) {
  PieceHashes hashes;
  const lt::file_storage& files = storage.files.files();
  const auto v1_bytes =
      v1 ? static_cast<size_t>(files.piece_size(piece)) : size_t{0};
  const auto v2_bytes =
      v2.empty() ? size_t{0} : static_cast<size_t>(files.piece_size2(piece));
  const size_t total = std::max(v1_bytes, v2_bytes);
  const PieceBuffer scratch = buffers_.Take(std::min(total, kReadStep));
  if (total > 0 && !scratch.valid()) {
    hashes.error.ec = lt::error_code(ENOMEM, boost::system::system_category());
    hashes.error.operation = lt::operation_t::alloc_cache_piece;
    return hashes;
  }
  PieceHashing hashing(v1_bytes, v2_bytes, v2);
  for (size_t at = 0; at < total && !hashes.error; at += kReadStep) {
    const std::span<char> step =
        scratch.bytes().first(std::min(kReadStep, total - at));
    storage.files.Read(piece, static_cast<int64_t>(at), step, hashes.error);
    if (!hashes.error) hashing.Update(step);
  }
  if (v1 && !hashes.error) hashes.v1 = hashing.FinishV1();
  return hashes;
}

void DiskIo::async_hash(
    lt::storage_index_t index, lt::piece_index_t piece,
    lt::span<lt::sha256_hash> v2, lt::disk_job_flags_t flags,
    std::function<void(lt::piece_index_t, const lt::sha1_hash&,
                       const lt::storage_error&)>
        handler) {
  const StoragePtr& storage = At(index);
  const bool v1 = static_cast<bool>(flags & lt::disk_interface::v1_hash);
  GatheredPieces::HashDone done = [this, piece, handler = std::move(handler)](
                                      Keeper keeper,
                                      const PieceHashes& hashes) mutable {
    Answer(std::move(keeper), std::move(handler), piece, hashes.v1,
           hashes.error);
  };
  if (gathered_.Hash(storage, piece, v1, v2, done)) return;
  gathered_.AfterFlush(storage, static_cast<int>(piece),
                       [this, storage, piece, v1, v2,
                        done = std::move(done)](Keeper keeper) mutable {
                         PieceHashes hashes =
                             HashFromDisk(*storage, piece, v1, v2);
                         // Of a write whose blocks were taken in good faith.
                         const lt::storage_error lost = storage->TakeError();
                         if (lost) hashes.error = lost;
                         done(std::move(keeper), hashes);
                       });
}

void DiskIo::async_hash2(
    lt::storage_index_t index, lt::piece_index_t piece, int offset,
    lt::disk_job_flags_t,
    std::function<void(lt::piece_index_t, const lt::sha256_hash&,
                       const lt::storage_error&)>
        handler) {
  const StoragePtr& storage = At(index);
  gathered_.AfterFlush(
      storage, static_cast<int>(piece),
      [this, storage, piece, offset,
       handler = std::move(handler)](Keeper keeper) mutable {
        lt::storage_error error;
        lt::sha256_hash hash;
        const int left = storage->files.files().piece_size2(piece) - offset;
        const ReadBlock block(
            std::min(kBlockBytes, static_cast<size_t>(std::max(left, 0))));
        storage->files.Read(piece, offset, block.bytes(), error);
        if (!error) {
          const std::span<char> bytes = block.bytes();
          const verify::Sha256Digest digest =
              verify::Sha256(verify::AsBytes({bytes.data(), bytes.size()}));
          std::memcpy(hash.data(), digest.data(), digest.size());
        }
        Answer(std::move(keeper), std::move(handler), piece, hash, error);
      });
}

// The work folder of a download is ours, and what is served stays where its
// owner put it: nothing is moved, renamed or deleted here.
lt::storage_error NotDone(lt::operation_t operation) {
  return {lt::error_code(EOPNOTSUPP, boost::system::system_category()),
          operation};
}

void DiskIo::async_move_storage(
    lt::storage_index_t, std::string path, lt::move_flags_t,
    std::function<void(lt::status_t, const std::string&,
                       const lt::storage_error&)>
        handler) {
  Answer(nullptr, std::move(handler), lt::status_t::fatal_disk_error,
         std::move(path), NotDone(lt::operation_t::file_rename));
}

void DiskIo::async_rename_file(
    lt::storage_index_t, lt::file_index_t file, std::string name,
    std::function<void(const std::string&, lt::file_index_t,
                       const lt::storage_error&)>
        handler) {
  Answer(nullptr, std::move(handler), std::move(name), file,
         NotDone(lt::operation_t::file_rename));
}

void DiskIo::async_delete_files(
    lt::storage_index_t, lt::remove_flags_t,
    std::function<void(const lt::storage_error&)> handler) {
  Answer(nullptr, std::move(handler), NotDone(lt::operation_t::file_remove));
}

void DiskIo::async_release_files(lt::storage_index_t index,
                                 std::function<void()> handler) {
  const StoragePtr& storage = At(index);
  gathered_.AfterFlush(
      storage, std::nullopt,
      [this, storage, handler = std::move(handler)](Keeper keeper) mutable {
        storage->files.Release();
        Answer(std::move(keeper), std::move(handler));
      });
}

void DiskIo::async_stop_torrent(lt::storage_index_t index,
                                std::function<void()> handler) {
  async_release_files(index, std::move(handler));
}

void DiskIo::async_clear_piece(lt::storage_index_t index,
                               lt::piece_index_t piece,
                               std::function<void(lt::piece_index_t)> handler) {
  gathered_.AfterFlush(
      At(index), static_cast<int>(piece),
      [this, piece, handler = std::move(handler)](Keeper keeper) mutable {
        Answer(std::move(keeper), std::move(handler), piece);
      });
}

void DiskIo::async_set_file_priority(
    lt::storage_index_t index,
    lt::aux::vector<lt::download_priority_t, lt::file_index_t> priorities,
    std::function<
        void(const lt::storage_error&,
             lt::aux::vector<lt::download_priority_t, lt::file_index_t>)>
        handler) {
  const StoragePtr& storage = At(index);
  gathered_.AfterFlush(storage, std::nullopt,
                       [this, storage, priorities = std::move(priorities),
                        handler = std::move(handler)](Keeper keeper) mutable {
                         lt::storage_error error;
                         storage->files.SetPriorities(
                             {priorities.begin(), priorities.end()}, error);
                         Answer(std::move(keeper), std::move(handler), error,
                                std::move(priorities));
                       });
}

std::pair<lt::status_t, lt::storage_error> DiskIo::CheckFiles(
    DiskStorage& storage, const lt::add_torrent_params* resume_data) {
  lt::storage_error error;
  storage.files.Prepare(error);
  if (error) return {lt::status_t::fatal_disk_error, error};
  static const lt::add_torrent_params kNothing;
  const lt::add_torrent_params& resume =
      resume_data == nullptr ? kNothing : *resume_data;
  const bool seed =
      static_cast<bool>(resume.flags & lt::torrent_flags::seed_mode) ||
      (resume.have_pieces.size() > 0 && resume.have_pieces.all_set());
  // What stands on disk unclaimed was looked at before the torrent was added:
  // it is never hashed here as a whole.
  if (resume.have_pieces.empty() && resume.unfinished_pieces.empty() && !seed) {
    return {lt::status_t::no_error, error};
  }
  if (storage.files.Holds(resume.have_pieces, seed, error)) {
    return {lt::status_t::no_error, error};
  }
  return {lt::status_t::need_full_check, error};
}

void DiskIo::async_check_files(
    lt::storage_index_t index, const lt::add_torrent_params* resume_data,
    lt::aux::vector<std::string, lt::file_index_t>,
    std::function<void(lt::status_t, const lt::storage_error&)> handler) {
  const StoragePtr& storage = At(index);
  // libtorrent keeps `resume_data` until it has the answer.
  gathered_.AfterFlush(
      storage, std::nullopt,
      [this, storage, resume_data,
       handler = std::move(handler)](Keeper keeper) mutable {
        const auto [status, error] = CheckFiles(*storage, resume_data);
        Answer(std::move(keeper), std::move(handler), status, error);
      });
}

void DiskIo::abort(bool) {
  if (std::exchange(aborted_, true)) return;
  gathered_.FlushAll();
  // Always to the end: what was taken from peers is on disk then, and every
  // answer is on its way to the engine's thread, which outlives this.
  threads_.Drain();
}

}  // namespace

lt::disk_io_constructor_type MakeDiskIo(const DiskIoOptions& options) {
  return [options](lt::io_context& context, const lt::settings_interface&,
                   lt::counters&) -> std::unique_ptr<lt::disk_interface> {
    return std::make_unique<DiskIo>(options, context);
  };
}

}  // namespace p2p
