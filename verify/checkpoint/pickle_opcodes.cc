// SPDX-License-Identifier: Apache-2.0
#include "verify/checkpoint/pickle_opcodes.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <system_error>
#include <unordered_map>

namespace verify {
namespace {

using A = PickleArgument;

constexpr std::array<PickleOpcode, 68> kOpcodes = {{
    {'(', "MARK", A::kNone},
    {'.', "STOP", A::kNone},
    {'0', "POP", A::kNone},
    {'1', "POP_MARK", A::kNone},
    {'2', "DUP", A::kNone},
    {'F', "FLOAT", A::kLine},
    {'I', "INT", A::kLine},
    {'J', "BININT", A::kBytes4},
    {'K', "BININT1", A::kBytes1},
    {'L', "LONG", A::kLine},
    {'M', "BININT2", A::kBytes2},
    {'N', "NONE", A::kNone},
    {'P', "PERSID", A::kLine},
    {'Q', "BINPERSID", A::kNone},
    {'R', "REDUCE", A::kNone},
    {'S', "STRING", A::kLine},
    {'T', "BINSTRING", A::kCounted4},
    {'U', "SHORT_BINSTRING", A::kCounted1},
    {'V', "UNICODE", A::kLine},
    {'X', "BINUNICODE", A::kCounted4},
    {'a', "APPEND", A::kNone},
    {'b', "BUILD", A::kNone},
    {'c', "GLOBAL", A::kTwoLines},
    {'d', "DICT", A::kNone},
    {'}', "EMPTY_DICT", A::kNone},
    {'e', "APPENDS", A::kNone},
    {'g', "GET", A::kLine},
    {'h', "BINGET", A::kBytes1},
    {'i', "INST", A::kTwoLines},
    {'j', "LONG_BINGET", A::kBytes4},
    {'l', "LIST", A::kNone},
    {']', "EMPTY_LIST", A::kNone},
    {'o', "OBJ", A::kNone},
    {'p', "PUT", A::kLine},
    {'q', "BINPUT", A::kBytes1},
    {'r', "LONG_BINPUT", A::kBytes4},
    {'s', "SETITEM", A::kNone},
    {'t', "TUPLE", A::kNone},
    {')', "EMPTY_TUPLE", A::kNone},
    {'u', "SETITEMS", A::kNone},
    {'G', "BINFLOAT", A::kBytes8},
    {'B', "BINBYTES", A::kCounted4},
    {'C', "SHORT_BINBYTES", A::kCounted1},
    {0x80, "PROTO", A::kBytes1},
    {0x81, "NEWOBJ", A::kNone},
    {0x82, "EXT1", A::kBytes1},
    {0x83, "EXT2", A::kBytes2},
    {0x84, "EXT4", A::kBytes4},
    {0x85, "TUPLE1", A::kNone},
    {0x86, "TUPLE2", A::kNone},
    {0x87, "TUPLE3", A::kNone},
    {0x88, "NEWTRUE", A::kNone},
    {0x89, "NEWFALSE", A::kNone},
    {0x8a, "LONG1", A::kCounted1},
    {0x8b, "LONG4", A::kCounted4},
    {0x8c, "SHORT_BINUNICODE", A::kCounted1},
    {0x8d, "BINUNICODE8", A::kCounted8},
    {0x8e, "BINBYTES8", A::kCounted8},
    {0x8f, "EMPTY_SET", A::kNone},
    {0x90, "ADDITEMS", A::kNone},
    {0x91, "FROZENSET", A::kNone},
    {0x92, "NEWOBJ_EX", A::kNone},
    {0x93, "STACK_GLOBAL", A::kNone},
    {0x94, "MEMOIZE", A::kNone},
    {0x95, "FRAME", A::kBytes8},
    {0x96, "BYTEARRAY8", A::kCounted8},
    {0x97, "NEXT_BUFFER", A::kNone},
    {0x98, "READONLY_BUFFER", A::kNone},
}};

Result<std::string_view> ReadLine(ByteReader& reader, ByteSpan all) {
  const std::string_view rest = AsText(all.subspan(reader.position()));
  const size_t end = rest.find('\n');
  if (end == std::string_view::npos) {
    return Fail(ErrorCode::kCorrupt, "a line without end");
  }
  ASSIGN_OR_RETURN(const ByteSpan line, reader.ReadBytes(end + 1));
  return AsText(line).substr(0, end);
}

// The bytes that follow an opcode; for counted ones without the count.
struct ArgumentText {
  std::string_view first;
  std::string_view second;
};

Result<ArgumentText> ReadArgument(ByteReader& reader, ByteSpan all,
                                  PickleArgument argument) {
  const auto counted = [&](uint64_t count) -> Result<ArgumentText> {
    ASSIGN_OR_RETURN(const ByteSpan bytes, reader.ReadBytes(count));
    return ArgumentText{AsText(bytes), {}};
  };
  switch (argument) {
    case A::kNone:
      return ArgumentText{};
    case A::kBytes1:
      return counted(1);
    case A::kBytes2:
      return counted(2);
    case A::kBytes4:
      return counted(4);
    case A::kBytes8:
      return counted(8);
    case A::kCounted1: {
      ASSIGN_OR_RETURN(const auto count, reader.Read<uint8_t>());
      return counted(count);
    }
    case A::kCounted4: {
      ASSIGN_OR_RETURN(const auto count, reader.Read<uint32_t>());
      return counted(count);
    }
    case A::kCounted8: {
      ASSIGN_OR_RETURN(const auto count, reader.Read<uint64_t>());
      return counted(count);
    }
    case A::kLine: {
      ASSIGN_OR_RETURN(const auto line, ReadLine(reader, all));
      return ArgumentText{line, {}};
    }
    case A::kTwoLines: {
      ASSIGN_OR_RETURN(const auto first, ReadLine(reader, all));
      ASSIGN_OR_RETURN(const auto second, ReadLine(reader, all));
      return ArgumentText{first, second};
    }
  }
  return ArgumentText{};
}

bool IsString(uint8_t code) {
  constexpr std::string_view kStrings = "STUVX\x8c\x8d";
  return kStrings.find(static_cast<char>(code)) != std::string_view::npos;
}

// The index of a memo opcode: a line of digits, or one or four bytes. Nothing
// for a line that is no small number.
std::optional<uint32_t> MemoIndex(const PickleOpcode& op,
                                  std::string_view text) {
  if (op.argument != A::kLine) {
    uint32_t index = 0;
    std::memcpy(&index, text.data(), std::min(text.size(), sizeof(index)));
    return index;
  }
  uint32_t index = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), index);
  if (error != std::errc() || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return index;
}

// The two values pushed last, as far as they are text: what STACK_GLOBAL takes.
class TextTrail {
 public:
  std::string_view module() const { return before_; }
  std::string_view name() const { return last_; }

