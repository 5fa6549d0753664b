// SPDX-License-Identifier: Apache-2.0
#include "verify/structure/json_fields.h"

#include "verify/base/text.h"

namespace verify {

std::string ValueText(const Json& value) {
  return EscapeForTerminal(
      value.dump(-1, ' ', false, Json::error_handler_t::replace), 64);
}

Unexpected WrongType(std::string_view key, const Json& value,
                     std::string_view expected) {
  return ConfigError(
      ErrorCode::kCorrupt,
      StrCat("\"", key, "\" is ", ValueText(value), ", expected ", expected));
}

Unexpected Missing(std::string_view key) {
  return ConfigError(ErrorCode::kCorrupt, StrCat("\"", key, "\" is missing"));
}

Unexpected NotImplemented(std::string_view key, const Json& value) {
  return ConfigError(
      ErrorCode::kUnsupported,
      StrCat("\"", EscapeForTerminal(key, 64), "\" is ", ValueText(value),
             ", which changes the model in a way that is not "
             "implemented"));
}

// Null if the key is absent or null: both mean "not given" in these files.
const Json* Given(const Json& object, std::string_view key) {
  const auto it = object.find(key);
  if (it == object.end() || it->is_null()) return nullptr;
  return &*it;
}

Result<std::optional<uint64_t>> OptionalUnsigned(const Json& object,
                                                 std::string_view key) {
  const Json* const value = Given(object, key);
  if (value == nullptr) return std::optional<uint64_t>();
  const auto number = AsUnsigned(*value);
  if (!number.has_value()) return WrongType(key, *value, "a whole number");
  return number;
}

Result<uint64_t> RequiredUnsigned(const Json& object, std::string_view key) {
  ASSIGN_OR_RETURN(const auto value, OptionalUnsigned(object, key));
  if (!value.has_value()) return Missing(key);
  return *value;
}

Result<std::optional<double>> OptionalNumber(const Json& object,
                                             std::string_view key) {
  const Json* const value = Given(object, key);
  if (value == nullptr) return std::optional<double>();
  if (!value->is_number()) return WrongType(key, *value, "a number");
  return std::optional<double>(value->get<double>());
}

Result<double> RequiredNumber(const Json& object, std::string_view key) {
  ASSIGN_OR_RETURN(const auto value, OptionalNumber(object, key));
  if (!value.has_value()) return Missing(key);
  return *value;
}

Result<bool> BoolOr(const Json& object, std::string_view key, bool absent) {
  const Json* const value = Given(object, key);
  if (value == nullptr) return absent;
  if (!value->is_boolean()) return WrongType(key, *value, "true or false");
  return value->get<bool>();
}

// kUnsupported unless the key is absent or holds `neutral`.
Result<void> OnlyNeutral(const Json& object, std::string_view key,
                         const Json& neutral) {
  const Json* const value = Given(object, key);
  if (value == nullptr || *value == neutral) return {};
  return NotImplemented(key, *value);
}

// head_dim if given, else dim / heads.
Result<std::optional<double>> RopeTheta(const Json& object) {
  std::optional<double> theta;
  for (const std::string_view key : {"rope_scaling", "rope_parameters"}) {
    const Json* const nested = Given(object, key);
    if (nested == nullptr) continue;
    if (!nested->is_object()) return WrongType(key, *nested, "an object");
    for (const auto& [name, value] : nested->items()) {
      if (value.is_null()) continue;
      if ((name == "rope_type" || name == "type") && value == Json("default")) {
        continue;
      }
      if (name == "partial_rotary_factor" && value == Json(1)) continue;
      if (name != "rope_theta") {
        return NotImplemented(StrCat(key, ".", name), value);
      }
      ASSIGN_OR_RETURN(theta, OptionalNumber(*nested, name));
    }
  }
  ASSIGN_OR_RETURN(const auto top, OptionalNumber(object, "rope_theta"));
  if (top.has_value() && theta.has_value() && *top != *theta) {
    return ConfigError(ErrorCode::kCorrupt,
                       StrCat("\"rope_theta\" is ", *top,
                              ", \"rope_parameters.rope_theta\" is ", *theta));
  }
  return top.has_value() ? top : theta;
}

Result<uint64_t> HeadDim(const Json& object, const ConfigKeys& keys,
                         uint64_t dim, uint64_t num_heads) {
  ASSIGN_OR_RETURN(const auto given, OptionalUnsigned(object, keys.head_dim));
  if (given.has_value()) return *given;
  if (num_heads == 0 || dim % num_heads != 0) {
    return ConfigError(
        ErrorCode::kCorrupt,
        StrCat("\"", keys.head_dim, "\" is missing and \"", keys.dim, "\" ",
               dim, " is no multiple of \"", keys.num_heads, "\" ", num_heads));
  }
  return dim / num_heads;
}

}  // namespace verify
