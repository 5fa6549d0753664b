// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/repair_flow.h"

#include <fmt/core.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "cli/flows/transfer_sink.h"
#include "p2p/magnet.h"
#include "p2p/work_folder.h"
#include "verify/base/text.h"
#include "verify/digest/hash_engine.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

using verify::ErrorCode;
using verify::FormatSize;
using verify::Result;
using verify::StrCat;

// Ends of files that share pieces with files that were left out on purpose
// cannot be hashed; the digest of the whole file vouches for them.
Result<void> TrustKnownDigests(const RepairOptions& options, Context& context,
                               p2p::CopyElsewhere& copy) {
  if (!options.torrent.partial.has_value()) return {};
  const p2p::Metainfo& metainfo = options.torrent.metainfo;
  const PartialCopy& partial = *options.torrent.partial;
  verify::HashRequest request;
  request.num_threads = options.num_threads;
  std::vector<size_t> index;
  for (size_t i = 0; i < metainfo.files.size(); ++i) {
    if (!partial.sha256.contains(metainfo.files[i].path)) continue;
    verify::HashFile file;
    file.path = p2p::PayloadFilePath(metainfo, metainfo.files[i], options.path);
    file.size_bytes = metainfo.files[i].size_bytes;
    request.files.push_back(std::move(file));
    index.push_back(i);
  }
  ASSIGN_OR_RETURN(const verify::HashOutcome hashed,
                   verify::HashFiles(request, context.cancel, nullptr));
  // A piece is vouched for if every file of it that is wanted is right.
  std::vector<bool> right(metainfo.files.size(), false);
  for (size_t k = 0; k < index.size(); ++k) {
    const auto* digest = hashed.files[k].Sum(verify::SumAlgorithm::kSha256);
    right[index[k]] =
        digest != nullptr &&
        verify::HexEncode(*digest) ==
            partial.sha256.find(metainfo.files[index[k]].path)->second;
  }
  for (size_t piece = 0; piece < copy.good.size(); ++piece) {
    if (copy.good[piece]) continue;
    bool vouched = false;
    bool doubt = false;
    for (const p2p::FileRange& range :
         p2p::PieceRanges(metainfo, static_cast<uint32_t>(piece))) {
      if (!partial.files[range.file_index]) continue;
      vouched = true;
      doubt = doubt || !right[range.file_index];
    }
    if (vouched && !doubt) copy.good[piece] = true;
  }
  return {};
}

std::string WorkFolderFor(const fs::path& path, const p2p::Metainfo& metainfo) {
  return StrCat(path.parent_path().native(), "/.", metainfo.info_hashes.Key(),
                ".partial");
}

}  // namespace

void RemoveRepairRemains(const std::string& path,
                         const p2p::Metainfo& metainfo) {
  const std::string folder =
      WorkFolderFor(fs::absolute(path).lexically_normal(), metainfo);
  std::error_code ignored;
  if (!fs::is_directory(fs::symlink_status(folder, ignored))) return;
  // Whoever holds it is at work on it.
  const auto work = p2p::WorkFolder::Open(folder);
  if (work) fs::remove_all(folder, ignored);
}

Result<p2p::CopyElsewhere> FindGoodPieces(const p2p::Metainfo& metainfo,
                                          const p2p::PieceLayers& layers,
                                          const std::string& path,
                                          size_t num_threads,
                                          Context& context) {
  Output& output = context.output;
  output.StageBegin("recheck");
  p2p::PieceCheckOptions check;
  check.payload_path = path;
  check.num_threads = num_threads;
  check.tick = [&](const std::string& item, uint64_t done, uint64_t total) {
    ProgressRecord record;
    record.stage = "recheck";
    record.item = item;
    record.done_bytes = done;
    record.total_bytes = total;
    output.Progress(record);
  };
  auto good = p2p::CheckPieces(metainfo, layers, check, context.cancel);
  if (!good) {
    output.StageEnd("recheck", false, "");
    return verify::Unexpected(std::move(good).error());
  }
  output.StageEnd("recheck", true,
                  fmt::format("{} of {} pieces are here and right",
                              p2p::NumSet(*good), good->size()));
  return p2p::CopyElsewhere{path, std::move(*good)};
}

