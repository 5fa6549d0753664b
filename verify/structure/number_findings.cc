// SPDX-License-Identifier: Apache-2.0
#include "verify/structure/number_findings.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "verify/base/text.h"
#include "verify/structure/finding_list.h"
#include "verify/structure/tensor_kind.h"

namespace verify {
namespace {

constexpr uint64_t kMinDenormals = 16;
constexpr uint64_t kMinZeroTailBytes = 4096;
constexpr uint64_t kPaddingPart = 20;  // one in so many
constexpr double kScaleWarning = 32;
constexpr double kScaleError = 10'000;
constexpr size_t kMinScaleLayers = 4;
constexpr double kRowWarning = 100;
constexpr double kJump = 3;
constexpr double kEven = 1.5;
constexpr size_t kMinJumpLayers = 3;  // on either side
constexpr size_t kMinJumpRoles = 3;

double Median(std::vector<double> values) {
  const auto middle =
      values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Four significant digits.
std::string Short(double value) {
  std::array<char, 32> text{};
  const int length = std::snprintf(text.data(), text.size(), "%.4g", value);
  return std::string(text.data(), static_cast<size_t>(std::max(0, length)));
}

class Finder {
 public:
  Finder(const Checkpoint& checkpoint,
         const std::vector<TensorStatistics>& statistics,
         StructureReport& report)
      : checkpoint_(checkpoint), statistics_(statistics), findings_(report) {
    places_.reserve(statistics.size());
    for (const TensorStatistics& one : statistics) {
      places_.push_back(PlaceOf(Tensor(one).name));
    }
  }

  void Run() {
    for (const TensorStatistics& one : statistics_) {
      FindBad(one);
      FindConstant(one);
      FindDenormal(one);
      FindDeadGate(one);
    }
    FindZeroTails();
    FindScales();
    FindJump();
    FindIdentical();
    findings_.Summarise();
  }

 private:
  const TensorInfo& Tensor(const TensorStatistics& one) const {
    return checkpoint_.tensors().tensors()[one.tensor];
  }

  void FindBad(const TensorStatistics& one) {
    const NumberScan& scan = one.whole;
    if (scan.finite()) return;
    std::string text;
    if (scan.num_nan > 0) text += StrCat(scan.num_nan, " NaN");
    if (scan.num_infinite > 0) {
      text += StrCat(text.empty() ? "" : ", ", scan.num_infinite, " infinite");
    }
    findings_.Add(FindingKind::kNotFinite, Tensor(one).name,
                  StrCat(text, ", first at element ", scan.first_bad));
  }

  void FindConstant(const TensorStatistics& one) {
    const TensorInfo& tensor = Tensor(one);
    const NumberScan& scan = one.whole;
    // A norm of ones is what training starts from and is legal.
    if (!scan.finite() || !IsMatrix(tensor) || one.elements < 2) return;
    if (scan.constant) {
      const auto value =
          FirstElement(tensor, checkpoint_.Slices(tensor).front());
      findings_.Add(FindingKind::kConstant, tensor.name,
                    value.has_value()
                        ? StrCat("all ", one.elements, " elements are ", *value)
                        : StrCat("all blocks of ", one.elements,
                                 " elements are the same"),
                    Severity::kWarning);
      return;
    }
    if (scan.constant_rows == 0 || tensor.shape.back() < 2) return;
    const uint64_t rows = one.elements / tensor.shape.back();
    if (HasVocabularyRows(tensor.name) &&
        scan.constant_rows < rows / kPaddingPart) {
      return;
    }
    findings_.Add(FindingKind::kConstant, tensor.name,
                  StrCat(scan.constant_rows, " of ", rows,
                         " rows are all the same number (", scan.zero_rows,
                         " of them zero), first row ", scan.first_constant_row),
                  Severity::kWarning);
  }

  void FindDenormal(const TensorStatistics& one) {
    const TensorInfo& tensor = Tensor(one);
    const NumberScan& scan = one.whole;
    if (scan.num_denormal < kMinDenormals ||
        2 * scan.num_denormal < scan.count - scan.num_zero) {
      return;
    }
    switch (tensor.dtype) {
      case DType::kBF16:
      case DType::kF32:
      case DType::kF64:
      case DType::kF16:
        break;
      default:
        return;
    }
    findings_.Add(
        FindingKind::kDenormal, tensor.name,
        StrCat(scan.num_denormal, " of ", scan.count - scan.num_zero,
               " numbers that are not zero are too small to be normal"),
        tensor.dtype == DType::kF16 ? Severity::kWarning : Severity::kError);
  }

  void FindDeadGate(const TensorStatistics& one) {
    const TensorInfo& tensor = Tensor(one);
    if (!IsRouter(tensor.name) || tensor.shape.size() != 2 ||
        tensor.shape[0] < 2 || tensor.shape[1] == 0 || !tensor.contiguous() ||
        tensor.sliced() || !one.whole.finite() ||
        tensor.shape[1] > kMaxRowElements) {
      return;
    }
    const ByteSpan bytes = checkpoint_.Bytes(tensor);
    const uint64_t columns = tensor.shape[1];
    const auto row_bytes = DTypeBytes(tensor.dtype, columns);
    if (!row_bytes.has_value()) return;
    const auto row = [&](uint64_t i) {
      return bytes.subspan(static_cast<size_t>(i * *row_bytes),
                           static_cast<size_t>(*row_bytes));
    };
    const auto same = [&](uint64_t i, uint64_t k) {
      return std::memcmp(row(i).data(), row(k).data(), row(i).size()) == 0;
    };
    std::vector<double> scales;
    uint64_t num_zero = 0;
    std::optional<uint64_t> first_zero;
    std::optional<std::pair<uint64_t, uint64_t>> twins;
    uint64_t num_like_first = 0;
    std::map<std::string_view, uint64_t> seen;
    for (uint64_t i = 0; i < tensor.shape[0]; ++i) {
      const NumberScan scan =
          ScanElements(tensor, bytes, i * columns, (i + 1) * columns);
      scales.push_back(scan.rms());
      const bool zero = scan.count > 0 && scan.num_zero == scan.count;
      if (zero && num_zero++ == 0) first_zero = i;
      if (same(0, i)) ++num_like_first;
      const std::string_view text(reinterpret_cast<const char*>(row(i).data()),
                                  row(i).size());
      const auto [it, is_new] = seen.emplace(text, i);
      if (!is_new && !zero && !twins.has_value()) twins = {it->second, i};
    }
    if (num_zero == tensor.shape[0]) {
      return findings_.Add(FindingKind::kDeadGate, tensor.name,
                           "all rows are zero: it cannot choose an expert");
    }
    if (num_like_first == tensor.shape[0]) {
      return findings_.Add(FindingKind::kDeadGate, tensor.name,
                           "all rows are the same: it cannot choose an expert");
    }
    if (first_zero.has_value()) {
      findings_.Add(
          FindingKind::kDeadGate, tensor.name,
          StrCat(num_zero, " of ", tensor.shape[0],
                 " rows are zero, first that of expert ", *first_zero),
          Severity::kWarning);
    }
    if (twins.has_value()) {
      findings_.Add(FindingKind::kDeadGate, tensor.name,
                    StrCat("experts ", twins->first, " and ", twins->second,
                           " have the same row: only one of them is chosen by "
                           "merit"),
                    Severity::kWarning);
    }
    const double median = Median(scales);
    for (uint64_t i = 0; i < scales.size(); ++i) {
      if (median == 0 || scales[i] < kRowWarning * median) continue;
      findings_.Add(
          FindingKind::kDeadGate, tensor.name,
          StrCat("the row of expert ", i, " is ", Short(scales[i] / median),
                 " times as large as the median: the others are "
                 "hardly ever chosen beside it"),
          Severity::kWarning);
    }
  }

  // A tensor, or a slice of one, in one file.
  struct Stretch {
    const TensorInfo* tensor = nullptr;
    TensorSlice place;
    uint64_t end() const { return place.offset + place.size_bytes; }
  };

  // From the end of each file back, as far as there is nothing but zero.
  void FindZeroTails() {
    std::vector<std::vector<Stretch>> by_file(checkpoint_.num_whole_files());
    for (const TensorInfo& tensor : checkpoint_.tensors().tensors()) {
      if (tensor.size_bytes == 0) continue;
      for (const TensorSlice& place : PlacesIn(tensor)) {
        by_file[place.file_index].push_back({&tensor, place});
      }
    }
    for (uint32_t file = 0; file < by_file.size(); ++file) {
      std::vector<Stretch>& stretches = by_file[file];
      std::sort(
          stretches.begin(), stretches.end(),
          [](const Stretch& a, const Stretch& b) { return a.end() > b.end(); });
      FindZeroTail(file, stretches);
    }
  }

  void FindZeroTail(uint32_t file, const std::vector<Stretch>& stretches) {
    uint64_t run = 0;
    const TensorInfo* first_hit = nullptr;
    uint64_t run_in_first = 0;
    bool whole_matrix = false;
    for (const Stretch& stretch : stretches) {
      const TensorInfo* const tensor = stretch.tensor;
      const ByteSpan bytes = checkpoint_.Bytes(stretch.place);
      uint64_t zeros = 0;
      while (zeros < bytes.size() &&
             bytes[bytes.size() - 1 - static_cast<size_t>(zeros)] ==
                 std::byte{0}) {
        ++zeros;
      }
      if (zeros == 0) break;
      const bool all = zeros == bytes.size();
      // A bias of zeros is what training starts from.
      if (all && IsBias(tensor->name)) break;
      run += zeros;
      first_hit = tensor;
      run_in_first = zeros;
      whole_matrix |= all && IsMatrix(*tensor);
      if (!all) break;
    }
    if (first_hit == nullptr) return;
    if (run < kMinZeroTailBytes && !whole_matrix) return;
    const bool padding = run == run_in_first &&
                         HasVocabularyRows(first_hit->name) &&
                         run < first_hit->size_bytes / kPaddingPart;
    findings_.Add(
        FindingKind::kZeroTail, first_hit->name,
        StrCat("from here to the end of \"",
               EscapeForTerminal(checkpoint_.whole_file(file)), "\" the last ",
               run, " bytes are zero",
               padding ? "" : ": the file was cut short and filled up"),
        padding ? Severity::kWarning : Severity::kError);
  }

  // All scales of a role and type: root mean squares with their places.
  struct Scale {
    const TensorStatistics* of = nullptr;
    int64_t layer = -1;
    int64_t expert = -1;
    double rms = 0;
  };
  using Roles = std::map<std::pair<std::string, DType>, std::vector<Scale>>;

  Roles CollectScales() const {
    Roles roles;
    for (size_t i = 0; i < statistics_.size(); ++i) {
      const TensorStatistics& one = statistics_[i];
      const TensorInfo& tensor = Tensor(one);
      const TensorPlace& place = places_[i];
      if (place.layer() < 0 || !one.whole.finite()) continue;
      if (!IsMatrix(tensor) && !IsNorm(tensor.name)) continue;
      auto& scales = roles[{place.role, tensor.dtype}];
      if (one.slabs.empty()) {
        scales.push_back(
            {&one, place.layer(), place.expert(), one.whole.rms()});
        continue;
      }
      for (size_t slab = 0; slab < one.slabs.size(); ++slab) {
        scales.push_back({&one, place.layer(), static_cast<int64_t>(slab),
                          one.slabs[slab].rms()});
      }
    }
    return roles;
  }

  void FindScales() {
    for (const auto& [role, scales] : CollectScales()) {
      std::vector<double> values;
      std::map<int64_t, size_t> layers;
      for (const Scale& scale : scales) {
        if (scale.rms > 0) values.push_back(scale.rms);
        ++layers[scale.layer];
      }
      if (layers.size() < kMinScaleLayers || values.empty()) continue;
      const double median = Median(values);
      for (const Scale& scale : scales) {
        if (scale.rms <= 0) continue;
        const double factor = std::max(scale.rms / median, median / scale.rms);
        const TensorInfo& tensor = Tensor(*scale.of);
        if (factor < (IsMatrix(tensor) ? kScaleWarning : kScaleError)) continue;
        findings_.Add(
            FindingKind::kScale, tensor.name,
            StrCat(scale.of->slabs.empty()
                       ? ""
                       : StrCat("expert ", scale.expert, ": "),
                   "root mean square ", Short(scale.rms), ", ", Short(factor),
                   " times ", scale.rms > median ? "larger" : "smaller",
                   " than the median ", Short(median), " of its role"),
            factor >= kScaleError ? Severity::kError : Severity::kWarning);
      }
    }
  }

  // The layer at which the scale of a role jumps, if it does so once.
  static std::optional<std::pair<int64_t, double>> JumpOf(
      const std::vector<Scale>& scales) {
    std::map<int64_t, std::vector<double>> by_layer;
    for (const Scale& scale : scales) {
      if (scale.rms > 0) by_layer[scale.layer].push_back(scale.rms);
    }
    std::vector<int64_t> layers;
    std::vector<double> medians;
    for (const auto& [layer, values] : by_layer) {
      layers.push_back(layer);
      medians.push_back(Median(values));
    }
    const auto spread = [&](size_t begin, size_t end) {
      const auto [least, most] = std::minmax_element(
          medians.begin() + static_cast<std::ptrdiff_t>(begin),
          medians.begin() + static_cast<std::ptrdiff_t>(end));
      return *most / *least;
    };
    for (size_t k = kMinJumpLayers; k + kMinJumpLayers <= layers.size(); ++k) {
      const double ratio =
          std::max(medians[k] / medians[k - 1], medians[k - 1] / medians[k]);
      if (ratio < kJump || spread(0, k) > kEven ||
          spread(k, layers.size()) > kEven) {
        continue;
      }
      return std::pair(layers[k], ratio);
    }
    return std::nullopt;
  }

  void FindJump() {
    std::map<int64_t, std::pair<size_t, double>> votes;
    size_t num_roles = 0;
    for (const auto& [role, scales] : CollectScales()) {
      if (!IsMatrix(Tensor(*scales.front().of))) continue;
      ++num_roles;
      const auto jump = JumpOf(scales);
      if (!jump.has_value()) continue;
      auto& [count, factor] = votes[jump->first];
      ++count;
      factor = std::max(factor, jump->second);
    }
    for (const auto& [layer, vote] : votes) {
      if (vote.first < kMinJumpRoles || 2 * vote.first < num_roles) continue;
      findings_.Add(FindingKind::kMixed, "",
                    StrCat("the scale of ", vote.first, " of ", num_roles,
                           " roles jumps at layer ", layer, ", by up to ",
                           Short(vote.second),
                           ": layers of two models may have been mixed"),
                    Severity::kWarning);
    }
  }

  // A matrix, or one of several that lie in one tensor.
  struct Slab {
    const TensorStatistics* of = nullptr;
    int64_t index = -1;
    std::vector<ByteSpan> bytes;  // of each slice of a tensor in slices
  };

  static bool SameBytes(const Slab& a, const Slab& b) {
    return std::equal(a.bytes.begin(), a.bytes.end(), b.bytes.begin(),
                      b.bytes.end(), [](ByteSpan x, ByteSpan y) {
                        return x.size() == y.size() &&
                               std::memcmp(x.data(), y.data(), x.size()) == 0;
                      });
  }

  std::string NameOf(const Slab& slab) const {
    const std::string name =
        StrCat("\"", EscapeForTerminal(Tensor(*slab.of).name), "\"");
    return slab.index < 0 ? name : StrCat("expert ", slab.index, " of ", name);
  }

  void FindIdentical() {
    // Equal sums to the last bit are rare enough to be worth a comparison of
    // all bytes, and the same bytes have the same sums.
    using Key =
        std::tuple<DType, size_t, double, double, double, double, uint64_t>;
    std::map<Key, std::vector<Slab>> seen;
    for (const TensorStatistics& one : statistics_) {
      const TensorInfo& tensor = Tensor(one);
      if (!IsMatrix(tensor) || !tensor.contiguous() || one.elements < 2) {
        continue;
      }
      const std::vector<ByteSpan> spans = checkpoint_.Slices(tensor);
      const size_t count = std::max<size_t>(1, one.slabs.size());
      const auto size = static_cast<size_t>(tensor.size_bytes) / count;
      for (size_t i = 0; i < count; ++i) {
        const NumberScan& scan = one.slabs.empty() ? one.whole : one.slabs[i];
        // The same number throughout is a finding of its own.
        if (scan.count == 0 || scan.min == scan.max) continue;
        Slab slab{&one, one.slabs.empty() ? -1 : static_cast<int64_t>(i),
                  spans};
        if (!one.slabs.empty()) {
          slab.bytes = {spans.front().subspan(i * size, size)};
        }
        auto& group = seen[{tensor.dtype, size, scan.sum, scan.sum_squares,
                            scan.min, scan.max, scan.num_zero}];
        const auto twin = std::find_if(
            group.begin(), group.end(),
            [&](const Slab& other) { return SameBytes(other, slab); });
        if (twin != group.end()) {
          AddIdentical(*twin, slab);
        } else if (group.size() < kMaxCompared) {
          group.push_back(std::move(slab));
        }
      }
    }
  }

  void AddIdentical(const Slab& first, const Slab& second) {
    const std::string& name = Tensor(*second.of).name;
    const std::string& other = Tensor(*first.of).name;
    if ((IsEmbedding(name) && IsOutput(other)) ||
        (IsOutput(name) && IsEmbedding(other))) {
      findings_.Add(
          FindingKind::kIdentical, name,
          StrCat("the same numbers as ", NameOf(first), ": tied, stored twice"),
          Severity::kNote);
      return;
    }
    findings_.Add(
        FindingKind::kIdentical, name,
        StrCat(second.index < 0 ? "" : StrCat("expert ", second.index, ": "),
               "the same numbers as ", NameOf(first)),
        Severity::kWarning);
  }

  // Different bytes with equal sums: a file made to be slow has many.
  static constexpr size_t kMaxCompared = 8;

  const Checkpoint& checkpoint_;
  const std::vector<TensorStatistics>& statistics_;
  FindingList findings_;
  std::vector<TensorPlace> places_;
};

}  // namespace

void FindInNumbers(const Checkpoint& checkpoint,
                   const std::vector<TensorStatistics>& statistics,
                   StructureReport& report) {
  Finder(checkpoint, statistics, report).Run();
}

}  // namespace verify
