// SPDX-License-Identifier: Apache-2.0
#include "verify/checkpoint/checkpoint.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "verify/base/bytes.h"
#include "verify/base/check.h"
#include "verify/base/text.h"
#include "verify/checkpoint/safetensors_index.h"
#include "verify/checkpoint/torch_reader.h"

namespace verify {
namespace {

namespace fs = std::filesystem;

// Why a file that is no weights at all is none, by what it is.
Unexpected RefuseContent(const std::string& path,
                         const SniffedContent& content) {
  const std::string message =
      StrCat("\"", EscapeForTerminal(path), "\": no weights, the content is ",
             content.description);
  if (content.description == "an HTML page") {
    return Fail(ErrorCode::kCorrupt, message)
        .Id("E-HTML")
        .Hint(
            "the download saved a web page, often a login or error page; "
            "delete it and fetch the file itself");
  }
  if (content.description == "a Git LFS pointer") {
    return Fail(ErrorCode::kCorrupt, message)
        .Id("E-LFS-POINTER")
        .Hint(
            "the repository was cloned without its large files; run "
            "\"git lfs pull\" there");
  }
  if (content.description == "an empty file" ||
      content.description == "zeros") {
    return Fail(ErrorCode::kCorrupt, message)
        .Id("E-EMPTY")
        .Hint("nothing of the download has arrived here; fetch it again");
  }
  if (content.description == "zstd data" ||
      content.description == "a tar archive") {
    return Fail(ErrorCode::kCorrupt, message)
        .Id("E-CONTENT")
        .Hint("if it is an archive of weights, lodestone unpack opens it");
  }
  if (content.description == "a bare pickle") {
    return Fail(ErrorCode::kCorrupt, message)
        .Id("E-CONTENT")
        .Hint("it could only be read by running it; nothing was executed");
  }
  return Fail(ErrorCode::kCorrupt, message).Id("E-CONTENT");
}

Unexpected RefuseCompressed(const std::string& path,
                            const CompressedWeights& weights) {
  return Fail(ErrorCode::kUnsupported,
              StrCat("\"", EscapeForTerminal(path), "\" is ",
                     weights.content.description,
                     " compressed by zstd, which can be looked at but not "
                     "computed with"))
      .Id("E-COMPRESSED")
      .Hint(StrCat(
          "lodestone unpack ", EscapeForTerminal(path),
          weights.size_bytes.has_value()
              ? StrCat(" writes it out, ", FormatSize(*weights.size_bytes))
              : std::string(" writes it out")));
}

// What of compressed files stays in memory while they are read: of all frames
// that are at hand together, and of what was passed in a file that has none.
constexpr uint64_t kKeepFrameBytes = 256u << 20;
constexpr uint64_t kKeepPassedBytes = 32u << 20;

Result<std::unique_ptr<ByteSource>> OpenOnDisk(const std::string& path) {
  ASSIGN_OR_RETURN(ReadOnlyFile file, ReadOnlyFile::Open(path));
  return std::unique_ptr<ByteSource>(
      std::make_unique<ReadOnlyFile>(std::move(file)));
}

// Names of pieces do not always say how many there are: that the last is
// missing looks like damage.
Error AboutPieces(Error error, const WeightSet& set, size_t index) {
  const size_t count = set.pieces[index].size();
  if (count > 0) {
    error.hint += StrCat(error.hint.empty() ? "" : "; ", "read from ", count,
                         " pieces; one may be missing behind the last");
  }
  return error;
}

// Each of the formats can hold nothing at all.
Result<void> NeedTensors(const TensorTable& tensors, const std::string& path) {
  if (tensors.size() > 0) return {};
  return Fail(ErrorCode::kCorrupt,
              StrCat("\"", EscapeForTerminal(path), "\" holds no tensors"))
      .Id("E-EMPTY");
}

Unexpected WithPath(Error error, const std::string& path) {
  return WithContext(std::move(error),
                     StrCat("\"", EscapeForTerminal(path), "\""));
}

Unexpected RefuseSplit(const std::string& path, std::string_view what) {
  return Fail(ErrorCode::kCorrupt,
              StrCat("\"", EscapeForTerminal(path), "\": ", what))
      .Id("E-GGUF-SPLIT")
      .Hint(
          "a split model keeps the names it was written with: "
          "NAME-00001-of-0000N.gguf and so on, all in one folder");
}

// A file that was found as part `index` of `count` has to say the same.
Result<void> CheckSplit(const GgufFile& gguf, const std::string& path,
                        size_t index, size_t count) {
  const uint64_t says_count = gguf.Unsigned("split.count").value_or(1);
  const uint64_t says_index = gguf.Unsigned("split.no").value_or(0);
  if (std::max<uint64_t>(says_count, 1) == count && says_index == index) {
    return {};
  }
  return RefuseSplit(
      path, StrCat("says that it is part ", says_index + 1, " of ", says_count,
                   ", by its name it is part ", index + 1, " of ", count));
}

}  // namespace

Result<Checkpoint> Checkpoint::Open(const std::string& path,
                                    CompressedFiles compressed,
                                    const Waiter& waiter) {
  ASSIGN_OR_RETURN(
      Checkpoint checkpoint,
      Read(path, {ZipCheck::kAll, compressed, OpenOnDisk, waiter.cancel}));
  RETURN_IF_ERROR(checkpoint.Map(compressed, waiter));
  return checkpoint;
}

Result<Checkpoint> Checkpoint::OpenTables(const std::string& path) {
  return OpenTables(path, OpenOnDisk);
}

Result<Checkpoint> Checkpoint::OpenTables(const std::string& path,
                                          const SourceOpener& open) {
  return Read(path, {ZipCheck::kDirectory, CompressedFiles::kRefuse, open});
}

Result<Checkpoint> Checkpoint::Read(const std::string& path,
                                    const Access& access) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  const bool is_folder = fs::is_directory(status);
  const auto does_not_exist = [&]() {
    return Fail(ErrorCode::kNotFound,
                StrCat("\"", EscapeForTerminal(path), "\" does not exist"));
  };
  if (!fs::exists(status) && error &&
      error != std::errc::no_such_file_or_directory &&
      error != std::errc::not_a_directory) {
    return FailErrno("open", path, error.value());
  }
  auto found = is_folder ? ChooseWeightSet(path) : WeightSetOf(path);
  // What is not there under its name may be there in pieces.
  if (!fs::exists(status) &&
      (found ? !found->in_pieces() : found.error().id != kShardMissing)) {
    return does_not_exist();
  }
  ASSIGN_OR_RETURN(const WeightSet set, std::move(found));
  Checkpoint checkpoint;
  const fs::path parent = fs::path(path).parent_path();
  checkpoint.folder_ = is_folder        ? path
                       : parent.empty() ? "."
                                        : parent.string();
  if (set.is_index) {
    RETURN_IF_ERROR(checkpoint.ReadSharded(set.files.front(), access));
  } else if (set.files.size() == 1) {
    RETURN_IF_ERROR(checkpoint.ReadFile(set, access));
  } else {
    RETURN_IF_ERROR(checkpoint.ReadParts(set, access));
  }
  RETURN_IF_ERROR(NeedTensors(checkpoint.tensors_, checkpoint.whole_file(0)));
  return checkpoint;
}

