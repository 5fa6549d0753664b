// SPDX-License-Identifier: Apache-2.0
#include "verify/container/byte_stream.h"

#include <algorithm>
#include <array>

#include "verify/base/text.h"

namespace verify {
namespace {

Unexpected FailEnd(std::string_view name, uint64_t wanted) {
  return Fail(ErrorCode::kCorrupt,
              StrCat("\"", EscapeForTerminal(name), "\": cut off: ", wanted,
                     " more bytes were to come"))
      .Id("E-TRUNCATED");
}

}  // namespace

Result<void> ByteStream::Skip(uint64_t count) {
  std::array<std::byte, 32 << 10> buffer;
  while (count > 0) {
    const auto share =
        static_cast<size_t>(std::min<uint64_t>(count, buffer.size()));
    ASSIGN_OR_RETURN(const size_t got,
                     Read(std::span<std::byte>(buffer).first(share)));
    if (got == 0) return FailEnd(name(), count);
    count -= got;
  }
  return {};
}

Result<size_t> ReadUpTo(ByteStream& stream, std::span<std::byte> out) {
  return FillFrom([&](std::span<std::byte> part) { return stream.Read(part); },
                  out);
}

Result<size_t> SourceStream::Read(std::span<std::byte> out) {
  const auto count = static_cast<size_t>(
      std::min<uint64_t>(out.size(), source_.size() - position_));
  RETURN_IF_ERROR(source_.ReadAt(position_, out.first(count)));
  position_ += count;
  return count;
}

Result<void> SourceStream::Skip(uint64_t count) {
  if (count > source_.size() - position_) {
    return FailEnd(name(), count - (source_.size() - position_));
  }
  position_ += count;
  return {};
}

}  // namespace verify
