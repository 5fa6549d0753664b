// SPDX-License-Identifier: Apache-2.0
#include "p2p/piece_hash.h"

#include <algorithm>
#include <atomic>
#include <mutex>

#include "verify/base/text.h"
#include "verify/base/thread_pool.h"
#include "verify/digest/merkle.h"

namespace p2p {
namespace {

using verify::ErrorCode;
using verify::Fail;
using verify::Result;
using verify::Sha1Digest;
using verify::Sha256Digest;

// Read at once; bounds the memory of a thread whatever the piece length.
constexpr uint64_t kChunkBytes = 1u << 20;

struct Piece {
  size_t file = 0;
  uint64_t offset = 0;
  uint64_t size_bytes = 0;
  uint64_t padding = 0;  // zeros that v1 counts to this piece
};

struct PieceDigests {
  Sha256Digest root{};
  Sha1Digest sha1{};
};

class PieceHasher {
 public:
  PieceHasher(uint64_t piece_length, bool with_v1)
      : chunk_bytes_(std::min(piece_length, kChunkBytes)),
        piece_length_(piece_length),
        with_v1_(with_v1),
        buffer_(static_cast<size_t>(chunk_bytes_)),
        zero_chunk_(merkle_.ZeroRoot(LeavesOf(chunk_bytes_))) {}

  // `fills_layer`: the piece is one of several, so that its tree has the full
  // width of a piece even where the file ends in it.
  Result<PieceDigests> Hash(const verify::ReadOnlyFile& file,
                            const Piece& piece, bool fills_layer);

 private:
  static size_t LeavesOf(uint64_t bytes) {
    return static_cast<size_t>((bytes + verify::kMerkleLeafBytes - 1) /
                               verify::kMerkleLeafBytes);
  }

