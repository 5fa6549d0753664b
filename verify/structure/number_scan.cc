// SPDX-License-Identifier: Apache-2.0
#include "verify/structure/number_scan.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <span>

#include "verify/structure/number_kernels.h"

namespace verify {
namespace {

// A plain type: all exponent bits set means infinity (mantissa zero) or NaN.
struct FloatBits {
  uint64_t exponent = 0;
  uint64_t mantissa = 0;
  bool has_infinity = true;
};

FloatBits BitsOf(DType dtype) {
  switch (dtype) {
    case DType::kF64:
      return {0x7FF0'0000'0000'0000, 0x000F'FFFF'FFFF'FFFF};
    case DType::kF32:
      return {0x7F80'0000, 0x007F'FFFF};
    case DType::kF16:
      return {0x7C00, 0x03FF};
    case DType::kBF16:
      return {0x7F80, 0x007F};
    case DType::kF8E5M2:
      return {0x7C, 0x03};
    case DType::kF8E4M3:  // no infinity; one NaN: all bits but the sign
      return {0x7F, 0x00, false};
    default:
      return {};
  }
}

// Where a packed block holds its half-precision scales.
struct BlockScales {
  std::array<uint16_t, 2> offsets = {};
  uint8_t count = 0;
};

BlockScales ScalesOf(DType dtype) {
  switch (dtype) {
    case DType::kQ8_0:
    case DType::kQ4_0:
    case DType::kQ5_0:
    case DType::kIQ4NL:
    case DType::kIQ4XS:
    case DType::kIQ1S:
    case DType::kIQ2XXS:
    case DType::kIQ2XS:
    case DType::kIQ2S:
    case DType::kIQ3XXS:
    case DType::kIQ3S:
      return {{0, 0}, 1};
    case DType::kQ4_1:
    case DType::kQ5_1:
    case DType::kQ4K:
    case DType::kQ5K:
      return {{0, 2}, 2};
    case DType::kQ2K:
      return {{80, 82}, 2};
    case DType::kQ3K:
      return {{108, 0}, 1};
    case DType::kQ6K:
      return {{208, 0}, 1};
    case DType::kTQ1_0:
      return {{52, 0}, 1};
    case DType::kTQ2_0:
      return {{64, 0}, 1};
    default:
      return {};
  }
}

template <typename T>
T Load(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

double HalfToDouble(uint16_t half) {
  const int exponent = (half >> 10) & 0x1F;
  const double mantissa = half & 0x3FF;
  const double sign = (half & 0x8000) != 0 ? -1.0 : 1.0;
  if (exponent == 0x1F) {
    return mantissa == 0 ? sign * std::numeric_limits<double>::infinity()
                         : std::numeric_limits<double>::quiet_NaN();
  }
  if (exponent == 0) return sign * std::ldexp(mantissa, -24);
  return sign * std::ldexp(1024 + mantissa, exponent - 25);
}

// OCP 8-bit floating point 1.0: four bits of exponent and three of mantissa,
// bias 7; or five and two, bias 15. Finite values only.
double ByteToDouble(uint8_t byte, int mantissa_bits, int bias) {
  const int mantissa_mask = (1 << mantissa_bits) - 1;
  const int exponent = (byte & 0x7F) >> mantissa_bits;
  const int mantissa = byte & mantissa_mask;
  const double sign = (byte & 0x80) != 0 ? -1.0 : 1.0;
  if (exponent == 0) {
    return sign * std::ldexp(mantissa, 1 - bias - mantissa_bits);
  }
  return sign * std::ldexp(mantissa_mask + 1 + mantissa,
                           exponent - bias - mantissa_bits);
}

double ToDouble(DType dtype, uint64_t bits) {
  switch (dtype) {
    case DType::kF64:
      return std::bit_cast<double>(bits);
    case DType::kF32:
      return double{std::bit_cast<float>(static_cast<uint32_t>(bits))};
    case DType::kBF16:
      return double{std::bit_cast<float>(static_cast<uint32_t>(bits << 16))};
    case DType::kF16:
      return HalfToDouble(static_cast<uint16_t>(bits));
    case DType::kF8E4M3:
      return ByteToDouble(static_cast<uint8_t>(bits), 3, 7);
    case DType::kF8E5M2:
      return ByteToDouble(static_cast<uint8_t>(bits), 2, 15);
    default:
      return 0;
  }
}

// One finite number into the counts.
void AddNumber(double number, bool denormal, uint64_t times, NumberScan& scan) {
  const auto weight = static_cast<double>(times);
  scan.count += times;
  if (number == 0) scan.num_zero += times;
  if (denormal) scan.num_denormal += times;
  scan.min = std::min(scan.min, number);
  scan.max = std::max(scan.max, number);
  scan.sum += weight * number;
  scan.sum_squares += weight * number * number;
}

template <typename T>
void AddElement(DType dtype, T value, uint64_t index, const FloatBits& bits,
                NumberScan& scan) {
  const auto exponent = static_cast<T>(bits.exponent);
  const auto mantissa = static_cast<T>(bits.mantissa);
  if ((value & exponent) != exponent) {
    // f8_e4m3 has its exponent in four of the seven bits that NaN sets.
    const bool small =
        dtype == DType::kF8E4M3 ? (value & 0x78) == 0 : (value & exponent) == 0;
    const double number = ToDouble(dtype, value);
    AddNumber(number, small && number != 0, 1, scan);
    return;
  }
  if (scan.finite()) scan.first_bad = index;
  const bool nan = !bits.has_infinity || (value & mantissa) != 0;
  ++(nan ? scan.num_nan : scan.num_infinite);
}

bool HasKernel(DType dtype) {
  return dtype == DType::kBF16 || dtype == DType::kF16 || dtype == DType::kF32;
}

// Squares of these neither overflow nor vanish in single precision.
constexpr double kFastMost = 1e15;
constexpr double kFastLeast = 1e-15;

// Elements [at, at + count) one by one. True if all are `first`.
template <typename T>
bool AddRunSlowly(DType dtype, const std::byte* data, size_t count, uint64_t at,
                  const FloatBits& bits, NumberScan& scan) {
  const T first = Load<T>(data);
  T differs = 0;
  for (size_t i = 0; i < count; ++i) {
    const T value = Load<T>(data + i * sizeof(T));
    differs = static_cast<T>(differs | (value ^ first));
    AddElement<T>(dtype, value, at + i, bits, scan);
  }
  return differs == 0;
}

// Bytes have 256 values: counting them is all it takes.
bool AddRunOfBytes(DType dtype, const std::byte* data, size_t count,
                   uint64_t at, const FloatBits& bits, NumberScan& scan) {
  std::array<std::array<uint32_t, 256>, 4> seen{};
  for (size_t i = 0; i < count; ++i) {
    ++seen[i % 4][std::to_integer<uint8_t>(data[i])];
  }
  size_t kinds = 0;
  for (size_t value = 0; value < 256; ++value) {
    const uint64_t times = uint64_t{seen[0][value]} + seen[1][value] +
                           seen[2][value] + seen[3][value];
    if (times == 0) continue;
    ++kinds;
    NumberScan one;
    AddElement<uint8_t>(dtype, static_cast<uint8_t>(value), 0, bits, one);
    if (one.finite()) {
      AddNumber(one.min, one.num_denormal > 0, times, scan);
      continue;
    }
    const auto* const end = data + count;
    const auto* const place =
        std::find(data, end, static_cast<std::byte>(value));
    const uint64_t index = at + static_cast<uint64_t>(place - data);
    scan.first_bad = scan.finite() ? index : std::min(scan.first_bad, index);
    (one.num_nan > 0 ? scan.num_nan : scan.num_infinite) += times;
  }
  return kinds == 1;
}

// A run of at most kMaxRun elements; true if all have the same bits.
template <typename T>
bool AddRun(DType dtype, const std::byte* data, size_t count, uint64_t at,
            const FloatBits& bits, NumberScan& scan) {
  if constexpr (sizeof(T) == 1) {
    return AddRunOfBytes(dtype, data, count, at, bits, scan);
  }
  if (!HasKernel(dtype)) {
    return AddRunSlowly<T>(dtype, data, count, at, bits, scan);
  }
  const RunStats run = ScanRun(dtype, data, count);
  const double most =
      std::max(std::abs(double{run.min}), std::abs(double{run.max}));
  if (run.max_bits >= MagnitudeBitsOf(dtype).first_bad || most > kFastMost ||
      (most < kFastLeast && run.max_bits != 0)) {
    return AddRunSlowly<T>(dtype, data, count, at, bits, scan);
  }
  scan.count += count;
  scan.num_zero += run.num_zero;
  scan.num_denormal += run.num_denormal;
  scan.min = std::min(scan.min, double{run.min});
  scan.max = std::max(scan.max, double{run.max});
  scan.sum += double{run.sum};
  scan.sum_squares += double{run.sum_squares};
  return run.same;
}

// Length of a row; 0 where rows are not looked at: no second dimension, or
// rows so long that they would have to be shared between threads.
uint64_t RowElements(const TensorInfo& tensor) {
  if (tensor.shape.size() < 2 || !tensor.contiguous()) return 0;
  return tensor.shape.back() <= kMaxRowElements ? tensor.shape.back() : 0;
}

void AddRow(uint64_t row, bool zero, NumberScan& scan) {
  if (scan.constant_rows++ == 0) scan.first_constant_row = row;
  if (zero) ++scan.zero_rows;
}

template <typename T>
NumberScan ScanPlain(const TensorInfo& tensor, ByteSpan bytes, uint64_t begin,
                     uint64_t end) {
  const FloatBits bits = BitsOf(tensor.dtype);
  const auto sign_cleared = static_cast<T>(bits.exponent | bits.mantissa);
  NumberScan scan;
  const T first = Load<T>(bytes.data());
  const uint64_t row_elements = RowElements(tensor);
  for (uint64_t at = begin; at < end;) {
    uint64_t piece_end = end;
    if (row_elements > 0) {
      piece_end = std::min(end, at - at % row_elements + row_elements);
    }
    const bool whole_row = row_elements > 0 && at % row_elements == 0 &&
                           piece_end - at == row_elements;
    const uint64_t piece_begin = at;
    const T first_of_piece =
        Load<T>(bytes.data() + static_cast<size_t>(piece_begin) * sizeof(T));
    bool same = true;
    while (at < piece_end) {
      const std::byte* const data =
          bytes.data() + static_cast<size_t>(at) * sizeof(T);
      const size_t count =
          static_cast<size_t>(std::min<uint64_t>(kMaxRun, piece_end - at));
      const bool run_same =
          AddRun<T>(tensor.dtype, data, count, at, bits, scan);
      same = same && run_same && Load<T>(data) == first_of_piece;
      at += count;
    }
    scan.constant = scan.constant && same && first_of_piece == first;
    if (whole_row && same && row_elements > 1) {
      AddRow(piece_begin / row_elements, (first_of_piece & sign_cleared) == 0,
             scan);
    }
  }
  return scan;
}

// Elements in row-major order at the places that the strides give.
template <typename T>
NumberScan ScanStrided(const TensorInfo& tensor, ByteSpan bytes, uint64_t begin,
                       uint64_t end) {
  const FloatBits bits = BitsOf(tensor.dtype);
  NumberScan scan;
  const T first = Load<T>(bytes.data());
  for (uint64_t index = begin; index < end; ++index) {
    uint64_t rest = index;
    uint64_t place = 0;
    for (size_t dim = tensor.shape.size(); dim-- > 0;) {
      place += rest % tensor.shape[dim] * tensor.strides[dim];
      rest /= tensor.shape[dim];
    }
    const T value =
        Load<T>(bytes.data() + static_cast<size_t>(place) * sizeof(T));
    scan.constant &= value == first;
    AddElement<T>(tensor.dtype, value, index, bits, scan);
  }
  return scan;
}

// Whether strides lead several elements to the same bytes.
bool SharesStorage(const TensorInfo& tensor) {
  return !tensor.contiguous() &&
         NumElements(tensor.shape).value_or(0) >
             tensor.size_bytes / BlockBytes(tensor.dtype);
}

template <typename T>
NumberScan ScanAny(const TensorInfo& tensor, ByteSpan bytes, uint64_t begin,
                   uint64_t end) {
  return tensor.contiguous() ? ScanPlain<T>(tensor, bytes, begin, end)
                             : ScanStrided<T>(tensor, bytes, begin, end);
}

// The scales of one block: the first as a number, whether one is not finite,
// and whether all are zero, so that the block is.
struct BlockScale {
  double number = 0;
  bool nan = false;
  bool infinite = false;
  bool denormal = false;
  bool zero = false;
};

BlockScale ScaleOf(DType dtype, const std::byte* block) {
  BlockScale scale;
  if (dtype == DType::kMXFP4) {
    // E8M0: a power of two; all bits set is NaN. The least of them is what a
    // block of zero bytes has.
    const auto exponent = Load<uint8_t>(block);
    scale.nan = exponent == 0xFF;
    scale.zero = exponent == 0;
    scale.number = scale.zero ? 0 : std::ldexp(1.0, exponent - 127);
    return scale;
  }
  if (dtype == DType::kQ8K) {
    const double number = double{Load<float>(block)};
    scale.number = number;
    scale.nan = std::isnan(number);
    scale.infinite = std::isinf(number);
    scale.zero = number == 0;
    return scale;
  }
  const BlockScales places = ScalesOf(dtype);
  scale.zero = true;
  for (size_t i = 0; i < places.count; ++i) {
    const auto half = Load<uint16_t>(block + places.offsets[i]);
    if ((half & 0x7C00) == 0x7C00) {
      ((half & 0x03FF) != 0 ? scale.nan : scale.infinite) = true;
    }
    scale.zero &= (half & 0x7FFF) == 0;
    if (i > 0) continue;
    scale.number = HalfToDouble(half);
    scale.denormal = (half & 0x7C00) == 0 && (half & 0x03FF) != 0;
  }
  return scale;
}

NumberScan ScanPacked(const TensorInfo& tensor, ByteSpan bytes, uint64_t begin,
                      uint64_t end) {
  const DType dtype = tensor.dtype;
  NumberScan scan;
  const uint64_t elements = BlockElements(dtype);
  const auto block_bytes = static_cast<size_t>(BlockBytes(dtype));
  const uint64_t row_elements = RowElements(tensor);
  bool row_is_zero = false;
  for (uint64_t at = begin; at < end; at += elements) {
    const std::byte* const block =
        bytes.data() + static_cast<size_t>(at / elements) * block_bytes;
    if (scan.constant) {
      scan.constant = std::memcmp(block, bytes.data(), block_bytes) == 0;
    }
    const BlockScale scale = ScaleOf(dtype, block);
    if (scale.nan || scale.infinite) {
      if (scan.finite()) scan.first_bad = at;
      (scale.nan ? scan.num_nan : scan.num_infinite) += elements;
    } else {
      AddNumber(scale.number, scale.denormal, 1, scan);
    }
    if (row_elements == 0) continue;
    const uint64_t place = at % row_elements;
    if (place == 0) row_is_zero = true;
    row_is_zero &= scale.zero;
    if (place + elements == row_elements && row_is_zero) {
      AddRow(at / row_elements, true, scan);
    }
    if (place + elements == row_elements) row_is_zero = false;
  }
  return scan;
}

}  // namespace

double NumberScan::mean() const {
  return count == 0 ? 0 : sum / static_cast<double>(count);
}

double NumberScan::rms() const {
  return count == 0 ? 0 : std::sqrt(sum_squares / static_cast<double>(count));
}

double NumberScan::deviation() const {
  if (count == 0) return 0;
  const double variance =
      sum_squares / static_cast<double>(count) - mean() * mean();
  return std::sqrt(std::max(0.0, variance));
}

double NumberScan::max_magnitude() const {
  return count == 0 ? 0 : std::max(std::abs(min), std::abs(max));
}

void NumberScan::Merge(const NumberScan& later) {
  if (!later.finite()) {
    first_bad =
        finite() ? later.first_bad : std::min(first_bad, later.first_bad);
  }
  num_nan += later.num_nan;
  num_infinite += later.num_infinite;
  constant = constant && later.constant;
  count += later.count;
  num_zero += later.num_zero;
  num_denormal += later.num_denormal;
  min = std::min(min, later.min);
  max = std::max(max, later.max);
  sum += later.sum;
  sum_squares += later.sum_squares;
  if (constant_rows == 0) first_constant_row = later.first_constant_row;
  constant_rows += later.constant_rows;
  zero_rows += later.zero_rows;
}

bool CanScan(DType dtype) {
  return BitsOf(dtype).exponent != 0 || IsPacked(dtype);
}

bool IsPacked(DType dtype) {
  return ScalesOf(dtype).count > 0 || dtype == DType::kQ8K ||
         dtype == DType::kMXFP4;
}

uint64_t NumScanned(const TensorInfo& tensor) {
  return SharesStorage(tensor) ? tensor.size_bytes / BlockBytes(tensor.dtype)
                               : NumElements(tensor.shape).value_or(0);
}

NumberScan ScanElements(const TensorInfo& tensor, ByteSpan bytes,
                        uint64_t begin, uint64_t end) {
  if (begin >= end || bytes.empty()) return {};
  switch (tensor.dtype) {
    case DType::kF64:
      return ScanAny<uint64_t>(tensor, bytes, begin, end);
    case DType::kF32:
      return ScanAny<uint32_t>(tensor, bytes, begin, end);
    case DType::kF16:
    case DType::kBF16:
      return ScanAny<uint16_t>(tensor, bytes, begin, end);
    case DType::kF8E4M3:
    case DType::kF8E5M2:
      return ScanAny<uint8_t>(tensor, bytes, begin, end);
    default:
      if (!CanScan(tensor.dtype)) return {};
      return ScanPacked(tensor, bytes, begin, end);
  }
}

std::optional<double> FirstElement(const TensorInfo& tensor, ByteSpan bytes) {
  if (bytes.size() < BlockBytes(tensor.dtype)) return std::nullopt;
  switch (tensor.dtype) {
    case DType::kF64:
      return Load<double>(bytes.data());
    case DType::kF32:
      return double{Load<float>(bytes.data())};
    case DType::kF16:
    case DType::kBF16:
      return ToDouble(tensor.dtype, Load<uint16_t>(bytes.data()));
    default:
      return std::nullopt;
  }
}

}  // namespace verify
