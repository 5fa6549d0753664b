// SPDX-License-Identifier: Apache-2.0
// Says in one line that a call must fail, and how.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "verify/base/result.h"

namespace tests {

// Fails the test unless `result` is an error of that code whose message
// contains `part`; `id` is checked unless it is empty.
template <typename T>
void ExpectError(const verify::Result<T>& result, verify::ErrorCode code,
                 std::string_view part, std::string_view id = {}) {
  if (result.has_value()) {
    ADD_FAILURE() << "accepted, but expected an error with \"" << part << '"';
    return;
  }
  const verify::Error& error = result.error();
  EXPECT_EQ(verify::ErrorCodeName(error.code), verify::ErrorCodeName(code))
      << error.ToString();
  EXPECT_NE(error.message.find(part), std::string::npos)
      << "message: " << error.message << "\nwanted: " << part;
  if (!id.empty()) {
    EXPECT_EQ(error.id, id) << error.message;
  }
}

}  // namespace tests
