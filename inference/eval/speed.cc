// SPDX-License-Identifier: Apache-2.0
#include "inference/eval/speed.h"

#include <algorithm>
#include <chrono>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "verify/base/check.h"
#include "verify/base/text.h"

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

double RateOf(uint64_t tokens, double seconds) {
  return static_cast<double>(tokens) / std::max(seconds, 1e-9);
}

Result<double> AppendRate(Session& session, std::span<const TokenId> ids,
                          size_t step, const verify::CancelToken& cancel) {
  CHECK(session.Rewind(0));
  const auto start = Clock::now();
  for (size_t at = 0; at < ids.size(); at += step) {
    RETURN_IF_ERROR(session.Append(ids.subspan(at, step), nullptr, &cancel));
  }
  const std::chrono::duration<double> took = Clock::now() - start;
  return RateOf(ids.size(), took.count());
}

// What a text says over and over.
constexpr std::string_view kPassage =
    "To make tea, boil fresh water, warm the pot, and put in a spoon of leaves "
    "for each cup. Pour the water on, wait four minutes, and stir once. Pour "
    "the tea through a sieve into the cups, and add milk or lemon.\n";

verify::Unexpected NothingToMeasure() {
  return verify::Fail(verify::ErrorCode::kInvalidArgument, "nothing to measure")
      .Id("E-USAGE");
}

// Runs the token at `at` with a guess of what follows. How many of the guess
// are those of the text, which the session then holds, too.
Result<size_t> Advance(Session& session, std::span<const TokenId> text,
                       size_t at, size_t end, DraftLength& length,
                       LookupCounts& counts,
                       const verify::CancelToken& cancel) {
  const auto guess =
      GuessTokens(text.first(at + 1), std::min(length.Next(), end - at - 1));
  ++counts.passes;
  const auto start = Clock::now();
  const auto seconds = [start] {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  if (guess.empty()) {
    RETURN_IF_ERROR(session.Append(text.subspan(at, 1), nullptr, &cancel));
    length.Report(0, 0, seconds());
    return size_t{0};
  }
  std::vector<TokenId> batch = {text[at]};
  batch.insert(batch.end(), guess.begin(), guess.end());
  RETURN_IF_ERROR(session.AppendScored(
      batch, 0, [](size_t, std::span<const float>) {}, &cancel));
  size_t right = 0;
  while (right < guess.size() && guess[right] == text[at + 1 + right]) ++right;
  CHECK(session.Rewind(at + 1 + right));
  length.Report(guess.size(), right, seconds());
  counts.proposed += guess.size();
  counts.accepted += right;
  return right;
}

// Seconds since the one before, by layer.
class LayerClock final : public ForwardObserver {
 public:
  explicit LayerClock(size_t num_layers) : seconds_(num_layers + 1) {}

  void OnLayer(int64_t layer, std::span<const float> /*hidden*/,
               size_t /*num_tokens*/) override {
    // The embedding is with the first layer, the last norm with the output.
    if (layer < 0 || layer + 1 == static_cast<int64_t>(seconds_.size())) return;
    Take(static_cast<size_t>(layer));
  }
  void OnExperts(int64_t /*layer*/, std::span<const uint32_t> /*experts*/,
                 std::span<const float> /*weights*/, size_t /*num_tokens*/,
                 size_t /*k*/) override {}

  void Begin() { last_ = Clock::now(); }
  void End() { Take(seconds_.size() - 1); }
  // Of each layer, a number for each token.
  const std::vector<std::vector<double>>& seconds() const { return seconds_; }

 private:
  void Take(size_t index) {
    const auto now = Clock::now();
    seconds_[index].push_back(
        std::chrono::duration<double>(now - last_).count());
    last_ = now;
  }

  std::vector<std::vector<double>> seconds_;
  Clock::time_point last_;
};

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
    return NothingToMeasure();
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
                       AppendRate(session, prompt, prompt.size(), cancel));
      report.prompt_rates.push_back(rate);
    }
    if (options.generated_tokens != 0) {
      ASSIGN_OR_RETURN(
          const double rate,
          AppendRate(session,
                     all.first(static_cast<size_t>(options.generated_tokens)),
                     1, cancel));
      report.generate_rates.push_back(rate);
    }
    if (on_repeat) on_repeat(report);
  }
  return report;
}

