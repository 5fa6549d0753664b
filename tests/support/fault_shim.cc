// SPDX-License-Identifier: Apache-2.0
// Preloaded into the program under test (LD_PRELOAD): makes one system call on
// one path fail or kill the process, writes down the order of those that make
// bytes lasting, and moves the wall clock. For tests/scripts/faults.py.
//   FAULT_CALL    write (also copy_file_range), read, directread (past the page
//                 cache), sync, rename or unlink
//   FAULT_PATH    part of the path that is meant
//   FAULT_NTH     which such call is hit, from 1; every later one too
//   FAULT_ERRNO   what it fails with; 0: the process is killed instead
//   FAULT_LOG     file that gets a line for each such call that worked
//   FAULT_CLOCK   seconds by which the wall clock is wrong
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace {

using Path = std::array<char, 4096>;

template <typename F>
F* Real(const char* name) {
  return reinterpret_cast<F*>(::dlsym(RTLD_NEXT, name));
}

Path PathOf(int fd) {
  Path link{};
  Path path{};
  std::snprintf(link.data(), link.size(), "/proc/self/fd/%d", fd);
  const ssize_t size = ::readlink(link.data(), path.data(), path.size() - 1);
  path[size > 0 ? static_cast<size_t>(size) : 0] = '\0';
  return path;
}

long Number(const char* name, long otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::atol(text);
}

// True if this call fails; errno says how.
bool Fails(const char* call, const char* path) {
  static std::atomic<long> calls{0};
  const char* const wanted = std::getenv("FAULT_CALL");
  const char* const part = std::getenv("FAULT_PATH");
  if (wanted == nullptr || part == nullptr || std::strcmp(wanted, call) != 0 ||
      std::strstr(path, part) == nullptr || ++calls < Number("FAULT_NTH", 1)) {
    return false;
  }
  const long error = Number("FAULT_ERRNO", EIO);
  if (error == 0) ::kill(::getpid(), SIGKILL);
  errno = static_cast<int>(error);
  return true;
}

void Log(const char* call, const char* path) {
  const char* const name = std::getenv("FAULT_LOG");
  if (name == nullptr) return;
  const int saved = errno;
  const int fd = ::open(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fd >= 0) {
    std::array<char, 5000> line{};
    const int size =
        std::snprintf(line.data(), line.size(), "%s %s\n", call, path);
    ::syscall(SYS_write, fd, line.data(), size);
    ::close(fd);
  }
  errno = saved;
}

template <typename F>
auto OnFd(const char* call, int fd, F&& body) {
  const Path path = PathOf(fd);
  if (Fails(call, path.data())) return decltype(body())(-1);
  const auto result = body();
  if (result >= 0 && std::strstr(call, "read") == nullptr)
    Log(call, path.data());
  return result;
}

template <typename F>
int OnPath(const char* call, const char* path, F&& body) {
  if (Fails(call, path)) return -1;
  const int result = body();
  if (result == 0) Log(call, path);
  return result;
}

}  // namespace

extern "C" {

ssize_t pwrite(int fd, const void* data, size_t size, off_t at) {
  static auto* const real =
      Real<ssize_t(int, const void*, size_t, off_t)>("pwrite");
  return OnFd("write", fd, [&] { return real(fd, data, size, at); });
}
ssize_t pwrite64(int fd, const void* data, size_t size, off64_t at) {
  return pwrite(fd, data, size, at);
}
ssize_t write(int fd, const void* data, size_t size) {
  static auto* const real = Real<ssize_t(int, const void*, size_t)>("write");
  return OnFd("write", fd, [&] { return real(fd, data, size); });
}
// In small steps, which the call may do, so that there is a moment in between.
ssize_t copy_file_range(int from, off64_t* from_at, int to, off64_t* to_at,
                        size_t size, unsigned flags) {
  static auto* const real =
      Real<ssize_t(int, off64_t*, int, off64_t*, size_t, unsigned)>(
          "copy_file_range");
  constexpr size_t kStep = 128u << 10;
  return OnFd("write", to, [&] {
    return real(from, from_at, to, to_at, size < kStep ? size : kStep, flags);
  });
}
ssize_t pread(int fd, void* data, size_t size, off_t at) {
  static auto* const real = Real<ssize_t(int, void*, size_t, off_t)>("pread");
  const int flags = ::fcntl(fd, F_GETFL);
  const bool direct = flags >= 0 && (flags & O_DIRECT) != 0;
  return OnFd(direct ? "directread" : "read", fd,
              [&] { return real(fd, data, size, at); });
}
ssize_t pread64(int fd, void* data, size_t size, off64_t at) {
  return pread(fd, data, size, at);
}
int fsync(int fd) {
  static auto* const real = Real<int(int)>("fsync");
  return OnFd("sync", fd, [&] { return real(fd); });
}
int fdatasync(int fd) {
  static auto* const real = Real<int(int)>("fdatasync");
  return OnFd("sync", fd, [&] { return real(fd); });
}
int rename(const char* from, const char* to) {
  static auto* const real = Real<int(const char*, const char*)>("rename");
  return OnPath("rename", to, [&] { return real(from, to); });
}
int renameat2(int from_dir, const char* from, int to_dir, const char* to,
              unsigned flags) {
  static auto* const real =
      Real<int(int, const char*, int, const char*, unsigned)>("renameat2");
  return OnPath("rename", to,
                [&] { return real(from_dir, from, to_dir, to, flags); });
}
int unlink(const char* path) {
  static auto* const real = Real<int(const char*)>("unlink");
  return OnPath("unlink", path, [&] { return real(path); });
}
int unlinkat(int folder, const char* path, int flags) {
  static auto* const real = Real<int(int, const char*, int)>("unlinkat");
  return OnPath("unlink", path, [&] { return real(folder, path, flags); });
}

int clock_gettime(clockid_t clock, timespec* now) {
  const long result = ::syscall(SYS_clock_gettime, clock, now);
  if (result == 0 && clock == CLOCK_REALTIME) {
    now->tv_sec += Number("FAULT_CLOCK", 0);
  }
  return static_cast<int>(result);
}
time_t time(time_t* out) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  if (out != nullptr) *out = now.tv_sec;
  return now.tv_sec;
}

}  // extern "C"
