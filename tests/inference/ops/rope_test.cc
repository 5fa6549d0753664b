// SPDX-License-Identifier: Apache-2.0
#include "inference/ops/rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <vector>

#include "tests/support/test_random.h"

namespace inference {
namespace {

using verify::RopeStyle;

// A pair is a complex number turned by e^(i * position * theta^(-2i/D)).
std::vector<float> Expected(const std::vector<float>& x, size_t head_dim,
                            uint64_t position, double theta, RopeStyle style) {
  std::vector<float> out(x.size());
  const size_t pairs = head_dim / 2;
  for (size_t h = 0; h < x.size(); h += head_dim) {
    for (size_t i = 0; i < pairs; ++i) {
      const size_t a = h + (style == RopeStyle::kInterleaved ? 2 * i : i);
      const size_t b =
          h + (style == RopeStyle::kInterleaved ? 2 * i + 1 : i + pairs);
      const long double angle =
          static_cast<long double>(position) *
          std::pow(static_cast<long double>(theta),
                   -2.0L * static_cast<long double>(i) /
                       static_cast<long double>(head_dim));
      const auto turned =
          std::complex<long double>(static_cast<long double>(x[a]),
                                    static_cast<long double>(x[b])) *
          std::polar(1.0L, angle);
      // Pairs are neighbours afterwards.
      out[h + 2 * i] = static_cast<float>(turned.real());
      out[h + 2 * i + 1] = static_cast<float>(turned.imag());
    }
  }
  return out;
}

TEST(RopeTest, MatchesComplexRotationAtAllPositions) {
  tests::TestRandom random(1);
  for (const RopeStyle style : {RopeStyle::kInterleaved, RopeStyle::kHalf}) {
    for (const size_t head_dim : {2u, 8u, 20u, 128u}) {
      for (const double theta : {1e4, 1e6}) {
        const RopeTable table(head_dim, theta);
        for (const uint64_t position : {0u, 1u, 17u, 4096u, 32767u, 1000000u}) {
          std::vector<float> cos(head_dim / 2);
          std::vector<float> sin(head_dim / 2);
          table.Angles(position, cos, sin);
          const std::vector<float> start = random.Floats(3 * head_dim);
          std::vector<float> x = start;
          RotateHeads(x, cos, sin, style);
          const auto expected =
              Expected(start, head_dim, position, theta, style);
          for (size_t i = 0; i < x.size(); ++i) {
            // Cosine, sine, two products and a sum round, of values below 1.5.
            ASSERT_NEAR(static_cast<double>(x[i]),
                        static_cast<double>(expected[i]), 4 * 0x1p-24);
          }
        }
      }
    }
  }
}

// By hand: head_dim 4, theta 100, position 3 turns pair 0 by 3 and pair 1 by
// 0.3 radians; cos 3 = -0.9899925, sin 3 = 0.1411200, cos 0.3 = 0.9553365,
// sin 0.3 = 0.2955202.
TEST(RopeTest, PairsNeighboursOrHalves) {
  const RopeTable table(4, 100);
  std::vector<float> cos(2);
  std::vector<float> sin(2);
  table.Angles(3, cos, sin);
  std::vector<float> x = {1, 0, 0, 1};
  RotateHeads(x, cos, sin, RopeStyle::kInterleaved);
  EXPECT_NEAR(static_cast<double>(x[0]), -0.9899925, 1e-6);
  EXPECT_NEAR(static_cast<double>(x[1]), 0.1411200, 1e-6);
  EXPECT_NEAR(static_cast<double>(x[2]), -0.2955202, 1e-6);
  EXPECT_NEAR(static_cast<double>(x[3]), 0.9553365, 1e-6);
  x = {1, 0, 0, 1};
  RotateHeads(x, cos, sin, RopeStyle::kHalf);
  EXPECT_NEAR(static_cast<double>(x[0]), -0.9899925, 1e-6);
  EXPECT_NEAR(static_cast<double>(x[1]), 0.1411200, 1e-6);
  EXPECT_NEAR(static_cast<double>(x[2]), -0.2955202, 1e-6);
  EXPECT_NEAR(static_cast<double>(x[3]), 0.9553365, 1e-6);
}

}  // namespace
}  // namespace inference
