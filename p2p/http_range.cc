// SPDX-License-Identifier: Apache-2.0
#include "p2p/http_range.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <utility>

#include "p2p/endpoint_policy.h"
#include "verify/base/check.h"
#include "verify/base/text.h"

namespace p2p {
namespace {

using verify::EscapeForTerminal;
using verify::StrCat;
using Kind = RangeVerdict::Kind;

constexpr int kMaxRedirects = 5;
constexpr size_t kMaxHeaderBytes = 64 << 10;
// Of an error page: short ones are read so that the connection lives on.
constexpr size_t kMaxIgnoredBytes = 64 << 10;
constexpr long kConnectSeconds = 15;
// Slower than this for so long is no use.
constexpr long kSlowBytesPerS = 1024;
constexpr long kSlowSeconds = 20;
constexpr double kMaxRetryAfterSeconds = 300;

bool ParseNumber(std::string_view text, uint64_t& number) {
  const char* const end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  return !text.empty() && parsed.ec == std::errc() && parsed.ptr == end;
}

struct Origin {
  std::string scheme;
  std::string host;
  uint64_t port = 0;
  bool operator==(const Origin&) const = default;
};

Origin OriginOf(std::string_view url) {
  Origin origin;
  const size_t scheme_end = url.find("://");
  if (scheme_end == std::string_view::npos) return origin;
  origin.scheme = verify::AsciiLower(url.substr(0, scheme_end));
  std::string_view rest = url.substr(scheme_end + 3);
  rest = rest.substr(0, rest.find_first_of("/?#"));
  const size_t colon = rest.rfind(':');
  const size_t bracket = rest.rfind(']');
  const bool has_port = colon != std::string_view::npos &&
                        (bracket == std::string_view::npos || colon > bracket);
  origin.host = verify::AsciiLower(has_port ? rest.substr(0, colon) : rest);
  origin.port = origin.scheme == "https" ? 443 : 80;
  if (has_port) ParseNumber(rest.substr(colon + 1), origin.port);
  return origin;
}

std::string AddressText(const curl_sockaddr& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.family == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address.addr, sizeof(v4));
    ::inet_ntop(AF_INET, &v4.sin_addr, text.data(), text.size());
  } else if (address.family == AF_INET6 &&
             address.addrlen >= sizeof(sockaddr_in6)) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, &address.addr, sizeof(v6));
    ::inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), text.size());
  }
  return text.data();
}

// Of the last answer's headers; empty if there is none of that name.
std::string HeaderText(CURL* easy, const char* name) {
  curl_header* header = nullptr;
  if (curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK) {
    return "";
  }
  return header->value;
}

}  // namespace

bool SameOrigin(std::string_view a, std::string_view b) {
  return OriginOf(a) == OriginOf(b);
}

std::optional<std::string> RedirectProblem(std::string_view from,
                                           std::string_view to,
                                           const HttpRules& rules) {
  const bool home = rules.named_by_user && SameOrigin(rules.origin, to);
  if (auto problem =
          UrlProblem(to, EndpointKind::kWebSeed, rules.allow_local || home)) {
    return problem;
  }
  if (OriginOf(from).scheme == "https" && OriginOf(to).scheme != "https") {
    return "it leads from https to http";
  }
  return std::nullopt;
}

bool ContentRangeFits(std::string_view value, uint64_t offset, uint64_t size,
                      uint64_t file_bytes) {
  constexpr std::string_view kUnit = "bytes ";
  if (!value.starts_with(kUnit)) return false;
  value.remove_prefix(kUnit.size());
  const size_t dash = value.find('-');
  const size_t slash = value.find('/');
  if (dash == std::string_view::npos || slash == std::string_view::npos ||
      slash < dash) {
    return false;
  }
  uint64_t first = 0;
  uint64_t last = 0;
  if (!ParseNumber(value.substr(0, dash), first) ||
      !ParseNumber(value.substr(dash + 1, slash - dash - 1), last)) {
    return false;
  }
  const std::string_view total_text = value.substr(slash + 1);
  uint64_t total = file_bytes;
  if (total_text != "*" && !ParseNumber(total_text, total)) return false;
  return size > 0 && first == offset && last == offset + size - 1 &&
         total == file_bytes;
}

