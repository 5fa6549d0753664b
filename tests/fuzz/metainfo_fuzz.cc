// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "p2p/metainfo.h"
#include "verify/base/text.h"

namespace {

void Require(bool condition) {
  if (!condition) std::abort();
}

// What must hold of everything that is accepted.
void Check(const p2p::Metainfo& metainfo) {
  Require(metainfo.total_bytes() > 0);
  Require(metainfo.info_hashes.v1.has_value() ||
          metainfo.info_hashes.v2.has_value());
  Require(metainfo.info_hashes.v1.has_value() ==
          !metainfo.piece_digests.empty());
  Require(verify::IsValidUtf8(metainfo.comment));
  const std::filesystem::path base = "/base";
  for (const p2p::MetainfoFile& file : metainfo.files) {
    const auto normal = (base / file.path).lexically_normal();
    Require(normal.string() == "/base/" + file.path);
    Require(verify::IsValidUtf8(file.path));
  }
  // The pieces cover the content, each byte once.
  uint64_t covered = 0;
  for (uint32_t i = 0; i < metainfo.num_pieces() && i < 1000; ++i) {
    for (const p2p::FileRange& range : p2p::PieceRanges(metainfo, i)) {
      const p2p::MetainfoFile& file = metainfo.files[range.file_index];
      Require(range.size_bytes > 0 && !file.is_pad);
      Require(range.offset + range.size_bytes <= file.size_bytes);
      covered += range.size_bytes;
    }
  }
  Require(covered <= metainfo.total_bytes());
  if (metainfo.num_pieces() <= 1000) Require(covered == metainfo.total_bytes());
}

}  // namespace

// The input as a whole torrent and, in another torrent, as an info dictionary.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const verify::ByteSpan bytes(reinterpret_cast<const std::byte*>(data), size);
  if (const auto whole = p2p::ParseMetainfo(bytes)) {
    Check(*whole);
  } else {
    Require(!whole.error().id.empty());
    Require(verify::EscapeForTerminal(whole.error().message, 1u << 24) ==
            whole.error().message);
  }
  const auto alone = p2p::ParseInfoDictionary(bytes);
  if (!alone) return 0;
  Check(*alone);
  const std::vector<std::byte> torrent =
      p2p::TorrentFromInfo(bytes, {"udp://a.example:1"}, {});
  const auto again = p2p::ParseMetainfo(torrent);
  // Without piece layers a v2 torrent may be refused, a v1 torrent never.
  if (!alone->info_hashes.v2.has_value()) Require(again.has_value());
  if (again) Require(again->info_hashes == alone->info_hashes);
  return 0;
}
