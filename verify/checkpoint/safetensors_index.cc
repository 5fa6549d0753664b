// SPDX-License-Identifier: Apache-2.0
#include "verify/checkpoint/safetensors_index.h"

#include <algorithm>
#include <map>

#include "verify/base/json.h"
#include "verify/base/json_builder.h"
#include "verify/base/text.h"

namespace verify {
namespace {

constexpr size_t kMaxTextBytes = 1u << 16;
// Everything but the map of tensors: a few values in every file.
constexpr JsonLimits kRestLimits{kMaxSafetensorsIndexBytes, 8, 1u << 12,
                                 kMaxTextBytes};
constexpr JsonLimits kIndexLimits{kMaxSafetensorsIndexBytes, 8,
                                  kMaxIndexTensors + (1u << 12), kMaxTextBytes};

Unexpected RefuseIndex(std::string_view what) {
  return Fail(ErrorCode::kCorrupt, StrCat("safetensors index: ", what))
      .Id("E-SAFETENSORS-INDEX");
}

// A name that stays in its folder and can be read on a terminal.
bool IsPlainFileName(std::string_view name) {
  if (name.empty() || name.size() > 255 || name.front() == '.') return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte > 0x20 && byte < 0x7f && c != '/' && c != '\\';
  });
}

// Takes the map of tensors as it comes, and builds a value of the rest, where
// null stands in its place: a tree of so many names would cost ten times the
// time and memory of the list.
class IndexEvents final : public nlohmann::json_sax<Json> {
 public:
  bool null() override {
    if (in_map_) return RefuseShard(Json(nullptr));
    return Pass(rest_.null());
  }
  bool boolean(bool value) override {
    if (in_map_) return RefuseShard(Json(value));
    return Pass(rest_.boolean(value));
  }
  bool number_integer(number_integer_t value) override {
    if (in_map_) return RefuseShard(Json(value));
    return Pass(rest_.number_integer(value));
  }
  bool number_unsigned(number_unsigned_t value) override {
    if (in_map_) return RefuseShard(Json(value));
    return Pass(rest_.number_unsigned(value));
  }
  bool number_float(number_float_t value, const string_t& text) override {
    if (in_map_) return RefuseShard(Json(value));
    return Pass(rest_.number_float(value, text));
  }
  bool string(string_t& value) override {
    if (in_map_) return AddTensor(value);
    return Pass(rest_.string(value));
  }
  bool binary(binary_t&) override { return false; }

  bool start_object(size_t size) override {
    if (in_map_) return RefuseShard(Json::object());
    if (depth_ == 1 && is_map_next_) {
      in_map_ = true;
      return Pass(rest_.null());
    }
    ++depth_;
    return Pass(rest_.start_object(size));
  }
  bool end_object() override {
    if (in_map_) {
      in_map_ = false;
      return true;
    }
    --depth_;
    return Pass(rest_.end_object());
  }
  bool start_array(size_t size) override {
    if (in_map_) return RefuseShard(Json::array());
    ++depth_;
    return Pass(rest_.start_array(size));
  }
  bool end_array() override {
    --depth_;
    return Pass(rest_.end_array());
  }

  bool key(string_t& name) override {
    if (in_map_) {
      tensor_ = std::move(name);
      return true;
    }
    // A list has no keys: at depth 1 the root is an object.
    is_map_next_ = depth_ == 1 && name == "weight_map";
    return Pass(rest_.key(name));
  }
  bool parse_error(size_t position, const std::string& token,
                   const nlohmann::detail::exception& error) override {
    return Pass(rest_.parse_error(position, token, error));
  }

  const Json& rest() { return rest_.root(); }
  const Error& error() const { return error_; }

  // Sorts, and refuses a tensor that stands twice.
  Result<void> Finish(SafetensorsIndex& index) {
    std::vector<uint32_t> sorted(shards_.size());  // by order of appearance
    index.shards.reserve(shards_.size());
    for (const auto& [name, appeared] : shards_) {
      sorted[appeared] = static_cast<uint32_t>(index.shards.size());
      index.shards.push_back(name);
    }
    for (auto& [tensor, shard] : tensors_) shard = sorted[shard];
    std::sort(tensors_.begin(), tensors_.end());
    const auto twice = std::adjacent_find(
        tensors_.begin(), tensors_.end(),
        [](const auto& a, const auto& b) { return a.first == b.first; });
    if (twice != tensors_.end())
      return Unexpected(DuplicateJsonKey(twice->first));
    index.weight_map = std::move(tensors_);
    return {};
  }

