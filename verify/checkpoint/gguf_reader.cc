// SPDX-License-Identifier: Apache-2.0
// Long because: one format, whose header, metadata and tensor table
// share one cursor and its limits.
#include "verify/checkpoint/gguf_reader.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <span>
#include <type_traits>
#include <utility>

#include "verify/base/bytes.h"
#include "verify/base/text.h"
#include "verify/checkpoint/gguf_format.h"

namespace verify {
namespace {

using Type = GgufValueType;

Unexpected Refuse(std::string_view what, uint64_t offset) {
  return Fail(ErrorCode::kCorrupt, StrCat("GGUF: ", what))
      .At(offset)
      .Id("E-GGUF");
}
Unexpected Limit(std::string_view what, uint64_t offset) {
  return Fail(ErrorCode::kLimit, StrCat("GGUF: ", what))
      .At(offset)
      .Id("E-GGUF");
}

// Reads a source from front to back through a window, and never sizes anything
// by a length that the file cannot hold.
class SequentialReader {
 public:
  explicit SequentialReader(const ByteSource& file) : file_(file) {}

  uint64_t offset() const { return offset_; }
  uint64_t remaining() const { return file_.size() - offset_; }

  Result<void> Read(std::span<std::byte> out) {
    if (out.size() > remaining()) {
      return Refuse(StrCat("truncated: ", out.size(), " bytes wanted, ",
                           remaining(), " left"),
                    offset_);
    }
    if (offset_ + out.size() > kGgufMaxMetadataBytes) {
      return Limit(
          StrCat("more than ", kGgufMaxMetadataBytes, " bytes of metadata"),
          offset_);
    }
    if (out.size() > kWindow) {
      RETURN_IF_ERROR(file_.ReadAt(offset_, out));
    } else {
      RETURN_IF_ERROR(Fill(out.size()));
      std::copy_n(window_.begin() +
                      static_cast<std::ptrdiff_t>(offset_ - window_offset_),
                  out.size(), out.begin());
    }
    offset_ += out.size();
    return {};
  }

  template <typename T>
  Result<T> Read() {
    std::array<std::byte, sizeof(T)> bytes{};
    RETURN_IF_ERROR(Read(bytes));
    return LoadLe<T>(bytes);
  }

 private:
  static constexpr size_t kWindow = 64u << 10;

  // Makes the window hold `count` bytes from offset_ on; they are in the file.
  Result<void> Fill(size_t count) {
    if (offset_ >= window_offset_ &&
        offset_ + count <= window_offset_ + window_.size()) {
      return {};
    }
    window_.resize(
        static_cast<size_t>(std::min<uint64_t>(kWindow, remaining())));
    window_offset_ = offset_;
    return file_.ReadAt(offset_, window_);
  }

