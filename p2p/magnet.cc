// SPDX-License-Identifier: Apache-2.0
#include "p2p/magnet.h"

#include <algorithm>
#include <charconv>
#include <set>

#include "p2p/display_text.h"
#include "p2p/endpoint_policy.h"
#include "p2p/magnet_repair.h"
#include "p2p/metainfo.h"
#include "p2p/notes.h"
#include "verify/base/text.h"

namespace p2p {
namespace {

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::Result;
using verify::StrCat;

constexpr std::string_view kScheme = "magnet:?";

verify::Unexpected FailMagnet(std::string message) {
  return Fail(ErrorCode::kInvalidArgument, std::move(message))
      .Id("E-MAGNET")
      .Hint(
          "a magnet link looks like magnet:?xt=urn:btih:HASH&dn=NAME"
          "&tr=TRACKER, with a hash of 40 hex digits");
}

std::string Quoted(std::string_view text) {
  return StrCat("\"", EscapeForTerminal(text, 200), "\"");
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Nothing where a "%" is not followed by two hex digits.
std::optional<std::string> PercentDecode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    if (text.size() - i < 3) return std::nullopt;
    const int high = HexDigit(text[i + 1]);
    const int low = HexDigit(text[i + 2]);
    if (high < 0 || low < 0) return std::nullopt;
    out.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return out;
}

std::string PercentEncode(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool unreserved = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                            (c >= 'A' && c <= 'Z') || c == '-' || c == '.' ||
                            c == '_' || c == '~';
    if (unreserved) {
      out.push_back(c);
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out.push_back('%');
      out.push_back(kDigits[byte >> 4]);
      out.push_back(kDigits[byte & 15]);
    }
  }
  return out;
}

template <size_t N>
std::array<std::byte, N> ToArray(const std::vector<std::byte>& bytes) {
  std::array<std::byte, N> array{};
  std::copy_n(bytes.begin(), N, array.begin());
  return array;
}

std::optional<InfoHashV1> ParseBtih(std::string_view digits) {
  std::optional<std::vector<std::byte>> bytes;
  if (digits.size() == 40) bytes = verify::HexDecode(digits);
  if (digits.size() == 32) bytes = verify::Base32Decode(digits);
  if (!bytes.has_value() || bytes->size() != 20) return std::nullopt;
  return ToArray<20>(*bytes);
}

// A SHA-256 multihash: code 0x12, length 0x20, 32 bytes.
std::optional<InfoHashV2> ParseBtmh(std::string_view digits) {
  if (digits.size() != 68 || !digits.starts_with("1220")) return std::nullopt;
  const auto bytes = verify::HexDecode(digits.substr(4));
  if (!bytes.has_value()) return std::nullopt;
  return ToArray<32>(*bytes);
}

// "tr.1" and "tr" are the same parameter.
std::string BaseKey(std::string_view key) {
  std::string lower = verify::AsciiLower(key);
  const size_t dot = lower.rfind('.');
  if (dot != std::string::npos && dot + 1 < lower.size() &&
      lower.find_first_not_of("0123456789", dot + 1) == std::string::npos) {
    lower.resize(dot);
  }
  return lower;
}

// Fills a ParsedMagnet, which must outlive it.
class MagnetParser {
 public:
  explicit MagnetParser(ParsedMagnet& parsed) : parsed_(parsed) {}

  Result<void> Parse(std::string_view text);

 private:
  // One of each kind for xt, dn and so; all others add to lists.
  Result<void> Parameter(std::string_view key, std::string_view value);
  Result<void> ExactTopic(std::string_view value);
  Result<void> SelectOnly(std::string_view value);
  void DisplayName(std::string_view value);
  void Url(std::string_view value, std::string_view what,
           std::vector<std::string>& urls, std::set<std::string>& seen);
  void Peer(std::string_view value);
  void ExpandSelection();

