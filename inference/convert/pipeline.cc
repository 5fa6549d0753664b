// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/pipeline.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "inference/convert/tensor_stream.h"
#include "verify/base/check.h"
#include "verify/base/thread_pool.h"
#include "verify/container/xxh64.h"

namespace inference {
namespace {

using verify::ByteSpan;
using verify::ErrorCode;
using verify::Fail;
using verify::Result;

// In memory for each thread: the unit at hand, and one or two that wait for the
// disk; a few more where there are few threads, and in all no more than some
// hundred MiB.
constexpr size_t kSlotsPerThread = 3;
constexpr size_t kMinSlots = 8;
constexpr uint64_t kMaxSlotBytes = 384u << 20;

// How far ahead of its use a source is asked for, in units. A unit of 2 MiB
// comes from 2 to 8 MiB.
constexpr size_t kReadAhead = 24;

// Rows are read so many bytes at a time: they are still in a near cache when
// they are converted.
constexpr uint64_t kReadBytes = 256 << 10;

class Pipeline {
 public:
  Pipeline(const ConvertPlan& plan, const SourceReader& reader,
           std::span<const size_t> todo, size_t num_threads)
      : plan_(plan), reader_(reader), todo_(todo) {
    uint64_t unit_bytes = 1;
    for (const size_t i : todo) {
      unit_bytes = std::max(unit_bytes, plan.units[i].bytes);
    }
    if (num_threads == 0) num_threads = verify::AvailableProcessors();
    size_t num_slots = std::max(kMinSlots, num_threads * kSlotsPerThread);
    num_slots = std::min<size_t>(
        num_slots, std::max<uint64_t>(2, kMaxSlotBytes / unit_bytes));
    num_slots = std::min(num_slots, todo.size());
    slots_.resize(num_slots);
    for (Slot& slot : slots_) {
      slot.bytes.reserve(static_cast<size_t>(unit_bytes));
    }
    num_threads = std::min(num_threads, num_slots);
    for (size_t i = 0; i < num_threads; ++i) {
      workers_.emplace_back([this] { Work(); });
    }
  }

  ~Pipeline() {
    {
      const std::lock_guard lock(mu_);
      stop_ = true;
    }
    free_.notify_all();
  }

  Pipeline(const Pipeline&) = delete;
  Pipeline& operator=(const Pipeline&) = delete;

  // Hands on the unit that is next in order.
  Result<void> HandOn(const UnitSink& sink) {
    Slot& slot = slots_[handed_on_ % slots_.size()];
    {
      std::unique_lock lock(mu_);
      computed_.wait(lock, [&] { return slot.is_computed; });
    }
    // Nobody else touches a slot that is computed.
    if (slot.error.has_value()) {
      return verify::Unexpected(*std::move(slot.error));
    }
    RETURN_IF_ERROR(sink(todo_[handed_on_], slot.bytes, slot.sum));
    {
      const std::lock_guard lock(mu_);
      slot.is_computed = false;
      ++handed_on_;
    }
    free_.notify_one();
    return {};
  }

 private:
  // Of unit todo_[k] while k % slots_.size() is its number.
  struct Slot {
    std::vector<std::byte> bytes;
    uint64_t sum = 0;
    std::optional<verify::Error> error;
    bool is_computed = false;  // guarded by mu_
  };

  void Work() {
    HeldRows held;
    while (true) {
      size_t k = 0;
      std::unique_lock turn(turn_, std::defer_lock);
      if (reader_.is_forward_only()) turn.lock();
      {
        std::unique_lock lock(mu_);
        free_.wait(lock, [&] {
          return stop_ || taken_ == todo_.size() ||
                 taken_ < handed_on_ + slots_.size();
        });
        if (stop_ || taken_ == todo_.size()) return;
        k = taken_++;
      }
      Slot& slot = slots_[k % slots_.size()];
      const auto result = Compute(k, slot, held, turn);
      if (!result) slot.error = result.error();
      {
        const std::lock_guard lock(mu_);
        slot.is_computed = true;
        // The writer ends with this one or one before it: nobody begins more.
        if (!result) stop_ = true;
      }
      computed_.notify_one();
    }
  }

