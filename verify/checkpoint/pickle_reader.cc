// SPDX-License-Identifier: Apache-2.0
// Long because: one stack machine; its opcodes are one switch.
#include "verify/checkpoint/pickle_reader.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "verify/base/text.h"
#include "verify/checkpoint/pickle_opcodes.h"

namespace verify {
namespace {

constexpr uint32_t kNoValue = std::numeric_limits<uint32_t>::max();
constexpr size_t kMaxGlobalLineBytes = 256;

struct KnownGlobal {
  std::string_view module;
  std::string_view name;
  PickleGlobal global;
  DType dtype = DType::kF32;
};

using G = PickleGlobal;

// The whole allow-list. A name here stands for data, never for code.
constexpr std::array kGlobals = {
    KnownGlobal{"collections", "OrderedDict", G::kOrderedDict},
    KnownGlobal{"torch._utils", "_rebuild_tensor_v2", G::kRebuildTensorV2},
    KnownGlobal{"torch._utils", "_rebuild_tensor_v3", G::kRebuildTensorV3},
    KnownGlobal{"torch._utils", "_rebuild_parameter", G::kRebuildParameter},
    KnownGlobal{"torch._tensor", "_rebuild_from_type_v2", G::kRebuildFromType},
    KnownGlobal{"torch", "Tensor", G::kTensorType},
    KnownGlobal{"torch.nn.parameter", "Parameter", G::kTensorType},
    KnownGlobal{"torch", "BFloat16Storage", G::kStorage, DType::kBF16},
    KnownGlobal{"torch", "HalfStorage", G::kStorage, DType::kF16},
    KnownGlobal{"torch", "FloatStorage", G::kStorage, DType::kF32},
    KnownGlobal{"torch", "DoubleStorage", G::kStorage, DType::kF64},
    KnownGlobal{"torch", "ByteStorage", G::kStorage, DType::kU8},
    KnownGlobal{"torch", "CharStorage", G::kStorage, DType::kI8},
    KnownGlobal{"torch", "BoolStorage", G::kStorage, DType::kBool},
    KnownGlobal{"torch", "ShortStorage", G::kStorage, DType::kI16},
    KnownGlobal{"torch", "IntStorage", G::kStorage, DType::kI32},
    KnownGlobal{"torch", "LongStorage", G::kStorage, DType::kI64},
    KnownGlobal{"torch", "UntypedStorage", G::kUntypedStorage, DType::kU8},
    KnownGlobal{"torch.storage", "UntypedStorage", G::kUntypedStorage,
                DType::kU8},
    KnownGlobal{"torch", "bfloat16", G::kDType, DType::kBF16},
    KnownGlobal{"torch", "float16", G::kDType, DType::kF16},
    KnownGlobal{"torch", "float32", G::kDType, DType::kF32},
    KnownGlobal{"torch", "float64", G::kDType, DType::kF64},
    KnownGlobal{"torch", "float8_e4m3fn", G::kDType, DType::kF8E4M3},
    KnownGlobal{"torch", "float8_e5m2", G::kDType, DType::kF8E5M2},
    KnownGlobal{"torch", "uint8", G::kDType, DType::kU8},
    KnownGlobal{"torch", "uint16", G::kDType, DType::kU16},
    KnownGlobal{"torch", "uint32", G::kDType, DType::kU32},
    KnownGlobal{"torch", "uint64", G::kDType, DType::kU64},
    KnownGlobal{"torch", "int8", G::kDType, DType::kI8},
    KnownGlobal{"torch", "int16", G::kDType, DType::kI16},
    KnownGlobal{"torch", "int32", G::kDType, DType::kI32},
    KnownGlobal{"torch", "int64", G::kDType, DType::kI64},
    KnownGlobal{"torch", "bool", G::kDType, DType::kBool},
};

const KnownGlobal* FindGlobal(std::string_view module, std::string_view name) {
  for (const KnownGlobal& known : kGlobals) {
    if (known.module == module && known.name == name) return &known;
  }
  return nullptr;
}

bool IsKnownGlobal(std::string_view module, std::string_view name) {
  return FindGlobal(module, name) != nullptr;
}

bool IsDict(PickleKind kind) {
  return kind == PickleKind::kDict || kind == PickleKind::kOrderedDict;
}

bool IsTensor(PickleKind kind) {
  return kind == PickleKind::kTensorV2 || kind == PickleKind::kTensorV3;
}

}  // namespace

std::span<const PickleId> PickleTree::Items(const PickleValue& value) const {
  return items_[value.items];
}

// A stack machine whose instructions only move ids of values about.
class PickleMachine {
 public:
  PickleMachine(ByteSpan bytes, uint64_t base_offset)
      : bytes_(bytes), base_offset_(base_offset), reader_(bytes, base_offset) {
    tree_.items_.emplace_back();  // index 0: no items
    none_ = Make(PickleKind::kNone);
    false_ = Make(PickleKind::kBool);
    true_ = Make(PickleKind::kBool);
    tree_.values_[true_].boolean = true;
    empty_tuple_ = Make(PickleKind::kTuple);
  }

