// SPDX-License-Identifier: Apache-2.0
#include "inference/eval/smoke_test.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <span>
#include <string_view>
#include <utility>

#include "inference/generate/sampler.h"
#include "verify/base/text.h"

namespace inference {
namespace {

using verify::Result;
using verify::StrCat;

// Plain completions, understood by base and chat models alike.
constexpr std::string_view kTextPrompts[] = {
    "Once upon a time",
    "Question: What is water?\nAnswer:",
    "The most important thing about",
};
// Read only, to reach experts that prose does not.
constexpr std::string_view kReadPrompts[] = {
    "def fibonacci(n):\n    if n < 2:\n        return n\n    return "
    "fibonacci(n - 1) + fibonacci(n - 2)\n",
    "The integral of 3x^2 + 2x from 0 to 4 equals 64 + 16 = 80. Therefore,",
    "Der Fluss floss langsam durch das Tal. La rivière coulait lentement. "
    "El río corría despacio.",
    "Patient: 45 years, blood pressure 120/80, no known allergies. Diagnosis:",
    "{\"name\": \"value\", \"list\": [1, 2, 3], \"nested\": {\"a\": null}}",
    "SELECT name, count(*) FROM users WHERE age > 30 GROUP BY name;",
};
constexpr size_t kTokensPerText = 24;
constexpr size_t kMaxPromptTokens = 96;
// One token over and over for this long is no text.
constexpr size_t kMinTextTokens = 4;

// The largest activations known of trained models of this kind are below 1e4
// (arXiv:2402.17762); weights that are scaled wrongly pass this bound within a
// layer or two, because every layer multiplies three matrices.
constexpr float kExploded = 1e6f;

// What is wrong with a row of numbers, or nothing.
std::string Trouble(std::span<const float> values) {
  float largest = 0;
  for (const float value : values) {
    if (!std::isfinite(value)) return std::isnan(value) ? "NaN" : "infinity";
    largest = std::max(largest, std::fabs(value));
  }
  if (largest > kExploded) {
    return StrCat("values up to ", static_cast<double>(largest));
  }
  return {};
}

std::string LayerName(int64_t layer, int64_t num_layers) {
  if (layer < 0) return "the embedding";
  if (layer == num_layers) return "the last norm";
  return StrCat("layer ", layer);
}

// Looks at every layer of every token that passes.
class Watcher final : public ForwardObserver {
 public:
  explicit Watcher(const verify::ModelConfig& config)
      : num_layers_(static_cast<int64_t>(config.num_layers)),
        dim_(config.dim),
        inputs_(config.num_layers),
        counts_(config.is_moe() ? config.num_layers : 0) {
    for (size_t l = 0; l < counts_.size(); ++l) {
      if (config.is_moe_layer(l)) counts_[l].resize(config.num_experts);
    }
  }

  void OnLayer(int64_t layer, std::span<const float> hidden,
               size_t num_tokens) override {
    if (bad_layer_.has_value()) return;
    if (std::string trouble = Trouble(hidden); !trouble.empty()) {
      bad_layer_ = layer;
      trouble_ = std::move(trouble);
      return;
    }
    if (layer + 1 < num_layers_) {
      const auto last = hidden.subspan((num_tokens - 1) * dim_, dim_);
      inputs_[static_cast<size_t>(layer + 1)].assign(last.begin(), last.end());
    }
  }

  void OnExperts(int64_t layer, std::span<const uint32_t> experts,
                 std::span<const float> /*weights*/, size_t /*num_tokens*/,
                 size_t /*k*/) override {
    for (const uint32_t expert : experts) {
      ++counts_[static_cast<size_t>(layer)][expert];
    }
  }

  const std::optional<int64_t>& bad_layer() const { return bad_layer_; }
  const std::string& trouble() const { return trouble_; }
  // The residual stream that came into a layer, of some token.
  const std::vector<float>& input(size_t layer) const { return inputs_[layer]; }
  const std::vector<std::vector<uint64_t>>& counts() const { return counts_; }

 private:
  const int64_t num_layers_;
  const size_t dim_;
  std::vector<std::vector<float>> inputs_;
  std::vector<std::vector<uint64_t>> counts_;
  std::optional<int64_t> bad_layer_;
  std::string trouble_;
};

class SmokeTest {
 public:
  SmokeTest(const Model& model, const verify::CancelToken& cancel)
      : model_(model), cancel_(cancel), watcher_(model.config()) {}

