// SPDX-License-Identifier: Apache-2.0
#include "verify/checkpoint/safetensors_reader.h"

#include <algorithm>
#include <array>
#include <optional>

#include "verify/base/bytes.h"
#include "verify/base/json.h"
#include "verify/base/text.h"

namespace verify {
namespace {

constexpr uint64_t kLengthBytes = 8;
constexpr int kMaxDepth = 8;
// A tensor takes eight; what a hostile header can make of memory
// and time is bounded; releases have some thousands in a file.
constexpr uint64_t kMaxValues = 1u << 19;
constexpr std::string_view kMetadataKey = "__metadata__";

Unexpected Refuse(std::string_view what, uint64_t offset = kLengthBytes) {
  return Fail(ErrorCode::kCorrupt, StrCat("safetensors: ", what))
      .At(offset)
      .Id("E-SAFETENSORS");
}

Unexpected RefuseTensor(std::string_view name, std::string_view what) {
  return Refuse(
      StrCat("tensor \"", EscapeForTerminal(name, 128), "\": ", what));
}

struct NamedDType {
  std::string_view name;
  std::optional<DType> dtype;  // nothing: of the format, but not read here
};

constexpr std::array kDTypes = {
    NamedDType{"F64", DType::kF64},
    NamedDType{"F32", DType::kF32},
    NamedDType{"F16", DType::kF16},
    NamedDType{"BF16", DType::kBF16},
    NamedDType{"F8_E4M3", DType::kF8E4M3},
    NamedDType{"F8_E5M2", DType::kF8E5M2},
    NamedDType{"I64", DType::kI64},
    NamedDType{"I32", DType::kI32},
    NamedDType{"I16", DType::kI16},
    NamedDType{"I8", DType::kI8},
    NamedDType{"U64", DType::kU64},
    NamedDType{"U32", DType::kU32},
    NamedDType{"U16", DType::kU16},
    NamedDType{"U8", DType::kU8},
    NamedDType{"BOOL", DType::kBool},
    NamedDType{"F4", std::nullopt},
    NamedDType{"F6_E2M3", std::nullopt},
    NamedDType{"F6_E3M2", std::nullopt},
    NamedDType{"F8_E8M0", std::nullopt},
    NamedDType{"F8_E4M3FNUZ", std::nullopt},
    NamedDType{"F8_E5M2FNUZ", std::nullopt},
    NamedDType{"C64", std::nullopt},
};

Result<DType> ParseDType(std::string_view tensor, const Json& value) {
  if (!value.is_string()) return RefuseTensor(tensor, "\"dtype\" is no text");
  const auto& name = value.get_ref<const std::string&>();
  for (const NamedDType& known : kDTypes) {
    if (known.name != name) continue;
    if (known.dtype.has_value()) return *known.dtype;
    return Fail(ErrorCode::kUnsupported,
                StrCat("safetensors: tensor \"", EscapeForTerminal(tensor, 128),
                       "\": dtype ", name, " is not read"))
        .At(kLengthBytes);
  }
  return RefuseTensor(
      tensor, StrCat("unknown dtype \"", EscapeForTerminal(name, 32), "\""));
}

Result<std::vector<uint64_t>> ParseNumbers(std::string_view tensor,
                                           std::string_view key,
                                           const Json& value) {
  if (!value.is_array()) {
    return RefuseTensor(tensor, StrCat("\"", key, "\" is no list"));
  }
  if (value.size() > kMaxTensorDims) {
    return Fail(ErrorCode::kLimit,
                StrCat("safetensors: tensor \"", EscapeForTerminal(tensor, 128),
                       "\": ", value.size(), " numbers in \"", key,
                       "\", at most ", kMaxTensorDims))
        .At(kLengthBytes);
  }
  std::vector<uint64_t> numbers;
  for (const Json& item : value) {
    const auto number = AsUnsigned(item);
    if (!number.has_value()) {
      return RefuseTensor(tensor, StrCat("\"", key,
                                         "\" holds something other "
                                         "than plain whole numbers >= 0"));
    }
    numbers.push_back(*number);
  }
  return numbers;
}

// `offset` and `size_bytes` still count from the data start.
Result<TensorInfo> ParseTensor(const std::string& name, const Json& value) {
  if (!value.is_object()) return RefuseTensor(name, "no object");
  const auto dtype = value.find("dtype");
  const auto shape = value.find("shape");
  const auto offsets = value.find("data_offsets");
  if (value.size() != 3 || dtype == value.end() || shape == value.end() ||
      offsets == value.end()) {
    return RefuseTensor(
        name, "needs \"dtype\", \"shape\", \"data_offsets\" and nothing else");
  }
  TensorInfo tensor;
  tensor.name = name;
  ASSIGN_OR_RETURN(tensor.dtype, ParseDType(name, *dtype));
  ASSIGN_OR_RETURN(tensor.shape, ParseNumbers(name, "shape", *shape));
  ASSIGN_OR_RETURN(const auto range,
                   ParseNumbers(name, "data_offsets", *offsets));
  if (range.size() != 2 || range[0] > range[1]) {
    return RefuseTensor(name, "\"data_offsets\" is no range");
  }
  tensor.offset = range[0];
  tensor.size_bytes = range[1] - range[0];
  return tensor;
}

Result<std::string> ReadHeaderText(const ByteSource& file) {
  std::array<std::byte, kLengthBytes> length_bytes{};
  if (file.size() < kLengthBytes) {
    return Refuse(StrCat("only ", file.size(), " bytes: cut off"), 0);
  }
  RETURN_IF_ERROR(file.ReadAt(0, length_bytes));
  const auto length = LoadLe<uint64_t>(length_bytes);
  if (length > kMaxSafetensorsHeaderBytes) {
    return Refuse(StrCat("a header of ", length, " bytes, at most ",
                         kMaxSafetensorsHeaderBytes),
                  0);
  }
  if (length > file.size() - kLengthBytes) {
    return Refuse(StrCat("a header of ", length, " bytes in a file of ",
                         file.size(), ": cut off"),
                  0);
  }
  if (length < 2) return Refuse(StrCat("a header of ", length, " bytes"), 0);
  std::string text(static_cast<size_t>(length), '\0');
  RETURN_IF_ERROR(
      file.ReadAt(kLengthBytes, std::as_writable_bytes(std::span<char>(text))));
  if (text.front() != '{') return Refuse("the header does not begin with {");
  text.resize(text.find_last_not_of(' ') + 1);  // padding: spaces alone
  if (text.back() != '}') return Refuse("the header does not end with }");
  return text;
}

Result<Json> ParseHeader(std::string_view text) {
  const JsonLimits limits{kMaxSafetensorsHeaderBytes, kMaxDepth, kMaxValues};
  auto parsed = ParseJson(text, limits);
  if (parsed) return parsed;
  Error error = std::move(parsed).error();
  if (error.offset.has_value()) *error.offset += kLengthBytes;
  return WithContext(std::move(error), "safetensors header");
}

}  // namespace

Result<SafetensorsFile> ReadSafetensors(const ByteSource& file) {
  SafetensorsFile result;
  uint64_t header_bytes = 0;
  {
    std::array<std::byte, kLengthBytes> length{};
    if (file.size() >= kLengthBytes) {
      RETURN_IF_ERROR(file.ReadAt(0, length));
      header_bytes = LoadLe<uint64_t>(length);
    }
  }
  ASSIGN_OR_RETURN(const std::string text, ReadHeaderText(file));
  ASSIGN_OR_RETURN(const Json parsed, ParseHeader(text));
  if (!parsed.is_object()) return Refuse("the header is no object");
  result.data_offset = kLengthBytes + header_bytes;
  const uint64_t data_bytes = file.size() - result.data_offset;

  std::vector<TensorInfo> tensors;
  for (const auto& [name, value] : parsed.items()) {
    if (name == kMetadataKey) {
      if (!value.is_object()) return Refuse("\"__metadata__\" is no object");
      for (const auto& [key, entry] : value.items()) {
        if (!entry.is_string()) {
          return Refuse("\"__metadata__\" holds something other than text");
        }
        result.metadata.emplace_back(key, entry.get<std::string>());
      }
      continue;
    }
    ASSIGN_OR_RETURN(auto tensor, ParseTensor(name, value));
    tensors.push_back(std::move(tensor));
  }
  std::sort(tensors.begin(), tensors.end(),
            [](const TensorInfo& a, const TensorInfo& b) {
              return std::pair(a.offset, a.size_bytes) <
                     std::pair(b.offset, b.size_bytes);
            });
  uint64_t end = 0;
  for (TensorInfo& tensor : tensors) {
    if (tensor.offset != end) {
      return RefuseTensor(
          tensor.name,
          StrCat("begins at byte ", tensor.offset, " of the data, but the ",
                 tensor.offset < end ? "tensor before it ends"
                                     : "last one "
                                       "ended",
                 " at ", end));
    }
    end += tensor.size_bytes;  // fits: both ends were 64-bit numbers
    if (end > data_bytes) {
      return RefuseTensor(tensor.name,
                          StrCat("ends at byte ", end, " of ", data_bytes,
                                 " bytes of data: cut off"));
    }
    tensor.offset += result.data_offset;
    RETURN_IF_ERROR(result.tensors.Add(std::move(tensor), file.size()));
  }
  if (end != data_bytes) {
    return Refuse(StrCat(data_bytes - end, " bytes after the last tensor"),
                  result.data_offset + end);
  }
  return result;
}

}  // namespace verify
