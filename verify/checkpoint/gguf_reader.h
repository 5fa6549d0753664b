// SPDX-License-Identifier: Apache-2.0
// Reads GGUF v2 and v3: metadata and tensor table, no tensor data.
// Format: docs/formats/gguf.md. Fuzzed by tests/fuzz/gguf_fuzz.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "verify/base/file.h"
#include "verify/base/result.h"
#include "verify/checkpoint/tensor_table.h"

namespace verify {

// One metadata value. Integers of every width widen to 64 bits, keeping their
// sign; arrays keep their element kind.
using GgufValue =
    std::variant<uint64_t, int64_t, double, bool, std::string,
                 std::vector<uint64_t>, std::vector<int64_t>,
                 std::vector<float>, std::vector<bool>,
                 std::vector<std::string>>;

inline constexpr uint64_t kMaxGgufStringBytes = 16u << 20;
inline constexpr uint64_t kMaxGgufKeyBytes = 65535;
inline constexpr uint64_t kMaxGgufKeys = 65536;
// Over all arrays of a file.
inline constexpr uint64_t kMaxGgufArrayElements = 8u << 20;

struct GgufFile {
  uint32_t version = 0;
  uint64_t alignment = 32;
  uint64_t data_offset = 0;
  std::unordered_map<std::string, GgufValue> metadata;
  TensorTable tensors;  // shapes outermost first, i.e. ne reversed

  // The value of `key` if it is there and of that kind (any integer kind that
  // fits for Unsigned).
  std::optional<uint64_t> Unsigned(std::string_view key) const;
  std::optional<double> Float(std::string_view key) const;
  std::optional<bool> Bool(std::string_view key) const;
  const std::string* String(std::string_view key) const;
  const std::vector<std::string>* Strings(std::string_view key) const;
  const std::vector<float>* Floats(std::string_view key) const;
  // An array of any integer kind whose values all fit; by value.
  std::optional<std::vector<int64_t>> Integers(std::string_view key) const;
};

// Parses header, metadata and tensor table; reads no tensor data. Tensors lie
// one after the other without a gap but for alignment, to the end of the file.
// What is known of a key is checked: its type, and that token ids, scores and
// types fit the vocabulary. The result
// keeps no reference to `file`. Time and memory grow with the metadata.
// Thread-safe.
// Errors: kCorrupt (bad magic, a rule of the format broken; offset set),
//         kUnsupported (version, tensor type), kLimit (a named limit).
Result<GgufFile> ReadGguf(const ByteSource& file);

}  // namespace verify