  // `turn`: to read; given up with the last byte of the unit.
  Result<void> Compute(size_t k, Slot& slot, HeldRows& held,
                       std::unique_lock<std::mutex>& turn) {
    AskAhead(k);
    const Unit& unit = plan_.units[todo_[k]];
    slot.bytes.resize(static_cast<size_t>(unit.bytes));
    const std::span<std::byte> out = slot.bytes;
    size_t filled = 0;
    // Padding, up to where rows begin.
    const auto pad = [&](size_t end) {
      std::fill(out.begin() + static_cast<ptrdiff_t>(filled),
                out.begin() + static_cast<ptrdiff_t>(end), std::byte{});
    };
    for (const UnitRows& rows : unit.rows) {
      const PlannedTensor& tensor = plan_.tensors[rows.tensor];
      const StoredMatrix& source = tensor.sources[rows.source];
      RowForm form = tensor.form;
      if (!tensor.importance.empty()) {
        form.importance = tensor.importance[rows.source];
      }
      CHECK(rows.at >= filled);
      pad(static_cast<size_t>(rows.at));
      const auto row_bytes =
          static_cast<size_t>(*verify::DTypeBytes(form.dtype, source.cols));
      filled = static_cast<size_t>(rows.at);
      const uint64_t end = rows.first + rows.count;
      // Whoever reads forward reads all first, for the next to have its turn.
      const uint64_t step = reader_.is_forward_only()
                                ? end
                                : RowsWithin(source, form, kReadBytes);
      for (uint64_t first = rows.first; first < end;) {
        const uint64_t count = std::min(end, (first / step + 1) * step) - first;
        RETURN_IF_ERROR(held.Load(reader_, source, form, first, count));
        if (turn.owns_lock() && &rows == &unit.rows.back()) turn.unlock();
        const size_t bytes = static_cast<size_t>(count) * row_bytes;
        RETURN_IF_ERROR(ConvertRows(held, source, form, first, count,
                                    out.subspan(filled, bytes)));
        filled += bytes;
        first += count;
      }
    }
    pad(out.size());
    slot.sum = verify::Xxh64(slot.bytes);
    return {};
  }

  void AskAhead(size_t k) const {
    const auto ask = [&](size_t i) {
      if (i >= todo_.size()) return;
      for (const UnitRows& rows : plan_.units[todo_[i]].rows) {
        const PlannedTensor& tensor = plan_.tensors[rows.tensor];
        const StoredMatrix& source = tensor.sources[rows.source];
        if (source.col_stride != 1 && rows.first != 0) continue;
        for (const ByteSpan span :
             BytesOfRows(source, tensor.form, rows.first, rows.count)) {
          reader_.WillNeed(span);
        }
      }
    };
    if (k == 0) {
      for (size_t i = 1; i < kReadAhead; ++i) ask(i);
    }
    ask(k + kReadAhead);
  }

  const ConvertPlan& plan_;
  const SourceReader& reader_;
  const std::span<const size_t> todo_;
  std::vector<Slot> slots_;
  // Held from taking a unit until it has been read, by whoever reads forward.
  // Taken before mu_.
  std::mutex turn_;
  std::mutex mu_;
  std::condition_variable free_;
  std::condition_variable computed_;
  size_t taken_ = 0;      // guarded by mu_
  size_t handed_on_ = 0;  // guarded by mu_; written by the writer alone
  bool stop_ = false;     // guarded by mu_
  std::vector<std::jthread> workers_;
};

}  // namespace

std::vector<size_t> InReadingOrder(const ConvertPlan& plan,
                                   const SourceReader& reader,
                                   std::vector<size_t> todo) {
  if (!reader.is_forward_only()) return todo;
  std::vector<std::pair<SourceReader::Place, size_t>> places;
  for (const size_t i : todo) {
    SourceReader::Place place;
    if (!plan.units[i].rows.empty()) {
      const UnitRows& rows = plan.units[i].rows.front();
      const PlannedTensor& tensor = plan.tensors[rows.tensor];
      const auto spans = BytesOfRows(tensor.sources[rows.source], tensor.form,
                                     rows.first, rows.count);
      if (!spans.empty()) place = reader.PlaceOf(spans.front());
    }
    places.emplace_back(place, i);
  }
  std::sort(places.begin(), places.end());
  for (size_t k = 0; k < todo.size(); ++k) todo[k] = places[k].second;
  return todo;
}

Result<void> RunUnits(const ConvertPlan& plan, const SourceReader& reader,
                      std::span<const size_t> todo, size_t num_threads,
                      const verify::CancelToken& cancel, const UnitSink& sink) {
  if (todo.empty()) return {};
  Pipeline pipeline(plan, reader, todo, num_threads);
  for (size_t i = 0; i < todo.size(); ++i) {
    if (cancel.cancelled()) {
      return Fail(ErrorCode::kCancelled, "the conversion was cancelled");
    }
    RETURN_IF_ERROR(pipeline.HandOn(sink));
  }
  return {};
}

}  // namespace inference
