// SPDX-License-Identifier: Apache-2.0
#include "verify/checkpoint/protobuf_wire.h"

#include <bit>
#include <limits>

#include "verify/base/text.h"

namespace verify {
namespace {

constexpr uint64_t kMaxFieldNumber = (1u << 29) - 1;

Unexpected WrongType(const WireField& field) {
  return std::move(Fail(ErrorCode::kCorrupt,
                        StrCat("field ", field.number, " has wire type ",
                               static_cast<int>(field.type))))
      .At(field.offset);
}

}  // namespace

Result<uint64_t> WireReader::Varint() {
  const uint64_t offset = reader_.offset();
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    ASSIGN_OR_RETURN(const auto byte, reader_.Read<uint8_t>());
    const uint64_t bits = byte & 0x7fu;
    if (shift == 63 && bits > 1) break;
    value |= bits << shift;
    if ((byte & 0x80u) == 0) return value;
  }
  return Fail(ErrorCode::kCorrupt, "a number of more than 64 bits").At(offset);
}

Result<WireField> WireReader::Next() {
  WireField field;
  field.offset = reader_.offset();
  ASSIGN_OR_RETURN(const uint64_t tag, Varint());
  const uint64_t number = tag >> 3;
  if (number == 0 || number > kMaxFieldNumber) {
    return Fail(ErrorCode::kCorrupt, StrCat("field number ", number))
        .At(field.offset);
  }
  field.number = static_cast<uint32_t>(number);
  switch (tag & 7) {
    case 0: {
      field.type = WireType::kVarint;
      ASSIGN_OR_RETURN(field.number_value, Varint());
      return field;
    }
    case 1: {
      field.type = WireType::kFixed64;
      ASSIGN_OR_RETURN(field.number_value, reader_.Read<uint64_t>());
      return field;
    }
    case 2: {
      field.type = WireType::kBytes;
      ASSIGN_OR_RETURN(const uint64_t size, Varint());
      field.bytes_offset = reader_.offset();
      ASSIGN_OR_RETURN(field.bytes, reader_.ReadBytes(size));
      return field;
    }
    case 5: {
      field.type = WireType::kFixed32;
      ASSIGN_OR_RETURN(field.number_value, reader_.Read<uint32_t>());
      return field;
    }
    default:
      return Fail(ErrorCode::kCorrupt,
                  StrCat("field ", number, " has wire type ", tag & 7))
          .At(field.offset);
  }
}

Result<float> WireFloat(const WireField& field) {
  if (field.type != WireType::kFixed32) return WrongType(field);
  return std::bit_cast<float>(static_cast<uint32_t>(field.number_value));
}

Result<int32_t> WireInt32(const WireField& field) {
  if (field.type != WireType::kVarint) return WrongType(field);
  const auto value = static_cast<int64_t>(field.number_value);
  if (value < std::numeric_limits<int32_t>::min() ||
      value > std::numeric_limits<int32_t>::max()) {
    return Fail(ErrorCode::kCorrupt, StrCat("field ", field.number, " is ",
                                            value, ", beyond 32 bits"))
        .At(field.offset);
  }
  return static_cast<int32_t>(value);
}

Result<bool> WireBool(const WireField& field) {
  if (field.type != WireType::kVarint) return WrongType(field);
  return field.number_value != 0;
}

Result<ByteSpan> WireBytes(const WireField& field) {
  if (field.type != WireType::kBytes) return WrongType(field);
  return field.bytes;
}

void AppendWireVarint(std::string& out, uint64_t value) {
  while (value >= 0x80) {
    out.push_back(static_cast<char>((value & 0x7f) | 0x80));
    value >>= 7;
  }
  out.push_back(static_cast<char>(value));
}

void AppendWireTag(std::string& out, uint32_t number, WireType type) {
  AppendWireVarint(out, (uint64_t{number} << 3) | static_cast<uint8_t>(type));
}

void AppendWireInt32(std::string& out, uint32_t number, int32_t value) {
  AppendWireTag(out, number, WireType::kVarint);
  // Negative numbers are written sign-extended, in 10 bytes.
  AppendWireVarint(out, static_cast<uint64_t>(int64_t{value}));
}

void AppendWireFloat(std::string& out, uint32_t number, float value) {
  AppendWireTag(out, number, WireType::kFixed32);
  const auto bits = std::bit_cast<uint32_t>(value);
  for (int shift = 0; shift < 32; shift += 8) {
    out.push_back(static_cast<char>((bits >> shift) & 0xff));
  }
}

void AppendWireBytes(std::string& out, uint32_t number,
                     std::string_view bytes) {
  AppendWireTag(out, number, WireType::kBytes);
  AppendWireVarint(out, bytes.size());
  out.append(bytes);
}

}  // namespace verify
