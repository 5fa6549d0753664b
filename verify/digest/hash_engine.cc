// SPDX-License-Identifier: Apache-2.0
#include "verify/digest/hash_engine.h"

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <span>
#include <system_error>
#include <thread>
#include <utility>

#include "verify/base/direct_file.h"
#include "verify/base/text.h"
#include "verify/base/thread_pool.h"
#include "verify/digest/hash_plan.h"
#include "verify/digest/hash_stream.h"
#include "verify/digest/merkle_nodes.h"

namespace verify {
namespace {

using internal::BlockRing;
using internal::FileJob;
using internal::HashStream;
using internal::IsPad;
using internal::kBlockBytes;
using internal::kBufferBytes;
using internal::MerkleNodes;
using internal::PieceResults;
using internal::StreamPlan;

// Bounds the memory, beside a block for each thread: a ring has kRingBlocks.
constexpr size_t kMaxRings = 32;

class Engine {
 public:
  Engine(const HashRequest& request, const PieceLayout& layout,
         const CancelToken& cancel, ProgressSink* progress)
      : request_(request),
        layout_(layout),
        cancel_(cancel),
        progress_(progress),
        num_threads_(request.num_threads != 0 ? request.num_threads
                                              : AvailableProcessors()),
        jobs_(request.files.size()) {}

  Result<HashOutcome> Run();

 private:
  // A step of a stream, or a piece that lies in several files.
  struct Work {
    HashStream* stream = nullptr;
    HashStream::Step step;
    HashStream* partner = nullptr;  // takes the same step side by side
    uint64_t piece = 0;
  };

  void Plan();
  void WorkerMain();
  void RunOne(std::unique_lock<std::mutex>& lock, std::span<std::byte> buffer);
  size_t Pick(Work& work);
  void PickPartner(Work& work);
  bool MayBeginStream() const;
  HashStream* BeginStream();
  void Settle(HashStream* stream, const HashStream::Step& step,
              std::unique_lock<std::mutex>& lock);
  void FinishStream(HashStream* stream, std::unique_lock<std::mutex>& lock);
  void TakeKnown(size_t index, FileJob& job);
  void JudgeMerkle(const HashFile& file, FileJob& job) const;
  void HashSharedPiece(uint64_t piece, std::span<std::byte> buffer);
  HashOutcome Assemble();

  const HashRequest& request_;
  const PieceLayout& layout_;
  const CancelToken& cancel_;
  ProgressSink* const progress_;
  const size_t num_threads_;
  PieceResults pieces_;
  uint64_t total_bytes_ = 0;

