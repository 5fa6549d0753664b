// SPDX-License-Identifier: Apache-2.0
#include "p2p/piece_check.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <thread>
#include <utility>

#include "p2p/piece_hasher.h"
#include "verify/base/file.h"
#include "verify/base/text.h"
#include "verify/base/thread_pool.h"
#include "verify/digest/merkle.h"

namespace p2p {
namespace {

using verify::ErrorCode;
using verify::Fail;
using verify::ReadOnlyFile;
using verify::Result;
using verify::Sha1Digest;
using verify::Sha256Digest;
using verify::StrCat;

// Enough at a time that opening a file does not count.
constexpr uint64_t kGrainBytes = 8u << 20;
constexpr auto kTick = std::chrono::milliseconds(250);

// How far the hashing threads are; the caller's thread reads it.
class Mailbox {
 public:
  void Add(const std::string& item, uint64_t bytes) {
    const std::lock_guard lock(mu_);
    item_ = item;
    done_bytes_ += bytes;
  }
  void Finish() {
    const std::lock_guard lock(mu_);
    finished_ = true;
    wake_.notify_all();
  }
  // Waits for the end or a moment; true at the end.
  bool Wait(std::string& item, uint64_t& done_bytes) {
    std::unique_lock lock(mu_);
    wake_.wait_for(lock, kTick, [this] { return finished_; });
    item = item_;
    done_bytes = done_bytes_;
    return finished_;
  }

 private:
  std::mutex mu_;
  std::condition_variable wake_;
  std::string item_;         // guarded by mu_
  uint64_t done_bytes_ = 0;  // guarded by mu_
  bool finished_ = false;    // guarded by mu_
};

// True if not one byte of the range was ever written.
bool IsHole(const ReadOnlyFile& file, uint64_t offset, uint64_t size_bytes) {
  const off_t data = ::lseek(file.fd(), static_cast<off_t>(offset), SEEK_DATA);
  if (data < 0) return errno == ENXIO && offset + size_bytes <= file.size();
  return static_cast<uint64_t>(data) >= offset + size_bytes;
}

// What the threads share: the plan, and what came out.
struct Plan {
  const Metainfo& metainfo;
  const PieceLayers& layers;
  const std::string& payload_path;
  bool v1 = false;
  bool v2 = false;
  std::vector<uint32_t> pieces{};  // to look at, ascending
  // Of a v2 file longer than a piece: where its nodes stand, or nothing.
  std::vector<const std::vector<std::byte>*> layer_of{};  // by file
  Sha1Digest zero_piece{};                                // a full one of zeros

  std::vector<uint8_t> good{};        // by piece
  std::vector<Sha256Digest> roots{};  // by piece, if a file lacks its layer
  std::vector<uint8_t> root_known{};  // by piece
};

// Checks pieces one after the other; keeps the last file open. One thread.
class PieceChecker {
 public:
  explicit PieceChecker(Plan& plan)
      : plan_(plan),
        hasher_(std::max<uint64_t>(plan.metainfo.piece_length,
                                   verify::kMerkleLeafBytes),
                plan.v1),
        buffer_(plan.v2 ? 0 : static_cast<size_t>(kPieceChunkBytes)) {}

  void Check(uint32_t piece) {
    const std::vector<FileRange> ranges = PieceRanges(plan_.metainfo, piece);
    if (ranges.empty()) {
      plan_.good[piece] = 1;  // padding alone
      return;
    }
    for (const FileRange& range : ranges) {
      const MetainfoFile& file = plan_.metainfo.files[range.file_index];
      const ReadOnlyFile* source = Open(range.file_index);
      if (source == nullptr ||
          source->size() < range.offset + range.size_bytes) {
        return;
      }
      item_ = file.path.empty() ? plan_.metainfo.name : file.path;
    }
    plan_.good[piece] =
        plan_.v2 ? CheckAligned(piece, ranges.front()) : CheckV1(piece, ranges);
  }
  const std::string& item() const { return item_; }

 private:
  const ReadOnlyFile* Open(size_t index) {
    if (open_.has_value() && open_index_ == index) return &*open_;
    open_.reset();
    auto opened = ReadOnlyFile::Open(PayloadFilePath(
        plan_.metainfo, plan_.metainfo.files[index], plan_.payload_path));
    if (!opened) return nullptr;
    open_.emplace(std::move(*opened));
    open_index_ = index;
    return &*open_;
  }

  uint64_t PieceBytes(uint32_t piece) const {
    const auto& last = plan_.metainfo.files.back();
    const uint64_t end = last.offset + last.size_bytes;
    const uint64_t begin = uint64_t{piece} * plan_.metainfo.piece_length;
    return std::min(plan_.metainfo.piece_length, end - begin);
  }

