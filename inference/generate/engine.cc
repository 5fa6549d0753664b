// SPDX-License-Identifier: Apache-2.0
#include "inference/generate/engine.h"

#include <chrono>
#include <cmath>

#include "inference/text/stream_decoder.h"
#include "verify/base/text.h"

namespace inference {
namespace {

using Clock = std::chrono::steady_clock;

double SecondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// NaN or +infinity anywhere, or nothing finite: no token can be chosen.
verify::Result<void> CheckLogits(std::span<const float> logits,
                                 uint64_t position) {
  bool any_finite = false;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (std::isfinite(logits[i])) {
      any_finite = true;
    } else if (std::isnan(logits[i]) || logits[i] > 0) {
      return verify::Fail(
                 verify::ErrorCode::kCorrupt,
                 verify::StrCat("the model gave ", double{logits[i]},
                                " for token ", i, " at position ", position))
          .Id("E-LOGITS")
          .Hint("run the smoke test: it names the layer that went wrong");
    }
  }
  if (any_finite) return {};
  return verify::Fail(verify::ErrorCode::kCorrupt,
                      verify::StrCat("the model rules out every token at "
                                     "position ",
                                     position))
      .Id("E-LOGITS");
}

}  // namespace

verify::Result<GenerateOutcome> Generate(const Model& model, Session& session,
                                         std::span<const TokenId> prompt,
                                         const GenerateOptions& options,
                                         const verify::CancelToken& cancel,
                                         const TokenCallback& on_token,
                                         ForwardObserver* observer) {
  GenerateOutcome outcome;
  outcome.prompt_tokens = prompt.size();
  const auto prompt_start = Clock::now();
  auto appended = session.Append(prompt, observer, &cancel);
  outcome.prompt_seconds = SecondsSince(prompt_start);
  if (!appended && appended.error().code == verify::ErrorCode::kCancelled) {
    outcome.finish = FinishReason::kCancelled;
    return outcome;
  }
  if (!appended) return verify::Unexpected(std::move(appended).error());

  const auto generate_start = Clock::now();
  Sampler sampler(options.sampler);
  StreamDecoder decoder(model.tokenizer());
  outcome.finish = FinishReason::kLength;
  while (outcome.ids.size() < options.max_tokens) {
    if (cancel.cancelled()) {
      outcome.finish = FinishReason::kCancelled;
      break;
    }
    RETURN_IF_ERROR(CheckLogits(session.logits(), session.position()));
    const TokenId id = sampler.Sample(session.logits());
    if (id == model.tokenizer().eos_id()) {
      outcome.finish = FinishReason::kStop;
      break;
    }
    const float logprob = LogProbability(session.logits(), id);
    outcome.ids.push_back(id);
    const std::string text = decoder.Next(id);
    outcome.text += text;
    if (on_token) on_token(id, text, logprob);
    appended = session.Append({&id, 1}, observer, &cancel);
    if (appended) continue;
    if (appended.error().id == "E-CONTEXT") break;  // the session is full
    if (appended.error().code == verify::ErrorCode::kCancelled) {
      outcome.finish = FinishReason::kCancelled;
      break;
    }
    return verify::Unexpected(std::move(appended).error());
  }
  outcome.text += decoder.Finish();
  outcome.generate_seconds = SecondsSince(generate_start);
  return outcome;
}

}  // namespace inference
