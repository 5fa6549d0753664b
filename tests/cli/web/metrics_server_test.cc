// SPDX-License-Identifier: Apache-2.0
// Requests as bytes over a socket: what a browser cannot be made to send, too.
#include "cli/web/metrics_server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

#include "verify/base/file.h"

namespace cli {
namespace {

using verify::ErrorCode;

class MetricsServerTest : public testing::Test {
 protected:
  MetricsServerTest() {
    auto server = MetricsServer::Start("127.0.0.1:0");
    EXPECT_TRUE(server) << server.error().ToString();
    server_ = std::move(*server);
    server_->SetText("lodestone_up 1\n");
  }

  std::string Ask(const std::string& bytes) {
    const std::string endpoint = server_->endpoint();
    const verify::UniqueFd fd(::socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(
        std::stoi(endpoint.substr(endpoint.rfind(':') + 1))));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
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
    std::string answer;
    char block[4096];
    ssize_t count = 0;
    while ((count = ::recv(fd.get(), block, sizeof(block), 0)) > 0) {
      answer.append(block, static_cast<size_t>(count));
    }
    return answer.substr(0, answer.find("\r\n")) + "|" +
           (answer.find("\r\n\r\n") == std::string::npos
                ? ""
                : answer.substr(answer.find("\r\n\r\n") + 4));
  }
  std::string Get(const std::string& host, const std::string& more = "") {
    return Ask("GET /metrics HTTP/1.1\r\nHost: " + host + "\r\n" + more +
               "\r\n");
  }

  std::unique_ptr<MetricsServer> server_;
};

TEST_F(MetricsServerTest, AnswersByAddressAndByLocalhost) {
  const std::string port =
      server_->endpoint().substr(server_->endpoint().rfind(':'));
  EXPECT_EQ(Get(server_->endpoint()), "HTTP/1.1 200 OK|lodestone_up 1\n");
  EXPECT_EQ(Get("localhost" + port), "HTTP/1.1 200 OK|lodestone_up 1\n");
  server_->SetText("lodestone_up 2\n");
  EXPECT_EQ(Get(server_->endpoint()), "HTTP/1.1 200 OK|lodestone_up 2\n");
}

TEST_F(MetricsServerTest, G2ForeignHostIsMisdirected) {
  const std::string port =
      server_->endpoint().substr(server_->endpoint().rfind(':'));
  for (const std::string& host :
       {std::string("evil.example"), "evil.example" + port,
        std::string("127.0.0.1"), std::string("127.0.0.1:1"),
        "localhost.evil.example" + port, "[::1]" + port, std::string()}) {
    EXPECT_EQ(Get(host).rfind("HTTP/1.1 421", 0), 0u) << host;
  }
  EXPECT_EQ(Ask("GET /metrics HTTP/1.0\r\n\r\n").rfind("HTTP/1.1 421", 0), 0u);
  EXPECT_EQ(Get(server_->endpoint(), "Host: evil.example\r\n")
                .rfind("HTTP/1.1 421", 0),
            0u);
}

TEST_F(MetricsServerTest, G1WithATokenOnlyWhoShowsItIsAnswered) {
  auto server = MetricsServer::Start("127.0.0.1:0", "0123456789abcdef");
  ASSERT_TRUE(server);
  server_ = std::move(*server);
  server_->SetText("lodestone_up 1\n");
  const std::string host = server_->endpoint();
  EXPECT_EQ(Get(host, "Authorization: Bearer 0123456789abcdef\r\n"),
            "HTTP/1.1 200 OK|lodestone_up 1\n");
  EXPECT_EQ(Get(host).rfind("HTTP/1.1 401", 0), 0u);
  EXPECT_EQ(Get(host, "Authorization: Bearer 0123456789abcdeF\r\n")
                .rfind("HTTP/1.1 401", 0),
            0u);
  EXPECT_EQ(Ask("GET /metrics?token=0123456789abcdef HTTP/1.1\r\nHost: " +
                host + "\r\n\r\n")
                .rfind("HTTP/1.1 401", 0),
            0u);
  // A wrong Host is told apart before the token is looked at.
  EXPECT_EQ(Get("evil.example", "Authorization: Bearer 0123456789abcdef\r\n")
                .rfind("HTTP/1.1 421", 0),
            0u);
}

TEST_F(MetricsServerTest, G3OnlyGetOfOnePathAndNoWebPages) {
  const std::string host = "Host: " + server_->endpoint() + "\r\n";
  EXPECT_EQ(Ask("GET / HTTP/1.1\r\n" + host + "\r\n").rfind("HTTP/1.1 404", 0),
            0u);
  EXPECT_EQ(
      Ask("POST /metrics HTTP/1.1\r\n" + host + "Content-Length: 0\r\n\r\n")
          .rfind("HTTP/1.1 405", 0),
      0u);
  EXPECT_EQ(Get(server_->endpoint(), "Origin: http://evil.example\r\n")
                .rfind("HTTP/1.1 403", 0),
            0u);
  EXPECT_EQ(Ask("OPTIONS /metrics HTTP/1.1\r\n" + host +
                "Origin: http://evil.example\r\n"
                "Access-Control-Request-Method: POST\r\n\r\n")
                .rfind("HTTP/1.1 403", 0),
            0u);
}

TEST_F(MetricsServerTest, G4LargeRequestsAndJunkAreRefusedAndOthersServed) {
  const std::string host = "Host: " + server_->endpoint() + "\r\n";
  EXPECT_EQ(Ask("POST /metrics HTTP/1.1\r\n" + host +
                "Content-Length: 1000000000\r\n\r\n")
                .rfind("HTTP/1.1 413", 0),
            0u);
  EXPECT_EQ(Get(server_->endpoint(), "X: " + std::string(9000, 'x') + "\r\n")
                .rfind("HTTP/1.1 431", 0),
            0u);
  EXPECT_EQ(Ask("\x16\x03\x01 junk\r\n\r\n").rfind("HTTP/1.1 400", 0), 0u);
  EXPECT_EQ(Get(server_->endpoint()), "HTTP/1.1 200 OK|lodestone_up 1\n");
}

TEST_F(MetricsServerTest, G7RefusesAddressesThatOthersReach) {
  for (const char* listen :
       {"0.0.0.0:0", "[::]:0", "192.0.2.1:9100", "example.org:80", "9100",
        "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000"}) {
    const auto server = MetricsServer::Start(listen);
    ASSERT_FALSE(server) << listen;
    EXPECT_EQ(server.error().code, ErrorCode::kInvalidArgument) << listen;
  }
  const auto taken = MetricsServer::Start(server_->endpoint());
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, ErrorCode::kBusy);
}

}  // namespace
}  // namespace cli