  Result<SmokeReport> Run() {
    for (const auto prompt : kTextPrompts) {
      if (text_ok_ || Broken()) break;
      RETURN_IF_ERROR(Complete(prompt));
    }
    for (const auto prompt : kReadPrompts) {
      if (Broken()) break;
      RETURN_IF_ERROR(Read(prompt));
    }
    report_.first_bad_layer = watcher_.bad_layer();
    report_.expert_counts = watcher_.counts();
    if (generate_seconds_ > 0) {
      report_.tokens_per_s =
          static_cast<double>(generated_) / generate_seconds_;
    }
    AddFiniteCheck();
    AddLogitsCheck();
    AddTextCheck();
    RETURN_IF_ERROR(AddExpertsCheck());
    return std::move(report_);
  }

 private:
  bool Broken() const {
    return watcher_.bad_layer().has_value() || !logits_trouble_.empty();
  }

  std::vector<TokenId> Encode(std::string_view text) const {
    const Tokenizer& tokenizer = model_.tokenizer();
    std::vector<TokenId> ids;
    if (tokenizer.bos_id() >= 0) ids.push_back(tokenizer.bos_id());
    for (const TokenId id : tokenizer.Encode(text)) ids.push_back(id);
    if (ids.empty()) ids.push_back(0);
    ids.resize(std::min(ids.size(), kMaxPromptTokens));
    return ids;
  }

  // Appends and looks at the logits.
  Result<void> Step(Session& session, std::span<const TokenId> ids) {
    RETURN_IF_ERROR(session.Append(ids, &watcher_, &cancel_));
    if (Broken()) return {};
    const auto logits = session.logits();
    for (size_t i = 0; i < logits.size(); ++i) {
      if (std::isfinite(logits[i])) continue;
      logits_trouble_ =
          StrCat("the output matrix gives ", static_cast<double>(logits[i]),
                 " for token ", i);
      return {};
    }
    const auto [low, high] = std::minmax_element(logits.begin(), logits.end());
    if (*low == *high && logits.size() > 1) {
      logits_trouble_ = StrCat(
          "the output matrix gives every token the same "
          "logit, ",
          static_cast<double>(*low));
    }
    return {};
  }

  Result<void> Read(std::string_view prompt) {
    const auto ids = Encode(prompt);
    ASSIGN_OR_RETURN(Session session, Session::Create(model_, ids.size()));
    return Step(session, ids);
  }

  Result<void> Complete(std::string_view prompt) {
    const auto ids = Encode(prompt);
    ASSIGN_OR_RETURN(Session session,
                     Session::Create(model_, ids.size() + kTokensPerText));
    RETURN_IF_ERROR(Step(session, ids));
    Sampler sampler(SamplerOptions{});
    std::vector<TokenId> generated;
    const auto start = std::chrono::steady_clock::now();
    while (!Broken() && generated.size() < kTokensPerText) {
      const TokenId id = sampler.Sample(session.logits());
      if (id == model_.tokenizer().eos_id()) break;
      generated.push_back(id);
      RETURN_IF_ERROR(Step(session, {&id, 1}));
    }
    generate_seconds_ +=
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start)
            .count();
    generated_ += generated.size();
    if (!Broken()) Judge(generated);
    return {};
  }

  void Judge(const std::vector<TokenId>& ids) {
    const Tokenizer& tokenizer = model_.tokenizer();
    const std::string text = tokenizer.Decode(ids);
    const bool all_control =
        std::all_of(ids.begin(), ids.end(),
                    [&](TokenId id) { return tokenizer.IsControl(id); });
    const bool one_token =
        std::adjacent_find(ids.begin(), ids.end(), std::not_equal_to<>()) ==
        ids.end();
    if (ids.empty()) {
      text_trouble_ = "the answer is empty";
    } else if (all_control || verify::TrimAscii(text).empty()) {
      text_trouble_ = "the answer has no visible text";
    } else if (one_token && ids.size() >= kMinTextTokens) {
      text_trouble_ =
          StrCat("the answer is token ", ids[0], " \"",
                 verify::EscapeForTerminal(tokenizer.PieceBytes(ids[0]), 32),
                 "\" ", ids.size(), " times");
    } else {
      text_ok_ = true;
    }
    if (report_.text.empty() || text_ok_) report_.text = text;
  }

