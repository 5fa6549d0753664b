// SPDX-License-Identifier: Apache-2.0
// Every op as a plain loop with sums in double: what the fast kernels mean.
// Slow; for tests and for reading. All matrices are row-major.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "inference/tensor/tensor_view.h"

namespace inference::reference {

// Row `row` of a matrix as floats.
std::vector<float> DecodeRow(const TensorView& matrix, size_t row);

// sum over i of a[i] * b[i].
double Dot(std::span<const float> a, std::span<const float> b);

// y[t][r] = row r of W . x[t]; [num_tokens, rows].
std::vector<float> MatMul(const TensorView& weight, std::span<const float> x,
                          size_t num_tokens);

// x / sqrt(mean(x^2) + eps) * gain.
std::vector<float> RmsNorm(std::span<const float> x,
                           std::span<const float> gain, double eps);

// x / (1 + e^-x).
double Silu(double x);

// exp(x[i] - max) / sum.
std::vector<double> Softmax(std::span<const double> x);

// One query against keys and values [count, head_dim], scores scaled by
// 1 / sqrt(head_dim).
std::vector<float> Attend(std::span<const float> q, std::span<const float> keys,
                          std::span<const float> values);

}  // namespace inference::reference
