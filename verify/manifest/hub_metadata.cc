// SPDX-License-Identifier: Apache-2.0
#include "verify/manifest/hub_metadata.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

#include "verify/base/text.h"

namespace verify {
namespace {

constexpr std::string_view kVersionStart =
    "version https://git-lfs.github.com/spec/";
constexpr std::string_view kVersion = "https://git-lfs.github.com/spec/v1";
constexpr size_t kSha256Bytes = 32;
constexpr size_t kSha1Bytes = 20;

Unexpected RefusePointer(std::string_view what) {
  return Fail(ErrorCode::kCorrupt, StrCat("Git LFS pointer: ", what))
      .Id("E-LFS-POINTER");
}

Unexpected RefuseMetadata(std::string_view what) {
  return Fail(ErrorCode::kCorrupt, StrCat("record of a download: ", what))
      .Id("E-HUB-METADATA");
}

// The next line of `text` without its end, which is taken off.
std::string_view TakeLine(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line;
}

std::optional<uint64_t> Number(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

}  // namespace

bool LooksLikeLfsPointer(std::string_view start) {
  return start.starts_with(kVersionStart);
}

Result<LfsPointer> ParseLfsPointer(std::string_view text) {
  if (text.size() >= kMaxLfsPointerBytes) {
    return RefusePointer(StrCat(text.size(), " bytes are too many"));
  }
  LfsPointer pointer;
  std::optional<uint64_t> size;
  std::set<std::string_view> keys;
  for (bool first = true; !text.empty(); first = false) {
    const std::string_view line = TakeLine(text);
    const size_t blank = line.find(' ');
    if (blank == 0 || blank == std::string_view::npos) {
      return RefusePointer("a line that is no key and value");
    }
    const std::string_view key = line.substr(0, blank);
    const std::string_view value = line.substr(blank + 1);
    if (!keys.insert(key).second) {
      return RefusePointer(
          StrCat("\"", EscapeForTerminal(key, 64), "\" stands there twice"));
    }
    if (first != (key == "version")) {
      return RefusePointer("the version is not its first line");
    }
    if (key == "version" && value != kVersion) {
      return Fail(ErrorCode::kUnsupported,
                  StrCat("Git LFS pointer of the version \"",
                         EscapeForTerminal(value, 128), "\""))
          .Id("E-LFS-POINTER");
    }
    if (key == "oid") {
      constexpr std::string_view kKind = "sha256:";
      auto digest = value.starts_with(kKind)
                        ? HexDecode(value.substr(kKind.size()))
                        : std::nullopt;
      if (!digest.has_value() || digest->size() != kSha256Bytes) {
        return RefusePointer(
            StrCat("\"", EscapeForTerminal(value, 128), "\" is no SHA-256"));
      }
      pointer.sha256 = std::move(*digest);
    } else if (key == "size") {
      size = Number(value);
      if (!size.has_value()) {
        return RefusePointer(
            StrCat("\"", EscapeForTerminal(value, 64), "\" is no size"));
      }
    }
  }
  if (pointer.sha256.empty()) return RefusePointer("it names no digest");
  if (!size.has_value()) return RefusePointer("it names no size");
  pointer.size_bytes = *size;
  return pointer;
}

Result<HubMetadata> ParseHubMetadata(std::string_view text) {
  if (text.size() > kMaxHubMetadataBytes) {
    return RefuseMetadata(StrCat(text.size(), " bytes are too many"));
  }
  HubMetadata metadata;
  const std::string_view commit = TakeLine(text);
  const auto commit_bytes = HexDecode(commit);
  if (!commit_bytes.has_value() || commit_bytes->size() != kSha1Bytes) {
    return RefuseMetadata("its first line is no commit");
  }
  metadata.commit = AsciiLower(commit);
  std::string_view etag = TakeLine(text);
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') {
    etag = etag.substr(1, etag.size() - 2);
  }
  auto digest = HexDecode(etag);
  if (!digest.has_value() ||
      (digest->size() != kSha256Bytes && digest->size() != kSha1Bytes)) {
    return RefuseMetadata(StrCat("\"", EscapeForTerminal(etag, 128),
                                 "\" is no digest of a known kind"));
  }
  metadata.etag = std::move(*digest);
  return metadata;
}

}  // namespace verify
