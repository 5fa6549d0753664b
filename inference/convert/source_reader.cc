// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/source_reader.h"

#include <fcntl.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "verify/base/check.h"
#include "verify/base/text.h"

namespace inference {
namespace {

using verify::ByteSpan;
using verify::ErrorCode;
using verify::Fail;
using verify::FilePlace;
using verify::Result;
using verify::StrCat;

// What of small tensors is kept of a source that is only read forward.
constexpr uint64_t kMaxKeptTensorBytes = 1u << 20;
constexpr uint64_t kMaxKeptBytes = 128u << 20;

uintptr_t AddressOf(ByteSpan bytes) {
  return reinterpret_cast<uintptr_t>(bytes.data());
}

verify::Unexpected BecameShorter(std::string_view path) {
  return Fail(ErrorCode::kMismatch,
              StrCat("\"", verify::EscapeForTerminal(path),
                     "\" became shorter while it was converted"))
      .Id("E-CHANGED")
      .Hint("let nothing write to the source and convert again");
}

}  // namespace

Result<SourceReader> SourceReader::Open(const verify::Checkpoint& checkpoint) {
  SourceReader reader;
  for (size_t i = 0; i < checkpoint.files().size(); ++i) {
    Source source;
    source.content = checkpoint.content(i);
    if (source.content == nullptr) {
      ASSIGN_OR_RETURN(source.file,
                       verify::ReadOnlyFile::Open(checkpoint.files()[i]));
    }
    reader.sources_.push_back(std::move(source));
  }
  std::vector<Stretch> all;
  for (const verify::TensorInfo& tensor : checkpoint.tensors().tensors()) {
    const std::vector<FilePlace> places = checkpoint.PlacesOf(tensor);
    auto place = places.begin();
    uint64_t taken = 0;  // of the place at hand
    for (const ByteSpan span : checkpoint.Slices(tensor)) {
      // Pieces of a file: a span may lie in several of them.
      for (uint64_t at = 0; at < span.size();) {
        CHECK(place != places.end());
        const uint64_t size =
            std::min(place->size_bytes - taken, span.size() - at);
        if (size > 0) {
          all.push_back(
              {AddressOf(span) + at, size, place->file, place->offset + taken});
        }
        at += size;
        taken += size;
        if (taken < place->size_bytes) continue;
        ++place;
        taken = 0;
      }
    }
  }
  // Tensors may share a storage; the same address is always the same place.
  std::sort(all.begin(), all.end(), [](const Stretch& a, const Stretch& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.size > b.size;
  });
  uintptr_t end = 0;
  for (Stretch stretch : all) {
    if (stretch.begin + stretch.size <= end) continue;
    if (stretch.begin < end) {
      const uint64_t known = end - stretch.begin;
      stretch.begin += known;
      stretch.offset += known;
      stretch.size -= known;
    }
    end = stretch.begin + stretch.size;
    reader.stretches_.push_back(stretch);
  }
  reader.forward_only_ = checkpoint.is_forward_only();
  if (reader.forward_only_) RETURN_IF_ERROR(reader.KeepFactors(checkpoint));
  return reader;
}

// Factors stand elsewhere than what they scale and are read for each stretch of
// it, and before all else to be checked.
Result<void> SourceReader::KeepFactors(const verify::Checkpoint& checkpoint) {
  const auto& tensors = checkpoint.tensors().tensors();
  if (std::none_of(tensors.begin(), tensors.end(),
                   [](const verify::TensorInfo& tensor) {
                     return tensor.dtype == verify::DType::kF8E4M3;
                   })) {
    return {};
  }
  std::vector<ByteSpan> small;
  uint64_t sum = 0;
  for (const verify::TensorInfo& tensor : tensors) {
    if (tensor.dtype == verify::DType::kF8E4M3 ||
        tensor.size_bytes > kMaxKeptTensorBytes) {
      continue;
    }
    for (const ByteSpan bytes : checkpoint.Slices(tensor)) {
      small.push_back(bytes);
      sum += bytes.size();
    }
  }
  if (sum > kMaxKeptBytes) {
    return Fail(ErrorCode::kUnsupported,
                StrCat("factors of fp8 of ", verify::FormatSize(sum),
                       " cannot be read out of zstd without a seek table"))
        .Id("E-COMPRESSED")
        .Hint("lodestone unpack writes the file out");
  }
  std::sort(small.begin(), small.end(),
            [this](ByteSpan a, ByteSpan b) { return PlaceOf(a) < PlaceOf(b); });
  std::map<uintptr_t, std::vector<std::byte>> kept;
  for (const ByteSpan bytes : small) {
    std::vector<std::byte> copy(bytes.size());
    RETURN_IF_ERROR(Read(bytes, copy));
    kept.emplace(AddressOf(bytes), std::move(copy));
  }
  kept_ = std::move(kept);
  return {};
}

SourceReader::Place SourceReader::PlaceOf(ByteSpan bytes) const {
  const auto it = Find(AddressOf(bytes));
  if (it == stretches_.end()) return {sources_.size(), AddressOf(bytes)};
  return {it->file, it->offset + (AddressOf(bytes) - it->begin)};
}

std::vector<SourceReader::Stretch>::const_iterator SourceReader::Find(
    uintptr_t address) const {
  const auto after = std::upper_bound(
      stretches_.begin(), stretches_.end(), address,
      [](uintptr_t at, const Stretch& stretch) { return at < stretch.begin; });
  if (after == stretches_.begin()) return stretches_.end();
  const auto found = std::prev(after);
  return address < found->begin + found->size ? found : stretches_.end();
}

void SourceReader::WillNeed(ByteSpan bytes) const {
  uintptr_t at = AddressOf(bytes);
  const uintptr_t end = at + bytes.size();
  for (auto it = Find(at);
       it != stretches_.end() && at < end && it->begin <= at; ++it) {
    const uint64_t skipped = at - it->begin;
    const uint64_t size = std::min<uint64_t>(it->size - skipped, end - at);
    const Source& source = sources_[it->file];
    if (source.file.has_value()) {
      ::posix_fadvise(source.file->fd(),
                      static_cast<off_t>(it->offset + skipped),
                      static_cast<off_t>(size), POSIX_FADV_WILLNEED);
    }
    at += size;
  }
}

Result<void> SourceReader::Read(ByteSpan bytes,
                                std::span<std::byte> out) const {
  CHECK(out.size() == bytes.size());
  if (bytes.empty()) return {};
  uintptr_t at = AddressOf(bytes);
  if (const auto kept = kept_.find(at);
      kept != kept_.end() && kept->second.size() >= out.size()) {
    std::memcpy(out.data(), kept->second.data(), out.size());
    return {};
  }
  auto it = Find(at);
  if (it == stretches_.end()) {
    std::memcpy(out.data(), bytes.data(), bytes.size());
    return {};
  }
  while (!out.empty()) {
    CHECK(it != stretches_.end() && it->begin <= at);
    const uint64_t skipped = at - it->begin;
    const auto size =
        static_cast<size_t>(std::min<uint64_t>(it->size - skipped, out.size()));
    const Source& source = sources_[it->file];
    auto read =
        source.content != nullptr
            ? source.content->ReadAt(it->offset + skipped, out.first(size))
            : source.file->ReadAt(it->offset + skipped, out.first(size));
    if (!read) {
      verify::Error error = std::move(read).error();
      if (source.content != nullptr) {
        return verify::WithContext(
            std::move(error),
            StrCat('"', verify::EscapeForTerminal(source.content->name()),
                   '"'));
      }
      if (error.code == ErrorCode::kCorrupt) {
        return BecameShorter(source.file->name());
      }
      return verify::Unexpected(std::move(error));
    }
    out = out.subspan(size);
    at += size;
    ++it;
  }
  return {};
}

}  // namespace inference