  Result<PickleTree> Run() {
    RETURN_IF_ERROR(ReadProto());
    while (!done_) {
      at_ = reader_.offset();
      if (reader_.empty()) {
        return Refuse("the pickle ends without STOP: cut off");
      }
      ASSIGN_OR_RETURN(const auto code, reader_.Read<uint8_t>());
      RETURN_IF_ERROR(Step(code));
    }
    if (!reader_.empty()) {
      at_ = reader_.offset();
      return Refuse(StrCat(reader_.remaining(), " bytes after STOP"));
    }
    return std::move(tree_);
  }

 private:
  PickleValue& Value(PickleId id) { return tree_.values_[id]; }

  Unexpected Refuse(std::string_view what,
                    std::string_view id = "E-PICKLE") const {
    return Fail(ErrorCode::kCorrupt, StrCat("pickle: ", what)).At(at_).Id(id);
  }
  Unexpected Limit(std::string_view what) const {
    return Fail(ErrorCode::kLimit, StrCat("pickle: ", what))
        .At(at_)
        .Id("E-PICKLE");
  }
  Unexpected RefuseGlobal(std::string_view module, std::string_view name,
                          uint64_t offset) const {
    return Fail(ErrorCode::kCorrupt,
                StrCat("pickle: asks for \"", EscapeForTerminal(module, 128),
                       ' ', EscapeForTerminal(name, 128), "\" at byte ", offset,
                       ", which no tensor needs; nothing was executed"))
        .At(offset)
        .Id("E-PICKLE-GLOBAL")
        .Hint(
            "this file can run a program when other software loads it: do "
            "not use it, and tell whoever gave it to you");
  }

  // An opcode off the list. If the pickle reaches for a foreign global, that
  // is what the user must hear of; the file is refused either way.
  Unexpected RefuseOpcode(uint8_t code) const {
    const auto seen = FindForeignGlobal(bytes_, &IsKnownGlobal);
    if (seen.has_value()) {
      return RefuseGlobal(seen->module, seen->name,
                          base_offset_ + seen->position);
    }
    const PickleOpcode* const op = FindPickleOpcode(code);
    const std::string name =
        op != nullptr ? StrCat("opcode ", op->name)
                      : StrCat("byte ", uint32_t{code}, ", no opcode");
    return Refuse(StrCat(name, " at byte ", at_,
                         " has no place in a checkpoint; nothing was "
                         "executed"),
                  "E-PICKLE-OPCODE");
  }

  PickleId Make(PickleKind kind) {
    PickleValue value;
    value.kind = kind;
    value.offset = at_;
    tree_.values_.push_back(value);
    return static_cast<PickleId>(tree_.values_.size() - 1);
  }

  Result<PickleId> New(PickleKind kind) {
    if (tree_.values_.size() >= kMaxPickleValues) {
      return Limit(StrCat("more than ", kMaxPickleValues, " values"));
    }
    return Make(kind);
  }

  Result<void> Push(PickleId id) {
    if (stack_.size() + marks_.size() >= kMaxPickleStack) {
      return Limit(StrCat("a stack of more than ", kMaxPickleStack));
    }
    stack_.push_back(id);
    return {};
  }

  // Nothing may be popped from below the last mark.
  Result<PickleId> Pop() {
    const size_t base = marks_.empty() ? 0 : marks_.back();
    if (stack_.size() <= base) return Refuse("takes from an empty stack");
    const PickleId id = stack_.back();
    stack_.pop_back();
    return id;
  }
  Result<PickleId> Top() const {
    const size_t base = marks_.empty() ? 0 : marks_.back();
    if (stack_.size() <= base) return Refuse("reads an empty stack");
    return stack_.back();
  }

