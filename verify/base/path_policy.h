// SPDX-License-Identifier: Apache-2.0
// Which names a torrent, a manifest or an archive may put on disk. Names are
// refused, never changed: what was published, signed and verified keeps the
// names it was published with. Tested by tests/verify/base/path_policy_test.cc;
// docs/formats/metainfo.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace verify {

// libtorrent 2.0.8 begins to cut a part at 240 bytes.
inline constexpr size_t kMaxPartBytes = 239;
// Of a whole path: leaves room for the user's folder below PATH_MAX (4096).
inline constexpr size_t kMaxPathBytes = 3000;
inline constexpr size_t kMaxPathDepth = 100;

inline constexpr std::string_view kPathId = "E-PATH";
inline constexpr std::string_view kNameAlteredId = "E-NAME-ALTERED";
inline constexpr std::string_view kNameCollisionId = "E-NAME-COLLISION";
inline constexpr std::string_view kSymlinkId = "E-SYMLINK";
inline constexpr std::string_view kPadId = "E-PAD";

struct NameProblem {
  std::string_view id;  // kPathId or kNameAlteredId
  std::string reason;
};

// What is wrong with one part of a path (or the torrent's name). kPathId:
// empty, "." or "..", "/", "\", a drive ("C:"). kNameAlteredId: what the
// BitTorrent library would rename: invalid UTF-8, control, bidirectional,
// zero-width and other invisible characters, too many bytes.
std::optional<NameProblem> CheckPart(std::string_view part);

// What is wrong with a path relative to a folder, "/" between its parts; else
// `parts` are its parts, views of `path`. kPathId also for a path that is too
// long or too deep.
std::optional<NameProblem> CheckPath(std::string_view path,
                                     std::vector<std::string_view>& parts);

// What other systems cannot store or would hide: names that Windows reserves
// (CON, aux.txt), a dot or blank at the end, <>:"|?*, a hidden name, a leading
// "-". Nothing if the name is good everywhere.
std::optional<std::string> PortabilityProblem(std::string_view part);

// Keeps the paths of one torrent apart. Memory grows with the bytes added.
class PathSet {
 public:
  enum class Kind { kFile, kFolder };
  static constexpr size_t kRoot = 0;

  struct Added {
    size_t node = kRoot;
    // What the name collides with, as words; empty if with nothing.
    std::string collision;
  };
  // Adds one name under the folder `parent`; a folder may be there already.
  // Collisions: an equal name, one that is equal on a system that ignores
  // case, accents' form or trailing dots, and a file where there is a folder.
  Added Add(size_t parent, std::string_view name, Kind kind);

  // Adds a file with the folders above it. Returns the first collision.
  std::optional<std::string> AddFile(std::span<const std::string_view> parts);

 private:
  struct Node {
    std::string name;  // as first seen
    bool is_file = false;
  };
  std::vector<Node> nodes_{Node{}};  // the root
  // (parent's number, "/", folded name) to a node's number.
  std::unordered_map<std::string, size_t> children_;
};

// The problems of many names in one message: the first ones by name, the rest
// by number.
class ProblemList {
 public:
  // `path` as it came: it is escaped here.
  void Add(std::string_view id, std::string_view path, std::string reason);

  bool empty() const { return count_ == 0; }
  // The id of the gravest problem: E-PATH, E-SYMLINK, E-NAME-ALTERED,
  // E-NAME-COLLISION, E-PAD.
  std::string_view id() const;
  std::string Message() const;

 private:
  size_t count_ = 0;
  std::vector<std::string> lines_;
  std::string_view id_;
};

}  // namespace verify
