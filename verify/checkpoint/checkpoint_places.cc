// SPDX-License-Identifier: Apache-2.0
// Where the bytes of an opened checkpoint are: on disk and in memory.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "verify/base/check.h"
#include "verify/base/memory.h"
#include "verify/base/text.h"
#include "verify/checkpoint/checkpoint.h"
#include "verify/checkpoint/dtype.h"

namespace verify {
namespace {

// What two copies of a tensor are compared by at a time.
constexpr uint64_t kCompareBytes = 1u << 20;

}  // namespace

bool Checkpoint::is_compressed() const { return !contents_.empty(); }

bool Checkpoint::is_forward_only() const {
  return std::any_of(
      contents_.begin(), contents_.end(),
      [](const CompressedContent& content) { return content.forward_only; });
}

// What comes out has to fit into memory, of all files together.
Result<void> Checkpoint::CheckMemory() const {
  const auto free = AvailableMemory();
  uint64_t wanted = 0;
  for (const CompressedContent& content : contents_) {
    if (content.source != nullptr) wanted += content.source->size();
  }
  if (!free.has_value() || wanted <= *free) return {};
  return Fail(ErrorCode::kUnsupported,
              StrCat("\"", EscapeForTerminal(whole_file(0)),
                     "\": compressed by zstd, and ", FormatSize(wanted),
                     " come out, more than the ", FormatSize(*free),
                     " of memory that are free"))
      .Id("E-COMPRESSED")
      .Hint(StrCat("lodestone unpack ", EscapeForTerminal(whole_file(0)),
                   " writes it out, lodestone convert can make it smaller"));
}

Result<void> Checkpoint::Fill(JoinedMap& map, const ByteSource& content,
                              const Waiter& waiter) const {
  uint64_t total = 0;
  uint64_t before = 0;  // of the files that are in memory already
  for (const CompressedContent& other : contents_) {
    if (other.source == nullptr) continue;
    if (other.source.get() == &content) before = total;
    total += other.source->size();
  }
  return map.Fill(content, [&](uint64_t done) {
    if (waiter.progress != nullptr) {
      waiter.progress->OnProgress(content.name(), before + done, total);
    }
    return !waiter.gave_up();
  });
}

Result<void> Checkpoint::Map(CompressedFiles compressed, const Waiter& waiter) {
  if (is_compressed() && compressed == CompressedFiles::kInMemory) {
    RETURN_IF_ERROR(CheckMemory());
  }
  for (const WholeFile& whole : whole_) {
    if (const ByteSource* const source = content(whole.first)) {
      ASSIGN_OR_RETURN(JoinedMap map,
                       JoinedMap::Reserve(whole.path, source->size()));
      if (compressed == CompressedFiles::kInMemory) {
        RETURN_IF_ERROR(Fill(map, *source, waiter));
      }
      maps_.push_back(std::move(map));
      continue;
    }
    const auto first =
        paths_.begin() + static_cast<std::ptrdiff_t>(whole.first);
    ASSIGN_OR_RETURN(
        JoinedMap map,
        JoinedMap::Open({first, first + static_cast<std::ptrdiff_t>(
                                            whole.begins.size() - 1)}));
    // The table was read through another descriptor: a file that was replaced
    // by a shorter one in between must not be read past its end.
    if (map.size() != whole.begins.back()) {
      return Fail(ErrorCode::kCorrupt,
                  StrCat("\"", EscapeForTerminal(whole.path),
                         "\" changed while it was opened"));
    }
    maps_.push_back(std::move(map));
  }
  if (compressed == CompressedFiles::kInMemory) contents_.clear();
  std::vector<std::vector<ByteRange>> ranges(whole_.size());
  const auto need = [&](uint32_t file, uint64_t offset, uint64_t size_bytes) {
    if (whole_[file].begins.size() > 2) {
      ranges[file].push_back({offset, offset + size_bytes});
    }
  };
  for (const TensorInfo& tensor : tensors_.tensors()) {
    for (const TensorSlice& place : PlacesIn(tensor)) {
      need(place.file_index, place.offset, place.size_bytes);
    }
  }
  for (const TensorCopies& copies : copies_) {
    for (const TensorSlice& place : copies.places) {
      need(place.file_index, place.offset, place.size_bytes);
    }
  }
  for (const StoredCrc& crc : stored_crcs_) {
    need(crc.file_index, crc.offset, crc.size_bytes);
  }
  for (size_t i = 0; i < maps_.size(); ++i) {
    RETURN_IF_ERROR(maps_[i].Bridge(std::move(ranges[i])));
  }
  return CompareCopies();
}

Result<bool> Checkpoint::SameBytes(const TensorSlice& a,
                                   const TensorSlice& b) const {
  if (a.size_bytes != b.size_bytes) return false;
  const auto content_of = [this](const TensorSlice& place) {
    return content(whole_[place.file_index].first);
  };
  const ByteSource* const in_a = content_of(a);
  const ByteSource* const in_b = content_of(b);
  std::vector<std::byte> held_a;
  std::vector<std::byte> held_b;
  const auto bytes_at =
      [this](const TensorSlice& place, const ByteSource* source, uint64_t at,
             size_t count, std::vector<std::byte>& held) -> Result<ByteSpan> {
    if (source == nullptr) {
      return Bytes(place).subspan(static_cast<size_t>(at), count);
    }
    held.resize(count);
    RETURN_IF_ERROR(source->ReadAt(place.offset + at, held));
    return ByteSpan(held);
  };
  for (uint64_t at = 0; at < a.size_bytes;) {
    const auto count =
        static_cast<size_t>(std::min(kCompareBytes, a.size_bytes - at));
    ASSIGN_OR_RETURN(const ByteSpan left, bytes_at(a, in_a, at, count, held_a));
    ASSIGN_OR_RETURN(const ByteSpan right,
                     bytes_at(b, in_b, at, count, held_b));
    if (!std::equal(left.begin(), left.end(), right.begin())) return false;
    at += count;
  }
  return true;
}

Result<void> Checkpoint::CompareCopies() const {
  // In the order of the files, for those that are read forward.
  std::vector<const TensorCopies*> in_order;
  for (const TensorCopies& copies : copies_) in_order.push_back(&copies);
  std::sort(in_order.begin(), in_order.end(),
            [](const TensorCopies* a, const TensorCopies* b) {
              return a->places.front().offset < b->places.front().offset;
            });
  for (const TensorCopies* const copies : in_order) {
    const TensorSlice& first = copies->places.front();
    for (const TensorSlice& place : std::span(copies->places).subspan(1)) {
      ASSIGN_OR_RETURN(const bool same, SameBytes(first, place));
      if (same) continue;
      return Fail(ErrorCode::kCorrupt,
                  StrCat("tensor \"", EscapeForTerminal(copies->name, 128),
                         "\" differs between \"",
                         EscapeForTerminal(whole_file(first.file_index)),
                         "\" and \"",
                         EscapeForTerminal(whole_file(place.file_index)),
                         "\": slices of one model have the same"))
          .Id("E-PARTS")
          .Hint("files of two downloads may have been mixed");
    }
  }
  return {};
}

ByteSpan Checkpoint::Bytes(const TensorSlice& place) const {
  CHECK(place.file_index < maps_.size());
  return maps_[place.file_index].Bytes(place.offset, place.size_bytes);
}

ByteSpan Checkpoint::Bytes(const TensorInfo& tensor) const {
  CHECK(!tensor.sliced());
  return Bytes(
      TensorSlice{tensor.file_index, tensor.offset, tensor.size_bytes});
}

std::vector<ByteSpan> Checkpoint::Slices(const TensorInfo& tensor) const {
  std::vector<ByteSpan> spans;
  for (const TensorSlice& place : PlacesIn(tensor)) {
    spans.push_back(Bytes(place));
  }
  return spans;
}

void Checkpoint::CopyRows(const TensorInfo& tensor, uint64_t first,
                          uint64_t count, std::span<std::byte> out) const {
  CHECK(tensor.sliced() && tensor.shape.size() == 2 &&
        first <= tensor.shape[0] && count <= tensor.shape[0] - first);
  const uint64_t num_slices = tensor.slices.size();
  const auto row_bytes =
      static_cast<size_t>(tensor.shape[1] * BlockBytes(tensor.dtype));
  CHECK(out.size() >= count * row_bytes);
  const std::vector<ByteSpan> slices = Slices(tensor);
  if (tensor.sliced_dim == 0) {
    const uint64_t rows = tensor.shape[0] / num_slices;
    for (uint64_t done = 0; done < count;) {
      const uint64_t row = first + done;
      const uint64_t here = std::min(count - done, rows - row % rows);
      const ByteSpan bytes = slices[static_cast<size_t>(row / rows)].subspan(
          static_cast<size_t>(row % rows) * row_bytes,
          static_cast<size_t>(here) * row_bytes);
      std::copy(bytes.begin(), bytes.end(),
                out.begin() + static_cast<std::ptrdiff_t>(done * row_bytes));
      done += here;
    }
    return;
  }
  const size_t slice_bytes = row_bytes / static_cast<size_t>(num_slices);
  for (uint64_t r = 0; r < count; ++r) {
    auto to = out.begin() + static_cast<std::ptrdiff_t>(r * row_bytes);
    for (const ByteSpan slice : slices) {
      const ByteSpan bytes = slice.subspan(
          static_cast<size_t>(first + r) * slice_bytes, slice_bytes);
      to = std::copy(bytes.begin(), bytes.end(), to);
    }
  }
}

std::vector<FilePlace> Checkpoint::PlacesOf(const TensorInfo& tensor) const {
  std::vector<FilePlace> ranges;
  for (const TensorSlice& place : PlacesIn(tensor)) {
    const WholeFile& whole = whole_[place.file_index];
    const uint64_t end = place.offset + place.size_bytes;
    for (size_t i = 0; i + 1 < whole.begins.size(); ++i) {
      const uint64_t from = std::max(place.offset, whole.begins[i]);
      const uint64_t to = std::min(end, whole.begins[i + 1]);
      // A tensor without bytes has a place all the same.
      if (from < to || (place.size_bytes == 0 && from == to)) {
        ranges.push_back({whole.first + i, from - whole.begins[i], to - from});
        if (place.size_bytes == 0) break;
      }
    }
  }
  return ranges;
}

std::vector<const TensorInfo*> Checkpoint::TensorsIn(
    uint32_t file_index, uint64_t offset, uint64_t size_bytes) const {
  const auto touches = [&](const TensorSlice& place) {
    const bool ends_before = place.offset + place.size_bytes <= offset;
    const bool begins_after =
        place.offset >= offset && place.offset - offset >= size_bytes;
    return place.file_index == file_index && !ends_before && !begins_after &&
           place.size_bytes != 0;
  };
  std::vector<const TensorInfo*> found;
  for (const TensorInfo& tensor : tensors_.tensors()) {
    const bool touched =
        tensor.sliced()
            ? std::any_of(tensor.slices.begin(), tensor.slices.end(), touches)
            : touches(TensorSlice{tensor.file_index, tensor.offset,
                                  tensor.size_bytes});
    if (touched) found.push_back(&tensor);
  }
  for (const TensorCopies& copies : copies_) {
    // The first is the one in the table.
    if (std::any_of(copies.places.begin() + 1, copies.places.end(), touches)) {
      found.push_back(tensors_.Find(copies.name));
    }
  }
  return found;
}

std::vector<const TensorInfo*> Checkpoint::TensorsIn(
    const FilePlace& range) const {
  for (size_t i = 0; i < whole_.size(); ++i) {
    const WholeFile& whole = whole_[i];
    const size_t piece = range.file - whole.first;
    if (range.file < whole.first || piece + 1 >= whole.begins.size()) continue;
    return TensorsIn(static_cast<uint32_t>(i),
                     whole.begins[piece] + range.offset, range.size_bytes);
  }
  return {};
}

}  // namespace verify
