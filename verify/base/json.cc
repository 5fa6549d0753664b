// SPDX-License-Identifier: Apache-2.0
#include "verify/base/json.h"

#include <string>
#include <unordered_set>
#include <vector>

#include "verify/base/text.h"

namespace verify {
namespace {

// Builds the value as the parser goes, and stops at the first broken limit:
// the library itself keeps the last of two equal keys and has no limits.
class LimitedBuilder final : public nlohmann::json_sax<Json> {
 public:
  explicit LimitedBuilder(const JsonLimits& limits) : limits_(limits) {}

  bool null() override { return Add(nullptr); }
  bool boolean(bool value) override { return Add(value); }
  bool number_integer(number_integer_t value) override { return Add(value); }
  bool number_unsigned(number_unsigned_t value) override { return Add(value); }
  bool number_float(number_float_t value, const string_t&) override {
    return Add(value);
  }
  bool string(string_t& value) override { return Add(std::move(value)); }
  bool binary(binary_t&) override { return false; }

  bool start_object(size_t) override { return Open(Json::object()); }
  bool end_object() override {
    keys_.pop_back();
    return Close();
  }
  bool start_array(size_t) override { return Open(Json::array()); }
  bool end_array() override { return Close(); }

  bool key(string_t& name) override {
    if (!keys_.back().insert(name).second) {
      error_ = Fail(ErrorCode::kCorrupt,
                    StrCat("JSON: key \"", EscapeForTerminal(name),
                           "\" stands twice in one object"))
                   .Id("E-JSON-DUPLICATE")
                   .error();
      return false;
    }
    key_ = std::move(name);
    return true;
  }

  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    error_ = Fail(ErrorCode::kCorrupt, "JSON: not valid here")
                 .At(position == 0 ? 0 : position - 1)
                 .error();
    return false;
  }

  Json& root() { return root_; }
  const Error& error() const { return error_; }

 private:
  bool Limit(std::string message) {
    error_ = Fail(ErrorCode::kLimit, std::move(message)).error();
    return false;
  }

  bool Open(Json container) {
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
  bool Close() {
    stack_.pop_back();
    return true;
  }
  bool Add(Json value) { return Insert(std::move(value)) != nullptr; }

  // A container's address stays valid while it is open: its parent gets no
  // other element before it is closed.
  Json* Insert(Json value) {
    if (++num_values_ > limits_.max_values) {
      Limit(StrCat("JSON: more than ", limits_.max_values, " values"));
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

  const JsonLimits& limits_;
  Json root_;
  std::vector<Json*> stack_;
  std::vector<std::unordered_set<std::string>> keys_;
  std::string key_;
  uint64_t num_values_ = 0;
  Error error_{ErrorCode::kCorrupt, "JSON: not valid", {}, {}, {}};
};

}  // namespace

Result<Json> ParseJson(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    return Fail(ErrorCode::kLimit, StrCat("JSON: ", text.size(),
                                          " bytes, at most ", limits.max_bytes,
                                          " are read"));
  }
  LimitedBuilder builder(limits);
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
