// SPDX-License-Identifier: Apache-2.0
#include "verify/checkpoint/torch_reader.h"

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "verify/base/bytes.h"
#include "verify/base/text.h"
#include "verify/checkpoint/pickle_reader.h"

namespace verify {
namespace {

constexpr uint64_t kMaxSmallMemberBytes = 256;
constexpr std::string_view kPickleName = "data.pkl";
constexpr std::string_view kDataFolder = "data/";

Unexpected Refuse(std::string_view what, uint64_t offset) {
  return Fail(ErrorCode::kCorrupt, StrCat("torch: ", what))
      .At(offset)
      .Id("E-TORCH");
}

class TorchParser {
 public:
  TorchParser(const ByteSource& file, ZipCheck check)
      : file_(file), check_(check) {}

  Result<TorchFile> Parse() {
    ASSIGN_OR_RETURN(zip_, ReadZip(file_, check_));
    const ZipEntry* const pickle = zip_.Find(kPickleName);
    if (pickle == nullptr) {
      return Refuse("a zip archive without data.pkl: not made by torch.save",
                    0);
    }
    if (check_ == ZipCheck::kAll) RETURN_IF_ERROR(CheckMembers());
    ASSIGN_OR_RETURN(pickle_bytes_,
                     ReadZipEntry(file_, *pickle, kMaxPickleBytes));
    pickle_offset_ = pickle->payload_offset;
    ASSIGN_OR_RETURN(tree_, ReadPickle(pickle_bytes_, pickle_offset_));
    RETURN_IF_ERROR(ReadStorages());
    ASSIGN_OR_RETURN(const PickleValue* const dict, FindStateDict());
    RETURN_IF_ERROR(AddTensors(*dict));
    for (const ZipEntry& entry : zip_.entries()) {
      if (!IsRecord(entry)) continue;
      if (!storages_.contains(std::string(RecordKey(entry)))) {
        return Refuse(StrCat("member \"", EscapeForTerminal(entry.name, 128),
                             "\" belongs to no tensor"),
                      entry.header_offset);
      }
      result_.records.push_back(entry);
    }
    return std::move(result_);
  }

 private:
  // What the pickle says of a storage, and the member that holds it.
  struct Storage {
    const ZipEntry* entry = nullptr;
    PickleGlobal global = PickleGlobal::kStorage;
    DType dtype = DType::kF32;
    int64_t num_elements = 0;
  };

  std::string_view NameInFolder(const ZipEntry& entry) const {
    return std::string_view(entry.name).substr(zip_.top_folder().size() + 1);
  }
  bool IsRecord(const ZipEntry& entry) const {
    return NameInFolder(entry).starts_with(kDataFolder);
  }
  std::string_view RecordKey(const ZipEntry& entry) const {
    return NameInFolder(entry).substr(kDataFolder.size());
  }
  const PickleValue& Value(PickleId id) const { return tree_[id]; }

  // Only members that torch.save writes; of the small ones, only values that
  // the rest of this reader relies on.
  Result<void> CheckMembers() {
    for (const ZipEntry& entry : zip_.entries()) {
      const std::string_view name = NameInFolder(entry);
      if (name == kPickleName || IsRecord(entry)) continue;
      if (name == "byteorder") {
        ASSIGN_OR_RETURN(const std::string text, SmallMember(entry));
        if (text == "little") continue;
        return Fail(ErrorCode::kUnsupported,
                    StrCat("torch: byte order \"", EscapeForTerminal(text, 32),
                           "\", only \"little\" is read"))
            .At(entry.payload_offset);
      }
      if (name == "version") {
        RETURN_IF_ERROR(CheckVersion(entry));
        continue;
      }
      if (name == ".format_version" || name == ".storage_alignment" ||
          name == ".data/serialization_id") {
        RETURN_IF_ERROR(SmallMember(entry));
        continue;
      }
      if (name == "constants.pkl" || name.starts_with("code/")) {
        return Fail(ErrorCode::kUnsupported,
                    "torch: a TorchScript program, not a checkpoint; nothing "
                    "was executed")
            .At(entry.header_offset);
      }
      return Refuse(StrCat("member \"", EscapeForTerminal(entry.name, 128),
                           "\" has no place in a checkpoint"),
                    entry.header_offset);
    }
    return {};
  }

