// SPDX-License-Identifier: Apache-2.0
// How much memory the machine has to give.
// Tested by tests/verify/base/memory_test.cc.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace verify {

// Bytes that a process may take before others are pushed out (MemAvailable of
// /proc/meminfo); nothing where the system does not say.
std::optional<uint64_t> AvailableMemory();

// The same out of the text of /proc/meminfo.
std::optional<uint64_t> ParseAvailableMemory(std::string_view meminfo);

}  // namespace verify
