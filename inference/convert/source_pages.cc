// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/source_pages.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <sstream>
#include <string>

namespace inference {
namespace {

using verify::ByteSpan;
using verify::ErrorCode;
using verify::Fail;
using verify::Result;

// Linux 5.14; older kernels answer EINVAL, and pages come as they are touched.
constexpr int kPopulateRead = 22;

uintptr_t PageBytes() {
  return static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
}

uintptr_t Begin(ByteSpan bytes) {
  return reinterpret_cast<uintptr_t>(bytes.data());
}

int Advise(uintptr_t begin, uintptr_t end, int advice) {
  if (begin >= end) return 0;
  return ::madvise(reinterpret_cast<void*>(begin), end - begin, advice);
}

// All pages that hold a byte of it.
int AdviseOutward(ByteSpan bytes, int advice) {
  const uintptr_t page = PageBytes();
  const uintptr_t end = Begin(bytes) + bytes.size();
  return Advise(Begin(bytes) / page * page, (end + page - 1) / page * page,
                advice);
}

}  // namespace

SourcePages::SourcePages() {
  // "7f0000000000-7f0000001000 r--p 00000000 fd:01 1234   /path"
  std::ifstream maps("/proc/self/maps");
  std::string line;
  while (std::getline(maps, line)) {
    std::istringstream fields(line);
    std::string range;
    std::string rights;
    std::string offset;
    std::string device;
    uint64_t inode = 0;
    fields >> range >> rights >> offset >> device >> inode;
    const size_t dash = range.find('-');
    if (!fields || inode == 0 || rights.substr(0, 2) != "r-" ||
        dash == std::string::npos) {
      continue;
    }
    const uintptr_t begin = std::strtoull(range.c_str(), nullptr, 16);
    const uintptr_t end = std::strtoull(range.c_str() + dash + 1, nullptr, 16);
    maps_.emplace_back(begin, end);
  }
  std::sort(maps_.begin(), maps_.end());
}

bool SourcePages::IsMappedFile(ByteSpan bytes) const {
  const auto after = std::upper_bound(maps_.begin(), maps_.end(),
                                      std::pair(Begin(bytes), UINTPTR_MAX));
  if (after == maps_.begin()) return false;
  return Begin(bytes) + bytes.size() <= std::prev(after)->second;
}

void SourcePages::WillNeed(ByteSpan bytes) const {
  if (IsMappedFile(bytes)) AdviseOutward(bytes, MADV_WILLNEED);
}

Result<void> SourcePages::Load(ByteSpan bytes) const {
  if (!IsMappedFile(bytes) || AdviseOutward(bytes, kPopulateRead) == 0 ||
      (errno != EFAULT && errno != EHWPOISON)) {
    return {};
  }
  return Fail(ErrorCode::kMismatch,
              "a file became shorter, or could not be read, while it was "
              "converted")
      .Id("E-CHANGED")
      .Hint("let nothing write to the source and convert again");
}

void SourcePages::Drop(ByteSpan bytes) const {
  if (!IsMappedFile(bytes)) return;
  // Whole pages inside: those at the ends hold neighbours too.
  const uintptr_t page = PageBytes();
  Advise((Begin(bytes) + page - 1) / page * page,
         (Begin(bytes) + bytes.size()) / page * page, MADV_DONTNEED);
}

}  // namespace inference
