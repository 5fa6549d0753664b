// SPDX-License-Identifier: Apache-2.0
// Numbers marked so come from a Python program that follows
// docs/formats/fingerprint.md, section 3.
#include "inference/eval/sketch.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <utility>

namespace inference {
namespace {

TEST(SketchTest, NoiseIsThatOfTheFormat) {
  // Python.
  EXPECT_EQ(NoiseAt(0, 0) * 0x1p23f, 6430888.0f);
  EXPECT_EQ(NoiseAt(1, 0) * 0x1p23f, -6300303.0f);
  EXPECT_EQ(NoiseAt(1, 1) * 0x1p23f, -1219326.0f);
  EXPECT_EQ(NoiseAt(7, 1000000) * 0x1p23f, 5157206.0f);
  EXPECT_EQ(NoiseAt(1u << 16, 5) * 0x1p23f, 2920900.0f);
}

TEST(SketchTest, NoiseHasVarianceOneAndNoMean) {
  const auto noise = Noise(3, 100000);
  double sum = 0;
  double squares = 0;
  for (const float x : noise) {
    sum += static_cast<double>(x);
    squares += static_cast<double>(x) * static_cast<double>(x);
  }
  // Four standard errors.
  EXPECT_NEAR(sum / 1e5, 0, 4 / std::sqrt(1e5));
  EXPECT_NEAR(squares / 1e5, 1, 4 * 0.9 / std::sqrt(1e5));
}

TEST(SketchTest, ProjectsAsTheFormatSays) {
  const std::vector<float> values = {1.0f, -2.0f, 0.5f};
  const Sketch sketch = Project(values);
  // Python.
  EXPECT_EQ(sketch.exponent, -16);
  EXPECT_EQ(sketch.values,
            (std::vector<int32_t>{-106900, -29064, -89501, 61371, 117804, 73353,
                                  97146, 151315, -112120, -9616, -108903,
                                  -16327, 55060, -82023, -134990, -9285}));
}

TEST(SketchTest, DistanceIsThatOfTheVectors) {
  const auto values = Noise(11, 5000);
  const auto other = Noise(12, 5000);
  for (const double apart : {1e-3, 0.03, 0.5}) {
    auto changed = values;
    for (size_t i = 0; i < changed.size(); ++i) {
      changed[i] += static_cast<float>(apart) * other[i];
    }
    // 16 values of each give the ratio to about a quarter.
    const double distance = Distance(Project(values), Project(changed));
    EXPECT_GT(distance, 0.5 * apart);
    EXPECT_LT(distance, 2.0 * apart);
  }
}

TEST(SketchTest, TwoElementsExchangedAreSeen) {
  const auto values = Noise(11, 32000);
  for (const auto& [a, b] : {std::pair(0, 1), std::pair(17, 31999)}) {
    auto changed = values;
    std::swap(changed[static_cast<size_t>(a)], changed[static_cast<size_t>(b)]);
    EXPECT_GT(Distance(Project(values), Project(changed)), 1e-3);
  }
}

TEST(SketchTest, RoundsToAStepFarBelowTheValues) {
  const std::vector<double> values = {3.0, -4.0};  // root mean square 3.54
  const Sketch sketch = Quantise(values);
  // 2^1 <= 3.54 < 2^2: a step of 2^(1 - 16).
  EXPECT_EQ(sketch.exponent, -15);
  EXPECT_EQ(sketch.values, (std::vector<int32_t>{3 << 15, -(4 << 15)}));
}

TEST(SketchTest, ZerosAreAsFarFromAllElseAsCanBe) {
  const std::vector<float> zeros(100);
  const std::vector<float> ones(100, 1.0f);
  const Sketch nothing = Project(zeros);
  const Sketch something = Project(ones);
  EXPECT_TRUE(nothing.finite());
  EXPECT_EQ(Distance(nothing, nothing), 0);
  EXPECT_TRUE(std::isinf(Distance(nothing, something)));
  EXPECT_DOUBLE_EQ(Distance(something, nothing), 1);
}

TEST(SketchTest, NumbersThatAreNotFiniteAreFarFromThemselves) {
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    std::vector<float> values(10, 1.0f);
    values[3] = bad;
    const Sketch sketch = Project(values);
    EXPECT_FALSE(sketch.finite());
    EXPECT_TRUE(std::isinf(Distance(sketch, sketch)));
  }
}

TEST(SketchTest, LargestAndSmallestFloatsHaveSketches) {
  const std::vector<float> large(10, std::numeric_limits<float>::max());
  EXPECT_TRUE(Project(large).finite());
  const std::vector<float> small(10, std::numeric_limits<float>::denorm_min());
  const Sketch sketch = Project(small);
  EXPECT_TRUE(sketch.finite());
  EXPECT_GE(sketch.exponent, -kMaxSketchExponent);
  EXPECT_EQ(Distance(sketch, sketch), 0);
}

}  // namespace
}  // namespace inference
