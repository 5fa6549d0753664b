// SPDX-License-Identifier: Apache-2.0
#include "p2p/payload_check.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "verify/base/file.h"
#include "verify/base/text.h"
#include "verify/digest/digest.h"
#include "verify/digest/hash_engine.h"

namespace p2p {
namespace {

using verify::Result;
using verify::StrCat;

std::string PayloadPath(const Metainfo& metainfo, const MetainfoFile& file,
                        const std::string& folder) {
  return metainfo.single_file
             ? StrCat(folder, "/", metainfo.name)
             : StrCat(folder, "/", metainfo.name, "/", file.path);
}

// Receives progress from the hashing threads; the caller's thread reads it.
class Mailbox final : public verify::ProgressSink {
 public:
  struct State {
    std::string item;
    uint64_t done_bytes = 0;
    uint64_t total_bytes = 0;
  };

  void OnProgress(std::string_view item, uint64_t done_bytes,
                  uint64_t total_bytes) override {
    const std::lock_guard lock(mu_);
    state_ = {std::string(item), done_bytes, total_bytes};
  }
  void Finish() {
    const std::lock_guard lock(mu_);
    finished_ = true;
    wake_.notify_all();
  }
  // Waits for the end or `timeout`; true at the end.
  bool Wait(std::chrono::milliseconds timeout, State& state) {
    std::unique_lock lock(mu_);
    wake_.wait_for(lock, timeout, [this] { return finished_; });
    state = state_;
    return finished_;
  }

 private:
  std::mutex mu_;
  std::condition_variable wake_;
  State state_;            // guarded by mu_
  bool finished_ = false;  // guarded by mu_
};

}  // namespace

std::vector<std::string> PayloadPaths(const Metainfo& metainfo,
                                      const std::string& folder) {
  std::vector<std::string> paths;
  for (const MetainfoFile& file : metainfo.files) {
    if (!file.is_pad) paths.push_back(PayloadPath(metainfo, file, folder));
  }
  return paths;
}

std::string PayloadFingerprint(const Metainfo& metainfo,
                               const std::string& folder) {
  std::string listing;
  for (const std::string& path : PayloadPaths(metainfo, folder)) {
    struct stat info {};
    if (::lstat(path.c_str(), &info) != 0) {
      listing += "absent\n";
      continue;
    }
    listing += StrCat(info.st_dev, " ", info.st_ino, " ", info.st_size, " ",
                      info.st_mtim.tv_sec, " ", info.st_mtim.tv_nsec, " ",
                      info.st_ctim.tv_sec, " ", info.st_ctim.tv_nsec, "\n");
  }
  return verify::HexEncode(verify::Sha256(verify::AsBytes(listing)));
}

bool AnyPayload(const Metainfo& metainfo, const std::string& folder) {
  for (const std::string& path : PayloadPaths(metainfo, folder)) {
    struct stat info {};
    if (::lstat(path.c_str(), &info) == 0 && info.st_size > 0) return true;
  }
  return false;
}

bool AllPayloadSizes(const Metainfo& metainfo, const std::string& folder) {
  for (const MetainfoFile& file : metainfo.files) {
    if (file.is_pad) continue;
    struct stat info {};
    const std::string path = PayloadPath(metainfo, file, folder);
    if (::lstat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode) ||
        static_cast<uint64_t>(info.st_size) != file.size_bytes) {
      return false;
    }
  }
  return true;
}

Result<std::vector<bool>> RecheckPayload(
    const Metainfo& metainfo, const std::string& folder,
    const verify::CancelToken& cancel,
    const std::function<void(const std::string&, uint64_t, uint64_t)>& tick) {
  verify::HashRequest request;
  request.piece_length = metainfo.piece_length;
  request.piece_digests = metainfo.piece_digests;
  for (const MetainfoFile& file : metainfo.files) {
    verify::HashFile entry;
    if (!file.is_pad) entry.path = PayloadPath(metainfo, file, folder);
    entry.size_bytes = file.size_bytes;
    entry.want_sha256 = false;
    request.files.push_back(std::move(entry));
  }
  Mailbox mailbox;
  std::optional<Result<verify::HashOutcome>> outcome;
  {
    const std::jthread worker([&] {
      outcome.emplace(verify::HashFiles(request, cancel, &mailbox));
      mailbox.Finish();
    });
    Mailbox::State state;
    while (!mailbox.Wait(std::chrono::milliseconds(250), state)) {
      tick(state.item, state.done_bytes, state.total_bytes);
    }
  }
  if (!*outcome) return verify::Unexpected(std::move(*outcome).error());
  std::vector<bool> good(metainfo.piece_digests.size(), true);
  for (const uint32_t piece : (*outcome)->bad_pieces) good[piece] = false;
  return good;
}

Result<void> SyncPayload(const Metainfo& metainfo, const std::string& folder) {
  std::set<std::string> folders = {folder};
  for (const std::string& path : PayloadPaths(metainfo, folder)) {
    const verify::UniqueFd fd(
        ::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
    if (!fd.valid()) {
      if (errno == ENOENT) continue;
      return verify::FailErrno("open", path, errno);
    }
    RETURN_IF_ERROR(verify::SyncFile(fd.get(), path));
    std::filesystem::path parent = std::filesystem::path(path).parent_path();
    while (parent.native().size() > folder.size()) {
      folders.insert(parent.native());
      parent = parent.parent_path();
    }
  }
  for (const std::string& name : folders) {
    RETURN_IF_ERROR(verify::SyncDirectory(name));
  }
  return {};
}

}  // namespace p2p
