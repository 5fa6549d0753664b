// SPDX-License-Identifier: Apache-2.0
// Rotary position embedding (RoPE, arXiv:2104.09864).
// Tested by tests/inference/ops/rope_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "verify/structure/model_config.h"

namespace inference {

// Angles of all positions. Frequencies and angles are computed in double: at
// position 32768 a float angle would be wrong by 0.002. Thread-safe.
class RopeTable {
 public:
  // Requires an even head_dim.
  RopeTable(size_t head_dim, double theta);

  size_t num_pairs() const { return frequencies_.size(); }
  // Cosine and sine of position * theta^(-2i / head_dim) for each pair i.
  // Requires cos.size() == sin.size() == num_pairs().
  void Angles(uint64_t position, std::span<float> cos,
              std::span<float> sin) const;

 private:
  std::vector<double> frequencies_;
};

// Rotates each head of `x`, [heads, 2 * cos.size()], in place. Pairs are
// neighbours or lie half a head apart; afterwards they are neighbours in any
// case, so that what follows gives the same bits whatever the files' layout.
void RotateHeads(std::span<float> x, std::span<const float> cos,
                 std::span<const float> sin, verify::RopeStyle style);

}  // namespace inference
