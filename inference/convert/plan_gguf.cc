// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/plan_gguf.h"

#include <array>
#include <cstdio>
#include <filesystem>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "inference/convert/gguf_metadata.h"
#include "inference/convert/gguf_writer.h"
#include "inference/convert/quant_policy.h"
#include "inference/text/load_tokenizer.h"
#include "verify/base/text.h"
#include "verify/checkpoint/tokenizer_json.h"

namespace inference {
namespace {

using verify::DType;
using verify::ErrorCode;
using verify::EscapeForTerminal;
using verify::Fail;
using verify::NameScheme;
using verify::Result;
using verify::StrCat;
using verify::TensorSpec;
using verify::TokenizerModel;

// What AddTokenizerMetadata does not look at.
Result<void> CheckVocabulary(const ConvertSource& source,
                             const LoadedVocabulary& vocabulary,
                             ConvertPlan& plan) {
  const TokenizerModel* const model = vocabulary.sentencepiece();
  const uint64_t num_pieces =
      model != nullptr
          ? model->pieces.size()
          : std::get<verify::TokenVocabulary>(vocabulary.content).tokens.size();
  const uint64_t vocab_size = source.config.vocab_size;
  if (num_pieces > vocab_size) {
    return Fail(ErrorCode::kCorrupt,
                StrCat("\"",
                       EscapeForTerminal(source.checkpoint.files().front()),
                       "\": the tokenizer has ", num_pieces,
                       " pieces, the model only ", vocab_size,
                       " rows of embedding"))
        .Id("E-TOKENIZER")
        .Hint("this tokenizer belongs to another model");
  }
  // Normalisation that GGUF readers do not know would change every prompt.
  if (model != nullptr &&
      (model->algorithm != TokenizerModel::Algorithm::kBpe ||
       !model->precompiled_charsmap.empty() || !model->escape_whitespaces)) {
    return Fail(ErrorCode::kUnsupported,
                "only SentencePiece BPE without normalisation rules can be "
                "written to GGUF for this architecture")
        .Id("E-TOKENIZER");
  }
  if (model == nullptr &&
      std::get<verify::TokenVocabulary>(vocabulary.content).rules.nfc) {
    plan.notes.push_back(
        "the tokenizer brings texts into normal form C; readers that do not "
        "know the key for it take texts as they are");
  }
  if (num_pieces < vocab_size) {
    plan.notes.push_back(StrCat(vocab_size - num_pieces,
                                " rows of embedding have no piece in the "
                                "tokenizer; their tokens are marked unused"));
  }
  return {};
}

// Which tensors could not have the type that was asked for, once for each type
// and length of rows.
class Fallbacks {
 public:
  void Look(const TensorSpec& spec, DType wanted, DType chosen) {
    if (wanted == chosen) return;
    FallbackForecast& found = found_[{wanted, chosen, spec.shape.back()}];
    if (found.num_tensors++ > 0) return;
    found.wanted = wanted;
    found.written = chosen;
    found.row_elements = spec.shape.back();
    found.first_tensor = spec.name;
  }

  void AddTo(ConvertPlan& plan) const {
    for (const auto& [key, found] : found_) {
      plan.fallbacks.push_back(found);
      plan.notes.push_back(StrCat(
          "rows of ", found.row_elements, " (\"", found.first_tensor, "\"",
          found.num_tensors == 1
              ? ""
              : StrCat(" and ", found.num_tensors - 1, " more"),
          ") are no whole number of ", verify::DTypeName(found.wanted),
          " blocks of ", verify::BlockElements(found.wanted), "; written as ",
          verify::DTypeName(found.written)));
    }
  }

