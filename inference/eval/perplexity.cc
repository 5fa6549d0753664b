// SPDX-License-Identifier: Apache-2.0
#include "inference/eval/perplexity.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "verify/base/text.h"

namespace inference {
namespace {

using verify::ErrorCode;
using verify::Fail;
using verify::Result;
using verify::StrCat;

constexpr uint64_t kMinContext = 8;
constexpr uint64_t kMaxContext = 1'000'000;

// -ln of the probability of `id`, in double; NaN where a logit is.
double NegativeLogLikelihood(std::span<const float> logits, TokenId id) {
  const float max = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) {
    sum += std::exp(static_cast<double>(logit) - static_cast<double>(max));
  }
  const auto at = static_cast<size_t>(id);
  return std::log(sum) + static_cast<double>(max) -
         static_cast<double>(logits[at]);
}

struct Sums {
  double nll = 0;
  double squares = 0;
  uint64_t count = 0;

  double Perplexity() const {
    return std::exp(nll / static_cast<double>(count));
  }
};

PerplexityReport ReportOf(const Sums& sums, uint64_t num_chunks) {
  PerplexityReport report;
  const auto count = static_cast<double>(sums.count);
  report.mean_nll = sums.nll / count;
  report.perplexity = sums.Perplexity();
  report.num_chunks = num_chunks;
  report.num_scored = sums.count;
  const double variance =
      sums.squares / count - report.mean_nll * report.mean_nll;
  if (variance > 0 && sums.count > 1) {
    report.standard_error =
        std::sqrt(variance / (count - 1)) * report.perplexity;
  }
  return report;
}

Result<void> CheckOptions(const PerplexityOptions& options, size_t num_tokens) {
  const uint64_t context = options.context_tokens;
  if (context < kMinContext || context > kMaxContext) {
    return Fail(ErrorCode::kInvalidArgument,
                StrCat("a context of ", context, " tokens: from ", kMinContext,
                       " to ", kMaxContext, " can be measured"))
        .Id("E-USAGE");
  }
  if (num_tokens < 2 * context) {
    return Fail(ErrorCode::kInvalidArgument,
                StrCat("the text has ", num_tokens, " tokens; ", 2 * context,
                       " are needed for two chunks of ", context))
        .Id("E-USAGE")
        .Hint("give a longer text or a smaller --ctx");
  }
  return {};
}

}  // namespace

Result<PerplexityReport> MeasurePerplexity(const Model& model,
                                           std::span<const TokenId> tokens,
                                           const PerplexityOptions& options,
                                           const verify::CancelToken& cancel,
                                           const ChunkCallback& on_chunk) {
  RETURN_IF_ERROR(CheckOptions(options, tokens.size()));
  const auto context = static_cast<size_t>(options.context_tokens);
  uint64_t num_chunks = tokens.size() / context;
  if (options.max_chunks != 0) {
    num_chunks = std::min(num_chunks, options.max_chunks);
  }
  ASSIGN_OR_RETURN(Session session, Session::Create(model, context));
  const size_t first = context / 2;
  Sums sums;
  for (uint64_t chunk = 0; chunk < num_chunks; ++chunk) {
    const auto begin =
        tokens.begin() + static_cast<std::ptrdiff_t>(chunk * context);
    std::vector<TokenId> ids(begin,
                             begin + static_cast<std::ptrdiff_t>(context));
    const std::vector<TokenId> foretold = ids;
    if (model.tokenizer().adds_bos()) ids[0] = model.tokenizer().bos_id();
    const auto score = [&](size_t index, std::span<const float> logits) {
      const double nll = NegativeLogLikelihood(logits, foretold[index + 1]);
      sums.nll += nll;
      sums.squares += nll * nll;
      ++sums.count;
    };
    CHECK(session.Rewind(0));
    // The last token foretells nothing of this chunk.
    RETURN_IF_ERROR(session.AppendScored(std::span(ids).first(context - 1),
                                         first, score, &cancel));
    if (!std::isfinite(sums.nll)) {
      return Fail(ErrorCode::kCorrupt,
                  StrCat("chunk ", chunk,
                         ": the model gives no finite probability"))
          .Id("E-LOGITS")
          .Hint("run the smoke test: it names the layer that went wrong");
    }
    if (on_chunk) on_chunk(chunk + 1, num_chunks, sums.Perplexity());
  }
  return ReportOf(sums, num_chunks);
}

}  // namespace inference
