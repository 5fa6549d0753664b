// SPDX-License-Identifier: Apache-2.0
#include "inference/moe/experts.h"

#include <algorithm>
#include <cstring>
#include <functional>

namespace inference {
namespace {

// Elements of an activation that a thread takes at a time.
constexpr size_t kActivationGrain = 4096;
// Columns of the residual that a thread takes at a time.
constexpr size_t kColumnGrain = 64;

}  // namespace

bool Experts::Run(std::span<const FfnWeights> experts, const Routing& routing,
                  const float* x, size_t num_tokens, float* residual) {
  GroupByExpert(experts.size(), routing, num_tokens);
  // As many experts at once as fit the memory that one alone may need: all
  // for a single token, one or a few for a long prompt.
  const size_t max_pairs = std::max(num_tokens, routing.k);
  for (size_t first = 0; first < experts.size();) {
    const size_t end = GroupEnd(first, experts.size(), max_pairs);
    if (!RunGroup(experts, first, end, x, residual)) return false;
    first = end;
  }
  return true;
}

bool Experts::Show(std::span<const FfnWeights> experts, const Routing& routing,
                   const float* x, size_t num_tokens, const InputTap& tap) {
  GroupByExpert(experts.size(), routing, num_tokens);
  const size_t dim = experts[0].gate.cols;
  const size_t ff_dim = experts[0].gate.rows;
  std::vector<float> weights;
  for (const Pair& pair : pairs_) weights.push_back(pair.weight);
  const size_t max_pairs = std::max(num_tokens, routing.k);
  for (size_t first = 0; first < experts.size();) {
    const size_t end = GroupEnd(first, experts.size(), max_pairs);
    if (!RunGates(experts, first, end, x)) return false;
    for (size_t e = first; e < end; ++e) {
      const size_t count = starts_[e + 1] - starts_[e];
      if (count == 0) continue;
      const size_t at = starts_[e] - starts_[first];
      const auto of_rows = std::span(weights).subspan(starts_[e], count);
      const auto expert = static_cast<int64_t>(e);
      tap.observer->OnInput({ProductInput::kFeedForward, tap.layer, expert},
                            {gathered_.data() + at * dim, count * dim}, dim,
                            of_rows);
      tap.observer->OnInput({ProductInput::kDown, tap.layer, expert},
                            {gate_.data() + at * ff_dim, count * ff_dim},
                            ff_dim, of_rows);
    }
    first = end;
  }
  return true;
}

size_t Experts::GroupEnd(size_t first, size_t num_experts,
                         size_t max_pairs) const {
  size_t end = first + 1;
  while (end < num_experts && starts_[end + 1] - starts_[first] <= max_pairs) {
    ++end;
  }
  return end;
}

void Experts::GroupByExpert(size_t num_experts, const Routing& routing,
                            size_t num_tokens) {
  starts_.assign(num_experts + 1, 0);
  for (const uint32_t expert : routing.experts) ++starts_[expert + 1];
  for (size_t e = 0; e < num_experts; ++e) starts_[e + 1] += starts_[e];
  pairs_.resize(routing.experts.size());
  std::vector<size_t> next(starts_.begin(), starts_.end() - 1);
  for (size_t t = 0; t < num_tokens; ++t) {
    for (size_t i = t * routing.k; i < (t + 1) * routing.k; ++i) {
      pairs_[next[routing.experts[i]]++] = {static_cast<uint32_t>(t),
                                            routing.weights[i]};
    }
  }
}

bool Experts::RunGates(std::span<const FfnWeights> experts, size_t first_expert,
                       size_t end_expert, const float* x) {
  const size_t first_pair = starts_[first_expert];
  const size_t num_pairs = starts_[end_expert] - first_pair;
  if (num_pairs == 0) return true;
  const size_t dim = experts[0].gate.cols;
  const size_t ff_dim = experts[0].gate.rows;
  if (!gathered_.Reserve(num_pairs * dim) ||
      !gate_.Reserve(num_pairs * ff_dim) || !up_.Reserve(num_pairs * ff_dim)) {
    return false;
  }
  const std::span<const Pair> pairs(pairs_.data() + first_pair, num_pairs);
  for (size_t p = 0; p < num_pairs; ++p) {
    std::memcpy(gathered_.data() + p * dim, x + pairs[p].token * dim,
                dim * sizeof(float));
  }

  jobs_.clear();
  for (size_t e = first_expert; e < end_expert; ++e) {
    const size_t count = starts_[e + 1] - starts_[e];
    if (count == 0) continue;
    const size_t at = starts_[e] - first_pair;
    const float* in = gathered_.data() + at * dim;
    jobs_.push_back(
        {&experts[e].gate, in, count, gate_.data() + at * ff_dim, ff_dim});
    jobs_.push_back(
        {&experts[e].up, in, count, up_.data() + at * ff_dim, ff_dim});
  }
  if (!matmul_.Run(jobs_)) return false;

  const auto activate = [this](size_t begin, size_t end) {
    kernels_.silu_multiply(gate_.data() + begin, up_.data() + begin,
                           end - begin);
  };
  pool_.ParallelFor(num_pairs * ff_dim, kActivationGrain, std::ref(activate));
  return true;
}

bool Experts::RunGroup(std::span<const FfnWeights> experts, size_t first_expert,
                       size_t end_expert, const float* x, float* residual) {
  const size_t first_pair = starts_[first_expert];
  const size_t num_pairs = starts_[end_expert] - first_pair;
  if (num_pairs == 0) return true;
  const size_t dim = experts[0].gate.cols;
  const size_t ff_dim = experts[0].gate.rows;
  if (!out_.Reserve(num_pairs * dim) ||
      !RunGates(experts, first_expert, end_expert, x)) {
    return false;
  }
  const std::span<const Pair> pairs(pairs_.data() + first_pair, num_pairs);

  jobs_.clear();
  for (size_t e = first_expert; e < end_expert; ++e) {
    const size_t count = starts_[e + 1] - starts_[e];
    if (count == 0) continue;
    const size_t at = starts_[e] - first_pair;
    jobs_.push_back({&experts[e].down, gate_.data() + at * ff_dim, count,
                     out_.data() + at * dim, dim});
  }
  if (!matmul_.Run(jobs_)) return false;

  // Two experts may add to one token, so threads share by columns.
  const auto add = [&](size_t begin, size_t end) {
    for (size_t p = 0; p < num_pairs; ++p) {
      kernels_.multiply_add(pairs[p].weight, out_.data() + p * dim + begin,
                            end - begin,
                            residual + pairs[p].token * dim + begin);
    }
  };
  const size_t grain = num_pairs * dim <= kActivationGrain ? dim : kColumnGrain;
  pool_.ParallelFor(dim, grain, std::ref(add));
  return true;
}

}  // namespace inference
