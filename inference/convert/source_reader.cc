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
  for (const std::string& path : checkpoint.files()) {
    ASSIGN_OR_RETURN(auto file, verify::ReadOnlyFile::Open(path));
    reader.files_.push_back(std::move(file));
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
  return reader;
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
    ::posix_fadvise(files_[it->file].fd(),
                    static_cast<off_t>(it->offset + skipped),
                    static_cast<off_t>(size), POSIX_FADV_WILLNEED);
    at += size;
  }
}

Result<void> SourceReader::Read(ByteSpan bytes,
                                std::span<std::byte> out) const {
  CHECK(out.size() == bytes.size());
  if (bytes.empty()) return {};
  uintptr_t at = AddressOf(bytes);
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
    const verify::ReadOnlyFile& file = files_[it->file];
    const auto read = file.ReadAt(it->offset + skipped, out.first(size));
    if (!read) {
      if (read.error().code == ErrorCode::kCorrupt) {
        return BecameShorter(file.name());
      }
      return verify::Unexpected(read.error());
    }
    out = out.subspan(size);
    at += size;
    ++it;
  }
  return {};
}

}  // namespace inference