  const ByteSource& file_;
  uint64_t offset_ = 0;
  std::vector<std::byte> window_;
  uint64_t window_offset_ = 0;
};

// Bytes of one value in the file: exact for numbers, the least for a string.
std::optional<uint64_t> LeastBytes(Type type) {
  switch (type) {
    case Type::kUint8:
    case Type::kInt8:
    case Type::kBool:
      return 1;
    case Type::kUint16:
    case Type::kInt16:
      return 2;
    case Type::kUint32:
    case Type::kInt32:
    case Type::kFloat32:
      return 4;
    case Type::kString:
    case Type::kUint64:
    case Type::kInt64:
    case Type::kFloat64:
      return 8;
    case Type::kArray:
      break;
  }
  return std::nullopt;
}

// What a value may be, for the keys whose meaning is known here.
enum class Want { kString, kUnsigned, kFloat, kBool, kStrings, kFloats, kInts };

struct KnownKey {
  std::string_view key;
  Want want;
};

constexpr std::array kKnownKeys = {
    KnownKey{"general.architecture", Want::kString},
    KnownKey{"general.name", Want::kString},
    KnownKey{"general.file_type", Want::kUnsigned},
    KnownKey{"general.quantization_version", Want::kUnsigned},
    KnownKey{"tokenizer.ggml.model", Want::kString},
    KnownKey{"tokenizer.ggml.pre", Want::kString},
    KnownKey{"tokenizer.ggml.tokens", Want::kStrings},
    KnownKey{"tokenizer.ggml.merges", Want::kStrings},
    KnownKey{"tokenizer.ggml.scores", Want::kFloats},
    KnownKey{"tokenizer.ggml.token_type", Want::kInts},
    KnownKey{"tokenizer.ggml.bos_token_id", Want::kUnsigned},
    KnownKey{"tokenizer.ggml.eos_token_id", Want::kUnsigned},
    KnownKey{"tokenizer.ggml.unknown_token_id", Want::kUnsigned},
    KnownKey{"tokenizer.ggml.padding_token_id", Want::kUnsigned},
    KnownKey{"tokenizer.ggml.add_bos_token", Want::kBool},
    KnownKey{"tokenizer.ggml.add_eos_token", Want::kBool},
    KnownKey{"tokenizer.ggml.add_space_prefix", Want::kBool},
    KnownKey{"tokenizer.chat_template", Want::kString},
};

bool Matches(const GgufValue& value, Want want) {
  switch (want) {
    case Want::kString:
      return std::holds_alternative<std::string>(value);
    case Want::kUnsigned: {
      const auto* const number = std::get_if<int64_t>(&value);
      return std::holds_alternative<uint64_t>(value) ||
             (number != nullptr && *number >= 0);
    }
    case Want::kFloat:
      return std::holds_alternative<double>(value);
    case Want::kBool:
      return std::holds_alternative<bool>(value);
    case Want::kStrings:
      return std::holds_alternative<std::vector<std::string>>(value);
    case Want::kFloats:
      return std::holds_alternative<std::vector<float>>(value);
    case Want::kInts:
      return std::holds_alternative<std::vector<int64_t>>(value) ||
             std::holds_alternative<std::vector<uint64_t>>(value);
  }
  return false;
}

bool IsCleanName(std::string_view text) {
  if (text.empty() || !IsValidUtf8(text)) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20 && byte != 0x7f;
  });
}

class GgufParser {
 public:
  explicit GgufParser(const ByteSource& file) : file_(file), reader_(file) {}

  Result<GgufFile> Parse() {
    RETURN_IF_ERROR(ReadHeader());
    for (uint64_t i = 0; i < num_keys_; ++i) RETURN_IF_ERROR(ReadKey());
    RETURN_IF_ERROR(ReadAlignment());
    RETURN_IF_ERROR(CheckTokenizer());
    for (uint64_t i = 0; i < num_tensors_; ++i) RETURN_IF_ERROR(ReadInfo());
    RETURN_IF_ERROR(PlaceTensors());
    return std::move(result_);
  }

 private:
  Result<void> ReadHeader() {
    ASSIGN_OR_RETURN(const auto magic, reader_.Read<uint32_t>());
    if (magic != kGgufMagic) return Refuse("no GGUF magic", 0);
    ASSIGN_OR_RETURN(result_.version, reader_.Read<uint32_t>());
    if (result_.version != 2 && result_.version != 3) {
      const bool is_swapped = (result_.version & 0xffff) == 0;
      return Fail(ErrorCode::kUnsupported,
                  is_swapped && result_.version != 0
                      ? std::string("GGUF: big-endian, only little-endian "
                                    "files are read")
                      : StrCat("GGUF: version ", result_.version,
                               ", only 2 and 3 are read"))
          .At(4)
          .Id("E-GGUF");
    }
    ASSIGN_OR_RETURN(num_tensors_, reader_.Read<uint64_t>());
    ASSIGN_OR_RETURN(num_keys_, reader_.Read<uint64_t>());
    // The least that a tensor takes: name length, one byte, dimensions, one
    // dimension, type, offset; that a key takes: length, one byte, type, value.
    constexpr uint64_t kLeastTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;
    constexpr uint64_t kLeastKeyBytes = 8 + 1 + 4 + 1;
    if (num_tensors_ > reader_.remaining() / kLeastTensorBytes) {
      return Refuse(StrCat(num_tensors_, " tensors do not fit into a file of ",
                           file_.size(), " bytes"),
                    8);
    }
    if (num_keys_ > reader_.remaining() / kLeastKeyBytes) {
      return Refuse(StrCat(num_keys_, " keys do not fit into a file of ",
                           file_.size(), " bytes"),
                    16);
    }
    if (num_tensors_ > kGgufMaxTensors) {
      return Limit(StrCat(num_tensors_, " tensors, at most ", kGgufMaxTensors),
                   8);
    }
    if (num_keys_ > kMaxGgufKeys) {
      return Limit(StrCat(num_keys_, " keys, at most ", kMaxGgufKeys), 16);
    }
    return {};
  }

