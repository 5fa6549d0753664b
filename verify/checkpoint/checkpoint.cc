// SPDX-License-Identifier: Apache-2.0
#include "verify/checkpoint/checkpoint.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "verify/base/bytes.h"
#include "verify/base/text.h"
#include "verify/checkpoint/safetensors_index.h"
#include "verify/checkpoint/torch_reader.h"

namespace verify {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kIndexName = "model.safetensors.index.json";
constexpr size_t kMaxFolderEntries = 100'000;

struct FolderWeights {
  std::vector<std::string> files;  // each of them a whole checkpoint
  std::vector<std::string> parts;  // of forms that are not joined
};

// "consolidated.07.pt" -> true for extension ".pt".
bool IsNumberedPart(std::string_view name, std::string_view extension) {
  constexpr std::string_view kPrefix = "consolidated.";
  if (!name.starts_with(kPrefix) || !name.ends_with(extension)) return false;
  name.remove_prefix(kPrefix.size());
  if (name.size() <= extension.size()) return false;
  name.remove_suffix(extension.size());
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return c >= '0' && c <= '9'; });
}

Result<std::vector<std::string>> ListFiles(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  fs::directory_iterator it(folder, error);
  for (; !error && it != fs::directory_iterator(); it.increment(error)) {
    if (names.size() >= kMaxFolderEntries) {
      return Fail(ErrorCode::kLimit,
                  StrCat("\"", EscapeForTerminal(folder), "\" holds more than ",
                         kMaxFolderEntries, " files"));
    }
    std::error_code ignored;
    if (!it->is_regular_file(ignored)) continue;
    names.push_back(it->path().filename().string());
  }
  if (error) return FailErrno("list", folder, error.value());
  std::sort(names.begin(), names.end());
  return names;
}

FolderWeights FindWeights(const std::vector<std::string>& names) {
  FolderWeights found;
  for (const std::string& name : names) {
    if (name == "consolidated.00.pth" || name == "consolidated.safetensors" ||
        name == "model.safetensors" || name == kIndexName) {
      found.files.push_back(name);
    } else if (name.ends_with(".gguf")) {
      found.files.push_back(name);
    } else if (IsNumberedPart(name, ".pth") || IsNumberedPart(name, ".pt")) {
      found.parts.push_back(name);
    } else if (name.starts_with("consolidated-") &&
               name.ends_with(".safetensors")) {
      found.parts.push_back(name);
    }
  }
  return found;
}

std::vector<std::string> PathsOf(const std::string& folder,
                                 const std::vector<std::string>& names) {
  std::vector<std::string> paths;
  for (const std::string& name : names) {
    paths.push_back((fs::path(folder) / name).string());
  }
  return paths;
}

Result<std::string> ChooseFile(const std::string& folder) {
  ASSIGN_OR_RETURN(const auto names, ListFiles(folder));
  const FolderWeights found = FindWeights(names);
  const std::string shown = EscapeForTerminal(folder);
  if (!found.parts.empty()) {
    return Fail(ErrorCode::kUnsupported,
                StrCat("\"", shown, "\": weights in several parts (",
                       EscapeForTerminal(found.parts.front(), 128),
                       " and others) are not joined"))
        .Hint(
            "use the release of this model as one consolidated.00.pth, as "
            "safetensors or as GGUF");
  }
  if (found.files.empty()) {
    return Fail(ErrorCode::kNotFound,
                StrCat("\"", shown, "\": no weights in this folder"))
        .Hint(
            "looked for consolidated.00.pth, consolidated.safetensors, "
            "model.safetensors.index.json, model.safetensors and *.gguf");
  }
  if (found.files.size() > 1) {
    std::string list;
    for (const std::string& name : found.files) {
      if (!list.empty()) list += ", ";
      list += EscapeForTerminal(name, 128);
    }
    return Fail(ErrorCode::kInvalidArgument,
                StrCat("\"", shown, "\" holds weights more than once: ", list))
        .Hint("name the file to use instead of its folder");
  }
  return found.files.front();
}

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

