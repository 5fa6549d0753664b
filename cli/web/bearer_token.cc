// SPDX-License-Identifier: Apache-2.0
#include "cli/web/bearer_token.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>

#include "verify/base/file.h"
#include "verify/base/text.h"

namespace cli {
namespace {

using verify::ErrorCode;
using verify::Fail;
using verify::Result;
using verify::Sha256Digest;
using verify::StrCat;

constexpr size_t kMinTokenBytes = 16;
constexpr size_t kMaxTokenBytes = 512;

verify::Unexpected FailToken(const std::string& path, std::string_view what) {
  return Fail(ErrorCode::kInvalidArgument,
              StrCat("token file \"", verify::EscapeForTerminal(path),
                     "\": ", what))
      .Id("E-TOKEN")
      .Hint(
          "make one by: (umask 077; head -c 32 /dev/urandom | base64 -w0 > "
          "FILE)");
}

Sha256Digest DigestOf(std::string_view text) {
  return verify::Sha256(std::as_bytes(std::span(text)));
}

// Looks at every byte whatever the first ones are.
bool SameDigest(const Sha256Digest& a, const Sha256Digest& b) {
  std::byte difference{};
  for (size_t i = 0; i < a.size(); ++i) difference |= a[i] ^ b[i];
  return difference == std::byte{};
}

}  // namespace

Result<std::string> ReadTokenFile(const std::string& path) {
  // The file that is judged is the file that is read.
  const verify::UniqueFd fd(
      ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
  if (!fd.valid()) {
    if (errno == ELOOP) return FailToken(path, "a symbolic link");
    return verify::FailErrno("open", path, errno);
  }
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) {
    return verify::FailErrno("look at", path, errno);
  }
  if (!S_ISREG(info.st_mode)) return FailToken(path, "no regular file");
  if (info.st_uid != ::geteuid()) {
    return FailToken(path, "it belongs to another user");
  }
  if ((info.st_mode & 0077) != 0) {
    return FailToken(path, "others may read or change it; chmod 600");
  }
  std::string text(kMaxTokenBytes + 2, '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t count =
        ::read(fd.get(), text.data() + size, text.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return verify::FailErrno("read", path, errno);
    if (count == 0) break;
    size += static_cast<size_t>(count);
  }
  text.resize(size);
  if (text.ends_with('\n')) text.pop_back();
  if (text.size() < kMinTokenBytes || text.size() > kMaxTokenBytes) {
    return FailToken(path, StrCat("a token has ", kMinTokenBytes, " to ",
                                  kMaxTokenBytes, " characters"));
  }
  const auto is_plain = [](char c) { return c > ' ' && c < '\x7F'; };
  if (!std::all_of(text.begin(), text.end(), is_plain)) {
    return FailToken(path, "a token is one line without blanks");
  }
  return text;
}

BearerGate::BearerGate(std::string_view token) : digest_(DigestOf(token)) {}

BearerGate::Verdict BearerGate::Judge(std::string_view authorization,
                                      Clock::time_point now) {
  if (now - window_begin_ >= kWindow) {
    window_begin_ = now;
    failures_ = 0;
  }
  if (failures_ >= kMaxFailures) return Verdict::kTooMany;
  constexpr std::string_view kScheme = "bearer ";
  const bool has_scheme =
      verify::AsciiLower(authorization.substr(0, kScheme.size())) == kScheme;
  const std::string_view shown =
      has_scheme ? authorization.substr(kScheme.size()) : std::string_view();
  if (SameDigest(DigestOf(shown), digest_) && has_scheme) {
    return Verdict::kPass;
  }
  ++failures_;
  return Verdict::kWrong;
}

}  // namespace cli
