// SPDX-License-Identifier: Apache-2.0
#include "p2p/metainfo.h"

#include <algorithm>
#include <set>

#include "p2p/bencode.h"
#include "p2p/display_text.h"
#include "p2p/metainfo_reader.h"
#include "p2p/notes.h"
#include "verify/base/check.h"
#include "verify/base/text.h"

namespace p2p {
namespace {

using verify::ByteSpan;
using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::Result;
using verify::StrCat;

constexpr size_t kMaxUrls = 1000;
constexpr size_t kMaxUrlTextBytes = 8192;
constexpr size_t kMaxCommentBytes = 4096;

Result<BencodeDocument> ParseBencode(ByteSpan bytes) {
  if (bytes.size() > kMaxMetainfoBytes) {
    return Fail(ErrorCode::kLimit, StrCat("torrent: ", bytes.size(),
                                          " bytes of metainfo, at most ",
                                          kMaxMetainfoBytes, " are allowed"))
        .Id("E-TORRENT");
  }
  auto document = BencodeDocument::Parse(bytes);
  if (!document) {
    verify::Error error = std::move(document).error();
    error.id = "E-TORRENT";
    error.hint = "the file is no torrent, was cut off, or breaks its format";
    return verify::WithContext(std::move(error), "torrent");
  }
  return std::move(*document);
}

// Collects URLs without repeats.
class UrlList {
 public:
  UrlList(std::string_view what, std::vector<std::string>& urls,
          BoundedNotes& warnings)
      : what_(what), urls_(urls), warnings_(warnings) {}

  void Add(const BencodeValue& value) {
    const auto text = value.AsString();
    if (!text.has_value()) {
      warnings_.Add(StrCat("a ", what_, " that is no text left out"));
      return;
    }
    if (text->empty()) return;
    const auto drop = [&](std::string_view why) {
      warnings_.Add(StrCat(what_, " \"", EscapeForTerminal(*text, 200),
                           "\" left out: ", why));
    };
    if (text->size() > kMaxUrlTextBytes) return drop("it is too long");
    if (!verify::IsValidUtf8(*text)) return drop("it is no URL");
    if (!seen_.emplace(*text).second) return;
    if (urls_.size() == kMaxUrls) return drop(StrCat("more than ", kMaxUrls));
    urls_.emplace_back(*text);
  }

