// SPDX-License-Identifier: Apache-2.0
// What a check of files came to: an outcome and a level of trust per file, and
// the level of the whole. Data and words only; the command prints it.
// Tested by tests/verify/manifest/report_test.cc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace verify {

// What anchors a file, from nothing to most.
enum class TrustLevel {
  kUnverified,  // nothing says what the file should be
  kUnknownKey,  // signed by a key that nobody chose to trust: adds nothing
  kMd5Only,     // a published MD5: finds accidents, stops nobody
  kSha1Only,    // a published SHA-1, or a git blob's: a weak anchor
  kPiecesV1,    // SHA-1 pieces of the torrent
  kSha256,      // a published SHA-256
  kPiecesV2,    // the SHA-256 tree of the torrent
  kTrustedKey,  // signed by a key that the user trusts
};

// The words for people: "v1 pieces only (weak anchor, SHA-1)".
std::string_view TrustLevelText(TrustLevel level);
// The word for programs: "pieces-v1".
std::string_view TrustLevelName(TrustLevel level);
// Whether a file at this level may be called verified at all: not with an
// unknown key and not with MD5 alone.
bool MayCallVerified(TrustLevel level);

enum class FileOutcome {
  kOk,          // bytes are what the anchor says
  kMismatch,    // bytes differ
  kMissing,     // listed, not there
  kWrongSize,   // there, of another size
  kUnreadable,  // could not be read to its end
  kExtra,       // there, not listed: no anchor covers it
  kLeftOut,     // listed, not there on purpose: says nothing of the others
};
std::string_view FileOutcomeName(FileOutcome outcome);

struct FileReport {
  std::string name;
  uint64_t size_bytes = 0;
  FileOutcome outcome = FileOutcome::kOk;
  // The strongest anchor that the bytes were compared with.
  TrustLevel level = TrustLevel::kUnverified;
  // What and where: "sha256 aa.., published bb.. in SHA256SUMS".
  std::string detail;
};

struct VerifyReport {
  std::vector<FileReport> files;

  // All files are kOk or left out; extra ones do not spoil it but lower the
  // level.
  bool ok() const;
  // The weakest level of the files; kUnverified if there are none or one of
  // them is not what it should be.
  TrustLevel level() const;
  uint64_t Count(FileOutcome outcome) const;
};

}  // namespace verify
