// SPDX-License-Identifier: Apache-2.0
#include "p2p/create_torrent.h"

#include <algorithm>
#include <bit>

#include "p2p/bencode.h"
#include "p2p/endpoint_policy.h"
#include "p2p/magnet.h"
#include "p2p/metainfo_reader.h"
#include "p2p/payload_walk.h"
#include "verify/base/text.h"
#include "verify/digest/hash_engine.h"

namespace p2p {
namespace {

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::Result;
using verify::StrCat;

constexpr uint64_t kMaxChosenPieceLength = 16u << 20;
constexpr uint64_t kWantedPieces = 2048;

// A file, or a pad in the v1 list of a hybrid.
struct Entry {
  const PayloadFile* file = nullptr;  // null: a pad
  uint64_t size_bytes = 0;
};

struct DigestsOfFile {
  std::optional<verify::Sha256Digest> sha256;  // if asked for
  std::optional<verify::Sha256Digest>
      pieces_root;                                // v2; none for an empty file
  std::vector<verify::Sha256Digest> piece_layer;  // of more than one piece
};

class TorrentMaker {
 public:
  TorrentMaker(const CreateOptions& options, const verify::CancelToken& cancel,
               verify::ProgressSink* progress)
      : options_(options), cancel_(cancel), progress_(progress) {}

  Result<CreatedTorrent> Make();

 private:
  bool has_v1() const { return options_.format != TorrentFormat::kV2; }
  bool has_v2() const { return options_.format != TorrentFormat::kV1; }

  Result<void> CheckOptions();
  Result<void> CheckSize() const;
  void PlanEntries();
  Result<void> Hash();
  std::vector<std::byte> EncodeInfo() const;
  void EncodeFileTree(BencodeWriter& writer) const;