 private:
  std::string_view what_;
  std::vector<std::string>& urls_;
  BoundedNotes& warnings_;
  std::set<std::string> seen_;
};

void ReadTrackers(const BencodeValue& root, Metainfo& metainfo,
                  BoundedNotes& warnings) {
  UrlList trackers("tracker", metainfo.trackers, warnings);
  if (const auto tiers = root.Find("announce-list")) {
    for (const BencodeValue tier : *tiers) {
      if (!tier.is_list()) {
        trackers.Add(tier);
        continue;
      }
      for (const BencodeValue url : tier) trackers.Add(url);
    }
  }
  if (const auto announce = root.Find("announce")) trackers.Add(*announce);
}

void ReadWebSeeds(const BencodeValue& root, Metainfo& metainfo,
                  BoundedNotes& warnings) {
  UrlList web_seeds("web seed", metainfo.web_seeds, warnings);
  const auto urls = root.Find("url-list");
  if (!urls.has_value()) return;
  if (!urls->is_list()) {
    web_seeds.Add(*urls);
    return;
  }
  for (const BencodeValue url : *urls) web_seeds.Add(url);
}

}  // namespace

verify::Unexpected FailTorrent(std::string message) {
  return Fail(ErrorCode::kCorrupt, StrCat("torrent: ", message))
      .Id("E-TORRENT");
}

uint64_t Metainfo::total_bytes() const {
  uint64_t total = 0;
  for (const MetainfoFile& file : files) {
    if (!file.is_pad) total += file.size_bytes;
  }
  return total;
}

uint32_t Metainfo::num_pieces() const {
  if (files.empty() || piece_length == 0) return 0;
  const uint64_t end = files.back().offset + files.back().size_bytes;
  return static_cast<uint32_t>(end / piece_length +
                               (end % piece_length != 0 ? 1 : 0));
}

Result<Metainfo> ParseInfoDictionary(ByteSpan info) {
  ASSIGN_OR_RETURN(const BencodeDocument document, ParseBencode(info));
  return ReadInfo(document.root());
}

Result<Metainfo> ParseMetainfo(ByteSpan torrent) {
  ASSIGN_OR_RETURN(const BencodeDocument document, ParseBencode(torrent));
  const BencodeValue root = document.root();
  if (!root.is_dictionary()) return FailTorrent("it is no dictionary");
  const auto info = root.Find("info");
  if (!info.has_value()) return FailTorrent("it has no \"info\"");
  ASSIGN_OR_RETURN(Metainfo metainfo, ReadInfo(*info));
  if (metainfo.info_hashes.v2.has_value()) {
    RETURN_IF_ERROR(CheckPieceLayers(metainfo, root.Find("piece layers")));
  }
  BoundedNotes warnings(metainfo.warnings);
  ReadTrackers(root, metainfo, warnings);
  ReadWebSeeds(root, metainfo, warnings);
  if (const auto comment = root.Find("comment")) {
    metainfo.comment =
        ToValidUtf8(comment->AsString().value_or(""), kMaxCommentBytes);
  }
  warnings.Flush();
  return metainfo;
}

PieceLayers ReadPieceLayers(ByteSpan torrent) {
  PieceLayers layers;
  const auto document = ParseBencode(torrent);
  if (!document) return layers;
  const auto found = document->root().Find("piece layers");
  if (!found.has_value() || !found->is_dictionary()) return layers;
  for (auto it = found->begin(); it != found->end(); ++it) {
    const std::string_view key = (*it).AsString().value_or("");
    ++it;
    const ByteSpan nodes = verify::AsBytes((*it).AsString().value_or(""));
    verify::Sha256Digest root{};
    if (key.size() != root.size()) continue;
    const ByteSpan key_bytes = verify::AsBytes(key);
    std::copy(key_bytes.begin(), key_bytes.end(), root.begin());
    layers[root].assign(nodes.begin(), nodes.end());
  }
  return layers;
}

std::vector<std::byte> TorrentFromInfo(
    ByteSpan info, const std::vector<std::string>& trackers,
    const std::vector<std::string>& web_seeds, const PieceLayers& layers) {
  TorrentFields fields;
  fields.trackers = trackers;
  fields.web_seeds = web_seeds;
  fields.layers = layers;
  return EncodeTorrent(info, fields);
}

std::vector<std::byte> EncodeTorrent(ByteSpan info,
                                     const TorrentFields& fields) {
  BencodeWriter writer;
  writer.BeginDictionary();
  if (!fields.trackers.empty()) {
    writer.Key("announce");
    writer.String(fields.trackers[0]);
  }
  if (fields.trackers.size() > 1) {
    writer.Key("announce-list");
    writer.BeginList();
    for (const std::string& url : fields.trackers) {
      writer.BeginList();
      writer.String(url);
      writer.End();
    }
    writer.End();
  }
  if (!fields.comment.empty()) {
    writer.Key("comment");
    writer.String(fields.comment);
  }
  if (fields.creation_date.has_value()) {
    writer.Key("creation date");
    writer.Integer(*fields.creation_date);
  }
  writer.Key("info");
  writer.Raw(info);
  if (!fields.layers.empty()) {
    writer.Key("piece layers");
    writer.BeginDictionary();
    for (const auto& [root, digests] : fields.layers) {
      writer.Key(verify::AsText(root));
      writer.String(digests);
    }
    writer.End();
  }
  if (!fields.web_seeds.empty()) {
    writer.Key("url-list");
    writer.BeginList();
    for (const std::string& url : fields.web_seeds) writer.String(url);
    writer.End();
  }
  writer.End();
  return writer.Take();
}

std::vector<FileRange> PieceRanges(const Metainfo& metainfo, uint32_t index) {
  std::vector<FileRange> ranges;
  const uint64_t begin = uint64_t{index} * metainfo.piece_length;
  const uint64_t end = begin + metainfo.piece_length;
  const auto& files = metainfo.files;
  // The first file that ends behind the piece's begin.
  auto file = std::partition_point(
      files.begin(), files.end(),
      [&](const MetainfoFile& f) { return f.offset + f.size_bytes <= begin; });
  for (; file != files.end() && file->offset < end; ++file) {
    if (file->is_pad || file->size_bytes == 0) continue;
    const uint64_t from = std::max(begin, file->offset);
    const uint64_t to = std::min(end, file->offset + file->size_bytes);
    ranges.push_back({static_cast<size_t>(file - files.begin()),
                      from - file->offset, to - from});
  }
  return ranges;
}

}  // namespace p2p
