// SPDX-License-Identifier: Apache-2.0
// Every opcode that pickle has up to protocol 5, so that a refusal can name
// what it met, and a look through a refused pickle for the global it is after.
// Source: CPython, Lib/pickletools.py.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "verify/base/bytes.h"

namespace verify {

// What follows an opcode in the stream.
enum class PickleArgument : uint8_t {
  kNone,
  kBytes1,
  kBytes2,
  kBytes4,
  kBytes8,
  kCounted1,  // u8 length, then so many bytes
  kCounted4,
  kCounted8,
  kLine,
  kTwoLines,
};

struct PickleOpcode {
  uint8_t code = 0;
  std::string_view name;
  PickleArgument argument = PickleArgument::kNone;
};

// Null for a byte that is no opcode.
const PickleOpcode* FindPickleOpcode(uint8_t code);

struct SeenGlobal {
  std::string module;
  std::string name;
  uint64_t position = 0;  // in the pickle
};

// Walks over the opcodes of a pickle that is refused already, carrying nothing
// out, and returns the first global (GLOBAL, INST, or STACK_GLOBAL after two
// strings) for which `is_known` is false.
std::optional<SeenGlobal> FindForeignGlobal(
    ByteSpan pickle,
    bool (*is_known)(std::string_view module, std::string_view name));

}  // namespace verify