  const CreateOptions& options_;
  const verify::CancelToken& cancel_;
  verify::ProgressSink* progress_;
  Payload payload_;
  uint64_t piece_length_ = 0;
  std::vector<Entry> entries_;
  std::vector<DigestsOfFile> digests_;  // as payload_.files
  std::vector<verify::Sha1Digest> v1_pieces_;
};

Result<void> TorrentMaker::CheckOptions() {
  const auto check_urls = [](const std::vector<std::string>& urls,
                             EndpointKind kind,
                             std::string_view what) -> Result<void> {
    for (const std::string& url : urls) {
      if (const auto problem = UrlProblem(url, kind, /*allow_local=*/true)) {
        return Fail(ErrorCode::kInvalidArgument,
                    StrCat(what, " \"", EscapeForTerminal(url, 200),
                           "\" cannot be used: ", *problem));
      }
    }
    return {};
  };
  RETURN_IF_ERROR(
      check_urls(options_.trackers, EndpointKind::kTracker, "tracker"));
  RETURN_IF_ERROR(
      check_urls(options_.web_seeds, EndpointKind::kWebSeed, "web seed"));
  if (!verify::IsValidUtf8(options_.comment)) {
    return Fail(ErrorCode::kInvalidArgument, "the comment is not UTF-8");
  }
  const uint64_t length = options_.piece_length;
  if (length != 0 && (!std::has_single_bit(length) ||
                      length < kMinPieceLength || length > kMaxPieceLength)) {
    return Fail(ErrorCode::kInvalidArgument,
                StrCat("piece length ", length, " is no power of two between ",
                       kMinPieceLength, " and ", kMaxPieceLength))
        .Hint("such as 4194304 (4 MiB); without one it is chosen by size");
  }
  return {};
}

// Known before hours of hashing: what our own reader would refuse as too large.
Result<void> TorrentMaker::CheckSize() const {
  uint64_t pieces = 0;
  uint64_t bytes = 0;
  uint64_t path_bytes = 0;
  for (const PayloadFile& file : payload_.files) {
    const uint64_t size = file.identity.size_bytes;
    bytes += size;
    pieces += size / piece_length_ + (size % piece_length_ != 0 ? 1 : 0);
    for (const std::string& part : file.parts) path_bytes += part.size() + 8;
    path_bytes += 100;
  }
  if (!has_v2()) pieces = bytes / piece_length_ + 1;
  const uint64_t metainfo_bytes =
      pieces * ((has_v1() ? 20u : 0u) + (has_v2() ? 32u : 0u)) + path_bytes;
  if (pieces > kMaxPieces || metainfo_bytes > kMaxMetainfoBytes) {
    return Fail(ErrorCode::kInvalidArgument,
                StrCat(pieces, " pieces of ", piece_length_,
                       " bytes make a torrent of about ", metainfo_bytes,
                       " bytes, at most ", kMaxMetainfoBytes, " are allowed"))
        .Hint("choose larger pieces");
  }
  return {};
}

void TorrentMaker::PlanEntries() {
  uint64_t offset = 0;
  for (const PayloadFile& file : payload_.files) {
    const uint64_t size = file.identity.size_bytes;
    const uint64_t over = offset % piece_length_;
    if (has_v1() && has_v2() && size > 0 && over != 0) {
      entries_.push_back({nullptr, piece_length_ - over});
      offset += piece_length_ - over;
    }
    entries_.push_back({&file, size});
    offset += size;
  }
}

// Every digest that is wanted, of one read.
Result<void> TorrentMaker::Hash() {
  verify::HashRequest request;
  if (has_v1()) request.piece_length = piece_length_;
  if (has_v2()) request.merkle_piece_length = piece_length_;
  request.num_threads = options_.num_threads;
  for (const Entry& entry : entries_) {
    verify::HashFile file;
    if (entry.file != nullptr) file.path = entry.file->path;
    file.size_bytes = entry.size_bytes;
    file.sums = {};
    if (options_.want_sha256 && entry.file != nullptr) {
      file.sums.Add(verify::SumAlgorithm::kSha256);
    }
    file.want_merkle = has_v2() && entry.file != nullptr;
    request.files.push_back(std::move(file));
  }
  ASSIGN_OR_RETURN(verify::HashOutcome outcome,
                   verify::HashFiles(request, cancel_, progress_));
  for (size_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i].file == nullptr) continue;
    verify::FileDigests& file = outcome.files[i];
    if (file.state != verify::FileState::kOk) {
      RETURN_IF_ERROR(CheckUnchanged(*entries_[i].file));
      return Fail(
          ErrorCode::kIo,
          StrCat("read \"", EscapeForTerminal(entries_[i].file->path, 200),
                 "\": ", EscapeForTerminal(file.error)));
    }
    DigestsOfFile& digests = digests_.emplace_back();
    if (const auto* sum = file.Sum(verify::SumAlgorithm::kSha256)) {
      digests.sha256.emplace();
      std::copy(sum->begin(), sum->end(), digests.sha256->begin());
    }
    digests.pieces_root = file.merkle_root;
    if (file.merkle_pieces.size() > 1) {
      digests.piece_layer = std::move(file.merkle_pieces);
    }
  }
  v1_pieces_ = std::move(outcome.piece_digests);
  return {};
}

void TorrentMaker::EncodeFileTree(BencodeWriter& writer) const {
  writer.BeginDictionary();
  std::vector<std::string> open;  // folders that are begun
  for (size_t i = 0; i < payload_.files.size(); ++i) {
    const std::vector<std::string>& parts = payload_.files[i].parts;
    size_t shared = 0;
    while (shared < open.size() && shared + 1 < parts.size() &&
           open[shared] == parts[shared]) {
      ++shared;
    }
    while (open.size() > shared) {
      writer.End();
      open.pop_back();
    }
    while (open.size() + 1 < parts.size()) {
      open.push_back(parts[open.size()]);
      writer.Key(open.back());
      writer.BeginDictionary();
    }
    writer.Key(parts.back());
    writer.BeginDictionary();
    writer.Key("");
    writer.BeginDictionary();
    writer.Key("length");
    writer.Integer(static_cast<int64_t>(payload_.files[i].identity.size_bytes));
    if (const auto& root = digests_[i].pieces_root) {
      writer.Key("pieces root");
      writer.String(*root);
    }
    writer.End();
    writer.End();
  }
  for (size_t i = 0; i < open.size(); ++i) writer.End();
  writer.End();
}