  void Follow(const PickleOpcode& op, std::string_view argument) {
    switch (op.code) {
      case 'p':
      case 'q':
      case 'r':
        if (const auto index = MemoIndex(op, argument)) Remember(*index);
        return;
      case 0x94:  // MEMOIZE: under the number of entries so far
        Remember(static_cast<uint32_t>(memo_.size()));
        return;
      case 'g':
      case 'h':
      case 'j': {
        const auto index = MemoIndex(op, argument);
        const auto it = index.has_value() ? memo_.find(*index) : memo_.end();
        Push(it == memo_.end() ? std::string_view() : it->second);
        return;
      }
      default:
        break;
    }
    if (!IsString(op.code)) {
      before_ = {};
      last_ = {};
      return;
    }
    if (op.code == 'S' && argument.size() >= 2) {  // written with quotes
      argument = argument.substr(1, argument.size() - 2);
    }
    Push(argument);
  }

 private:
  static constexpr size_t kMaxEntries = 1u << 20;

  void Remember(uint32_t index) {
    if (memo_.size() < kMaxEntries) memo_[index] = last_;
  }
  void Push(std::string_view text) {
    before_ = last_;
    last_ = text;
  }

  std::string_view before_;
  std::string_view last_;
  std::unordered_map<uint32_t, std::string_view> memo_;
};

}  // namespace

const PickleOpcode* FindPickleOpcode(uint8_t code) {
  const auto it =
      std::find_if(kOpcodes.begin(), kOpcodes.end(),
                   [code](const PickleOpcode& op) { return op.code == code; });
  return it == kOpcodes.end() ? nullptr : &*it;
}

std::optional<SeenGlobal> FindForeignGlobal(
    ByteSpan pickle,
    bool (*is_known)(std::string_view module, std::string_view name)) {
  ByteReader reader(pickle);
  TextTrail trail;
  while (!reader.empty()) {
    const uint64_t position = reader.offset();
    const auto code = reader.Read<uint8_t>();
    const PickleOpcode* const op = FindPickleOpcode(*code);
    if (op == nullptr || *code == '.') return std::nullopt;
    const auto argument = ReadArgument(reader, pickle, op->argument);
    if (!argument) return std::nullopt;
    std::string_view module;
    std::string_view name;
    if (op->argument == A::kTwoLines) {
      module = argument->first;
      name = argument->second;
    } else if (op->name == "STACK_GLOBAL") {
      module = trail.module();
      name = trail.name();
    }
    if (!module.empty() && !name.empty() && !is_known(module, name)) {
      return SeenGlobal{std::string(module), std::string(name), position};
    }
    trail.Follow(*op, argument->first);
  }
  return std::nullopt;
}

}  // namespace verify
