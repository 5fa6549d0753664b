// SPDX-License-Identifier: Apache-2.0
// The decode loop: prompt in, tokens out one by one.
// Tested by tests/inference/generate/engine_test.cc.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "inference/generate/sampler.h"
#include "inference/model/model.h"
#include "verify/base/progress.h"
#include "verify/base/result.h"

namespace inference {

struct GenerateOptions {
  SamplerOptions sampler;
  uint64_t max_tokens = 256;
};

enum class FinishReason { kStop, kLength, kCancelled };

struct GenerateOutcome {
  std::vector<TokenId> ids;  // without the final EOS
  std::string text;
  FinishReason finish = FinishReason::kStop;
  uint64_t prompt_tokens = 0;
  double prompt_seconds = 0;
  double generate_seconds = 0;
};

// `on_token`(id, new_text, log_probability) is called for each token but EOS;
// new_text is complete UTF-8 and may be empty. Appends prompt and answer to
// `session`. kLength when max_tokens or the session's end is reached.
using TokenCallback =
    std::function<void(TokenId id, const std::string& text, float logprob)>;
verify::Result<GenerateOutcome> Generate(const Model& model, Session& session,
                                         std::span<const TokenId> prompt,
                                         const GenerateOptions& options,
                                         const verify::CancelToken& cancel,
                                         const TokenCallback& on_token,
                                         ForwardObserver* observer = nullptr);

}  // namespace inference
