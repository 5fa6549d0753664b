// SPDX-License-Identifier: Apache-2.0
// The files of one torrent as its session reads and writes them: opened when
// first needed, never through a symbolic link while downloading, and written
// by pwrite. Pieces are cut into files here and nowhere else in the disk layer.
// Internal to p2p. Tested by tests/p2p/disk_io_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "p2p/lt_bridge.h"
#include "verify/base/file.h"

namespace p2p {

// kServe: files are opened for reading only, and may be symbolic links that
// their owner made; nothing is created.
enum class PayloadMode { kServe, kDownload };

struct PayloadFilesOptions {
  PayloadMode mode = PayloadMode::kServe;
  size_t max_open_files = 64;
};

// A file of priority 0 is not created: what pieces at its edges bring of it is
// kept in FOLDER/.parts, at the offset that it has in the torrent, until the
// file is wanted. Thread-safe. `files` must outlive this.
class PayloadFiles {
 public:
  PayloadFiles(const lt::file_storage& files, std::string folder,
               const std::vector<lt::download_priority_t>& priorities,
               const PayloadFilesOptions& options);

  // Bytes of piece `piece` from `offset` on. Pads read as zeros. Errors: those
  // of the system, and lt::errors::file_too_short where the file ends early.
  void Read(lt::piece_index_t piece, int64_t offset, std::span<char> out,
            lt::storage_error& error);
  // The same, but only from memory that the system has at hand: false, with
  // `out` undefined, if a disk would have to be waited for.
  bool ReadIfCached(lt::piece_index_t piece, int64_t offset,
                    std::span<char> out);
  void Write(lt::piece_index_t piece, int64_t offset,
             std::span<const char> bytes, lt::storage_error& error);

  // What a session needs before its first byte: makes empty files that are
  // wanted and cuts off what stands behind the end of a file. Nothing for
  // kServe.
  void Prepare(lt::storage_error& error);
  // True if every file that a piece in `have` touches is there, with its whole
  // size where `whole`. Sets `error` where not.
  bool Holds(const lt::typed_bitfield<lt::piece_index_t>& have, bool whole,
             lt::storage_error& error);

  // Files that become wanted get what .parts holds of them.
  void SetPriorities(const std::vector<lt::download_priority_t>& priorities,
                     lt::storage_error& error);
  // Closes every file; they are opened again when needed.
  void Release();

  const lt::file_storage& files() const { return files_; }

 private:
  struct OpenedFile {
    explicit OpenedFile(int number) : fd(number) {}
    int get() const { return fd.get(); }

    const verify::UniqueFd fd;
    // Linux takes one write at a time into a file, and a thread that waits for
    // its turn there spins.
    std::mutex writing;
  };
  using SharedFd = std::shared_ptr<OpenedFile>;

  bool InParts(lt::file_index_t file) const;
  SharedFd Open(lt::file_index_t file, bool create, lt::storage_error& error);
  SharedFd OpenNow(lt::file_index_t file, bool create,
                   lt::storage_error& error) const;
  void ExportParts(lt::file_index_t file, lt::storage_error& error);
  template <typename F>
  void ForEachSlice(lt::piece_index_t piece, int64_t offset, size_t size,
                    F&& body) const;

  const lt::file_storage& files_;
  const std::string folder_;
  const PayloadFilesOptions options_;

  mutable std::mutex mu_;
  // All below guarded by mu_.
  std::vector<bool> in_parts_;  // by file
  struct OpenFile {
    SharedFd fd;
    std::list<int>::iterator use;
  };
  std::unordered_map<int, OpenFile> open_;  // by file; kPartsKey: .parts
  std::list<int> uses_;                     // least recent first
};

}  // namespace p2p
