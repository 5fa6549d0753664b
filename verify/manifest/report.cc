// SPDX-License-Identifier: Apache-2.0
#include "verify/manifest/report.h"

#include <algorithm>

namespace verify {

std::string_view TrustLevelText(TrustLevel level) {
  switch (level) {
    case TrustLevel::kUnverified:
      return "unsigned";
    case TrustLevel::kUnknownKey:
      return "signed by unknown key";
    case TrustLevel::kMd5Only:
      return "md5 only (accidental corruption)";
    case TrustLevel::kSha1Only:
      return "sha1 only (weak anchor)";
    case TrustLevel::kPiecesV1:
      return "v1 pieces only (weak anchor, SHA-1)";
    case TrustLevel::kSha256:
    case TrustLevel::kPiecesV2:
      return "sha256 list or v2 root";
    case TrustLevel::kTrustedKey:
      return "signed by trusted key";
  }
  return "unsigned";
}

std::string_view TrustLevelName(TrustLevel level) {
  switch (level) {
    case TrustLevel::kUnverified:
      return "unverified";
    case TrustLevel::kUnknownKey:
      return "unknown-key";
    case TrustLevel::kMd5Only:
      return "md5";
    case TrustLevel::kSha1Only:
      return "sha1";
    case TrustLevel::kPiecesV1:
      return "pieces-v1";
    case TrustLevel::kSha256:
      return "sha256";
    case TrustLevel::kPiecesV2:
      return "pieces-v2";
    case TrustLevel::kTrustedKey:
      return "trusted-key";
  }
  return "unverified";
}

bool MayCallVerified(TrustLevel level) {
  return level >= TrustLevel::kSha1Only;
}

std::string_view FileOutcomeName(FileOutcome outcome) {
  switch (outcome) {
    case FileOutcome::kOk:
      return "ok";
    case FileOutcome::kMismatch:
      return "mismatch";
    case FileOutcome::kMissing:
      return "missing";
    case FileOutcome::kWrongSize:
      return "wrong size";
    case FileOutcome::kUnreadable:
      return "unreadable";
    case FileOutcome::kExtra:
      return "extra";
    case FileOutcome::kLeftOut:
      return "left out";
  }
  return "unknown";
}

bool VerifyReport::ok() const {
  return std::all_of(files.begin(), files.end(), [](const FileReport& file) {
    return file.outcome == FileOutcome::kOk ||
           file.outcome == FileOutcome::kExtra ||
           file.outcome == FileOutcome::kLeftOut;
  });
}

TrustLevel VerifyReport::level() const {
  if (files.size() == Count(FileOutcome::kLeftOut)) {
    return TrustLevel::kUnverified;
  }
  TrustLevel weakest = TrustLevel::kTrustedKey;
  for (const FileReport& file : files) {
    if (file.outcome == FileOutcome::kLeftOut) continue;
    if (file.outcome != FileOutcome::kOk) return TrustLevel::kUnverified;
    weakest = std::min(weakest, file.level);
  }
  return weakest;
}

uint64_t VerifyReport::Count(FileOutcome outcome) const {
  return static_cast<uint64_t>(std::count_if(
      files.begin(), files.end(),
      [&](const FileReport& file) { return file.outcome == outcome; }));
}

}  // namespace verify
