// SPDX-License-Identifier: Apache-2.0
#include "p2p/payload_check.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <set>

#include "p2p/piece_check.h"
#include "verify/base/file.h"
#include "verify/base/text.h"
#include "verify/digest/digest.h"

namespace p2p {
namespace {

using verify::Result;
using verify::StrCat;

std::string PayloadPath(const Metainfo& metainfo, const MetainfoFile& file,
                        const std::string& folder) {
  return PayloadFilePath(metainfo, file, StrCat(folder, "/", metainfo.name));
}

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

bool AllPayloadSizes(const Metainfo& metainfo, const std::string& folder,
                     const std::vector<bool>& wanted) {
  for (size_t i = 0; i < metainfo.files.size(); ++i) {
    const MetainfoFile& file = metainfo.files[i];
    if (file.is_pad || (!wanted.empty() && !wanted[i])) continue;
    struct stat info {};
    const std::string path = PayloadPath(metainfo, file, folder);
    if (::lstat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode) ||
        static_cast<uint64_t>(info.st_size) != file.size_bytes) {
      return false;
    }
  }
  return true;
}

Result<void> RemoveUnwanted(const Metainfo& metainfo, const std::string& folder,
                            const std::vector<bool>& wanted) {
  for (size_t i = 0; i < metainfo.files.size(); ++i) {
    if (metainfo.files[i].is_pad || wanted[i]) continue;
    const std::string path = PayloadPath(metainfo, metainfo.files[i], folder);
    if (::unlink(path.c_str()) != 0) {
      if (errno != ENOENT && errno != ENOTDIR) {
        return verify::FailErrno("remove", path, errno);
      }
    }
    std::filesystem::path parent = std::filesystem::path(path).parent_path();
    while (parent.native().size() > folder.size() &&
           ::rmdir(parent.c_str()) == 0) {
      parent = parent.parent_path();
    }
  }
  return {};
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
