// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/convert.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include "inference/convert/gguf_metadata.h"
#include "inference/convert/gguf_writer.h"
#include "inference/convert/quant_policy.h"
#include "inference/convert/tensor_stream.h"
#include "inference/quant/quantize.h"
#include "inference/tensor/stored_matrix.h"
#include "inference/text/load_tokenizer.h"
#include "verify/base/file.h"
#include "verify/base/text.h"
#include "verify/checkpoint/checkpoint.h"
#include "verify/structure/architecture.h"
#include "verify/structure/model_config.h"
#include "verify/structure/structure_check.h"

namespace inference {
namespace {

namespace fs = std::filesystem;
using verify::AtomicFileWriter;
using verify::ByteSpan;
using verify::Checkpoint;
using verify::DType;
using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::ModelConfig;
using verify::NameScheme;
using verify::Result;
using verify::StrCat;
using verify::TensorRole;
using verify::TensorSpec;
using verify::TokenizerModel;

// A tensor of the result and the tensors whose rows it is made of, in order:
// one, or one per expert.
struct PlannedTensor {
  TensorSpec spec;
  DType dtype = DType::kF32;
  std::vector<StoredMatrix> sources;
};

struct Plan {
  GgufHeader header;
  std::vector<PlannedTensor> tensors;
  std::string header_bytes;
  uint64_t total_bytes = 0;
  std::vector<std::string> notes;
};

std::string Quoted(const std::string& path) {
  return StrCat("\"", EscapeForTerminal(path), "\"");
}

Result<void> CheckOptions(const ConvertOptions& options) {
  if (!CanEncode(options.to)) {
    return Fail(ErrorCode::kUnsupported,
                StrCat("conversion to ", verify::DTypeName(options.to),
                       " is not implemented"))
        .Id("E-DTYPE")
        .Hint(
            "choose bf16, q8_0, q4_k or another type that `lodestone help "
            "convert` lists");
  }
  if (options.output.empty()) {
    return Fail(ErrorCode::kInvalidArgument, "no name for the result");
  }
  return {};
}

Result<void> CheckOutputPath(const ConvertOptions& options,
                             const Checkpoint& checkpoint) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(options.output, error);
  if (!fs::exists(status)) return {};
  for (const std::string& input : checkpoint.files()) {
    std::error_code ignored;
    if (fs::equivalent(input, options.output, ignored)) {
      return Fail(ErrorCode::kInvalidArgument,
                  StrCat(Quoted(options.output),
                         " is the file to be converted itself"));
    }
  }
  if (!options.overwrite || !fs::is_regular_file(status)) {
    return Fail(ErrorCode::kIo,
                StrCat(Quoted(options.output), " already exists"))
        .Id("E-EXISTS")
        .Hint("choose another name, or remove what is there");
  }
  return {};
}

Result<void> CheckStructureOf(const Checkpoint& checkpoint,
                              const ModelConfig& config) {
  const verify::StructureReport report =
      verify::CheckStructure(checkpoint, config);
  for (const verify::StructureFinding& finding : report.findings) {
    if (!finding.fatal()) continue;
    return Fail(ErrorCode::kCorrupt,
                StrCat(Quoted(checkpoint.files().front()), ": tensor \"",
                       EscapeForTerminal(finding.tensor), "\" is ",
                       verify::FindingKindName(finding.kind),
                       finding.detail.empty() ? "" : ": ", finding.detail))
        .Id("E-STRUCTURE");
  }
  return {};
}

Result<PlannedTensor> PlanTensor(const Checkpoint& checkpoint,
                                 const ModelConfig& config, TensorSpec spec,
                                 DType to) {
  PlannedTensor planned;
  planned.dtype = ChooseType(spec, to);
  const bool of_experts = spec.shape.size() == 3;
  const int64_t num_sources =
      of_experts ? static_cast<int64_t>(config.num_experts) : 1;
  for (int64_t i = 0; i < num_sources; ++i) {
    ASSIGN_OR_RETURN(const StoredMatrix source,
                     FindStoredMatrix(checkpoint, config, spec.role, spec.layer,
                                      of_experts ? i : -1));
    planned.sources.push_back(source);
  }
  planned.spec = std::move(spec);
  return planned;
}

Result<void> CheckVocabulary(const Checkpoint& checkpoint,
                             const TokenizerModel& tokenizer,
                             const ModelConfig& config, Plan& plan) {
  const uint64_t num_pieces = tokenizer.pieces.size();
  if (num_pieces > config.vocab_size) {
    return Fail(ErrorCode::kCorrupt,
                StrCat("\"",
                       verify::EscapeForTerminal(checkpoint.files().front()),
                       "\": the tokenizer has ", num_pieces,
                       " pieces, the model only ", config.vocab_size,
                       " rows of embedding"))
        .Id("E-TOKENIZER")
        .Hint("this tokenizer.model belongs to another model");
  }
  // Normalisation that GGUF readers do not know would change every prompt.
  if (tokenizer.algorithm != TokenizerModel::Algorithm::kBpe ||
      !tokenizer.precompiled_charsmap.empty() ||
      !tokenizer.escape_whitespaces) {
    return Fail(ErrorCode::kUnsupported,
                "only SentencePiece BPE without normalisation rules can be "
                "written to GGUF for this architecture")
        .Id("E-TOKENIZER");
  }
  if (num_pieces < config.vocab_size) {
    plan.notes.push_back(StrCat(config.vocab_size - num_pieces,
                                " rows of embedding have no piece in the "
                                "tokenizer; their tokens are marked unused"));
  }
  return {};
}

Result<Plan> MakePlan(const Checkpoint& checkpoint, const ModelConfig& config,
                      const TokenizerModel& tokenizer, DType to) {
  Plan plan;
  RETURN_IF_ERROR(CheckVocabulary(checkpoint, tokenizer, config, plan));
  std::string name = verify::Describe(config);
  if (checkpoint.gguf() != nullptr) {
    const std::string* given = checkpoint.gguf()->String("general.name");
    if (given != nullptr) name = *given;
  }
  AddModelMetadata(plan.header, config, name, to);
  AddTokenizerMetadata(plan.header, tokenizer, config.vocab_size);

  std::set<DType> kept;
  for (TensorSpec& spec : verify::ExpectedTensors(config, NameScheme::kGguf)) {
    ASSIGN_OR_RETURN(PlannedTensor planned,
                     PlanTensor(checkpoint, config, std::move(spec), to));
    plan.tensors.push_back(std::move(planned));
    const PlannedTensor& tensor = plan.tensors.back();
    RETURN_IF_ERROR(plan.header.AddTensor(tensor.spec.name, tensor.spec.shape,
                                          tensor.dtype));
    if (tensor.dtype == to || tensor.dtype == DType::kF32) continue;
    if (kept.insert(tensor.dtype).second) {
      plan.notes.push_back(
          StrCat("rows of ", tensor.spec.shape.back(), " (\"", tensor.spec.name,
                 "\" and such) are no whole number of ", verify::DTypeName(to),
                 " blocks of ", verify::BlockElements(to), "; written as ",
                 verify::DTypeName(tensor.dtype)));
    }
  }
  plan.header_bytes = plan.header.Bytes();
  const auto total = verify::CheckedAdd<uint64_t>(plan.header_bytes.size(),
                                                  plan.header.data_bytes());
  if (!total.has_value()) {
    return Fail(ErrorCode::kLimit, "the result would pass 2^64 bytes");
  }
  plan.total_bytes = *total;
  return plan;
}

verify::Unexpected DiskFull(const std::string& path, uint64_t needed,
                            uint64_t free) {
  return Fail(ErrorCode::kIo,
              StrCat(Quoted(path), ": ", needed, " bytes (",
                     verify::FormatSize(needed), ") needed, ", free, " (",
                     verify::FormatSize(free), ") free"))
      .Id("E-DISK-FULL");
}

std::string ParentOf(const std::string& path) {
  const std::string parent = fs::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

// Takes the space at once, so that a disk cannot fill up after an hour.
Result<void> Reserve(const AtomicFileWriter& writer, const std::string& path,
                     uint64_t bytes) {
  ASSIGN_OR_RETURN(const uint64_t free, verify::FreeBytes(ParentOf(path)));
  if (free < bytes) return DiskFull(path, bytes, free);
  if (::fallocate(writer.fd(), 0, 0, static_cast<off_t>(bytes)) != 0 &&
      errno == ENOSPC) {
    return DiskFull(path, bytes, free);
  }
  return {};  // else a file system that cannot; writing will tell
}

// Advice to the system about the pages of `bytes`, which are a file's, mapped
// read-only; it may ignore it.
void AdvisePages(ByteSpan bytes, int advice) {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(bytes.data());
  const uintptr_t end = begin + bytes.size();
  // Whole pages inside: those at the ends hold neighbours too.
  const uintptr_t first = (begin + page - 1) / page * page;
  const uintptr_t last = end / page * page;
  if (first < last) {
    ::madvise(reinterpret_cast<void*>(first), last - first, advice);
  }
}

Result<void> WriteTensors(const Plan& plan, const ConvertOptions& options,
                          const verify::CancelToken& cancel,
                          verify::ProgressSink* progress,
                          AtomicFileWriter& writer) {
  verify::ThreadPool pool(options.num_threads);
  uint64_t done = plan.header_bytes.size();
  for (size_t i = 0; i < plan.tensors.size(); ++i) {
    const PlannedTensor& tensor = plan.tensors[i];
    const uint64_t end = plan.header_bytes.size() +
                         plan.header.tensor_offset(i) +
                         plan.header.tensor_bytes(i);
    const ByteSink sink = [&](ByteSpan bytes) -> Result<void> {
      RETURN_IF_ERROR(writer.Write(bytes));
      done += bytes.size();
      if (progress != nullptr) {
        progress->OnProgress(tensor.spec.name, done, plan.total_bytes);
      }
      return {};
    };
    for (const StoredMatrix& source : tensor.sources) {
      AdvisePages(source.bytes, MADV_WILLNEED);
      RETURN_IF_ERROR(StreamRows(source, tensor.dtype, pool, cancel, sink));
      // Not needed again; kept, 90 GB would push all else out of memory.
      AdvisePages(source.bytes, MADV_DONTNEED);
    }
    CHECK(done == end);
    const uint64_t padding =
        plan.header.padded_bytes(i) - plan.header.tensor_bytes(i);
    const std::vector<std::byte> zeros(static_cast<size_t>(padding));
    RETURN_IF_ERROR(writer.Write(zeros));
    done += padding;
  }
  CHECK(done == plan.total_bytes);
  return {};
}

bool SameModel(const ModelConfig& a, const ModelConfig& b) {
  const auto close = [](double x, double y) {
    return static_cast<float>(x) == static_cast<float>(y);
  };
  return a.dim == b.dim && a.num_layers == b.num_layers &&
         a.head_dim == b.head_dim && a.ff_dim == b.ff_dim &&
         a.num_heads == b.num_heads && a.num_kv_heads == b.num_kv_heads &&
         a.vocab_size == b.vocab_size && close(a.norm_eps, b.norm_eps) &&
         close(a.rope_theta, b.rope_theta) &&
         a.sliding_window == b.sliding_window &&
         a.num_experts == b.num_experts &&
         a.num_experts_per_token == b.num_experts_per_token &&
         a.context_len == b.context_len &&
         a.tied_embeddings == b.tied_embeddings;
}

// What was written is untrusted until verify has opened it.
Result<void> CheckResult(const std::string& path, const ModelConfig& config) {
  const auto check = [&]() -> Result<void> {
    ASSIGN_OR_RETURN(const Checkpoint written, Checkpoint::Open(path));
    ASSIGN_OR_RETURN(const ModelConfig read, verify::LoadModelConfig(written));
    RETURN_IF_ERROR(CheckStructureOf(written, read));
    RETURN_IF_ERROR(LoadTokenizerModel(written));
    if (!SameModel(read, config)) {
      return Fail(ErrorCode::kInternal, "the configuration reads differently");
    }
    return {};
  };
  Result<void> result = check();
  if (result) return {};
  verify::Error error = std::move(result).error();
  error.code = ErrorCode::kInternal;
  return verify::WithContext(std::move(error),
                             "the result does not pass its own check");
}

}  // namespace

Result<ConvertOutcome> Convert(const ConvertOptions& options,
                               const verify::CancelToken& cancel,
                               verify::ProgressSink* progress) {
  RETURN_IF_ERROR(CheckOptions(options));
  ASSIGN_OR_RETURN(const Checkpoint checkpoint,
                   Checkpoint::Open(options.input));
  RETURN_IF_ERROR(CheckOutputPath(options, checkpoint));
  ASSIGN_OR_RETURN(const ModelConfig config,
                   verify::LoadModelConfig(checkpoint));
  RETURN_IF_ERROR(verify::CheckRunnable(config));
  RETURN_IF_ERROR(CheckStructureOf(checkpoint, config));
  ASSIGN_OR_RETURN(const TokenizerModel tokenizer,
                   LoadTokenizerModel(checkpoint));
  ASSIGN_OR_RETURN(Plan plan,
                   MakePlan(checkpoint, config, tokenizer, options.to));

  ASSIGN_OR_RETURN(AtomicFileWriter writer,
                   AtomicFileWriter::Create(options.output));
  RETURN_IF_ERROR(Reserve(writer, options.output, plan.total_bytes));
  RETURN_IF_ERROR(writer.Write(verify::AsBytes(plan.header_bytes)));
  RETURN_IF_ERROR(WriteTensors(plan, options, cancel, progress, writer));
  RETURN_IF_ERROR(CheckResult(writer.temporary_path(), config));
  if (cancel.cancelled()) {
    return Fail(ErrorCode::kCancelled, "the conversion was cancelled");
  }
  // Somebody may have put a file there since.
  RETURN_IF_ERROR(CheckOutputPath(options, checkpoint));
  RETURN_IF_ERROR(writer.Commit());
  return ConvertOutcome{.path = options.output,
                        .bytes = plan.total_bytes,
                        .num_tensors = plan.tensors.size(),
                        .notes = std::move(plan.notes)};
}

}  // namespace inference
