// SPDX-License-Identifier: Apache-2.0
#include "verify/base/file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <filesystem>
#include <string>

#include "tests/support/temp_dir.h"

namespace verify {
namespace {

using tests::TempDir;

TEST(ReadOnlyFileTest, ReadsRangesAndRefusesPastTheEnd) {
  const TempDir dir;
  const auto file = ReadOnlyFile::Open(dir.Write("f", "0123456789"));
  ASSERT_TRUE(file);
  EXPECT_EQ(file->size(), 10u);
  std::array<std::byte, 3> buffer{};
  ASSERT_TRUE(file->ReadAt(7, buffer));
  EXPECT_EQ(AsText(buffer), "789");
  const auto past = file->ReadAt(8, buffer);
  ASSERT_FALSE(past);
  EXPECT_EQ(past.error().code, ErrorCode::kCorrupt);
  EXPECT_FALSE(file->ReadAt(UINT64_MAX, buffer));
}

TEST(ReadOnlyFileTest, NoticesAFileThatShrank) {
  const TempDir dir;
  const std::string path = dir.Write("f", "0123456789");
  const auto file = ReadOnlyFile::Open(path);
  ASSERT_TRUE(file);
  std::filesystem::resize_file(path, 4);
  std::array<std::byte, 8> buffer{};
  EXPECT_FALSE(file->ReadAt(0, buffer));
  EXPECT_NE(*file->CurrentIdentity(), file->identity());
}

TEST(ReadOnlyFileTest, SaysWhatIsWrong) {
  const TempDir dir;
  EXPECT_EQ(ReadOnlyFile::Open(dir.File("none")).error().code,
            ErrorCode::kNotFound);
  EXPECT_EQ(ReadOnlyFile::Open(dir.path()).error().code, ErrorCode::kIo);
  // A pipe must not make the caller wait for a writer.
  ASSERT_EQ(::mkfifo(dir.File("pipe").c_str(), 0600), 0);
  EXPECT_EQ(ReadOnlyFile::Open(dir.File("pipe")).error().code, ErrorCode::kIo);
}

TEST(MappedFileTest, MapsTheWholeFile) {
  const TempDir dir;
  auto mapped = MappedFile::Open(dir.Write("f", "mapped bytes"));
  ASSERT_TRUE(mapped);
  EXPECT_EQ(AsText(mapped->bytes()), "mapped bytes");
  const MappedFile moved = std::move(*mapped);
  EXPECT_EQ(AsText(moved.bytes()), "mapped bytes");
  const auto empty = MappedFile::Open(dir.Write("empty", ""));
  ASSERT_TRUE(empty);
  EXPECT_EQ(empty->size(), 0u);
}

TEST(ReadSmallFileTest, KeepsItsLimit) {
  const TempDir dir;
  const std::string path = dir.Write("f", "12345");
  EXPECT_EQ(*ReadSmallTextFile(path, 5), "12345");
  EXPECT_EQ(ReadSmallTextFile(path, 4).error().code, ErrorCode::kLimit);
}

TEST(WriteFileAtomicallyTest, ReplacesAndLeavesNothingBeside) {
  const TempDir dir;
  const std::string path = dir.Write("f", "old");
  ASSERT_TRUE(WriteFileAtomically(path, AsBytes("new")));
  EXPECT_EQ(tests::ReadFile(path), "new");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir.path()), {}),
            1);
}

TEST(AtomicFileWriterTest, WithoutCommitTheOldFileStays) {
  const TempDir dir;
  const std::string path = dir.Write("f", "old");
  {
    auto writer = AtomicFileWriter::Create(path);
    ASSERT_TRUE(writer);
    ASSERT_TRUE(writer->Write(AsBytes("half")));
  }
  EXPECT_EQ(tests::ReadFile(path), "old");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir.path()), {}),
            1);
}

TEST(WriteAllTest, ReportsAFullDevice) {
  // /dev/full answers every write with ENOSPC.
  const UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  ASSERT_TRUE(full.valid());
  const auto result = WriteAll(full.get(), AsBytes("x"), "/dev/full");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kIo);
  EXPECT_EQ(result.error().id, "E-DISK-FULL");
}

}  // namespace
}  // namespace verify
