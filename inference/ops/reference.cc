// SPDX-License-Identifier: Apache-2.0
#include "inference/ops/reference.h"

#include <algorithm>
#include <cmath>

#include "inference/quant/quantize.h"
#include "verify/base/check.h"

namespace inference::reference {

std::vector<float> DecodeRow(const TensorView& matrix, size_t row) {
  std::vector<float> out(matrix.cols);
  inference::DecodeRow(matrix.dtype, matrix.Row(row), out);
  return out;
}

double Dot(std::span<const float> a, std::span<const float> b) {
  CHECK(a.size() == b.size());
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  }
  return sum;
}

std::vector<float> MatMul(const TensorView& weight, std::span<const float> x,
                          size_t num_tokens) {
  CHECK(x.size() == num_tokens * weight.cols);
  std::vector<float> y(num_tokens * weight.rows);
  for (size_t r = 0; r < weight.rows; ++r) {
    const std::vector<float> row = DecodeRow(weight, r);
    for (size_t t = 0; t < num_tokens; ++t) {
      y[t * weight.rows + r] =
          static_cast<float>(Dot(row, x.subspan(t * weight.cols, weight.cols)));
    }
  }
  return y;
}

std::vector<float> RmsNorm(std::span<const float> x,
                           std::span<const float> gain, double eps) {
  const double mean = Dot(x, x) / static_cast<double>(x.size());
  std::vector<float> out(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    out[i] =
        static_cast<float>(static_cast<double>(x[i]) / std::sqrt(mean + eps) *
                           static_cast<double>(gain[i]));
  }
  return out;
}

double Silu(double x) { return x / (1.0 + std::exp(-x)); }

std::vector<double> Softmax(std::span<const double> x) {
  const double max = *std::max_element(x.begin(), x.end());
  std::vector<double> out(x.size());
  double sum = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    out[i] = std::exp(x[i] - max);
    sum += out[i];
  }
  for (double& value : out) value /= sum;
  return out;
}

std::vector<float> Attend(std::span<const float> q, std::span<const float> keys,
                          std::span<const float> values) {
  const size_t n = q.size();
  const size_t count = keys.size() / n;
  std::vector<double> scores(count);
  for (size_t j = 0; j < count; ++j) {
    scores[j] =
        Dot(q, keys.subspan(j * n, n)) / std::sqrt(static_cast<double>(n));
  }
  const std::vector<double> weights = Softmax(scores);
  std::vector<float> out(n);
  for (size_t i = 0; i < n; ++i) {
    double sum = 0;
    for (size_t j = 0; j < count; ++j) {
      sum += weights[j] * static_cast<double>(values[j * n + i]);
    }
    out[i] = static_cast<float>(sum);
  }
  return out;
}

}  // namespace inference::reference