  Result<std::string> ReadString(uint64_t max_bytes) {
    const uint64_t at = reader_.offset();
    ASSIGN_OR_RETURN(const auto size, reader_.Read<uint64_t>());
    if (size > reader_.remaining()) {
      return Refuse(StrCat("text of ", size, " bytes, ", reader_.remaining(),
                           " left in the file"),
                    at);
    }
    if (size > max_bytes) {
      return Limit(StrCat("text of ", size, " bytes, at most ", max_bytes), at);
    }
    std::string text(static_cast<size_t>(size), '\0');
    RETURN_IF_ERROR(
        reader_.Read(std::as_writable_bytes(std::span<char>(text))));
    return text;
  }

  Result<bool> ReadBool() {
    const uint64_t at = reader_.offset();
    ASSIGN_OR_RETURN(const auto byte, reader_.Read<uint8_t>());
    if (byte > 1) return Refuse(StrCat("a bool of ", uint32_t{byte}), at);
    return byte == 1;
  }

  Result<void> ReadKey() {
    const uint64_t at = reader_.offset();
    ASSIGN_OR_RETURN(std::string key, ReadString(kMaxGgufKeyBytes));
    if (!IsCleanName(key)) {
      return Refuse("a key that is empty, not UTF-8 or has control characters",
                    at);
    }
    ASSIGN_OR_RETURN(const auto type, reader_.Read<uint32_t>());
    auto value = ReadValue(static_cast<Type>(type));
    if (!value) {
      return WithContext(std::move(value).error(),
                         StrCat("key \"", EscapeForTerminal(key, 128), "\""));
    }
    if (key == kGgufAlignmentKey && static_cast<Type>(type) != Type::kUint32) {
      return Refuse("\"general.alignment\" is no u32", at);
    }
    for (const KnownKey& known : kKnownKeys) {
      if (known.key == key && !Matches(*value, known.want)) {
        return Refuse(StrCat("key \"", key, "\" has a value of wrong type"),
                      at);
      }
    }
    const auto [it, is_new] =
        result_.metadata.emplace(std::move(key), std::move(value).value());
    if (!is_new) {
      return Refuse(StrCat("key \"", EscapeForTerminal(it->first, 128),
                           "\" stands twice"),
                    at);
    }
    return {};
  }

  template <typename Wide, typename T>
  Result<GgufValue> ReadNumber() {
    ASSIGN_OR_RETURN(const T number, reader_.Read<T>());
    return GgufValue(static_cast<Wide>(number));
  }

  Result<GgufValue> ReadValue(Type type) {
    switch (type) {
      case Type::kUint8:
        return ReadNumber<uint64_t, uint8_t>();
      case Type::kInt8:
        return ReadNumber<int64_t, int8_t>();
      case Type::kUint16:
        return ReadNumber<uint64_t, uint16_t>();
      case Type::kInt16:
        return ReadNumber<int64_t, int16_t>();
      case Type::kUint32:
        return ReadNumber<uint64_t, uint32_t>();
      case Type::kInt32:
        return ReadNumber<int64_t, int32_t>();
      case Type::kUint64:
        return ReadNumber<uint64_t, uint64_t>();
      case Type::kInt64:
        return ReadNumber<int64_t, int64_t>();
      case Type::kFloat32:
        return ReadNumber<double, float>();
      case Type::kFloat64:
        return ReadNumber<double, double>();
      case Type::kBool: {
        ASSIGN_OR_RETURN(const bool value, ReadBool());
        return GgufValue(value);
      }
      case Type::kString: {
        ASSIGN_OR_RETURN(std::string text, ReadString(kMaxGgufStringBytes));
        return GgufValue(std::move(text));
      }
      case Type::kArray:
        return ReadArray();
    }
    return Refuse(
        StrCat("value type ", static_cast<uint32_t>(type), " does not exist"),
        reader_.offset());
  }

  // An array of `count` numbers of type T, widened to Wide.
  template <typename Wide, typename T>
  Result<GgufValue> ReadNumbers(uint64_t count) {
    std::vector<Wide> numbers(static_cast<size_t>(count));
    if constexpr (std::is_same_v<Wide, T>) {
      RETURN_IF_ERROR(
          reader_.Read(std::as_writable_bytes(std::span<T>(numbers))));
    } else {
      for (Wide& number : numbers) {
        ASSIGN_OR_RETURN(const T narrow, reader_.Read<T>());
        number = static_cast<Wide>(narrow);
      }
    }
    return GgufValue(std::move(numbers));
  }