RangeRequest::RangeRequest(HttpRules rules)
    : rules_(std::move(rules)), easy_(curl_easy_init()) {
  CHECK(easy_ != nullptr);
  CURL* const easy = easy_.get();
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  // An end does not wait for a name server that does not answer.
  curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  // Each step is looked at before it is taken: RedirectProblem.
  curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(easy, CURLOPT_USERAGENT, "Lodestone/" LODESTONE_VERSION);
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION,
                   static_cast<long>(CURL_HTTP_VERSION_1_1));
  // Set even if empty: else libcurl takes one from the environment.
  curl_easy_setopt(easy, CURLOPT_PROXY, rules_.proxy.c_str());
  if (!rules_.proxy_login.empty()) {
    curl_easy_setopt(easy, CURLOPT_PROXYUSERPWD, rules_.proxy_login.c_str());
  }
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, kSlowBytesPerS);
  curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, kSlowSeconds);
  curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 256L << 10);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &RangeRequest::OnBody);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, this);
  curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, &RangeRequest::OnHeader);
  curl_easy_setopt(easy, CURLOPT_HEADERDATA, this);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, &RangeRequest::OnSocket);
  curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, this);
  curl_easy_setopt(easy, CURLOPT_PRIVATE, this);
}

RangeRequest::~RangeRequest() = default;

void RangeRequest::SetLimit(uint64_t bytes_per_s) {
  curl_easy_setopt(
      easy_.get(), CURLOPT_MAX_RECV_SPEED_LARGE,
      static_cast<curl_off_t>(std::min<uint64_t>(bytes_per_s, 1ull << 40)));
}

void RangeRequest::Begin(std::string url, uint64_t offset,
                         std::span<std::byte> into, uint64_t file_bytes) {
  CHECK(!into.empty() && offset + into.size() <= file_bytes);
  url_ = std::move(url);
  offset_ = offset;
  into_ = into;
  file_bytes_ = file_bytes;
  redirects_ = 0;
  SetTarget();
}

void RangeRequest::SetTarget() {
  received_ = 0;
  header_bytes_ = 0;
  ignored_bytes_ = 0;
  started_ = false;
  refusal_.clear();
  refusal_kind_ = Kind::kBroken;
  curl_easy_setopt(easy_.get(), CURLOPT_URL, url_.c_str());
  const std::string range = StrCat(offset_, "-", offset_ + into_.size() - 1);
  curl_easy_setopt(easy_.get(), CURLOPT_RANGE, range.c_str());
}

bool RangeRequest::LocalAllowed() const {
  return rules_.allow_local ||
         (rules_.named_by_user && SameOrigin(rules_.origin, url_));
}

// A name that looks global may resolve to an address that is not.
curl_socket_t RangeRequest::OnSocket(void* self, curlsocktype purpose,
                                     curl_sockaddr* address) {
  auto* const request = static_cast<RangeRequest*>(self);
  if (purpose != CURLSOCKTYPE_IPCXN) return CURL_SOCKET_BAD;
  // With a proxy the address is the proxy's, which the user named.
  if (request->rules_.proxy.empty()) {
    if (auto problem =
            HostProblem(AddressText(*address), request->LocalAllowed())) {
      request->refusal_ =
          StrCat("its name leads to ", AddressText(*address), ": ", *problem);
      return CURL_SOCKET_BAD;
    }
  }
  return ::socket(address->family, address->socktype | SOCK_CLOEXEC,
                  address->protocol);
}

size_t RangeRequest::OnHeader(char*, size_t size, size_t count, void* self) {
  auto* const request = static_cast<RangeRequest*>(self);
  request->header_bytes_ += size * count;
  if (request->header_bytes_ <= kMaxHeaderBytes) return size * count;
  request->refusal_ =
      StrCat("its headers are longer than ", kMaxHeaderBytes, " bytes");
  return 0;
}

size_t RangeRequest::OnBody(char* data, size_t size, size_t count, void* self) {
  return static_cast<RangeRequest*>(self)->TakeBody({data, size * count});
}

