// SPDX-License-Identifier: Apache-2.0
#include "cli/web/metrics_server.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <charconv>
#include <chrono>
#include <list>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "cli/web/bearer_token.h"
#include "verify/base/text.h"

namespace cli {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;

using verify::ErrorCode;
using verify::Fail;
using verify::Result;
using verify::StrCat;

constexpr auto kRequestTime = std::chrono::seconds(5);
constexpr uint32_t kMaxHeader = 8u << 10;
constexpr uint64_t kMaxBody = 1024;
constexpr size_t kMaxConnections = 64;

verify::Unexpected BadListen(const std::string& listen) {
  return Fail(ErrorCode::kInvalidArgument,
              StrCat("--metrics: \"", verify::EscapeForTerminal(listen),
                     "\" is not 127.0.0.1:PORT or [::1]:PORT"))
      .Id("E-USAGE")
      .Hint(
          "metrics are served on the loopback device only; let a proxy with "
          "authentication carry them further");
}

Result<tcp::endpoint> ParseListen(const std::string& listen) {
  const size_t colon = listen.rfind(':');
  if (colon == std::string::npos) return BadListen(listen);
  std::string host = listen.substr(0, colon);
  if (host == "localhost") host = "127.0.0.1";
  if (host == "[::1]") host = "::1";
  uint16_t port = 0;
  const char* begin = listen.data() + colon + 1;
  const char* end = listen.data() + listen.size();
  const auto [rest, error] = std::from_chars(begin, end, port);
  if (error != std::errc{} || rest != end) return BadListen(listen);
  boost::system::error_code bad;
  const asio::ip::address address = asio::ip::make_address(host, bad);
  if (bad || !address.is_loopback()) return BadListen(listen);
  return tcp::endpoint(address, port);
}

std::string Text(const tcp::endpoint& endpoint) {
  const std::string address = endpoint.address().to_string();
  return endpoint.address().is_v6()
             ? StrCat("[", address, "]:", endpoint.port())
             : StrCat(address, ":", endpoint.port());
}

}  // namespace

class MetricsServer::Impl {
 public:
  Result<void> Start(const tcp::endpoint& endpoint, const std::string& token) {
    if (!token.empty()) gate_.emplace(token);
    boost::system::error_code error;
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(static_cast<int>(kMaxConnections), error);
    if (error) {
      const bool taken = error == asio::error::address_in_use;
      return Fail(taken ? ErrorCode::kBusy : ErrorCode::kIo,
                  StrCat("metrics: cannot listen on ", Text(endpoint), ": ",
                         error.message()))
          .Id(taken ? "E-PORT" : "E-LISTEN")
          .Hint("choose another port");
    }
    local_ = acceptor_.local_endpoint(error);
    endpoint_ = Text(local_);
    Accept();
    thread_ = std::jthread([this] { io_.run(); });
    return {};
  }

  ~Impl() { io_.stop(); }

  const std::string& endpoint() const { return endpoint_; }

  void SetText(std::string text) {
    const std::lock_guard lock(mu_);
    text_ = std::move(text);
  }

 private:
  using Response = http::response<http::string_body>;

  // One request and its answer. Kept alive by the handlers that wait for it.
  class Exchange : public std::enable_shared_from_this<Exchange> {
   public:
    Exchange(Impl& impl, tcp::socket socket)
        : impl_(impl), stream_(std::move(socket)) {
      place_ = impl_.waiting_.insert(impl_.waiting_.end(), this);
      parser_.header_limit(kMaxHeader);
      parser_.body_limit(kMaxBody);
    }
    ~Exchange() { impl_.waiting_.erase(place_); }
    Exchange(const Exchange&) = delete;
    Exchange& operator=(const Exchange&) = delete;

    void Run() {
      stream_.expires_after(kRequestTime);
      http::async_read(
          stream_, buffer_, parser_,
          [self = shared_from_this()](const boost::system::error_code& error,
                                      size_t) { self->OnRead(error); });
    }

    // Makes place for another.
    void Drop() {
      boost::system::error_code ignored;
      stream_.socket().close(ignored);
    }

   private:
    void OnRead(const boost::system::error_code& error) {
      if (error == http::error::body_limit) {
        response_ =
            Impl::Plain(http::status::payload_too_large, "no body is wanted\n");
      } else if (error == http::error::header_limit) {
        response_ = Impl::Plain(http::status::request_header_fields_too_large,
                                "the header is too long\n");
      } else if (error.category() ==
                 boost::system::error_code(http::error::bad_method)
                     .category()) {
        if (error == http::error::end_of_stream) return;
        response_ = Impl::Plain(http::status::bad_request, "bad request\n");
      } else if (error) {
        return;
      } else {
        response_ = impl_.Answer(parser_.get());
      }
      response_.prepare_payload();
      stream_.expires_after(kRequestTime);
      http::async_write(stream_, response_,
                        [self = shared_from_this()](
                            const boost::system::error_code&, size_t) {
                          boost::system::error_code ignored;
                          self->stream_.socket().shutdown(
                              tcp::socket::shutdown_send, ignored);
                        });
    }

