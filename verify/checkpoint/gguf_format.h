// SPDX-License-Identifier: Apache-2.0
// Constants of GGUF, shared by reader and writer. Format: docs/formats/gguf.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "verify/checkpoint/dtype.h"

namespace verify {

inline constexpr uint32_t kGgufMagic = 0x46554747;  // "GGUF", little-endian
inline constexpr uint32_t kGgufVersion = 3;         // what the writer writes
inline constexpr uint64_t kGgufDefaultAlignment = 32;
inline constexpr uint64_t kGgufMinAlignment = 8;
inline constexpr uint64_t kGgufMaxAlignment = 4096;
// A tensor name takes at most this many bytes.
inline constexpr size_t kGgufMaxTensorNameBytes = 63;
inline constexpr uint32_t kGgufMaxDims = 4;
// Each counts in memory; published files have a hundredth of these.
inline constexpr uint64_t kGgufMaxMetadataBytes = 64u << 20;
inline constexpr uint64_t kGgufMaxTensors = 1u << 18;
inline constexpr uint64_t kGgufMaxArrayTexts = 1u << 20;  // in all arrays
// Ids of tensor types from here on are given to none, today or soon.
inline constexpr uint32_t kGgufTensorTypes = 64;

inline constexpr std::string_view kGgufAlignmentKey = "general.alignment";
// Of our own: the tokenizer brings texts into normal form C.
inline constexpr std::string_view kGgufNfcKey = "lodestone.tokenizer.nfc";

enum class GgufValueType : uint32_t {
  kUint8 = 0,
  kInt8 = 1,
  kUint16 = 2,
  kInt16 = 3,
  kUint32 = 4,
  kInt32 = 5,
  kFloat32 = 6,
  kBool = 7,
  kString = 8,
  kArray = 9,
  kUint64 = 10,
  kInt64 = 11,
  kFloat64 = 12,
};

// The id of a tensor type in the file; nothing for a dtype that GGUF lacks.
constexpr std::optional<uint32_t> GgufTensorType(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return 0;
    case DType::kF16:
      return 1;
    case DType::kQ4_0:
      return 2;
    case DType::kQ4_1:
      return 3;
    case DType::kQ5_0:
      return 6;
    case DType::kQ5_1:
      return 7;
    case DType::kQ8_0:
      return 8;
    case DType::kQ2K:
      return 10;
    case DType::kQ3K:
      return 11;
    case DType::kQ4K:
      return 12;
    case DType::kQ5K:
      return 13;
    case DType::kQ6K:
      return 14;
    case DType::kQ8K:
      return 15;
    case DType::kIQ4NL:
      return 20;
    case DType::kIQ4XS:
      return 23;
    case DType::kI8:
      return 24;
    case DType::kI16:
      return 25;
    case DType::kI32:
      return 26;
    case DType::kI64:
      return 27;
    case DType::kF64:
      return 28;
    case DType::kBF16:
      return 30;
    case DType::kMXFP4:
      return 39;
    case DType::kIQ1S:
      return 19;
    case DType::kIQ1M:
      return 29;
    case DType::kIQ2XXS:
      return 16;
    case DType::kIQ2XS:
      return 17;
    case DType::kIQ2S:
      return 22;
    case DType::kIQ3XXS:
      return 18;
    case DType::kIQ3S:
      return 21;
    case DType::kTQ1_0:
      return 34;
    case DType::kTQ2_0:
      return 35;
    case DType::kF8E4M3:
    case DType::kF8E5M2:
    case DType::kU64:
    case DType::kU32:
    case DType::kU16:
    case DType::kU8:
    case DType::kBool:
      break;
  }
  return std::nullopt;
}

// Whether the type is one of weights that only ik_llama.cpp knows (its ggml.h).
constexpr bool IsForkTensorType(uint32_t tensor_type) {
  return tensor_type >= 133 && tensor_type < 400;
}

// The dtype of an id; nothing for one that is not read.
constexpr std::optional<DType> GgufDType(uint32_t tensor_type) {
  constexpr DType kAll[] = {
      DType::kF32,    DType::kF16,   DType::kQ4_0,  DType::kQ4_1,
      DType::kQ5_0,   DType::kQ5_1,  DType::kQ8_0,  DType::kQ2K,
      DType::kQ3K,    DType::kQ4K,   DType::kQ5K,   DType::kQ6K,
      DType::kQ8K,    DType::kIQ4NL, DType::kIQ4XS, DType::kI8,
      DType::kI16,    DType::kI32,   DType::kI64,   DType::kF64,
      DType::kBF16,   DType::kMXFP4, DType::kIQ1S,  DType::kIQ1M,
      DType::kIQ2XXS, DType::kIQ2XS, DType::kIQ2S,  DType::kIQ3XXS,
      DType::kIQ3S,   DType::kTQ1_0, DType::kTQ2_0};
  for (const DType dtype : kAll) {
    if (GgufTensorType(dtype) == tensor_type) return dtype;
  }
  return std::nullopt;
}

}  // namespace verify
