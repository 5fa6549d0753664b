// SPDX-License-Identifier: Apache-2.0
// Text from outside made fit for storing and for JSON; still to be escaped
// before it reaches a terminal. Tested by tests/p2p/magnet_test.cc.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace p2p {

// The text as UTF-8: each byte that is none becomes U+FFFD; at most
// `max_bytes`, cut between characters.
std::string ToValidUtf8(std::string_view text, size_t max_bytes);

}  // namespace p2p