Result<Checkpoint::Opened> Checkpoint::OpenJoined(const WeightSet& set,
                                                  size_t index,
                                                  const SourceOpener& open) {
  const std::vector<std::string>& pieces = set.pieces[index];
  Opened opened;
  if (pieces.empty()) {
    ASSIGN_OR_RETURN(opened.file, open(set.files[index]));
    opened.begins = {0, opened.file->size()};
    return opened;
  }
  std::vector<std::unique_ptr<ByteSource>> files;
  for (const std::string& piece : pieces) {
    ASSIGN_OR_RETURN(std::unique_ptr<ByteSource> file, open(piece));
    files.push_back(std::move(file));
  }
  ASSIGN_OR_RETURN(std::unique_ptr<JoinedSource> joined,
                   JoinedSource::Create(set.files[index], std::move(files)));
  opened.begins = joined->begins();
  opened.file = std::move(joined);
  return opened;
}

Result<void> Checkpoint::Recognise(const std::string& path, size_t num_files,
                                   const Access& access, Opened& opened) {
  ASSIGN_OR_RETURN(opened.is, SniffContent(*opened.file));
  if (opened.is.format.has_value()) return {};
  auto inside = LookIntoCompressed(*opened.file);
  if (!inside || !inside->has_value()) return RefuseContent(path, opened.is);
  const CompressedWeights& weights = **inside;
  // Tables alone are read through the frames that hold them.
  const bool tables_only = access.check == ZipCheck::kDirectory;
  if (tables_only ? !weights.seekable
                  : access.compressed == CompressedFiles::kRefuse) {
    return RefuseCompressed(path, weights);
  }
  const uint64_t keep = weights.seekable ? kKeepFrameBytes : kKeepPassedBytes;
  auto content = OpenCompressedContent(std::move(opened.file), keep / num_files,
                                       access.cancel);
  if (!content) return WithPath(std::move(content).error(), path);
  opened.content = *std::move(content);
  opened.is = weights.content;
  opened.begins = {0, opened.source().size()};
  return {};
}

