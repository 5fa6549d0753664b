// SPDX-License-Identifier: Apache-2.0
#include "verify/base/joined_file.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>

#include "verify/base/check.h"
#include "verify/base/text.h"
#include "verify/base/thread_pool.h"

namespace verify {
namespace {

// What one thread reads at a time of what was reserved.
constexpr size_t kFillBytes = 8u << 20;

// The index of the part that holds `offset`; of empty ones none does.
size_t Find(const std::vector<uint64_t>& begins, uint64_t offset) {
  const auto after = std::upper_bound(begins.begin(), begins.end() - 1, offset);
  return static_cast<size_t>(after - begins.begin()) - 1;
}

Result<std::vector<uint64_t>> Begins(const std::string& name,
                                     const std::vector<uint64_t>& sizes) {
  std::vector<uint64_t> begins = {0};
  for (const uint64_t size : sizes) {
    const auto end = CheckedAdd(begins.back(), size);
    if (!end.has_value()) {
      return Fail(ErrorCode::kLimit, StrCat("\"", EscapeForTerminal(name),
                                            "\": the parts pass 2^64 bytes"));
    }
    begins.push_back(*end);
  }
  return begins;
}

}  // namespace

Result<std::unique_ptr<JoinedSource>> JoinedSource::Create(
    std::string name, std::vector<std::unique_ptr<ByteSource>> parts) {
  CHECK(!parts.empty());
  std::vector<uint64_t> sizes;
  for (const auto& part : parts) sizes.push_back(part->size());
  ASSIGN_OR_RETURN(std::vector<uint64_t> begins, Begins(name, sizes));
  return std::unique_ptr<JoinedSource>(
      new JoinedSource(std::move(name), std::move(parts), std::move(begins)));
}

Result<void> JoinedSource::ReadAt(uint64_t offset,
                                  std::span<std::byte> out) const {
  if (offset > size() || out.size() > size() - offset) {
    return Fail(ErrorCode::kCorrupt,
                StrCat("\"", EscapeForTerminal(name_), "\": ", out.size(),
                       " bytes from byte ", offset,
                       " on, but its parts together have ", size()))
        .At(offset);
  }
  while (!out.empty()) {
    const size_t i = Find(begins_, offset);
    const auto here = static_cast<size_t>(
        std::min<uint64_t>(out.size(), begins_[i + 1] - offset));
    RETURN_IF_ERROR(parts_[i]->ReadAt(offset - begins_[i], out.first(here)));
    offset += here;
    out = out.subspan(here);
  }
  return {};
}

JoinedMap::Pages::~Pages() {
  if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
}

Result<JoinedMap> JoinedMap::Open(const std::vector<std::string>& paths) {
  CHECK(!paths.empty());
  std::vector<MappedFile> parts;
  std::vector<uint64_t> sizes;
  for (const std::string& path : paths) {
    ASSIGN_OR_RETURN(MappedFile part, MappedFile::Open(path));
    sizes.push_back(part.size());
    parts.push_back(std::move(part));
  }
  ASSIGN_OR_RETURN(std::vector<uint64_t> begins, Begins(paths.front(), sizes));
  return JoinedMap(paths, std::move(parts), std::move(begins));
}

Result<JoinedMap> JoinedMap::Reserve(std::string path, uint64_t size) {
  const size_t length = std::max<size_t>(1, static_cast<size_t>(size));
  void* const address =
      ::mmap(nullptr, length, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED)
    return FailErrno("reserve memory for", path, errno);
  JoinedMap map({std::move(path)}, {}, {0, size});
  map.reserved_.emplace(std::span(static_cast<std::byte*>(address), length));
  return map;
}

Result<void> JoinedMap::Fill(const ByteSource& content, const FillStep& step) {
  CHECK(reserved_.has_value() && content.size() == size());
  const std::span<std::byte> all = reserved_->bytes();
  if (::mprotect(all.data(), all.size(), PROT_READ | PROT_WRITE) != 0) {
    return FailErrno("take memory for", paths_.front(), errno);
  }
  ThreadPool pool(0);
  std::mutex mu;
  std::optional<Error> error;  // the first that was seen
  const auto read = [&](size_t begin, size_t end) {
    auto result = content.ReadAt(begin, all.subspan(begin, end - begin));
    if (result) return;
    const std::lock_guard lock(mu);
    if (!error.has_value()) error = std::move(result).error();
  };
  const auto size_bytes = static_cast<size_t>(size());
  // A round at a time, so that an error ends it.
  const size_t round = kFillBytes * pool.num_threads();
  for (size_t at = 0; at < size_bytes && !error.has_value(); at += round) {
    if (!step(at)) {
      return Fail(ErrorCode::kCancelled,
                  StrCat("reading \"", EscapeForTerminal(paths_.front()),
                         "\" was interrupted"));
    }
    const size_t count = std::min(round, size_bytes - at);
    pool.ParallelFor(count, kFillBytes, [&](size_t begin, size_t end) {
      read(at + begin, at + end);
    });
  }
  if (error.has_value()) return Unexpected(*std::move(error));
  if (::mprotect(all.data(), all.size(), PROT_READ) != 0) {
    return FailErrno("protect", paths_.front(), errno);
  }
  return {};
}

ByteSpan JoinedMap::PartBytes(size_t part) const {
  return reserved_.has_value() ? ByteSpan(reserved_->bytes())
                               : parts_[part].bytes();
}

size_t JoinedMap::PartOf(uint64_t offset) const {
  return Find(begins_, offset);
}

Result<void> JoinedMap::Bridge(std::vector<ByteRange> ranges) {
  std::erase_if(ranges, [this](const ByteRange& range) {
    CHECK(range.begin <= range.end && range.end <= size());
    return range.begin == range.end ||
           PartOf(range.begin) == PartOf(range.end - 1);
  });
  std::sort(
      ranges.begin(), ranges.end(),
      [](const ByteRange& a, const ByteRange& b) { return a.begin < b.begin; });
  std::vector<ByteRange> merged;
  for (const ByteRange& range : ranges) {
    if (!merged.empty() && range.begin < merged.back().end) {
      merged.back().end = std::max(merged.back().end, range.end);
    } else {
      merged.push_back(range);
    }
  }
  for (const ByteRange& range : merged) RETURN_IF_ERROR(BridgeOne(range));
  return {};
}

Result<void> JoinedMap::BridgeOne(ByteRange range) {
  const auto page = static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  const size_t first = PartOf(range.begin);
  const size_t last = PartOf(range.end - 1);
  const auto in_part = [&](size_t i) {
    return ByteRange{std::max(range.begin, begins_[i]),
                     std::min(range.end, begins_[i + 1])};
  };
  // Of all that is to lie in one piece, only parts whose pages fall on pages
  // can be mapped: those like the longest.
  ByteRange longest = in_part(first);
  size_t longest_part = first;
  for (size_t i = first + 1; i <= last; ++i) {
    const ByteRange piece = in_part(i);
    if (piece.end - piece.begin <= longest.end - longest.begin) continue;
    longest = piece;
    longest_part = i;
  }
  // Byte x of the whole stands `lead + (x - range.begin)` bytes into the pages,
  // so that a byte of that part stands as far into a page as in its file.
  const uint64_t in_file = longest.begin - begins_[longest_part];
  const uint64_t lead =
      (in_file % page + page - (longest.begin - range.begin) % page) % page;
  const uint64_t length = lead + (range.end - range.begin);
  // No memory is taken, or counted against a limit, but for what is copied.
  void* const address =
      ::mmap(nullptr, static_cast<size_t>(length), PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED) return FailErrno("map", paths_[first], errno);
  Pages pages({static_cast<std::byte*>(address), static_cast<size_t>(length)});
  const auto copy = [&](uint64_t to, ByteSpan bytes) -> Result<void> {
    if (bytes.empty()) return {};
    const auto begin = static_cast<size_t>(to / page * page);
    std::byte* const target = pages.bytes().data();
    if (::mprotect(target + begin,
                   static_cast<size_t>(to) + bytes.size() - begin,
                   PROT_READ | PROT_WRITE) != 0) {
      return FailErrno("protect", paths_[first], errno);
    }
    std::memcpy(target + to, bytes.data(), bytes.size());
    copied_bytes_ += bytes.size();
    return {};
  };

  for (size_t i = first; i <= last; ++i) {
    const ByteRange piece = in_part(i);
    if (piece.begin == piece.end) continue;
    const uint64_t from = piece.begin - begins_[i];  // in the part
    const uint64_t to = lead + (piece.begin - range.begin);
    const ByteSpan bytes =
        parts_[i].bytes().subspan(static_cast<size_t>(from),
                                  static_cast<size_t>(piece.end - piece.begin));
    // Whole pages of both, between a head and a tail that are copied.
    size_t head = bytes.size();
    size_t middle = 0;
    if (from % page == to % page) {
      head = std::min(head, static_cast<size_t>((page - to % page) % page));
      middle = (bytes.size() - head) / page * page;
    }
    if (bytes.size() - middle > kMaxBridgeBytes - copied_bytes_) {
      return Fail(ErrorCode::kLimit,
                  StrCat("\"", EscapeForTerminal(paths_[i]),
                         "\": what lies across the cuts takes more than ",
                         FormatSize(kMaxBridgeBytes), " of memory"))
          .Id("E-BRIDGE")
          .Hint("join the parts: cat PART0 PART1 ... > WHOLE");
    }
    RETURN_IF_ERROR(copy(to, bytes.first(head)));
    RETURN_IF_ERROR(copy(to + head + middle, bytes.subspan(head + middle)));
    if (middle == 0) continue;
    ASSIGN_OR_RETURN(const ReadOnlyFile file, ReadOnlyFile::Open(paths_[i]));
    if (file.size() != parts_[i].size()) {
      return Fail(ErrorCode::kCorrupt,
                  StrCat("\"", EscapeForTerminal(paths_[i]),
                         "\" changed while it was opened"));
    }
    if (::mmap(pages.bytes().data() + to + head, middle, PROT_READ,
               MAP_PRIVATE | MAP_FIXED, file.fd(),
               static_cast<off_t>(from + head)) == MAP_FAILED) {
      return FailErrno("map", paths_[i], errno);
    }
  }
  if (::mprotect(address, static_cast<size_t>(length), PROT_READ) != 0) {
    return FailErrno("protect", paths_[first], errno);
  }
  bridges_.push_back({range, std::move(pages), static_cast<size_t>(lead)});
  return {};
}

ByteSpan JoinedMap::Bytes(uint64_t offset, uint64_t bytes) const {
  CHECK(offset <= size() && bytes <= size() - offset);
  if (bytes == 0) return {};
  const size_t part = PartOf(offset);
  if (offset + bytes <= begins_[part + 1]) {
    return PartBytes(part).subspan(static_cast<size_t>(offset - begins_[part]),
                                   static_cast<size_t>(bytes));
  }
  for (const Span& bridge : bridges_) {
    if (bridge.range.begin > offset || bridge.range.end < offset + bytes) {
      continue;
    }
    return ByteSpan(bridge.pages.bytes())
        .subspan(
            bridge.first + static_cast<size_t>(offset - bridge.range.begin),
            static_cast<size_t>(bytes));
  }
  CHECK(false);
  return {};
}

}  // namespace verify
