// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <functional>
#include <utility>

#include "inference/model/model_impl.h"
#include "inference/model/session_impl.h"
#include "verify/base/text.h"

namespace inference {

using verify::ErrorCode;
using verify::Fail;
using verify::Result;
using verify::StrCat;

namespace {

// Tokens whose logits are there at once: 16 MB for a vocabulary of 32,000.
constexpr size_t kScoredTokens = 128;

}  // namespace

Result<void> Session::Impl::CheckTokens(std::span<const TokenId> ids) const {
  if (ids.empty()) {
    return Fail(ErrorCode::kInvalidArgument, "no token to append");
  }
  const auto vocab_size = model->config().vocab_size;
  for (const TokenId id : ids) {
    if (id < 0 || static_cast<uint64_t>(id) >= vocab_size) {
      return Fail(ErrorCode::kInvalidArgument,
                  StrCat("token id ", id, " is outside the vocabulary of ",
                         vocab_size));
    }
  }
  const uint64_t start = cache.position();
  if (ids.size() > cache.max_tokens() - start) {
    return Fail(ErrorCode::kLimit,
                StrCat(ids.size(), " tokens after ", start,
                       " pass the end of the sequence at ", cache.max_tokens()))
        .Id("E-CONTEXT");
  }
  return {};
}

void Session::Impl::GoBack(uint64_t start) {
  if (cache.position() != start && !cache.Rewind(start)) cache.Rewind(0);
  tokens.resize(static_cast<size_t>(cache.position()));
}

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::Session(Session&&) noexcept = default;
Session& Session::operator=(Session&&) noexcept = default;
Session::~Session() = default;

Result<Session> Session::Create(const Model& model, uint64_t max_tokens) {
  ASSIGN_OR_RETURN(
      auto cache, KvCache::Create(model.config(), max_tokens, model.kv_type()));
  auto impl = std::make_unique<Impl>(Impl{&model, std::move(cache), {}, {}});
  impl->logits.resize(static_cast<size_t>(model.config().vocab_size));
  return Session(std::move(impl));
}

Result<void> Session::Append(std::span<const TokenId> tokens,
                             ForwardObserver* observer,
                             const verify::CancelToken* cancel) {
  RETURN_IF_ERROR(impl_->CheckTokens(tokens));
  KvCache& cache = impl_->cache;
  const uint64_t start = cache.position();
  Transformer& transformer = impl_->model->impl_->transformer;
  for (auto rest = tokens; !rest.empty();) {
    const auto batch =
        rest.first(std::min<size_t>(rest.size(), kMaxBatchTokens));
    rest = rest.subspan(batch.size());
    const size_t outputs = rest.empty() ? 1 : 0;
    auto done = transformer.Forward(batch, cache, outputs, observer, cancel);
    if (done && outputs != 0) {
      done = transformer.Logits(batch.size() - 1, 1, impl_->logits, cancel);
    }
    if (!done) {
      impl_->GoBack(start);
      return done;
    }
  }
  impl_->tokens.insert(impl_->tokens.end(), tokens.begin(), tokens.end());
  return {};
}

Result<void> Session::AppendScored(std::span<const TokenId> tokens,
                                   size_t first, const LogitsSink& sink,
                                   const verify::CancelToken* cancel) {
  RETURN_IF_ERROR(impl_->CheckTokens(tokens));
  KvCache& cache = impl_->cache;
  const uint64_t start = cache.position();
  Transformer& transformer = impl_->model->impl_->transformer;
  const size_t vocab_size = impl_->logits.size();
  std::vector<float> logits(std::min(kScoredTokens, tokens.size()) *
                            vocab_size);
  for (size_t at = 0; at < tokens.size();) {
    const size_t n = std::min<size_t>(tokens.size() - at, kMaxBatchTokens);
    const size_t skipped = std::clamp<size_t>(first, at, at + n) - at;
    auto done = transformer.Forward(tokens.subspan(at, n), cache, n - skipped,
                                    nullptr, cancel);
    for (size_t t = skipped; done && t < n;) {
      const size_t count = std::min(kScoredTokens, n - t);
      done = transformer.Logits(
          t, count, std::span(logits).first(count * vocab_size), cancel);
      for (size_t i = 0; done && i < count; ++i) {
        sink(at + t + i, std::span(logits).subspan(i * vocab_size, vocab_size));
      }
      t += count;
    }
    if (!done) {
      impl_->GoBack(start);
      return done;
    }
    at += n;
  }
  impl_->tokens.insert(impl_->tokens.end(), tokens.begin(), tokens.end());
  return {};
}

Result<void> Session::AppendEach(std::span<Session* const> sessions,
                                 std::span<const TokenId> tokens,
                                 const verify::CancelToken* cancel) {
  if (sessions.empty() || sessions.size() != tokens.size()) {
    return Fail(
        ErrorCode::kInvalidArgument,
        StrCat(tokens.size(), " tokens for ", sessions.size(), " sequences"));
  }
  const Model& model = sessions[0]->model();
  std::vector<KvCache*> caches;
  for (size_t i = 0; i < sessions.size(); ++i) {
    Impl& impl = *sessions[i]->impl_;
    if (impl.model != &model) {
      return Fail(ErrorCode::kInvalidArgument,
                  "sequences of several models cannot go on together");
    }
    RETURN_IF_ERROR(impl.CheckTokens(tokens.subspan(i, 1)));
    caches.push_back(&impl.cache);
  }
  auto sorted = caches;
  std::sort(sorted.begin(), sorted.end(), std::less<>());
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) {
    return Fail(ErrorCode::kInvalidArgument,
                "a sequence cannot go on by two tokens at once");
  }
  Transformer& transformer = model.impl_->transformer;
  const auto vocab_size = static_cast<size_t>(model.config().vocab_size);
  std::vector<float> logits(std::min(kScoredTokens, caches.size()) *
                            vocab_size);
  Result<void> done;
  for (size_t at = 0; done && at < caches.size(); at += kScoredTokens) {
    const size_t n = std::min(kScoredTokens, caches.size() - at);
    const auto values = std::span(logits).first(n * vocab_size);
    done = transformer.ForwardEach(tokens.subspan(at, n),
                                   std::span(caches).subspan(at, n), cancel);
    if (done) done = transformer.Logits(0, n, values, cancel);
    for (size_t i = 0; done && i < n; ++i) {
      const auto row = values.subspan(i * vocab_size, vocab_size);
      sessions[at + i]->impl_->logits.assign(row.begin(), row.end());
    }
  }
  for (size_t i = 0; i < sessions.size(); ++i) {
    Impl& impl = *sessions[i]->impl_;
    if (done) {
      impl.tokens.push_back(tokens[i]);
    } else {
      impl.GoBack(impl.tokens.size());
    }
  }
  return done;
}

std::span<const float> Session::logits() const { return impl_->logits; }
std::span<const TokenId> Session::tokens() const { return impl_->tokens; }
uint64_t Session::position() const { return impl_->cache.position(); }
uint64_t Session::max_tokens() const { return impl_->cache.max_tokens(); }
const Model& Session::model() const { return *impl_->model; }

bool Session::Rewind(uint64_t position) {
  if (!impl_->cache.Rewind(position)) return false;
  impl_->tokens.resize(static_cast<size_t>(position));
  return true;
}

}  // namespace inference
