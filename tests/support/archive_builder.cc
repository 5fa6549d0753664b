// SPDX-License-Identifier: Apache-2.0
#include "tests/support/archive_builder.h"

#include <zstd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

#include "tests/support/byte_builder.h"
#include "verify/base/bytes.h"
#include "verify/container/xxh64.h"

namespace tests {

std::string ZstdFrameOf(std::string_view content,
                        const ZstdFrameOptions& options) {
  ZSTD_CCtx* const context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag,
                         options.checksum ? 1 : 0);
  ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag,
                         options.content_size ? 1 : 0);
  ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, options.level);
  if (options.window_log != 0) {
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, options.window_log);
  }
  std::string out(ZSTD_compressBound(content.size()), '\0');
  ZSTD_inBuffer from{content.data(), content.size(), 0};
  ZSTD_outBuffer to{out.data(), out.size(), 0};
  if (options.content_size) {
    ZSTD_CCtx_setPledgedSrcSize(context, content.size());
  }
  // In two steps, so that without a pledge the size stays unknown.
  if (!options.content_size) {
    ZSTD_compressStream2(context, &to, &from, ZSTD_e_continue);
  }
  const size_t left = ZSTD_compressStream2(context, &to, &from, ZSTD_e_end);
  ZSTD_freeCCtx(context);
  if (left != 0) std::abort();
  out.resize(to.pos);
  return out;
}

std::string RawZstdFrame(uint8_t descriptor, std::string_view header,
                         std::string_view blocks) {
  return ByteBuilder()
      .U32(0xFD2FB528)
      .U8(descriptor)
      .Text(header)
      .Text(blocks)
      .str();
}

std::string ZstdBlockOf(ZstdBlock type, uint32_t size, std::string_view bytes,
                        bool last) {
  const uint32_t header =
      (last ? 1u : 0u) | (static_cast<uint32_t>(type) << 1) | (size << 3);
  std::string out = ByteBuilder().U32(header).str().substr(0, 3);
  return out.append(bytes);
}

std::string SkippableFrame(std::string_view content, uint32_t variant) {
  return ByteBuilder()
      .U32(0x184D2A50 + variant)
      .U32(static_cast<uint32_t>(content.size()))
      .Text(content)
      .str();
}

std::string SeekableOf(
    const std::vector<std::pair<std::string, std::string>>& frames,
    const SeekTableOptions& options) {
  std::string out;
  ByteBuilder table;
  for (size_t i = 0; i < frames.size(); ++i) {
    const auto& [compressed, content] = frames[i];
    out += compressed;
    const bool lies = i < options.sizes.size();
    table.U32(lies ? options.sizes[i].first
                   : static_cast<uint32_t>(compressed.size()));
    table.U32(lies ? options.sizes[i].second
                   : static_cast<uint32_t>(content.size()));
    if (options.checksums) {
      table.U32(options.checksum.value_or(
          static_cast<uint32_t>(verify::Xxh64(verify::AsBytes(content)))));
    }
  }
  table.U32(options.count.value_or(static_cast<uint32_t>(frames.size())))
      .U8(static_cast<uint8_t>((options.checksums ? 0x80 : 0) |
                               options.descriptor_bits))
      .U32(0x8F92EAB1);
  std::string frame = SkippableFrame(table.str(), 0xE);
  if (options.frame_bytes.has_value()) {
    const std::string size = ByteBuilder().U32(*options.frame_bytes).str();
    frame.replace(4, 4, size);
  }
  return out + frame;
}

std::string SeekableOf(std::string_view content, size_t frame_bytes,
                       const SeekTableOptions& options) {
  std::vector<std::pair<std::string, std::string>> frames;
  for (; !content.empty();
       content.remove_prefix(std::min(frame_bytes, content.size()))) {
    const std::string_view part = content.substr(0, frame_bytes);
    frames.emplace_back(ZstdFrameOf(part), part);
  }
  return SeekableOf(frames, options);
}

std::string TarMemberOf(const TarEntry& entry) {
  std::string header(512, '\0');
  const auto put = [&](size_t offset, std::string_view text) {
    header.replace(offset, text.size(), text);
  };
  std::array<char, 16> octal{};
  std::snprintf(octal.data(), octal.size(), "%011llo",
                static_cast<unsigned long long>(entry.content.size()));
  put(0, std::string_view(entry.name).substr(0, 100));
  put(100, entry.mode);
  put(108, "0000000");
  put(116, "0000000");
  put(124, entry.size_field.value_or(octal.data()));
  put(136, "00000000000");
  header[156] = entry.type;
  put(157, std::string_view(entry.link_target).substr(0, 100));
  put(257, entry.magic);
  put(345, std::string_view(entry.prefix).substr(0, 155));
  put(148, "        ");
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  std::snprintf(octal.data(), octal.size(), "%06o", sum);
  put(148, std::string_view(octal.data(), 7));
  if (entry.checksum_field.has_value()) put(148, *entry.checksum_field);
  std::string out = header + entry.content;
  out.resize((out.size() + 511) / 512 * 512, '\0');
  return out;
}

std::string TarEnd() { return std::string(1024, '\0'); }

std::string TarOf(const std::vector<TarEntry>& entries) {
  std::string out;
  for (const TarEntry& entry : entries) out += TarMemberOf(entry);
  return out + TarEnd();
}

std::string PaxRecord(std::string_view key, std::string_view value) {
  const size_t rest = key.size() + value.size() + 3;
  size_t length = rest + 1;
  while (std::to_string(length).size() + rest != length) ++length;
  return std::to_string(length) + " " + std::string(key) + "=" +
         std::string(value) + "\n";
}

}  // namespace tests
