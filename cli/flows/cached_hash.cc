// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/cached_hash.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/state/paths.h"
#include "verify/base/file_stamp.h"
#include "verify/base/text.h"
#include "verify/digest/piece_layout.h"

namespace cli {
namespace {

using verify::FileStamp;
using verify::HashFile;
using verify::HashRequest;
using verify::Result;
using verify::StrCat;
using verify::SumAlgorithm;

// Clocks of file systems tick at 10 ms or less, FAT's at two seconds.
constexpr int64_t kRestNs = 2'000'000'000;
constexpr std::string_view kMerkleKind = "merkle";

int64_t SystemNow() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// A digest of which the bytes are remembered, or of any number of pieces.
template <typename Digest>
std::optional<std::vector<Digest>> Unpack(const std::string& hex,
                                          uint64_t count) {
  const auto bytes = verify::HexDecode(hex);
  if (!bytes.has_value() || bytes->size() / sizeof(Digest) != count ||
      bytes->size() % sizeof(Digest) != 0) {
    return std::nullopt;
  }
  std::vector<Digest> digests(static_cast<size_t>(count));
  auto from = bytes->begin();
  for (Digest& digest : digests) {
    std::copy_n(from, digest.size(), digest.begin());
    from += static_cast<ptrdiff_t>(digest.size());
  }
  return digests;
}

// One request with the database beside it.
class CachedHash {
 public:
  CachedHash(HashRequest& request, const verify::PieceLayout& layout)
      : request_(request), layout_(layout), stamps_(request.files.size()) {}

  // The states of all files before they are read.
  void Look();
  // Fills in what is remembered. Errors: the database's.
  Result<void> Recall(const StateDb& state);
  // Marks the files that are no longer what they were.
  void CheckStamps(verify::HashOutcome& outcome) const;
  // Remembers what was read of files that had rested by `now_ns`.
  Result<void> Remember(const verify::HashOutcome& outcome, int64_t now_ns,
                        StateDb& state) const;

 private:
  struct Stamp {
    std::string path;  // canonical
    FileStamp stamp;
  };

  std::string PiecesKind(size_t file) const;
  std::optional<verify::KnownDigests> KnownOf(
      size_t file, const RememberedDigests& digests) const;

