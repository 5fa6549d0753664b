// SPDX-License-Identifier: Apache-2.0
#include "p2p/fetch_scope.h"

#include <algorithm>
#include <utility>

namespace p2p {
namespace {

using verify::Result;

constexpr uint64_t kFirstWindowBytes = 256u << 20;
constexpr uint64_t kMaxWindowBytes = uint64_t{1} << 40;
// A reader that asks for ever more has seen enough.
constexpr int kMaxLooks = 64;

void SetRange(const Metainfo& metainfo, size_t file, uint64_t offset,
              uint64_t size_bytes, PieceSet& pieces) {
  if (size_bytes == 0) return;
  const uint64_t begin = metainfo.files[file].offset + offset;
  const uint64_t length = metainfo.piece_length;
  for (uint64_t piece = begin / length;
       piece <= (begin + size_bytes - 1) / length; ++piece) {
    pieces[static_cast<size_t>(piece)] = true;
  }
}

bool Contains(const PieceSet& have, const PieceSet& wanted) {
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] && !(i < have.size() && have[i])) return false;
  }
  return true;
}

}  // namespace

PieceSet TellingPieces(const Metainfo& metainfo, const Selection& selection) {
  PieceSet pieces(metainfo.num_pieces(), false);
  for (size_t i = 0; i < metainfo.files.size(); ++i) {
    const MetainfoFile& file = metainfo.files[i];
    if (!selection.files[i] || file.size_bytes == 0) continue;
    const bool is_index = file.path.ends_with(".index.json") &&
                          file.size_bytes <= kMaxShardIndexBytes;
    if (file.size_bytes <= kSmallFileBytes || is_index) {
      SetRange(metainfo, i, 0, file.size_bytes, pieces);
    } else {
      SetRange(metainfo, i, 0, 1, pieces);
      SetRange(metainfo, i, file.size_bytes - 1, 1, pieces);
    }
  }
  return pieces;
}

FetchScope::FetchScope(const Metainfo& metainfo, Selection selection,
                       std::string payload_path, LookFunction look,
                       PieceSet elsewhere, std::string elsewhere_path)
    : metainfo_(&metainfo),
      selection_(std::move(selection)),
      payload_path_(std::move(payload_path)),
      look_(std::move(look)),
      elsewhere_(std::move(elsewhere)),
      elsewhere_path_(std::move(elsewhere_path)),
      window_bytes_(kFirstWindowBytes),
      pending_(look_ != nullptr) {
  Want();
  awaited_ = TellingPieces(metainfo, selection_);
  for (size_t i = 0; i < awaited_.size(); ++i) {
    if (!wanted_[i]) awaited_[i] = false;
  }
  OpenWindow({});
}

void FetchScope::Want() {
  wanted_ = PiecesOfFiles(*metainfo_, selection_.files);
  for (size_t i = 0; i < elsewhere_.size(); ++i) {
    if (elsewhere_[i]) wanted_[i] = false;
  }
}

void FetchScope::OpenWindow(const PieceSet& have) {
  open_ = wanted_;
  if (!pending_) return;
  uint64_t left = window_bytes_;
  for (size_t i = 0; i < open_.size(); ++i) {
    if (!wanted_[i] || awaited_[i] || (i < have.size() && have[i])) continue;
    if (left == 0) open_[i] = false;
    left -= std::min(left, metainfo_->piece_length);
  }
}

bool FetchScope::AllHere(const PieceSet& have) const {
  return Contains(have, wanted_);
}

bool FetchScope::LookReady(const PieceSet& have) const {
  return pending_ && Contains(have, awaited_);
}

Result<void> FetchScope::Look(const PieceSet& have) {
  const bool may_add = !selection_.shard_indexes.empty();
  if ((AllHere(have) && !may_add) || ++looks_ > kMaxLooks) {
    pending_ = false;
    OpenWindow(have);
    return {};
  }
  const auto is_in = [&](const PieceSet& set, size_t file, uint64_t offset,
                         uint64_t size_bytes) {
    if (size_bytes == 0) return true;
    const uint64_t begin = metainfo_->files[file].offset + offset;
    const uint64_t length = metainfo_->piece_length;
    const uint64_t last = (begin + size_bytes - 1) / length;
    for (uint64_t piece = begin / length; piece <= last; ++piece) {
      if (piece >= set.size() || !set[static_cast<size_t>(piece)]) return false;
    }
    return true;
  };
  const auto stands_elsewhere = [&](size_t file) {
    return !elsewhere_.empty() &&
           is_in(elsewhere_, file, 0, metainfo_->files[file].size_bytes);
  };
  const PartialPayload payload{
      .metainfo = *metainfo_,
      .selection = selection_,
      .payload_path = payload_path_,
      .is_here =
          [&](size_t file, uint64_t offset, uint64_t size_bytes) {
            return stands_elsewhere(file) ||
                   is_in(have, file, offset, size_bytes);
          },
      .path_of =
          [&](size_t file) {
            return PayloadFilePath(
                *metainfo_, metainfo_->files[file],
                stands_elsewhere(file) ? elsewhere_path_ : payload_path_);
          },
      .indexes_only = !elsewhere_.empty(),
  };
  ASSIGN_OR_RETURN(LookAnswer answer, look_(payload));
  bool more = !answer.need.empty();
  if (answer.selection.has_value()) {
    more = more || answer.selection->files != selection_.files;
    selection_ = std::move(*answer.selection);
    Want();
    awaited_ = TellingPieces(*metainfo_, selection_);
  }
  for (const FileRange& range : answer.need) {
    SetRange(*metainfo_, range.file_index, range.offset, range.size_bytes,
             awaited_);
  }
  for (size_t i = 0; i < awaited_.size(); ++i) {
    if (!wanted_[i]) awaited_[i] = false;
  }
  // What was asked for and is here already would be answered the same way.
  pending_ = more;
  window_bytes_ = kFirstWindowBytes;
  OpenWindow(have);
  return {};
}

bool FetchScope::Widen(const PieceSet& have) {
  if (!pending_ || window_bytes_ >= kMaxWindowBytes) return false;
  for (size_t i = 0; i < open_.size(); ++i) {
    if (open_[i] && !awaited_[i] && !(i < have.size() && have[i])) return false;
  }
  if (open_ == wanted_) return false;
  window_bytes_ *= 2;
  OpenWindow(have);
  return true;
}

}  // namespace p2p