  Result<GgufValue> ReadArray() {
    const uint64_t at = reader_.offset();
    ASSIGN_OR_RETURN(const auto element, reader_.Read<uint32_t>());
    ASSIGN_OR_RETURN(const auto count, reader_.Read<uint64_t>());
    const auto type = static_cast<Type>(element);
    const auto least = LeastBytes(type);
    if (!least.has_value()) {
      return Refuse(type == Type::kArray ? std::string("an array of arrays")
                                         : StrCat("array element type ",
                                                  element, " does not exist"),
                    at);
    }
    if (count > reader_.remaining() / *least) {
      return Refuse(StrCat("an array of ", count, " elements, ",
                           reader_.remaining(), " bytes left in the file"),
                    at);
    }
    if (count > kMaxGgufArrayElements - num_elements_) {
      return Limit(
          StrCat("arrays of more than ", kMaxGgufArrayElements, " elements"),
          at);
    }
    num_elements_ += count;
    if (type == Type::kString) num_texts_ += count;
    if (num_texts_ > kGgufMaxArrayTexts) {
      return Limit(StrCat("arrays of more than ", kGgufMaxArrayTexts, " texts"),
                   at);
    }
    switch (type) {
      case Type::kUint8:
        return ReadNumbers<uint64_t, uint8_t>(count);
      case Type::kInt8:
        return ReadNumbers<int64_t, int8_t>(count);
      case Type::kUint16:
        return ReadNumbers<uint64_t, uint16_t>(count);
      case Type::kInt16:
        return ReadNumbers<int64_t, int16_t>(count);
      case Type::kUint32:
        return ReadNumbers<uint64_t, uint32_t>(count);
      case Type::kInt32:
        return ReadNumbers<int64_t, int32_t>(count);
      case Type::kUint64:
        return ReadNumbers<uint64_t, uint64_t>(count);
      case Type::kInt64:
        return ReadNumbers<int64_t, int64_t>(count);
      case Type::kFloat32:
        return ReadNumbers<float, float>(count);
      case Type::kFloat64:
        return Fail(ErrorCode::kUnsupported, "GGUF: an array of f64")
            .At(at)
            .Id("E-GGUF");
      case Type::kBool: {
        std::vector<bool> values(static_cast<size_t>(count));
        for (size_t i = 0; i < values.size(); ++i) {
          ASSIGN_OR_RETURN(const bool value, ReadBool());
          values[i] = value;
        }
        return GgufValue(std::move(values));
      }
      case Type::kString: {
        std::vector<std::string> texts;
        // Not reserved: a short file could still ask for much.
        for (uint64_t i = 0; i < count; ++i) {
          ASSIGN_OR_RETURN(std::string text, ReadString(kMaxGgufStringBytes));
          texts.push_back(std::move(text));
        }
        return GgufValue(std::move(texts));
      }
      case Type::kArray:
        break;
    }
    return Refuse("an array of arrays", at);
  }

  Result<void> ReadAlignment() {
    const auto alignment = result_.Unsigned(kGgufAlignmentKey);
    if (!alignment.has_value()) return {};
    if (!std::has_single_bit(*alignment) || *alignment < kGgufMinAlignment ||
        *alignment > kGgufMaxAlignment) {
      return Refuse(
          StrCat("alignment ", *alignment, " is no power of two from ",
                 kGgufMinAlignment, " to ", kGgufMaxAlignment),
          reader_.offset());
    }
    result_.alignment = *alignment;
    return {};
  }

