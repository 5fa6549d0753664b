// SPDX-License-Identifier: Apache-2.0
// Builds a JSON value from the events of a parser, within limits. For readers
// that take large parts of a file for themselves as they come; all others use
// ParseJson (verify/base/json.h). Tested by tests/verify/base/json_test.cc.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "verify/base/json.h"
#include "verify/base/result.h"

namespace verify {

// What is said of an object with the same key twice: kCorrupt, id
// E-JSON-DUPLICATE.
Error DuplicateJsonKey(std::string_view name);

// The parser itself keeps the last of two equal keys and has no limits.
// `limits` must outlive it; CheckJsonLimits is the caller's to call.
class JsonBuilder final : public nlohmann::json_sax<Json> {
 public:
  explicit JsonBuilder(const JsonLimits& limits) : limits_(limits) {}

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
  bool end_object() override;
  bool start_array(size_t) override { return Open(Json::array()); }
  bool end_array() override { return Close(); }

  bool key(string_t& name) override;
  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception&) override;

  Json& root() { return root_; }
  // No container is open.
  bool closed() const { return stack_.empty(); }
  // Why an event returned false.
  const Error& error() const { return error_; }

 private:
  bool Limit(std::string message);
  bool Open(Json container);
  bool Close() {
    stack_.pop_back();
    return true;
  }
  bool Add(Json value) { return Insert(std::move(value)) != nullptr; }
  Json* Insert(Json value);

  const JsonLimits& limits_;
  Json root_;
  std::vector<Json*> stack_;
  std::vector<std::unordered_set<std::string>> keys_;
  std::string key_;
  uint64_t num_values_ = 0;
  Error error_{ErrorCode::kCorrupt, "JSON: not valid", {}, {}, {}};
};

}  // namespace verify
