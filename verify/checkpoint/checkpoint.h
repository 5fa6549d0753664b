// SPDX-License-Identifier: Apache-2.0
// Opens weights in any form that the program reads and presents them as one
// tensor table over a list of files. The content decides what a file is, never
// its name. Nothing of a file is executed and no tensor is copied.
// Tested by tests/verify/checkpoint/checkpoint_test.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "verify/base/file.h"
#include "verify/base/result.h"
#include "verify/checkpoint/gguf_reader.h"
#include "verify/checkpoint/tensor_table.h"

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

// An opened checkpoint. Owns the maps of its files; spans from Bytes() are
// valid while it lives. Movable; Bytes() is thread-safe.
class Checkpoint {
 public:
  // `path`: a weights file, or a folder that holds weights in one of the
  // layouts below (exactly one family, else kInvalidArgument naming them):
  //   consolidated.00.pth | consolidated.safetensors |
  //   model.safetensors.index.json + shards | model.safetensors | one *.gguf
  // Errors: kNotFound, kIo, kCorrupt, kUnsupported, kLimit.
  static Result<Checkpoint> Open(const std::string& path);

  CheckpointFormat format() const { return format_; }
  const TensorTable& tensors() const { return tensors_; }
  // Paths of the weight files; TensorInfo::file_index points into it.
  const std::vector<std::string>& files() const { return paths_; }
  // Folder that holds the weights (where params.json and the tokenizer are).
  const std::string& folder() const { return folder_; }
  // Header and metadata if this is GGUF, else null.
  const GgufFile* gguf() const { return gguf_.get(); }

  // The mapped bytes of a tensor of this checkpoint.
  ByteSpan Bytes(const TensorInfo& tensor) const;

 private:
  CheckpointFormat format_ = CheckpointFormat::kTorch;
  std::string folder_;
  std::vector<std::string> paths_;
  std::vector<MappedFile> maps_;
  TensorTable tensors_;
  std::unique_ptr<GgufFile> gguf_;
};

}  // namespace verify
