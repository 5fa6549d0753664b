// SPDX-License-Identifier: Apache-2.0
#include "inference/convert/source_reader.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "inference/convert/tensor_stream.h"
#include "tests/inference/convert/convert_fixture.h"
#include "tests/support/temp_dir.h"
#include "tests/support/test_random.h"
#include "tests/support/tiny_checkpoint.h"
#include "verify/checkpoint/checkpoint.h"

namespace inference {
namespace {

namespace fs = std::filesystem;
using verify::ByteSpan;
using verify::Checkpoint;
using verify::DType;
using verify::ErrorCode;
using verify::TensorInfo;

class SourceReaderTest : public testing::Test {
 protected:
  SourceReaderTest()
      : folder_(WriteMistralFolder(dir_, "m", tests::TinyConfig())),
        weights_(folder_ + "/consolidated.safetensors"),
        checkpoint_(*Checkpoint::Open(folder_)),
        reader_(*SourceReader::Open(checkpoint_)) {}

  std::vector<std::byte> ReadAll(ByteSpan bytes) const {
    std::vector<std::byte> out(bytes.size());
    const auto read = reader_.Read(bytes, out);
    EXPECT_TRUE(read) << read.error().ToString();
    return out;
  }

  const tests::TempDir dir_;
  const std::string folder_;
  const std::string weights_;
  const Checkpoint checkpoint_;
  const SourceReader reader_;
};

TEST_F(SourceReaderTest, GivesTheBytesThatAreMapped) {
  for (const TensorInfo& tensor : checkpoint_.tensors().tensors()) {
    const ByteSpan mapped = checkpoint_.Bytes(tensor);
    reader_.WillNeed(mapped);
    for (const size_t skip : {size_t{0}, size_t{7}, mapped.size() - 1}) {
      const ByteSpan part = mapped.subspan(skip);
      const auto read = ReadAll(part);
      EXPECT_TRUE(std::equal(part.begin(), part.end(), read.begin()))
          << tensor.name << skip;
    }
  }
}

TEST_F(SourceReaderTest, ReadsOtherMemoryAsItIs) {
  const std::vector<std::byte> heap(100, std::byte{7});
  EXPECT_EQ(ReadAll(heap), heap);
  reader_.WillNeed(heap);
  EXPECT_TRUE(ReadAll({}).empty());
  const SourceReader of_memory;
  std::vector<std::byte> out(100);
  EXPECT_TRUE(of_memory.Read(heap, out));
  EXPECT_EQ(out, heap);
}

// To read those pages through the map would end the test by a signal.
TEST_F(SourceReaderTest, NamesTheFileThatBecameShorter) {
  const TensorInfo* last = nullptr;
  for (const TensorInfo& tensor : checkpoint_.tensors().tensors()) {
    if (last == nullptr || tensor.offset > last->offset) last = &tensor;
  }
  ASSERT_EQ(::truncate(weights_.c_str(), 100), 0);
  const ByteSpan mapped = checkpoint_.Bytes(*last);
  std::vector<std::byte> out(mapped.size());
  const auto read = reader_.Read(mapped, out);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::kMismatch);
  EXPECT_EQ(read.error().id, "E-CHANGED");
  EXPECT_NE(read.error().message.find("consolidated.safetensors"),
            std::string::npos);
}

// A tensor that lies across the cut is bridged to other addresses.
TEST_F(SourceReaderTest, FindsTensorsInPieces) {
  const std::string text =
      tests::ReadFile(dir_.File("m/consolidated.safetensors"));
  const std::string name = "p/consolidated.safetensors";
  for (const size_t cut : {text.size() / 2, text.size() / 3 * 2}) {
    dir_.Write(name + ".part1of2", text.substr(0, cut));
    dir_.Write(name + ".part2of2", text.substr(cut));
    fs::copy(folder_ + "/params.json", dir_.File("p/params.json"),
             fs::copy_options::overwrite_existing);
    const auto pieces = Checkpoint::Open(dir_.File("p"));
    ASSERT_TRUE(pieces) << pieces.error().ToString();
    const auto reader = SourceReader::Open(*pieces);
    ASSERT_TRUE(reader);
    for (const TensorInfo& tensor : pieces->tensors().tensors()) {
      const ByteSpan mapped = pieces->Bytes(tensor);
      std::vector<std::byte> out(mapped.size());
      ASSERT_TRUE(reader->Read(mapped, out));
      EXPECT_TRUE(std::equal(out.begin(), out.end(), mapped.begin()))
          << tensor.name;
    }
  }
}

// Held rows give what the matrix itself gives, whatever its layout.
class HeldRowsTest : public testing::Test {
 protected:
  static constexpr uint64_t kRows = 96;
  static constexpr uint64_t kCols = 32;

