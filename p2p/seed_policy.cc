// SPDX-License-Identifier: Apache-2.0
#include "p2p/seed_policy.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "verify/base/text.h"

namespace p2p {
namespace {

using verify::ErrorCode;
using verify::Fail;
using verify::Result;
using verify::StrCat;

constexpr double kLongestStep_s = 60;

template <typename T>
bool ParseNumber(std::string_view text, std::optional<T>& out) {
  T value{};
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || rest != end) return false;
  if constexpr (std::is_floating_point_v<T>) {
    if (!std::isfinite(value) || value < 0) return false;
  }
  out = value;
  return true;
}

std::string Number(double value) {
  std::array<char, 32> text{};
  const auto [end, error] =
      std::to_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} ? std::string(text.data(), end) : "0";
}

}  // namespace

SeedVerdict JudgeSeed(const SeedPolicy& policy, const SeedFacts& facts) {
  std::string reached;
  int set = 0;
  int met = 0;
  const auto look = [&](bool is_set, bool is_met, const std::string& text) {
    if (!is_set) return;
    ++set;
    if (!is_met) return;
    ++met;
    reached += StrCat(reached.empty() ? "" : ", ", text);
  };
  const double ratio = facts.total_bytes == 0
                           ? 0
                           : static_cast<double>(facts.uploaded_bytes) /
                                 static_cast<double>(facts.total_bytes);
  look(policy.max_ratio.has_value(), ratio >= policy.max_ratio.value_or(0),
       StrCat("ratio ", policy.max_ratio.value_or(0), " reached"));
  look(policy.max_seed_s.has_value(),
       facts.seed_seconds >= policy.max_seed_s.value_or(0),
       StrCat("served for ",
              verify::FormatDuration(policy.max_seed_s.value_or(0))));
  look(policy.max_idle_s.has_value(),
       facts.idle_seconds >= policy.max_idle_s.value_or(0),
       StrCat("nobody asked for ",
              verify::FormatDuration(policy.max_idle_s.value_or(0))));
  look(policy.max_uploaded_bytes.has_value(),
       facts.uploaded_bytes >= policy.max_uploaded_bytes.value_or(0),
       StrCat(verify::FormatSize(policy.max_uploaded_bytes.value_or(0)),
              " uploaded"));
  SeedVerdict verdict;
  if (met == 0 || (policy.rule == SeedPolicy::Rule::kAll && met < set)) {
    return verdict;
  }
  verdict.reason = reached;
  if (policy.stop_even_if_last) {
    verdict.stop = true;
  } else if (facts.since_other_complete_s.has_value() &&
             *facts.since_other_complete_s <= kOtherCompleteCounts_s) {
    verdict.stop = true;
    verdict.reason += "; another complete peer is there";
  } else {
    verdict.held_as_last = true;
    verdict.reason +=
        facts.since_other_complete_s.has_value()
            ? StrCat("; goes on: the last other complete peer was seen ",
                     verify::FormatDuration(*facts.since_other_complete_s),
                     " ago")
            : "; goes on: no other complete peer was ever seen";
  }
  return verdict;
}

std::string FormatSeedPolicy(const SeedPolicy& policy) {
  std::string text;
  if (policy.max_ratio)
    text += StrCat("ratio=", Number(*policy.max_ratio), ";");
  if (policy.max_seed_s) {
    text += StrCat("time=", Number(*policy.max_seed_s), ";");
  }
  if (policy.max_idle_s) {
    text += StrCat("idle=", Number(*policy.max_idle_s), ";");
  }
  if (policy.max_uploaded_bytes) {
    text += StrCat("bytes=", *policy.max_uploaded_bytes, ";");
  }
  text += policy.rule == SeedPolicy::Rule::kAll ? "rule=all" : "rule=any";
  if (policy.stop_even_if_last) text += ";last=stop";
  return text;
}

Result<SeedPolicy> ParseSeedPolicy(std::string_view text) {
  SeedPolicy policy;
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::string_view part = rest.substr(0, rest.find(';'));
    rest.remove_prefix(std::min(rest.size(), part.size() + 1));
    const size_t equals = part.find('=');
    const std::string_view name = part.substr(0, equals);
    const std::string_view value =
        equals == std::string_view::npos ? "" : part.substr(equals + 1);
    bool good = false;
    if (name == "ratio") {
      good = ParseNumber(value, policy.max_ratio);
    } else if (name == "time") {
      good = ParseNumber(value, policy.max_seed_s);
    } else if (name == "idle") {
      good = ParseNumber(value, policy.max_idle_s);
    } else if (name == "bytes") {
      good = ParseNumber(value, policy.max_uploaded_bytes);
    } else if (name == "rule") {
      good = value == "any" || value == "all";
      policy.rule =
          value == "all" ? SeedPolicy::Rule::kAll : SeedPolicy::Rule::kAny;
    } else if (name == "last") {
      good = value == "stop";
      policy.stop_even_if_last = good;
    }
    if (!good) {
      return Fail(ErrorCode::kCorrupt,
                  StrCat("seed policy: \"", verify::EscapeForTerminal(part, 80),
                         "\" is not understood"));
    }
  }
  return policy;
}

void SeedClock::Advance(double now_s, bool serving, uint64_t uploaded_bytes) {
  if (last_s_.has_value() && was_serving_ && now_s > *last_s_) {
    const double step = std::min(now_s - *last_s_, kLongestStep_s);
    seed_seconds_ += step;
    idle_seconds_ += step;
  }
  if (uploaded_bytes != last_uploaded_) idle_seconds_ = 0;
  last_uploaded_ = uploaded_bytes;
  last_s_ = now_s;
  was_serving_ = serving;
}

bool CompletePeerWatch::Look(const Sight& sight) {
  const bool came = sight.known_seeds > known_seeds_;
  known_seeds_ = sight.known_seeds;
  return sight.connected_seeds > 0 || sight.tracker_complete > 1 || came;
}

}  // namespace p2p
