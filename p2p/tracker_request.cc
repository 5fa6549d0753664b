// SPDX-License-Identifier: Apache-2.0
// Queries of peers to a tracker: percent-encoded bytes from anyone.
#include <algorithm>
#include <charconv>
#include <optional>
#include <string>

#include "p2p/bencode.h"
#include "p2p/tracker_state.h"
#include "verify/base/text.h"

namespace p2p {
namespace {

using verify::ErrorCode;
using verify::Fail;
using verify::Result;

constexpr size_t kMaxScraped = 74;
constexpr size_t kHashBytes = std::tuple_size_v<SwarmKey>;

std::optional<std::string> PercentDecode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    const auto byte = verify::HexDecode(text.substr(i + 1, 2));
    if (!byte.has_value() || byte->size() != 1) return std::nullopt;
    out += verify::AsText(*byte);
    i += 2;
  }
  return out;
}

std::optional<uint64_t> Number(std::string_view text) {
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || rest != end) return std::nullopt;
  return value;
}

Result<SwarmKey> HashOf(std::string_view value) {
  const auto bytes = PercentDecode(value);
  if (!bytes.has_value() || bytes->size() != kHashBytes) {
    return Fail(ErrorCode::kCorrupt, "info_hash is not 20 bytes");
  }
  SwarmKey key{};
  std::ranges::copy(verify::AsBytes(*bytes), key.begin());
  return key;
}

// Calls `take(key, value)`, both as they stand, until it fails.
template <typename Take>
Result<void> ForEachPair(std::string_view query, Take take) {
  while (!query.empty()) {
    const size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    const size_t equals = pair.find('=');
    if (equals == std::string_view::npos) continue;
    RETURN_IF_ERROR(take(pair.substr(0, equals), pair.substr(equals + 1)));
  }
  return {};
}

verify::Unexpected BadNumber(std::string_view key) {
  return Fail(ErrorCode::kCorrupt,
              verify::StrCat(key, " is no number in its range"));
}

Result<void> TakePair(std::string_view key, std::string_view value,
                      AnnounceRequest& request, bool& has_hash) {
  if (key == "info_hash") {
    if (has_hash) return Fail(ErrorCode::kCorrupt, "info_hash comes twice");
    has_hash = true;
    ASSIGN_OR_RETURN(request.swarm, HashOf(value));
  } else if (key == "peer_id") {
    const auto id = PercentDecode(value);
    if (!id.has_value() || id->size() != 20) {
      return Fail(ErrorCode::kCorrupt, "peer_id is not 20 bytes");
    }
  } else if (key == "port") {
    const auto port = Number(value);
    if (!port.has_value() || *port == 0 || *port > UINT16_MAX) {
      return BadNumber(key);
    }
    request.port = static_cast<uint16_t>(*port);
  } else if (key == "left") {
    const auto left = Number(value);
    if (!left.has_value()) return BadNumber(key);
    request.left = *left;
  } else if (key == "numwant") {
    // Some clients send -1 for "as you like".
    if (value == "-1") return {};
    const auto wanted = Number(value);
    if (!wanted.has_value()) return BadNumber(key);
    request.numwant =
        static_cast<uint32_t>(std::min<uint64_t>(*wanted, UINT32_MAX));
  } else if (key == "event") {
    if (value == "started") {
      request.event = AnnounceEvent::kStarted;
    } else if (value == "completed") {
      request.event = AnnounceEvent::kCompleted;
    } else if (value == "stopped") {
      request.event = AnnounceEvent::kStopped;
    } else {
      // "paused" (BEP 21), "empty" and what may come later.
      request.event = AnnounceEvent::kNone;
    }
  }
  return {};
}

}  // namespace

Result<AnnounceRequest> ParseAnnounce(std::string_view query) {
  AnnounceRequest request;
  // Without `left` a peer counts as one who fetches.
  request.left = 1;
  bool has_hash = false;
  RETURN_IF_ERROR(
      ForEachPair(query, [&](std::string_view key, std::string_view value) {
        return TakePair(key, value, request, has_hash);
      }));
  if (!has_hash) return Fail(ErrorCode::kCorrupt, "info_hash is missing");
  if (request.port == 0) return Fail(ErrorCode::kCorrupt, "port is missing");
  return request;
}

Result<std::vector<SwarmKey>> ParseScrape(std::string_view query) {
  std::vector<SwarmKey> swarms;
  RETURN_IF_ERROR(ForEachPair(
      query, [&](std::string_view key, std::string_view value) -> Result<void> {
        if (key != "info_hash") return {};
        if (swarms.size() == kMaxScraped) {
          return Fail(ErrorCode::kCorrupt, "more than 74 info_hash");
        }
        ASSIGN_OR_RETURN(swarms.emplace_back(), HashOf(value));
        return {};
      }));
  if (swarms.empty()) return Fail(ErrorCode::kCorrupt, "info_hash is missing");
  return swarms;
}

std::string TrackerFailure(std::string_view reason) {
  BencodeWriter out;
  out.BeginDictionary();
  out.Key("failure reason");
  out.String(reason);
  out.End();
  return std::string(verify::AsText(out.Take()));
}

}  // namespace p2p
