// SPDX-License-Identifier: Apache-2.0
#include "p2p/piece_hash.h"

#include <algorithm>
#include <atomic>
#include <mutex>

#include "p2p/piece_hasher.h"
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

}  // namespace

Result<AlignedDigests> HashAligned(const Payload& payload,
                                   uint64_t piece_length, bool with_v1,
                                   size_t num_threads,
                                   const verify::CancelToken& cancel,
                                   verify::ProgressSink* progress) {
  std::vector<FilePiece> pieces;
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
      const FilePiece& piece = pieces[i];
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
