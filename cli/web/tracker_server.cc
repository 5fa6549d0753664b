// SPDX-License-Identifier: Apache-2.0
#include "cli/web/tracker_server.h"

#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <random>
#include <string_view>
#include <utility>

#include "verify/base/text.h"

namespace cli {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;
using std::chrono::steady_clock;
using tcp = asio::ip::tcp;
using verify::ErrorCode;
using verify::Fail;
using verify::Result;
using verify::StrCat;

constexpr uint32_t kMaxHeaderBytes = 8192;
constexpr auto kRequestTime = std::chrono::seconds(10);
constexpr auto kIdleTime = std::chrono::seconds(30);
constexpr auto kPoll = std::chrono::milliseconds(100);

// What connections share; outlives them.
struct Shared {
  p2p::TrackerState state;
  steady_clock::time_point started = steady_clock::now();
  size_t connections = 0;

  uint32_t now_s() const {
    return static_cast<uint32_t>(
        std::chrono::duration_cast<std::chrono::seconds>(steady_clock::now() -
                                                         started)
            .count());
  }
};

p2p::PeerAddress AddressOf(const asio::ip::address& address) {
  p2p::PeerAddress out;
  const auto take = [&out](const auto& bytes) {
    std::transform(bytes.begin(), bytes.end(), out.bytes.begin(),
                   [](unsigned char byte) { return std::byte{byte}; });
  };
  if (address.is_v4()) {
    take(address.to_v4().to_bytes());
  } else if (address.to_v6().is_v4_mapped()) {
    take(asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6())
             .to_bytes());
  } else {
    out.is_v6 = true;
    take(address.to_v6().to_bytes());
  }
  return out;
}

struct Answer {
  http::status status = http::status::ok;
  std::string body;
};

Answer Refuse(Shared& shared, http::status status, std::string_view reason) {
  shared.state.CountRefused();
  return {status, p2p::TrackerFailure(reason)};
}

// Clients read a refusal only in an answer with status 200, so a request that
// is HTTP gets that whatever its query says.
Answer AnswerAnnounce(Shared& shared, std::string_view query,
                      const p2p::PeerAddress& from) {
  auto request = p2p::ParseAnnounce(query);
  if (!request) {
    return Refuse(shared, http::status::ok, request.error().message);
  }
  return {http::status::ok,
          shared.state.Announce(*request, from, shared.now_s())};
}

Answer AnswerScrape(Shared& shared, std::string_view query) {
  auto swarms = p2p::ParseScrape(query);
  if (!swarms) {
    return Refuse(shared, http::status::ok, swarms.error().message);
  }
  return {http::status::ok, shared.state.Scrape(*swarms, shared.now_s())};
}

Answer AnswerPage(const Shared& shared) {
  const p2p::TrackerCounts counts = shared.state.counts();
  return {http::status::ok,
          StrCat("Lodestone tracker\nswarms ", counts.swarms, "\npeers ",
                 counts.peers, "\nannounces ", counts.announces, "\nrefused ",
                 counts.refused, "\n")};
}

Answer AnswerTo(Shared& shared, http::verb verb, std::string_view target,
                const p2p::PeerAddress& from) {
  if (verb != http::verb::get) {
    return Refuse(shared, http::status::method_not_allowed, "only GET");
  }
  const size_t question = std::min(target.find('?'), target.size());
  const std::string_view path = target.substr(0, question);
  target.remove_prefix(std::min(question + 1, target.size()));
  if (path == "/announce") return AnswerAnnounce(shared, target, from);
  if (path == "/scrape") return AnswerScrape(shared, target);
  if (path == "/") return AnswerPage(shared);
  return Refuse(shared, http::status::not_found, "no such page");
}

// One connection: requests one after the other. Owned by its handlers, of
// which one at a time is pending; none is left once the stream is closed.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(tcp::socket socket, Shared& shared)
      : stream_(std::move(socket)), shared_(shared) {
    ++shared_.connections;
    error_code error;
    const tcp::endpoint remote = stream_.socket().remote_endpoint(error);
    if (!error) from_ = AddressOf(remote.address());
  }
  ~Connection() { --shared_.connections; }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void Read() {
    parser_.emplace();
    parser_->header_limit(kMaxHeaderBytes);
    parser_->body_limit(0);
    stream_.expires_after(first_ ? kRequestTime : kIdleTime);
    first_ = false;
    http::async_read(stream_, buffer_, *parser_,
                     [self = shared_from_this()](error_code error, size_t) {
                       self->OnRead(error);
                     });
  }

 private:
  void OnRead(error_code error) {
    Answer answer;
    bool keep = false;
    if (!error) {
      const auto& request = parser_->get();
      keep = request.keep_alive();
      const auto target = request.target();
      answer = AnswerTo(shared_, request.method(),
                        {target.data(), target.size()}, from_);
    } else if (error.category() ==
                   http::make_error_code(http::error::bad_method).category() &&
               error != http::error::end_of_stream) {
      // What came is no request: say so, and read no further.
      answer = Refuse(shared_, http::status::bad_request, "not an HTTP GET");
    } else {
      return;  // closed, or silent for too long
    }
    response_ = http::response<http::string_body>(answer.status, 11);
    response_.set(http::field::content_type, "text/plain");
    response_.keep_alive(keep);
    response_.body() = std::move(answer.body);
    response_.prepare_payload();
    stream_.expires_after(kRequestTime);
    http::async_write(
        stream_, response_,
        [self = shared_from_this(), keep](error_code write_error, size_t) {
          if (!write_error && keep) return self->Read();
          error_code ignored;
          self->stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
        });
  }

  beast::tcp_stream stream_;
  Shared& shared_;
  p2p::PeerAddress from_;
  bool first_ = true;
  // Bounds what a peer can make us hold before a request is whole.
  beast::flat_buffer buffer_{2 * kMaxHeaderBytes};
  std::optional<http::request_parser<http::empty_body>> parser_;
  http::response<http::string_body> response_;
};