  // Files of a v2 torrent begin a piece each, so a piece has one of them.
  bool CheckAligned(uint32_t piece, const FileRange& range) {
    const ReadOnlyFile* source = Open(range.file_index);
    if (source == nullptr) return false;
    const MetainfoFile& file = plan_.metainfo.files[range.file_index];
    const uint64_t length = plan_.metainfo.piece_length;
    const bool fills_layer = file.size_bytes > length;
    if (range.size_bytes == length && plan_.v1 && IsZeroHole(*source, range) &&
        plan_.metainfo.piece_digests[piece] != plan_.zero_piece) {
      return false;
    }
    FilePiece where{range.file_index, range.offset, range.size_bytes, 0};
    if (plan_.v1) where.padding = PieceBytes(piece) - range.size_bytes;
    const auto digests = hasher_.Hash(*source, where, fills_layer);
    if (!digests) return false;
    if (plan_.v1 && digests->sha1 != plan_.metainfo.piece_digests[piece]) {
      return false;
    }
    if (!file.pieces_root.has_value()) return plan_.v1;
    if (!fills_layer) return digests->root == *file.pieces_root;
    const std::vector<std::byte>* layer = plan_.layer_of[range.file_index];
    if (layer != nullptr) {
      const size_t at =
          static_cast<size_t>(range.offset / length) * sizeof(Sha256Digest);
      return at + sizeof(Sha256Digest) <= layer->size() &&
             std::memcmp(layer->data() + at, digests->root.data(),
                         sizeof(Sha256Digest)) == 0;
    }
    plan_.roots[piece] = digests->root;
    plan_.root_known[piece] = 1;
    return plan_.v1;  // of v2 alone: decided by the whole file
  }

  bool IsZeroHole(const ReadOnlyFile& source, const FileRange& range) const {
    return IsHole(source, range.offset, range.size_bytes);
  }

  bool CheckV1(uint32_t piece, const std::vector<FileRange>& ranges) {
    const Sha1Digest& wanted = plan_.metainfo.piece_digests[piece];
    const uint64_t begin = uint64_t{piece} * plan_.metainfo.piece_length;
    if (ranges.size() == 1 &&
        ranges.front().size_bytes == plan_.metainfo.piece_length) {
      const ReadOnlyFile* source = Open(ranges.front().file_index);
      if (source == nullptr) return false;
      if (IsZeroHole(*source, ranges.front())) {
        return wanted == plan_.zero_piece;
      }
    }
    uint64_t at = begin;
    sha1_.Reset();
    for (const FileRange& range : ranges) {
      const MetainfoFile& file = plan_.metainfo.files[range.file_index];
      AddZeros(file.offset + range.offset - at);
      const ReadOnlyFile* source = Open(range.file_index);
      if (source == nullptr) return false;
      for (uint64_t done = 0; done < range.size_bytes;) {
        const auto bytes = std::span(buffer_).first(static_cast<size_t>(
            std::min<uint64_t>(buffer_.size(), range.size_bytes - done)));
        if (!source->ReadAt(range.offset + done, bytes)) return false;
        sha1_.Update(bytes);
        done += bytes.size();
      }
      at = file.offset + range.offset + range.size_bytes;
    }
    AddZeros(begin + PieceBytes(piece) - at);
    return sha1_.Finish() == wanted;
  }

  void AddZeros(uint64_t count) {
    if (count == 0) return;
    std::fill(buffer_.begin(), buffer_.end(), std::byte{});
    while (count > 0) {
      const auto size =
          static_cast<size_t>(std::min<uint64_t>(buffer_.size(), count));
      sha1_.Update(std::span(buffer_).first(size));
      count -= size;
    }
  }

