// SPDX-License-Identifier: Apache-2.0
#include "p2p/torrent_plan.h"

#include <libtorrent/bdecode.hpp>
#include <libtorrent/file_storage.hpp>
#include <libtorrent/write_resume_data.hpp>
#include <utility>

#include "p2p/magnet.h"
#include "verify/base/text.h"

namespace p2p {
namespace {

using verify::ByteSpan;
using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::Result;
using verify::StrCat;

lt::span<const char> CharSpan(ByteSpan bytes) {
  const std::string_view text = verify::AsText(bytes);
  return {text.data(), static_cast<std::ptrdiff_t>(text.size())};
}

std::vector<std::byte> InfoBytes(const lt::torrent_info& info) {
  const lt::span<const char> section = info.info_section();
  const ByteSpan bytes =
      verify::AsBytes({section.data(), static_cast<size_t>(section.size())});
  return {bytes.begin(), bytes.end()};
}

// Where libtorrent stands with the same bytes, file by file. It alters names
// that it does not like, and would then write where we did not look.
Result<void> CheckAgreement(const Metainfo& metainfo,
                            const lt::torrent_info& info) {
  if (FromLibtorrent(info.info_hashes()) != metainfo.info_hashes) {
    return Fail(ErrorCode::kCorrupt, "torrent: two readings of its info-hash")
        .Id("E-TORRENT");
  }
  const lt::file_storage& files = info.files();
  std::vector<lt::file_index_t> theirs;
  for (const lt::file_index_t file : files.file_range()) {
    if (!files.pad_file_at(file)) theirs.push_back(file);
  }
  size_t index = 0;
  for (const MetainfoFile& file : metainfo.files) {
    if (file.is_pad) continue;
    const std::string wanted = metainfo.single_file
                                   ? metainfo.name
                                   : StrCat(metainfo.name, "/", file.path);
    if (index == theirs.size()) break;
    const std::string got = files.file_path(theirs[index]);
    if (got != wanted) {
      return Fail(ErrorCode::kCorrupt,
                  StrCat("torrent: file \"", EscapeForTerminal(wanted),
                         "\" would be written as \"", EscapeForTerminal(got),
                         "\""))
          .Id("E-NAME-ALTERED");
    }
    const auto size = static_cast<uint64_t>(files.file_size(theirs[index]));
    if (size != file.size_bytes) {
      return Fail(ErrorCode::kCorrupt,
                  StrCat("torrent: file \"", EscapeForTerminal(wanted),
                         "\": ", file.size_bytes, " or ", size, " bytes"))
          .Id("E-TORRENT");
    }
    ++index;
  }
  size_t wanted_files = 0;
  for (const MetainfoFile& file : metainfo.files) {
    if (!file.is_pad) ++wanted_files;
  }
  if (theirs.size() != wanted_files) {
    return Fail(ErrorCode::kCorrupt, StrCat("torrent: ", wanted_files, " or ",
                                            theirs.size(), " files"))
        .Id("E-TORRENT");
  }
  return {};
}

template <typename F>
void ForEachPayloadSlice(const lt::file_storage& files, lt::piece_index_t piece,
                         F&& body) {
  for (const lt::file_slice& slice :
       files.map_block(piece, 0, files.piece_size(piece))) {
    if (!files.pad_file_at(slice.file_index)) body(slice);
  }
}

}  // namespace

Result<CheckedTorrent> CheckTorrent(std::vector<std::byte> torrent) {
  CheckedTorrent checked;
  ASSIGN_OR_RETURN(checked.metainfo, ParseMetainfo(torrent));
  auto loaded = Guarded("torrent", [&] {
    lt::load_torrent_limits limits;
    limits.max_buffer_size = static_cast<int>(kMaxMetainfoBytes);
    auto info = std::make_shared<lt::torrent_info>(CharSpan(torrent), limits,
                                                   lt::from_span);
    info->clear_trackers();
    info->set_web_seeds({});
    return info;
  });
  if (!loaded) {
    return Fail(ErrorCode::kCorrupt, loaded.error().message).Id("E-TORRENT");
  }
  checked.info = std::move(loaded).value();
  RETURN_IF_ERROR(CheckAgreement(checked.metainfo, *checked.info));
  checked.info_bytes = InfoBytes(*checked.info);
  checked.torrent = std::move(torrent);
  return checked;
}

Result<CheckedTorrent> CheckInfo(std::vector<std::byte> info,
                                 const std::vector<std::string>& trackers,
                                 const std::vector<std::string>& web_seeds) {
  CheckedTorrent checked;
  ASSIGN_OR_RETURN(checked.metainfo, ParseInfoDictionary(info));
  std::vector<std::byte> torrent = TorrentFromInfo(info, trackers, web_seeds);
  if (ParseMetainfo(torrent)) return CheckTorrent(std::move(torrent));
  // The hash layers of a v2 torrent are asked of peers, piece by piece.
  auto loaded = Guarded("torrent", [&] {
    lt::error_code error;
    const lt::bdecode_node node = lt::bdecode(CharSpan(info), error);
    if (error) throw lt::system_error(error);
    auto parsed = std::make_shared<lt::torrent_info>(
        ToLibtorrent(checked.metainfo.info_hashes));
    if (!parsed->parse_info_section(node, error,
                                    static_cast<int>(kMaxPieces))) {
      throw lt::system_error(error);
    }
    return parsed;
  });
  if (!loaded) {
    return Fail(ErrorCode::kCorrupt, loaded.error().message).Id("E-TORRENT");
  }
  checked.info = std::move(loaded).value();
  RETURN_IF_ERROR(CheckAgreement(checked.metainfo, *checked.info));
  checked.metainfo.trackers = trackers;
  checked.metainfo.web_seeds = web_seeds;
  checked.info_bytes = std::move(info);
  return checked;
}

Result<void> CheckIdentity(const InfoHashes& wanted, const InfoHashes& got) {
  const auto fail = [](std::string_view kind, const std::string& asked,
                       const std::string& have) {
    return Fail(ErrorCode::kMismatch,
                StrCat("torrent: ", kind, " info-hash ", asked, " asked for, ",
                       have, " given"))
        .Id("E-INFO-HASH");
  };
  if (wanted.v1.has_value() && wanted.v2.has_value() &&
      (wanted.v1 == got.v1) != (wanted.v2 == got.v2)) {
    return Fail(ErrorCode::kCorrupt,
                StrCat("torrent: of the two hashes asked for only the ",
                       wanted.v1 == got.v1 ? "v1" : "v2", " one is its own"))
        .Id("E-HASH-PAIR")
        .Hint("the link names two torrents as one; get it from its publisher");
  }
  if (wanted.v1.has_value() && wanted.v1 != got.v1) {
    return fail("v1", verify::HexEncode(*wanted.v1),
                got.v1 ? verify::HexEncode(*got.v1) : "none");
  }
  if (wanted.v2.has_value() && wanted.v2 != got.v2) {
    return fail("v2", verify::HexEncode(*wanted.v2),
                got.v2 ? verify::HexEncode(*got.v2) : "none");
  }
  return {};
}

TransferPlan MakePlan(const Metainfo& metainfo, uint64_t resume_bytes,
                      const Selection* selection) {
  TransferPlan plan;
  plan.name = metainfo.name;
  plan.info_hashes = metainfo.info_hashes;
  Magnet magnet;
  magnet.info_hashes = metainfo.info_hashes;
  magnet.display_name = metainfo.name;
  magnet.trackers = metainfo.trackers;
  plan.magnet = FormatMagnet(magnet);
  plan.total_bytes = metainfo.total_bytes();
  plan.piece_length = metainfo.piece_length;
  for (size_t i = 0; i < metainfo.files.size(); ++i) {
    const MetainfoFile& file = metainfo.files[i];
    if (file.is_pad) continue;
    const bool selected = selection == nullptr || selection->files[i];
    plan.files.push_back({file.path, file.size_bytes, selected, i});
    if (selected) plan.selected_bytes += file.size_bytes;
  }
  plan.num_pieces = metainfo.num_pieces();
  plan.resume_bytes = resume_bytes;
  return plan;
}

uint64_t PieceBytes(const lt::file_storage& files, lt::piece_index_t piece) {
  uint64_t bytes = 0;
  ForEachPayloadSlice(files, piece, [&](const lt::file_slice& slice) {
    bytes += static_cast<uint64_t>(slice.size);
  });
  return bytes;
}

std::string PieceItem(const lt::file_storage& files, lt::piece_index_t piece) {
  std::string item;
  ForEachPayloadSlice(files, piece, [&](const lt::file_slice& slice) {
    if (item.empty()) item = files.file_path(slice.file_index);
  });
  return item;
}

std::vector<lt::download_priority_t> PiecePriorities(const FetchScope& scope) {
  std::vector<lt::download_priority_t> priorities(scope.open().size(),
                                                  lt::dont_download);
  for (size_t i = 0; i < priorities.size(); ++i) {
    if (scope.first()[i]) {
      priorities[i] = lt::top_priority;
    } else if (scope.open()[i]) {
      priorities[i] = lt::default_priority;
    }
  }
  return priorities;
}

lt::typed_bitfield<lt::piece_index_t> ToBitfield(
    const std::vector<bool>& have) {
  lt::typed_bitfield<lt::piece_index_t> bits(static_cast<int>(have.size()),
                                             false);
  for (size_t i = 0; i < have.size(); ++i) {
    if (have[i]) bits.set_bit(lt::piece_index_t(static_cast<int>(i)));
  }
  return bits;
}

std::vector<std::byte> MakeResumeData(const lt::torrent_info& info,
                                      const std::vector<bool>& have) {
  lt::add_torrent_params params;
  params.info_hashes = info.info_hashes();
  params.have_pieces = ToBitfield(have);
  const std::vector<char> buffer = lt::write_resume_data_buf(params);
  const ByteSpan bytes = verify::AsBytes({buffer.data(), buffer.size()});
  return {bytes.begin(), bytes.end()};
}

}  // namespace p2p
