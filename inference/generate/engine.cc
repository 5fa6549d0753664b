// SPDX-License-Identifier: Apache-2.0
#include "inference/generate/engine.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <utility>

#include "inference/generate/stop_matcher.h"
#include "inference/model/kv_cache.h"
#include "inference/text/stream_decoder.h"
#include "verify/base/check.h"
#include "verify/base/text.h"

namespace inference {
namespace {

using Clock = std::chrono::steady_clock;
using verify::ErrorCode;
using verify::Result;

// A rejected guess is forgotten again, which a ring of keys allows for as many
// tokens as a batch has (KvCache::Create).
static_assert(kMaxDraftTokens < kMaxBatchTokens);

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// NaN or +infinity anywhere, or nothing finite: no token can be chosen.
Result<void> CheckLogits(std::span<const float> logits, uint64_t position) {
  bool any_finite = false;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (std::isfinite(logits[i])) {
      any_finite = true;
    } else if (std::isnan(logits[i]) || logits[i] > 0) {
      return verify::Fail(ErrorCode::kCorrupt,
                          verify::StrCat(
                              "the model gave ", static_cast<double>(logits[i]),
                              " for token ", i, " at position ", position))
          .Id("E-LOGITS")
          .Hint("run the smoke test: it names the layer that went wrong");
    }
  }
  if (any_finite) return {};
  return verify::Fail(ErrorCode::kCorrupt,
                      verify::StrCat("the model rules out every token at "
                                     "position ",
                                     position))
      .Id("E-LOGITS");
}

class Generation {
 public:
  Generation(const Model& model, Session& session,
             const GenerateOptions& options, const verify::CancelToken& cancel,
             const TokenCallback& on_token, ForwardObserver* observer)
      : model_(model),
        session_(session),
        options_(options),
        cancel_(cancel),
        on_token_(on_token),
        observer_(observer),
        sampler_(options.sampler),
        draft_length_(observer != nullptr ? LookupMode::kOff : options.lookup),
        decoder_(model.tokenizer()),
        matcher_(options.stops) {}

  Result<GenerateOutcome> Run(std::span<const TokenId> prompt);

 private:
  // A token that was sampled and has not been handed on.
  struct Sampled {
    TokenId id;
    float logprob;
  };

  Result<void> RunPrompt(std::span<const TokenId> prompt);
  Result<void> Answer();
  bool Sample(std::span<const float> logits, uint64_t position);
  size_t AcceptedTokens() const;
  Result<void> HandOn();
  Result<void> Step();
  Result<void> RunGuess(std::span<const TokenId> batch);
  void Finish(FinishReason reason) { finish_ = reason; }

