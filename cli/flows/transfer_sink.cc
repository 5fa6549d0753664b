// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/transfer_sink.h"

#include <fmt/core.h>

#include "verify/base/file.h"
#include "verify/base/text.h"

namespace cli {
namespace {

using verify::EscapeForTerminal;
using verify::FormatSize;

std::string_view StageName(p2p::TransferStage stage) {
  switch (stage) {
    case p2p::TransferStage::kMetadata:
      return "metadata";
    // Bytes that are not on disk are not downloaded: one stage for both.
    case p2p::TransferStage::kDownload:
    case p2p::TransferStage::kFlush:
      return "download";
    case p2p::TransferStage::kSeed:
      return "seed";
  }
  return "download";
}

// "no peers yet (2 min): 1 tracker tried (...), ..."
std::string IdleText(const p2p::TransferProgress& progress,
                     const p2p::SwarmAccount& swarm) {
  const std::string_view lack =
      swarm.peers_connected == 0                        ? "no peers yet"
      : progress.stage == p2p::TransferStage::kMetadata ? "no metadata yet"
                                                        : "nothing comes";
  return fmt::format("{} ({}): {}", lack,
                     verify::FormatDuration(swarm.waited_s), swarm.text);
}

Fields SwarmFields(const p2p::SwarmAccount& swarm) {
  Fields trackers = Fields::array();
  for (const p2p::TrackerAccount& tracker : swarm.trackers) {
    trackers.push_back(
        {{"url", tracker.url},
         {"answer",
          tracker.answer.empty() ? Fields(nullptr) : Fields(tracker.answer)},
         {"failed", tracker.failed}});
  }
  Fields fields{{"trackers", trackers}};
  fields["dht_nodes"] =
      swarm.dht_nodes.has_value() ? Fields(*swarm.dht_nodes) : Fields(nullptr);
  fields["peers_known"] = swarm.peers_known;
  fields["peers_connected"] = swarm.peers_connected;
  fields["peers_reached"] = swarm.peers_reached;
  fields["waited_s"] = swarm.waited_s;
  return fields;
}

}  // namespace

void OutputTransferSink::EnterStage(p2p::TransferStage stage) {
  if (in_stage_ && StageName(stage) == StageName(stage_)) return;
  if (in_stage_) output_.StageEnd(StageName(stage_), true, "");
  in_stage_ = true;
  stage_ = stage;
  output_.StageBegin(StageName(stage));
}

void OutputTransferSink::EndStage(bool ok, std::string_view text) {
  if (!in_stage_) return;
  in_stage_ = false;
  output_.StageEnd(StageName(stage_), ok, text);
}

void OutputTransferSink::OnPlan(const p2p::TransferPlan& plan) {
  Fields files = Fields::array();
  for (const p2p::PlanFile& file : plan.files) {
    files.push_back({{"path", file.path},
                     {"bytes", file.size_bytes},
                     {"selected", file.selected},
                     {"index", file.index}});
  }
  Fields event{{"name", plan.name}};
  event["info_hash_v1"] = plan.info_hashes.v1.has_value()
                              ? Fields(verify::HexEncode(*plan.info_hashes.v1))
                              : Fields(nullptr);
  event["info_hash_v2"] = plan.info_hashes.v2.has_value()
                              ? Fields(verify::HexEncode(*plan.info_hashes.v2))
                              : Fields(nullptr);
  event["magnet"] = plan.magnet;
  event["total_bytes"] = plan.total_bytes;
  event["piece_length"] = plan.piece_length;
  event["pieces"] = plan.num_pieces;
  event["files"] = files;
  const auto free_bytes = verify::FreeBytes(destination_);
  event["free_bytes"] = free_bytes ? Fields(*free_bytes) : Fields(nullptr);
  event["resume_bytes"] = plan.resume_bytes;
  event["selected_bytes"] = plan.selected_bytes;
  event["needed_bytes"] = plan.needed_bytes;
  output_.Event("plan", event);

  std::string text = fmt::format(
      "{}: {} file{}, {}, {} pieces of {}", EscapeForTerminal(plan.name, 80),
      plan.files.size(), plan.files.size() == 1 ? "" : "s",
      FormatSize(plan.total_bytes), plan.num_pieces,
      FormatSize(plan.piece_length));
  if (plan.selected_bytes != plan.total_bytes) {
    text += fmt::format("; {} chosen", FormatSize(plan.selected_bytes));
  }
  if (plan.needed_bytes > 0 && free_bytes) {
    text += fmt::format("; {} needed on disk, {} free",
                        FormatSize(plan.needed_bytes), FormatSize(*free_bytes));
  }
  if (plan.resume_bytes > 0) {
    text += fmt::format("; {} here already", FormatSize(plan.resume_bytes));
  }
  if (in_stage_ && stage_ == p2p::TransferStage::kMetadata) {
    EndStage(true, text);
  } else {
    output_.Say("      " + text);
  }
  constexpr size_t kMaxListed = 20;
  for (size_t i = 0; i < plan.files.size() && i < kMaxListed; ++i) {
    output_.Say(fmt::format("      {:>4} {} {:>11}  {}", plan.files[i].index,
                            plan.files[i].selected ? " " : "-",
                            FormatSize(plan.files[i].size_bytes),
                            EscapeForTerminal(plan.files[i].path, 120)));
  }
  if (plan.files.size() > kMaxListed) {
    output_.Say(fmt::format("      ... and {} more files",
                            plan.files.size() - kMaxListed));
  }
}

void OutputTransferSink::OnProgress(const p2p::TransferProgress& progress) {
  EnterStage(progress.stage);
  ProgressRecord record;
  record.stage = StageName(progress.stage);
  record.item = progress.item;
  record.done_bytes = progress.done_bytes;
  record.total_bytes = progress.total_bytes;
  record.rate_down = progress.down_bytes_per_s;
  record.rate_up = progress.up_bytes_per_s;
  record.peers = progress.num_peers;
  record.seeds = progress.num_seeds;
  record.availability = progress.availability;
  record.pieces_done = progress.pieces_done;
  if (progress.swarm.has_value()) {
    record.idle = IdleText(progress, *progress.swarm);
    record.swarm = SwarmFields(*progress.swarm);
  }
  output_.Progress(record);
}

void OutputTransferSink::OnNotice(const p2p::TransferNotice& notice) {
  output_.Warning(notice.code, notice.message, notice.hint);
}

void OutputTransferSink::OnListen(const std::string& endpoint) {
  output_.Event("listen", {{"endpoint", endpoint}});
  if (output_.verbose()) output_.Say("      listening on " + endpoint);
}

}  // namespace cli
