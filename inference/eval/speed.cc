// SPDX-License-Identifier: Apache-2.0
#include "inference/eval/speed.h"

#include <algorithm>
#include <chrono>

#include "verify/base/check.h"

namespace inference {
namespace {

using Clock = std::chrono::steady_clock;
using verify::Result;

// Enough to bring every weight of a dense model and most experts in.
constexpr size_t kWarmUpTokens = 32;

// Tokens that differ, so that a mixture uses its experts; the same every time.
std::vector<TokenId> SomeTokens(size_t count, uint64_t vocab_size) {
  std::vector<TokenId> ids(count);
  uint64_t state = 1;
  for (TokenId& id : ids) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    id = static_cast<TokenId>((state >> 33) % vocab_size);
  }
  return ids;
}

Result<double> RateOf(Session& session, std::span<const TokenId> ids,
                      size_t step, const verify::CancelToken& cancel) {
  CHECK(session.Rewind(0));
  const auto start = Clock::now();
  for (size_t at = 0; at < ids.size(); at += step) {
    RETURN_IF_ERROR(session.Append(ids.subspan(at, step), nullptr, &cancel));
  }
  const std::chrono::duration<double> took = Clock::now() - start;
  return static_cast<double>(ids.size()) / std::max(took.count(), 1e-9);
}

}  // namespace

double Median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half]
                                : (values[half - 1] + values[half]) / 2;
}

Result<SpeedReport> MeasureSpeed(const Model& model,
                                 const SpeedOptions& options,
                                 const verify::CancelToken& cancel,
                                 const RepeatCallback& on_repeat) {
  const uint64_t most =
      std::max(options.prompt_tokens, options.generated_tokens);
  if (options.repeats == 0 || most == 0) {
    return verify::Fail(verify::ErrorCode::kInvalidArgument,
                        "nothing to measure")
        .Id("E-USAGE");
  }
  const auto room = std::max<uint64_t>(most, kWarmUpTokens);
  ASSIGN_OR_RETURN(Session session, Session::Create(model, room));
  const std::vector<TokenId> ids =
      SomeTokens(static_cast<size_t>(room), model.config().vocab_size);
  const std::span all(ids);
  RETURN_IF_ERROR(session.Append(all.first(kWarmUpTokens), nullptr, &cancel));
  SpeedReport report;
  for (uint64_t repeat = 0; repeat < options.repeats; ++repeat) {
    if (options.prompt_tokens != 0) {
      const auto prompt = all.first(static_cast<size_t>(options.prompt_tokens));
      ASSIGN_OR_RETURN(const double rate,
                       RateOf(session, prompt, prompt.size(), cancel));
      report.prompt_rates.push_back(rate);
    }
    if (options.generated_tokens != 0) {
      ASSIGN_OR_RETURN(
          const double rate,
          RateOf(session,
                 all.first(static_cast<size_t>(options.generated_tokens)), 1,
                 cancel));
      report.generate_rates.push_back(rate);
    }
    if (on_repeat) on_repeat(report);
  }
  return report;
}

}  // namespace inference