  // Scores, types and special ids must fit the list of tokens.
  Result<void> CheckTokenizer() {
    const auto* const tokens = result_.Strings("tokenizer.ggml.tokens");
    if (tokens == nullptr) return {};
    const auto* const scores = result_.Floats("tokenizer.ggml.scores");
    if (scores != nullptr && scores->size() != tokens->size()) {
      return Refuse(
          StrCat(tokens->size(), " tokens, but ", scores->size(), " scores"),
          reader_.offset());
    }
    const auto types = result_.Integers("tokenizer.ggml.token_type");
    if (types.has_value() && types->size() != tokens->size()) {
      return Refuse(StrCat(tokens->size(), " tokens, but ", types->size(),
                           " token types"),
                    reader_.offset());
    }
    for (const std::string_view name : {"bos", "eos", "unknown", "padding"}) {
      const auto id =
          result_.Unsigned(StrCat("tokenizer.ggml.", name, "_token_id"));
      // All bits set is how some writers say "none".
      if (!id.has_value() || *id == std::numeric_limits<uint32_t>::max()) {
        continue;
      }
      if (*id >= tokens->size()) {
        return Refuse(StrCat("the ", name, " token is ", *id, " of ",
                             tokens->size(), " tokens"),
                      reader_.offset());
      }
    }
    return {};
  }

  Result<void> ReadInfo() {
    const uint64_t at = reader_.offset();
    TensorInfo tensor;
    ASSIGN_OR_RETURN(tensor.name, ReadString(kMaxGgufKeyBytes));
    if (tensor.name.size() > kGgufMaxTensorNameBytes) {
      return Refuse(StrCat("a tensor name of ", tensor.name.size(),
                           " bytes, at most ", kGgufMaxTensorNameBytes),
                    at);
    }
    const std::string label =
        StrCat("tensor \"", EscapeForTerminal(tensor.name, 128), "\": ");
    ASSIGN_OR_RETURN(const auto num_dims, reader_.Read<uint32_t>());
    if (num_dims == 0 || num_dims > kGgufMaxDims) {
      return Refuse(StrCat(label, num_dims, " dimensions, 1 to ", kGgufMaxDims,
                           " are allowed"),
                    at);
    }
    for (uint32_t i = 0; i < num_dims; ++i) {
      ASSIGN_OR_RETURN(const auto dim, reader_.Read<uint64_t>());
      if (dim == 0) return Refuse(StrCat(label, "a dimension of 0"), at);
      tensor.shape.push_back(dim);
    }
    std::reverse(tensor.shape.begin(), tensor.shape.end());
    ASSIGN_OR_RETURN(const auto type, reader_.Read<uint32_t>());
    const auto dtype = GgufDType(type);
    const bool of_fork = IsForkTensorType(type);
    if (type >= kGgufTensorTypes && !of_fork) {
      return Refuse(StrCat(label, "tensor type ", type, " does not exist"), at);
    }
    if (!dtype.has_value()) {
      return Fail(ErrorCode::kUnsupported,
                  StrCat("GGUF: ", label, "tensor type ", type, " is not read",
                         of_fork ? ", it is ik_llama.cpp's own" : ""))
          .At(at)
          .Hint("take the model in another type, or convert its source")
          .Id("E-GGUF");
    }
    tensor.dtype = *dtype;
    ASSIGN_OR_RETURN(tensor.offset, reader_.Read<uint64_t>());
    const auto num_elements = NumElements(tensor.shape);
    constexpr auto kMaxElements =
        static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
    if (!num_elements.has_value() || *num_elements > kMaxElements ||
        tensor.shape.back() % BlockElements(tensor.dtype) != 0) {
      return Refuse(StrCat(label, "shape ", ShapeText(tensor.shape),
                           " is too large, or no whole number of blocks of ",
                           DTypeName(tensor.dtype)),
                    at);
    }
    const auto bytes = DTypeBytes(tensor.dtype, *num_elements);
    if (!bytes.has_value() || *bytes > file_.size()) {
      return Refuse(
          StrCat(label, DTypeName(tensor.dtype), " ", ShapeText(tensor.shape),
                 " is larger than the file of ", file_.size(), " bytes"),
          at);
    }
    tensor.size_bytes = *bytes;
    infos_.push_back(std::move(tensor));
    return {};
  }

