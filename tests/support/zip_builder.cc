// SPDX-License-Identifier: Apache-2.0
#include "tests/support/zip_builder.h"

#include <algorithm>

#include "tests/support/byte_builder.h"

namespace tests {
namespace {

constexpr size_t kPayloadAlignment = 64;
constexpr uint32_t kFull32 = 0xffffffff;

struct Written {
  uint64_t header_offset = 0;
  uint16_t flags = 0;
  uint32_t crc = 0;
};

// 'FB', a length and Z's, so that the payload begins at a multiple of 64.
std::string AlignmentField(size_t payload_without_field) {
  const size_t rest = (payload_without_field + 4) % kPayloadAlignment;
  const size_t fill = rest == 0 ? 0 : kPayloadAlignment - rest;
  ByteBuilder field;
  field.Text("FB")
      .U16(static_cast<uint16_t>(fill))
      .Text(std::string(fill, 'Z'));
  return field.str();
}

Written WriteMember(const ZipMember& member, ByteBuilder& out) {
  Written written;
  written.header_offset = out.size();
  written.crc = member.crc.value_or(SlowCrc32(member.content));
  const auto size = static_cast<uint32_t>(member.content.size());
  const bool has_descriptor =
      !member.sizes_in_local_header && !member.content.empty();
  written.flags = has_descriptor ? 0x0808 : 0x0800;
  const std::string& name = member.local_name.value_or(member.name);
  const std::string extra = AlignmentField(out.size() + 30 + name.size());
  const uint32_t local_size =
      member.local_size.value_or(member.sizes_in_local_header ? size : 0);
  out.U32(0x04034b50)
      .U16(0)
      .U16(member.local_flags.value_or(written.flags))
      .U16(member.local_method.value_or(0))
      .U32(0)
      .U32(member.sizes_in_local_header ? written.crc : 0)
      .U32(local_size)
      .U32(local_size)
      .U16(static_cast<uint16_t>(name.size()))
      .U16(static_cast<uint16_t>(extra.size()))
      .Text(name)
      .Text(extra)
      .Text(member.content);

  using Descriptor = ZipMember::Descriptor;
  Descriptor form = member.descriptor;
  if (form == Descriptor::kByRule) {
    const bool is_wide = member.zip64_offset || member.zip64_sizes;
    form = !has_descriptor ? Descriptor::kNone
           : is_wide       ? Descriptor::k24
                           : Descriptor::k16;
  }
  if (form != Descriptor::kNone) {
    out.U32(0x08074b50)
        .U32(written.crc + (form == Descriptor::kWrongCrc ? 1 : 0));
    if (form == Descriptor::k24) {
      out.U64(size).U64(size);
    } else {
      out.U32(size).U32(size);
    }
  }
  out.Text(member.after);
  return written;
}

void WriteCentral(const ZipMember& member, const Written& written,
                  ByteBuilder& out) {
  const uint64_t size = member.central_size.value_or(member.content.size());
  const uint64_t compressed = member.compressed_size.value_or(size);
  const uint64_t offset = member.header_offset.value_or(written.header_offset);
  ByteBuilder extra;
  if (member.zip64_sizes || member.zip64_offset) {
    const size_t fields =
        (member.zip64_sizes ? 2u : 0u) + (member.zip64_offset ? 1u : 0u);
    extra.U16(1).U16(static_cast<uint16_t>(8 * fields));
    if (member.zip64_sizes) extra.U64(size).U64(compressed);
    if (member.zip64_offset) extra.U64(offset);
  }
  const std::string extra_text = member.central_extra.value_or(extra.str());
  const auto low = [](uint64_t value, bool is_wide) {
    return is_wide ? kFull32 : static_cast<uint32_t>(value);
  };
  out.U32(0x02014b50)
      .U16(member.made_by)
      .U16(0)
      .U16(member.central_flags.value_or(written.flags))
      .U16(member.central_method.value_or(0))
      .U32(0)
      .U32(written.crc)
      .U32(low(compressed, member.zip64_sizes))
      .U32(low(size, member.zip64_sizes))
      .U16(static_cast<uint16_t>(member.name.size()))
      .U16(static_cast<uint16_t>(extra_text.size()))
      .U16(static_cast<uint16_t>(member.comment.size()))
      .U16(member.disk)
      .U16(0)
      .U32(member.external_attributes)
      .U32(low(offset, member.zip64_offset))
      .Text(member.name)
      .Text(extra_text)
      .Text(member.comment);
}

}  // namespace

std::string BuildZip(const std::vector<ZipMember>& members,
                     const ZipOptions& options) {
  ByteBuilder out;
  if (options.prefix_shifts_offsets) out.Text(options.prefix);
  std::vector<Written> written;
  for (const ZipMember& member : members) {
    written.push_back(WriteMember(member, out));
  }
  const uint64_t begin = out.size();
  for (size_t i = 0; i < members.size(); ++i) {
    WriteCentral(members[i], written[i], out);
  }
  const uint64_t count = options.num_entries.value_or(members.size());
  const uint64_t directory_size =
      options.directory_size.value_or(out.size() - begin);
  const uint64_t directory_offset = options.directory_offset.value_or(begin);
  out.Text(options.after_directory);
  if (options.zip64_tail) {
    const uint64_t record = out.size();
    out.U32(0x06064b50)
        .U64(44)
        .U16(0x031e)
        .U16(45)
        .U32(0)
        .U32(0)
        .U64(count)
        .U64(count)
        .U64(directory_size)
        .U64(directory_offset);
    out.U32(0x07064b50).U32(0).U64(record).U32(1);
  }
  const auto count16 = static_cast<uint16_t>(std::min<uint64_t>(count, 0xffff));
  const auto offset32 =
      static_cast<uint32_t>(std::min<uint64_t>(directory_offset, kFull32));
  out.U32(0x06054b50)
      .U16(0)
      .U16(0)
      .U16(count16)
      .U16(count16)
      .U32(static_cast<uint32_t>(std::min<uint64_t>(directory_size, kFull32)))
      .U32(options.end_record_offset.value_or(offset32))
      .U16(static_cast<uint16_t>(options.comment.size()))
      .Text(options.comment)
      .Text(options.suffix);
  return options.prefix_shifts_offsets ? out.str() : options.prefix + out.str();
}

uint32_t SlowCrc32(std::string_view bytes) {
  uint32_t crc = 0xffffffff;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc & 1) != 0 ? (crc >> 1) ^ 0xedb88320u : crc >> 1;
    }
  }
  return ~crc;
}

}  // namespace tests
