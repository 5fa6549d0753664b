// SPDX-License-Identifier: Apache-2.0
// The wire format of Protocol Buffers, as much of it as a tokenizer.model
// uses: varints, fixed-width numbers and length-delimited fields. Groups are
// refused. Tested by tests/verify/checkpoint/tokenizer_model_test.cc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "verify/base/bytes.h"
#include "verify/base/result.h"

namespace verify {

enum class WireType : uint8_t {
  kVarint = 0,
  kFixed64 = 1,
  kBytes = 2,
  kFixed32 = 5,
};

// One field of a message; which member holds its value depends on `type`.
struct WireField {
  uint32_t number = 0;
  WireType type = WireType::kVarint;
  uint64_t offset = 0;        // of its tag
  uint64_t number_value = 0;  // kVarint, kFixed32, kFixed64
  ByteSpan bytes;             // kBytes; a view of the message
  uint64_t bytes_offset = 0;  // of `bytes` in the file
};

// The fields of one message in their order. The bytes must outlive the reader.
class WireReader {
 public:
  explicit WireReader(ByteSpan message, uint64_t base_offset = 0)
      : reader_(message, base_offset) {}

  bool empty() const { return reader_.empty(); }

  // The next field. kCorrupt (with offset): truncated, a number of more than
  // 10 bytes or 64 bits, field number 0, a group or an unknown wire type.
  Result<WireField> Next();

 private:
  Result<uint64_t> Varint();

  ByteReader reader_;
};

// A varint or fixed32 as the float, int32 or bool that the field is declared
// as; kCorrupt if it has another wire type or does not fit.
Result<float> WireFloat(const WireField& field);
Result<int32_t> WireInt32(const WireField& field);
Result<bool> WireBool(const WireField& field);
Result<ByteSpan> WireBytes(const WireField& field);

// Writing: the same types, appended to `out`.
void AppendWireTag(std::string& out, uint32_t number, WireType type);
void AppendWireVarint(std::string& out, uint64_t value);
void AppendWireInt32(std::string& out, uint32_t number, int32_t value);
void AppendWireFloat(std::string& out, uint32_t number, float value);
void AppendWireBytes(std::string& out, uint32_t number, std::string_view bytes);

}  // namespace verify
