// SPDX-License-Identifier: Apache-2.0
#include "verify/checkpoint/torch_reader.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/expect_error.h"
#include "tests/support/pickle_builder.h"
#include "tests/support/zip_builder.h"

namespace verify {
namespace {

using tests::BuildTorch;
using tests::BuildZip;
using tests::ExpectError;
using tests::PickleBuilder;
using tests::SmallStateDict;
using tests::SmallStorage;
using tests::TorchMembers;
using tests::ZipMember;

Result<TorchFile> Read(const std::string& bytes) {
  return ReadTorch(MemorySource(AsBytes(bytes)));
}

std::string Small() {
  return BuildTorch(SmallStateDict(), {{"0", SmallStorage()}});
}

// {"w": float32 tensor over storage "0" of `numel` elements}.
std::string One(int64_t numel, int64_t start, const std::vector<int64_t>& shape,
                const std::vector<int64_t>& strides) {
  return BuildTorch(
      PickleBuilder()
          .Raw("}(")
          .Text("w")
          .Tensor("FloatStorage", "0", numel, start, shape, strides)
          .Raw("u.")
          .str(),
      {{"0", std::string(24, '\0')}});
}

void ExpectRefused(const std::string& bytes, std::string_view part,
                   ErrorCode code = ErrorCode::kCorrupt) {
  ExpectError(Read(bytes), code, part);
}

TEST(TorchReaderTest, FindsTensorInFile) {
  const std::string bytes = Small();
  const auto torch = Read(bytes);
  ASSERT_TRUE(torch) << torch.error().ToString();
  ASSERT_EQ(torch->tensors.size(), 1u);
  const TensorInfo& w = *torch->tensors.Find("w");
  EXPECT_EQ(w.dtype, DType::kF32);
  EXPECT_EQ(w.shape, (std::vector<uint64_t>{2, 3}));
  EXPECT_TRUE(w.contiguous());
  EXPECT_EQ(w.offset, bytes.find(SmallStorage()));
  EXPECT_EQ(w.size_bytes, 24u);
  ASSERT_EQ(torch->records.size(), 1u);
  EXPECT_EQ(torch->records[0].payload_offset, w.offset);
  EXPECT_EQ(torch->records[0].crc32, tests::SlowCrc32(SmallStorage()));
}

TEST(TorchReaderTest, ReadsViewsOfOneStorage) {
  const std::string pickle =
      PickleBuilder()
          .Raw("}(")
          .Text("first")
          .Tensor("FloatStorage", "0", 6, 0, {2}, {1})
          .Text("rest")
          .Tensor("FloatStorage", "0", 6, 2, {2, 2}, {2, 1})
          .Text("transposed")
          .Tensor("FloatStorage", "0", 6, 0, {3, 2}, {1, 3})
          .Text("column")
          .Tensor("FloatStorage", "0", 6, 1, {2, 1}, {3, 7})
          .Text("none")
          .Tensor("FloatStorage", "0", 6, 6, {0, 4}, {4, 1})
          .Text("scalar")
          .Tensor("FloatStorage", "0", 6, 5, {}, {})
          .Raw("u.")
          .str();
  const auto torch = Read(BuildTorch(pickle, {{"0", SmallStorage()}}));
  ASSERT_TRUE(torch) << torch.error().ToString();
  const TensorTable& table = torch->tensors;
  const uint64_t base = table.Find("first")->offset;
  EXPECT_EQ(table.Find("rest")->offset, base + 8);
  EXPECT_EQ(table.Find("rest")->size_bytes, 16u);
  EXPECT_TRUE(table.Find("rest")->contiguous());
  EXPECT_EQ(table.Find("transposed")->strides, (std::vector<uint64_t>{1, 3}));
  EXPECT_EQ(table.Find("transposed")->size_bytes, 24u);
  // Elements 1 and 4: sixteen bytes from the first to the end of the last.
  EXPECT_EQ(table.Find("column")->offset, base + 4);
  EXPECT_EQ(table.Find("column")->size_bytes, 16u);
  EXPECT_FALSE(table.Find("column")->contiguous());
  EXPECT_EQ(table.Find("none")->size_bytes, 0u);
  EXPECT_EQ(table.Find("scalar")->offset, base + 20);
  EXPECT_EQ(torch->records.size(), 1u);
}

TEST(TorchReaderTest, ReadsAllStorageTypes) {
  struct Case {
    const char* type;
    DType dtype;
    int64_t item_bytes;
  };
  for (const Case& c :
       {Case{"BFloat16Storage", DType::kBF16, 2},
        Case{"HalfStorage", DType::kF16, 2},
        Case{"FloatStorage", DType::kF32, 4},
        Case{"DoubleStorage", DType::kF64, 8},
        Case{"ByteStorage", DType::kU8, 1}, Case{"CharStorage", DType::kI8, 1},
        Case{"BoolStorage", DType::kBool, 1},
        Case{"ShortStorage", DType::kI16, 2},
        Case{"IntStorage", DType::kI32, 4},
        Case{"LongStorage", DType::kI64, 8}}) {
    const int64_t numel = 24 / c.item_bytes;
    const std::string pickle = PickleBuilder()
                                   .Raw("}(")
                                   .Text("w")
                                   .Tensor(c.type, "0", numel, 0, {numel}, {1})
                                   .Raw("u.")
                                   .str();
    const auto torch = Read(BuildTorch(pickle, {{"0", SmallStorage()}}));
    ASSERT_TRUE(torch) << c.type << ": " << torch.error().ToString();
    EXPECT_EQ(torch->tensors.Find("w")->dtype, c.dtype);
  }
}

// Version 3 counts its untyped storage in bytes (float8).
TEST(TorchReaderTest, ReadsTensorOfVersion3) {
  const auto pickle = [](std::string_view storage) {
    return PickleBuilder()
        .Raw("}(")
        .Text("w")
        .Global("torch._utils", "_rebuild_tensor_v3")
        .Op('(')
        .Op('(')
        .Text("storage")
        .Global("torch", storage)
        .Text("0")
        .Text("cpu")
        .Int(24)
        .Raw("tQ")
        .Int(0)
        .Tuple({4, 6})
        .Tuple({6, 1})
        .Raw("\x89")
        .Global("collections", "OrderedDict")
        .Raw(")R")
        .Global("torch", "float8_e4m3fn")
        .Raw("tRu.")
        .str();
  };
  const auto torch =
      Read(BuildTorch(pickle("UntypedStorage"), {{"0", SmallStorage()}}));
  ASSERT_TRUE(torch) << torch.error().ToString();
  EXPECT_EQ(torch->tensors.Find("w")->dtype, DType::kF8E4M3);
  ExpectRefused(BuildTorch(pickle("ByteStorage"), {{"0", SmallStorage()}}),
                "version 3");
  ExpectRefused(BuildTorch(PickleBuilder()
                               .Raw("}(")
                               .Text("w")
                               .Tensor("UntypedStorage", "0", 24, 0, {24}, {1})
                               .Raw("u.")
                               .str(),
                           {{"0", SmallStorage()}}),
                "no element type");
}

TEST(TorchReaderTest, UnwrapsOnce) {
  for (const char* const key : {"model", "state_dict"}) {
    const std::string pickle =
        PickleBuilder()
            .Raw("}(")
            .Text("epoch")
            .Int(3)
            .Text(key)
            .Raw(SmallStateDict().substr(2, SmallStateDict().size() - 3))
            .Raw("u.")
            .str();
    const auto torch = Read(BuildTorch(pickle, {{"0", SmallStorage()}}));
    ASSERT_TRUE(torch) << torch.error().ToString();
    EXPECT_NE(torch->tensors.Find("w"), nullptr);
    const std::string twice = PickleBuilder()
                                  .Raw("}")
                                  .Text("model")
                                  .Raw(pickle.substr(2, pickle.size() - 3))
                                  .Raw("s.")
                                  .str();
    ExpectRefused(BuildTorch(twice, {{"0", SmallStorage()}}), "is no tensor");
  }
}

TEST(TorchReaderTest, RefusesPicklesThatHoldNoTensors) {
  ExpectRefused(BuildTorch(PickleBuilder().Raw("].").str(), {}),
                "no dict of tensors");
  ExpectRefused(BuildTorch(PickleBuilder().Raw("}.").str(), {}), "no tensor");
  ExpectRefused(
      BuildTorch(PickleBuilder().Raw("}").Text("a").Raw("Ns.").str(), {}),
      "value \"a\" is no tensor");
  const std::string number_key =
      PickleBuilder()
          .Raw("}")
          .Int(1)
          .Tensor("FloatStorage", "0", 6, 0, {6}, {1})
          .Raw("s.")
          .str();
  ExpectRefused(BuildTorch(number_key, {{"0", SmallStorage()}}),
                "name is not text");
}

TEST(TorchReaderTest, RefusesEqualNames) {
  const std::string pickle = PickleBuilder()
                                 .Raw("}(")
                                 .Text("w")
                                 .Tensor("FloatStorage", "0", 6, 0, {6}, {1})
                                 .Text("w")
                                 .Tensor("FloatStorage", "0", 6, 0, {6}, {1})
                                 .Raw("u.")
                                 .str();
  ExpectRefused(BuildTorch(pickle, {{"0", SmallStorage()}}), "stands twice");
}

TEST(TorchReaderTest, C14RefusesStoragesThatLie) {
  // The record has 24 bytes: six float32.
  ExpectRefused(One(7, 0, {6}, {1}), "7 elements of f32 declared, 24 bytes");
  ExpectRefused(One(5, 0, {5}, {1}), "5 elements of f32 declared");
  ExpectRefused(One(int64_t{1} << 62, 0, {6}, {1}), "declared, 24 bytes");
  ExpectRefused(BuildTorch(SmallStateDict(), {}), "not in the archive");
  ExpectRefused(
      BuildTorch(SmallStateDict(), {{"0", SmallStorage()}, {"1", "unclaimed"}}),
      "belongs to no tensor");
  const std::string two_ways = PickleBuilder()
                                   .Raw("}(")
                                   .Text("a")
                                   .Tensor("FloatStorage", "0", 6, 0, {6}, {1})
                                   .Text("b")
                                   .Tensor("HalfStorage", "0", 12, 0, {12}, {1})
                                   .Raw("u.")
                                   .str();
  ExpectRefused(BuildTorch(two_ways, {{"0", SmallStorage()}}), "two ways");
  const std::string climbing =
      PickleBuilder()
          .Raw("}(")
          .Text("a")
          .Tensor("FloatStorage", "../data.pkl", 6, 0, {6}, {1})
          .Raw("u.")
          .str();
  ExpectRefused(BuildTorch(climbing, {{"0", SmallStorage()}}),
                "not in the archive");
}

TEST(TorchReaderTest, C14RefusesTensorsOutsideTheirStorage) {
  ASSERT_TRUE(Read(One(6, 0, {2, 3}, {3, 1})));
  ExpectRefused(One(6, 1, {2, 3}, {3, 1}), "in a storage of 24 bytes");
  ExpectRefused(One(6, 7, {1}, {1}), "begins at element 7");
  ExpectRefused(One(6, int64_t{1} << 62, {1}, {1}), "begins at element");
  ExpectRefused(One(6, 0, {7}, {1}), "in a storage of 24 bytes");
  ExpectRefused(One(6, 0, {2, 3}, {4, 1}), "in a storage of 24 bytes");
  ExpectRefused(One(6, 0, {2, int64_t{1} << 62}, {int64_t{1} << 62, 1}), "");
  ExpectRefused(One(6, 0, {int64_t{1} << 40, int64_t{1} << 40}, {1, 1}),
                "overflows");
  ExpectRefused(One(6, 0, {2, 2}, {int64_t{1} << 62, 1}), "");
}

TEST(TorchReaderTest, RefusesStridesThatAlias) {
  ExpectRefused(One(6, 0, {3}, {0}), "meet an element twice");
  ExpectRefused(One(6, 0, {2, 3}, {1, 1}), "meet an element twice");
  ExpectRefused(One(6, 0, {2, 2}, {2, 2}), "meet an element twice");
  // A stride of 0 says nothing for one element.
  EXPECT_TRUE(Read(One(6, 0, {1, 6}, {0, 1})));
}

TEST(TorchReaderTest, RefusesNumbersOutOfRange) {
  ExpectRefused(One(6, -1, {6}, {1}), "no whole number >= 0");
  ExpectRefused(One(6, 0, {-6}, {1}), "shape has a part");
  ExpectRefused(One(6, 5, {6}, {-1}), "strides has a part");
  ExpectRefused(One(6, 0, {2, 3}, {1}), "1 strides for 2");
  ExpectRefused(
      One(6, 0, std::vector<int64_t>(9, 1), std::vector<int64_t>(9, 1)),
      "9 dimensions", ErrorCode::kLimit);
}

TEST(TorchReaderTest, RefusesStrangeArguments) {
  const auto with = [](const PickleBuilder& args) {
    return BuildTorch(PickleBuilder()
                          .Raw("}")
                          .Text("w")
                          .Global("torch._utils", "_rebuild_tensor_v2")
                          .Raw(args.str())
                          .Raw("Rs.")
                          .str(),
                      {{"0", SmallStorage()}});
  };
  ExpectRefused(with(PickleBuilder(-1).Raw("(NNNNNNt")), "");
  ExpectRefused(with(PickleBuilder(-1)
                         .Raw("(")
                         .Storage("FloatStorage", "0", 6)
                         .Raw("NNNNNt")),
                "place in the storage");
  ExpectRefused(with(PickleBuilder(-1)
                         .Raw("(")
                         .Storage("FloatStorage", "0", 6)
                         .Int(0)
                         .Raw("NNNNt")),
                "shape is no tuple");
  ExpectRefused(with(PickleBuilder(-1)
                         .Raw("(")
                         .Storage("FloatStorage", "0", 6)
                         .Int(0)
                         .Raw("N\x85)NNt")),
                "shape has a part");
}

TEST(TorchReaderTest, ChecksByteOrderAndVersion) {
  auto members = TorchMembers(SmallStateDict(), {{"0", SmallStorage()}});
  members[1].content = "big";
  ExpectRefused(BuildZip(members), "byte order \"big\"",
                ErrorCode::kUnsupported);
  members.erase(members.begin() + 1);  // absent before torch 2.1
  EXPECT_TRUE(Read(BuildZip(members)));
  members.back().content = "10\n";
  EXPECT_TRUE(Read(BuildZip(members)));
  for (const char* const version : {"1\n", "11\n", "", "x"}) {
    members.back().content = version;
    ExpectRefused(BuildZip(members), "format version", ErrorCode::kUnsupported);
  }
}

TEST(TorchReaderTest, AcceptsMembersOfNewerWritersAndNoOthers) {
  const auto with = [](std::string name) {
    auto members = TorchMembers(SmallStateDict(), {{"0", SmallStorage()}});
    ZipMember extra;
    extra.name = std::move(name);
    extra.content = "1";
    members.push_back(extra);
    return BuildZip(members);
  };
  for (const char* const name : {"m/.format_version", "m/.storage_alignment",
                                 "m/.data/serialization_id"}) {
    EXPECT_TRUE(Read(with(name))) << name;
  }
  ExpectRefused(with("m/setup.py"), "no place in a checkpoint");
  ExpectRefused(with("m/data.pkl2"), "no place in a checkpoint");
  ExpectRefused(with("m/code/__torch__.py"), "TorchScript",
                ErrorCode::kUnsupported);
  ExpectRefused(with("m/constants.pkl"), "TorchScript",
                ErrorCode::kUnsupported);
}

TEST(TorchReaderTest, RefusesZipWithoutPickle) {
  ZipMember member;
  member.name = "doc/readme";
  member.content = "hello";
  ExpectRefused(BuildZip({member}), "without data.pkl");
}

TEST(TorchReaderTest, RefusesPickleWithWrongCrc) {
  std::string bytes = Small();
  const size_t at = bytes.find("collections");
  ASSERT_NE(at, std::string::npos);
  bytes[at] = 'C';
  ExpectError(Read(bytes), ErrorCode::kCorrupt, "CRC", "E-ZIP-CRC");
}

TEST(TorchReaderTest, NamesForeignGlobalWithPlaceInFile) {
  const std::string pickle = PickleBuilder()
                                 .Global("os", "system")
                                 .Raw("(")
                                 .Text("id")
                                 .Raw("tR.")
                                 .str();
  const std::string bytes = BuildTorch(pickle, {});
  const auto result = Read(bytes);
  ExpectError(result, ErrorCode::kCorrupt, "os system", "E-PICKLE-GLOBAL");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().offset, bytes.find("cos\nsystem"));
}

TEST(TorchReaderTest, RefusesEveryTruncation) {
  const std::string bytes = Small();
  ASSERT_TRUE(Read(bytes));
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(Read(bytes.substr(0, size))) << size;
  }
}

// Whatever one flipped byte does, the table never says something else: the
// pickle stands under its CRC, the directory agrees with the local headers.
TEST(TorchReaderTest, FlippedByteIsRefusedOrChangesNoTensor) {
  const std::string bytes = Small();
  const auto right = Read(bytes);
  ASSERT_TRUE(right);
  const TensorInfo& expected = right->tensors.tensors()[0];
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (const int mask : {0x01, 0x10, 0x80, 0xff}) {
      std::string flipped = bytes;
      flipped[i] = static_cast<char>(flipped[i] ^ mask);
      const auto torch = Read(flipped);
      if (!torch) continue;
      ASSERT_EQ(torch->tensors.size(), 1u) << i;
      const TensorInfo& w = torch->tensors.tensors()[0];
      EXPECT_EQ(w.name, expected.name) << i;
      EXPECT_EQ(w.shape, expected.shape) << i;
      EXPECT_EQ(w.offset, expected.offset) << i;
      EXPECT_EQ(w.size_bytes, expected.size_bytes) << i;
    }
  }
}

}  // namespace
}  // namespace verify
