// SPDX-License-Identifier: Apache-2.0
// Fields of a JSON object whose keys and values are all checked, as the reader
// of fingerprints takes them.
// Tested by tests/inference/eval/fingerprint_json_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "inference/eval/fingerprint.h"
#include "verify/base/json.h"
#include "verify/base/result.h"
#include "verify/base/text.h"

namespace inference {

// kCorrupt with the id E-FINGERPRINT-FORM.
verify::Unexpected RefuseFingerprint(const std::string& message);

// An object that has all the expected keys and no other. All errors are those
// of RefuseFingerprint and name the field. The JSON must outlive it.
class FingerprintFields {
 public:
  // `where` stands in messages for the object.
  static verify::Result<FingerprintFields> Open(
      const verify::Json& json, std::string where,
      std::initializer_list<std::string_view> keys);

  // Requires one of the keys.
  const verify::Json& At(std::string_view key) const {
    return json_->at(std::string(key));
  }
  std::string Name(std::string_view key) const {
    return verify::StrCat(where_, '.', key);
  }

  verify::Result<uint64_t> Whole(std::string_view key, uint64_t least,
                                 uint64_t most) const;
  // Finite and above 0.
  verify::Result<double> Positive(std::string_view key) const;
  verify::Result<std::string> Text(std::string_view key, size_t most) const;
  // Lower case.
  verify::Result<std::string> Hex(std::string_view key, size_t digits) const;
  verify::Result<void> CheckArray(std::string_view key, size_t least,
                                  size_t most) const;
  // `least`..`most` whole numbers below `end`.
  template <typename T>
  verify::Result<std::vector<T>> Numbers(std::string_view key, size_t least,
                                         size_t most, uint64_t end) const {
    RETURN_IF_ERROR(CheckArray(key, least, most));
    std::vector<T> out;
    for (const verify::Json& item : At(key)) {
      const auto value = WholeOf(item);
      if (!value.has_value() || *value >= end) {
        return RefuseFingerprint(
            verify::StrCat(Name(key), ": no whole number below ", end));
      }
      out.push_back(static_cast<T>(*value));
    }
    return out;
  }
  // With `count` values.
  verify::Result<Sketch> ReadSketch(std::string_view key, size_t count) const;
  // `count` projections.
  verify::Result<std::vector<Sketch>> Sketches(std::string_view key,
                                               size_t count) const;
  verify::Result<TypeSet> Types(std::string_view key) const;

 private:
  FingerprintFields(const verify::Json& json, std::string where)
      : json_(&json), where_(std::move(where)) {}
  // A whole number >= 0, parsed or made by this program.
  static std::optional<uint64_t> WholeOf(const verify::Json& json);
  static verify::Result<Sketch> SketchFrom(const verify::Json& json,
                                           std::string where, size_t count);

  const verify::Json* json_;
  std::string where_;
};

}  // namespace inference
