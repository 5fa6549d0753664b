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
#include "verify/base/text.h"
#include "verify/checkpoint/checkpoint.h"
#include "verify/checkpoint/dtype.h"

namespace verify {

Result<void> Checkpoint::Map() {
  for (const WholeFile& whole : whole_) {
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

Result<void> Checkpoint::CompareCopies() const {
  for (const TensorCopies& copies : copies_) {
    const ByteSpan first = Bytes(copies.places.front());
    for (const TensorSlice& place : copies.places) {
      const ByteSpan bytes = Bytes(place);
      if (std::equal(first.begin(), first.end(), bytes.begin(), bytes.end())) {
        continue;
      }
      return Fail(ErrorCode::kCorrupt,
                  StrCat("tensor \"", EscapeForTerminal(copies.name, 128),
                         "\" differs between \"",
                         EscapeForTerminal(
                             whole_file(copies.places.front().file_index)),
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
