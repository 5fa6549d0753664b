// SPDX-License-Identifier: Apache-2.0
// Pickles put together opcode by opcode, and torch.save archives around them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/byte_builder.h"
#include "tests/support/zip_builder.h"

namespace tests {

class PickleBuilder {
 public:
  // Begins with PROTO 2 unless `protocol` says otherwise; < 0: nothing.
  explicit PickleBuilder(int protocol = 2);

  PickleBuilder& Op(char code);  // an opcode without argument
  PickleBuilder& Raw(std::string_view bytes);
  PickleBuilder& Text(std::string_view text);  // BINUNICODE
  PickleBuilder& Int(int64_t value);           // BININT, or LONG1 if wide
  PickleBuilder& Global(std::string_view module, std::string_view name);
  PickleBuilder& Put(uint32_t index);
  PickleBuilder& Get(uint32_t index);
  // A tuple of the numbers.
  PickleBuilder& Tuple(const std::vector<int64_t>& numbers);
  // ('storage', torch.CLASS, key, 'cpu', numel) BINPERSID.
  PickleBuilder& Storage(std::string_view type, std::string_view key,
                         int64_t numel);
  // _rebuild_tensor_v2 of such a storage.
  PickleBuilder& Tensor(std::string_view type, std::string_view key,
                        int64_t numel, int64_t start,
                        const std::vector<int64_t>& shape,
                        const std::vector<int64_t>& strides);

  const std::string& str() const { return out_.str(); }

 private:
  ByteBuilder out_;
};

// A dict {"w": float32 [2, 3]} over storage "0" of 6 elements, and its archive
// members; `data` are the bytes of the storage.
std::string SmallStateDict();
std::string SmallStorage();

// The members of a torch.save archive in folder "m": data.pkl, byteorder,
// data/KEY each, version.
struct TorchRecord {
  std::string key;
  std::string content;
};
std::vector<ZipMember> TorchMembers(const std::string& pickle,
                                    const std::vector<TorchRecord>& records);
std::string BuildTorch(const std::string& pickle,
                       const std::vector<TorchRecord>& records);

}  // namespace tests