    Impl& impl_;
    std::list<Exchange*>::iterator place_;
    beast::tcp_stream stream_;
    beast::flat_buffer buffer_{kMaxHeader + kMaxBody};
    http::request_parser<http::string_body> parser_;
    Response response_;
  };

  static Response Plain(http::status status, std::string text) {
    Response response(status, 11);
    response.set(http::field::server, "lodestone");
    response.set(http::field::content_type, "text/plain; charset=utf-8");
    response.set("X-Content-Type-Options", "nosniff");
    response.set(http::field::cache_control, "no-store");
    response.keep_alive(false);
    response.body() = std::move(text);
    return response;
  }

  bool IsOurHost(std::string_view host) const {
    const std::string port = StrCat(":", local_.port());
    return host == endpoint_ || host == "localhost" + port;
  }

  Response Answer(const http::request<http::string_body>& request) {
    const auto host = request[http::field::host];
    if (request.count(http::field::host) != 1 ||
        !IsOurHost(std::string_view(host.data(), host.size()))) {
      return Plain(http::status::misdirected_request,
                   "the Host header does not name this server\n");
    }
    if (request.count(http::field::origin) != 0) {
      return Plain(http::status::forbidden, "not for web pages\n");
    }
    if (gate_.has_value()) {
      const auto shown = request[http::field::authorization];
      const BearerGate::Verdict verdict =
          gate_->Judge(std::string_view(shown.data(), shown.size()),
                       BearerGate::Clock::now());
      if (verdict == BearerGate::Verdict::kTooMany) {
        Response response = Plain(http::status::too_many_requests,
                                  "too many wrong tokens; try later\n");
        response.set(http::field::retry_after,
                     std::to_string(BearerGate::kWindow.count()));
        return response;
      }
      if (verdict != BearerGate::Verdict::kPass) {
        Response response =
            Plain(http::status::unauthorized,
                  "show the token: Authorization: Bearer TOKEN\n");
        response.set(http::field::www_authenticate, "Bearer");
        return response;
      }
    }
    if (request.target() != "/metrics") {
      return Plain(http::status::not_found, "there is GET /metrics only\n");
    }
    if (request.method() != http::verb::get) {
      Response response = Plain(http::status::method_not_allowed, "GET only\n");
      response.set(http::field::allow, "GET");
      return response;
    }
    const std::lock_guard lock(mu_);
    Response response = Plain(http::status::ok, text_);
    response.set(http::field::content_type,
                 "text/plain; version=0.0.4; charset=utf-8");
    return response;
  }

  void Accept() {
    acceptor_.async_accept(
        [this](const boost::system::error_code& error, tcp::socket socket) {
          if (error == asio::error::operation_aborted) return;
          if (!error) {
            // Who has been silent longest goes: a request is short.
            if (waiting_.size() >= kMaxConnections) waiting_.front()->Drop();
            std::make_shared<Exchange>(*this, std::move(socket))->Run();
          }
          Accept();
        });
  }

  // io thread only; both outlive the handlers in io_. Oldest first.
  std::list<Exchange*> waiting_;
  std::optional<BearerGate> gate_;
  std::mutex mu_;
  std::string text_;  // guarded by mu_
  tcp::endpoint local_;
  std::string endpoint_;
  asio::io_context io_{1};
  tcp::acceptor acceptor_{io_};
  std::jthread thread_;
};

MetricsServer::MetricsServer(std::unique_ptr<Impl> impl)
    : impl_(std::move(impl)) {}
MetricsServer::~MetricsServer() = default;

Result<std::unique_ptr<MetricsServer>> MetricsServer::Start(
    const std::string& listen, const std::string& token) {
  ASSIGN_OR_RETURN(const tcp::endpoint endpoint, ParseListen(listen));
  auto impl = std::make_unique<Impl>();
  RETURN_IF_ERROR(impl->Start(endpoint, token));
  return std::unique_ptr<MetricsServer>(new MetricsServer(std::move(impl)));
}

const std::string& MetricsServer::endpoint() const { return impl_->endpoint(); }
void MetricsServer::SetText(std::string text) {
  impl_->SetText(std::move(text));
}

}  // namespace cli
