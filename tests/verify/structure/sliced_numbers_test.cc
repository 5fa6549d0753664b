// SPDX-License-Identifier: Apache-2.0
// What the numbers of a model say does not depend on how it is cut.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/support/sliced_tensors.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_checkpoint.h"
#include "verify/base/text.h"
#include "verify/structure/structure_check.h"

namespace verify {
namespace {

using tests::TinyTensor;

TinyTensor& Find(std::vector<TinyTensor>& tensors, const std::string& name) {
  for (TinyTensor& tensor : tensors) {
    if (tensor.name == name) return tensor;
  }
  ADD_FAILURE() << name;
  return tensors.front();
}

// Element `index` of a bf16 tensor.
void Put(TinyTensor& tensor, size_t index, uint16_t bits) {
  tensor.data[2 * index] = static_cast<std::byte>(bits & 0xff);
  tensor.data[2 * index + 1] = static_cast<std::byte>(bits >> 8);
}

struct Scanned {
  std::map<std::string, TensorStatistics> statistics;
  std::vector<std::string> findings;  // as text
};

Scanned Scan(const std::string& path) {
  Scanned scanned;
  const auto checkpoint = Checkpoint::Open(path);
  EXPECT_TRUE(checkpoint) << checkpoint.error().ToString();
  StructureReport report;
  ThreadPool pool(2);
  const CancelToken cancel;
  const auto all = ScanNumbers(*checkpoint, pool, cancel, nullptr, report);
  EXPECT_TRUE(all);
  for (const TensorStatistics& one : *all) {
    scanned.statistics[checkpoint->tensors().tensors()[one.tensor].name] = one;
  }
  for (const StructureFinding& finding : report.findings) {
    scanned.findings.push_back(StrCat(FindingKindName(finding.kind), " ",
                                      finding.tensor, " ", finding.detail));
  }
  return scanned;
}

TEST(SlicedNumbersTest, SlicesSayWhatTheWholeSays) {
  std::vector<TinyTensor> model = tests::TinyTensors(tests::TinyConfig());
  constexpr uint16_t kNan = 0x7fc0;
  constexpr uint16_t kInfinity = 0x7f80;
  // wo is [64, 64], cut into columns; row 20 begins at element 1280.
  TinyTensor& wo = Find(model, "layers.0.attention.wo.weight");
  Put(wo, 1280 + 40, kNan);
  Put(wo, 1280 + 41, kInfinity);
  // w1 is [96, 64], cut into rows; row 50 is in the second of two.
  TinyTensor& w1 = Find(model, "layers.1.feed_forward.experts.2.w1.weight");
  for (size_t c = 0; c < 64; ++c) Put(w1, 50 * 64 + c, 0);
  // w2 is [64, 96]: row 7 is the same number in either half, row 9 is not.
  TinyTensor& w2 = Find(model, "layers.1.feed_forward.experts.0.w2.weight");
  for (size_t c = 0; c < 96; ++c) {
    Put(w2, 7 * 96 + c, 0x3f80);
    Put(w2, 9 * 96 + c, c < 48 ? 0x3f80 : 0x4000);
  }
  TinyTensor& w3 = Find(model, "layers.0.feed_forward.experts.1.w3.weight");
  for (size_t i = 0; i < 96 * 64; ++i) Put(w3, i, 0x3e00);
  // Twins, each in slices.
  Find(model, "layers.1.attention.wq.weight").data =
      Find(model, "layers.0.attention.wq.weight").data;

  const tests::TempDir whole;
  const Scanned expected = Scan(
      whole.Write("consolidated.safetensors", tests::SafetensorsFile(model)));
  const TensorStatistics& bad =
      expected.statistics.at("layers.0.attention.wo.weight");
  EXPECT_EQ(bad.whole.first_bad, 1320u);
  EXPECT_FALSE(expected.findings.empty());

  for (const uint64_t number : {2u, 4u}) {
    const tests::TempDir dir;
    const auto files = tests::Sliced(model, number);
    for (size_t i = 0; i < files.size(); ++i) {
      dir.Write(StrCat("consolidated.0", i, ".pth"),
                tests::SafetensorsFile(files[i]));
    }
    const Scanned found = Scan(dir.path());
    EXPECT_EQ(found.findings, expected.findings);
    ASSERT_EQ(found.statistics.size(), expected.statistics.size());
    for (const auto& [name, one] : expected.statistics) {
      const NumberScan& a = one.whole;
      const NumberScan& b = found.statistics.at(name).whole;
      EXPECT_EQ(a.num_nan, b.num_nan) << name;
      EXPECT_EQ(a.num_infinite, b.num_infinite) << name;
      EXPECT_EQ(a.first_bad, b.first_bad) << name;
      EXPECT_EQ(a.constant, b.constant) << name;
      EXPECT_EQ(a.count, b.count) << name;
      EXPECT_EQ(a.num_zero, b.num_zero) << name;
      EXPECT_EQ(a.min, b.min) << name;
      EXPECT_EQ(a.max, b.max) << name;
      EXPECT_EQ(a.sum, b.sum) << name;
      EXPECT_EQ(a.sum_squares, b.sum_squares) << name;
      EXPECT_EQ(a.constant_rows, b.constant_rows) << name;
      EXPECT_EQ(a.zero_rows, b.zero_rows) << name;
      EXPECT_EQ(a.first_constant_row, b.first_constant_row) << name;
    }
  }
}

// The end of a slice that a download did not fill is found in its own file.
TEST(SlicedNumbersTest, C17AZeroTailOfASliceIsAnError) {
  auto files = tests::Sliced(tests::TinyTensors(tests::TinyConfig()), 2);
  std::string second = tests::SafetensorsFile(files[1]);
  // Half of the output, [20, 64], stands last.
  std::fill(second.end() - 20 * 64 * 2, second.end(), '\0');
  const tests::TempDir dir;
  dir.Write("consolidated.00.pth", tests::SafetensorsFile(files[0]));
  dir.Write("consolidated.01.pth", second);
  const Scanned found = Scan(dir.path());
  bool said = false;
  for (const std::string& finding : found.findings) {
    said |= finding.find("consolidated.01.pth") != std::string::npos &&
            finding.find("cut short") != std::string::npos;
  }
  EXPECT_TRUE(said) << (found.findings.empty() ? "" : found.findings.front());
}

}  // namespace
}  // namespace verify
