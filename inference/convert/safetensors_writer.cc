// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/safetensors_writer.h"

#include <cstring>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "verify/base/text.h"
#include "verify/checkpoint/safetensors_reader.h"

namespace inference {
namespace {

using verify::DType;
using verify::Result;
using verify::StrCat;
using Ordered = nlohmann::ordered_json;

constexpr uint64_t kAlignment = 8;

const char* TypeName(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "F32";
    case DType::kF16:
      return "F16";
    default:
      return "BF16";
  }
}

}  // namespace

bool IsSafetensorsType(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

bool StandsBefore(const SafetensorsEntry& a, const SafetensorsEntry& b) {
  const uint64_t a_width = verify::BlockBytes(a.dtype);
  const uint64_t b_width = verify::BlockBytes(b.dtype);
  if (a_width != b_width) return a_width > b_width;
  if (a.dtype != b.dtype) {
    return std::string_view(TypeName(a.dtype)) < TypeName(b.dtype);
  }
  return a.name < b.name;
}

Result<std::string> SafetensorsHead(std::span<const SafetensorsEntry> entries) {
  Ordered header = Ordered::object();
  // What other readers look for to know who wrote it: row-major tensors.
  header["__metadata__"] = {{"format", "pt"}};
  uint64_t at = 0;
  for (const SafetensorsEntry& entry : entries) {
    header[entry.name] = {{"dtype", TypeName(entry.dtype)},
                          {"shape", entry.shape},
                          {"data_offsets", {at, at + entry.bytes}}};
    at += entry.bytes;
  }
  std::string text = header.dump();
  text.resize((text.size() + kAlignment - 1) / kAlignment * kAlignment, ' ');
  if (text.size() > verify::kMaxSafetensorsHeaderBytes) {
    return verify::Fail(
               verify::ErrorCode::kLimit,
               StrCat("a safetensors file of ", entries.size(),
                      " tensors: a header of ", text.size(), " bytes, at most ",
                      verify::kMaxSafetensorsHeaderBytes))
        .Hint("choose a smaller size with --split-size");
  }
  const uint64_t size = text.size();
  std::string head(sizeof(size), '\0');
  std::memcpy(head.data(), &size, sizeof(size));
  return head + text;
}

uint64_t MaxHeaderBytesOf(const SafetensorsEntry& entry) {
  // ,"NAME":{"dtype":"BF16","shape":[],"data_offsets":[,]} and numbers of at
  // most 20 digits.
  return entry.name.size() + 56 + 21 * (entry.shape.size() + 2);
}

std::string SafetensorsIndexJson(
    const std::map<std::string, std::string>& files, uint64_t total_bytes) {
  Ordered index = Ordered::object();
  index["metadata"] = {{"total_size", total_bytes}};
  Ordered map = Ordered::object();
  for (const auto& [tensor, file] : files) map[tensor] = file;
  index["weight_map"] = std::move(map);
  return index.dump(2) + "\n";
}

}  // namespace inference
