// SPDX-License-Identifier: Apache-2.0
#include "p2p/payload_walk.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>

#include "p2p/metainfo.h"
#include "p2p/notes.h"
#include "verify/base/path_policy.h"
#include "verify/base/text.h"

namespace p2p {
namespace {

namespace fs = std::filesystem;

using verify::CheckPart;
using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::FileIdentity;
using verify::kMaxPathBytes;
using verify::kMaxPathDepth;
using verify::kNameCollisionId;
using verify::kPathId;
using verify::kSymlinkId;
using verify::PathSet;
using verify::ProblemList;
using verify::Result;
using verify::StrCat;

std::string Quoted(std::string_view text) {
  return StrCat("\"", EscapeForTerminal(text, 200), "\"");
}

FileIdentity IdentityOf(const struct stat& status) {
  FileIdentity identity;
  identity.device = static_cast<uint64_t>(status.st_dev);
  identity.inode = static_cast<uint64_t>(status.st_ino);
  identity.size_bytes = static_cast<uint64_t>(status.st_size);
  identity.mtime_ns = int64_t{status.st_mtim.tv_sec} * 1'000'000'000 +
                      int64_t{status.st_mtim.tv_nsec};
  return identity;
}

// Programs that fetch mark what is not complete by these endings.
bool IsUnfinished(std::string_view name) {
  constexpr std::array<std::string_view, 9> kEndings = {
      ".part",  ".parts", ".partial", ".crdownload", ".download",
      ".aria2", ".!qB",   ".!bt",     ".incomplete"};
  return std::any_of(
      kEndings.begin(), kEndings.end(), [&](std::string_view ending) {
        return name.size() > ending.size() && name.ends_with(ending);
      });
}

class Walker {
 public:
  explicit Walker(Payload& payload)
      : payload_(payload), left_out_(payload.left_out) {}

  Result<void> Folder(const std::string& root);
  ProblemList& problems() { return problems_; }

 private:
  struct Pending {
    std::string path;
    std::vector<std::string> parts;
  };
  Result<void> Entry(const fs::directory_entry& entry, const Pending& folder);

