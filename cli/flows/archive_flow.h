// SPDX-License-Identifier: Apache-2.0
// What a tar or zstd archive holds and whether it is whole, without writing
// anything. Tested by tests/scripts/unpack.py.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/context.h"
#include "verify/base/result.h"
#include "verify/checkpoint/compressed_weights.h"
#include "verify/container/archive.h"
#include "verify/container/tar_reader.h"
#include "verify/container/zstd_frames.h"

namespace cli {

// Whether `path` is a tar or zstd file, by its content and not named like
// weights. False where it cannot be read.
bool IsArchiveFile(const std::string& path);

struct ArchiveReport {
  std::string kind;  // "tar", "zstd" or "tar.zst"
  uint64_t file_bytes = 0;
  // Bytes of all files in it; nothing if that would take decompressing.
  std::optional<uint64_t> content_bytes;
  // Of a tar, in order.
  std::vector<verify::TarMember> members;
  // After kAll without a seek table only the tally.
  std::optional<verify::ZstdSummary> frames;
  std::optional<verify::SeekTable> seek_table;
};

enum class ArchiveDepth {
  kNames,  // frames, seek table, members
  kAll,    // every byte decompressed and held against the checksums
};

// Reports progress as the stage `stage`, which it neither begins nor ends.
// Errors: those of Archive, TarReader, ZstdStream and CheckSeekTable,
// kCorrupt (E-ARCHIVE-NESTED: a member that is an archive), kCancelled.
verify::Result<ArchiveReport> ExamineArchive(
    const std::string& path, const verify::ArchiveOptions& options,
    ArchiveDepth depth, const std::string& stage, Context& context);

// For verify: all of the archive, as the stage "structure". What is wrong with
// the content is the value; nothing if it is right. Errors: kIo, kCancelled.
verify::Result<std::optional<verify::Error>> CheckArchive(
    const std::string& path, const verify::ArchiveOptions& options,
    Context& context);

// Says that what is in it has still to be looked at.
void WarnNotJudged(const std::string& path, Output& output);

// Weights that were compressed, with no archive around them; nothing if it is
// something else or cannot be read.
std::optional<verify::CompressedWeights> WeightsWithin(const std::string& path);

// For inspect: what it is, as fields, and printed for people. `all_members`:
// every name rather than the first ones. Errors: those of ExamineArchive.
verify::Result<CommandResult> InspectArchive(
    const std::string& path, const verify::ArchiveOptions& options,
    bool all_members, Context& context);

// Refuses a member or file that is itself an archive, by its first bytes.
// Errors: kCorrupt, id E-ARCHIVE-NESTED.
verify::Result<void> CheckNotNested(verify::ByteSpan start,
                                    std::string_view name);

// "zstd data without checksums", if so, as a warning.
void WarnOfFrames(const verify::ZstdTally& tally, Output& output);

}  // namespace cli