  ParsedMagnet& parsed_;
  BoundedNotes repairs_{parsed_.repairs};
  BoundedNotes warnings_{parsed_.warnings};
  std::set<std::string> seen_trackers_;
  std::set<std::string> seen_web_seeds_;
  std::set<std::pair<std::string, uint16_t>> seen_peers_;
  std::vector<std::pair<uint32_t, uint32_t>> selected_ranges_;
  std::string foreign_topic_;
  bool has_name_ = false;
};

Result<void> MagnetParser::ExactTopic(std::string_view value) {
  const auto decoded = PercentDecode(value);
  if (!decoded.has_value()) {
    return FailMagnet(StrCat("xt ", Quoted(value), ": broken % encoding"));
  }
  constexpr std::string_view kBtih = "urn:btih:";
  constexpr std::string_view kBtmh = "urn:btmh:";
  static_assert(kBtih.size() == kBtmh.size());
  const std::string_view topic = *decoded;
  const std::string prefix = verify::AsciiLower(topic.substr(0, kBtih.size()));
  const std::string_view digits =
      topic.substr(std::min(kBtih.size(), topic.size()));
  InfoHashes& hashes = parsed_.magnet.info_hashes;
  if (prefix == kBtih) {
    const auto hash = ParseBtih(digits);
    if (!hash.has_value()) {
      return FailMagnet(StrCat("btih ", Quoted(digits), ": ", digits.size(),
                               " characters that are not 40 hex or 32 base32 "
                               "digits"));
    }
    if (hashes.v1.has_value() && *hashes.v1 != *hash) {
      return FailMagnet(
          StrCat("two different btih: ", verify::HexEncode(*hashes.v1), " and ",
                 verify::HexEncode(*hash)));
    }
    hashes.v1 = hash;
  } else if (prefix == kBtmh) {
    const auto hash = ParseBtmh(digits);
    if (!hash.has_value()) {
      return FailMagnet(StrCat("btmh ", Quoted(digits), ": ", digits.size(),
                               " characters that are not 1220 and 64 hex "
                               "digits (SHA-256)"));
    }
    if (hashes.v2.has_value() && *hashes.v2 != *hash) {
      return FailMagnet(
          StrCat("two different btmh: ", verify::HexEncode(*hashes.v2), " and ",
                 verify::HexEncode(*hash)));
    }
    hashes.v2 = hash;
  } else {
    if (foreign_topic_.empty()) foreign_topic_ = Quoted(topic);
    warnings_.Add(
        StrCat("xt ", Quoted(topic), " left out: no BitTorrent hash"));
  }
  return {};
}

void MagnetParser::DisplayName(std::string_view value) {
  if (has_name_) {
    warnings_.Add(StrCat("second name ", Quoted(value), " left out"));
    return;
  }
  has_name_ = true;
  // Blanks are often written as "+" here, as in HTML forms.
  std::string plain(value);
  std::replace(plain.begin(), plain.end(), '+', ' ');
  const auto decoded = PercentDecode(plain);
  if (!decoded.has_value()) {
    warnings_.Add(
        StrCat("name ", Quoted(value), " taken as it is: broken % encoding"));
  }
  const std::string& name = decoded.has_value() ? *decoded : plain;
  parsed_.magnet.display_name = ToValidUtf8(name, kMaxDisplayNameBytes);
  if (name.size() > kMaxDisplayNameBytes) {
    warnings_.Add(StrCat("name of ", name.size(), " bytes cut to ",
                         parsed_.magnet.display_name.size()));
  }
}

void MagnetParser::Url(std::string_view value, std::string_view what,
                       std::vector<std::string>& urls,
                       std::set<std::string>& seen) {
  if (value.empty()) return;
  const RepairedValue repaired = RepairMangledUrl(value);
  if (!repaired.lost.empty()) {
    warnings_.Add(
        StrCat(what, " ", Quoted(value), " left out: ", repaired.lost));
    return;
  }
  const auto url = PercentDecode(repaired.text);
  if (!url.has_value()) {
    warnings_.Add(
        StrCat(what, " ", Quoted(value), " left out: broken % encoding"));
    return;
  }
  if (!verify::IsValidUtf8(*url) || url->find("://") == std::string::npos) {
    warnings_.Add(StrCat(what, " ", Quoted(*url), " left out: it is no URL"));
    return;
  }
  if (repaired.changed) {
    repairs_.Add(
        StrCat(what, " ", Quoted(value), " repaired to ", Quoted(*url)));
  }
  if (!seen.insert(*url).second) return;
  if (urls.size() == kMaxMagnetEndpoints) {
    warnings_.Add(StrCat(what, " ", Quoted(*url), " left out: more than ",
                         kMaxMagnetEndpoints));
    return;
  }
  urls.push_back(*url);
}

void MagnetParser::Peer(std::string_view value) {
  if (value.empty()) return;
  const auto drop = [&](std::string_view why) {
    warnings_.Add(StrCat("peer ", Quoted(value), " left out: ", why));
  };
  const auto decoded = PercentDecode(value);
  if (!decoded.has_value()) return drop("broken % encoding");
  const std::string_view text = *decoded;
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return drop("it has no port");
  std::string_view host = text.substr(0, colon);
  const std::string_view port_text = text.substr(colon + 1);
  const bool bracketed = host.starts_with('[') && host.ends_with(']');
  if (bracketed) host = host.substr(1, host.size() - 2);
  const bool is_v6 = host.find(':') != std::string_view::npos;
  if (bracketed != is_v6 || !IsPlainHost(host)) {
    return drop("its host is no name and no address");
  }
  uint16_t port = 0;
  const char* const end = port_text.data() + port_text.size();
  const auto number = std::from_chars(port_text.data(), end, port);
  if (number.ec != std::errc() || number.ptr != end || port == 0) {
    return drop("its port is not between 1 and 65535");
  }
  auto& peers = parsed_.magnet.peers;
  if (!seen_peers_.emplace(host, port).second) return;
  if (peers.size() == kMaxMagnetEndpoints) {
    return drop(StrCat("more than ", kMaxMagnetEndpoints));
  }
  peers.emplace_back(host, port);
}

Result<void> MagnetParser::SelectOnly(std::string_view value) {
  const auto decoded = PercentDecode(value);
  if (!decoded.has_value()) {
    return FailMagnet(StrCat("so ", Quoted(value), ": broken % encoding"));
  }
  std::string_view rest = *decoded;
  const auto read_index = [&](uint32_t& index) {
    const auto number =
        std::from_chars(rest.data(), rest.data() + rest.size(), index);
    if (number.ec != std::errc() || index >= kMaxSelectedFileIndex) {
      return false;
    }
    rest.remove_prefix(static_cast<size_t>(number.ptr - rest.data()));
    return true;
  };
  while (true) {
    uint32_t first = 0;
    if (!read_index(first)) break;
    uint32_t last = first;
    if (rest.starts_with('-')) {
      rest.remove_prefix(1);
      if (!read_index(last) || last < first) break;
    }
    selected_ranges_.emplace_back(first, last);
    if (rest.empty()) return {};
    if (!rest.starts_with(',')) break;
    rest.remove_prefix(1);
  }
  return FailMagnet(StrCat("so ", Quoted(value), ": not file numbers below ",
                           kMaxSelectedFileIndex,
                           " and ranges of them, such as 0,2,4-7"));
}

void MagnetParser::ExpandSelection() {
  std::sort(selected_ranges_.begin(), selected_ranges_.end());
  uint32_t next = 0;  // the smallest index not looked at yet
  for (const auto& [first, last] : selected_ranges_) {
    for (uint32_t i = std::max(first, next); i <= last; ++i) {
      parsed_.magnet.selected_files.push_back(i);
    }
    next = std::max(next, last + 1);
  }
}

Result<void> MagnetParser::Parameter(std::string_view key,
                                     std::string_view value) {
  const std::string base = BaseKey(key);
  if (base == "xt") return ExactTopic(value);
  if (base == "so") return SelectOnly(value);
  if (base == "dn") {
    DisplayName(value);
  } else if (base == "tr") {
    Url(value, "tracker", parsed_.magnet.trackers, seen_trackers_);
  } else if (base == "ws") {
    Url(value, "web seed", parsed_.magnet.web_seeds, seen_web_seeds_);
  } else if (base == "x.pe") {
    Peer(value);
  } else {
    warnings_.Add(StrCat("parameter ", Quoted(key), " not used"));
  }
  return {};
}

Result<void> MagnetParser::Parse(std::string_view text) {
  text = verify::TrimAscii(text);
  if (text.size() > kMaxMagnetBytes) {
    return FailMagnet(StrCat("link of ", text.size(), " bytes, at most ",
                             kMaxMagnetBytes, " are read"));
  }
  if (verify::AsciiLower(text.substr(0, kScheme.size())) != kScheme) {
    return FailMagnet(
        StrCat(Quoted(text.substr(0, 60)), " does not begin with magnet:?"));
  }
  std::string unescaped;
  if (text.find("&amp;") != std::string_view::npos) {
    // Copied out of the source of a web page.
    for (size_t i = 0; i < text.size(); ++i) {
      unescaped.push_back(text[i]);
      if (text.substr(i).starts_with("&amp;")) i += 4;
    }
    text = unescaped;
    repairs_.Add("\"&amp;\" between parameters read as \"&\"");
  }
  std::string_view rest = text.substr(kScheme.size());
  while (!rest.empty()) {
    const std::string_view parameter = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), parameter.size() + 1));
    if (parameter.empty()) continue;
    const size_t equals = parameter.find('=');
    const std::string_view value = equals == std::string_view::npos
                                       ? std::string_view()
                                       : parameter.substr(equals + 1);
    RETURN_IF_ERROR(Parameter(parameter.substr(0, equals), value));
  }
  const InfoHashes& hashes = parsed_.magnet.info_hashes;
  if (!hashes.v1.has_value() && !hashes.v2.has_value()) {
    return FailMagnet(foreign_topic_.empty()
                          ? std::string("magnet link without an xt")
                          : StrCat("xt ", foreign_topic_,
                                   " is no BitTorrent hash (urn:btih or "
                                   "urn:btmh)"));
  }
  ExpandSelection();
  return {};
}

}  // namespace