// Looks at the answer's head once, when the first byte of its body is here.
bool RangeRequest::CheckStart() {
  long status = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
  const std::string coding = HeaderText(easy_.get(), "Content-Encoding");
  if (!coding.empty() && verify::AsciiLower(coding) != "identity") {
    refusal_ = StrCat("it sends a coded body (\"", EscapeForTerminal(coding),
                      "\") that was not asked for");
    return false;
  }
  if (status == 206) {
    const std::string range = HeaderText(easy_.get(), "Content-Range");
    if (ContentRangeFits(range, offset_, into_.size(), file_bytes_)) {
      return true;
    }
    refusal_ = StrCat("asked for bytes ", offset_, "-",
                      offset_ + into_.size() - 1, " of ", file_bytes_,
                      ", it sends \"", EscapeForTerminal(range, 100), "\"");
    return false;
  }
  // The whole file is as good if the whole file was asked for.
  if (offset_ == 0 && into_.size() == file_bytes_) return true;
  refusal_ = "it ignores the range that was asked for";
  return false;
}

size_t RangeRequest::TakeBody(std::string_view data) {
  long status = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
  if (status != 200 && status != 206) {
    ignored_bytes_ += data.size();
    return ignored_bytes_ <= kMaxIgnoredBytes ? data.size() : 0;
  }
  if (!started_) {
    if (!CheckStart()) return 0;
    started_ = true;
  }
  if (data.size() > into_.size() - received_) {
    refusal_ = StrCat("it sends more than the ", into_.size(),
                      " bytes that were asked for");
    return 0;
  }
  std::memcpy(into_.data() + received_, data.data(), data.size());
  received_ += data.size();
  return data.size();
}

RangeVerdict RangeRequest::VerdictOfStatus(long status) const {
  RangeVerdict verdict;
  verdict.reason = StrCat("HTTP status ", status);
  if (status == 408 || status == 425 || status == 429 || status >= 500) {
    verdict.kind = Kind::kRetryLater;
    curl_off_t seconds = 0;
    curl_easy_getinfo(easy_.get(), CURLINFO_RETRY_AFTER, &seconds);
    verdict.retry_after_s =
        std::clamp(static_cast<double>(seconds), 0.0, kMaxRetryAfterSeconds);
  } else if (status >= 400) {
    verdict.kind = Kind::kFileMissing;
  } else {
    verdict.kind = Kind::kBroken;
  }
  return verdict;
}

std::optional<RangeVerdict> RangeRequest::Finish(CURLcode code) {
  if (!refusal_.empty()) return RangeVerdict{refusal_kind_, refusal_, 0};
  long status = 0;
  curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
  if (status >= 300 && status < 400) {
    char* target = nullptr;
    curl_easy_getinfo(easy_.get(), CURLINFO_REDIRECT_URL, &target);
    const std::string to = target == nullptr ? "" : target;
    if (to.empty()) return VerdictOfStatus(status);
    if (++redirects_ > kMaxRedirects) {
      return RangeVerdict{
          Kind::kBroken,
          StrCat("it sends us on more than ", kMaxRedirects, " times"), 0};
    }
    if (const auto problem = RedirectProblem(url_, to, rules_)) {
      return RangeVerdict{Kind::kBroken,
                          StrCat("it sends us to \"",
                                 EscapeForTerminal(to, 200), "\": ", *problem),
                          0};
    }
    url_ = to;
    SetTarget();
    return std::nullopt;
  }
  const bool good_status = status == 200 || status == 206;
  if (status != 0 && !good_status) return VerdictOfStatus(status);
  if (code == CURLE_OK && received_ == into_.size()) return RangeVerdict{};
  if (code == CURLE_PEER_FAILED_VERIFICATION) {
    return RangeVerdict{Kind::kBroken, "its certificate is not valid", 0};
  }
  return RangeVerdict{
      Kind::kRetryLater,
      StrCat(code == CURLE_OK ? "it ended its answer early"
                              : curl_easy_strerror(code),
             ", ", received_, " of ", into_.size(), " bytes came"),
      0};
}

}  // namespace p2p