  const Model& model_;
  Session& session_;
  const GenerateOptions& options_;
  const verify::CancelToken& cancel_;
  const TokenCallback& on_token_;
  ForwardObserver* const observer_;
  Sampler sampler_;
  DraftLength draft_length_;
  StreamDecoder decoder_;
  StopMatcher matcher_;
  GenerateOutcome outcome_;
  std::optional<FinishReason> finish_;
  // All tokens, those of sampled_ among them. The session lacks the last, but
  // for bad_logits_, which are those that follow it.
  std::vector<TokenId> sequence_;
  std::vector<Sampled> sampled_;
  std::optional<verify::Error> bad_logits_;  // of the token after sampled_
};

Result<GenerateOutcome> Generation::Run(std::span<const TokenId> prompt) {
  outcome_.prompt_tokens = prompt.size();
  const auto prompt_start = Clock::now();
  RETURN_IF_ERROR(RunPrompt(prompt));
  outcome_.prompt_seconds = SecondsSince(prompt_start);
  if (finish_ == FinishReason::kCancelled) {
    outcome_.finish = *finish_;
    return std::move(outcome_);
  }
  const auto generate_start = Clock::now();
  RETURN_IF_ERROR(Answer());
  outcome_.finish = *finish_;
  std::string tail = matcher_.Next(decoder_.Finish());
  tail += matcher_.Finish();
  if (!tail.empty()) {
    outcome_.text += tail;
    if (on_token_) on_token_(kNoToken, tail, 0);
  }
  outcome_.generate_seconds = SecondsSince(generate_start);
  return std::move(outcome_);
}

Result<void> Generation::RunPrompt(std::span<const TokenId> prompt) {
  const auto appended = session_.Append(prompt, observer_, &cancel_);
  if (!appended && appended.error().code == ErrorCode::kCancelled) {
    Finish(FinishReason::kCancelled);
    return {};
  }
  return appended;
}

Result<void> Generation::Answer() {
  if (options_.max_tokens == 0) {
    Finish(FinishReason::kLength);
    return {};
  }
  const auto tokens = session_.tokens();
  sequence_.assign(tokens.begin(), tokens.end());
  Sample(session_.logits(), session_.position());
  while (true) {
    RETURN_IF_ERROR(HandOn());
    if (finish_.has_value()) return {};
    RETURN_IF_ERROR(Step());
    if (finish_.has_value()) return {};
  }
}

// False if there is no token to be chosen.
bool Generation::Sample(std::span<const float> logits, uint64_t position) {
  auto checked = CheckLogits(logits, position);
  if (!checked) {
    bad_logits_ = std::move(checked).error();
    return false;
  }
  const TokenId id = sampler_.Sample(logits, sequence_);
  sampled_.push_back({id, LogProbability(logits, id)});
  sequence_.push_back(id);
  return true;
}

// Every sampled token but the last was guessed, and so is in the session; if
// none could be sampled after it, all were.
size_t Generation::AcceptedTokens() const {
  return bad_logits_.has_value() ? sampled_.size() : sampled_.size() - 1;
}

// Hands on what was sampled, until something ends the text: then the session
// is as if nothing had been guessed beyond.
Result<void> Generation::HandOn() {
  const size_t in_session = AcceptedTokens();
  const auto end_before = [&](size_t index, FinishReason reason) {
    CHECK(session_.Rewind(session_.position() - (in_session - index)));
    Finish(reason);
  };
  for (size_t i = 0; i < sampled_.size(); ++i) {
    const auto [id, logprob] = sampled_[i];
    if (cancel_.cancelled()) {
      end_before(i, FinishReason::kCancelled);
      return {};
    }
    if (id == model_.tokenizer().eos_id() && !options_.ignore_eos) {
      end_before(i, FinishReason::kStop);
      return {};
    }
    outcome_.ids.push_back(id);
    const std::string text = matcher_.Next(decoder_.Next(id));
    outcome_.text += text;
    if (on_token_) on_token_(id, text, logprob);
    if (matcher_.stopped()) {
      end_before(i, FinishReason::kStop);
      return {};
    }
  }
  sampled_.clear();
  if (!bad_logits_.has_value()) return {};
  if (cancel_.cancelled()) {
    Finish(FinishReason::kCancelled);
    return {};
  }
  return verify::Unexpected(std::move(*bad_logits_));
}

// Runs the last token, with a guess of what follows, and samples.
Result<void> Generation::Step() {
  const uint64_t wanted = options_.max_tokens - outcome_.ids.size();
  const uint64_t places = session_.max_tokens() - session_.position();
  if (places == 0) {
    Finish(FinishReason::kLength);
    return {};
  }
  std::vector<TokenId> batch = {sequence_.back()};
  if (wanted > 1 && places > 1) {
    const uint64_t most =
        std::min({uint64_t{draft_length_.Next()}, wanted - 1, places - 1});
    const auto guess = GuessTokens(sequence_, static_cast<size_t>(most));
    batch.insert(batch.end(), guess.begin(), guess.end());
  }
  const auto start = Clock::now();
  auto done = batch.size() > 1 ? RunGuess(batch)
                               : session_.Append(batch, observer_, &cancel_);
  if (!done && done.error().code == ErrorCode::kCancelled) {
    Finish(FinishReason::kCancelled);
    return {};
  }
  RETURN_IF_ERROR(done);
  const size_t proposed = batch.size() - 1;
  const size_t accepted = proposed == 0 ? 0 : AcceptedTokens();
  draft_length_.Report(proposed, accepted, SecondsSince(start));
  ++outcome_.lookup.passes;
  outcome_.lookup.proposed += proposed;
  outcome_.lookup.accepted += accepted;
  if (wanted == 0) {
    Finish(FinishReason::kLength);
  } else if (batch.size() == 1) {
    Sample(session_.logits(), session_.position());
  }
  return {};
}

// Samples after each token of the batch as long as sampling gives what was
// guessed: then the logits are those of the text so far.
Result<void> Generation::RunGuess(std::span<const TokenId> batch) {
  const uint64_t start = session_.position();
  const size_t old_size = sequence_.size();
  bool right = true;
  const auto done = session_.AppendScored(
      batch, 0,
      [&](size_t i, std::span<const float> logits) {
        if (!right) return;
        right = Sample(logits, start + i + 1) && i + 1 < batch.size() &&
                sequence_.back() == batch[i + 1];
      },
      &cancel_);
  if (!done) {
    sampled_.clear();
    sequence_.resize(old_size);
    return done;
  }
  CHECK(session_.Rewind(start + 1 + AcceptedTokens()));
  return {};
}

}  // namespace

Result<GenerateOutcome> Generate(const Model& model, Session& session,
                                 std::span<const TokenId> prompt,
                                 const GenerateOptions& options,
                                 const verify::CancelToken& cancel,
                                 const TokenCallback& on_token,
                                 ForwardObserver* observer) {
  RETURN_IF_ERROR(CheckSamplerOptions(options.sampler));
  RETURN_IF_ERROR(CheckStops(options.stops));
  return Generation(model, session, options, cancel, on_token, observer)
      .Run(prompt);
}

}  // namespace inference
