// SPDX-License-Identifier: Apache-2.0
// The info dictionary: BEP 3 (v1), BEP 52 (v2 and hybrid), BEP 47 (pads and
// attributes), BEP 27 (private).
// Long because: the rules of one dictionary, v1 and v2, judged in one
// place.
#include <algorithm>
#include <bit>
#include <cstring>
#include <unordered_map>

#include "p2p/metainfo_reader.h"
#include "p2p/notes.h"
#include "verify/base/path_policy.h"
#include "verify/base/text.h"

namespace p2p {
namespace {

using verify::CheckedAdd;
using verify::CheckPart;
using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::kMaxPathBytes;
using verify::kMaxPathDepth;
using verify::kNameAlteredId;
using verify::kNameCollisionId;
using verify::kPadId;
using verify::kPathId;
using verify::kSymlinkId;
using verify::PathSet;
using verify::PortabilityProblem;
using verify::ProblemList;
using verify::Result;
using verify::StrCat;

std::string Quoted(std::string_view text) {
  return StrCat("\"", EscapeForTerminal(text, 120), "\"");
}

verify::Unexpected FailLimit(std::string message) {
  return Fail(ErrorCode::kLimit, StrCat("torrent: ", message)).Id("E-TORRENT");
}

Result<uint64_t> ReadSize(const BencodeValue& dictionary, std::string_view key,
                          std::string_view of) {
  const auto value = dictionary.Find(key);
  if (!value.has_value()) {
    return FailTorrent(StrCat(of, " has no \"", key, "\""));
  }
  const auto number = value->AsInteger();
  if (!number.has_value() || *number < 0) {
    return FailTorrent(StrCat(of, ": \"", key, "\" is ",
                              number.has_value() ? std::to_string(*number)
                                                 : std::string("no number")))
        .At(value->offset());
  }
  return static_cast<uint64_t>(*number);
}

class InfoReader {
 public:
  explicit InfoReader(const BencodeValue& info) : info_(info) {}
  Result<Metainfo> Read();

 private:
  // What "attr" says (BEP 47); symlinks go to problems_.
  struct Attributes {
    bool is_pad = false;
  };
  Attributes ReadAttributes(const BencodeValue& entry, std::string_view path);

  Result<void> ReadName();
  Result<void> ReadPieceLength();
  Result<void> ReadV1();
  Result<void> ReadV1File(const BencodeValue& entry);
  Result<void> ReadPieces();
  Result<void> ReadFileTree();
  Result<void> ReadLeaf(const BencodeValue& leaf, std::string path);
  Result<void> PlaceV2Files();
  Result<void> CompareLists() const;
  Result<void> AddPathBytes(size_t size);
  // False if the part cannot be used.
  bool CheckName(std::string_view part, std::string_view path);
  void CheckUtf8Twin(const BencodeValue& dictionary, std::string_view key);

