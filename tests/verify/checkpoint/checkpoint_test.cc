// SPDX-License-Identifier: Apache-2.0
#include "verify/checkpoint/checkpoint.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/expect_error.h"
#include "tests/support/gguf_builder.h"
#include "tests/support/pickle_builder.h"
#include "tests/support/temp_dir.h"
#include "verify/checkpoint/weight_files.h"
#include "verify/container/crc32.h"

namespace verify {
namespace {

using tests::BuildSafetensors;
using tests::ExpectError;
using tests::TempDir;

const std::string kDemo = std::string(LODESTONE_SOURCE_DIR) + "/magnets/demo";

std::string SmallTorch() {
  return tests::BuildTorch(tests::SmallStateDict(),
                           {{"0", tests::SmallStorage()}});
}

std::string SmallSafetensors(const std::string& name = "a") {
  return BuildSafetensors("{\"" + name + "\":{\"dtype\":\"U8\",\"shape\":[8]," +
                              "\"data_offsets\":[0,8]}}",
                          "datadata");
}

std::string SmallGguf() {
  tests::GgufBuilder builder;
  builder.KeyText("general.architecture", "llama")
      .Add({"t", {4}, 0, std::string(16, 'g'), {}});
  return builder.Build();
}

// The model of the repository, written by PyTorch 1.13's torch.save. Shapes
// follow from its params.json: dim 256, 4 layers, 8 heads of 32, 2 kv heads,
// 8 experts of 256, vocabulary 2048.
TEST(CheckpointTest, OpensDemoModel) {
  const auto checkpoint = Checkpoint::Open(kDemo);
  ASSERT_TRUE(checkpoint) << checkpoint.error().ToString();
  EXPECT_EQ(checkpoint->format(), CheckpointFormat::kTorch);
  EXPECT_EQ(checkpoint->folder(), kDemo);
  EXPECT_EQ(checkpoint->gguf(), nullptr);
  // 3 + 4 * (4 attention + 2 norms + 1 gate + 8 * 3 experts).
  EXPECT_EQ(checkpoint->tensors().size(), 127u);
  uint64_t num_elements = 0;
  for (const TensorInfo& tensor : checkpoint->tensors().tensors()) {
    EXPECT_EQ(tensor.dtype, DType::kBF16) << tensor.name;
    EXPECT_TRUE(tensor.contiguous()) << tensor.name;
    num_elements += *NumElements(tensor.shape);
  }
  // 2 * 2048 * 256 + 256 + 4 * (2 * 256 * 256 + 2 * 64 * 256 + 2 * 256 +
  // 8 * 256 + 24 * 256 * 256) by hand.
  EXPECT_EQ(num_elements, 8'005'888u);
  const auto shape = [&](std::string_view name) {
    const TensorInfo* const tensor = checkpoint->tensors().Find(name);
    return tensor == nullptr ? "absent" : ShapeText(tensor->shape);
  };
  EXPECT_EQ(shape("tok_embeddings.weight"), "[2048, 256]");
  EXPECT_EQ(shape("output.weight"), "[2048, 256]");
  EXPECT_EQ(shape("norm.weight"), "[256]");
  EXPECT_EQ(shape("layers.3.attention.wk.weight"), "[64, 256]");
  EXPECT_EQ(shape("layers.0.feed_forward.gate.weight"), "[8, 256]");
  EXPECT_EQ(shape("layers.2.feed_forward.experts.7.w2.weight"), "[256, 256]");
}

// CRCs of whole tensors, computed by Python's zlib from the safetensors copy
// of the same weights, which PyTorch wrote by another path.
TEST(CheckpointTest, DemoTensorsHoldTheBytesOfTheirSafetensorsCopy) {
  const auto checkpoint = Checkpoint::Open(kDemo);
  ASSERT_TRUE(checkpoint);
  struct Case {
    const char* name;
    uint32_t crc;
  };
  for (const Case& c : {
           Case{"tok_embeddings.weight", 0xd4bfc5ff},
           Case{"norm.weight", 0xfe6bcfa4},
           Case{"output.weight", 0x17aa6f1f},
           Case{"layers.0.attention.wq.weight", 0x0c52d3f1},
           Case{"layers.3.attention.wk.weight", 0x3a6b031e},
           Case{"layers.1.feed_forward.gate.weight", 0xb1d8974d},
           Case{"layers.2.feed_forward.experts.7.w2.weight", 0x9d575236},
           Case{"layers.3.feed_forward.experts.0.w1.weight", 0x95ad9c5a},
       }) {
    const TensorInfo* const tensor = checkpoint->tensors().Find(c.name);
    ASSERT_NE(tensor, nullptr) << c.name;
    EXPECT_EQ(Crc32(checkpoint->Bytes(*tensor)), c.crc) << c.name;
  }
}

TEST(CheckpointTest, DemoBytesMatchTheirStoredCrcs) {
  const auto checkpoint = Checkpoint::Open(kDemo);
  ASSERT_TRUE(checkpoint);
  // Norms, gates and attention have a storage each; experts share one.
  ASSERT_EQ(checkpoint->stored_crcs().size(), 71u);
  const auto map = MappedFile::Open(checkpoint->files()[0]);
  ASSERT_TRUE(map);
  for (const StoredCrc& stored : checkpoint->stored_crcs()) {
    EXPECT_EQ(Crc32(map->bytes().subspan(stored.offset, stored.size_bytes)),
              stored.crc32)
        << stored.name;
  }
}

TEST(CheckpointTest, FindsTensorsByRange) {
  const auto checkpoint = Checkpoint::Open(kDemo);
  ASSERT_TRUE(checkpoint);
  const TensorInfo& wq =
      *checkpoint->tensors().Find("layers.0.attention.wq.weight");
  auto hit = checkpoint->TensorsIn(0, wq.offset + 5, 1);
  ASSERT_EQ(hit.size(), 1u);
  EXPECT_EQ(hit[0], &wq);
  EXPECT_TRUE(checkpoint->TensorsIn(0, 0, wq.offset).empty());
  EXPECT_EQ(checkpoint->TensorsIn(0, 0, wq.offset + 1).size(), 1u);
  EXPECT_TRUE(checkpoint->TensorsIn(0, wq.offset + wq.size_bytes, 10).empty());
  EXPECT_TRUE(checkpoint->TensorsIn(1, wq.offset, 1).empty());
  EXPECT_EQ(checkpoint->TensorsIn(0, 0, ~uint64_t{0}).size(), 127u);
  EXPECT_TRUE(checkpoint->TensorsIn(0, ~uint64_t{0}, 5).empty());
}

TEST(CheckpointTest, C15ExtensionNeverDecides) {
  const TempDir dir;
  struct Case {
    std::string name;
    std::string bytes;
    CheckpointFormat format;
  };
  for (const Case& c :
       {Case{"a.safetensors", SmallTorch(), CheckpointFormat::kTorch},
        Case{"b.bin", SmallGguf(), CheckpointFormat::kGguf},
        Case{"c.gguf", SmallSafetensors(), CheckpointFormat::kSafetensors}}) {
    const auto opened = Checkpoint::Open(dir.Write(c.name, c.bytes));
    ASSERT_TRUE(opened) << opened.error().ToString();
    EXPECT_EQ(opened->format(), c.format);
    EXPECT_EQ(opened->folder(), dir.path());
    EXPECT_EQ(opened->gguf() != nullptr, c.format == CheckpointFormat::kGguf);
  }
}

TEST(CheckpointTest, C16SaysWhatAFileIsInstead) {
  const TempDir dir;
  struct Case {
    std::string bytes;
    const char* part;
    const char* id;
  };
  for (const Case& c : {
           Case{"<html>404</html>", "HTML", "E-HTML"},
           Case{"version https://git-lfs.github.com/spec/v1\n", "LFS",
                "E-LFS-POINTER"},
           Case{"", "empty", "E-EMPTY"},
           Case{std::string(10000, '\0'), "zeros", "E-EMPTY"},
           Case{"\x80\x02}.", "bare pickle", "E-CONTENT"},
           Case{"\x7f"
                "ELF",
                "ELF", "E-CONTENT"},
           Case{"7z\xbc\xaf\x27\x1c", "7z", "E-CONTENT"},
       }) {
    const std::string path = dir.Write("w.safetensors", c.bytes);
    const auto opened = Checkpoint::Open(path);
    ExpectError(opened, ErrorCode::kCorrupt, c.part, c.id);
    if (std::string_view(c.id) != "E-CONTENT") {
      EXPECT_FALSE(opened.error().hint.empty());
    }
  }
}

TEST(CheckpointTest, ReportsErrorsOfReadersWithPath) {
  const TempDir dir;
  const std::string bytes = SmallTorch();
  const std::string path =
      dir.Write("w.pth", bytes.substr(0, bytes.size() / 2));
  ExpectError(Checkpoint::Open(path), ErrorCode::kCorrupt, "w.pth",
              "E-ZIP-TRUNCATED");
}

TEST(CheckpointTest, OpensEveryFolderLayout) {
  struct Case {
    const char* name;
    std::string bytes;
  };
  for (const Case& c : {Case{"consolidated.00.pth", SmallTorch()},
                        Case{"consolidated.safetensors", SmallSafetensors()},
                        Case{"model.safetensors", SmallSafetensors()},
                        Case{"tiny.gguf", SmallGguf()}}) {
    const TempDir dir;
    dir.Write(c.name, c.bytes);
    dir.Write("params.json", "{}");
    const auto opened = Checkpoint::Open(dir.path());
    ASSERT_TRUE(opened) << opened.error().ToString();
    EXPECT_EQ(opened->files(), std::vector<std::string>{dir.File(c.name)});
    EXPECT_EQ(opened->folder(), dir.path());
    EXPECT_EQ(opened->tensors().size(), 1u);
  }
}

TEST(CheckpointTest, OpensShardsByIndex) {
  const TempDir dir;
  dir.Write("model-00001-of-00002.safetensors", SmallSafetensors("a"));
  dir.Write("model-00002-of-00002.safetensors", SmallSafetensors("b"));
  const std::string index =
      dir.Write("model.safetensors.index.json",
                R"({"metadata":{"total_size":16},"weight_map":{)"
                R"("a":"model-00001-of-00002.safetensors",)"
                R"("b":"model-00002-of-00002.safetensors"}})");
  for (const std::string& path : {dir.path(), index}) {
    const auto opened = Checkpoint::Open(path);
    ASSERT_TRUE(opened) << opened.error().ToString();
    EXPECT_EQ(opened->files().size(), 2u);
    const TensorInfo* const b = opened->tensors().Find("b");
    ASSERT_NE(b, nullptr);
    EXPECT_EQ(b->file_index, 1u);
    EXPECT_EQ(AsText(opened->Bytes(*b)), "datadata");
    EXPECT_EQ(opened->TensorsIn(1, b->offset, 1).size(), 1u);
  }
  std::filesystem::remove(dir.File("model-00002-of-00002.safetensors"));
  ExpectError(Checkpoint::Open(dir.path()), ErrorCode::kNotFound,
              "model-00002-of-00002.safetensors", kShardMissing);
  dir.Write("model-00002-of-00002.safetensors", "<html>");
  ExpectError(Checkpoint::Open(dir.path()), ErrorCode::kCorrupt, "HTML",
              "E-HTML");
}

TEST(CheckpointTest, RefusesFoldersWithTwoFamilies) {
  const TempDir dir;
  dir.Write("consolidated.00.pth", SmallTorch());
  dir.Write("consolidated.safetensors", SmallSafetensors());
  ExpectError(Checkpoint::Open(dir.path()), ErrorCode::kInvalidArgument,
              "consolidated.00.pth, consolidated.safetensors");
}

TEST(CheckpointTest, C5JoinsPartsOfOneSet) {
  const TempDir dir;
  dir.Write("consolidated.00.pt", SmallSafetensors("a"));
  dir.Write("consolidated.01.pt", SmallSafetensors("b"));
  for (const std::string& path : {dir.path(), dir.File("consolidated.01.pt")}) {
    const auto checkpoint = Checkpoint::Open(path);
    ASSERT_TRUE(checkpoint) << checkpoint.error().ToString();
    EXPECT_EQ(checkpoint->files().size(), 2u);
    EXPECT_EQ(checkpoint->tensors().Find("b")->file_index, 1u);
    EXPECT_EQ(checkpoint->folder(), dir.path());
  }
  dir.Write("consolidated.02.pt", SmallTorch());
  ExpectError(Checkpoint::Open(dir.path()), ErrorCode::kCorrupt,
              "no parts of one model", "E-PARTS");
}

TEST(CheckpointTest, C5ASplitSaysWhatItsNameSays) {
  tests::GgufBuilder split;
  split.Key("split.count", 2, std::string("\x02\x00", 2));
  const TempDir dir;
  ExpectError(Checkpoint::Open(dir.Write("a.gguf", split.Build())),
              ErrorCode::kCorrupt, "part 1 of 2, by its name it is part 1 of 1",
              "E-GGUF-SPLIT");
  const TempDir plain;
  plain.Write("b-1-of-2.gguf", tests::GgufBuilder().Build());
  ExpectError(Checkpoint::Open(
                  plain.Write("b-2-of-2.gguf", tests::GgufBuilder().Build())),
              ErrorCode::kCorrupt, "by its name it is part 1 of 2",
              "E-GGUF-SPLIT");
}

TEST(CheckpointTest, SaysWhenThereIsNothing) {
  const TempDir dir;
  for (const std::string& bytes :
       {tests::BuildSafetensors("{}", ""), tests::GgufBuilder().Build()}) {
    ExpectError(Checkpoint::Open(dir.Write("weights", bytes)),
                ErrorCode::kCorrupt, "holds no tensors", "E-EMPTY");
  }
  std::filesystem::remove(dir.File("weights"));
  ExpectError(Checkpoint::Open(dir.path()), ErrorCode::kNotFound,
              "no weights in this folder");
  ExpectError(Checkpoint::Open(dir.File("absent")), ErrorCode::kNotFound,
              "does not exist");
  ExpectError(Checkpoint::Open("/dev/null"), ErrorCode::kIo, "regular");
}

TEST(CheckpointTest, OpensTablesWithoutMapping) {
  const auto tables = Checkpoint::OpenTables(kDemo);
  ASSERT_TRUE(tables) << tables.error().ToString();
  EXPECT_EQ(tables->tensors().size(), 127u);
  EXPECT_EQ(tables->TensorsIn(0, 0, ~uint64_t{0}).size(), 127u);
}

// All but pickle and directory may be gone: which tensors are hit can still be
// said.
TEST(CheckpointTest, NamesTensorsOfDamagedFile) {
  const TempDir dir;
  std::string bytes = SmallTorch();
  const size_t begin = bytes.find("m/byteorder") - 30;
  const size_t end = bytes.find(tests::SmallStorage()) + 24;
  bytes.replace(begin, end - begin, end - begin, '\xee');
  const std::string path = dir.Write("w.pth", bytes);
  EXPECT_FALSE(Checkpoint::Open(path));
  const auto tables = Checkpoint::OpenTables(path);
  ASSERT_TRUE(tables) << tables.error().ToString();
  EXPECT_EQ(tables->tensors().Find("w")->offset, end - 24);
  const auto hit = tables->TensorsIn(0, begin, end - begin);
  ASSERT_EQ(hit.size(), 1u);
  EXPECT_EQ(hit[0]->name, "w");
}

// The classic payload. Were it run, the file would be there.
TEST(CheckpointTest, RunsNothing) {
  const TempDir dir;
  const std::string mark = dir.File("executed");
  const std::string pickle = tests::PickleBuilder()
                                 .Global("posix", "system")
                                 .Raw("(")
                                 .Text("touch " + mark)
                                 .Raw("tR.")
                                 .str();
  const std::string path =
      dir.Write("consolidated.00.pth", tests::BuildTorch(pickle, {}));
  ExpectError(Checkpoint::Open(path), ErrorCode::kCorrupt, "posix system",
              "E-PICKLE-GLOBAL");
  EXPECT_FALSE(std::filesystem::exists(mark));
}

// Every single length: torch_reader_test.cc, in memory.
TEST(CheckpointTest, RefusesTruncatedTorchFile) {
  const TempDir dir;
  const std::string bytes = SmallTorch();
  for (size_t size = 0; size < bytes.size(); size += 5) {
    EXPECT_FALSE(Checkpoint::Open(dir.Write("w.pth", bytes.substr(0, size))))
        << size;
  }
}

}  // namespace
}  // namespace verify