Result<LookupReport> MeasureLookup(const Model& model,
                                   uint64_t generated_tokens, uint64_t repeats,
                                   const verify::CancelToken& cancel) {
  if (generated_tokens == 0 || repeats == 0) return NothingToMeasure();
  const Tokenizer& tokenizer = model.tokenizer();
  const auto passage = tokenizer.Encode(kPassage);
  std::vector<TokenId> text;
  if (tokenizer.adds_bos()) text.push_back(tokenizer.bos_id());
  // Once before anything is measured.
  const size_t begin = text.size() + passage.size();
  const size_t end = begin + static_cast<size_t>(generated_tokens);
  // One more, with which the guess of the last is compared.
  while (text.size() <= end) {
    text.insert(text.end(), passage.begin(), passage.end());
  }
  ASSIGN_OR_RETURN(Session session, Session::Create(model, end));
  RETURN_IF_ERROR(
      session.Append(std::span(text).first(begin), nullptr, &cancel));
  LookupReport report;
  for (uint64_t run = 0; run < 2 * repeats; ++run) {
    const bool plain = run % 2 == 0;
    CHECK(session.Rewind(begin));
    DraftLength length(plain ? LookupMode::kOff : LookupMode::kAuto);
    LookupCounts counts;
    const auto start = Clock::now();
    for (size_t at = begin; at < end;) {
      ASSIGN_OR_RETURN(const size_t right,
                       Advance(session, text, at, end, length, counts, cancel));
      at += 1 + right;
    }
    const std::chrono::duration<double> took = Clock::now() - start;
    (plain ? report.plain_rates : report.lookup_rates)
        .push_back(RateOf(generated_tokens, took.count()));
    if (!plain) report.counts = counts;
  }
  return report;
}

Result<std::vector<double>> MeasureParallel(const Model& model,
                                            uint64_t num_sequences,
                                            uint64_t tokens_of_each,
                                            uint64_t repeats,
                                            const verify::CancelToken& cancel) {
  if (num_sequences == 0 || tokens_of_each == 0 || repeats == 0) {
    return NothingToMeasure();
  }
  const auto count = static_cast<size_t>(num_sequences);
  const auto ids = SomeTokens(count * static_cast<size_t>(tokens_of_each),
                              model.config().vocab_size);
  std::vector<Session> sessions;
  std::vector<Session*> all;
  for (size_t i = 0; i < count; ++i) {
    ASSIGN_OR_RETURN(Session session, Session::Create(model, tokens_of_each));
    sessions.push_back(std::move(session));
  }
  for (Session& session : sessions) all.push_back(&session);
  // One step that is not counted brings weights and threads in.
  RETURN_IF_ERROR(
      Session::AppendEach(all, std::span(ids).first(count), &cancel));
  std::vector<double> rates;
  for (uint64_t repeat = 0; repeat < repeats; ++repeat) {
    for (Session* session : all) CHECK(session->Rewind(0));
    const auto start = Clock::now();
    for (size_t at = 0; at < ids.size(); at += count) {
      RETURN_IF_ERROR(
          Session::AppendEach(all, std::span(ids).subspan(at, count), &cancel));
    }
    const std::chrono::duration<double> took = Clock::now() - start;
    rates.push_back(RateOf(ids.size(), took.count()));
  }
  return rates;
}

Result<std::vector<double>> MeasureLayers(const Model& model,
                                          uint64_t generated_tokens,
                                          const verify::CancelToken& cancel) {
  if (generated_tokens == 0) return NothingToMeasure();
  const auto ids = SomeTokens(static_cast<size_t>(generated_tokens),
                              model.config().vocab_size);
  ASSIGN_OR_RETURN(Session session, Session::Create(model, generated_tokens));
  LayerClock clock(static_cast<size_t>(model.config().num_layers));
  for (const TokenId& id : ids) {
    clock.Begin();
    RETURN_IF_ERROR(session.Append({&id, 1}, &clock, &cancel));
    clock.End();
  }
  std::vector<double> medians;
  for (const auto& seconds : clock.seconds()) {
    medians.push_back(Median(seconds));
  }
  return medians;
}

}  // namespace inference
