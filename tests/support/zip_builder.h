// SPDX-License-Identifier: Apache-2.0
// Zip archives as torch.save writes them (miniz: local sizes 0, data
// descriptors, "FB" alignment fields, zip64 tail) and every wrong form of them
// that a test asks for.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tests {

struct ZipMember {
  std::string name;
  std::string content;

  enum class Descriptor { kByRule, kNone, k16, k24, kWrongCrc };
  // By rule: 16 bytes (24 with a zip64 field) unless the content is empty.
  Descriptor descriptor = Descriptor::kByRule;
  // Local header with crc and sizes instead of zeros and a descriptor.
  bool sizes_in_local_header = false;
  // The zip64 field in the directory holds these, their places saturated.
  bool zip64_sizes = false;
  bool zip64_offset = false;

  // Lies.
  std::optional<std::string> local_name;
  std::optional<uint16_t> local_flags;
  std::optional<uint16_t> central_flags;
  std::optional<uint16_t> local_method;
  std::optional<uint16_t> central_method;
  std::optional<uint32_t> crc;           // everywhere
  std::optional<uint32_t> local_size;    // in the local header
  std::optional<uint64_t> central_size;  // both sizes
  std::optional<uint64_t> compressed_size;
  std::optional<uint64_t> header_offset;
  std::optional<std::string> central_extra;  // instead of the zip64 field
  std::string comment;
  std::string after;  // between this member and the next
  uint16_t made_by = 0;
  uint32_t external_attributes = 0;
  uint16_t disk = 0;
};

struct ZipOptions {
  bool zip64_tail = true;
  std::string prefix;  // offsets still count from the archive's first byte
  bool prefix_shifts_offsets = false;
  std::string suffix;
  std::string comment;
  std::string after_directory;
  std::optional<uint64_t> num_entries;  // in the records at the end
  std::optional<uint64_t> directory_size;
  std::optional<uint64_t> directory_offset;
  std::optional<uint32_t> end_record_offset;  // in the 32-bit record alone
};

std::string BuildZip(const std::vector<ZipMember>& members,
                     const ZipOptions& options = {});

// CRC-32 bit by bit, independent of the code under test.
uint32_t SlowCrc32(std::string_view bytes);

}  // namespace tests
