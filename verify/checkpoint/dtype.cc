// SPDX-License-Identifier: Apache-2.0
#include "verify/checkpoint/dtype.h"

#include "verify/base/bytes.h"

namespace verify {
namespace {

struct DTypeFacts {
  std::string_view name;
  uint64_t block_elements;
  uint64_t block_bytes;
};

// Sizes of the packed types: docs/formats/gguf.md.
DTypeFacts Facts(DType dtype) {
  switch (dtype) {
    case DType::kF64:
      return {"f64", 1, 8};
    case DType::kF32:
      return {"f32", 1, 4};
    case DType::kF16:
      return {"f16", 1, 2};
    case DType::kBF16:
      return {"bf16", 1, 2};
    case DType::kF8E4M3:
      return {"f8_e4m3", 1, 1};
    case DType::kF8E5M2:
      return {"f8_e5m2", 1, 1};
    case DType::kI64:
      return {"i64", 1, 8};
    case DType::kI32:
      return {"i32", 1, 4};
    case DType::kI16:
      return {"i16", 1, 2};
    case DType::kI8:
      return {"i8", 1, 1};
    case DType::kU64:
      return {"u64", 1, 8};
    case DType::kU32:
      return {"u32", 1, 4};
    case DType::kU16:
      return {"u16", 1, 2};
    case DType::kU8:
      return {"u8", 1, 1};
    case DType::kBool:
      return {"bool", 1, 1};
    case DType::kQ8_0:
      return {"q8_0", 32, 34};
    case DType::kQ4_0:
      return {"q4_0", 32, 18};
    case DType::kQ4_1:
      return {"q4_1", 32, 20};
    case DType::kQ5_0:
      return {"q5_0", 32, 22};
    case DType::kQ5_1:
      return {"q5_1", 32, 24};
    case DType::kQ2K:
      return {"q2_k", 256, 84};
    case DType::kQ3K:
      return {"q3_k", 256, 110};
    case DType::kQ4K:
      return {"q4_k", 256, 144};
    case DType::kQ5K:
      return {"q5_k", 256, 176};
    case DType::kQ6K:
      return {"q6_k", 256, 210};
    case DType::kQ8K:
      return {"q8_k", 256, 292};
    case DType::kIQ4NL:
      return {"iq4_nl", 32, 18};
    case DType::kIQ4XS:
      return {"iq4_xs", 256, 136};
    case DType::kMXFP4:
      return {"mxfp4", 32, 17};
    case DType::kIQ1S:
      return {"iq1_s", 256, 50};
    case DType::kIQ1M:
      return {"iq1_m", 256, 56};
    case DType::kIQ2XXS:
      return {"iq2_xxs", 256, 66};
    case DType::kIQ2XS:
      return {"iq2_xs", 256, 74};
    case DType::kIQ2S:
      return {"iq2_s", 256, 82};
    case DType::kIQ3XXS:
      return {"iq3_xxs", 256, 98};
    case DType::kIQ3S:
      return {"iq3_s", 256, 110};
    case DType::kTQ1_0:
      return {"tq1_0", 256, 54};
    case DType::kTQ2_0:
      return {"tq2_0", 256, 66};
  }
  return {"unknown", 1, 1};
}

}  // namespace

std::string_view DTypeName(DType dtype) { return Facts(dtype).name; }
uint64_t BlockElements(DType dtype) { return Facts(dtype).block_elements; }
uint64_t BlockBytes(DType dtype) { return Facts(dtype).block_bytes; }

std::optional<uint64_t> DTypeBytes(DType dtype, uint64_t num_elements) {
  const DTypeFacts facts = Facts(dtype);
  if (num_elements % facts.block_elements != 0) return std::nullopt;
  return CheckedMul<uint64_t>(num_elements / facts.block_elements,
                              facts.block_bytes);
}

}  // namespace verify
