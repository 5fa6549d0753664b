// SPDX-License-Identifier: Apache-2.0
#include "inference/eval/fingerprint_fields.h"

#include <algorithm>
#include <cmath>

#include "verify/checkpoint/dtype.h"

namespace inference {
namespace {

using verify::Json;
using verify::Result;
using verify::StrCat;

constexpr size_t kMaxTypes = 8;
constexpr verify::DType kLastType = verify::DType::kMXFP4;

Result<int32_t> Signed(const Json& json, const std::string& where,
                       int32_t bound) {
  const bool whole = json.is_number_integer();
  const bool fits =
      whole && (json.is_number_unsigned()
                    ? json.get<uint64_t>() <= static_cast<uint64_t>(bound)
                    : json.get<int64_t>() >= -int64_t{bound} &&
                          json.get<int64_t>() <= int64_t{bound});
  if (!fits) {
    return RefuseFingerprint(
        StrCat(where, ": no whole number from ", -bound, " to ", bound));
  }
  return static_cast<int32_t>(json.get<int64_t>());
}

}  // namespace

verify::Unexpected RefuseFingerprint(const std::string& message) {
  return verify::Fail(verify::ErrorCode::kCorrupt,
                      StrCat("fingerprint: ", message))
      .Id("E-FINGERPRINT-FORM");
}

Result<FingerprintFields> FingerprintFields::Open(
    const Json& json, std::string where,
    std::initializer_list<std::string_view> keys) {
  if (!json.is_object())
    return RefuseFingerprint(StrCat(where, ": not an object"));
  for (const auto& [key, value] : json.items()) {
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) {
      return RefuseFingerprint(StrCat(where, ": unknown key \"",
                                      verify::EscapeForTerminal(key, 64), '"'));
    }
  }
  for (const std::string_view key : keys) {
    if (!json.contains(std::string(key))) {
      return RefuseFingerprint(StrCat(where, ": \"", key, "\" is missing"));
    }
  }
  return FingerprintFields(json, std::move(where));
}

Result<uint64_t> FingerprintFields::Whole(std::string_view key, uint64_t least,
                                          uint64_t most) const {
  const auto value = WholeOf(At(key));
  if (!value.has_value() || *value < least || *value > most) {
    return RefuseFingerprint(
        StrCat(Name(key), ": no whole number from ", least, " to ", most));
  }
  return *value;
}

Result<double> FingerprintFields::Positive(std::string_view key) const {
  const Json& value = At(key);
  const double number = value.is_number() ? value.get<double>() : 0;
  if (!std::isfinite(number) || number <= 0) {
    return RefuseFingerprint(StrCat(Name(key), ": no number above 0"));
  }
  return number;
}

Result<std::string> FingerprintFields::Text(std::string_view key,
                                            size_t most) const {
  const Json& value = At(key);
  if (!value.is_string() || value.get_ref<const std::string&>().size() > most) {
    return RefuseFingerprint(
        StrCat(Name(key), ": no text of at most ", most, " bytes"));
  }
  return value.get<std::string>();
}

Result<std::string> FingerprintFields::Hex(std::string_view key,
                                           size_t digits) const {
  ASSIGN_OR_RETURN(std::string text, Text(key, digits));
  const auto bytes = verify::HexDecode(text);
  if (text.size() != digits || !bytes.has_value() ||
      text != verify::AsciiLower(text)) {
    return RefuseFingerprint(
        StrCat(Name(key), ": no ", digits, " lower-case hex digits"));
  }
  return text;
}

Result<void> FingerprintFields::CheckArray(std::string_view key, size_t least,
                                           size_t most) const {
  const Json& value = At(key);
  if (value.is_array() && value.size() >= least && value.size() <= most) {
    return {};
  }
  return RefuseFingerprint(
      least == most ? StrCat(Name(key), ": no list of ", least)
                    : StrCat(Name(key), ": no list of ", least, " to ", most));
}

Result<Sketch> FingerprintFields::ReadSketch(std::string_view key,
                                             size_t count) const {
  return SketchFrom(At(key), Name(key), count);
}

Result<std::vector<Sketch>> FingerprintFields::Sketches(std::string_view key,
                                                        size_t count) const {
  RETURN_IF_ERROR(CheckArray(key, count, count));
  std::vector<Sketch> out;
  for (const Json& item : At(key)) {
    ASSIGN_OR_RETURN(auto sketch,
                     SketchFrom(item, StrCat(Name(key), '[', out.size(), ']'),
                                kSketchValues));
    out.push_back(std::move(sketch));
  }
  return out;
}

Result<TypeSet> FingerprintFields::Types(std::string_view key) const {
  RETURN_IF_ERROR(CheckArray(key, 1, kMaxTypes));
  TypeSet out;
  for (const Json& item : At(key)) {
    std::optional<verify::DType> found;
    for (int i = 0; i <= static_cast<int>(kLastType); ++i) {
      const auto type = static_cast<verify::DType>(i);
      if (item.is_string() &&
          item.get_ref<const std::string&>() == verify::DTypeName(type)) {
        found = type;
      }
    }
    if (!found.has_value() || (!out.empty() && *found <= out.back())) {
      return RefuseFingerprint(
          StrCat(Name(key), ": no element types, each once, in order"));
    }
    out.push_back(*found);
  }
  return out;
}

std::optional<uint64_t> FingerprintFields::WholeOf(const Json& json) {
  if (json.is_number_unsigned()) return json.get<uint64_t>();
  if (!json.is_number_integer() || json.get<int64_t>() < 0) return std::nullopt;
  return static_cast<uint64_t>(json.get<int64_t>());
}

Result<Sketch> FingerprintFields::SketchFrom(const Json& json,
                                             std::string where, size_t count) {
  ASSIGN_OR_RETURN(const FingerprintFields reader,
                   Open(json, std::move(where), {"e", "v"}));
  Sketch sketch;
  ASSIGN_OR_RETURN(sketch.exponent, Signed(reader.At("e"), reader.Name("e"),
                                           kMaxSketchExponent));
  RETURN_IF_ERROR(reader.CheckArray("v", count, count));
  for (const Json& item : reader.At("v")) {
    ASSIGN_OR_RETURN(const int32_t value,
                     Signed(item, reader.Name("v"), kMaxSketchValue));
    sketch.values.push_back(value);
  }
  return sketch;
}

}  // namespace inference
