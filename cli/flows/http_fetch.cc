// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/http_fetch.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <memory>

#include "cli/version.h"
#include "p2p/endpoint_policy.h"
#include "verify/base/bytes.h"
#include "verify/base/text.h"

namespace cli {
namespace {

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::Result;
using verify::StrCat;

constexpr long kConnectSeconds = 20;
constexpr long kTotalSeconds = 300;
// Fewer bytes than this in a second, for so many seconds, is a stall.
constexpr long kSlowBytes = 16;
constexpr long kSlowSeconds = 30;

verify::Unexpected FailFetch(const std::string& url, std::string_view why,
                             std::string_view hint = {}) {
  return Fail(ErrorCode::kNetwork,
              StrCat("fetch \"", EscapeForTerminal(url, 300), "\": ", why))
      .Id("E-FETCH")
      .Hint(hint.empty() ? "fetch the .torrent another way and give its path"
                         : std::string(hint));
}

// One request; the callbacks of the library see this.
struct Transfer {
  const verify::CancelToken& cancel;
  size_t max_bytes = 0;
  std::vector<std::byte> body;
  bool too_large = false;
  bool refuse_local = false;
  std::string refused;  // the address that must not be asked
};

size_t OnBody(char* data, size_t size, size_t count, void* pointer) {
  auto& transfer = *static_cast<Transfer*>(pointer);
  const size_t bytes = size * count;
  if (bytes > transfer.max_bytes - transfer.body.size()) {
    transfer.too_large = true;
    return 0;
  }
  const auto* begin = reinterpret_cast<const std::byte*>(data);
  transfer.body.insert(transfer.body.end(), begin, begin + bytes);
  return bytes;
}

int OnProgress(void* pointer, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<Transfer*>(pointer)->cancel.cancelled() ? 1 : 0;
}

// The last word on where a redirect leads: the address behind its name.
curl_socket_t OnSocket(void* pointer, curlsocktype, curl_sockaddr* address) {
  auto& transfer = *static_cast<Transfer*>(pointer);
  if (transfer.refuse_local) {
    std::array<char, INET6_ADDRSTRLEN> text{};
    const void* bytes = nullptr;
    if (address->family == AF_INET) {
      bytes = &reinterpret_cast<const sockaddr_in*>(&address->addr)->sin_addr;
    } else if (address->family == AF_INET6) {
      bytes = &reinterpret_cast<const sockaddr_in6*>(&address->addr)->sin6_addr;
    }
    if (bytes == nullptr ||
        ::inet_ntop(address->family, bytes, text.data(),
                    static_cast<socklen_t>(text.size())) == nullptr ||
        p2p::HostProblem(text.data(), false).has_value()) {
      transfer.refused = text.data();
      return CURL_SOCKET_BAD;
    }
  }
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC,
                  address->protocol);
}

bool HasProxyInEnvironment() {
  for (const char* name :
       {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"}) {
    const char* value = std::getenv(name);
    if (value != nullptr && *value != '\0') return true;
  }
  return false;
}

struct CurlCloser {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};

struct Answer {
  long status = 0;
  std::string location;  // absolute; of a redirect
};

Result<Answer> Request(const std::string& url, bool is_redirect,
                       const p2p::SessionSettings& settings,
                       Transfer& transfer) {
  const std::unique_ptr<CURL, CurlCloser> owner(curl_easy_init());
  CURL* const handle = owner.get();
  if (handle == nullptr) {
    return Fail(ErrorCode::kInternal, "no HTTP client");
  }
  const bool own_proxy = settings.proxy.is_set();
  const bool proxied = own_proxy || HasProxyInEnvironment();
  transfer.refuse_local = is_redirect && !settings.allow_local && !proxied;
  std::array<char, CURL_ERROR_SIZE> reason{};
  bool set = true;
  const auto option = [&](CURLoption name, auto value) {
    set = curl_easy_setopt(handle, name, value) == CURLE_OK && set;
  };
  option(CURLOPT_URL, url.c_str());
  option(CURLOPT_PROTOCOLS_STR, "http,https");
  option(CURLOPT_FOLLOWLOCATION, 0L);
  option(CURLOPT_NOSIGNAL, 1L);
  option(CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  option(CURLOPT_TIMEOUT, kTotalSeconds);
  option(CURLOPT_LOW_SPEED_LIMIT, kSlowBytes);
  option(CURLOPT_LOW_SPEED_TIME, kSlowSeconds);
  option(CURLOPT_SSL_VERIFYPEER, 1L);
  option(CURLOPT_SSL_VERIFYHOST, 2L);
  option(CURLOPT_ERRORBUFFER, reason.data());
  option(CURLOPT_WRITEFUNCTION, &OnBody);
  option(CURLOPT_WRITEDATA, static_cast<void*>(&transfer));
  option(CURLOPT_NOPROGRESS, 0L);
  option(CURLOPT_XFERINFOFUNCTION, &OnProgress);
  option(CURLOPT_XFERINFODATA, static_cast<void*>(&transfer));
  option(CURLOPT_OPENSOCKETFUNCTION, &OnSocket);
  option(CURLOPT_OPENSOCKETDATA, static_cast<void*>(&transfer));
  const std::string agent = StrCat("lodestone/", kVersion);
  if (!settings.anonymous && !own_proxy) {
    option(CURLOPT_USERAGENT, agent.c_str());
  }
  const std::string proxy = p2p::ProxyUrl(settings.proxy);
  if (own_proxy) {
    option(CURLOPT_PROXY, proxy.c_str());
    option(CURLOPT_NOPROXY, "");
    if (!settings.proxy.user.empty()) {
      option(CURLOPT_PROXYUSERNAME, settings.proxy.user.c_str());
      option(CURLOPT_PROXYPASSWORD, settings.proxy.password.c_str());
    }
  } else if (proxied && is_redirect) {
    // no_proxy names hosts of the user's network: not for a stranger to use.
    option(CURLOPT_NOPROXY, "");
  }
  if (!settings.interface_name.empty()) {
    option(CURLOPT_INTERFACE, settings.interface_name.c_str());
  }
  if (!set) return Fail(ErrorCode::kInternal, "HTTP client lacks an option");

  const CURLcode code = curl_easy_perform(handle);
  if (transfer.cancel.cancelled()) {
    return Fail(ErrorCode::kCancelled, "interrupted");
  }
  if (transfer.too_large) {
    return Fail(ErrorCode::kLimit,
                StrCat("fetch \"", EscapeForTerminal(url, 300),
                       "\": more than ", transfer.max_bytes, " bytes"))
        .Id("E-FETCH")
        .Hint("this is no .torrent file");
  }
  if (!transfer.refused.empty()) {
    return FailFetch(url,
                     StrCat("a redirect to ", transfer.refused,
                            ", an address of this machine or its network"),
                     "--allow-local lets redirects lead there");
  }
  if (code != CURLE_OK) {
    return FailFetch(url, reason[0] != '\0'
                              ? EscapeForTerminal(reason.data(), 300)
                              : std::string(curl_easy_strerror(code)));
  }
  Answer answer;
  curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &answer.status);
  const char* location = nullptr;
  curl_easy_getinfo(handle, CURLINFO_REDIRECT_URL, &location);
  if (location != nullptr) answer.location = location;
  return answer;
}

bool IsHttps(const std::string& url) {
  return verify::AsciiLower(url.substr(0, 8)) == "https://";
}

}  // namespace

bool IsHttpUrl(const std::string& text) {
  return verify::AsciiLower(text.substr(0, 7)) == "http://" || IsHttps(text);
}

Result<std::vector<std::byte>> FetchUrl(const std::string& url,
                                        size_t max_bytes,
                                        const p2p::SessionSettings& settings,
                                        const verify::CancelToken& cancel) {
  static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
  if (ready != CURLE_OK) {
    return Fail(ErrorCode::kInternal, curl_easy_strerror(ready));
  }
  const size_t authority_end = url.find_first_of("/?#", url.find("://") + 3);
  if (url.substr(0, authority_end).find('@') != std::string::npos) {
    return Fail(ErrorCode::kInvalidArgument,
                "a URL with a user name or password is not used")
        .Id("E-USAGE")
        .Hint("others can read the command line; fetch the .torrent yourself");
  }
  std::string next = url;
  for (int hop = 0; hop <= kMaxRedirects; ++hop) {
    Transfer transfer{cancel, max_bytes, {}, false, false, {}};
    ASSIGN_OR_RETURN(const Answer answer,
                     Request(next, hop > 0, settings, transfer));
    if (answer.status == 200) return std::move(transfer.body);
    const bool redirect =
        answer.status >= 300 && answer.status < 400 && !answer.location.empty();
    if (!redirect) {
      return FailFetch(
          next, StrCat("the server answered with status ", answer.status));
    }
    if (const auto problem =
            p2p::UrlProblem(answer.location, p2p::EndpointKind::kWebSeed,
                            settings.allow_local)) {
      return FailFetch(next, StrCat("a redirect to \"",
                                    EscapeForTerminal(answer.location, 200),
                                    "\" is not followed: ", *problem));
    }
    if (IsHttps(next) && !IsHttps(answer.location)) {
      return FailFetch(next, "a redirect from https to http is not followed");
    }
    next = answer.location;
  }
  return FailFetch(url, StrCat("more than ", kMaxRedirects, " redirects"));
}

}  // namespace cli