  Result<std::string> SmallMember(const ZipEntry& entry) {
    ASSIGN_OR_RETURN(const auto bytes,
                     ReadZipEntry(file_, entry, kMaxSmallMemberBytes));
    return std::string(AsText(bytes));
  }

  Result<void> CheckVersion(const ZipEntry& entry) {
    ASSIGN_OR_RETURN(const std::string text, SmallMember(entry));
    const std::string_view number = TrimAscii(text);
    const bool is_read =
        (number.size() == 1 && number[0] >= '2' && number[0] <= '9') ||
        number == "10";
    if (is_read) return {};
    return Fail(ErrorCode::kUnsupported,
                StrCat("torch: format version \"", EscapeForTerminal(text, 32),
                       "\", 2 to 10 are read"))
        .At(entry.payload_offset);
  }

  static bool IsDict(const PickleValue& value) {
    return value.kind == PickleKind::kDict ||
           value.kind == PickleKind::kOrderedDict;
  }

  Result<const PickleValue*> FindStateDict() {
    const PickleValue& root = Value(tree_.root());
    if (!IsDict(root)) {
      return Refuse("the pickle holds no dict of tensors", pickle_offset_);
    }
    const PickleValue* inner = nullptr;
    std::unordered_set<std::string_view> keys;
    const auto items = tree_.Items(root);
    for (size_t i = 0; i + 1 < items.size(); i += 2) {
      const PickleValue& key = Value(items[i]);
      if (key.kind != PickleKind::kString) continue;
      if (!keys.insert(key.text).second) {
        return Refuse(StrCat("key \"", EscapeForTerminal(key.text, 128),
                             "\" stands twice"),
                      key.offset);
      }
      if ((key.text == "model" || key.text == "state_dict") &&
          IsDict(Value(items[i + 1]))) {
        if (inner != nullptr) {
          return Refuse("both \"model\" and \"state_dict\" hold tensors",
                        key.offset);
        }
        inner = &Value(items[i + 1]);
      }
    }
    return inner != nullptr ? inner : &root;
  }

  Result<void> AddTensors(const PickleValue& dict) {
    const auto items = tree_.Items(dict);
    if (items.empty()) return Refuse("no tensor in it", pickle_offset_);
    for (size_t i = 0; i + 1 < items.size(); i += 2) {
      const PickleValue& key = Value(items[i]);
      const PickleValue& value = Value(items[i + 1]);
      if (key.kind != PickleKind::kString) {
        return Refuse("a tensor whose name is not text", key.offset);
      }
      if (value.kind != PickleKind::kTensorV2 &&
          value.kind != PickleKind::kTensorV3) {
        return Refuse(StrCat("value \"", EscapeForTerminal(key.text, 128),
                             "\" is no tensor"),
                      value.offset);
      }
      auto tensor = ReadTensor(key.text, value);
      if (!tensor) {
        return WithContext(
            std::move(tensor).error(),
            StrCat("tensor \"", EscapeForTerminal(key.text, 128), "\""));
      }
      RETURN_IF_ERROR(
          result_.tensors.Add(std::move(tensor).value(), file_.size()));
    }
    return {};
  }