std::vector<std::byte> TorrentMaker::EncodeInfo() const {
  BencodeWriter writer;
  writer.BeginDictionary();
  if (has_v2()) {
    writer.Key("file tree");
    EncodeFileTree(writer);
  }
  if (has_v1() && payload_.single_file) {
    writer.Key("length");
    writer.Integer(static_cast<int64_t>(payload_.files[0].identity.size_bytes));
  } else if (has_v1()) {
    writer.Key("files");
    writer.BeginList();
    for (const Entry& entry : entries_) {
      writer.BeginDictionary();
      if (entry.file == nullptr) {
        writer.Key("attr");
        writer.String("p");
      }
      writer.Key("length");
      writer.Integer(static_cast<int64_t>(entry.size_bytes));
      writer.Key("path");
      writer.BeginList();
      if (entry.file == nullptr) {
        writer.String(".pad");
        writer.String(std::to_string(entry.size_bytes));
      } else {
        for (const std::string& part : entry.file->parts) writer.String(part);
      }
      writer.End();
      writer.End();
    }
    writer.End();
  }
  if (has_v2()) {
    writer.Key("meta version");
    writer.Integer(2);
  }
  writer.Key("name");
  writer.String(payload_.name);
  writer.Key("piece length");
  writer.Integer(static_cast<int64_t>(piece_length_));
  if (has_v1()) {
    writer.Key("pieces");
    writer.String(std::as_bytes(std::span(v1_pieces_)));
  }
  if (options_.is_private) {
    writer.Key("private");
    writer.Integer(1);
  }
  writer.End();
  return writer.Take();
}

Result<CreatedTorrent> TorrentMaker::Make() {
  RETURN_IF_ERROR(CheckOptions());
  ASSIGN_OR_RETURN(payload_, WalkPayload(options_.path));
  // BEP 52 tells a file from a folder with one file by the name alone.
  if (has_v2() && !payload_.single_file && payload_.files.size() == 1 &&
      payload_.files[0].parts.size() == 1 &&
      (!has_v1() || payload_.files[0].parts[0] == payload_.name)) {
    return Fail(ErrorCode::kInvalidArgument,
                "this format cannot tell a folder with one file from the file")
        .Hint("give the file itself, or choose the format v1");
  }
  uint64_t total_bytes = 0;
  for (const PayloadFile& file : payload_.files) {
    total_bytes += file.identity.size_bytes;
  }
  piece_length_ = options_.piece_length != 0 ? options_.piece_length
                                             : ChoosePieceLength(total_bytes);
  RETURN_IF_ERROR(CheckSize());
  PlanEntries();
  RETURN_IF_ERROR(Hash());
  for (const PayloadFile& file : payload_.files) {
    RETURN_IF_ERROR(CheckUnchanged(file));
  }
  TorrentFields fields;
  fields.trackers = options_.trackers;
  fields.web_seeds = options_.web_seeds;
  fields.comment = options_.comment;
  fields.creation_date = options_.creation_date;
  for (const DigestsOfFile& file : digests_) {
    if (file.piece_layer.empty()) continue;
    const auto layer = std::as_bytes(std::span(file.piece_layer));
    fields.layers.emplace(*file.pieces_root,
                          std::vector<std::byte>(layer.begin(), layer.end()));
  }
  CreatedTorrent created;
  created.torrent = EncodeTorrent(EncodeInfo(), fields);
  ASSIGN_OR_RETURN(created.metainfo, ParseMetainfo(created.torrent));
  if (options_.want_sha256) {
    auto digests = digests_.begin();
    for (const MetainfoFile& file : created.metainfo.files) {
      created.sha256.push_back(file.is_pad ? verify::Sha256Digest{}
                                           : *(digests++)->sha256);
    }
  }
  created.left_out = std::move(payload_.left_out);
  Magnet magnet;
  magnet.info_hashes = created.metainfo.info_hashes;
  magnet.display_name = payload_.name;
  magnet.trackers = options_.trackers;
  magnet.web_seeds = options_.web_seeds;
  created.magnet = FormatMagnet(magnet);
  return created;
}

}  // namespace

uint64_t ChoosePieceLength(uint64_t total_bytes) {
  uint64_t length = kMinPieceLength;
  while (length < kMaxChosenPieceLength &&
         total_bytes > length * kWantedPieces) {
    length *= 2;
  }
  return length;
}

Result<CreatedTorrent> CreateTorrent(const CreateOptions& options,
                                     const verify::CancelToken& cancel,
                                     verify::ProgressSink* progress) {
  return TorrentMaker(options, cancel, progress).Make();
}

}  // namespace p2p