  // The values since the last mark, which goes.
  Result<std::vector<PickleId>> PopToMark() {
    if (marks_.empty()) return Refuse("there is no mark to go back to");
    const auto first =
        stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<PickleId> items(first, stack_.end());
    stack_.erase(first, stack_.end());
    marks_.pop_back();
    return items;
  }

  // Records that `holder` holds `item` from now on.
  Result<void> Hold(PickleId holder, PickleId item) {
    PickleValue& inner = Value(item);
    inner.is_held = true;
    if (++num_items_ > kMaxPickleItems) {
      return Limit(StrCat("more than ", kMaxPickleItems, " items"));
    }
    PickleValue& outer = Value(holder);
    outer.depth = std::max(outer.depth, inner.depth + 1);
    if (outer.depth > kMaxPickleDepth) {
      return Limit(StrCat("nested deeper than ", kMaxPickleDepth));
    }
    return {};
  }

  Result<void> PushTuple(std::vector<PickleId> items) {
    if (items.empty()) return Push(empty_tuple_);
    ASSIGN_OR_RETURN(const PickleId id, New(PickleKind::kTuple));
    for (const PickleId item : items) RETURN_IF_ERROR(Hold(id, item));
    Value(id).items = static_cast<uint32_t>(tree_.items_.size());
    tree_.items_.push_back(std::move(items));
    return Push(id);
  }
  Result<void> PushTupleOf(size_t count) {
    std::vector<PickleId> items(count);
    for (size_t i = count; i > 0; --i) {
      ASSIGN_OR_RETURN(items[i - 1], Pop());
    }
    return PushTuple(std::move(items));
  }

  // Appends to a list, or keys and values in turn to a dict.
  Result<void> Extend(PickleId target, std::span<const PickleId> items) {
    if (Value(target).is_held) {
      return Refuse("changes a value that another value holds");
    }
    if (items.empty()) return {};
    if (Value(target).items == 0) {
      Value(target).items = static_cast<uint32_t>(tree_.items_.size());
      tree_.items_.emplace_back();
    }
    for (const PickleId item : items) {
      if (item == target) return Refuse("puts a value into itself");
      RETURN_IF_ERROR(Hold(target, item));
    }
    auto& list = tree_.items_[Value(target).items];
    list.insert(list.end(), items.begin(), items.end());
    return {};
  }

  Result<void> SetItems(PickleId target, std::span<const PickleId> items) {
    if (!IsDict(Value(target).kind)) {
      return Refuse("sets an item of a value that is no dict");
    }
    if (items.size() % 2 != 0) return Refuse("a key without a value");
    for (size_t i = 0; i < items.size(); i += 2) {
      const PickleKind kind = Value(items[i]).kind;
      if (kind != PickleKind::kString && kind != PickleKind::kInt &&
          kind != PickleKind::kBool && kind != PickleKind::kNone) {
        return Refuse("a key that is neither text nor a number");
      }
    }
    return Extend(target, items);
  }

  Result<void> Append(PickleId target, std::span<const PickleId> items) {
    if (Value(target).kind != PickleKind::kList) {
      return Refuse("appends to a value that is no list");
    }
    return Extend(target, items);
  }

  Result<void> PushInt(int64_t integer) {
    ASSIGN_OR_RETURN(const PickleId id, New(PickleKind::kInt));
    Value(id).integer = integer;
    return Push(id);
  }

  Result<void> PushString(uint64_t size) {
    ASSIGN_OR_RETURN(const ByteSpan bytes, reader_.ReadBytes(size));
    if (size > kMaxPickleStringBytes) {
      return Limit(
          StrCat("text of ", size, " bytes, at most ", kMaxPickleStringBytes));
    }
    const std::string_view text = AsText(bytes);
    if (!IsValidUtf8(text)) return Refuse("text that is not UTF-8");
    ASSIGN_OR_RETURN(const PickleId id, New(PickleKind::kString));
    Value(id).text = text;
    return Push(id);
  }

  Result<void> PushLong() {
    ASSIGN_OR_RETURN(const auto size, reader_.Read<uint8_t>());
    ASSIGN_OR_RETURN(const ByteSpan bytes, reader_.ReadBytes(size));
    if (size > sizeof(uint64_t)) {
      return Limit(StrCat("a number of ", uint32_t{size}, " bytes, at most 8"));
    }
    uint64_t number = 0;
    for (size_t i = 0; i < bytes.size(); ++i) {
      number |= std::to_integer<uint64_t>(bytes[i]) << (8 * i);
    }
    const bool is_negative =
        !bytes.empty() && std::to_integer<uint8_t>(bytes.back()) >= 0x80;
    if (is_negative && size < sizeof(uint64_t)) {
      number |= ~uint64_t{0} << (8 * size);
    }
    return PushInt(static_cast<int64_t>(number));
  }

