// SPDX-License-Identifier: Apache-2.0
// Opens weights in any form that the program reads and presents them as one
// tensor table over a list of files. The content decides what a file is, never
// its name. Nothing of a file is executed and no tensor is copied.
// Tested by tests/verify/checkpoint/checkpoint_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "verify/base/file.h"
#include "verify/base/joined_file.h"
#include "verify/base/progress.h"
#include "verify/base/result.h"
#include "verify/checkpoint/compressed_weights.h"
#include "verify/checkpoint/gguf_reader.h"
#include "verify/checkpoint/join_parts.h"
#include "verify/checkpoint/sniff.h"
#include "verify/checkpoint/tensor_table.h"
#include "verify/checkpoint/weight_files.h"
#include "verify/container/zip_reader.h"

namespace verify {

// A stretch of a file with the CRC-32 that the file itself states for it; 0 if
// its writer computed none. Compare with Crc32() (verify/container/crc32.h).
struct StoredCrc {
  std::string name;
  uint32_t file_index = 0;
  uint64_t offset = 0;
  uint64_t size_bytes = 0;
  uint32_t crc32 = 0;
};

// A stretch of one of Checkpoint::files().
struct FilePlace {
  size_t file = 0;
  uint64_t offset = 0;
  uint64_t size_bytes = 0;

  bool operator==(const FilePlace&) const = default;
};

// How a file is opened by its path; for files of which only parts are here.
using SourceOpener =
    std::function<Result<std::unique_ptr<ByteSource>>(const std::string&)>;

// What becomes of files that are compressed by zstd (NAME.zst) and cannot be
// mapped.
enum class CompressedFiles {
  // kUnsupported, E-COMPRESSED, with what to do.
  kRefuse,
  // Decompressed into memory, if that much is free; else as above.
  kInMemory,
  // Read through content(). Spans tell places apart and must not be touched.
  kStreamed,
};

// An opened checkpoint. Owns the maps of its files; spans from Bytes() are
// valid while it lives. Movable; Bytes() is thread-safe.
class Checkpoint {
 public:
  // `path`: a weights file, with all files of its set (weight_files.h), or a
  // folder that holds exactly one set:
  //   consolidated.00.pth | consolidated.NN.pt(h), each with tensors of its own
  //   or all with slices of the same ones | consolidated.safetensors |
  //   consolidated-N-of-N.safetensors | model.safetensors.index.json + shards |
  //   model.safetensors | *.gguf | *-N-of-N.gguf
  // Each of the files but the index may be in pieces, or compressed (.zst).
  // Errors: those of weight_files.h and JoinParts; kNotFound, kIo, kCorrupt
  // (ids E-HTML, E-LFS-POINTER, E-EMPTY, E-CONTENT for a file that is no
  // weights at all, else those of its reader), kUnsupported, kLimit,
  // kCancelled. Only decompressing is long: `waiter` hears of it, and must
  // outlive the checkpoint if that is streamed.
  static Result<Checkpoint> Open(
      const std::string& path,
      CompressedFiles compressed = CompressedFiles::kRefuse,
      const Waiter& waiter = {});

  // The same without mapping the files: only names, shapes and places, for
  // saying what a damaged file has lost. Damage outside of the parts that hold
  // the table is passed over (in a torch.save archive: outside of directory
  // and pickle). Bytes() must not be called. If a folder cannot be opened
  // because of one bad shard, the others can, by their paths. Of files that
  // are compressed in the seekable form of zstd the tables are read, too, with
  // places in what comes out.
  static Result<Checkpoint> OpenTables(const std::string& path);
  // Weight files are opened by `open`, whose errors come through as they are.
  // The index of shards and the folder are read as they stand on disk.
  static Result<Checkpoint> OpenTables(const std::string& path,
                                       const SourceOpener& open);

  CheckpointFormat format() const { return format_; }
  const TensorTable& tensors() const { return tensors_; }
  // Paths of the weight files as they stand on disk, the pieces of a file that
  // was cut one by one.
  const std::vector<std::string>& files() const { return paths_; }
  // Whole files, pieces put together: TensorInfo::file_index and
  // StoredCrc::file_index, and offsets with them, are of these.
  size_t num_whole_files() const { return whole_.size(); }
  // The path of one: of a file in pieces the name that they share.
  const std::string& whole_file(uint32_t file_index) const {
    return whole_[file_index].path;
  }
  // What comes out of a file of files(), by its index; null if the file is not
  // compressed. Places in such a file are places in what comes out.
  const ByteSource* content(size_t file) const {
    return file < contents_.size() ? contents_[file].source.get() : nullptr;
  }
  // A file is compressed, and one of them can only be read forward at little
  // cost.
  bool is_compressed() const;
  bool is_forward_only() const;
  // Folder that holds the weights (where params.json and the tokenizer are).
  const std::string& folder() const { return folder_; }
  // Header and metadata if this is GGUF, else null.
  const GgufFile* gguf() const { return gguf_.get(); }

