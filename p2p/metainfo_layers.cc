// SPDX-License-Identifier: Apache-2.0
// "piece layers" of BEP 52: for each file longer than a piece the digests of
// its pieces, which hash up in pairs to the file's pieces root.
#include <cstring>
#include <set>

#include "p2p/metainfo_reader.h"
#include "verify/base/check.h"
#include "verify/base/text.h"

namespace p2p {
namespace {

using verify::Result;
using verify::Sha256Digest;
using verify::StrCat;

constexpr uint64_t kLeafBytes = 16u << 10;

Sha256Digest Parent(const Sha256Digest& left, const Sha256Digest& right) {
  std::array<std::byte, 64> both{};
  std::memcpy(both.data(), left.data(), left.size());
  std::memcpy(both.data() + left.size(), right.data(), right.size());
  return ComputeInfoHashV2(both);
}

}  // namespace

Sha256Digest RootOfPieceLayer(std::vector<Sha256Digest> digests,
                              uint64_t piece_length) {
  CHECK(digests.size() > 1);
  // What stands for a piece beyond the end: the root of zero leaves.
  Sha256Digest pad{};
  for (uint64_t width = kLeafBytes; width < piece_length; width *= 2) {
    pad = Parent(pad, pad);
  }
  while (digests.size() > 1) {
    if (digests.size() % 2 != 0) digests.push_back(pad);
    for (size_t i = 0; i < digests.size() / 2; ++i) {
      digests[i] = Parent(digests[2 * i], digests[2 * i + 1]);
    }
    digests.resize(digests.size() / 2);
    pad = Parent(pad, pad);
  }
  return digests[0];
}

Result<void> CheckPieceLayers(const Metainfo& metainfo,
                              std::optional<BencodeValue> layers) {
  // By root: the file, and whether its layer was seen.
  std::map<std::string_view, const MetainfoFile*> wanted;
  for (const MetainfoFile& file : metainfo.files) {
    if (file.pieces_root.has_value() &&
        file.size_bytes > metainfo.piece_length) {
      wanted.emplace(verify::AsText(*file.pieces_root), &file);
    }
  }
  if (layers.has_value()) {
    if (!layers->is_dictionary()) {
      return FailTorrent("\"piece layers\" is no dictionary");
    }
    for (auto it = layers->begin(); it != layers->end(); ++it) {
      const std::string_view root = *(*it).AsString();
      ++it;
      const auto found = wanted.find(root);
      if (found == wanted.end()) {
        return FailTorrent(
                   "piece layer for a root that no file longer than a piece "
                   "has")
            .At((*it).offset());
      }
      const MetainfoFile& file = *found->second;
      const std::string name =
          StrCat("\"", verify::EscapeForTerminal(file.path, 120), "\"");
      const uint64_t count = (file.size_bytes - 1) / metainfo.piece_length + 1;
      const auto text = (*it).AsString();
      if (!text.has_value() || text->size() != count * sizeof(Sha256Digest)) {
        return FailTorrent(StrCat("piece layer of ", name, " holds ",
                                  text.has_value() ? text->size() : 0,
                                  " bytes, ", count, " pieces need ",
                                  count * sizeof(Sha256Digest)))
            .At((*it).offset());
      }
      std::vector<Sha256Digest> digests(static_cast<size_t>(count));
      std::memcpy(digests.data(), text->data(), text->size());
      if (RootOfPieceLayer(std::move(digests), metainfo.piece_length) !=
          *file.pieces_root) {
        return FailTorrent(StrCat("piece layer of ", name,
                                  " does not lead to its root"))
            .At((*it).offset());
      }
      wanted.erase(found);
    }
  }
  if (!wanted.empty()) {
    return FailTorrent(StrCat(
        "no piece layer for \"",
        verify::EscapeForTerminal(wanted.begin()->second->path, 120), "\""));
  }
  return {};
}

}  // namespace p2p
