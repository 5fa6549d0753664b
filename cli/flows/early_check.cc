// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/early_check.h"

#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/flows/archive_flow.h"
#include "cli/flows/licence.h"
#include "cli/flows/structure_flow.h"
#include "verify/base/bytes.h"
#include "verify/base/file.h"
#include "verify/base/text.h"
#include "verify/checkpoint/checkpoint.h"
#include "verify/checkpoint/safetensors_index.h"
#include "verify/structure/model_config.h"
#include "verify/structure/structure_check.h"

namespace cli {
namespace {

using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::FormatSize;
using verify::Result;
using verify::StrCat;

constexpr std::string_view kNotHereId = "E-NOT-HERE";
// A reader that goes through a header in small steps is not to come back for
// each of them.
constexpr uint64_t kReadAhead = 8u << 20;

// Where a reader wanted to read and could not.
struct Missed {
  std::optional<p2p::FileRange> range;
};

// A file of the payload, of its full size, of which only what is here can be
// read. Used during one look.
class PartialFile final : public verify::ByteSource {
 public:
  PartialFile(const p2p::PartialPayload& payload, size_t file, Missed& missed)
      : payload_(payload),
        file_(file),
        missed_(missed),
        path_(payload.path_of(file)) {}

  std::string_view name() const override { return path_; }
  uint64_t size() const override {
    return payload_.metainfo.files[file_].size_bytes;
  }
  Result<void> ReadAt(uint64_t offset,
                      std::span<std::byte> out) const override {
    if (offset > size() || out.size() > size() - offset) {
      return Fail(ErrorCode::kCorrupt,
                  StrCat("\"", EscapeForTerminal(path_), "\": cut off"))
          .At(offset);
    }
    if (!payload_.is_here(file_, offset, out.size())) {
      missed_.range = p2p::FileRange{file_, offset, out.size()};
      return Fail(ErrorCode::kNotFound, "not here yet")
          .Id(std::string(kNotHereId));
    }
    if (!open_.has_value()) {
      ASSIGN_OR_RETURN(verify::ReadOnlyFile opened,
                       verify::ReadOnlyFile::Open(path_));
      open_.emplace(std::move(opened));
    }
    return open_->ReadAt(offset, out);
  }

 private:
  const p2p::PartialPayload& payload_;
  size_t file_;
  Missed& missed_;
  std::string path_;
  mutable std::optional<verify::ReadOnlyFile> open_;
};

// One download's looks.
class EarlyCheck {
 public:
  EarlyCheck(EarlyCheckOptions options, Context& context)
      : options_(std::move(options)), context_(context) {}

  Result<p2p::LookAnswer> Look(const p2p::PartialPayload& payload) {
    p2p::LookAnswer answer;
    RETURN_IF_ERROR(ReadIndexes(payload, answer));
    if (!answer.need.empty() || answer.selection.has_value()) return answer;
    if (!options_.judge || payload.indexes_only) return answer;
    SayLicence(payload);
    NeedHeaders(payload, answer);
    if (!answer.need.empty()) return answer;
    RETURN_IF_ERROR(Judge(payload, answer));
    return answer;
  }

 private:
  static bool IsHere(const p2p::PartialPayload& payload, size_t file) {
    return payload.is_here(file, 0, payload.metainfo.files[file].size_bytes);
  }

  // The shards that a chosen index names are chosen with it.
  Result<void> ReadIndexes(const p2p::PartialPayload& payload,
                           p2p::LookAnswer& answer) {
    p2p::Selection selection = payload.selection;
    if (selection.shard_indexes.empty()) return {};
    for (const size_t index : selection.shard_indexes) {
      if (!IsHere(payload, index)) {
        const uint64_t size = payload.metainfo.files[index].size_bytes;
        answer.need.push_back({index, 0, size});
        return {};
      }
      const std::string path = payload.path_of(index);
      ASSIGN_OR_RETURN(
          const std::string text,
          verify::ReadSmallTextFile(path, verify::kMaxSafetensorsIndexBytes));
      auto read = verify::ParseSafetensorsIndex(text);
      if (!read) {
        return verify::WithContext(
            std::move(read).error(),
            StrCat("\"", EscapeForTerminal(path, 200), "\""));
      }
      RETURN_IF_ERROR(p2p::AddShards(payload.metainfo, options_.selection,
                                     index, read->shards, selection));
    }
    selection.shard_indexes.clear();
    answer.selection = std::move(selection);
    return {};
  }

  void SayLicence(const p2p::PartialPayload& payload) {
    if (licence_said_) return;
    licence_said_ = true;
    std::vector<NamedFile> files;
    for (size_t i = 0; i < payload.metainfo.files.size(); ++i) {
      if (!payload.selection.files[i] || !IsHere(payload, i)) continue;
      files.push_back({payload.metainfo.files[i].path, payload.path_of(i)});
    }
    const auto licence = FindLicence(files);
    if (!licence.has_value()) return;
    context_.output.Event("check", {{"id", "early.licence"},
                                    {"level", "structure"},
                                    {"status", "pass"},
                                    {"subject", licence->file},
                                    {"detail", licence->name},
                                    {"evidence", Fields::object()}});
    context_.output.Say(fmt::format("      licence: {} (says {})",
                                    EscapeForTerminal(licence->name, 120),
                                    EscapeForTerminal(licence->file, 120)));
  }