  Result<void> PushFloat() {
    ASSIGN_OR_RETURN(const ByteSpan bytes, reader_.ReadBytes(sizeof(double)));
    uint64_t bits = 0;  // the one big-endian number of the format
    for (const std::byte byte : bytes) {
      bits = (bits << 8) | std::to_integer<uint64_t>(byte);
    }
    ASSIGN_OR_RETURN(const PickleId id, New(PickleKind::kFloat));
    Value(id).real = std::bit_cast<double>(bits);
    return Push(id);
  }

  Result<std::string_view> ReadLine() {
    const std::string_view rest = AsText(bytes_.subspan(reader_.position()))
                                      .substr(0, kMaxGlobalLineBytes);
    const size_t end = rest.find('\n');
    if (end == std::string_view::npos) {
      return Refuse("the name of a global has no end");
    }
    ASSIGN_OR_RETURN(const ByteSpan line, reader_.ReadBytes(end + 1));
    return AsText(line).substr(0, end);
  }

  Result<void> PushGlobal() {
    ASSIGN_OR_RETURN(const std::string_view module, ReadLine());
    ASSIGN_OR_RETURN(const std::string_view name, ReadLine());
    const KnownGlobal* const known = FindGlobal(module, name);
    if (known == nullptr) return RefuseGlobal(module, name, at_);
    ASSIGN_OR_RETURN(const PickleId id, New(PickleKind::kGlobal));
    Value(id).global = known->global;
    Value(id).dtype = known->dtype;
    return Push(id);
  }

  Result<void> Put(uint64_t index) {
    ASSIGN_OR_RETURN(const PickleId id, Top());
    if (index >= kMaxPickleMemo) {
      return Limit(StrCat("memo entry ", index, ", at most ", kMaxPickleMemo));
    }
    const auto place = static_cast<size_t>(index);
    if (place >= memo_.size()) memo_.resize(place + 1, kNoValue);
    if (memo_[place] != kNoValue) {
      return Refuse(StrCat("memo entry ", index, " is written twice"));
    }
    memo_[place] = id;
    return {};
  }

  Result<void> Get(uint64_t index) {
    if (index >= memo_.size() ||
        memo_[static_cast<size_t>(index)] == kNoValue) {
      return Refuse(StrCat("memo entry ", index, " was never written"));
    }
    return Push(memo_[static_cast<size_t>(index)]);
  }

  // ('storage', class, key, location, numel) becomes a storage.
  Result<void> PersistentId() {
    ASSIGN_OR_RETURN(const PickleId tuple, Pop());
    const auto items = tree_.Items(Value(tuple));
    const bool fits = Value(tuple).kind == PickleKind::kTuple &&
                      items.size() == 5 &&
                      Value(items[0]).kind == PickleKind::kString &&
                      Value(items[0]).text == "storage" &&
                      Value(items[1]).kind == PickleKind::kGlobal &&
                      (Value(items[1]).global == G::kStorage ||
                       Value(items[1]).global == G::kUntypedStorage) &&
                      Value(items[2]).kind == PickleKind::kString &&
                      Value(items[3]).kind == PickleKind::kString &&
                      Value(items[4]).kind == PickleKind::kInt &&
                      Value(items[4]).integer >= 0;
    if (!fits) return Refuse("a persistent id that names no storage");
    ASSIGN_OR_RETURN(const PickleId id, New(PickleKind::kStorage));
    Value(id).items = Value(tuple).items;
    Value(id).depth = Value(tuple).depth;
    return Push(id);
  }

  Result<PickleId> NewTensor(PickleGlobal function, PickleId args) {
    const size_t count = tree_.Items(Value(args)).size();
    const bool is_v3 = function == G::kRebuildTensorV3;
    const size_t least = is_v3 ? 7 : 6;
    if (count < least || count > least + 1) {
      return Refuse(StrCat("a tensor made of ", count, " arguments"));
    }
    ASSIGN_OR_RETURN(const PickleId id, New(is_v3 ? PickleKind::kTensorV3
                                                  : PickleKind::kTensorV2));
    Value(id).items = Value(args).items;
    Value(id).depth = Value(args).depth;
    return id;
  }

