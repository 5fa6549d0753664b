// SPDX-License-Identifier: Apache-2.0
// Digests that publishers put beside their files: md5sum and sha256sum lists
// (GNU and BSD form), checklist.chk, one-file lists and the banner of Mistral's
// RELEASE. They find accidents; who wrote them is not proven by them.
// Tested by tests/verify/manifest/published_sums_test.cc, fuzzed by
// tests/fuzz/published_sums_fuzz.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "verify/base/result.h"
#include "verify/digest/digest.h"

namespace verify {

// The algorithm is told from the length of the digest; BLAKE2b-512 is as long
// as SHA-512 and is told from the name of the list (B2SUMS, *.b2) or of the
// line (BSD form).
struct PublishedSum {
  // Relative to the folder of the list: '/' between parts, no part empty, "."
  // or "..", not absolute. Still to be escaped before it reaches a terminal.
  std::string name;
  SumAlgorithm algorithm = SumAlgorithm::kMd5;
  std::vector<std::byte> digest;
  std::string list;  // file name of the list that says so
  // Where the list states it (a manifest, a Git LFS pointer).
  std::optional<uint64_t> size_bytes = std::nullopt;

  bool operator==(const PublishedSum&) const = default;
};

inline constexpr uint64_t kMaxSumsBytes = 16u << 20;
inline constexpr size_t kMaxSums = 1'000'000;

// Parses one list. `list_name` is its file name: RELEASE is read as a banner
// (lines without a digest are passed over, as in any text with box-drawing
// characters), and a bare digest in "X.md5" is that of X. Accepted beside the
// plain form: CRLF, a byte order mark, upper-case digits, "*" for binary,
// names escaped by a leading backslash, a leading "./", comments (#), BSD
// lines of any algorithm (those not known are passed over).
// Errors: kCorrupt (E-PATH: a name that leaves the folder; E-HTML: a web page
// in its place; E-SUMS: another line that is none, one name with two digests),
// kLimit.
Result<std::vector<PublishedSum>> ParsePublishedSums(
    std::string_view text, std::string_view list_name);

// Whether a file of that name holds such a list, in any case: RELEASE,
// *checklist.chk, *.md5, *.sha1, *.sha256, *.sha512, *.b2, and MD5SUMS,
// SHA256SUMS, B2SUMS, sha256sum.txt and the like.
bool IsSumsListName(std::string_view file_name);

// The names of all such files in a folder, sorted; subfolders are not looked
// at. Errors: kNotFound, kIo, kLimit.
Result<std::vector<std::string>> ListSumLists(const std::string& folder);

}  // namespace verify
