// SPDX-License-Identifier: Apache-2.0
#include "tests/support/pickle_builder.h"

#include <limits>

namespace tests {

PickleBuilder::PickleBuilder(int protocol) {
  if (protocol >= 0) out_.U8(0x80).U8(static_cast<uint8_t>(protocol));
}

PickleBuilder& PickleBuilder::Op(char code) {
  out_.U8(static_cast<uint8_t>(code));
  return *this;
}

PickleBuilder& PickleBuilder::Raw(std::string_view bytes) {
  out_.Text(bytes);
  return *this;
}

PickleBuilder& PickleBuilder::Text(std::string_view text) {
  out_.Text("X").U32(static_cast<uint32_t>(text.size())).Text(text);
  return *this;
}

PickleBuilder& PickleBuilder::Int(int64_t value) {
  if (value >= std::numeric_limits<int32_t>::min() &&
      value <= std::numeric_limits<int32_t>::max()) {
    out_.Text("J").I32(static_cast<int32_t>(value));
  } else {
    out_.U8(0x8a).U8(8).I64(value);
  }
  return *this;
}

PickleBuilder& PickleBuilder::Global(std::string_view module,
                                     std::string_view name) {
  out_.Text("c").Text(module).Text("\n").Text(name).Text("\n");
  return *this;
}

PickleBuilder& PickleBuilder::Put(uint32_t index) {
  out_.Text("r").U32(index);
  return *this;
}

PickleBuilder& PickleBuilder::Get(uint32_t index) {
  out_.Text("j").U32(index);
  return *this;
}

PickleBuilder& PickleBuilder::Tuple(const std::vector<int64_t>& numbers) {
  Op('(');
  for (const int64_t number : numbers) Int(number);
  return Op('t');
}

PickleBuilder& PickleBuilder::Storage(std::string_view type,
                                      std::string_view key, int64_t numel) {
  return Op('(')
      .Text("storage")
      .Global("torch", type)
      .Text(key)
      .Text("cpu")
      .Int(numel)
      .Op('t')
      .Op('Q');
}

PickleBuilder& PickleBuilder::Tensor(std::string_view type,
                                     std::string_view key, int64_t numel,
                                     int64_t start,
                                     const std::vector<int64_t>& shape,
                                     const std::vector<int64_t>& strides) {
  return Global("torch._utils", "_rebuild_tensor_v2")
      .Op('(')
      .Storage(type, key, numel)
      .Int(start)
      .Tuple(shape)
      .Tuple(strides)
      .Raw("\x89")
      .Global("collections", "OrderedDict")
      .Raw(")R")
      .Raw("tR");
}

std::string SmallStateDict() {
  return PickleBuilder()
      .Raw("}(")
      .Text("w")
      .Tensor("FloatStorage", "0", 6, 0, {2, 3}, {3, 1})
      .Raw("u.")
      .str();
}

std::string SmallStorage() {
  return ByteBuilder().F32(0).F32(1).F32(2).F32(3).F32(4).F32(5).str();
}

std::vector<ZipMember> TorchMembers(const std::string& pickle,
                                    const std::vector<TorchRecord>& records) {
  std::vector<ZipMember> members;
  const auto add = [&members](std::string name, std::string content) {
    ZipMember member;
    member.name = std::move(name);
    member.content = std::move(content);
    members.push_back(std::move(member));
  };
  add("m/data.pkl", pickle);
  add("m/byteorder", "little");
  for (const TorchRecord& record : records) {
    add("m/data/" + record.key, record.content);
  }
  add("m/version", "3\n");
  return members;
}

std::string BuildTorch(const std::string& pickle,
                       const std::vector<TorchRecord>& records) {
  return BuildZip(TorchMembers(pickle, records));
}

}  // namespace tests