  HashRequest& request_;
  const verify::PieceLayout& layout_;
  std::vector<std::optional<Stamp>> stamps_;  // nothing: a pad, or not there
};

void CachedHash::Look() {
  for (size_t i = 0; i < stamps_.size(); ++i) {
    const std::string& path = request_.files[i].path;
    if (path.empty()) continue;
    auto stamp = verify::StampOf(path);
    if (stamp) stamps_[i] = Stamp{CanonicalPath(path), *stamp};
  }
}

// Which pieces lie in a file, and how they cut it.
std::string CachedHash::PiecesKind(size_t file) const {
  const auto inside = layout_.PiecesInside(file);
  return StrCat("pieces:", layout_.piece_length(), ":",
                layout_.FileStart(file) % layout_.piece_length(), ":",
                inside.last - inside.first);
}

std::optional<verify::KnownDigests> CachedHash::KnownOf(
    size_t file, const RememberedDigests& digests) const {
  const HashFile& wanted = request_.files[file];
  verify::KnownDigests known;
  for (const SumAlgorithm algorithm : wanted.sums.List()) {
    const auto found = digests.find(std::string(SumAlgorithmName(algorithm)));
    if (found == digests.end()) return std::nullopt;
    auto sum = verify::HexDecode(found->second);
    if (!sum.has_value() || sum->size() != verify::SumBytes(algorithm)) {
      return std::nullopt;
    }
    known.sums[algorithm] = std::move(*sum);
  }
  if (wanted.want_merkle && wanted.size_bytes > 0) {
    // The pieces of v2 are not remembered.
    if (request_.merkle_piece_length != 0) return std::nullopt;
    const auto found = digests.find(std::string(kMerkleKind));
    if (found == digests.end()) return std::nullopt;
    const auto root = Unpack<verify::Sha256Digest>(found->second, 1);
    if (!root.has_value()) return std::nullopt;
    known.merkle_root = root->front();
  }
  if (const auto inside = layout_.PiecesInside(file);
      inside.last > inside.first) {
    const auto found = digests.find(PiecesKind(file));
    if (found == digests.end()) return std::nullopt;
    auto pieces =
        Unpack<verify::Sha1Digest>(found->second, inside.last - inside.first);
    if (!pieces.has_value()) return std::nullopt;
    known.pieces = std::move(*pieces);
  }
  return known;
}

Result<void> CachedHash::Recall(const StateDb& state) {
  for (size_t i = 0; i < stamps_.size(); ++i) {
    if (!stamps_[i].has_value() ||
        stamps_[i]->stamp.identity.size_bytes != request_.files[i].size_bytes) {
      continue;
    }
    ASSIGN_OR_RETURN(const RememberedDigests digests,
                     state.FindDigests(stamps_[i]->path, stamps_[i]->stamp));
    if (!digests.empty()) request_.files[i].known = KnownOf(i, digests);
  }
  return {};
}

void CachedHash::CheckStamps(verify::HashOutcome& outcome) const {
  for (size_t i = 0; i < stamps_.size(); ++i) {
    verify::FileDigests& file = outcome.files[i];
    if (!stamps_[i].has_value() || file.state != verify::FileState::kOk) {
      continue;
    }
    const auto now = verify::StampOf(request_.files[i].path);
    // Of a file that was read its own identity says more than the times of a
    // link to it.
    if (now && (file.known ? *now == stamps_[i]->stamp
                           : now->identity == stamps_[i]->stamp.identity)) {
      continue;
    }
    file.state = verify::FileState::kChanged;
    file.error = "file changed while it was checked";
    file.sums.clear();
    file.merkle_root.reset();
  }
}

Result<void> CachedHash::Remember(const verify::HashOutcome& outcome,
                                  int64_t now_ns, StateDb& state) const {
  for (size_t i = 0; i < stamps_.size(); ++i) {
    const verify::FileDigests& file = outcome.files[i];
    if (!stamps_[i].has_value() || file.known ||
        file.state != verify::FileState::kOk) {
      continue;
    }
    const FileStamp& stamp = stamps_[i]->stamp;
    if (std::max(stamp.ctime_ns, stamp.identity.mtime_ns) > now_ns - kRestNs) {
      continue;
    }
    const auto after = verify::StampOf(request_.files[i].path);
    if (!after || *after != stamp || file.identity != stamp.identity) continue;
    RememberedDigests digests;
    for (const auto& [algorithm, digest] : file.sums) {
      digests[std::string(SumAlgorithmName(algorithm))] =
          verify::HexEncode(digest);
    }
    if (file.merkle_root.has_value()) {
      digests[std::string(kMerkleKind)] = verify::HexEncode(*file.merkle_root);
    }
    if (const auto inside = layout_.PiecesInside(i);
        inside.last > inside.first) {
      std::string& pieces = digests[PiecesKind(i)];
      for (uint64_t piece = inside.first; piece < inside.last; ++piece) {
        pieces += verify::HexEncode(
            outcome.piece_digests[static_cast<size_t>(piece)]);
      }
    }
    if (digests.empty()) continue;
    RETURN_IF_ERROR(state.PutDigests(stamps_[i]->path, stamp, digests,
                                     now_ns / 1'000'000'000));
  }
  return {};
}

}  // namespace

std::optional<verify::Error> ChangedSince(
    const std::vector<HashedFile>& files) {
  for (const HashedFile& file : files) {
    const auto now = verify::StampOf(file.path);
    if (now && now->identity == file.identity) continue;
    verify::Error error;
    error.code = verify::ErrorCode::kMismatch;
    error.id = "E-CHANGED";
    error.message =
        StrCat("\"", verify::EscapeForTerminal(file.path),
               "\" is no longer the file whose digests were compared");
    error.hint = "run the same command again while nothing writes to it";
    return error;
  }
  return std::nullopt;
}

Result<CachedHashOutcome> HashFilesCached(HashRequest request,
                                          const CachedHashOptions& options,
                                          const verify::CancelToken& cancel,
                                          verify::ProgressSink* progress) {
  CachedHashOutcome outcome;
  if (options.cache == DigestCache::kOff || request.files.empty()) {
    ASSIGN_OR_RETURN(outcome.hashed,
                     verify::HashFiles(request, cancel, progress));
    return outcome;
  }
  // Before anything is read: what changes later is younger than this.
  const int64_t now_ns = options.now_ns != 0 ? options.now_ns : SystemNow();
  std::vector<uint64_t> sizes;
  for (const HashFile& file : request.files) sizes.push_back(file.size_bytes);
  ASSIGN_OR_RETURN(const verify::PieceLayout layout,
                   verify::PieceLayout::Create(sizes, request.piece_length));
  CachedHash cached(request, layout);
  cached.Look();
  auto state = StateDb::Open(options.state_path, outcome.trouble);
  if (!state) outcome.trouble = state.error().ToString();
  if (state && options.cache == DigestCache::kUse) {
    if (const auto recalled = cached.Recall(*state); !recalled) {
      outcome.trouble = recalled.error().ToString();
    }
  }
  ASSIGN_OR_RETURN(outcome.hashed,
                   verify::HashFiles(request, cancel, progress));
  cached.CheckStamps(outcome.hashed);
  for (const verify::FileDigests& file : outcome.hashed.files) {
    if (file.known) outcome.bytes_not_read += file.actual_size_bytes;
  }
  if (state) {
    if (const auto stored = cached.Remember(outcome.hashed, now_ns, *state);
        !stored) {
      outcome.trouble = stored.error().ToString();
    }
  }
  return outcome;
}

Result<CachedHashOutcome> HashForCheck(HashRequest request,
                                       const HashingOptions& options,
                                       Context& context,
                                       verify::ProgressSink& progress) {
  request.read_mode = options.read_mode;
  CachedHashOptions cache;
  cache.cache = options.cache;
  ASSIGN_OR_RETURN(CachedHashOutcome outcome,
                   HashFilesCached(request, cache, context.cancel, &progress));
  if (!outcome.trouble.empty()) {
    context.output.Warning("STATE_UNUSABLE", outcome.trouble,
                           "digests are not remembered for the next time");
  }
  if (outcome.hashed.files_not_direct > 0) {
    context.output.Warning(
        "IO_NOT_DIRECT",
        StrCat("--io direct: ", outcome.hashed.files_not_direct,
               " files were read through the page cache, since their file "
               "system cannot be read past it"));
  }
  for (size_t i = 0; i < request.files.size(); ++i) {
    const verify::FileDigests& file = outcome.hashed.files[i];
    if (file.state == verify::FileState::kOk && file.identity.has_value()) {
      outcome.files.push_back({request.files[i].path, *file.identity});
    }
  }
  return outcome;
}

std::string ReadText(uint64_t bytes_read, uint64_t bytes_not_read) {
  std::string text = verify::FormatSize(bytes_read) + " read";
  if (bytes_not_read > 0) {
    text += StrCat(", ", verify::FormatSize(bytes_not_read),
                   " remembered from an earlier run (--rehash reads it again)");
  }
  return text;
}

}  // namespace cli