 private:
  std::map<std::tuple<DType, DType, uint64_t>, FallbackForecast> found_;
};

// The metadata of the file that stands first.
Result<GgufHeader> ModelHeader(const ConvertSource& source,
                               const ConvertOptions& options,
                               ConvertPlan& plan) {
  ASSIGN_OR_RETURN(const LoadedVocabulary vocabulary,
                   LoadVocabularyToConvert(source.checkpoint));
  RETURN_IF_ERROR(CheckVocabulary(source, vocabulary, plan));
  std::string name = verify::Describe(source.config);
  if (source.checkpoint.gguf() != nullptr) {
    const std::string* given = source.checkpoint.gguf()->String("general.name");
    if (given != nullptr) name = *given;
  }
  if (source.config.expert_weights !=
      verify::DescriptionOf(source.config.family).gguf_weights) {
    plan.notes.push_back(
        "expert_weights_norm says how the weights of experts add up; readers "
        "that do not know the key assume the other way");
  }
  GgufHeader header;
  AddModelMetadata(header, source.config, name,
                   GgufFileType({options.to, options.mix}));
  if (source.importance.has_value()) {
    AddImportanceMetadata(header, *source.importance);
  }
  RETURN_IF_ERROR(
      AddTokenizerMetadata(header, vocabulary, source.config.vocab_size));
  AddTemplateMetadata(header, vocabulary);
  return header;
}

struct SplitKeys {
  uint16_t number = 0;  // from 0
  uint16_t count = 0;
  int32_t num_tensors = 0;  // of all files
};

void AddSplitKeys(GgufHeader& header, const SplitKeys& keys) {
  header.AddUint16("split.no", keys.number);
  header.AddUint16("split.count", keys.count);
  header.AddInt32("split.tensors.count", keys.num_tensors);
}

Result<void> AddTensor(GgufHeader& header, const PlannedTensor& tensor) {
  return header.AddTensor(tensor.name, tensor.shape, tensor.form.dtype);
}

// How many tensors each file takes, in order.
Result<std::vector<size_t>> Divide(const std::vector<PlannedTensor>& tensors,
                                   const GgufHeader& model,
                                   uint64_t split_bytes) {
  std::vector<size_t> counts;
  GgufHeader header = model;
  AddSplitKeys(header, {});  // as long as they will be
  for (const PlannedTensor& tensor : tensors) {
    RETURN_IF_ERROR(AddTensor(header, tensor));
    const bool fits = header.num_bytes() + header.data_bytes() <= split_bytes;
    if (!fits && header.num_tensors() > 1) {
      header.RemoveLastTensor();
      counts.push_back(header.num_tensors());
      header = GgufHeader();
      AddSplitKeys(header, {});
      RETURN_IF_ERROR(AddTensor(header, tensor));
    }
  }
  counts.push_back(header.num_tensors());
  if (counts.size() <= kMaxResultFiles) return counts;
  return Fail(ErrorCode::kLimit,
              StrCat("files of at most ", split_bytes, " bytes would be ",
                     counts.size(), ", at most ", kMaxResultFiles))
      .Hint("choose a larger size with --split-size");
}

// STEM-00001-of-00003.gguf
std::string PartName(const std::string& output, size_t number, size_t count) {
  std::string stem = std::filesystem::path(output).filename().string();
  constexpr std::string_view kExtension = ".gguf";
  if (stem.ends_with(kExtension)) stem.resize(stem.size() - kExtension.size());
  std::array<char, 32> text{};
  const int size = std::snprintf(text.data(), text.size(), "-%05zu-of-%05zu",
                                 number + 1, count);
  return StrCat(stem, std::string_view(text.data(), static_cast<size_t>(size)),
                kExtension);
}

// Gives the next tensors, one for each entry of the header, their places.
void PlaceFile(const GgufHeader& header, std::string name, ConvertPlan& plan,
               size_t first) {
  PlannedFile file{std::move(name), header.Bytes(), 0};
  for (size_t i = 0; i < header.num_tensors(); ++i) {
    PlannedTensor& tensor = plan.tensors[first + i];
    tensor.file = static_cast<uint32_t>(plan.files.size());
    tensor.offset = file.head.size() + header.tensor_offset(i);
    CHECK(tensor.bytes == header.tensor_bytes(i));
    tensor.padded_bytes = header.padded_bytes(i);
  }
  file.bytes = file.head.size() + header.data_bytes();
  plan.files.push_back(std::move(file));
}

}  // namespace

Result<ConvertPlan> PlanGguf(const ConvertSource& source,
                             const ConvertOptions& options) {
  ConvertPlan plan;
  ASSIGN_OR_RETURN(const GgufHeader model, ModelHeader(source, options, plan));
  const WeightType type{options.to, options.mix};
  Fallbacks fallbacks;
  const bool half = verify::DescriptionOf(source.config.family).gguf_rope ==
                    verify::RopeStyle::kHalf;
  for (const TensorSpec& spec :
       verify::ExpectedTensors(source.config, NameScheme::kGguf)) {
    const DType dtype = ChooseType(spec, source.config, type);
    fallbacks.Look(spec, WantedType(spec, source.config, type), dtype);
    RowForm form{.dtype = dtype, .non_finite = options.non_finite};
    if (half) form.half_rotated_heads = RotatedHeads(source.config, spec.role);
    ASSIGN_OR_RETURN(PlannedTensor tensor, PlanTensor(source, spec, form));
    plan.tensors.push_back(std::move(tensor));
  }
  fallbacks.AddTo(plan);

  std::vector<size_t> counts = {plan.tensors.size()};
  if (options.split_bytes > 0) {
    ASSIGN_OR_RETURN(counts, Divide(plan.tensors, model, options.split_bytes));
  }
  size_t first = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    GgufHeader header = i == 0 ? model : GgufHeader();
    std::string name =
        std::filesystem::path(options.output).filename().string();
    if (counts.size() > 1) {
      AddSplitKeys(header, {static_cast<uint16_t>(i),
                            static_cast<uint16_t>(counts.size()),
                            static_cast<int32_t>(plan.tensors.size())});
      name = PartName(options.output, i, counts.size());
    }
    for (size_t k = 0; k < counts[i]; ++k) {
      RETURN_IF_ERROR(AddTensor(header, plan.tensors[first + k]));
    }
    PlaceFile(header, std::move(name), plan, first);
    first += counts[i];
  }
  return plan;
}

}  // namespace inference
