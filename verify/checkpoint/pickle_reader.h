// SPDX-License-Identifier: Apache-2.0
// Reads data.pkl of a torch.save archive into an inert tree of values. A pickle
// is a program; this reader runs none of it. It knows the opcodes and the
// globals that tensors need (docs/formats/torch.md), gives each a fixed meaning
// as plain data, and refuses a file at the first one that it does not know.
// Tested by tests/verify/checkpoint/pickle_reader_test.cc, fuzzed by
// tests/fuzz/pickle_fuzz.cc.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "verify/base/bytes.h"
#include "verify/base/result.h"
#include "verify/checkpoint/dtype.h"

namespace verify {

inline constexpr uint64_t kMaxPickleBytes = 32u << 20;
inline constexpr size_t kMaxPickleStack = 1u << 20;
inline constexpr size_t kMaxPickleMemo = 4u << 20;
inline constexpr size_t kMaxPickleValues = 1u << 20;
inline constexpr uint64_t kMaxPickleItems = 4u << 20;
inline constexpr uint32_t kMaxPickleDepth = 64;
inline constexpr size_t kMaxPickleStringBytes = 1u << 20;

// The globals with a meaning here. Nothing else is ever resolved.
enum class PickleGlobal : uint8_t {
  kOrderedDict,
  kRebuildTensorV2,
  kRebuildTensorV3,
  kRebuildParameter,
  kRebuildFromType,
  kTensorType,      // torch.Tensor, torch.nn.parameter.Parameter: markers
  kStorage,         // a typed storage class; dtype says which
  kUntypedStorage,  // numel counts bytes
  kDType,           // torch.bfloat16 and others
};

enum class PickleKind : uint8_t {
  kNone,
  kBool,
  kInt,
  kFloat,
  kString,
  kTuple,
  kList,
  kSet,          // always empty
  kDict,         // items: key, value, key, value, ...
  kOrderedDict,  // the same
  kGlobal,
  kStorage,   // items: those of the persistent id
  kTensorV2,  // items: the arguments of _rebuild_tensor_v2
  kTensorV3,
};

using PickleId = uint32_t;

// One value. Kind says which members have a meaning.
struct PickleValue {
  PickleKind kind = PickleKind::kNone;
  PickleGlobal global = PickleGlobal::kOrderedDict;
  DType dtype = DType::kF32;  // of kStorage and kDType globals
  bool boolean = false;
  // Has been put into another value; from then on it cannot change, so that no
  // value can come to hold itself.
  bool is_held = false;
  uint32_t depth = 1;
  uint32_t items = 0;  // index for PickleTree::Items
  int64_t integer = 0;
  double real = 0;
  std::string_view text;
  uint64_t offset = 0;  // of the opcode that made it, in the file
};

// The values of one pickle; a value may be held by several others. Views text
// in the bytes it was read from, which must outlive it. Thread-compatible.
class PickleTree {
 public:
  PickleId root() const { return root_; }
  size_t size() const { return values_.size(); }
  const PickleValue& operator[](PickleId id) const { return values_[id]; }
  // Of a tuple, list, dict, storage or tensor; empty for all others.
  std::span<const PickleId> Items(const PickleValue& value) const;

 private:
  friend class PickleMachine;

  PickleId root_ = 0;
  std::vector<PickleValue> values_;
  std::vector<std::vector<PickleId>> items_;
};

// Reads exactly one pickle that fills `bytes`. `base_offset` is where they
// stand in their file, for error offsets.
// Errors: kCorrupt (id E-PICKLE-GLOBAL: a global that is not on the list, named
//         in the message; E-PICKLE-OPCODE; E-PICKLE: all else that is wrong),
//         kLimit (one of the limits above).
Result<PickleTree> ReadPickle(ByteSpan bytes, uint64_t base_offset = 0);

}  // namespace verify