Result<Checkpoint::OneFile> Checkpoint::ReadOne(const WeightSet& set,
                                                size_t index,
                                                const Access& access) {
  const std::string& path = set.files[index];
  OneFile one;
  ASSIGN_OR_RETURN(one.opened, OpenJoined(set, index, access.open));
  RETURN_IF_ERROR(Recognise(path, set.files.size(), access, one.opened));
  const ByteSource& file = one.opened.source();
  one.format = *one.opened.is.format;
  const auto refuse = [&](Error error) {
    return WithPath(AboutPieces(std::move(error), set, index), path);
  };
  switch (one.format) {
    case CheckpointFormat::kTorch: {
      auto torch = ReadTorch(file, access.check);
      if (!torch) return refuse(std::move(torch).error());
      one.tensors = std::move(torch->tensors);
      for (const ZipEntry& record : torch->records) {
        one.crcs.push_back(
            {record.name, 0, record.payload_offset, record.size, record.crc32});
      }
      return one;
    }
    case CheckpointFormat::kSafetensors: {
      auto read = ReadSafetensors(file);
      if (!read) return refuse(std::move(read).error());
      one.tensors = std::move(read->tensors);
      return one;
    }
    case CheckpointFormat::kGguf: {
      auto gguf = ReadGguf(file);
      if (!gguf) return refuse(std::move(gguf).error());
      one.tensors = std::move(gguf->tensors);
      one.gguf = std::make_unique<GgufFile>(std::move(gguf).value());
      return one;
    }
  }
  return Fail(ErrorCode::kInternal, "a format without a reader");
}

void Checkpoint::AddFile(const WeightSet& set, size_t index, Opened opened) {
  whole_.push_back({set.files[index], paths_.size(), std::move(opened.begins)});
  const std::vector<std::string>& pieces = set.pieces[index];
  paths_.insert(paths_.end(), pieces.begin(), pieces.end());
  if (pieces.empty()) paths_.push_back(set.files[index]);
  if (opened.content.source == nullptr) return;
  contents_.resize(paths_.size());
  contents_.back() = std::move(opened.content);
}

Result<void> Checkpoint::ReadFile(const WeightSet& set, const Access& access) {
  ASSIGN_OR_RETURN(OneFile one, ReadOne(set, 0, access));
  if (one.gguf != nullptr) {
    RETURN_IF_ERROR(CheckSplit(*one.gguf, set.files.front(), 0, 1));
    one.gguf->tensors = one.tensors;
  }
  format_ = one.format;
  AddFile(set, 0, std::move(one.opened));
  tensors_ = std::move(one.tensors);
  gguf_ = std::move(one.gguf);
  stored_crcs_ = std::move(one.crcs);
  return {};
}