  // Whole numbers >= 0 of a tuple.
  Result<std::vector<uint64_t>> ReadNumbers(PickleId id,
                                            std::string_view what) {
    const PickleValue& tuple = Value(id);
    if (tuple.kind != PickleKind::kTuple) {
      return Refuse(StrCat("its ", what, " is no tuple"), tuple.offset);
    }
    const auto items = tree_.Items(tuple);
    if (items.size() > kMaxTensorDims) {
      return Fail(ErrorCode::kLimit,
                  StrCat("torch: ", items.size(), " dimensions, at most ",
                         kMaxTensorDims))
          .At(tuple.offset);
    }
    std::vector<uint64_t> numbers;
    for (const PickleId item : items) {
      const PickleValue& number = Value(item);
      if (number.kind != PickleKind::kInt || number.integer < 0) {
        return Refuse(StrCat("its ", what,
                             " has a part that is no whole "
                             "number >= 0"),
                      number.offset);
      }
      numbers.push_back(static_cast<uint64_t>(number.integer));
    }
    return numbers;
  }

  Result<const Storage*> ReadStorage(const PickleValue& value) {
    if (value.kind != PickleKind::kStorage) {
      return Refuse("its data is no storage", value.offset);
    }
    const auto items = tree_.Items(value);
    const PickleValue& type = Value(items[1]);
    const std::string_view key = Value(items[2]).text;
    Storage storage{nullptr, type.global, type.dtype, Value(items[4]).integer};
    const auto [it, is_new] = storages_.try_emplace(std::string(key), storage);
    Storage& known = it->second;
    if (!is_new) {
      if (known.global != storage.global || known.dtype != storage.dtype ||
          known.num_elements != storage.num_elements) {
        return Refuse(StrCat("storage \"", EscapeForTerminal(key, 64),
                             "\" is declared in two ways"),
                      value.offset);
      }
      return &known;
    }
    const ZipEntry* const entry = zip_.Find(StrCat(kDataFolder, key));
    if (entry == nullptr) {
      return Refuse(StrCat("storage \"", EscapeForTerminal(key, 64),
                           "\" is not in the archive"),
                    value.offset);
    }
    const auto bytes =
        DTypeBytes(storage.dtype, static_cast<uint64_t>(storage.num_elements));
    if (!bytes.has_value() || *bytes != entry->size) {
      return Refuse(StrCat("storage \"", EscapeForTerminal(key, 64),
                           "\": ", storage.num_elements, " elements of ",
                           DTypeName(storage.dtype), " declared, ", entry->size,
                           " bytes in the archive"),
                    value.offset);
    }
    known.entry = entry;
    return &known;
  }

  // All of them, also those that only an optimizer beside the model uses: each
  // has to be true, and each accounts for a member.
  Result<void> ReadStorages() {
    for (size_t i = 0; i < tree_.size(); ++i) {
      const PickleValue& value = Value(static_cast<PickleId>(i));
      if (value.kind != PickleKind::kStorage) continue;
      RETURN_IF_ERROR(ReadStorage(value));
    }
    return {};
  }

  Result<TensorInfo> ReadTensor(std::string_view name,
                                const PickleValue& value) {
    const auto items = tree_.Items(value);
    ASSIGN_OR_RETURN(const Storage* const storage,
                     ReadStorage(Value(items[0])));
    const PickleValue& start = Value(items[1]);
    if (start.kind != PickleKind::kInt || start.integer < 0) {
      return Refuse("its place in the storage is no whole number >= 0",
                    value.offset);
    }
    TensorInfo tensor;
    tensor.name = name;
    tensor.dtype = storage->dtype;
    const bool is_untyped = storage->global == PickleGlobal::kUntypedStorage;
    if (value.kind == PickleKind::kTensorV3) {
      const PickleValue& dtype = Value(items[6]);
      if (dtype.kind != PickleKind::kGlobal ||
          dtype.global != PickleGlobal::kDType || !is_untyped) {
        return Refuse(
            "a tensor of version 3 without storage or dtype of that "
            "version",
            value.offset);
      }
      tensor.dtype = dtype.dtype;
    } else if (is_untyped) {
      return Refuse("its storage has no element type", value.offset);
    }
    ASSIGN_OR_RETURN(tensor.shape, ReadNumbers(items[2], "shape"));
    ASSIGN_OR_RETURN(tensor.strides, ReadNumbers(items[3], "strides"));
    if (tensor.strides.size() != tensor.shape.size()) {
      return Refuse(StrCat(tensor.strides.size(), " strides for ",
                           tensor.shape.size(), " dimensions"),
                    value.offset);
    }
    RETURN_IF_ERROR(Place(*storage, static_cast<uint64_t>(start.integer),
                          value.offset, tensor));
    return tensor;
  }

