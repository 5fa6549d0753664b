// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/plan_safetensors.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "inference/convert/model_files.h"
#include "inference/convert/quant_policy.h"
#include "inference/convert/safetensors_writer.h"
#include "verify/base/text.h"

namespace inference {
namespace {

using verify::ErrorCode;
using verify::Fail;
using verify::NameScheme;
using verify::Result;
using verify::StrCat;
using verify::TensorSpec;

using Shard = std::vector<PlannedTensor>;

SafetensorsEntry EntryOf(const PlannedTensor& tensor) {
  return {tensor.name, tensor.form.dtype, tensor.shape, tensor.bytes};
}

bool IsHuggingFace(const ConvertOptions& options) {
  return options.form == ResultForm::kHuggingFace;
}

Result<void> CheckType(const ConvertOptions& options) {
  if (IsSafetensorsType(options.to) && options.mix == TypeMix::kNone) return {};
  return Fail(ErrorCode::kUnsupported,
              StrCat("safetensors hold no ",
                     WeightTypeName({options.to, options.mix})))
      .Id("E-DTYPE")
      .Hint("choose --to bf16, f16 or f32, or --format gguf");
}

// In the order of a forward pass, as many in each file as fit.
Result<std::vector<Shard>> PlanShards(const ConvertSource& source,
                                      const ConvertOptions& options) {
  uint64_t limit = options.split_bytes;
  if (limit == 0) {
    limit = IsHuggingFace(options) ? kDefaultShardBytes : UINT64_MAX;
  }
  const NameScheme scheme =
      IsHuggingFace(options) ? NameScheme::kHuggingFace : NameScheme::kMistral;
  std::vector<Shard> shards(1);
  uint64_t bytes = kMaxHeaderFrameBytes;
  for (const TensorSpec& spec :
       verify::ExpectedTensors(source.config, scheme)) {
    RowForm form{.dtype = options.to, .non_finite = options.non_finite};
    if (IsHuggingFace(options)) {
      form.half_rotated_heads = RotatedHeads(source.config, spec.role);
    }
    ASSIGN_OR_RETURN(PlannedTensor tensor, PlanTensor(source, spec, form));
    const uint64_t more = tensor.bytes + MaxHeaderBytesOf(EntryOf(tensor));
    if (!shards.back().empty() && (bytes > limit || more > limit - bytes)) {
      shards.emplace_back();
      bytes = kMaxHeaderFrameBytes;
    }
    bytes += more;
    shards.back().push_back(std::move(tensor));
  }
  if (shards.size() <= kMaxResultFiles) return shards;
  return Fail(ErrorCode::kLimit,
              StrCat("files of at most ", limit, " bytes would be ",
                     shards.size(), ", at most ", kMaxResultFiles))
      .Hint("choose a larger size with --split-size");
}

// "model-00001-of-00019.safetensors", "model.safetensors" if it is the only.
std::string ShardName(const ConvertOptions& options, size_t number,
                      size_t count) {
  const std::string_view stem =
      IsHuggingFace(options) ? "model" : "consolidated";
  std::array<char, 32> text{};
  if (count > 1) {
    std::snprintf(text.data(), text.size(), "-%05zu-of-%05zu", number + 1,
                  count);
  }
  return StrCat(stem, text.data(), ".safetensors");
}

Result<void> PlaceShard(Shard shard, std::string name, ConvertPlan& plan) {
  std::sort(shard.begin(), shard.end(),
            [](const PlannedTensor& a, const PlannedTensor& b) {
              return StandsBefore(EntryOf(a), EntryOf(b));
            });
  std::vector<SafetensorsEntry> entries;
  for (const PlannedTensor& tensor : shard) entries.push_back(EntryOf(tensor));
  PlannedFile file;
  file.name = std::move(name);
  ASSIGN_OR_RETURN(file.head, SafetensorsHead(entries));
  file.bytes = file.head.size();
  for (PlannedTensor& tensor : shard) {
    tensor.file = static_cast<uint32_t>(plan.files.size());
    tensor.offset = file.bytes;
    file.bytes += tensor.bytes;
    plan.tensors.push_back(std::move(tensor));
  }
  plan.files.push_back(std::move(file));
  return {};
}

void AddSmallFile(std::string name, std::string content, ConvertPlan& plan) {
  const uint64_t bytes = content.size();
  plan.files.push_back({std::move(name), std::move(content), bytes});
}

// A packed source has lost what a plain type could hold.
void NoteOfPackedSource(ConvertPlan& plan) {
  for (const PlannedTensor& tensor : plan.tensors) {
    for (const StoredMatrix& source : tensor.sources) {
      if (verify::BlockElements(source.tensor->dtype) == 1) continue;
      plan.notes.push_back(
          StrCat("weights of the source are packed (\"", tensor.name, "\" as ",
                 verify::DTypeName(source.tensor->dtype),
                 "): the result has their values, not those of the original"));
      return;
    }
  }
}

}  // namespace

Result<ConvertPlan> PlanSafetensors(const ConvertSource& source,
                                    const ConvertOptions& options) {
  RETURN_IF_ERROR(CheckType(options));
  ConvertPlan plan;
  plan.is_folder = true;
  ASSIGN_OR_RETURN(TokenizerFiles tokenizer, CollectTokenizerFiles(source));
  plan.notes = std::move(tokenizer.notes);
  ASSIGN_OR_RETURN(std::vector<Shard> shards, PlanShards(source, options));
  std::map<std::string, std::string> where;
  uint64_t tensor_bytes = 0;
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = ShardName(options, i, shards.size());
    for (const PlannedTensor& tensor : shards[i]) {
      where[tensor.name] = name;
      tensor_bytes += tensor.bytes;
    }
    RETURN_IF_ERROR(PlaceShard(std::move(shards[i]), name, plan));
  }
  if (!IsHuggingFace(options)) {
    AddSmallFile("params.json", ParamsJsonText(source.config), plan);
  } else {
    AddSmallFile(
        "config.json",
        HuggingFaceConfigText(source.config, options.to, tokenizer.ends), plan);
    if (shards.size() > 1) {
      AddSmallFile("model.safetensors.index.json",
                   SafetensorsIndexJson(where, tensor_bytes), plan);
    }
  }
  for (SmallFile& file : tokenizer.files) {
    AddSmallFile(std::move(file.name), std::move(file.content), plan);
  }
  NoteOfPackedSource(plan);
  return plan;
}

}  // namespace inference
