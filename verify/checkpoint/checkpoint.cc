// SPDX-License-Identifier: Apache-2.0
#include "verify/checkpoint/checkpoint.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "verify/base/bytes.h"
#include "verify/base/text.h"
#include "verify/checkpoint/join_parts.h"
#include "verify/checkpoint/safetensors_index.h"
#include "verify/checkpoint/torch_reader.h"
#include "verify/checkpoint/weight_files.h"

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

Result<std::unique_ptr<ByteSource>> OpenOnDisk(const std::string& path) {
  ASSIGN_OR_RETURN(ReadOnlyFile file, ReadOnlyFile::Open(path));
  return std::unique_ptr<ByteSource>(
      std::make_unique<ReadOnlyFile>(std::move(file)));
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

std::string_view CheckpointFormatName(CheckpointFormat format) {
  switch (format) {
    case CheckpointFormat::kTorch:
      return "torch";
    case CheckpointFormat::kSafetensors:
      return "safetensors";
    case CheckpointFormat::kGguf:
      return "gguf";
  }
  return "unknown";
}

Result<Checkpoint> Checkpoint::Open(const std::string& path) {
  ASSIGN_OR_RETURN(Checkpoint checkpoint,
                   Read(path, ZipCheck::kAll, OpenOnDisk));
  RETURN_IF_ERROR(checkpoint.Map());
  return checkpoint;
}

Result<Checkpoint> Checkpoint::OpenTables(const std::string& path) {
  return Read(path, ZipCheck::kDirectory, OpenOnDisk);
}

Result<Checkpoint> Checkpoint::OpenTables(const std::string& path,
                                          const SourceOpener& open) {
  return Read(path, ZipCheck::kDirectory, open);
}

Result<Checkpoint> Checkpoint::Read(const std::string& path, ZipCheck check,
                                    const SourceOpener& open) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) {
    if (error && error != std::errc::no_such_file_or_directory &&
        error != std::errc::not_a_directory) {
      return FailErrno("open", path, error.value());
    }
    return Fail(ErrorCode::kNotFound,
                StrCat("\"", EscapeForTerminal(path), "\" does not exist"));
  }
  const bool is_folder = fs::is_directory(status);
  ASSIGN_OR_RETURN(const WeightSet set,
                   is_folder ? ChooseWeightSet(path) : WeightSetOf(path));
  Checkpoint checkpoint;
  const fs::path parent = fs::path(path).parent_path();
  checkpoint.folder_ = is_folder        ? path
                       : parent.empty() ? "."
                                        : parent.string();
  if (set.is_index) {
    RETURN_IF_ERROR(checkpoint.ReadSharded(set.files.front(), open));
  } else if (set.files.size() == 1) {
    RETURN_IF_ERROR(checkpoint.ReadFile(set.files.front(), check, open));
  } else {
    RETURN_IF_ERROR(checkpoint.ReadParts(set.files, check, open));
  }
  RETURN_IF_ERROR(NeedTensors(checkpoint.tensors_, checkpoint.paths_.front()));
  return checkpoint;
}

Result<Checkpoint::OneFile> Checkpoint::ReadOne(const std::string& path,
                                                ZipCheck check,
                                                const SourceOpener& open) {
  ASSIGN_OR_RETURN(const std::unique_ptr<ByteSource> source, open(path));
  const ByteSource& file = *source;
  ASSIGN_OR_RETURN(const SniffedContent content, SniffContent(file));
  if (!content.format.has_value()) return RefuseContent(path, content);
  OneFile one;
  one.format = *content.format;
  one.size = file.size();
  switch (one.format) {
    case CheckpointFormat::kTorch: {
      auto torch = ReadTorch(file, check);
      if (!torch) return WithPath(std::move(torch).error(), path);
      one.tensors = std::move(torch->tensors);
      for (const ZipEntry& record : torch->records) {
        one.crcs.push_back(
            {record.name, 0, record.payload_offset, record.size, record.crc32});
      }
      return one;
    }
    case CheckpointFormat::kSafetensors: {
      auto read = ReadSafetensors(file);
      if (!read) return WithPath(std::move(read).error(), path);
      one.tensors = std::move(read->tensors);
      return one;
    }
    case CheckpointFormat::kGguf: {
      auto gguf = ReadGguf(file);
      if (!gguf) return WithPath(std::move(gguf).error(), path);
      one.tensors = std::move(gguf->tensors);
      one.gguf = std::make_unique<GgufFile>(std::move(gguf).value());
      return one;
    }
  }
  return Fail(ErrorCode::kInternal, "a format without a reader");
}

Result<void> Checkpoint::ReadFile(const std::string& path, ZipCheck check,
                                  const SourceOpener& open) {
  ASSIGN_OR_RETURN(OneFile one, ReadOne(path, check, open));
  if (one.gguf != nullptr) {
    RETURN_IF_ERROR(CheckSplit(*one.gguf, path, 0, 1));
    one.gguf->tensors = one.tensors;
  }
  format_ = one.format;
  paths_ = {path};
  tensors_ = std::move(one.tensors);
  gguf_ = std::move(one.gguf);
  stored_crcs_ = std::move(one.crcs);
  return {};
}