  uint64_t chunk_bytes_;
  uint64_t piece_length_;
  bool with_v1_;
  std::vector<std::byte> buffer_;
  verify::MerkleHasher merkle_;
  Sha256Digest zero_chunk_;
  verify::Sha1Hasher sha1_;
};

Result<PieceDigests> PieceHasher::Hash(const verify::ReadOnlyFile& file,
                                       const Piece& piece, bool fills_layer) {
  std::vector<Sha256Digest> chunks;
  PieceDigests digests;
  sha1_.Reset();
  const bool is_one_chunk = piece.size_bytes <= chunk_bytes_;
  for (uint64_t done = 0; done < piece.size_bytes;) {
    const auto size =
        static_cast<size_t>(std::min(chunk_bytes_, piece.size_bytes - done));
    const std::span<std::byte> bytes = std::span(buffer_).first(size);
    RETURN_IF_ERROR(file.ReadAt(piece.offset + done, bytes));
    // The tree of a short file is only as wide as its leaves need.
    const bool full_width = fills_layer || !is_one_chunk;
    chunks.push_back(
        merkle_.SubtreeRoot(bytes, full_width ? LeavesOf(chunk_bytes_) : 1));
    if (with_v1_) sha1_.Update(bytes);
    done += size;
  }
  digests.root = merkle_.Root(
      std::move(chunks), zero_chunk_,
      fills_layer ? static_cast<size_t>(piece_length_ / chunk_bytes_) : 1);
  if (with_v1_) {
    if (piece.padding > 0) {
      std::fill(buffer_.begin(), buffer_.end(), std::byte{});
    }
    for (uint64_t left = piece.padding; left > 0;) {
      const auto size = static_cast<size_t>(std::min(chunk_bytes_, left));
      sha1_.Update(std::span(buffer_).first(size));
      left -= size;
    }
    digests.sha1 = sha1_.Finish();
  }
  return digests;
}

}  // namespace

Result<AlignedDigests> HashAligned(const Payload& payload,
                                   uint64_t piece_length, bool with_v1,
                                   size_t num_threads,
                                   const verify::CancelToken& cancel,
                                   verify::ProgressSink* progress) {
  std::vector<Piece> pieces;
  std::vector<size_t> first_piece;
  uint64_t total_bytes = 0;
  for (size_t i = 0; i < payload.files.size(); ++i) {
    const uint64_t size = payload.files[i].identity.size_bytes;
    total_bytes += size;
    first_piece.push_back(pieces.size());
    // Nothing follows the last content: its piece stays short.
    if (!pieces.empty() && size > 0) {
      pieces.back().padding = piece_length - pieces.back().size_bytes;
    }
    for (uint64_t offset = 0; offset < size; offset += piece_length) {
      pieces.push_back({i, offset, std::min(piece_length, size - offset), 0});
    }
  }
  first_piece.push_back(pieces.size());

  std::vector<PieceDigests> digests(pieces.size());
  std::mutex mu;
  std::optional<verify::Error> failure;  // guarded by mu; the first one
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> done_bytes{0};
  const auto fail = [&](verify::Error error) {
    const std::lock_guard lock(mu);
    if (!failure.has_value()) failure = std::move(error);
    stop.store(true);
  };
  verify::ThreadPool pool(num_threads);
  // Enough pieces at a time that opening the file does not count.
  const size_t grain = static_cast<size_t>(
      std::max<uint64_t>(1, (uint64_t{8} << 20) / piece_length));
  pool.ParallelFor(pieces.size(), grain, [&](size_t begin, size_t end) {
    PieceHasher hasher(piece_length, with_v1);
    std::optional<verify::ReadOnlyFile> file;
    size_t open_index = 0;
    for (size_t i = begin; i < end && !stop.load(); ++i) {
      if (cancel.cancelled()) {
        stop.store(true);
        return;
      }
      const Piece& piece = pieces[i];
      const PayloadFile& source = payload.files[piece.file];
      if (!file.has_value() || open_index != piece.file) {
        auto opened = verify::ReadOnlyFile::Open(source.path);
        if (!opened) return fail(std::move(opened).error());
        if (opened->identity() != source.identity) {
          auto changed = CheckUnchanged(source);
          if (!changed) return fail(std::move(changed).error());
        }
        file.emplace(std::move(*opened));
        open_index = piece.file;
      }
      const bool fills_layer = source.identity.size_bytes > piece_length;
      auto hashed = hasher.Hash(*file, piece, fills_layer);
      if (!hashed) {
        // A file that shrank reads as cut off; say what happened.
        auto changed = CheckUnchanged(source);
        return fail(changed ? std::move(hashed).error()
                            : std::move(changed).error());
      }
      digests[i] = *hashed;
      const uint64_t done =
          done_bytes.fetch_add(piece.size_bytes) + piece.size_bytes;
      if (progress != nullptr) {
        progress->OnProgress(source.path, done, total_bytes);
      }
    }
  });
  if (failure.has_value()) return verify::Unexpected(std::move(*failure));
  if (cancel.cancelled()) {
    return Fail(ErrorCode::kCancelled, "hashing was cancelled");
  }

  AlignedDigests result;
  verify::MerkleHasher merkle;
  const Sha256Digest pad = merkle.ZeroRoot(
      static_cast<size_t>(piece_length / verify::kMerkleLeafBytes));
  for (size_t i = 0; i < payload.files.size(); ++i) {
    AlignedDigests::File file;
    for (size_t p = first_piece[i]; p < first_piece[i + 1]; ++p) {
      file.piece_layer.push_back(digests[p].root);
    }
    if (file.piece_layer.size() == 1) {
      file.pieces_root = file.piece_layer[0];
      file.piece_layer.clear();
    } else if (file.piece_layer.size() > 1) {
      file.pieces_root = merkle.Root(file.piece_layer, pad);
    }
    result.files.push_back(std::move(file));
  }
  if (with_v1) {
    for (const PieceDigests& piece : digests) {
      result.pieces.push_back(piece.sha1);
    }
  }
  return result;
}

}  // namespace p2p
