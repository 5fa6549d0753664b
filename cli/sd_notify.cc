// SPDX-License-Identifier: Apache-2.0
#include "cli/sd_notify.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "verify/base/file.h"

namespace cli {

void NotifySystemd(std::string_view state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || (path[0] != '/' && path[0] != '@')) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const size_t length = std::strlen(path);
  if (length < 2 || length >= sizeof(address.sun_path)) return;
  std::memcpy(address.sun_path, path, length);
  // "@": the abstract name space, whose names begin with a zero byte.
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
  const verify::UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return;
  static_cast<void>(::sendto(
      fd.get(), state.data(), state.size(), MSG_NOSIGNAL,
      static_cast<const sockaddr*>(static_cast<const void*>(&address)),
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length)));
}

}  // namespace cli
