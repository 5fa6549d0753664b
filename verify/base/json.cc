// SPDX-License-Identifier: Apache-2.0
#include "verify/base/json.h"

#include <algorithm>
#include <string>
#include <utility>

#include "verify/base/json_builder.h"
#include "verify/base/text.h"

namespace verify {
namespace {

std::string TooManyValues(const JsonLimits& limits) {
  return StrCat("JSON: more than ", limits.max_values, " values");
}

}  // namespace

Error DuplicateJsonKey(std::string_view name) {
  return Fail(ErrorCode::kCorrupt,
              StrCat("JSON: key \"", EscapeForTerminal(name),
                     "\" stands twice in one object"))
      .Id("E-JSON-DUPLICATE")
      .error();
}

bool JsonBuilder::end_object() {
  keys_.pop_back();
  return Close();
}

bool JsonBuilder::key(string_t& name) {
  if (!keys_.back().insert(name).second) {
    error_ = DuplicateJsonKey(name);
    return false;
  }
  key_ = std::move(name);
  return true;
}

bool JsonBuilder::parse_error(size_t position, const std::string&,
                              const nlohmann::detail::exception&) {
  error_ = Fail(ErrorCode::kCorrupt, "JSON: not valid here")
               .At(position == 0 ? 0 : position - 1)
               .error();
  return false;
}

bool JsonBuilder::Limit(std::string message) {
  error_ = Fail(ErrorCode::kLimit, std::move(message)).error();
  return false;
}

bool JsonBuilder::Open(Json container) {
  if (stack_.size() >= static_cast<size_t>(limits_.max_depth)) {
    return Limit(StrCat("JSON: nested deeper than ", limits_.max_depth));
  }
  const bool is_object = container.is_object();
  Json* const place = Insert(std::move(container));
  if (place == nullptr) return false;
  stack_.push_back(place);
  if (is_object) keys_.emplace_back();
  return true;
}

// A container's address stays valid while it is open: its parent gets no
// other element before it is closed.
Json* JsonBuilder::Insert(Json value) {
  if (++num_values_ > limits_.max_values) {
    Limit(TooManyValues(limits_));
    return nullptr;
  }
  if (stack_.empty()) {
    root_ = std::move(value);
    return &root_;
  }
  Json& parent = *stack_.back();
  if (parent.is_array()) {
    parent.push_back(std::move(value));
    return &parent.back();
  }
  return &(parent[key_] = std::move(value));
}

Result<void> CheckJsonLimits(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    return Fail(ErrorCode::kLimit,
                StrCat("JSON: ", text.size(), " bytes, at most ",
                       limits.max_bytes, " are read"));
  }
  // Each comma outside of a text is followed by a value of its own.
  uint64_t num_values = 1;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] == ',' && ++num_values > limits.max_values) {
      return Fail(ErrorCode::kLimit, TooManyValues(limits)).At(at);
    }
    if (text[at] != '"') continue;
    const size_t begin = ++at;
    while (at < text.size() && text[at] != '"')
      at += text[at] == '\\' ? 2u : 1u;
    if (std::min(at, text.size()) - begin > limits.max_text_bytes) {
      return Fail(ErrorCode::kLimit, StrCat("JSON: a text of more than ",
                                            limits.max_text_bytes, " bytes"))
          .At(begin - 1);
    }
  }
  return {};
}

Result<Json> ParseJson(std::string_view text, const JsonLimits& limits) {
  RETURN_IF_ERROR(CheckJsonLimits(text, limits));
  JsonBuilder builder(limits);
  try {
    if (!Json::sax_parse(text.begin(), text.end(), &builder)) {
      return Unexpected(builder.error());
    }
  } catch (const nlohmann::json::exception& e) {
    return Fail(ErrorCode::kCorrupt, StrCat("JSON: ", e.what()));
  }
  return std::move(builder.root());
}

std::optional<uint64_t> AsUnsigned(const Json& value) {
  if (!value.is_number_unsigned()) return std::nullopt;
  return value.get<uint64_t>();
}

}  // namespace verify
