// SPDX-License-Identifier: Apache-2.0
#include "p2p/resume_store.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "verify/base/check.h"
#include "verify/base/file.h"
#include "verify/base/text.h"
#include "verify/digest/digest.h"

namespace p2p {
namespace {

using verify::ByteReader;
using verify::ByteSpan;
using verify::ErrorCode;
using verify::Fail;
using verify::Result;
using verify::StrCat;

constexpr std::array<char, 8> kMagic = {'L', 'S', 'T', 'S', 'T', 'A', 'T', 'E'};
constexpr uint32_t kVersion = 1;

enum Tag : uint32_t {
  kTagV1 = 1,
  kTagV2 = 2,
  kTagTorrent = 3,
  kTagResumeData = 4,
  kTagFingerprint = 5,
  kTagTracker = 6,
  kTagWebSeed = 7,
  kTagInfo = 8,
};

using Digest = verify::Sha256Digest;

template <typename T>
void AppendLe(std::vector<std::byte>& out, T value) {
  const auto* bytes = reinterpret_cast<const std::byte*>(&value);
  out.insert(out.end(), bytes, bytes + sizeof(T));
}

void AppendField(std::vector<std::byte>& out, Tag tag, ByteSpan bytes) {
  AppendLe<uint32_t>(out, tag);
  AppendLe<uint64_t>(out, bytes.size());
  out.insert(out.end(), bytes.begin(), bytes.end());
}

verify::Unexpected Corrupt(std::string message, uint64_t offset) {
  return Fail(ErrorCode::kCorrupt, StrCat("state: ", message))
      .Id("E-STATE")
      .At(offset);
}

template <size_t kSize>
Result<void> ReadHash(ByteSpan bytes, uint64_t offset,
                      std::optional<std::array<std::byte, kSize>>& out) {
  if (bytes.size() != kSize) {
    return Corrupt(
        StrCat("info-hash of ", bytes.size(), " bytes, ", kSize, " expected"),
        offset);
  }
  out.emplace();
  std::copy(bytes.begin(), bytes.end(), out->begin());
  return {};
}

Result<void> ReadUrl(ByteSpan bytes, uint64_t offset,
                     std::vector<std::string>& out) {
  if (out.size() >= kMaxStateUrls || bytes.size() > kMaxStateUrlBytes) {
    return Fail(ErrorCode::kLimit, StrCat("state: more than ", kMaxStateUrls,
                                          " URLs, or one of more than ",
                                          kMaxStateUrlBytes, " bytes"))
        .Id("E-STATE")
        .At(offset);
  }
  out.emplace_back(verify::AsText(bytes));
  return {};
}

Result<void> ReadField(uint32_t tag, ByteSpan bytes, uint64_t offset,
                       ResumeState& state) {
  switch (tag) {
    case kTagV1:
      return ReadHash(bytes, offset, state.info_hashes.v1);
    case kTagV2:
      return ReadHash(bytes, offset, state.info_hashes.v2);
    case kTagTorrent:
      state.torrent.assign(bytes.begin(), bytes.end());
      return {};
    case kTagResumeData:
      state.resume_data.assign(bytes.begin(), bytes.end());
      return {};
    case kTagFingerprint:
      if (bytes.size() > 128) {
        return Corrupt(StrCat("fingerprint of ", bytes.size(), " bytes"),
                       offset);
      }
      state.payload_fingerprint = verify::AsText(bytes);
      return {};
    case kTagTracker:
      return ReadUrl(bytes, offset, state.trackers);
    case kTagWebSeed:
      return ReadUrl(bytes, offset, state.web_seeds);
    case kTagInfo:
      state.info.assign(bytes.begin(), bytes.end());
      return {};
    default:
      return Corrupt(StrCat("unknown field ", tag), offset);
  }
}

Result<ResumeState> DecodeBody(ByteSpan body, uint64_t base_offset) {
  ResumeState state;
  ByteReader reader(body, base_offset);
  uint32_t last_tag = 0;
  while (!reader.empty()) {
    const uint64_t offset = reader.offset();
    ASSIGN_OR_RETURN(const uint32_t tag, reader.Read<uint32_t>());
    ASSIGN_OR_RETURN(const uint64_t size, reader.Read<uint64_t>());
    ASSIGN_OR_RETURN(const ByteSpan bytes, reader.ReadBytes(size));
    // Ascending, so that one state has one spelling.
    const bool may_repeat = tag == kTagTracker || tag == kTagWebSeed;
    if (tag < last_tag || (tag == last_tag && !may_repeat)) {
      return Corrupt(StrCat("field ", tag, " after field ", last_tag), offset);
    }
    last_tag = tag;
    RETURN_IF_ERROR(ReadField(tag, bytes, offset, state));
  }
  if (!state.info_hashes.v1.has_value() && !state.info_hashes.v2.has_value()) {
    return Corrupt("no info-hash", base_offset);
  }
  return state;
}

std::string PreviousPath(const std::string& path) { return path + ".prev"; }

}  // namespace

std::vector<std::byte> EncodeState(const ResumeState& state) {
  CHECK(state.info_hashes.v1.has_value() || state.info_hashes.v2.has_value());
  std::vector<std::byte> body;
  body.reserve(state.torrent.size() + state.info.size() +
               state.resume_data.size() + 4096);
  if (state.info_hashes.v1) AppendField(body, kTagV1, *state.info_hashes.v1);
  if (state.info_hashes.v2) AppendField(body, kTagV2, *state.info_hashes.v2);
  AppendField(body, kTagTorrent, state.torrent);
  AppendField(body, kTagResumeData, state.resume_data);
  AppendField(body, kTagFingerprint,
              verify::AsBytes(state.payload_fingerprint));
  const auto append_urls = [&](Tag tag, const std::vector<std::string>& urls) {
    size_t count = 0;
    for (const std::string& url : urls) {
      if (url.size() > kMaxStateUrlBytes || count == kMaxStateUrls) continue;
      AppendField(body, tag, verify::AsBytes(url));
      ++count;
    }
  };
  append_urls(kTagTracker, state.trackers);
  append_urls(kTagWebSeed, state.web_seeds);
  AppendField(body, kTagInfo, state.info);

  const ByteSpan magic = verify::AsBytes({kMagic.data(), kMagic.size()});
  std::vector<std::byte> out(magic.begin(), magic.end());
  out.reserve(body.size() + 64);
  AppendLe<uint32_t>(out, kVersion);
  AppendLe<uint64_t>(out, body.size());
  const Digest digest = verify::Sha256(body);
  out.insert(out.end(), digest.begin(), digest.end());
  out.insert(out.end(), body.begin(), body.end());
  return out;
}

Result<ResumeState> DecodeState(ByteSpan bytes) {
  if (bytes.size() > kMaxStateBytes) {
    return Fail(ErrorCode::kLimit,
                StrCat("state: ", bytes.size(), " bytes, at most ",
                       kMaxStateBytes, " expected"))
        .Id("E-STATE");
  }
  ByteReader reader(bytes);
  const auto header = [&]() -> Result<std::pair<Digest, uint64_t>> {
    ASSIGN_OR_RETURN(const ByteSpan magic, reader.ReadBytes(kMagic.size()));
    if (verify::AsText(magic) !=
        std::string_view(kMagic.data(), kMagic.size())) {
      return Corrupt("not a state file", 0);
    }
    ASSIGN_OR_RETURN(const uint32_t version, reader.Read<uint32_t>());
    if (version == 0) return Corrupt("version 0", 8);
    if (version > kVersion) {
      return Fail(ErrorCode::kUnsupported,
                  StrCat("state: version ", version, ", at most ", kVersion,
                         " is known"))
          .Id("E-STATE");
    }
    ASSIGN_OR_RETURN(const uint64_t size, reader.Read<uint64_t>());
    ASSIGN_OR_RETURN(const ByteSpan digest_bytes, reader.ReadBytes(32));
    Digest digest;
    std::copy(digest_bytes.begin(), digest_bytes.end(), digest.begin());
    return std::pair(digest, size);
  }();
  if (!header) {
    verify::Error error = header.error();
    error.id = "E-STATE";
    return verify::Unexpected(std::move(error));
  }
  const auto& [digest, size] = *header;
  if (size != reader.remaining()) {
    return Corrupt(StrCat("body of ", size, " bytes declared, ",
                          reader.remaining(), " here"),
                   12);
  }
  const uint64_t base_offset = reader.offset();
  ASSIGN_OR_RETURN(const ByteSpan body, reader.ReadBytes(size));
  if (verify::Sha256(body) != digest)
    return Corrupt("digest does not match", 20);
  Result<ResumeState> state = DecodeBody(body, base_offset);
  if (!state) {
    verify::Error error = state.error();
    error.id = "E-STATE";
    return verify::Unexpected(std::move(error));
  }
  return state;
}

LoadedState LoadState(const std::string& path) {
  LoadedState loaded;
  for (const std::string& candidate : {path, PreviousPath(path)}) {
    const auto bytes = verify::ReadSmallFile(candidate, kMaxStateBytes);
    if (!bytes) {
      if (bytes.error().code != ErrorCode::kNotFound) {
        loaded.remarks.push_back(bytes.error().ToString());
      }
      continue;
    }
    auto state = DecodeState(*bytes);
    if (state) {
      loaded.state = std::move(state).value();
      return loaded;
    }
    loaded.remarks.push_back(StrCat("\"", verify::EscapeForTerminal(candidate),
                                    "\": ", state.error().ToString()));
  }
  return loaded;
}

Result<void> SaveState(const std::string& path, const ResumeState& state) {
  const std::string previous = PreviousPath(path);
  // Only a whole state may push out the one before it; what stands at `path`
  // was written by rename and is whole, unless someone damaged it.
  const std::string temporary = previous + ".tmp";
  ::unlink(temporary.c_str());
  if (::link(path.c_str(), temporary.c_str()) == 0) {
    if (::rename(temporary.c_str(), previous.c_str()) != 0) {
      return verify::FailErrno("rename to", previous, errno);
    }
    // Two names of one file: rename leaves both, so the first must go.
    ::unlink(temporary.c_str());
  }
  return verify::WriteFileAtomically(path, EncodeState(state), 0600);
}

}  // namespace p2p