Result<p2p::ApplyOutcome> ApplyToCopy(const p2p::DownloadOutcome& download,
                                      const p2p::CopyElsewhere& copy,
                                      Context& context) {
  context.output.StageBegin("repair");
  p2p::ApplyOptions apply;
  apply.from = download.payload_path;
  apply.to = copy.path;
  apply.pieces = download.pieces;
  apply.good = copy.good;
  apply.files = download.selection.files;
  auto applied = p2p::ApplyPieces(download.metainfo, apply);
  if (!applied) {
    context.output.StageEnd("repair", false, applied.error().ToString());
    return applied;
  }
  context.output.StageEnd(
      "repair", true,
      fmt::format("{} written; {} files mended, {} added",
                  FormatSize(applied->written_bytes), applied->files_repaired,
                  applied->files_made));
  return applied;
}

verify::Error DownloadError(verify::Error error) {
  if (error.code == ErrorCode::kCancelled && error.id != "E-DECLINED") {
    error.id = "E-INTERRUPTED";
    error.message = "interrupted; the state is saved";
    error.hint = "run the same command again to go on";
  }
  return error;
}

RepairNeed RepairNeeded(const ContentReport& content) {
  bool fetch = content.num_unproven > 0;
  for (const FileVerdict& file : content.files) {
    switch (file.report.outcome) {
      case verify::FileOutcome::kOk:
      case verify::FileOutcome::kExtra:
      case verify::FileOutcome::kLeftOut:
        break;
      case verify::FileOutcome::kMismatch:
      case verify::FileOutcome::kMissing:
      case verify::FileOutcome::kWrongSize:
      case verify::FileOutcome::kUnreadable:
        // Nobody knows which of the two is right: neither is made true.
        if (file.contradicted) return RepairNeed::kCannotHelp;
        fetch = fetch || file.published_bytes.has_value();
        break;
    }
  }
  if (fetch) return RepairNeed::kFetch;
  return content.error.has_value() ? RepairNeed::kCannotHelp
                                   : RepairNeed::kNone;
}

Result<RepairOutcome> RunRepair(const RepairOptions& options,
                                Context& context) {
  const p2p::Metainfo& metainfo = options.torrent.metainfo;
  const fs::path path = fs::absolute(options.path).lexically_normal();
  const std::string work_folder = WorkFolderFor(path, metainfo);
  p2p::CopyElsewhere copy;
  p2p::DownloadOptions download;
  download.magnet = p2p::MagnetOf(metainfo);
  std::vector<std::string> dropped;
  p2p::FilterEndpoints(download.magnet, options.session.allow_local, dropped);
  download.torrent = options.torrent.bytes;
  download.work_folder = work_folder;
  download.session = options.session;
  download.stall_timeout_s = options.stall_timeout_s;
  if (options.torrent.partial.has_value()) {
    const std::vector<bool>& files = options.torrent.partial->files;
    for (size_t i = 0; i < files.size(); ++i) {
      if (files[i]) {
        download.selection.indices.push_back(static_cast<uint32_t>(i));
      }
    }
  }
  download.find_copy =
      [&](const p2p::Metainfo& known,
          const p2p::PieceLayers& layers) -> Result<p2p::CopyElsewhere> {
    ASSIGN_OR_RETURN(copy, FindGoodPieces(known, layers, path.native(),
                                          options.num_threads, context));
    RETURN_IF_ERROR(TrustKnownDigests(options, context, copy));
    return copy;
  };
  OutputTransferSink sink(context.output, path.parent_path().native());
  auto fetched = p2p::Download(download, context.cancel, sink);
  if (!fetched) {
    sink.EndStage(false, "");
    return verify::Unexpected(DownloadError(std::move(fetched).error()));
  }
  sink.EndStage(true, fmt::format("{} received, {} wasted",
                                  FormatSize(fetched->downloaded_bytes),
                                  FormatSize(fetched->wasted_bytes)));
  RepairOutcome outcome;
  outcome.bad_pieces = p2p::NumSet(fetched->pieces);
  outcome.downloaded_bytes = fetched->downloaded_bytes;
  ASSIGN_OR_RETURN(outcome.applied, ApplyToCopy(*fetched, copy, context));
  std::error_code ignored;
  fs::remove_all(work_folder, ignored);
  return outcome;
}

}  // namespace cli