  Result<PickleId> Apply(PickleId function, PickleId args) {
    if (Value(args).kind != PickleKind::kTuple) {
      return Refuse("a call without a tuple of arguments");
    }
    if (Value(function).kind != PickleKind::kGlobal) {
      return Refuse("calls a value that is no function", "E-PICKLE-CALL");
    }
    const auto items = tree_.Items(Value(args));
    switch (Value(function).global) {
      case G::kOrderedDict:
        if (!items.empty()) return Refuse("an OrderedDict with arguments");
        return New(PickleKind::kOrderedDict);
      case G::kRebuildTensorV2:
      case G::kRebuildTensorV3:
        return NewTensor(Value(function).global, args);
      case G::kRebuildParameter:
        if (items.size() != 3 || !IsTensor(Value(items[0]).kind)) {
          return Refuse("a parameter that is made of no tensor");
        }
        return items[0];
      case G::kRebuildFromType:
        return ApplyFromType(items);
      case G::kTensorType:
      case G::kStorage:
      case G::kUntypedStorage:
      case G::kDType:
        break;
    }
    return Refuse("calls a type that must not be called", "E-PICKLE-CALL");
  }

  // (function, type, arguments, state): one step of indirection, never two.
  Result<PickleId> ApplyFromType(std::span<const PickleId> items) {
    if (items.size() != 4) return Refuse("a typed tensor of wrong form");
    const PickleValue& function = Value(items[0]);
    const PickleValue& type = Value(items[1]);
    const PickleValue& args = Value(items[2]);
    const bool is_type =
        type.kind == PickleKind::kGlobal && type.global == G::kTensorType;
    const bool is_rebuild = function.kind == PickleKind::kGlobal &&
                            (function.global == G::kRebuildTensorV2 ||
                             function.global == G::kRebuildTensorV3);
    if (!is_type || !is_rebuild || args.kind != PickleKind::kTuple) {
      return Refuse("a typed tensor of wrong form", "E-PICKLE-CALL");
    }
    return NewTensor(function.global, items[2]);
  }

  Result<void> Call() {
    ASSIGN_OR_RETURN(const PickleId args, Pop());
    ASSIGN_OR_RETURN(const PickleId function, Pop());
    ASSIGN_OR_RETURN(const PickleId result, Apply(function, args));
    return Push(result);
  }

  Result<void> NewObject() {
    ASSIGN_OR_RETURN(const PickleId args, Pop());
    ASSIGN_OR_RETURN(const PickleId type, Pop());
    const bool is_dict = Value(type).kind == PickleKind::kGlobal &&
                         Value(type).global == G::kOrderedDict &&
                         args == empty_tuple_;
    if (!is_dict) {
      return Refuse("makes an object that is no OrderedDict", "E-PICKLE-CALL");
    }
    ASSIGN_OR_RETURN(const PickleId id, New(PickleKind::kOrderedDict));
    return Push(id);
  }

  // Attributes of an OrderedDict (torch keeps _metadata there) are ignored.
  Result<void> Build() {
    ASSIGN_OR_RETURN(const PickleId state, Pop());
    ASSIGN_OR_RETURN(const PickleId target, Top());
    if (Value(target).kind != PickleKind::kOrderedDict ||
        !IsDict(Value(state).kind) || Value(target).is_held) {
      return Refuse("sets the state of a value that has none", "E-PICKLE-CALL");
    }
    return {};
  }

  Result<void> Stop() {
    ASSIGN_OR_RETURN(tree_.root_, Pop());
    if (!stack_.empty() || !marks_.empty()) {
      return Refuse("values are left over at STOP");
    }
    done_ = true;
    return {};
  }

  Result<void> ReadProto() {
    at_ = reader_.offset();
    if (bytes_.size() > kMaxPickleBytes) {
      return Limit(StrCat(bytes_.size(), " bytes, at most ", kMaxPickleBytes));
    }
    if (bytes_.size() < 2 || bytes_[0] != std::byte{0x80} ||
        std::to_integer<uint8_t>(bytes_[1]) > 5) {
      // Without PROTO it may be a pickle of protocol 0 or 1: those are text,
      // which torch never writes.
      const auto seen = FindForeignGlobal(bytes_, &IsKnownGlobal);
      if (seen.has_value()) {
        return RefuseGlobal(seen->module, seen->name,
                            base_offset_ + seen->position);
      }
      return Refuse("does not begin with PROTO");
    }
    ASSIGN_OR_RETURN(const ByteSpan proto, reader_.ReadBytes(2));
    static_cast<void>(proto);
    return {};
  }

