// SPDX-License-Identifier: Apache-2.0
#include "inference/ops/kv_row.h"

namespace inference {

std::string_view KvTypeName(KvType type) {
  return type == KvType::kQ8_0 ? "q8_0" : "f16";
}

std::optional<KvType> ParseKvType(std::string_view name) {
  for (const KvType type : {KvType::kF16, KvType::kQ8_0}) {
    if (KvTypeName(type) == name) return type;
  }
  return std::nullopt;
}

}  // namespace inference