  void AddFiniteCheck() {
    SmokeCheck check{"smoke.finite", !watcher_.bad_layer().has_value(), {}};
    const auto num_layers = static_cast<int64_t>(model_.config().num_layers);
    check.detail = check.ok
                       ? StrCat("all ", num_layers, " layers finite")
                       : StrCat(LayerName(*watcher_.bad_layer(), num_layers),
                                " gives ", watcher_.trouble());
    report_.checks.push_back(std::move(check));
  }

  void AddLogitsCheck() {
    SmokeCheck check{"smoke.logits", !Broken(), {}};
    check.detail = check.ok                  ? "logits finite and not all equal"
                   : logits_trouble_.empty() ? NotRun()
                                             : logits_trouble_;
    report_.checks.push_back(std::move(check));
  }

  void AddTextCheck() {
    SmokeCheck check{"smoke.text", text_ok_ && !Broken(), {}};
    if (Broken()) {
      check.detail = logits_trouble_.empty() ? NotRun() : logits_trouble_;
    } else {
      check.detail =
          text_ok_
              ? StrCat("\"", verify::EscapeForTerminal(report_.text, 160), "\"")
              : StrCat(text_trouble_, " for each of ", std::size(kTextPrompts),
                       " prompts");
    }
    report_.checks.push_back(std::move(check));
  }

  // That a short text does not reach an expert says nothing: experts
  // specialise. So one that was not chosen is run by itself on a state that
  // its layer has seen; what it gives must be numbers and not all zero, which
  // only missing or cleared weights give.
  Result<void> AddExpertsCheck() {
    SmokeCheck check{"smoke.experts", true, {}};
    const auto& config = model_.config();
    uint64_t all = 0;
    uint64_t alone = 0;
    std::string trouble;
    if (!config.is_moe()) {
      check.detail = "dense model, no experts";
    } else if (watcher_.bad_layer().has_value()) {
      check.ok = false;
      check.detail = NotRun();
    } else {
      for (size_t l = 0; l < config.num_layers; ++l) {
        const std::vector<uint64_t>& counts = report_.expert_counts[l];
        all += counts.size();
        for (size_t e = 0; e < counts.size(); ++e) {
          if (counts[e] > 0) continue;
          ++alone;
          if (cancel_.cancelled()) {
            return verify::Fail(verify::ErrorCode::kCancelled,
                                "stopped on request");
          }
          ASSIGN_OR_RETURN(std::string found, TryExpert(l, e));
          if (found.empty() || !trouble.empty()) continue;
          trouble = std::move(found);
          report_.first_bad_layer = static_cast<int64_t>(l);
        }
      }
      check.ok = trouble.empty();
      check.detail = check.ok ? StrCat(all - alone, " of ", all,
                                       " experts chosen by the text, ", alone,
                                       " run by themselves, all finite")
                              : trouble;
    }
    report_.checks.push_back(std::move(check));
    return {};
  }

  Result<std::string> TryExpert(size_t layer, size_t expert) {
    ASSIGN_OR_RETURN(const auto out,
                     model_.RunExpert(layer, expert, watcher_.input(layer)));
    std::string trouble = Trouble(out);
    if (trouble.empty() &&
        std::all_of(out.begin(), out.end(), [](float x) { return x == 0; })) {
      trouble = "nothing but zeros";
    }
    if (trouble.empty()) return std::string();
    return StrCat("layer ", layer, " expert ", expert, " gives ", trouble);
  }

  std::string NotRun() const {
    return StrCat("not judged, ",
                  LayerName(*watcher_.bad_layer(),
                            static_cast<int64_t>(model_.config().num_layers)),
                  " went wrong before");
  }

  const Model& model_;
  const verify::CancelToken& cancel_;
  Watcher watcher_;
  SmokeReport report_;
  std::string logits_trouble_;
  std::string text_trouble_;
  bool text_ok_ = false;
  uint64_t generated_ = 0;
  double generate_seconds_ = 0;
};

}  // namespace

bool SmokeReport::ok() const {
  return std::all_of(checks.begin(), checks.end(),
                     [](const SmokeCheck& check) { return check.ok; });
}

Result<SmokeReport> RunSmokeTest(const Model& model,
                                 const verify::CancelToken& cancel) {
  return SmokeTest(model, cancel).Run();
}

}  // namespace inference