 private:
  bool Pass(bool ok) {
    if (!ok) error_ = rest_.error();
    return ok;
  }
  bool Refuse(Unexpected failure) {
    error_ = std::move(failure).error();
    return false;
  }
  bool RefuseShard(const Json& value) {
    return Refuse(RefuseIndex(StrCat(
        "tensor \"", EscapeForTerminal(tensor_, 128), "\" is in ",
        EscapeForTerminal(
            value.dump(-1, ' ', true, Json::error_handler_t::replace), 128),
        ", which is no plain file name")));
  }

  bool AddTensor(const std::string& shard) {
    if (tensors_.size() == kMaxIndexTensors) {
      return Refuse(Fail(ErrorCode::kLimit,
                         StrCat("more than ", kMaxIndexTensors, " tensors")));
    }
    auto known = shards_.find(shard);
    if (known == shards_.end()) {
      if (!IsPlainFileName(shard)) return RefuseShard(Json(shard));
      if (shards_.size() == kMaxSafetensorsShards) {
        return Refuse(
            Fail(ErrorCode::kLimit,
                 StrCat("more than ", kMaxSafetensorsShards, " shards")));
      }
      const auto appeared = static_cast<uint32_t>(shards_.size());
      known = shards_.emplace(shard, appeared).first;
    }
    tensors_.emplace_back(std::move(tensor_), known->second);
    return true;
  }

  JsonBuilder rest_{kRestLimits};
  size_t depth_ = 0;  // containers open in the rest
  bool is_map_next_ = false;
  bool in_map_ = false;
  std::string tensor_;
  std::vector<std::pair<std::string, uint32_t>> tensors_;
  std::map<std::string, uint32_t> shards_;  // and when each appeared
  Error error_{ErrorCode::kCorrupt, "JSON: not valid", {}, {}, {}};
};

Result<std::optional<uint64_t>> TotalSize(const Json& root) {
  std::optional<uint64_t> size;
  const auto metadata = root.find("metadata");
  if (metadata == root.end()) return size;
  if (!metadata->is_object()) return RefuseIndex("\"metadata\" is no object");
  const auto total = metadata->find("total_size");
  if (total == metadata->end()) return size;
  size = AsUnsigned(*total);
  if (size.has_value()) return size;
  return RefuseIndex("\"total_size\" is no plain whole number");
}

}  // namespace

Result<SafetensorsIndex> ParseSafetensorsIndex(std::string_view text) {
  if (auto within = CheckJsonLimits(text, kIndexLimits); !within) {
    return WithContext(std::move(within).error(), "safetensors index");
  }
  IndexEvents events;
  if (!Json::sax_parse(text.begin(), text.end(), &events)) {
    return WithContext(events.error(), "safetensors index");
  }
  SafetensorsIndex index;
  RETURN_IF_ERROR(events.Finish(index));
  if (!events.rest().is_object() || index.weight_map.empty()) {
    return RefuseIndex("there is no \"weight_map\" of tensors");
  }
  ASSIGN_OR_RETURN(index.total_size, TotalSize(events.rest()));
  return index;
}

Result<TensorTable> JoinShards(const SafetensorsIndex& index,
                               const std::vector<SafetensorsFile>& shards,
                               const std::vector<uint64_t>& sizes) {
  CHECK(shards.size() == index.shards.size() && sizes.size() == shards.size());
  TensorTable table;
  uint64_t total = 0;
  for (size_t i = 0; i < shards.size(); ++i) {
    for (TensorInfo tensor : shards[i].tensors.tensors()) {
      const auto listed = std::lower_bound(
          index.weight_map.begin(), index.weight_map.end(), tensor.name,
          [](const auto& entry, const std::string& name) {
            return entry.first < name;
          });
      if (listed == index.weight_map.end() || listed->first != tensor.name ||
          listed->second != i) {
        return RefuseIndex(StrCat(
            "tensor \"", EscapeForTerminal(tensor.name, 128), "\" is in \"",
            index.shards[i], "\", but the index does not say so"));
      }
      tensor.file_index = static_cast<uint32_t>(i);
      total += tensor.size_bytes;  // fits: each is part of a file
      RETURN_IF_ERROR(table.Add(std::move(tensor), sizes[i]));
    }
  }
  for (const auto& [name, shard] : index.weight_map) {
    if (table.Find(name) == nullptr) {
      return RefuseIndex(StrCat("tensor \"", EscapeForTerminal(name, 128),
                                "\" is not in \"", index.shards[shard], "\""));
    }
  }
  if (index.total_size.has_value() && *index.total_size != total) {
    return RefuseIndex(StrCat("\"total_size\" is ", *index.total_size,
                              ", the tensors take ", total));
  }
  return table;
}

}  // namespace verify