  // Fills in offset and size, and clears strides that are row-major.
  static Result<void> Place(const Storage& storage, uint64_t start, uint64_t at,
                            TensorInfo& tensor) {
    const auto num_elements = NumElements(tensor.shape);
    if (!num_elements.has_value()) {
      return Refuse(StrCat("shape ", ShapeText(tensor.shape), " overflows"),
                    at);
    }
    const uint64_t item_bytes = BlockBytes(tensor.dtype);
    const auto skip = CheckedMul(start, item_bytes);
    if (!skip.has_value() || *skip > storage.entry->size) {
      return Refuse(StrCat("begins at element ", start, " of a storage of ",
                           storage.entry->size, " bytes"),
                    at);
    }
    tensor.offset = storage.entry->payload_offset + *skip;
    if (*num_elements == 0) {
      tensor.strides.clear();
      tensor.size_bytes = 0;
      return {};
    }
    ASSIGN_OR_RETURN(const uint64_t span, Span(tensor, at));
    const auto bytes = CheckedMul(span, item_bytes);
    if (!bytes.has_value() || *bytes > storage.entry->size - *skip) {
      return Refuse(
          StrCat("reaches over ", span, " elements from element ", start,
                 " on, in a storage of ", storage.entry->size, " bytes"),
          at);
    }
    tensor.size_bytes = *bytes;
    if (span == *num_elements && IsRowMajor(tensor)) tensor.strides.clear();
    return {};
  }

  // Strides of dimensions of size 1 say nothing.
  static bool IsRowMajor(const TensorInfo& tensor) {
    uint64_t expected = 1;
    for (size_t i = tensor.shape.size(); i > 0; --i) {
      const uint64_t dim = tensor.shape[i - 1];
      if (dim != 1 && tensor.strides[i - 1] != expected) return false;
      expected *= dim;  // fits: the product of the shape does
    }
    return true;
  }

  // Elements from the first to the last. Two indices must never meet the same
  // element: sorted by stride, each dimension steps over the ones before it.
  static Result<uint64_t> Span(TensorInfo& tensor, uint64_t at) {
    std::vector<std::pair<uint64_t, uint64_t>> dims;  // stride, size
    for (size_t i = 0; i < tensor.shape.size(); ++i) {
      if (tensor.shape[i] == 1) {
        tensor.strides[i] = 1;
        continue;
      }
      dims.emplace_back(tensor.strides[i], tensor.shape[i]);
    }
    std::sort(dims.begin(), dims.end());
    uint64_t span = 1;
    for (const auto& [stride, size] : dims) {
      if (stride < span) {
        return Refuse(
            StrCat("strides of ", ShapeText(tensor.strides), " for shape ",
                   ShapeText(tensor.shape), " meet an element twice"),
            at);
      }
      const auto reach = CheckedMul(stride, size - 1);
      const auto sum =
          reach.has_value() ? CheckedAdd(span, *reach) : std::nullopt;
      if (!sum.has_value()) {
        return Refuse(
            StrCat("strides ", ShapeText(tensor.strides), " overflow"), at);
      }
      span = *sum;
    }
    return span;
  }

  const ByteSource& file_;
  ZipCheck check_;
  ZipDirectory zip_;
  std::vector<std::byte> pickle_bytes_;
  uint64_t pickle_offset_ = 0;
  PickleTree tree_;
  std::unordered_map<std::string, Storage> storages_;
  TorchFile result_;
};

}  // namespace

Result<TorchFile> ReadTorch(const ByteSource& file, ZipCheck check) {
  return TorchParser(file, check).Parse();
}

}  // namespace verify
