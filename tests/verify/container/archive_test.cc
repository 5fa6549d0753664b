// SPDX-License-Identifier: Apache-2.0
#include "verify/container/archive.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/archive_builder.h"
#include "tests/support/expect_error.h"
#include "verify/container/tar_reader.h"

namespace verify {
namespace {

using tests::ExpectError;
using tests::SeekableOf;
using tests::TarOf;
using tests::ZstdFrameOf;

Result<Archive> Open(const MemorySource& source,
                     const ArchiveOptions& options = {}) {
  return Archive::Open(source, options);
}

std::string SmallTar() {
  tests::TarEntry entry;
  entry.name = "a";
  entry.content = "content";
  return TarOf({entry});
}

std::string FirstName(const Archive& archive) {
  const ArchiveContent content = archive.Content();
  TarReader reader(*content.stream);
  const auto member = reader.Next();
  return member && member->has_value() ? (*member)->path : "";
}

TEST(ArchiveTest, OpensTarAndZstdAndBoth) {
  const std::string tar = SmallTar();
  const MemorySource plain(AsBytes(tar));
  const auto opened = Open(plain);
  ASSERT_TRUE(opened) << opened.error().ToString();
  EXPECT_TRUE(opened->is_tar());
  EXPECT_FALSE(opened->is_zstd());
  EXPECT_TRUE(opened->can_look_ahead());
  EXPECT_EQ(FirstName(*opened), "a");
  EXPECT_EQ(FirstName(*opened), "a");  // again from the start

  const std::string packed = ZstdFrameOf(tar);
  const MemorySource stream(AsBytes(packed));
  const auto both = Open(stream);
  ASSERT_TRUE(both) << both.error().ToString();
  EXPECT_TRUE(both->is_tar());
  EXPECT_TRUE(both->is_zstd());
  EXPECT_FALSE(both->can_look_ahead());
  EXPECT_EQ(FirstName(*both), "a");

  const std::string seekable = SeekableOf(tar, 100);
  const MemorySource random(AsBytes(seekable));
  const auto table = Open(random);
  ASSERT_TRUE(table) << table.error().ToString();
  ASSERT_NE(table->seek_table(), nullptr);
  EXPECT_TRUE(table->can_look_ahead());
  EXPECT_EQ(FirstName(*table), "a");

  const std::string file = ZstdFrameOf("weights");
  const MemorySource one(AsBytes(file));
  const auto single = Open(one);
  ASSERT_TRUE(single) << single.error().ToString();
  EXPECT_FALSE(single->is_tar());
}

TEST(ArchiveTest, E3ReadsInOrderIfTheTableIsToBeIgnored) {
  tests::SeekTableOptions lying;
  lying.descriptor_bits = 4;
  const std::string bytes = SeekableOf(SmallTar(), 100, lying);
  const MemorySource source(AsBytes(bytes));
  ExpectError(Open(source), ErrorCode::kCorrupt, "reserved bit",
              "E-SEEK-TABLE");
  ArchiveOptions options;
  options.ignore_seek_table = true;
  const auto archive = Open(source, options);
  ASSERT_TRUE(archive) << archive.error().ToString();
  EXPECT_EQ(archive->seek_table(), nullptr);
  EXPECT_EQ(FirstName(*archive), "a");
}

TEST(ArchiveTest, E1LimitsWhatASeekTableClaims) {
  const std::string bytes = SeekableOf(SmallTar(), 100);
  const MemorySource source(AsBytes(bytes));
  ArchiveOptions options;
  options.zstd.limit.max_bytes = 1000;
  ExpectError(Open(source, options), ErrorCode::kLimit, "more than 1000 B",
              "E-ARCHIVE-BOMB");
}

TEST(ArchiveTest, E6RefusesArchivesWithinArchives) {
  for (const std::string& inner :
       {ZstdFrameOf(ZstdFrameOf("x")), ZstdFrameOf("7z\xbc\xaf\x27\x1c rest"),
        ZstdFrameOf("\x1f\x8b\x08")}) {
    const MemorySource source(AsBytes(inner));
    ExpectError(Open(source), ErrorCode::kCorrupt, "archive within an archive",
                "E-ARCHIVE-NESTED");
  }
}

TEST(ArchiveTest, E5NamesArchivesThatAreNotUnpacked) {
  for (const auto& [bytes, name] :
       std::vector<std::pair<std::string, std::string>>{
           {"7z\xbc\xaf\x27\x1c", "7z"},
           {"Rar!\x1a\x07\x01", "RAR"},
           {"\x1f\x8b\x08", "gzip"},
           {"\xfd"
            "7zXZ" +
                std::string(1, '\0'),
            "xz"}}) {
    const MemorySource source(AsBytes(bytes));
    ExpectError(Open(source), ErrorCode::kUnsupported, name, "E-ARCHIVE-KIND");
  }
  const MemorySource text(AsBytes("just text"));
  ExpectError(Open(text), ErrorCode::kInvalidArgument, "no archive",
              "E-ARCHIVE-KIND");
}

}  // namespace
}  // namespace verify