  HeldRowsTest() : values_(tests::TestRandom(3).Floats(kRows * kCols * 3)) {
    info_.name = "t";
    info_.dtype = DType::kF32;
    info_.shape = {kRows, kCols};
    matrix_.tensor = &info_;
    matrix_.rows = kRows;
    matrix_.cols = kCols;
    matrix_.row_stride = kCols;
    matrix_.bytes = std::as_bytes(std::span(values_));
  }

  void ExpectTheSame(uint64_t half_rotated_heads) const {
    const RowForm form{.dtype = DType::kQ8_0,
                       .half_rotated_heads = half_rotated_heads};
    const SourceReader reader;
    HeldRows held;  // used again and again
    for (uint64_t first = 0; first < kRows; first += 13) {
      for (const uint64_t count : {uint64_t{1}, uint64_t{5}, kRows - first}) {
        if (count > kRows - first) continue;
        std::vector<std::byte> expected(count * 34);
        std::vector<std::byte> out(count * 34);
        ASSERT_TRUE(ConvertRows(matrix_, form, first, count, expected));
        ASSERT_TRUE(held.Load(reader, matrix_, form, first, count));
        EXPECT_LE(held.first_row(), first);
        ASSERT_TRUE(ConvertRows(held, matrix_, form, first, count, out));
        EXPECT_EQ(out, expected) << first << "+" << count;
      }
    }
  }

  std::vector<float> values_;
  TensorInfo info_;
  StoredMatrix matrix_;
};

TEST_F(HeldRowsTest, TakesRowsWhereTheyLie) {
  ExpectTheSame(0);
  ExpectTheSame(6);  // heads of 16 rows change places
  matrix_.row_stride = kCols + 5;
  ExpectTheSame(0);
}

TEST_F(HeldRowsTest, TakesTransposedMatrices) {
  matrix_.row_stride = 1;
  matrix_.col_stride = kRows;
  ExpectTheSame(0);
  ExpectTheSame(6);
  matrix_.row_stride = 2;
  matrix_.col_stride = 2 * kRows;
  ExpectTheSame(0);
}

TEST_F(HeldRowsTest, TakesRowsWithGaps) {
  matrix_.row_stride = 2 * kCols;
  matrix_.col_stride = 2;
  ExpectTheSame(0);
}

TEST_F(HeldRowsTest, TakesSlices) {
  const ByteSpan all = matrix_.bytes;
  matrix_.bytes = {};
  const size_t third = kRows * kCols * sizeof(float) / 3;
  for (const bool columns : {false, true}) {
    matrix_.slices_are_columns = columns;
    const size_t count = columns ? 2 : 3;
    const size_t size = columns ? third * 3 / 2 : third;
    matrix_.slices.clear();
    for (size_t i = 0; i < count; ++i) {
      matrix_.slices.push_back(all.subspan((count - 1 - i) * size, size));
    }
    ExpectTheSame(0);
    ExpectTheSame(6);
  }
}

TEST_F(HeldRowsTest, ScalesRowsByTheirPlaceInTheWhole) {
  const std::vector<float> factors = {0.5f, 2, 4, 8, 16, 32};
  TensorInfo scales;
  scales.name = "s";
  scales.dtype = DType::kF32;
  matrix_.scales = {.tensor = &scales,
                    .bytes = std::as_bytes(std::span(factors)),
                    .block_rows = 32,
                    .block_cols = 16,
                    .blocks_in_row = 2};
  ExpectTheSame(0);
  ExpectTheSame(6);
}

}  // namespace
}  // namespace inference
