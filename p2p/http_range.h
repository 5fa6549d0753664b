// SPDX-License-Identifier: Apache-2.0
// One file's bytes from a web server that may lie: a GET of a byte range into
// memory of exactly that size, over http or https (RFC 9110, section 14).
// Internal to p2p; why not libtorrent's: docs/decisions/0003-web-seeds.md.
// Tested by tests/p2p/web_seeds_test.cc and tests/scripts/web_seeds.py.
#pragma once

#include <curl/curl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace p2p {

// What holds for every request to one web seed.
struct HttpRules {
  std::string origin;          // the URL that was named; see SameOrigin
  bool named_by_user = false;  // its own host may then be a local one
  bool allow_local = false;    // so may any other
  std::string proxy;           // as libcurl takes it; empty: none
  std::string proxy_login;     // "USER:PASSWORD"; empty: none
};

// Scheme, host and port are the same. Requires URLs that UrlProblem accepts.
bool SameOrigin(std::string_view a, std::string_view b);

// Why a server that was asked for `from` must not send us to `to`; nothing if
// it may. Beyond what UrlProblem refuses: from https to http, and to a local
// address where the server is not itself one that the user allowed.
std::optional<std::string> RedirectProblem(std::string_view from,
                                           std::string_view to,
                                           const HttpRules& rules);

// "bytes FIRST-LAST/TOTAL" of a Content-Range says that the body is
// [offset, offset + size) of a file of `file_bytes`; a total of "*" is taken
// for right.
bool ContentRangeFits(std::string_view value, uint64_t offset, uint64_t size,
                      uint64_t file_bytes);

struct RangeVerdict {
  enum class Kind {
    kComplete,
    kRetryLater,   // cut off, slow, busy, not reached
    kFileMissing,  // the server has not got, or does not give, this file
    kBroken,       // the server does what no honest one does
  };
  Kind kind = Kind::kComplete;
  std::string reason;        // printable; empty if complete
  double retry_after_s = 0;  // as the server asked for; 0: it did not
};

// Driven by a libcurl multi handle of the caller: add easy(), and when libcurl
// reports it as done, remove it and call Finish. One thread; not movable,
// since libcurl keeps its address.
class RangeRequest {
 public:
  explicit RangeRequest(HttpRules rules);
  ~RangeRequest();
  RangeRequest(const RangeRequest&) = delete;
  RangeRequest& operator=(const RangeRequest&) = delete;

  // Asks for bytes [offset, offset + into.size()) of the file of `file_bytes`
  // at `url`. `into` outlives the request. Requires 0 < into.size() and a
  // range inside the file.
  void Begin(std::string url, uint64_t offset, std::span<std::byte> into,
             uint64_t file_bytes);
  // Of what is begun from now on; 0: unlimited.
  void SetLimit(uint64_t bytes_per_s);
  CURL* easy() const { return easy_.get(); }
  // Nothing: the server sent us elsewhere, and easy() is ready to be added
  // once more.
  std::optional<RangeVerdict> Finish(CURLcode code);

  // Of `into`, from its start, what has come so far.
  size_t received() const { return received_; }

 private:
  struct EasyDeleter {
    void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
  };

  static size_t OnBody(char* data, size_t size, size_t count, void* self);
  static size_t OnHeader(char* data, size_t size, size_t count, void* self);
  static curl_socket_t OnSocket(void* self, curlsocktype purpose,
                                curl_sockaddr* address);
  size_t TakeBody(std::string_view data);
  bool CheckStart();
  bool LocalAllowed() const;
  void SetTarget();
  RangeVerdict VerdictOfStatus(long status) const;

  HttpRules rules_;
  std::unique_ptr<CURL, EasyDeleter> easy_;
  std::string url_;
  uint64_t offset_ = 0;
  uint64_t file_bytes_ = 0;
  std::span<std::byte> into_;
  size_t received_ = 0;
  size_t header_bytes_ = 0;
  size_t ignored_bytes_ = 0;  // of an error page
  int redirects_ = 0;
  bool started_ = false;  // the headers of a good answer were checked
  std::string refusal_;   // why we broke it off
  RangeVerdict::Kind refusal_kind_ = RangeVerdict::Kind::kBroken;
};

}  // namespace p2p
