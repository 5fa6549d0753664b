// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/gguf_writer.h"

#include <cstring>
#include <optional>
#include <type_traits>

#include "verify/base/bytes.h"
#include "verify/base/text.h"

namespace inference {
namespace {

using verify::DType;
using verify::ErrorCode;
using verify::Fail;
using verify::GgufValueType;
using verify::Result;
using verify::StrCat;

constexpr uint64_t kAlignment = verify::kGgufDefaultAlignment;

// Magic, version and the two counts.
constexpr uint64_t kFixedBytes = 4 + 4 + 8 + 8;

template <typename T>
void Append(std::string& out, T value) {
  static_assert(std::is_trivially_copyable_v<T>);
  const auto old_size = out.size();
  out.resize(old_size + sizeof(T));
  std::memcpy(out.data() + old_size, &value, sizeof(T));
}

void AppendString(std::string& out, std::string_view text) {
  Append<uint64_t>(out, text.size());
  out.append(text);
}

}  // namespace

void GgufHeader::AddKey(std::string_view key, GgufValueType type) {
  AppendString(metadata_, key);
  Append(metadata_, static_cast<uint32_t>(type));
  ++num_values_;
}

void GgufHeader::AddArray(std::string_view key, GgufValueType element,
                          uint64_t count) {
  AddKey(key, GgufValueType::kArray);
  Append(metadata_, static_cast<uint32_t>(element));
  Append(metadata_, count);
}

void GgufHeader::AddUint16(std::string_view key, uint16_t value) {
  AddKey(key, GgufValueType::kUint16);
  Append(metadata_, value);
}

void GgufHeader::AddInt32(std::string_view key, int32_t value) {
  AddKey(key, GgufValueType::kInt32);
  Append(metadata_, value);
}

void GgufHeader::AddUint32(std::string_view key, uint32_t value) {
  AddKey(key, GgufValueType::kUint32);
  Append(metadata_, value);
}

void GgufHeader::AddFloat32(std::string_view key, float value) {
  AddKey(key, GgufValueType::kFloat32);
  Append(metadata_, value);
}

void GgufHeader::AddBool(std::string_view key, bool value) {
  AddKey(key, GgufValueType::kBool);
  Append<uint8_t>(metadata_, value ? 1 : 0);
}

void GgufHeader::AddString(std::string_view key, std::string_view value) {
  AddKey(key, GgufValueType::kString);
  AppendString(metadata_, value);
}

void GgufHeader::AddStrings(std::string_view key,
                            std::span<const std::string> values) {
  AddArray(key, GgufValueType::kString, values.size());
  for (const std::string& value : values) AppendString(metadata_, value);
}

void GgufHeader::AddFloat32s(std::string_view key,
                             std::span<const float> values) {
  AddArray(key, GgufValueType::kFloat32, values.size());
  for (const float value : values) Append(metadata_, value);
}

void GgufHeader::AddInt32s(std::string_view key,
                           std::span<const int32_t> values) {
  AddArray(key, GgufValueType::kInt32, values.size());
  for (const int32_t value : values) Append(metadata_, value);
}

Result<void> GgufHeader::AddTensor(std::string_view name,
                                   std::span<const uint64_t> shape,
                                   DType dtype) {
  const auto type = verify::GgufTensorType(dtype);
  if (!type.has_value() || shape.empty() ||
      shape.size() > verify::kGgufMaxDims) {
    return Fail(ErrorCode::kUnsupported,
                StrCat("tensor \"", name, "\": GGUF has no ", shape.size(),
                       "-dimensional ", verify::DTypeName(dtype)));
  }
  if (name.size() > verify::kGgufMaxTensorNameBytes) {
    return Fail(ErrorCode::kLimit,
                StrCat("tensor \"", name, "\": a name has at most ",
                       verify::kGgufMaxTensorNameBytes, " bytes in GGUF"));
  }
  std::optional<uint64_t> bytes = verify::DTypeBytes(dtype, shape.back());
  for (const uint64_t rows : shape.first(shape.size() - 1)) {
    if (bytes.has_value()) bytes = verify::CheckedMul(*bytes, rows);
  }
  const auto padded =
      bytes.has_value() ? verify::AlignUp(*bytes, kAlignment) : std::nullopt;
  const auto end = padded.has_value() ? verify::CheckedAdd(data_bytes_, *padded)
                                      : std::nullopt;
  if (!end.has_value()) {
    return Fail(ErrorCode::kLimit,
                StrCat("tensor \"", name, "\" has no size as ",
                       verify::DTypeName(dtype)));
  }
  const size_t table_offset = table_.size();
  AppendString(table_, name);
  Append(table_, static_cast<uint32_t>(shape.size()));
  for (size_t i = shape.size(); i > 0; --i) Append(table_, shape[i - 1]);
  Append(table_, *type);
  Append(table_, data_bytes_);
  tensors_.push_back({data_bytes_, *bytes, table_offset});
  data_bytes_ = *end;
  return {};
}

void GgufHeader::RemoveLastTensor() {
  data_bytes_ = tensors_.back().offset;
  table_.resize(tensors_.back().table_offset);
  tensors_.pop_back();
}

uint64_t GgufHeader::num_bytes() const {
  const uint64_t bytes = kFixedBytes + metadata_.size() + table_.size();
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

std::string GgufHeader::Bytes() const {
  std::string out;
  Append(out, verify::kGgufMagic);
  Append(out, verify::kGgufVersion);
  Append<uint64_t>(out, tensors_.size());
  Append(out, num_values_);
  out += metadata_;
  out += table_;
  out.resize(static_cast<size_t>(num_bytes()), '\0');
  return out;
}

uint64_t GgufHeader::padded_bytes(size_t index) const {
  const uint64_t end =
      index + 1 < tensors_.size() ? tensors_[index + 1].offset : data_bytes_;
  return end - tensors_[index].offset;
}

}  // namespace inference