  BencodeValue info_;
  Metainfo metainfo_;
  BoundedNotes warnings_{metainfo_.warnings};
  BoundedNotes portability_{metainfo_.portability};
  ProblemList problems_;
  PathSet v1_paths_;
  PathSet v2_paths_;
  bool has_v1_ = false;
  bool has_v2_ = false;
  std::optional<std::string_view> top_file_;  // a file at the tree's top
  bool v2_single_file_ = false;
  uint64_t path_bytes_ = 0;
  std::vector<MetainfoFile> v1_files_;
  std::vector<MetainfoFile> v2_files_;
};

Result<void> InfoReader::AddPathBytes(size_t size) {
  path_bytes_ += size;
  if (path_bytes_ > kMaxTotalPathBytes) {
    return FailLimit(
        StrCat("paths of more than ", kMaxTotalPathBytes, " bytes together"));
  }
  return {};
}

bool InfoReader::CheckName(std::string_view part, std::string_view path) {
  if (auto problem = CheckPart(part)) {
    problems_.Add(problem->id, path, std::move(problem->reason));
    return false;
  }
  if (const auto problem = PortabilityProblem(part)) {
    portability_.Add(StrCat(Quoted(path), ": ", Quoted(part), " ", *problem));
  }
  return true;
}

// The library prefers "name.utf-8" and "path.utf-8" where they are: the names
// on disk would not be those that all else speaks of.
void InfoReader::CheckUtf8Twin(const BencodeValue& dictionary,
                               std::string_view key) {
  const auto twin = dictionary.Find(StrCat(key, ".utf-8"));
  if (!twin.has_value()) return;
  const auto value = dictionary.Find(key);
  if (value.has_value() &&
      verify::AsText(value->raw()) == verify::AsText(twin->raw())) {
    return;
  }
  problems_.Add(kNameAlteredId, verify::AsText(twin->raw()).substr(0, 300),
                StrCat("\"", key, ".utf-8\" differs from \"", key, "\""));
}

InfoReader::Attributes InfoReader::ReadAttributes(const BencodeValue& entry,
                                                  std::string_view path) {
  Attributes attributes;
  if (entry.Find("symlink path").has_value()) {
    problems_.Add(kSymlinkId, path, "a symlink");
    return attributes;
  }
  const auto value = entry.Find("attr");
  if (!value.has_value()) return attributes;
  const auto letters = value->AsString();
  if (!letters.has_value()) {
    warnings_.Add(StrCat(Quoted(path), ": \"attr\" is no text and ignored"));
    return attributes;
  }
  attributes.is_pad = letters->find('p') != std::string_view::npos;
  if (letters->find('l') != std::string_view::npos) {
    problems_.Add(kSymlinkId, path, "a symlink");
  }
  if (letters->find_first_not_of("pl") != std::string_view::npos) {
    warnings_.Add(
        StrCat(Quoted(path), ": attributes ", Quoted(*letters), " ignored"));
  }
  return attributes;
}

Result<void> InfoReader::ReadName() {
  const auto value = info_.Find("name");
  const auto name = value.has_value() ? value->AsString() : std::nullopt;
  if (!name.has_value()) return FailTorrent("info has no \"name\"");
  CheckUtf8Twin(info_, "name");
  CheckName(*name, *name);
  metainfo_.name = *name;
  return {};
}

Result<void> InfoReader::ReadPieceLength() {
  ASSIGN_OR_RETURN(const uint64_t length,
                   ReadSize(info_, "piece length", "info"));
  if (!std::has_single_bit(length) || length < kMinPieceLength ||
      length > kMaxPieceLength) {
    return FailTorrent(StrCat("piece length ", length,
                              " is no power of two between ", kMinPieceLength,
                              " and ", kMaxPieceLength));
  }
  metainfo_.piece_length = length;
  return {};
}

Result<void> InfoReader::ReadV1File(const BencodeValue& entry) {
  if (v1_files_.size() >= kMaxTorrentFiles) {
    return FailLimit(StrCat("more than ", kMaxTorrentFiles, " files"));
  }
  const auto path = entry.Find("path");
  if (!path.has_value() || !path->is_list()) {
    return FailTorrent("a file has no \"path\" list").At(entry.offset());
  }
  MetainfoFile file;
  std::vector<std::string_view> parts;
  for (const BencodeValue part : *path) {
    const auto text = part.AsString();
    if (!text.has_value()) {
      return FailTorrent("a part of a path is no text").At(part.offset());
    }
    if (!parts.empty()) file.path.push_back('/');
    file.path += *text;
    parts.push_back(*text);
  }
  RETURN_IF_ERROR(AddPathBytes(file.path.size()));
  ASSIGN_OR_RETURN(
      file.size_bytes,
      ReadSize(entry, "length", StrCat("file ", Quoted(file.path))));
  CheckUtf8Twin(entry, "path");
  file.is_pad = ReadAttributes(entry, file.path).is_pad;

  if (parts.size() > kMaxPathDepth) {
    return FailLimit(StrCat("path ", Quoted(file.path), " has ", parts.size(),
                            " parts, at most ", kMaxPathDepth, " are allowed"));
  }
  bool usable = !parts.empty();
  if (!usable) problems_.Add(kPathId, file.path, "an empty path");
  if (file.path.size() > kMaxPathBytes) {
    problems_.Add(kPathId, file.path,
                  StrCat("a path of ", file.path.size(), " bytes, at most ",
                         kMaxPathBytes, " are allowed"));
    usable = false;
  }
  if (file.is_pad) {
    // Pads are never written; their names repeat.
    if (!usable || parts.size() < 2 || parts[0] != ".pad") {
      problems_.Add(kPadId, file.path, "a pad outside of .pad");
    } else if (file.size_bytes >= metainfo_.piece_length) {
      problems_.Add(
          kPadId, file.path,
          StrCat("a pad of ", file.size_bytes,
                 " bytes, not less than a piece of ", metainfo_.piece_length));
    }
    for (const std::string_view part : parts) {
      if (auto problem = CheckPart(part)) {
        problems_.Add(problem->id, file.path, std::move(problem->reason));
      }
    }
  } else {
    for (const std::string_view part : parts) {
      usable = CheckName(part, file.path) && usable;
    }
    if (usable) {
      if (auto collision = v1_paths_.AddFile(parts)) {
        problems_.Add(kNameCollisionId, file.path, std::move(*collision));
      }
    }
  }
  v1_files_.push_back(std::move(file));
  return {};
}

Result<void> InfoReader::ReadV1() {
  const auto files = info_.Find("files");
  if (info_.Find("length").has_value() == files.has_value()) {
    return FailTorrent(files.has_value()
                           ? "info has both \"length\" and \"files\""
                           : "info has neither \"length\" nor \"files\"");
  }
  if (files.has_value()) {
    if (!files->is_list()) return FailTorrent("\"files\" is no list");
    for (const BencodeValue entry : *files) {
      if (!entry.is_dictionary()) {
        return FailTorrent("an entry of \"files\" is no dictionary")
            .At(entry.offset());
      }
      RETURN_IF_ERROR(ReadV1File(entry));
    }
  } else {
    MetainfoFile file;
    file.path = metainfo_.name;
    ASSIGN_OR_RETURN(file.size_bytes, ReadSize(info_, "length", "info"));
    if (ReadAttributes(info_, file.path).is_pad) {
      problems_.Add(kPadId, file.path, "the only file is a pad");
    }
    v1_files_.push_back(std::move(file));
    metainfo_.single_file = true;
  }
  uint64_t offset = 0;
  for (MetainfoFile& file : v1_files_) {
    file.offset = offset;
    const auto sum = CheckedAdd(offset, file.size_bytes);
    if (!sum.has_value()) return FailTorrent("the sizes add up beyond 64 bits");
    offset = *sum;
  }
  return ReadPieces();
}

Result<void> InfoReader::ReadPieces() {
  const auto value = info_.Find("pieces");
  const auto digests = value.has_value() ? value->AsString() : std::nullopt;
  if (!digests.has_value()) return FailTorrent("info has no \"pieces\"");
  constexpr size_t kDigestBytes = sizeof(verify::Sha1Digest);
  const uint64_t total =
      v1_files_.empty() ? 0
                        : v1_files_.back().offset + v1_files_.back().size_bytes;
  const uint64_t length = metainfo_.piece_length;
  const uint64_t wanted = total / length + (total % length != 0 ? 1 : 0);
  if (wanted > kMaxPieces) {
    return FailLimit(
        StrCat(wanted, " pieces, at most ", kMaxPieces, " are allowed"));
  }
  if (digests->size() != wanted * kDigestBytes) {
    return FailTorrent(StrCat("\"pieces\" holds ", digests->size(), " bytes, ",
                              total, " bytes of content need ",
                              wanted * kDigestBytes))
        .At(value->offset());
  }
  metainfo_.piece_digests.resize(static_cast<size_t>(wanted));
  if (wanted > 0) {
    std::memcpy(metainfo_.piece_digests.data(), digests->data(),
                digests->size());
  }
  return {};
}

Result<void> InfoReader::ReadLeaf(const BencodeValue& leaf, std::string path) {
  if (v2_files_.size() >= kMaxTorrentFiles) {
    return FailLimit(StrCat("more than ", kMaxTorrentFiles, " files"));
  }
  if (!leaf.is_dictionary()) {
    return FailTorrent(StrCat("file ", Quoted(path), " is no dictionary"))
        .At(leaf.offset());
  }
  MetainfoFile file;
  ASSIGN_OR_RETURN(file.size_bytes,
                   ReadSize(leaf, "length", StrCat("file ", Quoted(path))));
  if (ReadAttributes(leaf, path).is_pad) {
    problems_.Add(kPadId, path, "a pad in the file tree");
  }
  const auto root = leaf.Find("pieces root");
  if (root.has_value() != (file.size_bytes > 0)) {
    return FailTorrent(StrCat("file ", Quoted(path), " of ", file.size_bytes,
                              " bytes has ", root.has_value() ? "a" : "no",
                              " pieces root"))
        .At(leaf.offset());
  }
  if (root.has_value()) {
    const auto text = root->AsString();
    verify::Sha256Digest digest{};
    if (!text.has_value() || text->size() != digest.size()) {
      return FailTorrent(
                 StrCat("the pieces root of ", Quoted(path), " is no SHA-256"))
          .At(root->offset());
    }
    std::memcpy(digest.data(), text->data(), digest.size());
    if (digest == verify::Sha256Digest{}) {
      return FailTorrent(
                 StrCat("the pieces root of ", Quoted(path), " is zero"))
          .At(root->offset());
    }
    file.pieces_root = digest;
  }
  if (path.size() > kMaxPathBytes) {
    problems_.Add(kPathId, path,
                  StrCat("a path of ", path.size(), " bytes, at most ",
                         kMaxPathBytes, " are allowed"));
  }
  file.path = std::move(path);
  v2_files_.push_back(std::move(file));
  return {};
}

Result<void> InfoReader::ReadFileTree() {
  const auto tree = info_.Find("file tree");
  if (!tree.has_value() || !tree->is_dictionary()) {
    return FailTorrent("info has no \"file tree\"");
  }
  struct Folder {
    BencodeValue::Iterator next;
    BencodeValue::Iterator end;
    std::string path;  // ends with "/" but for the root
    size_t node;
  };
  std::vector<Folder> stack;
  stack.push_back({tree->begin(), tree->end(), "", PathSet::kRoot});
  size_t top_entries = 0;
  while (!stack.empty()) {
    if (stack.back().next == stack.back().end) {
      stack.pop_back();
      continue;
    }
    const std::string_view name = *(*stack.back().next).AsString();
    ++stack.back().next;
    const BencodeValue entry = *stack.back().next;
    ++stack.back().next;
    if (stack.size() == 1) ++top_entries;
    std::string path = stack.back().path + std::string(name);
    RETURN_IF_ERROR(AddPathBytes(path.size()));
    if (!entry.is_dictionary() || entry.begin() == entry.end()) {
      return FailTorrent(
                 StrCat(Quoted(path), " is neither a file nor a folder"))
          .At(entry.offset());
    }
    const auto leaf = entry.Find("");
    const bool usable = CheckName(name, path);
    size_t node = PathSet::kRoot;
    if (usable) {
      PathSet::Added added = v2_paths_.Add(
          stack.back().node, name,
          leaf.has_value() ? PathSet::Kind::kFile : PathSet::Kind::kFolder);
      node = added.node;
      if (!added.collision.empty()) {
        problems_.Add(kNameCollisionId, path, std::move(added.collision));
      }
    }
    if (leaf.has_value()) {
      auto behind = entry.begin();
      ++ ++behind;
      if (behind != entry.end()) {
        problems_.Add(kNameCollisionId, path, "both a file and a folder");
      }
      if (stack.size() == 1) top_file_ = name;
      RETURN_IF_ERROR(ReadLeaf(*leaf, std::move(path)));
      continue;
    }
    if (stack.size() >= kMaxPathDepth) {
      return FailLimit(StrCat("path ", Quoted(path), " has more than ",
                              kMaxPathDepth, " parts"));
    }
    path.push_back('/');
    // What lies below a name that cannot be used is still named and checked.
    stack.push_back({entry.begin(), entry.end(), std::move(path), node});
  }
  if (top_entries == 1 && top_file_.has_value()) {
    // libtorrent takes this for a single file whatever the torrent is called,
    // others for a folder with one file.
    if (!has_v1_ && *top_file_ != metainfo_.name) {
      problems_.Add(kNameAlteredId, *top_file_,
                    "the only file of a v2 torrent must bear its name");
    }
    v2_single_file_ = *top_file_ == metainfo_.name;
  }
  return PlaceV2Files();
}

// In v2 each file begins a piece of its own.
Result<void> InfoReader::PlaceV2Files() {
  std::unordered_map<std::string, uint64_t> size_of_root;
  uint64_t pieces = 0;
  const uint64_t length = metainfo_.piece_length;
  for (MetainfoFile& file : v2_files_) {
    file.offset = pieces * length;
    const uint64_t own =
        file.size_bytes / length + (file.size_bytes % length != 0 ? 1 : 0);
    pieces += own;  // each term is below 2^50
    if (pieces > kMaxPieces) {
      return FailLimit(StrCat("more than ", kMaxPieces, " pieces"));
    }
    if (!file.pieces_root.has_value()) continue;
    const auto [entry, is_new] = size_of_root.try_emplace(
        verify::HexEncode(*file.pieces_root), file.size_bytes);
    if (!is_new && entry->second != file.size_bytes) {
      return FailTorrent(StrCat(
          "file ", Quoted(file.path), " of ", file.size_bytes,
          " bytes has the pieces root of one of ", entry->second, " bytes"));
    }
  }
  return {};
}

// A hybrid describes one content twice: both halves must be the same files in
// the same order, and the pads of v1 must give each file a piece of its own.
Result<void> InfoReader::CompareLists() const {
  const auto fail = [](std::string message) {
    return FailTorrent(
        StrCat("the v1 and v2 halves of a hybrid differ: ", message));
  };
  if (metainfo_.single_file != v2_single_file_) {
    return fail("one is a single file, the other a folder");
  }
  size_t next = 0;
  for (const MetainfoFile& file : v1_files_) {
    if (file.is_pad) continue;
    if (next == v2_files_.size()) {
      return fail(StrCat(Quoted(file.path), " is in v1 only"));
    }
    const MetainfoFile& twin = v2_files_[next++];
    if (twin.path != file.path || twin.size_bytes != file.size_bytes) {
      return fail(StrCat(Quoted(file.path), " of ", file.size_bytes,
                         " bytes and ", Quoted(twin.path), " of ",
                         twin.size_bytes, " bytes in the same place"));
    }
    if (file.size_bytes > 0 && twin.offset != file.offset) {
      return fail(StrCat(Quoted(file.path), " begins at byte ", file.offset,
                         " in v1 and ", twin.offset, " in v2"));
    }
  }
  if (next < v2_files_.size()) {
    return fail(StrCat(Quoted(v2_files_[next].path), " is in v2 only"));
  }
  return {};
}

Result<Metainfo> InfoReader::Read() {
  if (!info_.is_dictionary()) return FailTorrent("info is no dictionary");
  if (const auto version = info_.Find("meta version")) {
    const auto number = version->AsInteger();
    if (number != 2) {
      return Fail(ErrorCode::kUnsupported,
                  StrCat("torrent: meta version ",
                         number.has_value() ? std::to_string(*number)
                                            : std::string("that is no number"),
                         ", only 1 and 2 are known"))
          .Id("E-TORRENT");
    }
    has_v2_ = true;
  } else if (info_.Find("file tree").has_value()) {
    return FailTorrent("a \"file tree\" without a \"meta version\"");
  }
  has_v1_ = !has_v2_ || info_.Find("pieces").has_value() ||
            info_.Find("files").has_value() || info_.Find("length").has_value();
  RETURN_IF_ERROR(ReadName());
  RETURN_IF_ERROR(ReadPieceLength());
  if (has_v1_) RETURN_IF_ERROR(ReadV1());
  if (has_v2_) RETURN_IF_ERROR(ReadFileTree());
  if (!problems_.empty()) {
    return Fail(ErrorCode::kCorrupt, StrCat("torrent: ", problems_.Message()))
        .Id(problems_.id())
        .Hint(
            "nothing was written; ask the publisher for a torrent without "
            "these names");
  }
  if (has_v1_ && has_v2_) {
    RETURN_IF_ERROR(CompareLists());
    auto root = v2_files_.begin();
    for (MetainfoFile& file : v1_files_) {
      if (!file.is_pad) file.pieces_root = (root++)->pieces_root;
    }
  }
  metainfo_.files = std::move(has_v1_ ? v1_files_ : v2_files_);
  if (!has_v1_) metainfo_.single_file = v2_single_file_;
  if (metainfo_.total_bytes() == 0) return FailTorrent("no content at all");
  if (has_v1_) {
    metainfo_.info_hashes.v1 = ComputeInfoHashV1(info_.raw());
  }
  if (has_v2_) {
    metainfo_.info_hashes.v2 = ComputeInfoHashV2(info_.raw());
  }
  if (const auto value = info_.Find("private")) {
    const auto number = value->AsInteger();
    if (!number.has_value()) return FailTorrent("\"private\" is no number");
    metainfo_.is_private = *number == 1;
  }
  if (info_.Find("ssl-cert").has_value()) {
    warnings_.Add("\"ssl-cert\": only peers with a certificate can join");
  }
  warnings_.Flush();
  portability_.Flush();
  return std::move(metainfo_);
}

}  // namespace

Result<Metainfo> ReadInfo(const BencodeValue& info) {
  return InfoReader(info).Read();
}

}  // namespace p2p
