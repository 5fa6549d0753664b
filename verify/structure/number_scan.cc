// SPDX-License-Identifier: Apache-2.0
#include "verify/structure/number_scan.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

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

// Of a fixed number of elements, so that the compiler makes vector code of it
// at any level of optimisation.
constexpr size_t kRun = 1024;

template <typename T>
void ScanRun(const std::byte* data, T exponent, T first, T& bad, T& differs) {
  T any_bad = 0;
  T any_difference = 0;
  for (size_t i = 0; i < kRun; ++i) {
    const T value = Load<T>(data + i * sizeof(T));
    any_bad = static_cast<T>(
        any_bad | static_cast<T>((value & exponent) == exponent ? 1 : 0));
    any_difference = static_cast<T>(any_difference | (value ^ first));
  }
  bad = static_cast<T>(bad | any_bad);
  differs = static_cast<T>(differs | any_difference);
}

template <typename T>
void CountElement(T value, uint64_t index, const FloatBits& bits,
                  NumberScan& scan) {
  const auto exponent = static_cast<T>(bits.exponent);
  if ((value & exponent) != exponent) return;
  if (scan.finite()) scan.first_bad = index;
  const bool nan =
      !bits.has_infinity || (value & static_cast<T>(bits.mantissa)) != 0;
  ++(nan ? scan.num_nan : scan.num_infinite);
}

template <typename T>
NumberScan ScanPlain(ByteSpan bytes, const FloatBits& bits, uint64_t begin,
                     uint64_t end) {
  NumberScan scan;
  const T first = Load<T>(bytes.data());
  T differs = 0;
  for (uint64_t at = begin; at < end;) {
    const std::byte* const data =
        bytes.data() + static_cast<size_t>(at) * sizeof(T);
    const size_t count = std::min<uint64_t>(kRun, end - at);
    T bad = 1;
    if (count == kRun) {
      bad = 0;
      ScanRun<T>(data, static_cast<T>(bits.exponent), first, bad, differs);
    }
    // Rare: a run with bad elements, or the tail.
    for (size_t i = 0; bad != 0 && i < count; ++i) {
      const T value = Load<T>(data + i * sizeof(T));
      differs = static_cast<T>(differs | (value ^ first));
      CountElement(value, at + i, bits, scan);
    }
    at += count;
  }
  scan.constant = differs == 0;
  return scan;
}

// Elements in row-major order at the places that the strides give.
template <typename T>
NumberScan ScanStrided(const TensorInfo& tensor, ByteSpan bytes,
                       const FloatBits& bits, uint64_t begin, uint64_t end) {
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
    CountElement(value, index, bits, scan);
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
  const FloatBits bits = BitsOf(tensor.dtype);
  return tensor.contiguous() ? ScanPlain<T>(bytes, bits, begin, end)
                             : ScanStrided<T>(tensor, bytes, bits, begin, end);
}

// Adds a block with a bad scale; true if it was one.
void CountScale(uint32_t value, uint32_t exponent, uint32_t mantissa,
                uint64_t index, uint64_t elements, NumberScan& scan) {
  if ((value & exponent) != exponent) return;
  if (scan.finite()) scan.first_bad = index;
  ((value & mantissa) != 0 ? scan.num_nan : scan.num_infinite) += elements;
}

NumberScan ScanPacked(DType dtype, ByteSpan bytes, uint64_t begin,
                      uint64_t end) {
  NumberScan scan;
  const uint64_t elements = BlockElements(dtype);
  const auto block_bytes = static_cast<size_t>(BlockBytes(dtype));
  const BlockScales scales = ScalesOf(dtype);
  for (uint64_t at = begin; at < end; at += elements) {
    const std::byte* const block =
        bytes.data() + static_cast<size_t>(at / elements) * block_bytes;
    if (scan.constant) {
      scan.constant = std::memcmp(block, bytes.data(), block_bytes) == 0;
    }
    const uint64_t before = scan.num_nan + scan.num_infinite;
    for (size_t i = 0; i < scales.count; ++i) {
      // A block is counted once, whatever the number of its bad scales.
      if (scan.num_nan + scan.num_infinite != before) break;
      CountScale(Load<uint16_t>(block + scales.offsets[i]), 0x7C00, 0x03FF, at,
                 elements, scan);
    }
    if (dtype == DType::kQ8K) {
      CountScale(Load<uint32_t>(block), 0x7F80'0000, 0x007F'FFFF, at, elements,
                 scan);
    }
    if (dtype == DType::kMXFP4 && Load<uint8_t>(block) == 0xFF) {
      // E8M0: the one value that is no power of two is NaN.
      CountScale(0xFF, 0xFF, 0xFF, at, elements, scan);
    }
  }
  return scan;
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

}  // namespace

bool CanScan(DType dtype) {
  return BitsOf(dtype).exponent != 0 || ScalesOf(dtype).count > 0 ||
         dtype == DType::kQ8K || dtype == DType::kMXFP4;
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
      return ScanPacked(tensor.dtype, bytes, begin, end);
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
      return HalfToDouble(Load<uint16_t>(bytes.data()));
    case DType::kBF16:
      return double{
          std::bit_cast<float>(uint32_t{Load<uint16_t>(bytes.data())} << 16)};
    default:
      return std::nullopt;
  }
}

}  // namespace verify