  Result<void> PlaceTensors() {
    const uint64_t infos_end = reader_.offset();
    const auto data_offset = AlignUp(infos_end, result_.alignment);
    if (!data_offset.has_value()) return Refuse("too large", infos_end);
    result_.data_offset = *data_offset;
    if (infos_.empty()) return CheckTail(infos_end, *data_offset);
    if (*data_offset > file_.size()) {
      return Refuse("the file ends before the data: cut off", infos_end);
    }
    RETURN_IF_ERROR(CheckZero(infos_end, *data_offset));
    uint64_t running = 0;   // end of the tensors so far, padded
    uint64_t last_end = 0;  // the same, not padded
    for (TensorInfo& tensor : infos_) {
      const std::string label =
          StrCat("tensor \"", EscapeForTerminal(tensor.name, 128), "\": ");
      if (tensor.offset != running) {
        return Refuse(StrCat(label, "offset ", tensor.offset,
                             ", but the tensor before it ends at ", running),
                      *data_offset);
      }
      const auto end = CheckedAdd(running, tensor.size_bytes);
      const auto padded =
          end.has_value() ? AlignUp(*end, result_.alignment) : std::nullopt;
      if (!padded.has_value() || *end > file_.size() - *data_offset) {
        return Refuse(
            StrCat(label, tensor.size_bytes, " bytes from ", tensor.offset,
                   " on, but the file holds ", file_.size() - *data_offset,
                   " bytes of data: cut off"),
            *data_offset);
      }
      last_end = *end;
      running = *padded;
      tensor.offset += *data_offset;
      RETURN_IF_ERROR(result_.tensors.Add(std::move(tensor), file_.size()));
    }
    // Both fit: last_end is inside the file, running at most 4095 beyond.
    return CheckTail(*data_offset + last_end, *data_offset + running);
  }

  // After the content there may be zero padding up to `padded_end` at most.
  Result<void> CheckTail(uint64_t end, uint64_t padded_end) {
    if (file_.size() > padded_end) {
      return Refuse(
          StrCat(file_.size() - padded_end, " bytes after the last tensor"),
          padded_end);
    }
    return CheckZero(end, file_.size());
  }

  Result<void> CheckZero(uint64_t begin, uint64_t end) {
    std::array<std::byte, kGgufMaxAlignment> buffer{};
    const auto padding =
        std::span<std::byte>(buffer).first(static_cast<size_t>(end - begin));
    RETURN_IF_ERROR(file_.ReadAt(begin, padding));
    for (const std::byte byte : padding) {
      if (byte != std::byte{0}) return Refuse("padding that is not 0", begin);
    }
    return {};
  }

  const ByteSource& file_;
  SequentialReader reader_;
  GgufFile result_;
  std::vector<TensorInfo> infos_;
  uint64_t num_tensors_ = 0;
  uint64_t num_keys_ = 0;
  uint64_t num_elements_ = 0;
  uint64_t num_texts_ = 0;
};

template <typename T>
const T* Get(const GgufFile& file, std::string_view key) {
  const auto it = file.metadata.find(std::string(key));
  return it == file.metadata.end() ? nullptr : std::get_if<T>(&it->second);
}

}  // namespace

std::optional<uint64_t> GgufFile::Unsigned(std::string_view key) const {
  if (const auto* const value = Get<uint64_t>(*this, key)) return *value;
  const auto* const value = Get<int64_t>(*this, key);
  if (value == nullptr || *value < 0) return std::nullopt;
  return static_cast<uint64_t>(*value);
}

std::optional<double> GgufFile::Float(std::string_view key) const {
  const auto* const value = Get<double>(*this, key);
  return value == nullptr ? std::nullopt : std::optional<double>(*value);
}

std::optional<bool> GgufFile::Bool(std::string_view key) const {
  const auto* const value = Get<bool>(*this, key);
  return value == nullptr ? std::nullopt : std::optional<bool>(*value);
}

const std::string* GgufFile::String(std::string_view key) const {
  return Get<std::string>(*this, key);
}

const std::vector<std::string>* GgufFile::Strings(std::string_view key) const {
  return Get<std::vector<std::string>>(*this, key);
}

const std::vector<float>* GgufFile::Floats(std::string_view key) const {
  return Get<std::vector<float>>(*this, key);
}

std::optional<std::vector<int64_t>> GgufFile::Integers(
    std::string_view key) const {
  if (const auto* const values = Get<std::vector<int64_t>>(*this, key)) {
    return *values;
  }
  const auto* const values = Get<std::vector<uint64_t>>(*this, key);
  if (values == nullptr) return std::nullopt;
  std::vector<int64_t> signed_values;
  signed_values.reserve(values->size());
  for (const uint64_t value : *values) {
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return std::nullopt;
    }
    signed_values.push_back(static_cast<int64_t>(value));
  }
  return signed_values;
}

Result<GgufFile> ReadGguf(const ByteSource& file) {
  return GgufParser(file).Parse();
}

}  // namespace verify