  Plan& plan_;
  PieceHasher hasher_;
  std::vector<std::byte> buffer_;
  verify::Sha1Hasher sha1_;
  std::optional<ReadOnlyFile> open_;
  size_t open_index_ = 0;
  std::string item_;
};

// Files of a v2 torrent whose nodes nobody has told us yet: right if the nodes
// that were computed lead to the root.
void JudgeByRoots(Plan& plan) {
  if (plan.roots.empty()) return;
  const uint64_t length = plan.metainfo.piece_length;
  verify::MerkleHasher merkle;
  const Sha256Digest pad =
      merkle.ZeroRoot(static_cast<size_t>(length / verify::kMerkleLeafBytes));
  for (size_t i = 0; i < plan.metainfo.files.size(); ++i) {
    const MetainfoFile& file = plan.metainfo.files[i];
    if (file.is_pad || !file.pieces_root.has_value() ||
        file.size_bytes <= length || plan.layer_of[i] != nullptr) {
      continue;
    }
    const auto first = static_cast<size_t>(file.offset / length);
    const auto count = static_cast<size_t>((file.size_bytes - 1) / length + 1);
    std::vector<Sha256Digest> nodes;
    for (size_t p = first; p < first + count && plan.root_known[p] != 0; ++p) {
      nodes.push_back(plan.roots[p]);
    }
    const bool right = nodes.size() == count &&
                       merkle.Root(std::move(nodes), pad) == *file.pieces_root;
    // Where v1 has spoken, the root can only take back.
    for (size_t p = first; p < first + count; ++p) {
      if (!plan.v1) plan.good[p] = right;
    }
  }
}

Sha1Digest ZeroPiece(uint64_t size_bytes) {
  verify::Sha1Hasher sha1;
  const std::vector<std::byte> zeros(
      static_cast<size_t>(std::min(size_bytes, kPieceChunkBytes)));
  for (uint64_t left = size_bytes; left > 0;) {
    const uint64_t size = std::min<uint64_t>(left, zeros.size());
    sha1.Update(std::span(zeros).first(static_cast<size_t>(size)));
    left -= size;
  }
  return sha1.Finish();
}

void RunCheck(Plan& plan, size_t num_threads, const verify::CancelToken& cancel,
              Mailbox& mailbox) {
  verify::ThreadPool pool(num_threads);
  const auto grain = static_cast<size_t>(std::max<uint64_t>(
      1, kGrainBytes / std::max<uint64_t>(1, plan.metainfo.piece_length)));
  pool.ParallelFor(plan.pieces.size(), grain, [&](size_t begin, size_t end) {
    PieceChecker checker(plan);
    for (size_t i = begin; i < end && !cancel.cancelled(); ++i) {
      checker.Check(plan.pieces[i]);
      mailbox.Add(checker.item(), plan.metainfo.piece_length);
    }
  });
}

}  // namespace

std::string PayloadFilePath(const Metainfo& metainfo, const MetainfoFile& file,
                            const std::string& payload_path) {
  return metainfo.single_file ? payload_path
                              : StrCat(payload_path, "/", file.path);
}

Result<PieceSet> CheckPieces(const Metainfo& metainfo,
                             const PieceLayers& layers,
                             const PieceCheckOptions& options,
                             const verify::CancelToken& cancel) {
  const uint32_t num_pieces = metainfo.num_pieces();
  Plan plan{.metainfo = metainfo,
            .layers = layers,
            .payload_path = options.payload_path};
  plan.v1 = !metainfo.piece_digests.empty();
  plan.v2 = metainfo.info_hashes.v2.has_value();
  plan.good.assign(num_pieces, 0);
  plan.layer_of.assign(metainfo.files.size(), nullptr);
  if (plan.v1) plan.zero_piece = ZeroPiece(metainfo.piece_length);
  if (plan.v2) {
    bool lacks_layer = false;
    for (size_t i = 0; i < metainfo.files.size(); ++i) {
      const MetainfoFile& file = metainfo.files[i];
      if (!file.pieces_root.has_value() ||
          file.size_bytes <= metainfo.piece_length) {
        continue;
      }
      const auto found = layers.find(*file.pieces_root);
      if (found != layers.end()) {
        plan.layer_of[i] = &found->second;
      } else {
        lacks_layer = true;
      }
    }
    if (lacks_layer) {
      plan.roots.resize(num_pieces);
      plan.root_known.assign(num_pieces, 0);
    }
  }
  for (uint32_t piece = 0; piece < num_pieces; ++piece) {
    if (options.pieces.empty() || options.pieces[piece]) {
      plan.pieces.push_back(piece);
    }
  }
  const uint64_t total_bytes = plan.pieces.size() * metainfo.piece_length;
  Mailbox mailbox;
  {
    const std::jthread worker([&] {
      RunCheck(plan, options.num_threads, cancel, mailbox);
      mailbox.Finish();
    });
    std::string item;
    uint64_t done_bytes = 0;
    while (!mailbox.Wait(item, done_bytes)) {
      if (options.tick) options.tick(item, done_bytes, total_bytes);
    }
  }
  if (cancel.cancelled()) {
    return Fail(ErrorCode::kCancelled, "the check of the files was stopped");
  }
  JudgeByRoots(plan);
  return PieceSet(plan.good.begin(), plan.good.end());
}

PieceSet PiecesOfFiles(const Metainfo& metainfo,
                       const std::vector<bool>& files) {
  PieceSet pieces(metainfo.num_pieces(), false);
  for (size_t i = 0; i < metainfo.files.size(); ++i) {
    const MetainfoFile& file = metainfo.files[i];
    if (file.is_pad || file.size_bytes == 0) continue;
    if (!files.empty() && !files[i]) continue;
    const uint64_t first = file.offset / metainfo.piece_length;
    const uint64_t last =
        (file.offset + file.size_bytes - 1) / metainfo.piece_length;
    for (uint64_t piece = first; piece <= last; ++piece) {
      pieces[static_cast<size_t>(piece)] = true;
    }
  }
  return pieces;
}

size_t NumSet(const PieceSet& pieces) {
  return static_cast<size_t>(std::count(pieces.begin(), pieces.end(), true));
}

}  // namespace p2p
