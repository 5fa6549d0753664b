// SPDX-License-Identifier: Apache-2.0
// Result<T>: a value or an Error, for everything that can fail because of a
// file, a peer, the system or a user. The member names are those of
// std::expected, so that Result can become an alias of it one day.
// Tested by tests/verify/base/result_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "verify/base/check.h"

namespace verify {

// What kind of thing went wrong. cli/exit_code maps each to one exit code.
enum class ErrorCode {
  kInvalidArgument,  // an argument that does not parse or fit
  kNotFound,         // a path or name that does not exist
  kIo,               // open, read, write, space or permission
  kCorrupt,          // malformed or unsafe content
  kMismatch,         // well formed, but not what was published
  kUntrusted,        // a signature: broken, missing, or by a key not trusted
  kUnsupported,      // well formed, but not implemented
  kLimit,            // content beyond a stated limit
  kCancelled,        // the caller asked to stop
  kNetwork,          // peers, trackers, time-outs; resumable
  kBusy,             // locked or taken by another process
  kInternal,         // a bug or an exhausted system
};

// Lower-case name, such as "corrupt". The view has static lifetime.
std::string_view ErrorCodeName(ErrorCode code);

// A failure as a value. `message` is lower case, without full stop, and names
// the thing and both values.
struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;
  // Byte offset in the file that `message` speaks of.
  std::optional<uint64_t> offset;
  // Stable name for scripts and searches, such as "E-PICKLE-GLOBAL"; may be
  // empty.
  std::string id;
  // What the user can do next; may be empty.
  std::string hint;

  // `message` with the offset, if any: "... (at byte 12)".
  std::string ToString() const;
};

// Carries an Error into a Result; made by Fail().
class Unexpected {
 public:
  explicit Unexpected(Error error) : error_(std::move(error)) {}

  Unexpected At(uint64_t offset) && {
    error_.offset = offset;
    return std::move(*this);
  }
  Unexpected Id(std::string_view id) && {
    error_.id = id;
    return std::move(*this);
  }
  Unexpected Hint(std::string_view hint) && {
    error_.hint = hint;
    return std::move(*this);
  }
  Error&& error() && { return std::move(error_); }

 private:
  Error error_;
};

inline Unexpected Fail(ErrorCode code, std::string message) {
  Error error;
  error.code = code;
  error.message = std::move(message);
  return Unexpected(std::move(error));
}

// Puts "context: " before the message, on the way up.
inline Unexpected WithContext(Error error, std::string_view context) {
  error.message.insert(0, ": ").insert(0, context);
  return Unexpected(std::move(error));
}

template <typename T>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  // Implicit on purpose: `return value;` and `return Fail(...);`.
  Result(T value)  // NOLINT(google-explicit-constructor)
      : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Unexpected failure)  // NOLINT(google-explicit-constructor)
      : state_(std::in_place_index<1>, std::move(failure).error()) {}

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  // Require has_value().
  T& value() & {
    CHECK(has_value());
    return *std::get_if<0>(&state_);
  }
  const T& value() const& {
    CHECK(has_value());
    return *std::get_if<0>(&state_);
  }
  T&& value() && {
    CHECK(has_value());
    return std::move(*std::get_if<0>(&state_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  // Requires !has_value().
  const Error& error() const& {
    CHECK(!has_value());
    return *std::get_if<1>(&state_);
  }
  Error&& error() && {
    CHECK(!has_value());
    return std::move(*std::get_if<1>(&state_));
  }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;

  Result() = default;
  Result(Unexpected failure)  // NOLINT(google-explicit-constructor)
      : error_(std::move(failure).error()) {}

  bool has_value() const { return !error_.has_value(); }
  explicit operator bool() const { return has_value(); }
  void value() const { CHECK(has_value()); }

  const Error& error() const& {
    CHECK(!has_value());
    return *error_;
  }
  Error&& error() && {
    CHECK(!has_value());
    return std::move(*error_);
  }

 private:
  std::optional<Error> error_;
};

}  // namespace verify

// Both macros work inside a function that returns any Result. `context`-free on
// purpose: add context with WithContext where it helps.
#define LODESTONE_CONCAT_INNER(a, b) a##b
#define LODESTONE_CONCAT(a, b) LODESTONE_CONCAT_INNER(a, b)

#define RETURN_IF_ERROR(expression)                                     \
  do {                                                                  \
    if (auto lodestone_result = (expression); !lodestone_result) {      \
      return ::verify::Unexpected(std::move(lodestone_result).error()); \
    }                                                                   \
  } while (false)

// ASSIGN_OR_RETURN(auto x, F()): declares or assigns x, or returns the error.
#define ASSIGN_OR_RETURN(declaration, expression)                      \
  ASSIGN_OR_RETURN_IMPL(LODESTONE_CONCAT(lodestone_result_, __LINE__), \
                        declaration, expression)
#define ASSIGN_OR_RETURN_IMPL(result, declaration, expression) \
  auto result = (expression);                                  \
  if (!result) {                                               \
    return ::verify::Unexpected(std::move(result).error());    \
  }                                                            \
  declaration = std::move(result).value()