  // The header of a safetensors file says in its first bytes how long it is.
  void NeedHeaders(const p2p::PartialPayload& payload,
                   p2p::LookAnswer& answer) {
    for (size_t i = 0; i < payload.metainfo.files.size(); ++i) {
      const p2p::MetainfoFile& file = payload.metainfo.files[i];
      constexpr uint64_t kLengthBytes = 8;
      if (!payload.selection.files[i] || !file.path.ends_with(".safetensors") ||
          file.size_bytes <= kLengthBytes ||
          !payload.is_here(i, 0, kLengthBytes)) {
        continue;
      }
      Missed missed;
      const PartialFile source(payload, i, missed);
      std::array<std::byte, kLengthBytes> bytes{};
      if (!source.ReadAt(0, bytes)) continue;
      const auto length = verify::LoadLe<uint64_t>(bytes);
      if (length > verify::kMaxSafetensorsHeaderBytes ||
          length > file.size_bytes - kLengthBytes ||
          payload.is_here(i, 0, kLengthBytes + length)) {
        continue;
      }
      answer.need.push_back({i, 0, kLengthBytes + length});
    }
  }

  Result<void> Judge(const p2p::PartialPayload& payload,
                     p2p::LookAnswer& answer) {
    Missed missed;
    const auto open = [&](const std::string& path)
        -> Result<std::unique_ptr<verify::ByteSource>> {
      for (size_t i = 0; i < payload.metainfo.files.size(); ++i) {
        if (payload.metainfo.files[i].is_pad || !payload.selection.files[i] ||
            payload.path_of(i) != path) {
          continue;
        }
        return std::unique_ptr<verify::ByteSource>(
            std::make_unique<PartialFile>(payload, i, missed));
      }
      return Fail(ErrorCode::kNotFound,
                  StrCat("\"", EscapeForTerminal(path), "\" is not fetched"));
    };
    auto tables = verify::Checkpoint::OpenTables(payload.payload_path, open);
    if (!tables) {
      if (tables.error().id == kNotHereId && missed.range.has_value()) {
        p2p::FileRange need = *missed.range;
        const uint64_t left =
            payload.metainfo.files[need.file_index].size_bytes - need.offset;
        need.size_bytes = std::min(left, std::max(need.size_bytes, kReadAhead));
        answer.need.push_back(need);
        return {};
      }
      // An archive is judged when all of it is here.
      if (IsArchiveFile(payload.payload_path)) return {};
      return Refuse(payload, std::move(tables).error());
    }
    auto config = verify::LoadModelConfig(*tables);
    if (!config) return Refuse(payload, std::move(config).error());
    const verify::StructureReport report =
        verify::CheckStructure(tables->tensors(), *config);
    auto broken = ReportFindings(report, 0, "structure", context_);
    if (broken.has_value()) return Refuse(payload, std::move(*broken));
    context_.output.Say(
        fmt::format("      first look: {}: {} tensors as its configuration "
                    "says; fetching the rest",
                    verify::Describe(*config), report.num_tensors));
    return {};
  }

  // Only what the whole could not mend; all else is for the last check.
  Result<void> Refuse(const p2p::PartialPayload& payload, verify::Error error) {
    if (error.code != ErrorCode::kCorrupt && error.code != ErrorCode::kLimit &&
        error.code != ErrorCode::kUnsupported) {
      return {};
    }
    uint64_t total = payload.selection.WantedBytes(payload.metainfo);
    Fields evidence{{"id", error.id}};
    if (error.offset.has_value()) evidence["offset"] = *error.offset;
    context_.output.Event("check", {{"id", "early.structure"},
                                    {"level", "structure"},
                                    {"status", "fail"},
                                    {"subject", payload.payload_path},
                                    {"detail", error.message},
                                    {"evidence", std::move(evidence)}});
    error.hint +=
        StrCat(error.hint.empty() ? "" : "; ",
               "seen in its first bytes, so the rest of ", FormatSize(total),
               " was not fetched; --raw fetches it all the same");
    return verify::Unexpected(std::move(error));
  }

  EarlyCheckOptions options_;
  Context& context_;
  bool licence_said_ = false;
};

}  // namespace

p2p::LookFunction MakeEarlyCheck(EarlyCheckOptions options, Context& context) {
  // std::function copies, and all copies go on with one look.
  auto check = std::make_shared<EarlyCheck>(std::move(options), context);
  return [check](const p2p::PartialPayload& payload) {
    return check->Look(payload);
  };
}

}  // namespace cli
