// SPDX-License-Identifier: Apache-2.0
#include "cli/chat/expert_table.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "verify/base/text.h"

namespace cli {
namespace {

using inference::ExpertTrace;
using inference::ExpertUse;

// Eighths of a character cell; the first for an expert that was never taken.
constexpr std::string_view kBars[] = {" ", "▁", "▂", "▃", "▄",
                                      "▅", "▆", "▇", "█"};

double Ratio(double part, double whole) { return whole > 0 ? part / whole : 0; }

double Ratio(uint64_t part, uint64_t whole) {
  return Ratio(static_cast<double>(part), static_cast<double>(whole));
}

std::string BarsOf(const std::vector<uint64_t>& counts, bool unicode) {
  const uint64_t most = *std::max_element(counts.begin(), counts.end());
  std::string bars;
  for (const uint64_t count : counts) {
    // Nothing but 0 is drawn as nothing.
    const size_t level =
        count == 0 ? 0
                   : std::max<size_t>(
                         1, static_cast<size_t>(8 * Ratio(count, most) + 0.5));
    bars += unicode ? std::string(kBars[level]) : std::to_string(level);
  }
  return bars;
}

}  // namespace

Fields ExpertFields(const ExpertTrace& trace, uint64_t top_k) {
  Fields fields = {
      {"layers", trace.layers().size()},
      {"experts", trace.layers().empty() ? 0 : trace.layers()[0].counts.size()},
      {"top_k", top_k},
      {"tokens", trace.tokens()}};
  for (const char* name : {"counts", "first_counts", "gate_sum", "repeat_first",
                           "repeat_any", "entropy", "margin"}) {
    fields[name] = Fields::array();
  }
  for (const ExpertUse& use : trace.layers()) {
    fields["counts"].push_back(use.counts);
    fields["first_counts"].push_back(use.first_counts);
    fields["gate_sum"].push_back(use.gate_sum);
    fields["repeat_first"].push_back(Ratio(use.repeat_first, use.pairs));
    fields["repeat_any"].push_back(Ratio(use.repeat_any, use.pairs));
    fields["entropy"].push_back(inference::NormalisedEntropy(use.counts));
    fields["margin"].push_back(
        Ratio(use.margin_sum, static_cast<double>(trace.tokens())));
  }
  return fields;
}

std::vector<std::string> ExpertTable(const ExpertTrace& trace, uint64_t top_k,
                                     bool unicode) {
  std::vector<std::string> lines;
  if (trace.layers().empty() || trace.tokens() == 0) return lines;
  const size_t experts = trace.layers()[0].counts.size();
  const size_t width = std::max<size_t>(experts, 7);
  lines.push_back(fmt::format(
      "{} tokens, {} of {} experts each; a bar for each expert, of all choices "
      "and of the first",
      trace.tokens(), top_k, experts));
  lines.push_back(fmt::format(
      "{:>5}  {:<{}}  {:<{}}  {:>10}  {:>7}  {:>6}  {:>14}", "layer", "all",
      width, "first", width, "most", "entropy", "margin", "repeats 1st/any"));
  const std::string padding(width - experts, ' ');
  for (size_t l = 0; l < trace.layers().size(); ++l) {
    const ExpertUse& use = trace.layers()[l];
    const auto most = std::max_element(use.counts.begin(), use.counts.end());
    lines.push_back(fmt::format(
        "{:>5}  {}{}  {}{}  {:>3} {:>4.0f} %  {:>7.3f}  {:>6.3f}  {:>7.2f} "
        "{:>6.2f}",
        l, BarsOf(use.counts, unicode), padding,
        BarsOf(use.first_counts, unicode), padding, most - use.counts.begin(),
        100 * Ratio(*most, trace.tokens() * top_k),
        inference::NormalisedEntropy(use.counts),
        Ratio(use.margin_sum, static_cast<double>(trace.tokens())),
        Ratio(use.repeat_first, use.pairs), Ratio(use.repeat_any, use.pairs)));
  }
  return lines;
}

bool LocaleIsUtf8() {
  // The first that is set decides, as for setlocale.
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    const std::string lower = verify::AsciiLower(value);
    return lower.find("utf-8") != std::string::npos ||
           lower.find("utf8") != std::string::npos;
  }
  return false;
}

}  // namespace cli