  Payload& payload_;
  BoundedNotes left_out_;
  ProblemList problems_;
  PathSet paths_;
  std::vector<Pending> pending_;
};

Result<void> Walker::Entry(const fs::directory_entry& entry,
                           const Pending& folder) {
  const std::string name = entry.path().filename().string();
  std::vector<std::string> parts = folder.parts;
  parts.push_back(name);
  std::string shown;
  for (const std::string& part : parts) {
    if (!shown.empty()) shown.push_back('/');
    shown += part;
  }
  if (name.starts_with('.')) {
    left_out_.Add(StrCat(Quoted(shown), ": hidden"));
    return {};
  }
  PayloadFile file;
  file.path = folder.path + "/" + name;
  struct stat status {};
  if (::lstat(file.path.c_str(), &status) != 0) {
    return verify::FailErrno("look at", file.path, errno);
  }
  if (S_ISLNK(status.st_mode)) {
    problems_.Add(kSymlinkId, shown, "a symlink");
    return {};
  }
  if (const auto problem = CheckPart(name)) {
    problems_.Add(problem->id, shown, problem->reason);
    return {};
  }
  if (S_ISDIR(status.st_mode)) {
    if (parts.size() >= kMaxPathDepth) {
      return Fail(ErrorCode::kLimit, StrCat(Quoted(shown), ": more than ",
                                            kMaxPathDepth, " folders deep"));
    }
    pending_.push_back({std::move(file.path), std::move(parts)});
    return {};
  }
  if (!S_ISREG(status.st_mode)) {
    problems_.Add(kPathId, shown, "neither a file nor a folder");
    return {};
  }
  if (IsUnfinished(name)) {
    left_out_.Add(StrCat(Quoted(shown), ": an unfinished download"));
    return {};
  }
  if (payload_.files.size() >= kMaxTorrentFiles) {
    return Fail(ErrorCode::kLimit,
                StrCat("more than ", kMaxTorrentFiles, " files"));
  }
  const std::vector<std::string_view> views(parts.begin(), parts.end());
  if (const auto collision = paths_.AddFile(views)) {
    problems_.Add(kNameCollisionId, shown, *collision);
  }
  if (shown.size() > kMaxPathBytes) {
    problems_.Add(kPathId, shown,
                  StrCat("a path of ", shown.size(), " bytes, at most ",
                         kMaxPathBytes, " are allowed"));
  }
  file.parts = std::move(parts);
  file.identity = IdentityOf(status);
  payload_.files.push_back(std::move(file));
  return {};
}

Result<void> Walker::Folder(const std::string& root) {
  pending_.push_back({root, {}});
  while (!pending_.empty()) {
    const Pending folder = std::move(pending_.back());
    pending_.pop_back();
    std::error_code error;
    fs::directory_iterator it(folder.path, error);
    for (; !error && it != fs::directory_iterator(); it.increment(error)) {
      RETURN_IF_ERROR(Entry(*it, folder));
    }
    if (error) return verify::FailErrno("read", folder.path, error.value());
  }
  std::sort(payload_.files.begin(), payload_.files.end(),
            [](const PayloadFile& a, const PayloadFile& b) {
              return a.parts < b.parts;
            });
  left_out_.Flush();
  return {};
}

// What the user called it, or, for "." and the like, what it is called.
Result<std::string> NameOf(const std::string& path) {
  std::string_view rest = path;
  while (rest.size() > 1 && rest.ends_with('/')) rest.remove_suffix(1);
  const std::string_view last = rest.substr(rest.rfind('/') + 1);
  if (!last.empty() && last != "." && last != "..") return std::string(last);
  std::error_code error;
  const fs::path real = fs::canonical(path, error);
  if (error) return verify::FailErrno("resolve", path, error.value());
  return real.filename().string();
}

}  // namespace

Result<Payload> WalkPayload(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    return verify::FailErrno("look at", path, errno);
  }
  Payload payload;
  ASSIGN_OR_RETURN(payload.name, NameOf(path));
  Walker walker(payload);
  if (const auto problem = CheckPart(payload.name)) {
    walker.problems().Add(problem->id, payload.name, problem->reason);
  }
  if (S_ISDIR(status.st_mode)) {
    RETURN_IF_ERROR(walker.Folder(path));
  } else if (S_ISREG(status.st_mode)) {
    payload.single_file = true;
    payload.files.push_back({{payload.name}, path, IdentityOf(status)});
  } else {
    return Fail(ErrorCode::kInvalidArgument,
                StrCat(Quoted(path), " is neither a file nor a folder"));
  }
  if (!walker.problems().empty()) {
    return Fail(ErrorCode::kInvalidArgument,
                StrCat("names that no torrent may hold: ",
                       walker.problems().Message()))
        .Id(walker.problems().id())
        .Hint("rename them, or put the real file in the place of a link");
  }
  const bool has_content = std::any_of(
      payload.files.begin(), payload.files.end(),
      [](const PayloadFile& file) { return file.identity.size_bytes > 0; });
  if (!has_content) {
    return Fail(ErrorCode::kInvalidArgument,
                StrCat(Quoted(path), " holds no content to share"));
  }
  return payload;
}

Result<void> CheckUnchanged(const PayloadFile& file) {
  struct stat status {};
  if (::stat(file.path.c_str(), &status) != 0) {
    return verify::FailErrno("look at", file.path, errno);
  }
  if (!S_ISREG(status.st_mode) || IdentityOf(status) != file.identity) {
    return Fail(ErrorCode::kMismatch,
                StrCat(Quoted(file.path), " changed while it was read"))
        .Hint("wait until nothing writes to it, then run this again");
  }
  return {};
}

}  // namespace p2p
