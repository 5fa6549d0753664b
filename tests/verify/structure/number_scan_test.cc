// SPDX-License-Identifier: Apache-2.0
#include "verify/structure/number_scan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

namespace verify {
namespace {

template <typename T>
std::vector<std::byte> Raw(const std::vector<T>& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(T));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

TensorInfo Tensor(DType dtype, std::vector<uint64_t> shape) {
  TensorInfo tensor;
  tensor.name = "t";
  tensor.dtype = dtype;
  tensor.shape = std::move(shape);
  tensor.size_bytes =
      DTypeBytes(dtype, NumElements(tensor.shape).value()).value();
  return tensor;
}

NumberScan ScanAll(const TensorInfo& tensor, ByteSpan bytes) {
  return ScanElements(tensor, bytes, 0, NumScanned(tensor));
}

struct BitCase {
  uint64_t bits;
  bool nan;
  bool infinite;
};

// Bit patterns from IEEE 754 (f64, f32, f16), bfloat16 = the upper half of
// f32, and OCP 8-bit floating point 1.0 (E5M2 with infinity, E4M3 without).
template <typename T>
void CheckPatterns(DType dtype, const std::vector<BitCase>& cases) {
  for (const BitCase& c : cases) {
    // At every place of a run, of its tail, and alone.
    for (const size_t size : {1u, 5u, 1024u, 3000u}) {
      for (const size_t place : {size_t{0}, size / 2, size - 1}) {
        std::vector<T> values(size, T{1});
        values[place] = static_cast<T>(c.bits);
        const auto bytes = Raw(values);
        const auto scan = ScanAll(Tensor(dtype, {size}), bytes);
        EXPECT_EQ(scan.num_nan, c.nan ? 1u : 0u) << std::hex << c.bits;
        EXPECT_EQ(scan.num_infinite, c.infinite ? 1u : 0u)
            << std::hex << c.bits;
        if (c.nan || c.infinite) {
          EXPECT_EQ(scan.first_bad, place);
        }
        EXPECT_EQ(scan.constant, size == 1 || c.bits == 1);
      }
    }
  }
}

TEST(NumberScanTest, KnowsEveryFloatFormat) {
  CheckPatterns<uint16_t>(DType::kBF16, {{0x7F80, false, true},
                                         {0xFF80, false, true},
                                         {0x7F81, true, false},
                                         {0xFFC0, true, false},
                                         {0x7F7F, false, false},
                                         {0x8000, false, false}});
  CheckPatterns<uint16_t>(DType::kF16, {{0x7C00, false, true},
                                        {0xFC00, false, true},
                                        {0x7C01, true, false},
                                        {0x7E00, true, false},
                                        {0x7BFF, false, false}});
  CheckPatterns<uint32_t>(DType::kF32, {{0x7F800000, false, true},
                                        {0xFF800000, false, true},
                                        {0x7F800001, true, false},
                                        {0x7FC00000, true, false},
                                        {0x7F7FFFFF, false, false}});
  CheckPatterns<uint64_t>(DType::kF64, {{0x7FF0000000000000, false, true},
                                        {0x7FF8000000000000, true, false},
                                        {0x7FEFFFFFFFFFFFFF, false, false}});
  CheckPatterns<uint8_t>(
      DType::kF8E5M2,
      {{0x7C, false, true}, {0xFD, true, false}, {0x7B, false, false}});
  CheckPatterns<uint8_t>(
      DType::kF8E4M3,
      {{0x7F, true, false}, {0xFF, true, false}, {0x7E, false, false}});
}

TEST(NumberScanTest, CountsAllAndNamesTheFirst) {
  std::vector<float> values(5000, 0.5f);
  values[4100] = std::numeric_limits<float>::quiet_NaN();
  values[4999] = std::numeric_limits<float>::quiet_NaN();
  values[1500] = -std::numeric_limits<float>::infinity();
  const auto bytes = Raw(values);
  const TensorInfo tensor = Tensor(DType::kF32, {50, 100});
  const auto scan = ScanAll(tensor, bytes);
  EXPECT_EQ(scan.num_nan, 2u);
  EXPECT_EQ(scan.num_infinite, 1u);
  EXPECT_EQ(scan.first_bad, 1500u);
  const auto part = ScanElements(tensor, bytes, 1501, 4999);
  EXPECT_EQ(part.num_nan, 1u);
  EXPECT_EQ(part.first_bad, 4100u);
}

TEST(NumberScanTest, ReadsUnalignedBytes) {
  std::vector<float> values(2048, 1.0f);
  values[2047] = std::nanf("");
  auto bytes = Raw(values);
  bytes.insert(bytes.begin(), std::byte{0});
  const auto scan =
      ScanAll(Tensor(DType::kF32, {2048}), ByteSpan(bytes).subspan(1));
  EXPECT_EQ(scan.first_bad, 2047u);
}

TEST(NumberScanTest, IndexesStridedTensorsRowMajor) {
  // A transposed view: element (r, c) of [2, 3] is at r + 2 * c.
  std::vector<float> values = {0, 1, 2, 3, 4, 5};
  values[4] = std::nanf("");  // r = 0, c = 2: index 2
  TensorInfo tensor = Tensor(DType::kF32, {2, 3});
  tensor.strides = {1, 2};
  const auto scan = ScanAll(tensor, Raw(values));
  EXPECT_EQ(scan.num_nan, 1u);
  EXPECT_EQ(scan.first_bad, 2u);
  EXPECT_FALSE(scan.constant);
}

TEST(NumberScanTest, DoesNoEndlessWorkForSharedStorage) {
  TensorInfo tensor;
  tensor.dtype = DType::kF32;
  tensor.shape = {uint64_t{1} << 30, uint64_t{1} << 30};
  tensor.strides = {0, 0};
  tensor.size_bytes = 4;
  EXPECT_EQ(NumScanned(tensor), 1u);
  const auto scan = ScanAll(tensor, Raw<float>({std::nanf("")}));
  EXPECT_EQ(scan.num_nan, 1u);
}

TEST(NumberScanTest, LooksAtTheScalesOfPackedTypes) {
  struct Case {
    DType dtype;
    size_t offset;  // of a half-precision scale in the block
  };
  for (const Case& c : std::vector<Case>{
           {DType::kQ8_0, 0},  {DType::kQ4_0, 0},   {DType::kQ4_1, 2},
           {DType::kQ5_0, 0},  {DType::kQ5_1, 2},   {DType::kQ2K, 80},
           {DType::kQ2K, 82},  {DType::kQ3K, 108},  {DType::kQ4K, 2},
           {DType::kQ5K, 0},   {DType::kQ6K, 208},  {DType::kIQ4NL, 0},
           {DType::kIQ4XS, 0}, {DType::kIQ1S, 0},   {DType::kIQ2XXS, 0},
           {DType::kIQ2XS, 0}, {DType::kIQ2S, 0},   {DType::kIQ3XXS, 0},
           {DType::kIQ3S, 0},  {DType::kTQ1_0, 52}, {DType::kTQ2_0, 64}}) {
    const uint64_t elements = BlockElements(c.dtype);
    const TensorInfo tensor = Tensor(c.dtype, {3 * elements});
    std::vector<std::byte> bytes(3 * BlockBytes(c.dtype), std::byte{0x11});
    EXPECT_TRUE(ScanAll(tensor, bytes).finite()) << DTypeName(c.dtype);
    EXPECT_TRUE(ScanAll(tensor, bytes).constant) << DTypeName(c.dtype);
    const size_t at = 2 * BlockBytes(c.dtype) + c.offset;
    bytes[at] = std::byte{0x00};
    bytes[at + 1] = std::byte{0x7C};  // infinity
    auto scan = ScanAll(tensor, bytes);
    EXPECT_EQ(scan.num_infinite, elements) << DTypeName(c.dtype);
    EXPECT_EQ(scan.first_bad, 2 * elements) << DTypeName(c.dtype);
    EXPECT_FALSE(scan.constant);
    bytes[at] = std::byte{0x01};  // NaN
    scan = ScanAll(tensor, bytes);
    EXPECT_EQ(scan.num_nan, elements) << DTypeName(c.dtype);
  }
  std::vector<std::byte> bytes(2 * 17, std::byte{0x20});
  bytes[17] = std::byte{0xFF};
  EXPECT_EQ(ScanAll(Tensor(DType::kMXFP4, {64}), bytes).first_bad, 32u);
}

TEST(NumberScanTest, GivesTheFirstElement) {
  const TensorInfo half = Tensor(DType::kF16, {1});
  // IEEE 754: 0x3555 is 0.333251953125, 0x0001 is 2^-24, 0xC000 is -2.
  EXPECT_EQ(FirstElement(half, Raw<uint16_t>({0x3555})), 0.333251953125);
  EXPECT_EQ(FirstElement(half, Raw<uint16_t>({0x0001})), std::ldexp(1.0, -24));
  EXPECT_EQ(FirstElement(half, Raw<uint16_t>({0xC000})), -2.0);
  EXPECT_EQ(FirstElement(Tensor(DType::kBF16, {1}), Raw<uint16_t>({0x3F80})),
            1.0);
  EXPECT_EQ(FirstElement(Tensor(DType::kF32, {1}), Raw<float>({0.25f})), 0.25);
  EXPECT_EQ(FirstElement(Tensor(DType::kF64, {1}), Raw<double>({0.1})), 0.1);
  EXPECT_EQ(FirstElement(half, {}), std::nullopt);
}

// By hand: sum 1 - 2 + 3 + 0 + 4 * 0.5 = 4, squares 1 + 4 + 9 + 4 * 0.25 = 15,
// of eight numbers.
TEST(NumberScanTest, StatisticsOfAMatrix) {
  const auto bytes = Raw<float>({1, -2, 3, 0, 0.5f, 0.5f, 0.5f, 0.5f});
  const auto scan = ScanAll(Tensor(DType::kF32, {2, 4}), bytes);
  EXPECT_EQ(scan.count, 8u);
  EXPECT_EQ(scan.num_zero, 1u);
  EXPECT_EQ(scan.num_denormal, 0u);
  EXPECT_EQ(scan.min, -2);
  EXPECT_EQ(scan.max, 3);
  EXPECT_EQ(scan.max_magnitude(), 3);
  EXPECT_DOUBLE_EQ(scan.mean(), 0.5);
  EXPECT_DOUBLE_EQ(scan.rms(), std::sqrt(15.0 / 8));
  EXPECT_DOUBLE_EQ(scan.deviation(), std::sqrt(15.0 / 8 - 0.25));
  EXPECT_FALSE(scan.constant);
  EXPECT_EQ(scan.constant_rows, 1u);
  EXPECT_EQ(scan.first_constant_row, 1u);
  EXPECT_EQ(scan.zero_rows, 0u);
}

// The same numbers in every type that can hold them: 1, -2, 3, 0 and twice the
// least denormal (bf16 2^-133, f16 2^-24, f8_e4m3 2^-9, f8_e5m2 2^-16).
TEST(NumberScanTest, StatisticsOfEveryFloatFormat) {
  const struct {
    DType dtype;
    std::vector<std::byte> bytes;
    double denormal;
  } cases[] = {
      {DType::kBF16, Raw<uint16_t>({0x3F80, 0xC000, 0x4040, 0x8000, 2}),
       0x1p-132},
      {DType::kF16, Raw<uint16_t>({0x3C00, 0xC000, 0x4200, 0x8000, 2}),
       0x1p-23},
      {DType::kF8E4M3, Raw<uint8_t>({0x38, 0xC0, 0x44, 0x80, 2}), 0x1p-8},
      {DType::kF8E5M2, Raw<uint8_t>({0x3C, 0xC0, 0x42, 0x80, 2}), 0x1p-15},
      {DType::kF64, Raw<double>({1, -2, 3, -0.0, 0x1p-1073}), 0x1p-1073},
  };
  for (const auto& c : cases) {
    const auto scan = ScanAll(Tensor(c.dtype, {5}), c.bytes);
    EXPECT_EQ(scan.count, 5u) << DTypeName(c.dtype);
    EXPECT_EQ(scan.num_zero, 1u) << DTypeName(c.dtype);
    EXPECT_EQ(scan.num_denormal, 1u) << DTypeName(c.dtype);
    EXPECT_EQ(scan.min, -2) << DTypeName(c.dtype);
    EXPECT_EQ(scan.max, 3) << DTypeName(c.dtype);
    EXPECT_NEAR(scan.sum, 2 + c.denormal, 1e-6) << DTypeName(c.dtype);
    EXPECT_NEAR(scan.sum_squares, 14 + c.denormal * c.denormal, 1e-5)
        << DTypeName(c.dtype);
  }
}

// Where squares overflow or vanish in single precision.
TEST(NumberScanTest, StatisticsOfExtremes) {
  std::vector<float> values(2000, 1e30f);
  auto scan = ScanAll(Tensor(DType::kF32, {2000}), Raw(values));
  EXPECT_NEAR(scan.rms() / double{1e30f}, 1, 1e-12);
  std::fill(values.begin(), values.end(), -1e-30f);
  scan = ScanAll(Tensor(DType::kF32, {2000}), Raw(values));
  EXPECT_NEAR(scan.rms() / double{1e-30f}, 1, 1e-12);
  EXPECT_NEAR(scan.mean() / double{1e-30f}, -1, 1e-12);
}

TEST(NumberScanTest, RangesAddUp) {
  std::vector<float> values(12 * 700);
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = static_cast<float>(i % 97) - 40;
  }
  std::fill_n(values.begin() + 3 * 700, 700, 0.0f);
  std::fill_n(values.begin() + 8 * 700, 700, 5.0f);
  values[5 * 700 + 13] = std::numeric_limits<float>::infinity();
  const auto bytes = Raw(values);
  const TensorInfo tensor = Tensor(DType::kF32, {12, 700});
  const NumberScan whole = ScanAll(tensor, bytes);
  EXPECT_EQ(whole.constant_rows, 2u);
  EXPECT_EQ(whole.zero_rows, 1u);
  EXPECT_EQ(whole.first_constant_row, 3u);
  EXPECT_EQ(whole.num_infinite, 1u);
  NumberScan parts;
  for (uint64_t row = 0; row < 12; row += 4) {
    parts.Merge(ScanElements(tensor, bytes, row * 700, (row + 4) * 700));
  }
  EXPECT_EQ(parts.count, whole.count);
  EXPECT_EQ(parts.num_zero, whole.num_zero);
  EXPECT_EQ(parts.first_bad, whole.first_bad);
  EXPECT_EQ(parts.constant_rows, 2u);
  EXPECT_EQ(parts.first_constant_row, 3u);
  EXPECT_DOUBLE_EQ(parts.sum, whole.sum);
  EXPECT_FALSE(parts.constant);
}

// Scales 1, 0.5, 0 and -2 in half precision; the second row is zero.
TEST(NumberScanTest, StatisticsOfPackedTypesAreOfTheirScales) {
  std::vector<std::byte> bytes(4 * 18, std::byte{0x37});
  const std::vector<uint16_t> scales = {0x3C00, 0x3800, 0, 0xC000};
  for (size_t i = 0; i < 4; ++i) {
    std::memcpy(bytes.data() + i * 18, &scales[i], 2);
  }
  const auto scan = ScanAll(Tensor(DType::kQ4_0, {4, 32}), bytes);
  EXPECT_EQ(scan.count, 4u);
  EXPECT_EQ(scan.num_zero, 1u);
  EXPECT_EQ(scan.min, -2);
  EXPECT_EQ(scan.max, 1);
  EXPECT_DOUBLE_EQ(scan.mean(), -0.125);
  EXPECT_DOUBLE_EQ(scan.sum_squares, 5.25);
  EXPECT_EQ(scan.zero_rows, 1u);
  EXPECT_EQ(scan.first_constant_row, 2u);
}

}  // namespace
}  // namespace verify