Result<void> Checkpoint::ReadParts(const WeightSet& set, const Access& access) {
  std::vector<PartTable> parts;
  for (size_t i = 0; i < set.files.size(); ++i) {
    const std::string& path = set.files[i];
    ASSIGN_OR_RETURN(OneFile one, ReadOne(set, i, access));
    if (i == 0) {
      format_ = one.format;
      gguf_ = std::move(one.gguf);
    } else if (one.format != format_) {
      return Fail(ErrorCode::kCorrupt,
                  StrCat("\"", EscapeForTerminal(path), "\" is ",
                         CheckpointFormatName(one.format), ", \"",
                         EscapeForTerminal(set.files[0]), "\" is ",
                         CheckpointFormatName(format_),
                         ": no parts of one model"))
          .Id("E-PARTS")
          .Hint("files of two downloads may have been mixed");
    }
    if (format_ == CheckpointFormat::kGguf) {
      RETURN_IF_ERROR(
          CheckSplit(i == 0 ? *gguf_ : *one.gguf, path, i, set.files.size()));
    }
    for (StoredCrc& crc : one.crcs) {
      crc.file_index = static_cast<uint32_t>(i);
      stored_crcs_.push_back(std::move(crc));
    }
    parts.push_back({path, std::move(one.tensors), one.opened.begins.back()});
    AddFile(set, i, std::move(one.opened));
  }
  ASSIGN_OR_RETURN(JoinedParts joined, JoinParts(parts));
  tensors_ = std::move(joined.tensors);
  copies_ = std::move(joined.copies);
  if (gguf_ == nullptr) return {};
  const auto total = gguf_->Unsigned("split.tensors.count");
  if (total.has_value() && *total != tensors_.size()) {
    return RefuseSplit(set.files[0],
                       StrCat("split.tensors.count is ", *total,
                              ", the parts hold ", tensors_.size()));
  }
  gguf_->tensors = tensors_;
  return {};
}

Result<void> Checkpoint::ReadSharded(const std::string& index_path,
                                     const Access& access) {
  format_ = CheckpointFormat::kSafetensors;
  ASSIGN_OR_RETURN(const std::string text,
                   ReadSmallTextFile(index_path, kMaxSafetensorsIndexBytes));
  auto index = ParseSafetensorsIndex(text);
  if (!index) return WithPath(std::move(index).error(), index_path);
  std::vector<SafetensorsFile> shards;
  std::vector<uint64_t> sizes;
  WeightSet set;
  for (const std::string& name : index->shards) {
    set.files.push_back(PathHere((fs::path(folder_) / name).string()));
    set.pieces.emplace_back();
  }
  for (size_t i = 0; i < set.files.size(); ++i) {
    const std::string& path = set.files[i];
    auto opened = OpenJoined(set, i, access.open);
    if (!opened) {
      if (opened.error().code == ErrorCode::kNotFound) {
        return Fail(ErrorCode::kNotFound,
                    StrCat("\"", EscapeForTerminal(index_path),
                           "\" names the shard \"",
                           EscapeForTerminal(index->shards[i]),
                           "\", which is not there"))
            .Id(kShardMissing)
            .Hint("fetch the missing file; without it the model is none");
      }
      return WithContext(std::move(opened).error(),
                         StrCat("\"", EscapeForTerminal(index_path),
                                "\" names a shard that cannot be opened"));
    }
    RETURN_IF_ERROR(Recognise(path, set.files.size(), access, *opened));
    if (opened->is.format != CheckpointFormat::kSafetensors) {
      return RefuseContent(path, opened->is);
    }
    auto shard = ReadSafetensors(opened->source());
    if (!shard) return WithPath(std::move(shard).error(), path);
    shards.push_back(std::move(shard).value());
    sizes.push_back(opened->source().size());
    AddFile(set, i, *std::move(opened));
  }
  auto joined = JoinShards(*index, shards, sizes);
  if (!joined) return WithPath(std::move(joined).error(), index_path);
  tensors_ = std::move(joined).value();
  return {};
}

}  // namespace verify
