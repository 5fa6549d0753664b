// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/convert.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "inference/convert/calibration.h"
#include "inference/convert/calibration_text.h"
#include "inference/convert/convert_plan.h"
#include "inference/convert/importance_file.h"
#include "inference/convert/partial_result.h"
#include "inference/convert/pipeline.h"
#include "inference/convert/plan_gguf.h"
#include "inference/convert/plan_safetensors.h"
#include "inference/convert/quant_policy.h"
#include "inference/convert/source_reader.h"
#include "inference/convert/source_state.h"
#include "inference/model/model.h"
#include "inference/quant/quantize.h"
#include "inference/text/load_tokenizer.h"
#include "verify/base/file.h"
#include "verify/base/text.h"
#include "verify/base/thread_pool.h"
#include "verify/container/xxh64.h"
#include "verify/structure/structure_check.h"

namespace inference {
namespace {

namespace fs = std::filesystem;
using verify::ByteSpan;
using verify::Checkpoint;
using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::ModelConfig;
using verify::Result;
using verify::StrCat;

// Units of an earlier run that are looked at between two reports.
constexpr size_t kUnitsPerReport = 64;

std::string Quoted(const std::string& path) {
  return StrCat("\"", EscapeForTerminal(path), "\"");
}

Result<void> CheckOptions(const ConvertOptions& options) {
  const std::string name = WeightTypeName({options.to, options.mix});
  if (!CanEncode(options.to) || !ParseWeightType(name).has_value()) {
    return Fail(ErrorCode::kUnsupported,
                StrCat("conversion to ", name, " is not implemented"))
        .Id("E-DTYPE")
        .Hint(
            "choose bf16, q8_0, q4_k_m or another type that `lodestone help "
            "convert` lists");
  }
  const std::string plain = fs::path(options.output).filename().string();
  if (plain.empty() || plain == "." || plain == "..") {
    return Fail(ErrorCode::kInvalidArgument, "no name for the result");
  }
  return {};
}

Result<void> CheckOutputPath(const std::string& path, bool may_replace,
                             const Checkpoint& checkpoint) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(path, error);
  if (!fs::exists(status)) return {};
  for (const std::string& input : checkpoint.files()) {
    std::error_code ignored;
    if (fs::equivalent(input, path, ignored)) {
      return Fail(ErrorCode::kInvalidArgument,
                  StrCat(Quoted(path), " is the file to be converted itself"));
    }
  }
  if (may_replace && fs::is_regular_file(status)) return {};
  return Fail(ErrorCode::kIo, StrCat(Quoted(path), " already exists"))
      .Id("E-EXISTS")
      .Hint("choose another name, or remove what is there");
}

Result<void> CheckOutputPaths(const ConvertOptions& options,
                              const ConvertPlan& plan,
                              const Checkpoint& checkpoint) {
  for (const std::string& path : FinalPaths(options.output, plan)) {
    RETURN_IF_ERROR(CheckOutputPath(path, options.overwrite && !plan.is_folder,
                                    checkpoint));
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

// That the form has a name for each number of the model.
Result<void> CheckHasNames(const ModelConfig& config, ResultForm form) {
  using verify::NameScheme;
  const auto parameters = [&](NameScheme scheme) {
    uint64_t sum = 0;
    for (const auto& spec : verify::ExpectedTensors(config, scheme)) {
      sum += spec.num_parameters();
    }
    return sum;
  };
  const NameScheme scheme = form == ResultForm::kGguf ? NameScheme::kGguf
                            : form == ResultForm::kHuggingFace
                                ? NameScheme::kHuggingFace
                                : NameScheme::kMistral;
  if (parameters(scheme) == parameters(config.names)) return {};
  const std::string_view name = form == ResultForm::kGguf ? "GGUF"
                                : form == ResultForm::kHuggingFace
                                    ? "Hugging Face's layout"
                                    : "Mistral's layout";
  bool is_mixed = false;
  for (uint64_t l = 0; l < config.num_layers; ++l) {
    is_mixed |= config.is_moe() != config.is_moe_layer(l);
  }
  return Fail(ErrorCode::kUnsupported,
              StrCat(name, " has no names for ",
                     is_mixed ? "layers without experts in " : "",
                     verify::FamilyName(config.family)))
      .Id("E-ARCHITECTURE")
      .Hint("chat and verify run this model as it is; `--format hf` keeps it");
}

// That errors can be weighed at all in what is asked for.
Result<void> CheckImportanceChoice(const ConvertOptions& options) {
  const ImportanceChoice& choice = options.importance;
  if (choice.from == ImportanceChoice::From::kNone) return {};
  if (options.form == ResultForm::kGguf && UsesImportance(options.to)) {
    return {};
  }
  return Fail(ErrorCode::kInvalidArgument,
              StrCat("--imatrix weighs the errors of packed types whose scales "
                     "are searched for, ",
                     WeightTypeName({options.to, options.mix}),
                     options.form == ResultForm::kGguf ? " is none of them"
                                                       : " is no packed type"))
      .Id("E-USAGE")
      .Hint("leave --imatrix out, or choose --to q4_k or another of them");
}

Result<ImportanceMatrix> RunCalibration(const ConvertOptions& options,
                                        const verify::CancelToken& cancel,
                                        verify::ProgressSink* progress) {
  const std::string& file = options.importance.calibration;
  CalibrationText text{CalibrationTextOfProgram(), kCalibrationTextName};
  std::string own_text;
  const std::string own_name = fs::path(file).filename().string();
  if (!file.empty()) {
    ASSIGN_OR_RETURN(own_text,
                     verify::ReadSmallTextFile(file, kMaxCalibrationBytes));
    text = {own_text, own_name};
  }
  auto model = Model::Load(options.input, {.num_threads = options.num_threads,
                                           .waiter = {&cancel, progress}});
  if (!model) {
    verify::Error error = std::move(model).error();
    // Such as weights in fp8, which are converted and not computed with.
    if (error.code == ErrorCode::kUnsupported) {
      error.hint =
          "convert it to bf16 first, measure that with --imatrix auto "
          "--save-imatrix FILE, and give the file here with --imatrix FILE";
    }
    return verify::WithContext(std::move(error),
                               "importance is measured by running the model");
  }
  return Calibrate(**model, text, cancel, progress);
}

Result<std::optional<ImportanceMatrix>> FindImportance(
    const ConvertOptions& options, const ModelConfig& config,
    const verify::CancelToken& cancel, verify::ProgressSink* progress) {
  const ImportanceChoice& choice = options.importance;
  std::optional<ImportanceMatrix> found;
  if (choice.from == ImportanceChoice::From::kNone) return found;
  if (choice.from == ImportanceChoice::From::kFile) {
    ASSIGN_OR_RETURN(found, ReadImportance(choice.file));
    auto fits = CheckImportance(*found, config);
    if (!fits) {
      return verify::WithContext(std::move(fits).error(), Quoted(choice.file));
    }
  } else {
    ASSIGN_OR_RETURN(found, RunCalibration(options, cancel, progress));
  }
  if (!choice.save_to.empty()) {
    RETURN_IF_ERROR(verify::WriteFileAtomically(
        choice.save_to, verify::AsBytes(SerializeImportance(*found))));
  }
  return found;
}

Result<ConvertPlan> MakePlan(const ConvertSource& source,
                             const ConvertOptions& options) {
  RETURN_IF_ERROR(CheckHasNames(source.config, options.form));
  ASSIGN_OR_RETURN(ConvertPlan plan, options.form == ResultForm::kGguf
                                         ? PlanGguf(source, options)
                                         : PlanSafetensors(source, options));
  ASSIGN_OR_RETURN(plan.units,
                   CutUnits(plan.tensors, {options.unit_bytes,
                                           source.checkpoint.is_compressed()}));
  if (plan.total_bytes() > static_cast<uint64_t>(INT64_MAX)) {
    return Fail(ErrorCode::kLimit, "the result would pass 2^63 bytes");
  }
  return plan;
}

// One conversion, from the plan on.
class Conversion {
 public:
  Conversion(const ConvertOptions& options, const ConvertSource& source,
             SourceState state, ConvertPlan plan,
             const verify::CancelToken& cancel, verify::ProgressSink* progress)
      : options_(options),
        source_(source),
        state_(std::move(state)),
        plan_(std::move(plan)),
        cancel_(cancel),
        progress_(progress) {}

  Result<ConvertOutcome> Run() {
    RETURN_IF_ERROR(CheckOutputPaths(options_, plan_, source_.checkpoint));
    ASSIGN_OR_RETURN(PartialResult partial,
                     PartialResult::Open(options_.output, plan_,
                                         DigestOf(plan_, state_.Describe())));
    ConvertForecast forecast;
    RETURN_IF_ERROR(CheckSpace(partial, forecast));
    const auto done = Write(partial, forecast);
    if (!done) return Leave(partial, Reason(done.error()));
    return ConvertOutcome{.path = FinalPaths(options_.output, plan_).front(),
                          .bytes = plan_.total_bytes(),
                          .resumed_bytes = forecast.resume_bytes,
                          .num_files = plan_.files.size(),
                          .num_tensors = plan_.tensors.size(),
                          .notes = std::move(forecast.notes),
                          .fallbacks = std::move(forecast.fallbacks),
                          .importance = std::move(forecast.importance)};
  }

 private:
  Result<void> CheckSpace(const PartialResult& partial,
                          ConvertForecast& forecast) {
    forecast.path = options_.output;
    forecast.total_bytes = plan_.total_bytes();
    forecast.notes = plan_.notes;
    forecast.fallbacks = plan_.fallbacks;
    if (source_.importance.has_value()) {
      forecast.importance = ImportanceForecast{
          .dataset = source_.importance->dataset,
          .sha256 = verify::HexEncode(DigestOf(*source_.importance)),
          .num_tensors = plan_.num_weighed()};
    }
    if (partial.starts_anew()) {
      forecast.notes.push_back(
          StrCat(Quoted(partial.path()),
                 " is of other options or another source, or its journal "
                 "cannot be read: started anew"));
    }
    for (const PlannedFile& file : plan_.files) {
      forecast.files.push_back({file.name, file.bytes});
    }
    ASSIGN_OR_RETURN(forecast.free_bytes,
                     verify::FreeBytes(FolderOf(options_.output)));
    const uint64_t taken = partial.TakenBytes();
    forecast.needed_bytes =
        forecast.total_bytes - std::min(taken, forecast.total_bytes);
    if (forecast.free_bytes >= forecast.needed_bytes) return {};
    return DiskFull(options_.output, forecast.needed_bytes,
                    forecast.free_bytes);
  }

  Result<void> Write(PartialResult& partial, ConvertForecast& forecast) {
    RETURN_IF_ERROR(partial.Begin());
    done_bytes_ = plan_.head_bytes();
    ASSIGN_OR_RETURN(std::vector<size_t> todo, FindTodo(partial));
    todo = InReadingOrder(plan_, source_.reader, std::move(todo));
    forecast.resume_bytes = done_bytes_ - plan_.head_bytes();
    if (options_.on_forecast) options_.on_forecast(forecast);
    const UnitSink sink = [&](size_t unit, ByteSpan bytes,
                              uint64_t sum) -> Result<void> {
      RETURN_IF_ERROR(partial.WriteUnit(unit, bytes, sum));
      has_written_ = true;
      Report(unit, bytes.size());
      return {};
    };
    RETURN_IF_ERROR(RunUnits(plan_, source_.reader, todo, options_.num_threads,
                             cancel_, sink));
    CHECK(done_bytes_ == plan_.total_bytes());
    RETURN_IF_ERROR(state_.CheckUnchanged());
    RETURN_IF_ERROR(CheckResult(partial.path()));
    if (cancel_.cancelled()) {
      return Fail(ErrorCode::kCancelled, "the conversion was cancelled");
    }
    // Somebody may have put a file there since.
    RETURN_IF_ERROR(CheckOutputPaths(options_, plan_, source_.checkpoint));
    return partial.Commit(options_.overwrite);
  }

  // Of a source that changed meanwhile anything may be found.
  verify::Error Reason(const verify::Error& error) const {
    if (error.code != ErrorCode::kCorrupt) return error;
    const auto unchanged = state_.CheckUnchanged();
    return unchanged ? error : unchanged.error();
  }

  // Units that have still to be written. What the journal says is believed
  // only of bytes that are as it says.
  Result<std::vector<size_t>> FindTodo(const PartialResult& partial) {
    std::vector<size_t> claimed;
    std::vector<size_t> todo;
    for (size_t i = 0; i < plan_.units.size(); ++i) {
      (partial.SumOf(i).has_value() ? claimed : todo).push_back(i);
    }
    if (claimed.empty()) return todo;
    verify::ThreadPool pool(options_.num_threads);
    std::vector<std::vector<std::byte>> buffers(pool.num_threads());
    std::vector<char> good(claimed.size());
    for (size_t first = 0; first < claimed.size(); first += kUnitsPerReport) {
      if (cancel_.cancelled()) {
        has_written_ = true;  // by the earlier run
        return Fail(ErrorCode::kCancelled, "the conversion was cancelled");
      }
      const size_t count = std::min(kUnitsPerReport, claimed.size() - first);
      pool.ParallelForWorkers(
          count, 1, [&](size_t begin, size_t end, size_t worker) {
            for (size_t k = first + begin; k < first + end; ++k) {
              const Unit& unit = plan_.units[claimed[k]];
              std::vector<std::byte>& bytes = buffers[worker];
              bytes.resize(static_cast<size_t>(unit.bytes));
              good[k] = partial.ReadUnit(unit, bytes) &&
                        verify::Xxh64(bytes) == *partial.SumOf(claimed[k]);
            }
          });
      for (size_t k = first; k < first + count; ++k) {
        if (good[k] == 0) {
          todo.push_back(claimed[k]);
          continue;
        }
        has_written_ = true;
        Report(claimed[k], plan_.units[claimed[k]].bytes);
      }
    }
    std::sort(todo.begin(), todo.end());
    return todo;
  }

  void Report(size_t unit, uint64_t bytes) {
    done_bytes_ += bytes;
    if (progress_ == nullptr) return;
    const UnitRows& rows = plan_.units[unit].rows.front();
    progress_->OnProgress(plan_.tensors[rows.tensor].name, done_bytes_,
                          plan_.total_bytes());
  }

  // What was written is untrusted until verify has opened it.
  Result<void> CheckResult(const std::string& path) const {
    const auto check = [&]() -> Result<void> {
      ASSIGN_OR_RETURN(const Checkpoint written, Checkpoint::Open(path));
      ASSIGN_OR_RETURN(const ModelConfig read,
                       verify::LoadModelConfig(written));
      RETURN_IF_ERROR(CheckStructureOf(written, read));
      RETURN_IF_ERROR(LoadVocabularyFor(written, read));
      if (!SameModel(read, source_.config)) {
        return Fail(ErrorCode::kInternal,
                    "the configuration reads differently");
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

  static bool SameModel(const ModelConfig& a, const ModelConfig& b) {
    const auto close = [](double x, double y) {
      return static_cast<float>(x) == static_cast<float>(y);
    };
    return a.family == b.family && a.dim == b.dim &&
           a.num_layers == b.num_layers && a.head_dim == b.head_dim &&
           a.ff_dim == b.ff_dim && a.num_heads == b.num_heads &&
           a.num_kv_heads == b.num_kv_heads && a.vocab_size == b.vocab_size &&
           close(a.norm_eps, b.norm_eps) && close(a.rope_theta, b.rope_theta) &&
           a.sliding_window == b.sliding_window &&
           a.num_experts == b.num_experts &&
           a.num_experts_per_token == b.num_experts_per_token &&
           a.expert_weights == b.expert_weights &&
           a.context_len == b.context_len &&
           a.tied_embeddings == b.tied_embeddings;
  }

  // Ends without a result: keeps what another run can go on with.
  verify::Unexpected Leave(PartialResult& partial, verify::Error error) const {
    const bool can_go_on =
        error.code == ErrorCode::kCancelled || error.code == ErrorCode::kIo;
    if (!can_go_on || !has_written_) {
      partial.Discard();
      return verify::Unexpected(std::move(error));
    }
    // As far as the disk lets it; what is lost is written again.
    static_cast<void>(partial.Checkpoint());
    const std::string kept =
        StrCat("what is written is kept in ", Quoted(partial.path()),
               "; run the same command again to go on");
    error.hint = error.hint.empty() ? kept : StrCat(error.hint, "; ", kept);
    return verify::Unexpected(std::move(error));
  }

  const ConvertOptions& options_;
  const ConvertSource& source_;
  const SourceState state_;  // before it was read
  const ConvertPlan plan_;
  const verify::CancelToken& cancel_;
  verify::ProgressSink* const progress_;
  uint64_t done_bytes_ = 0;
  bool has_written_ = false;  // this run or the one it goes on from
};

}  // namespace

Result<ConvertOutcome> Convert(const ConvertOptions& given,
                               const verify::CancelToken& cancel,
                               verify::ProgressSink* progress) {
  ConvertOptions options = given;
  options.output = WithoutSlash(options.output);
  RETURN_IF_ERROR(CheckOptions(options));
  RETURN_IF_ERROR(CheckImportanceChoice(options));
  ASSIGN_OR_RETURN(
      Checkpoint checkpoint,
      Checkpoint::Open(options.input, verify::CompressedFiles::kStreamed));
  ASSIGN_OR_RETURN(const ModelConfig config,
                   verify::LoadModelConfig(checkpoint));
  RETURN_IF_ERROR(verify::CheckRunnable(config));
  RETURN_IF_ERROR(CheckStructureOf(checkpoint, config));
  ConvertSource source{std::move(checkpoint), config};
  ASSIGN_OR_RETURN(SourceState state,
                   SourceState::Of(source.checkpoint.files()));
  ASSIGN_OR_RETURN(source.reader, SourceReader::Open(source.checkpoint));
  RETURN_IF_ERROR(state.CheckUnchanged());
  // What can be refused is refused before minutes of calibration.
  ASSIGN_OR_RETURN(ConvertPlan plan, MakePlan(source, options));
  if (options.importance.from != ImportanceChoice::From::kNone) {
    RETURN_IF_ERROR(CheckOutputPaths(options, plan, source.checkpoint));
    if (!options.importance.save_to.empty()) {
      RETURN_IF_ERROR(CheckOutputPath(options.importance.save_to,
                                      options.overwrite, source.checkpoint));
    }
    ASSIGN_OR_RETURN(source.importance,
                     FindImportance(options, config, cancel, progress));
    ASSIGN_OR_RETURN(plan, MakePlan(source, options));
  }
  return Conversion(options, source, std::move(state), std::move(plan), cancel,
                    progress)
      .Run();
}

}  // namespace inference
