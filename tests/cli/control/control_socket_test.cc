// SPDX-License-Identifier: Apache-2.0
#include "cli/control/control_socket.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <thread>

#include "tests/support/temp_dir.h"

namespace cli {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using verify::ErrorCode;
using verify::Json;

Json Echo(const Json& request) {
  if (request.value("verb", "") != "echo") {
    verify::Error error;
    error.code = ErrorCode::kInvalidArgument;
    error.message = "unknown verb";
    return ControlFailure(error);
  }
  return {{"ok", true}, {"text", request.value("text", "")}};
}

// Serves on a thread of its own until destruction.
class Service {
 public:
  explicit Service(ControlServer& server)
      : thread_([this, &server] {
          while (!stop_.load()) {
            server.Serve(Echo, ControlServer::Clock::now());
            std::this_thread::yield();
          }
        }) {}
  ~Service() {
    stop_.store(true);
    thread_.join();
  }

 private:
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

class ControlSocketTest : public testing::Test {
 protected:
  std::string Folder() const { return dir_.File("run"); }
  std::string Path() const { return dir_.File("run/seed.sock"); }
  verify::Result<std::unique_ptr<ControlServer>> Listen() {
    return ControlServer::Listen(Folder(), "seed");
  }
  // Sends bytes as they are and gives what comes back until the end.
  std::string Raw(const std::string& bytes) {
    const verify::UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, Path().data(), Path().size());
    EXPECT_EQ(::connect(fd.get(),
                        static_cast<const sockaddr*>(
                            static_cast<const void*>(&address)),
                        sizeof(address)),
              0);
    size_t sent = 0;
    while (sent < bytes.size()) {
      const ssize_t count = ::send(fd.get(), bytes.data() + sent,
                                   bytes.size() - sent, MSG_NOSIGNAL);
      if (count <= 0) break;
      sent += static_cast<size_t>(count);
    }
    ::shutdown(fd.get(), SHUT_WR);
    std::string answer;
    char block[4096];
    ssize_t count = 0;
    while ((count = ::recv(fd.get(), block, sizeof(block), 0)) > 0) {
      answer.append(block, static_cast<size_t>(count));
    }
    return answer;
  }

