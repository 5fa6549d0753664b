// SPDX-License-Identifier: Apache-2.0
// What a file is, by its first bytes.
// Tested by tests/verify/checkpoint/sniff_test.cc.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "verify/base/file.h"
#include "verify/base/result.h"

namespace verify {

enum class CheckpointFormat {
  kTorch,        // torch.save zip: *.pth, *.pt
  kSafetensors,  // one file or shards with an index
  kGguf,
};
std::string_view CheckpointFormatName(CheckpointFormat format);

// What the first bytes of a file say that it is, in words for a message:
// "a torch.save archive", "GGUF", "an HTML page", "a Git LFS pointer", ...
struct SniffedContent {
  std::optional<CheckpointFormat> format;
  std::string description;
};
// Errors: those of reading.
Result<SniffedContent> SniffContent(const ByteSource& file);

}  // namespace verify
