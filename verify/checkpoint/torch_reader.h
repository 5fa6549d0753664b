// SPDX-License-Identifier: Apache-2.0
// Reads a torch.save archive: where each tensor lies in the file. No tensor
// data is read and nothing of the file is executed.
// Format: docs/formats/torch.md. Tested by
// tests/verify/checkpoint/torch_reader_test.cc, fuzzed by
// tests/fuzz/torch_fuzz.cc.
#pragma once

#include <cstdint>
#include <vector>

#include "verify/base/file.h"
#include "verify/base/result.h"
#include "verify/checkpoint/tensor_table.h"
#include "verify/container/zip_reader.h"

namespace verify {

struct TorchFile {
  TensorTable tensors;  // file_index 0
  // The members that hold tensor data, with their CRC (0: none computed).
  // Reading them is the caller's choice: CheckZipEntryCrc.
  std::vector<ZipEntry> records;
};

// A dict of tensors, or one inside {'model': ...} or {'state_dict': ...}. Every
// storage must be a member of exactly the size that it declares, every tensor
// must lie inside its storage, every member must have a place in the format.
// Errors: those of ReadZip and ReadPickle; kCorrupt (id E-TORCH), kUnsupported
//         (byte order, version, TorchScript), kLimit.
// With ZipCheck::kDirectory damage to all but the directory and the pickle is
// passed over; the result may then only be used to name tensors.
Result<TorchFile> ReadTorch(const ByteSource& file,
                            ZipCheck check = ZipCheck::kAll);

}  // namespace verify