  std::mutex mu_;
  std::condition_variable wake_;
  // All below guarded by mu_ (of jobs_, what its comments say).
  std::vector<FileJob> jobs_;
  std::vector<StreamPlan> plans_;  // not begun; the next one last
  std::vector<std::unique_ptr<HashStream>> active_;
  std::vector<BlockRing> spare_rings_;
  std::vector<uint64_t> shared_pieces_;  // not begun; of several files
  size_t unfinished_ = 0;                // streams and shared pieces
  size_t pairs_ = 0;                     // of streams that are in step
  uint64_t done_bytes_ = 0;
  uint64_t bytes_read_ = 0;
  size_t idle_ = 0;
  bool stop_ = false;
  bool out_of_memory_ = false;
};

void Engine::Plan() {
  uint64_t next_piece = 0;
  for (size_t i = 0; i < request_.files.size(); ++i) {
    const HashFile& file = request_.files[i];
    if (IsPad(file)) continue;
    const size_t before = plans_.size();
    internal::PlanFile(request_, layout_, i, num_threads_, plans_);
    jobs_[i].streams_left = plans_.size() - before;
    const auto inside = layout_.PiecesInside(i);
    if (inside.first >= inside.last) continue;
    for (; next_piece < inside.first; ++next_piece) {
      shared_pieces_.push_back(next_piece);
    }
    next_piece = inside.last;
  }
  for (; next_piece < layout_.num_pieces(); ++next_piece) {
    shared_pieces_.push_back(next_piece);
  }
  // Taken from the back, in order.
  std::reverse(shared_pieces_.begin(), shared_pieces_.end());
  // The longest chain first, so that it does not run alone at the end.
  std::reverse(plans_.begin(), plans_.end());
  std::stable_sort(plans_.begin(), plans_.end(),
                   [](const StreamPlan& a, const StreamPlan& b) {
                     return a.end - a.begin < b.end - b.begin;
                   });
  for (const StreamPlan& plan : plans_) total_bytes_ += plan.end - plan.begin;
  unfinished_ = plans_.size() + shared_pieces_.size();
  pieces_.digests.resize(static_cast<size_t>(layout_.num_pieces()));
  pieces_.known.resize(static_cast<size_t>(layout_.num_pieces()));
}

// Chooses what to do next; 0 if there is nothing now, else how much could be
// begun now.
size_t Engine::Pick(Work& work) {
  const size_t streams = active_.size() + plans_.size();
  const auto sharing = streams < num_threads_ && streams <= kMaxRings
                           ? HashStream::Sharing::kShared
                           : HashStream::Sharing::kAlone;
  size_t count = 0;
  for (const auto& stream : active_) {
    const auto step = stream->Best(sharing, count);
    if (!step.has_value()) continue;
    // Of steps that are as urgent that of the longest chain, so that it does
    // not run alone at the end.
    if (work.stream != nullptr &&
        std::pair(step->urgency, stream->remaining_bytes()) <=
            std::pair(work.step.urgency, work.stream->remaining_bytes())) {
      continue;
    }
    work.stream = stream.get();
    work.step = *step;
  }
  // Towards the end all streams go side by side for the same reason; before
  // that each file is read through, which disks like better.
  const bool at_end = streams <= 2 * num_threads_;
  if (MayBeginStream() &&
      (count == 0 || (at_end && plans_.back().end - plans_.back().begin >
                                    work.stream->remaining_bytes()))) {
    work.stream = BeginStream();
    work.step = work.stream->Best(sharing, count).value();
  } else if (count == 0 && plans_.empty() && !shared_pieces_.empty()) {
    // Last, when the ends of the files that they join are in the cache.
    work.piece = shared_pieces_.back();
    shared_pieces_.pop_back();
    count = 1;
  }
  if (count == 0) return 0;
  PickPartner(work);
  if (MayBeginStream() || (plans_.empty() && !shared_pieces_.empty())) ++count;
  return count;
}

// Adds a second stream to a step that can be taken with two, if each other
// thread keeps a stream of its own, and unless all would end up waiting for the
// first one, which is faster alone.
void Engine::PickPartner(Work& work) {
  HashStream* const stream = work.stream;
  if (stream == nullptr || work.step.kind != HashStream::StepKind::kSolo ||
      !stream->CanPair()) {
    return;
  }
  const size_t streams = active_.size() + plans_.size();
  if (streams < num_threads_ + pairs_ + 1) return;
  const uint64_t others =
      total_bytes_ - done_bytes_ - stream->remaining_bytes();
  if (num_threads_ > 1 &&
      stream->remaining_bytes() >= others / (num_threads_ - 1)) {
    return;
  }
  for (const auto& other : active_) {
    if (other.get() == stream || !other->CanPair()) continue;
    if (work.partner == nullptr ||
        other->remaining_bytes() > work.partner->remaining_bytes()) {
      work.partner = other.get();
    }
  }
  // None yet: the next one is opened first.
  if (work.partner == nullptr && MayBeginStream() &&
      active_.size() < 2 * num_threads_ &&
      plans_.back().sums.Has(SumAlgorithm::kSha256)) {
    size_t count = 0;
    work.stream = BeginStream();
    work.step = work.stream->Best(HashStream::Sharing::kAlone, count).value();
  }
}

bool Engine::MayBeginStream() const {
  return !plans_.empty() && active_.size() < std::max(kMaxRings, num_threads_);
}

HashStream* Engine::BeginStream() {
  const StreamPlan plan = plans_.back();
  plans_.pop_back();
  BlockRing ring;
  if (!spare_rings_.empty()) {
    ring = std::move(spare_rings_.back());
    spare_rings_.pop_back();
  }
  active_.push_back(
      std::make_unique<HashStream>(plan, request_.files[plan.file], layout_,
                                   pieces_, jobs_[plan.file], std::move(ring)));
  return active_.back().get();
}

void Engine::WorkerMain() {
  try {
    const AlignedBuffer buffer(kBufferBytes);
    std::unique_lock lock(mu_);
    while (!stop_ && unfinished_ > 0) RunOne(lock, buffer.bytes());
    wake_.notify_all();
  } catch (const std::bad_alloc&) {
    const std::scoped_lock lock(mu_);
    stop_ = true;
    out_of_memory_ = true;
    wake_.notify_all();
  }
}

void Engine::RunOne(std::unique_lock<std::mutex>& lock,
                    std::span<std::byte> buffer) {
  if (cancel_.cancelled()) {
    stop_ = true;
    return;
  }
  Work work;
  const size_t count = Pick(work);
  if (count == 0) {
    ++idle_;
    wake_.wait(lock);
    --idle_;
    return;
  }
  // Each worker that finds more than it takes wakes one more.
  if (count > 1 && idle_ > 0) wake_.notify_one();
  HashStream* const stream = work.stream;
  if (stream == nullptr) {
    lock.unlock();
    HashSharedPiece(work.piece, buffer);
    lock.lock();
    --unfinished_;
    return;
  }
  stream->Start(work.step);
  if (work.partner == nullptr) {
    lock.unlock();
    stream->Run(work.step, buffer, cancel_);
    lock.lock();
  } else {
    work.partner->Start(work.step);
    ++pairs_;
    lock.unlock();
    HashStream::RunBoth(*stream, *work.partner, buffer, cancel_);
    lock.lock();
    --pairs_;
    Settle(work.partner, work.step, lock);
  }
  Settle(stream, work.step, lock);
}

// After a step: counts what came of it, and finishes the stream if it is done.
void Engine::Settle(HashStream* stream, const HashStream::Step& step,
                    std::unique_lock<std::mutex>& lock) {
  uint64_t bytes = stream->Complete(step);
  bytes_read_ += bytes;
  const bool done = stream->done();
  std::unique_ptr<HashStream> finished;
  if (done) {
    const auto it =
        std::find_if(active_.begin(), active_.end(),
                     [&](const auto& item) { return item.get() == stream; });
    finished = std::move(*it);
    active_.erase(it);
    bytes += finished->unread_bytes();
  }
  if (bytes > 0) {
    const size_t file = stream->plan().file;
    done_bytes_ += bytes;
    const uint64_t done_bytes = done_bytes_;
    lock.unlock();
    if (progress_ != nullptr) {
      progress_->OnProgress(request_.files[file].path, done_bytes,
                            total_bytes_);
    }
    lock.lock();
  }
  if (finished != nullptr) FinishStream(finished.get(), lock);
}

void Engine::FinishStream(HashStream* stream,
                          std::unique_lock<std::mutex>& lock) {
  lock.unlock();
  stream->CheckUnchanged();
  lock.lock();
  FileJob& job = jobs_[stream->plan().file];
  stream->MergeInto(job);
  spare_rings_.push_back(stream->TakeRing());
  const bool last = --job.streams_left == 0;
  if (last) {
    // Nobody else looks at this file any more.
    lock.unlock();
    const HashFile& file = request_.files[stream->plan().file];
    if (file.known.has_value()) {
      TakeKnown(stream->plan().file, job);
    } else {
      JudgeMerkle(file, job);
    }
    lock.lock();
  }
  --unfinished_;
}

// The digests of a file that is there and was not read.
void Engine::TakeKnown(size_t index, FileJob& job) {
  if (job.result.state != FileState::kOk) return;
  const HashFile& file = request_.files[index];
  job.result.known = true;
  for (const SumAlgorithm algorithm : file.sums.List()) {
    job.result.sums[algorithm] = file.known->sums.at(algorithm);
  }
  if (file.want_merkle) job.result.merkle_root = file.known->merkle_root;
  uint64_t piece = layout_.PiecesInside(index).first;
  for (const Sha1Digest& digest : file.known->pieces) {
    pieces_.Set(piece++, digest);
  }
}

// The v2 pieces and the root of a file that has been read.
void Engine::JudgeMerkle(const HashFile& file, FileJob& job) const {
  FileDigests& result = job.result;
  MerkleNodes::Roots roots;
  if (!job.merkle.empty()) roots = std::exchange(job.merkle, {}).Finish();
  if (result.state == FileState::kOk) result.merkle_root = roots.pieces_root;
  for (size_t i = 0; i < file.merkle_pieces.size(); ++i) {
    if (i >= roots.known.size() || roots.known[i] == 0 ||
        roots.pieces[i] != file.merkle_pieces[i]) {
      result.bad_merkle_pieces.push_back(static_cast<uint32_t>(i));
    }
  }
  result.merkle_pieces = std::move(roots.pieces);
}

// A piece that lies in several files or in pads: read anew, in order, whatever
// the order in which the files were read. One whose bytes are not all there
// stays unknown.
void Engine::HashSharedPiece(uint64_t piece, std::span<std::byte> buffer) {
  Sha1Hasher sha1;
  for (const FileRange& part : layout_.PartsOf(piece)) {
    const HashFile& file = request_.files[part.file];
    std::optional<ReadOnlyFile> source;
    if (!IsPad(file)) {
      auto opened = ReadOnlyFile::Open(file.path);
      if (!opened) return;
      source = std::move(*opened);
    } else {
      std::ranges::fill(buffer.first(static_cast<size_t>(std::min<uint64_t>(
                            buffer.size(), part.size_bytes))),
                        std::byte{0});
    }
    for (uint64_t done = 0; done < part.size_bytes;) {
      if (cancel_.cancelled()) return;
      const auto size = static_cast<size_t>(
          std::min<uint64_t>(buffer.size(), part.size_bytes - done));
      const auto bytes = buffer.first(size);
      if (source.has_value() && !source->ReadAt(part.offset + done, bytes)) {
        return;
      }
      sha1.Update(bytes);
      done += size;
    }
  }
  pieces_.Set(piece, sha1.Finish());
}

HashOutcome Engine::Assemble() {
  HashOutcome outcome;
  outcome.bytes_read = bytes_read_;
  outcome.files.reserve(jobs_.size());
  for (size_t i = 0; i < jobs_.size(); ++i) {
    if (IsPad(request_.files[i])) {
      jobs_[i].result.actual_size_bytes = request_.files[i].size_bytes;
    }
    outcome.files.push_back(std::move(jobs_[i].result));
    if (jobs_[i].not_direct) ++outcome.files_not_direct;
  }
  if (!request_.piece_digests.empty()) {
    for (size_t i = 0; i < pieces_.digests.size(); ++i) {
      if (pieces_.known[i] == 0 ||
          pieces_.digests[i] != request_.piece_digests[i]) {
        outcome.bad_pieces.push_back(static_cast<uint32_t>(i));
      }
    }
  }
  outcome.piece_digests = std::move(pieces_.digests);
  return outcome;
}

Result<HashOutcome> Engine::Run() {
  Plan();
  // One stream has at most a reader, the lanes of its sums and two more.
  const size_t useful =
      shared_pieces_.size() + (kNumSumAlgorithms + 3) * plans_.size();
  std::vector<std::jthread> threads;
  for (size_t i = 1; i < std::min(num_threads_, useful); ++i) {
    try {
      threads.emplace_back([this] { WorkerMain(); });
    } catch (const std::system_error&) {
      break;  // fewer threads do it too
    }
  }
  WorkerMain();
  threads.clear();  // joins
  if (out_of_memory_) {
    return Fail(ErrorCode::kInternal, "out of memory while hashing");
  }
  if (unfinished_ > 0 || cancel_.cancelled()) {
    return Fail(ErrorCode::kCancelled, "hashing was stopped");
  }
  return Assemble();
}

}  // namespace

Result<HashOutcome> HashFiles(const HashRequest& request,
                              const CancelToken& cancel,
                              ProgressSink* progress) {
  std::vector<uint64_t> sizes;
  sizes.reserve(request.files.size());
  for (const HashFile& file : request.files) sizes.push_back(file.size_bytes);
  ASSIGN_OR_RETURN(const PieceLayout layout,
                   PieceLayout::Create(sizes, request.piece_length));
  if (!request.piece_digests.empty() &&
      request.piece_digests.size() != layout.num_pieces()) {
    return Fail(ErrorCode::kInvalidArgument,
                StrCat(request.piece_digests.size(),
                       " piece digests given, the sizes make ",
                       layout.num_pieces(), " pieces"));
  }
  RETURN_IF_ERROR(internal::CheckMerklePieces(request));
  RETURN_IF_ERROR(internal::CheckKnown(request, layout));
  return Engine(request, layout, cancel, progress).Run();
}

}  // namespace verify