  // The mapped bytes of a tensor of this checkpoint that is not in slices.
  // Requires Open().
  ByteSpan Bytes(const TensorInfo& tensor) const;
  ByteSpan Bytes(const TensorSlice& place) const;
  // The same of any tensor: one span, or one for each slice.
  std::vector<ByteSpan> Slices(const TensorInfo& tensor) const;
  // Rows [first, first + count) of a tensor in slices, side by side, to the
  // front of `out`, which must have room for them. Requires Open().
  void CopyRows(const TensorInfo& tensor, uint64_t first, uint64_t count,
                std::span<std::byte> out) const;

  // Where the bytes of a tensor lie on disk, in order, slice by slice.
  std::vector<FilePlace> PlacesOf(const TensorInfo& tensor) const;

  // The tensors that have a byte in the given range of a whole file, in the
  // order of the table; none if it holds only headers or padding. Valid while
  // this object lives. Looks at every tensor.
  std::vector<const TensorInfo*> TensorsIn(uint32_t file_index, uint64_t offset,
                                           uint64_t size_bytes) const;
  // The same by a file as it stands on disk, an index into files().
  std::vector<const TensorInfo*> TensorsIn(const FilePlace& range) const;

  // What the files say of their own data (torch.save archives only).
  const std::vector<StoredCrc>& stored_crcs() const { return stored_crcs_; }

 private:
  // How files are opened and looked at.
  struct Access {
    ZipCheck check = ZipCheck::kAll;
    CompressedFiles compressed = CompressedFiles::kRefuse;
    const SourceOpener& open;
    const CancelToken* cancel = nullptr;
  };
  static Result<Checkpoint> Read(const std::string& path, const Access& access);
  // One file, and where its pieces are.
  struct WholeFile {
    std::string path;
    size_t first = 0;              // of its pieces in paths_
    std::vector<uint64_t> begins;  // of each piece in the whole, and the end
  };
  // A file, its pieces put together, or what comes out of it.
  struct Opened {
    std::unique_ptr<ByteSource> file;
    CompressedContent content;     // instead of it; no source: not compressed
    std::vector<uint64_t> begins;  // of each piece in the whole, and the end
    SniffedContent is;

    const ByteSource& source() const {
      return file != nullptr ? *file : *content.source;
    }
  };
  struct OneFile {
    Opened opened;
    CheckpointFormat format = CheckpointFormat::kTorch;
    TensorTable tensors;
    std::unique_ptr<GgufFile> gguf;  // without its table
    std::vector<StoredCrc> crcs;
  };
  static Result<Opened> OpenJoined(const WeightSet& set, size_t index,
                                   const SourceOpener& open);
  // Says what `opened` is, and opens what comes out of it if it is compressed.
  static Result<void> Recognise(const std::string& path, size_t num_files,
                                const Access& access, Opened& opened);
  static Result<OneFile> ReadOne(const WeightSet& set, size_t index,
                                 const Access& access);
  void AddFile(const WeightSet& set, size_t index, Opened opened);
  Result<void> ReadFile(const WeightSet& set, const Access& access);
  Result<void> ReadParts(const WeightSet& set, const Access& access);
  Result<void> ReadSharded(const std::string& index_path, const Access& access);
  Result<void> Map(CompressedFiles compressed, const Waiter& waiter);
  // `content` is one of contents_.
  Result<void> Fill(JoinedMap& map, const ByteSource& content,
                    const Waiter& waiter) const;
  Result<void> CompareCopies() const;
  Result<bool> SameBytes(const TensorSlice& a, const TensorSlice& b) const;
  Result<void> CheckMemory() const;

  CheckpointFormat format_ = CheckpointFormat::kTorch;
  std::string folder_;
  std::vector<std::string> paths_;
  std::vector<WholeFile> whole_;
  std::vector<JoinedMap> maps_;  // of each whole file
  // Of each path, if any file is compressed.
  std::vector<CompressedContent> contents_;
  TensorTable tensors_;
  std::vector<TensorCopies> copies_;
  std::unique_ptr<GgufFile> gguf_;
  std::vector<StoredCrc> stored_crcs_;
};

}  // namespace verify