  Result<void> Step(uint8_t code) {
    switch (code) {
      case '(':
        if (stack_.size() + marks_.size() >= kMaxPickleStack) {
          return Limit(StrCat("a stack of more than ", kMaxPickleStack));
        }
        marks_.push_back(stack_.size());
        return {};
      case '.':
        return Stop();
      case 'N':
        return Push(none_);
      case 0x88:
        return Push(true_);
      case 0x89:
        return Push(false_);
      case ')':
        return Push(empty_tuple_);
      case 0x85:
        return PushTupleOf(1);
      case 0x86:
        return PushTupleOf(2);
      case 0x87:
        return PushTupleOf(3);
      case 't': {
        ASSIGN_OR_RETURN(auto items, PopToMark());
        return PushTuple(std::move(items));
      }
      case ']':
        return PushNew(PickleKind::kList);
      case '}':
        return PushNew(PickleKind::kDict);
      case 0x8f:
        return PushNew(PickleKind::kSet);
      case 'K':
        return PushRead<uint8_t>();
      case 'M':
        return PushRead<uint16_t>();
      case 'J':
        return PushRead<int32_t>();
      case 0x8a:
        return PushLong();
      case 'G':
        return PushFloat();
      case 'X': {
        ASSIGN_OR_RETURN(const auto size, reader_.Read<uint32_t>());
        return PushString(size);
      }
      case 'U': {
        ASSIGN_OR_RETURN(const auto size, reader_.Read<uint8_t>());
        return PushString(size);
      }
      case 'c':
        return PushGlobal();
      case 'q': {
        ASSIGN_OR_RETURN(const auto index, reader_.Read<uint8_t>());
        return Put(index);
      }
      case 'r': {
        ASSIGN_OR_RETURN(const auto index, reader_.Read<uint32_t>());
        return Put(index);
      }
      case 'h': {
        ASSIGN_OR_RETURN(const auto index, reader_.Read<uint8_t>());
        return Get(index);
      }
      case 'j': {
        ASSIGN_OR_RETURN(const auto index, reader_.Read<uint32_t>());
        return Get(index);
      }
      case 'Q':
        return PersistentId();
      case 'R':
        return Call();
      case 0x81:
        return NewObject();
      case 'b':
        return Build();
      case 'a': {
        ASSIGN_OR_RETURN(const PickleId item, Pop());
        ASSIGN_OR_RETURN(const PickleId list, Top());
        return Append(list, {&item, 1});
      }
      case 'e': {
        ASSIGN_OR_RETURN(const auto items, PopToMark());
        ASSIGN_OR_RETURN(const PickleId list, Top());
        return Append(list, items);
      }
      case 's': {
        std::array<PickleId, 2> pair{};
        ASSIGN_OR_RETURN(pair[1], Pop());
        ASSIGN_OR_RETURN(pair[0], Pop());
        ASSIGN_OR_RETURN(const PickleId dict, Top());
        return SetItems(dict, pair);
      }
      case 'u': {
        ASSIGN_OR_RETURN(const auto items, PopToMark());
        ASSIGN_OR_RETURN(const PickleId dict, Top());
        return SetItems(dict, items);
      }
      default:
        return RefuseOpcode(code);
    }
  }

  Result<void> PushNew(PickleKind kind) {
    ASSIGN_OR_RETURN(const PickleId id, New(kind));
    return Push(id);
  }

  template <typename T>
  Result<void> PushRead() {
    ASSIGN_OR_RETURN(const T number, reader_.Read<T>());
    return PushInt(number);
  }

  ByteSpan bytes_;
  uint64_t base_offset_;
  ByteReader reader_;
  uint64_t at_ = 0;  // of the opcode being carried out
  bool done_ = false;
  PickleTree tree_;
  std::vector<PickleId> stack_;
  std::vector<size_t> marks_;  // heights of stack_
  std::vector<PickleId> memo_;
  uint64_t num_items_ = 0;
  PickleId none_ = 0;
  PickleId false_ = 0;
  PickleId true_ = 0;
  PickleId empty_tuple_ = 0;
};

Result<PickleTree> ReadPickle(ByteSpan bytes, uint64_t base_offset) {
  return PickleMachine(bytes, base_offset).Run();
}

}  // namespace verify