class Server {
 public:
  Server(const TrackerServerOptions& options, const verify::CancelToken& cancel,
         const TrackerServerEvents& events)
      : options_(options),
        cancel_(cancel),
        events_(events),
        shared_{p2p::TrackerState(options.limits, Secret())},
        max_connections_(ConnectionLimit(options.max_connections)),
        acceptor_(io_),
        timer_(io_),
        accept_timer_(io_) {
    for (const p2p::SwarmKey& key : options.only) shared_.state.Allow(key);
  }

  Result<void> Listen() {
    error_code error;
    const asio::ip::address address =
        asio::ip::make_address(options_.listen, error);
    if (error) {
      return Fail(ErrorCode::kInvalidArgument,
                  StrCat("--listen: \"",
                         verify::EscapeForTerminal(options_.listen),
                         "\" is not an IP address"))
          .Id("E-USAGE");
    }
    const tcp::endpoint endpoint(address, options_.port);
    acceptor_.open(endpoint.protocol(), error);
    if (!error) {
      acceptor_.set_option(asio::socket_base::reuse_address(true), error);
    }
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) {
      acceptor_.listen(asio::socket_base::max_listen_connections, error);
    }
    if (error) {
      const bool busy = error == asio::error::address_in_use;
      return Fail(busy ? ErrorCode::kBusy : ErrorCode::kIo,
                  StrCat("cannot listen on ", options_.listen, ", port ",
                         options_.port, ": ", error.message()))
          .Id(busy ? "E-PORT" : "E-LISTEN")
          .Hint("choose another --port, or 0 for any");
    }
    return {};
  }

  Result<p2p::TrackerCounts> Run() {
    RETURN_IF_ERROR(Listen());
    error_code error;
    const uint16_t port = acceptor_.local_endpoint(error).port();
    const bool v6 = acceptor_.local_endpoint(error).address().is_v6();
    events_.on_listen(StrCat("http://", v6 ? "[" : "", options_.listen,
                             v6 ? "]" : "", ":", port, "/announce"));
    Accept();
    Poll();
    io_.run();
    return shared_.state.counts();
  }

 private:
  static uint64_t Secret() {
    std::random_device device;
    return (uint64_t{device()} << 32) | device();
  }

  // Descriptors are kept for the rest of the process.
  static size_t ConnectionLimit(size_t wanted) {
    struct rlimit limit {};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 ||
        limit.rlim_cur == RLIM_INFINITY) {
      return wanted;
    }
    const size_t usable = std::max<size_t>(limit.rlim_cur, 64) - 32;
    return std::clamp<size_t>(wanted, 1, usable);
  }

  void Accept() {
    acceptor_.async_accept([this](error_code error, tcp::socket socket) {
      if (cancel_.cancelled() || error == asio::error::operation_aborted) {
        return;
      }
      if (error) {
        // Out of descriptors or memory: others will end meanwhile.
        accept_timer_.expires_after(kPoll);
        accept_timer_.async_wait([this](error_code wait_error) {
          if (!wait_error) Accept();
        });
        return;
      }
      // One too many is closed at once, so that it may come again.
      if (shared_.connections < max_connections_) {
        std::make_shared<Connection>(std::move(socket), shared_)->Read();
      }
      Accept();
    });
  }

  void Poll() {
    timer_.expires_after(kPoll);
    timer_.async_wait([this](error_code) {
      if (cancel_.cancelled()) return io_.stop();
      shared_.state.Expire(shared_.now_s());
      if (++polls_ % 10 == 0) events_.on_tick(shared_.state.counts());
      Poll();
    });
  }

  const TrackerServerOptions& options_;
  const verify::CancelToken& cancel_;
  const TrackerServerEvents& events_;
  Shared shared_;  // before io_, whose end destroys the connections
  size_t max_connections_;
  asio::io_context io_{1};
  tcp::acceptor acceptor_;
  asio::steady_timer timer_;
  asio::steady_timer accept_timer_;
  uint64_t polls_ = 0;
};

}  // namespace

Result<p2p::TrackerCounts> RunTrackerServer(const TrackerServerOptions& options,
                                            const verify::CancelToken& cancel,
                                            const TrackerServerEvents& events) {
  try {
    return Server(options, cancel, events).Run();
  } catch (const boost::system::system_error& error) {
    return Fail(ErrorCode::kIo, StrCat("tracker: ", error.what()));
  }
}

}  // namespace cli
