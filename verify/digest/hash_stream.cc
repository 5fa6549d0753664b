// SPDX-License-Identifier: Apache-2.0
#include "verify/digest/hash_stream.h"

#include <fcntl.h>

#include <algorithm>
#include <span>
#include <utility>

#include "verify/base/file_stamp.h"
#include "verify/digest/sha1_pair.h"

namespace verify::internal {
namespace {

constexpr uint64_t kReadAheadBytes = 4u << 20;
// Beyond two pieces that are hashed side by side.
constexpr uint64_t kMaxPairReadAheadBytes = 32u << 20;

// Of steps; a lane's is how many blocks it is behind.
constexpr int kStarvedUrgency = 100;
constexpr int kSoloUrgency = 50;
constexpr int kOpenUrgency = 40;

}  // namespace

HashStream::HashStream(const StreamPlan& plan, const HashFile& file,
                       const PieceLayout& layout, PieceResults& pieces,
                       FileJob& job, BlockRing ring)
    : plan_(plan),
      file_(file),
      layout_(layout),
      pieces_(pieces),
      job_(job),
      ring_(std::move(ring)),
      read_offset_(plan.begin),
      read_end_(plan.end) {
  for (const SumAlgorithm algorithm : plan_.sums.List()) {
    wanted_.push_back({LaneKind::kSum, algorithm});
  }
  if (plan_.pieces) wanted_.push_back({.kind = LaneKind::kPieces});
  if (plan_.merkle) wanted_.push_back({.kind = LaneKind::kMerkle});
}

bool HashStream::Available(const Lane& lane) const {
  return lane.next < produced_ &&
         (!lane.busy || lane.goal.kind == LaneKind::kMerkle);
}

std::optional<HashStream::Step> HashStream::Best(Sharing sharing,
                                                 size_t& count) const {
  if (solo_ || (!opened_ && reading_)) return std::nullopt;
  std::optional<Step> best;
  const auto offer = [&](const Step& step) {
    ++count;
    if (!best.has_value() || step.urgency > best->urgency) best = step;
  };
  if (!opened_) {
    offer({.kind = StepKind::kOpen, .urgency = kOpenUrgency});
    return best;
  }
  const auto buffered = static_cast<int>(produced_ - retired_);
  if (lanes_.size() <= 1 || sharing == Sharing::kAlone) {
    // What is still in the ring first goes through its lanes.
    if (!reading_ && !at_end_ && buffered == 0) {
      offer({.kind = StepKind::kSolo, .urgency = kSoloUrgency});
    }
  } else if (!reading_ && !at_end_ &&
             buffered < static_cast<int>(kRingBlocks)) {
    // An empty ring starves every lane; a half full one can wait.
    offer({.kind = StepKind::kRead,
           .block = produced_,
           .urgency = buffered < 3 ? kStarvedUrgency : 0});
  }
  for (size_t i = 0; i < lanes_.size(); ++i) {
    const Lane& lane = lanes_[i];
    if (!Available(lane)) continue;
    // The lane that is furthest behind holds the ring back.
    offer({.kind = StepKind::kLane,
           .lane = i,
           .block = lane.next,
           .urgency = static_cast<int>(produced_ - lane.next)});
  }
  return best;
}

void HashStream::Start(const Step& step) {
  switch (step.kind) {
    case StepKind::kOpen:
    case StepKind::kRead:
      reading_ = true;
      return;
    case StepKind::kSolo:
      solo_ = true;
      return;
    case StepKind::kLane:
      break;
  }
  Lane& lane = lanes_[step.lane];
  ++lane.next;
  if (lane.goal.kind != LaneKind::kMerkle) lane.busy = true;
}

void HashStream::Run(const Step& step, std::span<std::byte> buffer,
                     const CancelToken& cancel) {
  const size_t index = step.block % kRingBlocks;
  switch (step.kind) {
    case StepKind::kOpen:
      OpenFile();
      return;
    case StepKind::kSolo:
      RunSolo(buffer.first(kBlockBytes), cancel);
      return;
    case StepKind::kRead:
      if (ring_[index].empty()) ring_[index] = AlignedBuffer(kBlockBytes);
      ReadBlock(slots_[index], ring_[index].bytes());
      return;
    case StepKind::kLane:
      RunLane(lanes_[step.lane].goal, slots_[index],
              ring_[index].bytes().first(slots_[index].size));
      return;
  }
}

void HashStream::RunSolo(std::span<std::byte> buffer,
                         const CancelToken& cancel) {
  solo_bytes_ = 0;
  while (read_offset_ < read_end_ && solo_bytes_ < kSoloBytes &&
         !cancel.cancelled()) {
    if (PairAhead() && HashPair(buffer, cancel)) continue;
    Slot slot;
    ReadBlock(slot, buffer);
    const ByteSpan bytes = buffer.first(slot.size);
    for (const Goal& goal : wanted_) RunLane(goal, slot, bytes);
    solo_bytes_ += slot.size;
  }
}

bool HashStream::CanPair() const {
  return Sha256Lane::Pairs() && opened_ && !solo_ && !reading_ && !at_end_ &&
         produced_ == retired_ && sha256_.has_value();
}

void HashStream::RunBoth(HashStream& a, HashStream& b,
                         std::span<std::byte> buffer,
                         const CancelToken& cancel) {
  // A tree takes whole blocks; without one smaller ones stay in the cache.
  const bool whole = a.Wants(LaneKind::kMerkle) || b.Wants(LaneKind::kMerkle);
  const size_t size = whole ? kBlockBytes : kBlockBytes / 2;
  a.solo_bytes_ = 0;
  b.solo_bytes_ = 0;
  const auto read = [&](HashStream& stream, std::span<std::byte> part,
                        Slot& slot) {
    stream.ReadBlock(slot, part);
    const ByteSpan bytes = part.first(slot.size);
    for (const Goal& goal : stream.wanted_) {
      if (goal.kind != LaneKind::kSum ||
          goal.algorithm != SumAlgorithm::kSha256) {
        stream.RunLane(goal, slot, bytes);
      }
    }
    stream.solo_bytes_ += slot.size;
    return slot.hole ? ByteSpan() : bytes;
  };
  while (a.read_offset_ < a.read_end_ && b.read_offset_ < b.read_end_ &&
         a.solo_bytes_ < kSoloBytes && !cancel.cancelled()) {
    Slot a_slot;
    Slot b_slot;
    const ByteSpan a_bytes = read(a, buffer.first(size), a_slot);
    const ByteSpan b_bytes = read(b, buffer.subspan(size, size), b_slot);
    Sha256Lane::UpdateBoth(*a.sha256_, a_bytes, *b.sha256_, b_bytes);
  }
}

// Whether two full pieces come next and nothing but their SHA-1 is wanted.
bool HashStream::PairAhead() const {
  const uint64_t length = layout_.piece_length();
  if (!may_pair_ || read_end_ - read_offset_ < 2 * length) return false;
  const uint64_t at = layout_.FileStart(plan_.file) + read_offset_;
  return at % length == 0 && layout_.PieceBytes(at / length + 1) == length;
}

// False, with nothing done, if a byte of them cannot be read or on cancel.
bool HashStream::HashPair(std::span<std::byte> buffer,
                          const CancelToken& cancel) {
  const uint64_t length = layout_.piece_length();
  AdviseUpTo(read_offset_ + 2 * length +
             std::min(2 * length, kMaxPairReadAheadBytes));
  const size_t half = buffer.size() / 2;
  Sha1Pair pair;
  for (uint64_t done = 0; done < length;) {
    if (cancel.cancelled()) return false;
    const auto size =
        static_cast<size_t>(std::min<uint64_t>(half, length - done));
    const auto first = buffer.first(size);
    const auto second = buffer.subspan(half, size);
    if (!ReadFile(read_offset_ + done, first) ||
        !ReadFile(read_offset_ + length + done, second)) {
      may_pair_ = false;  // block by block from here on, which tells more
      return false;
    }
    pair.Update(first, second);
    done += size;
  }
  const uint64_t piece =
      (layout_.FileStart(plan_.file) + read_offset_) / length;
  const auto digests = pair.Finish();
  pieces_.Set(piece, digests[0]);
  pieces_.Set(piece + 1, digests[1]);
  read_offset_ += 2 * length;
  solo_bytes_ += 2 * length;
  return true;
}

uint64_t HashStream::Complete(const Step& step) {
  Slot& slot = slots_[step.block % kRingBlocks];
  uint64_t bytes = 0;
  switch (step.kind) {
    case StepKind::kOpen:
      reading_ = false;
      opened_ = true;
      at_end_ = read_offset_ >= read_end_;
      for (const Goal& goal : wanted_) lanes_.push_back({.goal = goal});
      if (job_.merkle.empty() && Wants(LaneKind::kMerkle)) {
        job_.merkle = MerkleNodes(file_.size_bytes, actual_size_bytes_,
                                  plan_.merkle_piece_length, kBlockBytes);
      }
      return 0;
    case StepKind::kRead:
      reading_ = false;
      at_end_ = read_offset_ >= read_end_;
      if (slot.size > 0) {
        slot.pending = lanes_.size();
        ++produced_;
      }
      return 0;
    case StepKind::kSolo:
      solo_ = false;
      at_end_ = read_offset_ >= read_end_;
      bytes = solo_bytes_;
      break;
    case StepKind::kLane:
      lanes_[step.lane].busy = false;
      --slot.pending;
      while (retired_ < produced_) {
        Slot& oldest = slots_[retired_ % kRingBlocks];
        if (oldest.pending > 0) break;
        bytes += oldest.size;
        oldest.size = 0;
        ++retired_;
      }
      break;
  }
  retired_bytes_ += bytes;
  return bytes;
}

bool HashStream::done() const {
  return at_end_ && !reading_ && !solo_ && retired_ == produced_;
}

void HashStream::Fail(FileState state, std::string error) {
  if (state_ != FileState::kOk) return;
  state_ = state;
  error_ = std::move(error);
}

bool HashStream::Wants(LaneKind kind) const {
  return std::any_of(wanted_.begin(), wanted_.end(),
                     [kind](const Goal& goal) { return goal.kind == kind; });
}

// Whether something comes out of a file that is not whole.
bool HashStream::JudgesParts() const {
  return plan_.pieces || (plan_.merkle && plan_.merkle_piece_length != 0);
}

void HashStream::OpenFile() {
  auto file = ReadOnlyFile::Open(file_.path);
  if (!file) {
    const bool missing = file.error().code == ErrorCode::kNotFound;
    Fail(missing ? FileState::kMissing : FileState::kUnreadable,
         missing ? std::string() : file.error().ToString());
    read_end_ = read_offset_;
    return;
  }
  source_ = std::move(*file);
  actual_size_bytes_ = source_->size();
  if (actual_size_bytes_ != file_.size_bytes) {
    // No digest of the whole can match; the pieces that are there can.
    Fail(FileState::kWrongSize, "");
    std::erase_if(wanted_, [this](const Goal& goal) {
      return goal.kind == LaneKind::kMerkle ? plan_.merkle_piece_length == 0
                                            : goal.kind != LaneKind::kPieces;
    });
    read_end_ = std::min(read_end_, actual_size_bytes_);
  }
  if (wanted_.empty() || read_end_ < read_offset_) read_end_ = read_offset_;
  for (const Goal& goal : wanted_) {
    if (goal.kind == LaneKind::kSum &&
        goal.algorithm == SumAlgorithm::kSha256) {
      sha256_.emplace();
    } else if (goal.kind == LaneKind::kSum) {
      SumHasher& hasher =
          sums_.emplace(goal.algorithm, goal.algorithm).first->second;
      if (goal.algorithm == SumAlgorithm::kGitBlob) {
        hasher.Update(AsBytes(GitBlobHeader(actual_size_bytes_)));
      }
    }
    if (goal.kind == LaneKind::kPieces) sha1_.emplace();
  }
  may_pair_ = wanted_.size() == 1 && wanted_[0].kind == LaneKind::kPieces &&
              layout_.piece_length() % kSha1BlockBytes == 0 &&
              Sha1Pair::Supported();
  if (plan_.read_mode == ReadMode::kDirect && read_end_ > read_offset_) {
    if (auto direct = DirectFile::Open(*source_)) direct_ = std::move(*direct);
  }
  // Only advice: larger read-ahead, pages that do not count as used, and no
  // harm where it is not taken.
  for (const int advice : {POSIX_FADV_SEQUENTIAL, POSIX_FADV_NOREUSE}) {
    static_cast<void>(
        posix_fadvise(source_->fd(), static_cast<off_t>(read_offset_),
                      static_cast<off_t>(read_end_ - read_offset_), advice));
  }
}

Result<void> HashStream::ReadFile(uint64_t offset, std::span<std::byte> out) {
  if (!direct_.has_value() || !DirectFile::Fits(offset, out)) {
    return source_->ReadAt(offset, out);
  }
  auto read = direct_->ReadAt(offset, out);
  if (read || read.error().code != ErrorCode::kUnsupported) return read;
  direct_.reset();
  return source_->ReadAt(offset, out);
}

// Only advice: the disk should not wait for who reads and hashes in turn. To be
// asked for in large parts, since asking costs for what is in memory, too.
void HashStream::AdviseUpTo(uint64_t end) {
  if (direct_.has_value()) return;  // it goes past all that
  const uint64_t begin =
      std::max(advised_end_, std::min(read_end_, read_offset_ + kBlockBytes));
  end = std::min(read_end_, end);
  if (begin >= end) return;
  advised_end_ = end;
  static_cast<void>(posix_fadvise(source_->fd(), static_cast<off_t>(begin),
                                  static_cast<off_t>(end - begin),
                                  POSIX_FADV_WILLNEED));
}

void HashStream::ReadBlock(Slot& slot, std::span<std::byte> buffer) {
  slot.offset = read_offset_;
  slot.size = static_cast<size_t>(
      std::min<uint64_t>(buffer.size(), read_end_ - read_offset_));
  slot.hole = false;
  if (read_offset_ + kReadAheadBytes > advised_end_) {
    AdviseUpTo(read_offset_ + 2 * kReadAheadBytes);
  }
  const auto read = ReadFile(slot.offset, buffer.first(slot.size));
  if (!read) {
    slot.hole = true;
    Fail(FileState::kUnreadable, read.error().ToString());
    // Behind a bad sector there may be good pieces, but no more whole digest.
    if (!JudgesParts()) {
      slot.size = 0;
      read_end_ = read_offset_;
      return;
    }
  }
  read_offset_ += slot.size;
}

void HashStream::RunLane(const Goal& goal, const Slot& slot, ByteSpan bytes) {
  if (goal.kind == LaneKind::kPieces) {
    HashPieces(slot, bytes);
    return;
  }
  // Once there is a hole the state is not kOk and no whole digest is given.
  if (slot.hole) return;
  switch (goal.kind) {
    case LaneKind::kSum:
      if (goal.algorithm == SumAlgorithm::kSha256) {
        sha256_->Update(bytes);
      } else {
        sums_.at(goal.algorithm).Update(bytes);
      }
      return;
    case LaneKind::kMerkle:
      job_.merkle.Add(slot.offset, bytes);
      return;
    case LaneKind::kPieces:
      return;
  }
}

void HashStream::HashPieces(const Slot& slot, ByteSpan bytes) {
  const auto inside = layout_.PiecesInside(plan_.file);
  const uint64_t length = layout_.piece_length();
  const uint64_t file_start = layout_.FileStart(plan_.file);
  // All positions from here on are of the payload.
  const uint64_t block_begin = file_start + slot.offset;
  const uint64_t block_end = block_begin + slot.size;
  uint64_t at = std::max(block_begin, inside.first * length);
  while (at < block_end) {
    const uint64_t piece = at / length;
    if (piece >= inside.last) return;
    const uint64_t piece_end = piece * length + layout_.PieceBytes(piece);
    const uint64_t part_end = std::min(block_end, piece_end);
    if (at == piece * length) {
      sha1_->Reset();
      piece_whole_ = true;
    }
    if (slot.hole) {
      piece_whole_ = false;
    } else if (piece_whole_) {
      sha1_->Update(bytes.subspan(static_cast<size_t>(at - block_begin),
                                  static_cast<size_t>(part_end - at)));
    }
    if (part_end == piece_end && piece_whole_) {
      pieces_.Set(piece, sha1_->Finish());
    }
    at = part_end;
  }
}

void HashStream::CheckUnchanged() {
  if (!source_.has_value() || state_ == FileState::kUnreadable) return;
  const auto now = source_->CurrentIdentity();
  const auto at_path = StampOf(file_.path);
  if (now && *now == source_->identity() && at_path &&
      at_path->identity == *now) {
    return;
  }
  state_ = FileState::kChanged;
  error_ = now && *now == source_->identity()
               ? "another file was put in its place while it was read"
               : "file changed while it was read";
}

void HashStream::MergeInto(FileJob& job) {
  FileDigests& result = job.result;
  if (source_.has_value()) {
    if (result.identity.has_value() &&
        *result.identity != source_->identity()) {
      Fail(FileState::kChanged, "file changed while it was read");
    }
    result.identity = source_->identity();
    result.actual_size_bytes = actual_size_bytes_;
    if (plan_.read_mode == ReadMode::kDirect && !direct_.has_value() &&
        retired_bytes_ > 0) {
      job.not_direct = true;
    }
  }
  if (state_ != FileState::kOk && result.state == FileState::kOk) {
    result.state = state_;
    result.error = error_;
  }
  if (result.state != FileState::kOk) return;
  if (sha256_.has_value()) {
    const Sha256Digest digest = sha256_->Finish();
    result.sums[SumAlgorithm::kSha256].assign(digest.begin(), digest.end());
  }
  for (auto& [algorithm, hasher] : sums_) {
    result.sums[algorithm] = hasher.Finish();
  }
}

}  // namespace verify::internal
