// SPDX-License-Identifier: Apache-2.0
// Files in pieces and tensors in slices: what is read is what the whole holds.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/expect_error.h"
#include "tests/support/sliced_tensors.h"
#include "tests/support/temp_dir.h"
#include "tests/support/tiny_checkpoint.h"
#include "verify/base/text.h"
#include "verify/checkpoint/checkpoint.h"
#include "verify/checkpoint/weight_files.h"
#include "verify/container/crc32.h"

namespace verify {
namespace {

using tests::ExpectError;
using tests::TempDir;
using tests::TinyTensor;

const std::string kDemo =
    std::string(LODESTONE_SOURCE_DIR) + "/magnets/demo/consolidated.00.pth";

std::vector<TinyTensor> Model() {
  return tests::TinyTensors(tests::TinyConfig());
}

// `whole` as NAME-split0 and so on, each of `bytes` but the last.
void WritePieces(const TempDir& dir, const std::string& name,
                 const std::string& whole, size_t bytes) {
  for (size_t i = 0, at = 0; at < whole.size(); ++i, at += bytes) {
    dir.Write(StrCat(name, "-split", i), whole.substr(at, bytes));
  }
}

std::string Text(ByteSpan bytes) { return std::string(AsText(bytes)); }

TEST(CheckpointPlacesTest, PiecesHoldWhatTheWholeHolds) {
  const std::string whole = tests::SafetensorsFile(Model());
  const TempDir plain;
  const auto expected =
      Checkpoint::Open(plain.Write("consolidated.safetensors", whole));
  ASSERT_TRUE(expected);
  // No piece is a whole number of pages, or all are.
  for (const size_t bytes :
       {whole.size() / 3 + 1, size_t{7001}, size_t{8192}}) {
    const TempDir dir;
    WritePieces(dir, "consolidated.safetensors", whole, bytes);
    const auto opened = Checkpoint::Open(dir.path());
    ASSERT_TRUE(opened) << opened.error().ToString();
    EXPECT_EQ(opened->files().size(), (whole.size() + bytes - 1) / bytes);
    ASSERT_EQ(opened->num_whole_files(), 1u);
    EXPECT_EQ(opened->whole_file(0), dir.File("consolidated.safetensors"));
    size_t across = 0;
    for (const TensorInfo& tensor : expected->tensors().tensors()) {
      const TensorInfo* const found = opened->tensors().Find(tensor.name);
      ASSERT_NE(found, nullptr);
      EXPECT_EQ(Text(opened->Bytes(*found)), Text(expected->Bytes(tensor)));
      // The places hold the same bytes in the same order.
      std::string placed;
      for (const FilePlace& place : opened->PlacesOf(*found)) {
        placed += tests::ReadFile(opened->files()[place.file])
                      .substr(place.offset, place.size_bytes);
        const auto there = opened->TensorsIn(place);
        EXPECT_NE(std::find(there.begin(), there.end(), found), there.end());
      }
      EXPECT_EQ(placed, Text(expected->Bytes(tensor))) << tensor.name;
      across += opened->PlacesOf(*found).size() > 1 ? 1u : 0u;
    }
    EXPECT_GT(across, 0u);
    // By the name of the whole, which is not there, and by that of a piece.
    EXPECT_TRUE(Checkpoint::OpenTables(dir.File("consolidated.safetensors")));
    EXPECT_TRUE(
        Checkpoint::OpenTables(dir.File("consolidated.safetensors-split1")));
  }
}

// The records of an archive that lie across cuts, by the sums that PyTorch
// stored with them.
TEST(CheckpointPlacesTest, RecordsInPiecesHaveTheirSums) {
  const TempDir dir;
  WritePieces(dir, "consolidated.00.pth", tests::ReadFile(kDemo), 1'000'003);
  const auto opened = Checkpoint::Open(dir.path());
  ASSERT_TRUE(opened) << opened.error().ToString();
  EXPECT_EQ(opened->stored_crcs().size(), 71u);
  for (const StoredCrc& crc : opened->stored_crcs()) {
    EXPECT_EQ(Crc32(opened->Bytes(
                  TensorSlice{crc.file_index, crc.offset, crc.size_bytes})),
              crc.crc32)
        << crc.name;
  }
}

TEST(CheckpointPlacesTest, C5SaysWhatPiecesLack) {
  const TempDir dir;
  const std::string whole = tests::SafetensorsFile(Model());
  WritePieces(dir, "model.safetensors", whole, whole.size() / 4 + 1);
  ASSERT_EQ(std::remove(dir.File("model.safetensors-split3").c_str()), 0);
  const auto opened = Checkpoint::Open(dir.path());
  ExpectError(opened, ErrorCode::kCorrupt, "model.safetensors");
  EXPECT_NE(opened.error().hint.find("behind the last"), std::string::npos)
      << opened.error().hint;
  ASSERT_EQ(std::remove(dir.File("model.safetensors-split1").c_str()), 0);
  ExpectError(Checkpoint::Open(dir.path()), ErrorCode::kNotFound,
              "model.safetensors-split1", kShardMissing);
  ExpectError(Checkpoint::Open(dir.File("model.safetensors")),
              ErrorCode::kNotFound, "model.safetensors-split1", kShardMissing);
  ExpectError(Checkpoint::Open(dir.File("other.safetensors")),
              ErrorCode::kNotFound, "does not exist");
}

TEST(CheckpointPlacesTest, SlicesHoldTheRowsOfTheWhole) {
  const std::vector<TinyTensor> model = Model();
  for (const int embedding_dim : {0, 1}) {
    for (const uint64_t number : {2u, 4u}) {
      const TempDir dir;
      const auto files = tests::Sliced(model, number, embedding_dim);
      for (size_t i = 0; i < files.size(); ++i) {
        dir.Write(StrCat("consolidated.0", i, ".pth"),
                  tests::SafetensorsFile(files[i]));
      }
      const auto opened = Checkpoint::Open(dir.path());
      ASSERT_TRUE(opened) << opened.error().ToString();
      ASSERT_EQ(opened->tensors().size(), model.size());
      for (const TinyTensor& whole : model) {
        const TensorInfo* const tensor = opened->tensors().Find(whole.name);
        ASSERT_NE(tensor, nullptr);
        EXPECT_EQ(tensor->shape, whole.shape) << whole.name;
        if (tests::CutDim(whole.name, embedding_dim) < 0) {
          EXPECT_FALSE(tensor->sliced()) << whole.name;
          EXPECT_EQ(Text(opened->Bytes(*tensor)), Text(whole.data));
          continue;
        }
        ASSERT_EQ(opened->Slices(*tensor).size(), number) << whole.name;
        EXPECT_EQ(opened->PlacesOf(*tensor).size(), number);
        const size_t row_bytes = whole.data.size() / whole.shape[0];
        using Rows = std::pair<uint64_t, uint64_t>;
        for (const auto& [first, count] :
             {Rows{0, whole.shape[0]}, Rows{1, whole.shape[0] - 2},
              Rows{whole.shape[0] - 1, 1}}) {
          std::vector<std::byte> rows(count * row_bytes);
          opened->CopyRows(*tensor, first, count, rows);
          EXPECT_EQ(Text(rows),
                    Text(whole.data).substr(first * row_bytes, rows.size()))
              << whole.name;
        }
      }
      // Damage in a copy of a norm is damage to that norm.
      const TensorInfo* const norm = opened->tensors().Find("norm.weight");
      bool named = false;
      for (const TensorInfo* tensor :
           opened->TensorsIn({files.size() - 1, 0, 1u << 30})) {
        named |= tensor == norm;
      }
      EXPECT_TRUE(named);
    }
  }
}

TEST(CheckpointPlacesTest, C6NormsOfSlicesAreTheSame) {
  auto files = tests::Sliced(Model(), 2);
  for (TinyTensor& tensor : files[1]) {
    if (tensor.name == "layers.1.ffn_norm.weight") {
      tensor.data[5] ^= std::byte{1};
    }
  }
  const TempDir dir;
  dir.Write("consolidated.00.pth", tests::SafetensorsFile(files[0]));
  dir.Write("consolidated.01.pth", tests::SafetensorsFile(files[1]));
  ExpectError(Checkpoint::Open(dir.path()), ErrorCode::kCorrupt,
              "\"layers.1.ffn_norm.weight\" differs between", "E-PARTS");
  // Tables alone cannot tell.
  EXPECT_TRUE(Checkpoint::OpenTables(dir.path()));
}

// A slice may itself be in pieces.
TEST(CheckpointPlacesTest, SlicesInPieces) {
  const std::vector<TinyTensor> model = Model();
  const auto files = tests::Sliced(model, 2);
  const TempDir dir;
  WritePieces(dir, "consolidated.00.pth", tests::SafetensorsFile(files[0]),
              9999);
  dir.Write("consolidated.01.pth", tests::SafetensorsFile(files[1]));
  const auto opened = Checkpoint::Open(dir.path());
  ASSERT_TRUE(opened) << opened.error().ToString();
  for (const TinyTensor& whole : model) {
    const TensorInfo* const tensor = opened->tensors().Find(whole.name);
    ASSERT_NE(tensor, nullptr);
    if (!tensor->sliced()) continue;
    std::vector<std::byte> rows(whole.data.size());
    opened->CopyRows(*tensor, 0, whole.shape[0], rows);
    EXPECT_EQ(Text(rows), Text(whole.data)) << whole.name;
  }
}

}  // namespace
}  // namespace verify