Result<ParsedMagnet> ParseMagnet(std::string_view text) {
  ParsedMagnet parsed;
  RETURN_IF_ERROR(MagnetParser(parsed).Parse(text));
  return parsed;
}

std::optional<InfoHashes> ParseInfoHash(std::string_view text) {
  text = verify::TrimAscii(text);
  InfoHashes hashes;
  hashes.v1 = ParseBtih(text);
  if (hashes.v1.has_value()) return hashes;
  hashes.v2 =
      text.size() == 64 ? ParseBtmh(StrCat("1220", text)) : ParseBtmh(text);
  if (hashes.v2.has_value()) return hashes;
  return std::nullopt;
}

std::string FormatMagnet(const Magnet& magnet) {
  std::string out(kScheme);
  const auto add = [&](std::string_view key, std::string_view value) {
    if (out.size() > kScheme.size()) out.push_back('&');
    out.append(key).append("=").append(value);
  };
  if (magnet.info_hashes.v1.has_value()) {
    add("xt", StrCat("urn:btih:", verify::HexEncode(*magnet.info_hashes.v1)));
  }
  if (magnet.info_hashes.v2.has_value()) {
    add("xt",
        StrCat("urn:btmh:1220", verify::HexEncode(*magnet.info_hashes.v2)));
  }
  if (!magnet.display_name.empty()) {
    add("dn", PercentEncode(magnet.display_name));
  }
  for (const std::string& url : magnet.trackers) add("tr", PercentEncode(url));
  for (const std::string& url : magnet.web_seeds) add("ws", PercentEncode(url));
  for (const auto& [host, port] : magnet.peers) {
    const bool is_v6 = host.find(':') != std::string::npos;
    add("x.pe",
        is_v6 ? StrCat("[", host, "]:", port) : StrCat(host, ":", port));
  }
  const std::vector<uint32_t>& selected = magnet.selected_files;
  std::string ranges;
  for (size_t i = 0; i < selected.size();) {
    size_t last = i;
    while (last + 1 < selected.size() &&
           selected[last + 1] == selected[last] + 1) {
      ++last;
    }
    if (!ranges.empty()) ranges.push_back(',');
    ranges += std::to_string(selected[i]);
    if (last > i) ranges += StrCat("-", selected[last]);
    i = last + 1;
  }
  if (!ranges.empty()) add("so", ranges);
  return out;
}

Magnet MagnetOf(const Metainfo& metainfo) {
  Magnet magnet;
  magnet.info_hashes = metainfo.info_hashes;
  magnet.display_name = metainfo.name;
  magnet.trackers = metainfo.trackers;
  magnet.web_seeds = metainfo.web_seeds;
  return magnet;
}

void FilterEndpoints(Magnet& magnet, bool allow_local,
                     std::vector<std::string>& warnings) {
  FilterUrls(magnet.trackers, EndpointKind::kTracker, allow_local, warnings);
  FilterUrls(magnet.web_seeds, EndpointKind::kWebSeed, allow_local, warnings);
  FilterPeers(magnet.peers, allow_local, warnings);
}

}  // namespace p2p