Result<std::vector<std::string>> ListWeights(const std::string& folder) {
  ASSIGN_OR_RETURN(const auto names, ListFiles(folder));
  return PathsOf(folder, FindWeights(names).files);
}

Result<std::vector<std::string>> ListWeightParts(const std::string& folder) {
  ASSIGN_OR_RETURN(const auto names, ListFiles(folder));
  FolderWeights found = FindWeights(names);
  // The first part has the name of the only file that others have.
  for (const std::string& name : found.files) {
    if (IsNumberedPart(name, ".pth") && !found.parts.empty()) {
      found.parts.push_back(name);
    }
  }
  std::sort(found.parts.begin(), found.parts.end());
  return PathsOf(folder, found.parts);
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
  Checkpoint checkpoint;
  if (!fs::is_directory(status)) {
    const fs::path parent = fs::path(path).parent_path();
    checkpoint.folder_ = parent.empty() ? "." : parent.string();
    if (fs::path(path).filename() == kIndexName) {
      RETURN_IF_ERROR(checkpoint.ReadSharded(path, open));
    } else {
      RETURN_IF_ERROR(checkpoint.ReadFile(path, check, open));
    }
    RETURN_IF_ERROR(
        NeedTensors(checkpoint.tensors_, checkpoint.paths_.front()));
    return checkpoint;
  }
  checkpoint.folder_ = path;
  ASSIGN_OR_RETURN(const std::string name, ChooseFile(path));
  const std::string file = (fs::path(path) / name).string();
  if (name == kIndexName) {
    RETURN_IF_ERROR(checkpoint.ReadSharded(file, open));
  } else {
    RETURN_IF_ERROR(checkpoint.ReadFile(file, check, open));
  }
  RETURN_IF_ERROR(NeedTensors(checkpoint.tensors_, checkpoint.paths_.front()));
  return checkpoint;
}

Result<void> Checkpoint::ReadFile(const std::string& path, ZipCheck check,
                                  const SourceOpener& open) {
  ASSIGN_OR_RETURN(const std::unique_ptr<ByteSource> source, open(path));
  const ByteSource& file = *source;
  ASSIGN_OR_RETURN(const SniffedContent content, SniffContent(file));
  if (!content.format.has_value()) return RefuseContent(path, content);
  format_ = *content.format;
  paths_ = {path};
  switch (format_) {
    case CheckpointFormat::kTorch: {
      auto torch = ReadTorch(file, check);
      if (!torch) return WithPath(std::move(torch).error(), path);
      tensors_ = std::move(torch->tensors);
      for (const ZipEntry& record : torch->records) {
        stored_crcs_.push_back(
            {record.name, 0, record.payload_offset, record.size, record.crc32});
      }
      return {};
    }
    case CheckpointFormat::kSafetensors: {
      auto read = ReadSafetensors(file);
      if (!read) return WithPath(std::move(read).error(), path);
      tensors_ = std::move(read->tensors);
      return {};
    }
    case CheckpointFormat::kGguf: {
      auto gguf = ReadGguf(file);
      if (!gguf) return WithPath(std::move(gguf).error(), path);
      const auto parts = gguf->Unsigned("split.count");
      if (parts.has_value() && *parts > 1) {
        return Fail(ErrorCode::kUnsupported,
                    StrCat("\"", EscapeForTerminal(path), "\": one of ", *parts,
                           " parts of a split GGUF, which are not "
                           "joined"))
            .Hint(
                "join them with llama.cpp's gguf-split --merge, or fetch "
                "the model as one file");
      }
      tensors_ = gguf->tensors;
      gguf_ = std::make_unique<GgufFile>(std::move(gguf).value());
      return {};
    }
  }
  return Fail(ErrorCode::kInternal, "a format without a reader");
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
