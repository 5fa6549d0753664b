// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/content_pieces.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "cli/flows/content_sums.h"
#include "verify/base/text.h"

namespace cli {
namespace {

using verify::FileOutcome;
using verify::StrCat;
using verify::TrustLevel;

constexpr std::string_view kTorrent = "the torrent";

// Pieces as ranges of files, by place in the torrent.
using RangesByFile = std::map<size_t, std::vector<DamagedRange>>;

class PieceJudge {
 public:
  explicit PieceJudge(ContentPlan& plan)
      : plan_(plan), metainfo_(plan.torrent()->metainfo) {}

  std::vector<uint32_t> Judge(const verify::HashOutcome& outcome);

 private:
  void MarkLeftOut();
  bool IsLeftOut(size_t file) const;
  void JudgeCutFile(size_t file, const std::vector<DamagedRange>& cut);
  void FindProven();
  void DropDamage(size_t file);
  void BlameDamage(FileVerdict& verdict);

  ContentPlan& plan_;
  const p2p::Metainfo& metainfo_;
  std::vector<bool> proven_;  // by another source than the pieces; pads, too
};

std::vector<uint32_t> PieceJudge::Judge(const verify::HashOutcome& outcome) {
  MarkLeftOut();
  FindProven();
  std::vector<uint32_t> bad;
  if (metainfo_.piece_digests.empty()) return bad;
  RangesByFile cut;
  for (const uint32_t piece : outcome.bad_pieces) {
    const auto ranges = p2p::PieceRanges(metainfo_, piece);
    // Without its other files a piece cannot be hashed.
    const bool is_cut = std::any_of(ranges.begin(), ranges.end(),
                                    [&](const p2p::FileRange& range) {
                                      return IsLeftOut(range.file_index);
                                    });
    if (!is_cut) bad.push_back(piece);
    for (const p2p::FileRange& range : ranges) {
      FileVerdict* verdict = plan_.verdict(range.file_index);
      if (verdict == nullptr) continue;
      const DamagedRange damage{
          piece, range.offset, range.offset + range.size_bytes, {}};
      if (is_cut) {
        cut[range.file_index].push_back(damage);
      } else {
        verdict->damage.push_back(damage);
      }
    }
  }
  plan_.report.bad_pieces = bad.size();
  for (const auto& [file, ranges] : cut) JudgeCutFile(file, ranges);
  // First who is out of the question, then who is left to blame.
  for (size_t i = 0; i < plan_.verdict_of.size(); ++i) DropDamage(i);
  for (size_t i = 0; i < plan_.verdict_of.size(); ++i) {
    if (FileVerdict* verdict = plan_.verdict(i)) BlameDamage(*verdict);
  }
  return bad;
}

void PieceJudge::MarkLeftOut() {
  const KnownTorrent& torrent = *plan_.torrent();
  if (!torrent.partial.has_value()) return;
  for (size_t i = 0; i < plan_.verdict_of.size(); ++i) {
    FileVerdict* verdict = plan_.verdict(i);
    if (verdict == nullptr || torrent.partial->files[i] ||
        verdict->report.outcome != FileOutcome::kMissing) {
      continue;
    }
    verdict->report.outcome = FileOutcome::kLeftOut;
    verdict->report.detail = "left out on purpose";
  }
}

bool PieceJudge::IsLeftOut(size_t file) const {
  const FileVerdict* verdict = plan_.verdict(file);
  return verdict != nullptr && verdict->report.outcome == FileOutcome::kLeftOut;
}

// A file that shares pieces with files that were left out: proven by its
// digest of the time when those pieces were whole.
void PieceJudge::JudgeCutFile(size_t file,
                              const std::vector<DamagedRange>& cut) {
  FileVerdict& verdict = *plan_.verdict(file);
  if (verdict.report.outcome == FileOutcome::kLeftOut ||
      plan_.options.cut_pieces_proven) {
    return;
  }
  const auto& known = plan_.torrent()->partial->sha256;
  const auto digest = known.find(metainfo_.files[file].path);
  if (digest == known.end() || verdict.sha256.empty()) {
    ++plan_.report.num_unproven;
    verdict.unproven = true;
    verdict.report.detail =
        "it shares pieces with files that were left out, and those prove "
        "nothing";
    return;
  }
  if (digest->second == verdict.sha256) return;
  // Its whole pieces, if one is bad, say better where.
  if (verdict.damage.empty()) verdict.damage = cut;
}

void PieceJudge::FindProven() {
  for (size_t i = 0; i < plan_.verdict_of.size(); ++i) {
    const FileVerdict* verdict = plan_.verdict(i);
    proven_.push_back(verdict == nullptr ||
                      (verdict->report.outcome == FileOutcome::kOk &&
                       verdict->report.level > TrustLevel::kUnknownKey));
  }
}

// A piece that crosses files may be bad because of its neighbour: a file with
// a right sum of its own is not blamed if there is another one to blame. If
// there is none, that sum and the torrent say different things.
void PieceJudge::DropDamage(size_t file) {
  FileVerdict* const verdict = plan_.verdict(file);
  if (verdict == nullptr) return;
  verify::FileReport& report = verdict->report;
  if (verdict->damage.empty()) {
    if (report.outcome == FileOutcome::kOk && !verdict->unproven) {
      RaiseLevel(TrustLevel::kPiecesV1, kTorrent, *verdict);
    }
    return;
  }
  if (!proven_[file]) return;
  const bool others_fault = std::all_of(
      verdict->damage.begin(), verdict->damage.end(),
      [&](const DamagedRange& damage) {
        const auto ranges = p2p::PieceRanges(metainfo_, damage.piece);
        return std::any_of(ranges.begin(), ranges.end(),
                           [&](const p2p::FileRange& range) {
                             return !proven_[range.file_index];
                           });
      });
  if (others_fault) {
    verdict->damage.clear();
    return;
  }
  verdict->contradicted = true;
  report.outcome = FileOutcome::kMismatch;
  report.detail =
      StrCat(verdict->damage.size(),
             verdict->damage.size() == 1 ? " piece differs" : " pieces differ",
             " from the torrent, yet ", report.detail,
             ": the two do not speak of the same file");
}

void PieceJudge::BlameDamage(FileVerdict& verdict) {
  verify::FileReport& report = verdict.report;
  if (verdict.damage.empty()) {
    // Pieces that are right and a sum that is not.
    const bool differs = report.outcome == FileOutcome::kMismatch ||
                         (report.outcome == FileOutcome::kWrongSize &&
                          report.size_bytes == verdict.published_bytes);
    if (differs && !verdict.expected.empty() && !verdict.unproven) {
      verdict.contradicted = true;
      report.detail +=
          "; the pieces of the torrent are right: the two do not "
          "speak of the same file";
    }
    return;
  }
  report.level = TrustLevel::kUnverified;
  if (report.outcome != FileOutcome::kOk) return;
  report.outcome = FileOutcome::kMismatch;
  verdict.source = kTorrent;
  const size_t count = verdict.damage.size();
  report.detail = fmt::format("{} piece{} differ{}", count,
                              count == 1 ? "" : "s", count == 1 ? "s" : "");
  std::string others;
  for (const FileVerdict& other : plan_.report.files) {
    if (&other == &verdict || other.damage.empty()) continue;
    if (other.damage.front().piece == verdict.damage.front().piece ||
        other.damage.back().piece == verdict.damage.front().piece) {
      others += (others.empty() ? "" : ", ") + other.report.name;
    }
  }
  if (count == 1 && !others.empty()) {
    verdict.maybe_neighbour = true;
    report.detail += StrCat("; it is shared with ", others,
                            ", and the wrong byte may be there");
  }
}

}  // namespace

std::vector<uint32_t> JudgePieces(const verify::HashOutcome& outcome,
                                  ContentPlan& plan) {
  if (plan.torrent() == nullptr) return {};
  return PieceJudge(plan).Judge(outcome);
}

void JudgeRoots(const verify::HashOutcome& outcome, ContentPlan& plan) {
  if (plan.torrent() == nullptr) return;
  const p2p::Metainfo& metainfo = plan.torrent()->metainfo;
  bool all_right = metainfo.info_hashes.v2.has_value();
  for (size_t i = 0; i < outcome.files.size(); ++i) {
    FileVerdict* const verdict = plan.verdict(i);
    if (verdict == nullptr) continue;
    verify::FileReport& report = verdict->report;
    const auto& root = metainfo.files[i].pieces_root;
    // An empty file has no root; that it is empty is all there is to prove.
    const bool is_right =
        root.has_value()
            ? outcome.files[i].merkle_root == root
            : metainfo.info_hashes.v2.has_value() && report.size_bytes == 0;
    if (report.outcome == FileOutcome::kOk && is_right) {
      RaiseLevel(TrustLevel::kPiecesV2, kTorrent, *verdict);
      continue;
    }
    if (report.outcome != FileOutcome::kLeftOut) all_right = false;
    if (!root.has_value()) continue;
    if (report.outcome == FileOutcome::kOk) {
      report.outcome = FileOutcome::kMismatch;
      report.level = TrustLevel::kUnverified;
      verdict->source = kTorrent;
      verdict->contradicted = !verdict->unproven && !report.detail.empty();
      report.detail =
          StrCat("its v2 pieces root differs from the torrent's",
                 report.detail.empty() ? "" : ", yet " + report.detail);
    } else if (report.outcome == FileOutcome::kMismatch && is_right &&
               !verdict->expected.empty() && !verdict->contradicted) {
      verdict->contradicted = true;
      report.detail +=
          "; its v2 pieces root is the torrent's: the two do not "
          "speak of the same file";
    }
  }
  plan.report.all_roots_right = all_right;
}

}  // namespace cli