Result<void> Checkpoint::ReadParts(const std::vector<std::string>& paths,
                                   ZipCheck check, const SourceOpener& open) {
  std::vector<PartTable> parts;
  for (size_t i = 0; i < paths.size(); ++i) {
    ASSIGN_OR_RETURN(OneFile one, ReadOne(paths[i], check, open));
    if (i == 0) {
      format_ = one.format;
      gguf_ = std::move(one.gguf);
    } else if (one.format != format_) {
      return Fail(ErrorCode::kCorrupt,
                  StrCat("\"", EscapeForTerminal(paths[i]), "\" is ",
                         CheckpointFormatName(one.format), ", \"",
                         EscapeForTerminal(paths[0]), "\" is ",
                         CheckpointFormatName(format_),
                         ": no parts of one model"))
          .Id("E-PARTS")
          .Hint("files of two downloads may have been mixed");
    }
    if (format_ == CheckpointFormat::kGguf) {
      RETURN_IF_ERROR(
          CheckSplit(i == 0 ? *gguf_ : *one.gguf, paths[i], i, paths.size()));
    }
    for (StoredCrc& crc : one.crcs) {
      crc.file_index = static_cast<uint32_t>(i);
      stored_crcs_.push_back(std::move(crc));
    }
    parts.push_back({paths[i], std::move(one.tensors), one.size});
  }
  ASSIGN_OR_RETURN(tensors_, JoinParts(parts));
  paths_ = paths;
  if (gguf_ == nullptr) return {};
  const auto total = gguf_->Unsigned("split.tensors.count");
  if (total.has_value() && *total != tensors_.size()) {
    return RefuseSplit(paths[0], StrCat("split.tensors.count is ", *total,
                                        ", the parts hold ", tensors_.size()));
  }
  gguf_->tensors = tensors_;
  return {};
}

Result<void> Checkpoint::ReadSharded(const std::string& index_path,
                                     const SourceOpener& open) {
  format_ = CheckpointFormat::kSafetensors;
  ASSIGN_OR_RETURN(const std::string text,
                   ReadSmallTextFile(index_path, kMaxSafetensorsIndexBytes));
  auto index = ParseSafetensorsIndex(text);
  if (!index) return WithPath(std::move(index).error(), index_path);
  std::vector<SafetensorsFile> shards;
  std::vector<uint64_t> sizes;
  for (const std::string& name : index->shards) {
    const std::string path = (fs::path(folder_) / name).string();
    auto file = open(path);
    if (!file) {
      if (file.error().code == ErrorCode::kNotFound) {
        return Fail(ErrorCode::kNotFound,
                    StrCat("\"", EscapeForTerminal(index_path),
                           "\" names the shard \"", EscapeForTerminal(name),
                           "\", which is not there"))
            .Id(kShardMissing)
            .Hint("fetch the missing file; without it the model is none");
      }
      return WithContext(std::move(file).error(),
                         StrCat("\"", EscapeForTerminal(index_path),
                                "\" names a shard that cannot be opened"));
    }
    ASSIGN_OR_RETURN(const SniffedContent content, SniffContent(**file));
    if (content.format != CheckpointFormat::kSafetensors) {
      return RefuseContent(path, content);
    }
    auto shard = ReadSafetensors(**file);
    if (!shard) return WithPath(std::move(shard).error(), path);
    shards.push_back(std::move(shard).value());
    sizes.push_back((*file)->size());
    paths_.push_back(path);
  }
  auto joined = JoinShards(*index, shards, sizes);
  if (!joined) return WithPath(std::move(joined).error(), index_path);
  tensors_ = std::move(joined).value();
  return {};
}

Result<void> Checkpoint::Map() {
  for (const std::string& path : paths_) {
    ASSIGN_OR_RETURN(MappedFile map, MappedFile::Open(path));
    maps_.push_back(std::move(map));
  }
  // The table was read through another descriptor: a file that was replaced
  // by a shorter one in between must not be read past its end.
  for (const TensorInfo& tensor : tensors_.tensors()) {
    const uint64_t size = maps_[tensor.file_index].size();
    if (tensor.offset > size || tensor.size_bytes > size - tensor.offset) {
      return Fail(ErrorCode::kCorrupt,
                  StrCat("\"", EscapeForTerminal(paths_[tensor.file_index]),
                         "\" changed while it was opened"));
    }
  }
  return {};
}

ByteSpan Checkpoint::Bytes(const TensorInfo& tensor) const {
  CHECK(tensor.file_index < maps_.size());
  const ByteSpan bytes = maps_[tensor.file_index].bytes();
  CHECK(tensor.offset <= bytes.size() &&
        tensor.size_bytes <= bytes.size() - tensor.offset);
  return bytes.subspan(static_cast<size_t>(tensor.offset),
                       static_cast<size_t>(tensor.size_bytes));
}

std::vector<const TensorInfo*> Checkpoint::TensorsIn(
    uint32_t file_index, uint64_t offset, uint64_t size_bytes) const {
  std::vector<const TensorInfo*> found;
  for (const TensorInfo& tensor : tensors_.tensors()) {
    if (tensor.file_index != file_index) continue;
    const bool ends_before = tensor.offset + tensor.size_bytes <= offset;
    const bool begins_after =
        tensor.offset >= offset && tensor.offset - offset >= size_bytes;
    if (!ends_before && !begins_after && tensor.size_bytes != 0) {
      found.push_back(&tensor);
    }
  }
  return found;
}

}  // namespace verify
