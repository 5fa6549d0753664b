// SPDX-License-Identifier: Apache-2.0
// "piece layers" of BEP 52: for each file longer than a piece the digests of
// its pieces, which hash up in pairs to the file's pieces root.
#include <cstring>
#include <map>
#include <vector>

#include "p2p/metainfo_reader.h"
#include "verify/base/text.h"
#include "verify/digest/merkle.h"

namespace p2p {
namespace {

using verify::Result;
using verify::Sha256Digest;
using verify::StrCat;

}  // namespace

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
  verify::MerkleHasher merkle;
  // What stands for a piece beyond the end.
  const Sha256Digest pad = merkle.ZeroRoot(
      static_cast<size_t>(metainfo.piece_length / verify::kMerkleLeafBytes));
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
      if (merkle.Root(std::move(digests), pad) != *file.pieces_root) {
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