  tests::TempDir dir_;
};

TEST_F(ControlSocketTest, G1AnswersInAPlaceThatIsPrivate) {
  auto server = Listen();
  ASSERT_TRUE(server) << server.error().ToString();
  struct stat info {};
  ASSERT_EQ(::stat(Folder().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0700u);
  ASSERT_EQ(::stat(Path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0600u);
  {
    const Service service(**server);
    const auto answer = CallControl(
        Path(), {{"verb", "echo"}, {"text", "a\nb"}}, milliseconds(5000));
    ASSERT_TRUE(answer) << answer.error().ToString();
    EXPECT_EQ((*answer)["text"], "a\nb");
    const auto unknown =
        CallControl(Path(), {{"verb", "format-disk"}}, milliseconds(5000));
    ASSERT_FALSE(unknown);
    EXPECT_EQ(unknown.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(ControlSockets(Folder()), std::vector<std::string>{Path()});
  }
  server->reset();
  EXPECT_FALSE(fs::exists(Path()));
  const auto gone = CallControl(Path(), {{"verb", "echo"}}, milliseconds(10));
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, ErrorCode::kNotFound);
}

// Even where the modes of folder and socket would let others in.
TEST_F(ControlSocketTest, G1AnotherUserIsNotHeard) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become somebody else";
  auto server = Listen();
  ASSERT_TRUE(server);
  const Service service(**server);
  ASSERT_EQ(::chmod(dir_.path().c_str(), 0755), 0);
  ASSERT_EQ(::chmod(Folder().c_str(), 0755), 0);
  ASSERT_EQ(::chmod(Path().c_str(), 0666), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (::setresuid(65534, 65534, 65534) != 0) ::_exit(2);
    const std::string answer = Raw("{\"verb\":\"echo\"}\n");
    ::_exit(answer.empty() ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0) << "1: it was answered";
  EXPECT_TRUE(CallControl(Path(), {{"verb", "echo"}}, milliseconds(5000)));
}

TEST_F(ControlSocketTest, G8LiveOwnerIsBusy) {
  auto server = Listen();
  ASSERT_TRUE(server);
  const auto second = Listen();
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::kBusy);
  EXPECT_TRUE(fs::exists(Path()));
}

TEST_F(ControlSocketTest, G8SocketOfADeadOwnerIsReplaced) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto server = Listen();
    ::_exit(server ? 0 : 1);  // no destructor: as after a kill
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  ASSERT_TRUE(fs::exists(fs::symlink_status(Path())));
  EXPECT_TRUE(Listen());
}

TEST_F(ControlSocketTest, G8LinkOrFileInTheWayIsRefusedAndKept) {
  fs::create_directories(Folder());
  dir_.Write("target", "mine");
  fs::create_symlink(dir_.File("target"), Path());
  auto server = Listen();
  ASSERT_FALSE(server);
  EXPECT_EQ(server.error().code, ErrorCode::kIo);
  EXPECT_TRUE(fs::is_symlink(Path()));
  fs::remove(Path());
  dir_.Write("run/seed.sock", "not a socket");
  server = Listen();
  ASSERT_FALSE(server);
  EXPECT_EQ(server.error().code, ErrorCode::kIo);
  EXPECT_EQ(tests::ReadFile(Path()), "not a socket");
}

TEST_F(ControlSocketTest, G8ForeignOwnerIsRefused) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
  fs::create_directories(Folder());
  ASSERT_EQ(::chown(Folder().c_str(), 65534, 65534), 0);
  const auto server = Listen();
  ASSERT_FALSE(server);
  EXPECT_EQ(server.error().code, ErrorCode::kIo);
  EXPECT_TRUE(ControlSockets(Folder()).empty());
}

TEST_F(ControlSocketTest, G8LinkInPlaceOfTheFolderIsRefused) {
  fs::create_directories(dir_.File("elsewhere"));
  fs::create_symlink(dir_.File("elsewhere"), Folder());
  EXPECT_FALSE(Listen());
  EXPECT_TRUE(fs::is_empty(dir_.File("elsewhere")));
}

TEST_F(ControlSocketTest, G4G6HostileRequestsGetAnErrorAndOthersAreServed) {
  auto server = Listen();
  ASSERT_TRUE(server);
  const Service service(**server);
  for (const std::string& bytes :
       {std::string("garbage\n"), std::string("[1,2]\n"),
        std::string(R"({"verb":"echo","verb":"echo"})") + "\n",
        std::string("{\"verb\":\"\xff\"}\n"), std::string(5000, '[') + "\n",
        std::string(200'000, 'x')}) {
    EXPECT_NE(Raw(bytes).find("\"ok\":false"), std::string::npos)
        << bytes.substr(0, 40);
  }
  const auto answer = CallControl(Path(), {{"verb", "echo"}, {"text", "x"}},
                                  milliseconds(5000));
  EXPECT_TRUE(answer);
}

TEST_F(ControlSocketTest, G4SilentCallersAreDropped) {
  auto server = Listen();
  ASSERT_TRUE(server);
  std::vector<verify::UniqueFd> silent;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, Path().data(), Path().size());
  for (int i = 0; i < 8; ++i) {
    silent.emplace_back(::socket(AF_UNIX, SOCK_STREAM, 0));
    ASSERT_EQ(::connect(silent.back().get(),
                        static_cast<const sockaddr*>(
                            static_cast<const void*>(&address)),
                        sizeof(address)),
              0);
  }
  const auto start = ControlServer::Clock::now();
  (*server)->Serve(Echo, start);
  // The places are taken until ten seconds have passed.
  (*server)->Serve(Echo, start + std::chrono::seconds(11));
  const Service service(**server);
  EXPECT_TRUE(CallControl(Path(), {{"verb", "echo"}}, milliseconds(5000)));
}

}  // namespace
}  // namespace cli
