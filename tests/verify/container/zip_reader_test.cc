// SPDX-License-Identifier: Apache-2.0
#include "verify/container/zip_reader.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/byte_builder.h"
#include "tests/support/expect_error.h"
#include "tests/support/zip_builder.h"

namespace verify {
namespace {

using tests::BuildZip;
using tests::ByteBuilder;
using tests::ExpectError;
using tests::ZipMember;
using tests::ZipOptions;

Result<ZipDirectory> Read(const std::string& bytes) {
  return ReadZip(MemorySource(AsBytes(bytes)));
}

ZipMember Member(std::string name, std::string content) {
  ZipMember member;
  member.name = std::move(name);
  member.content = std::move(content);
  return member;
}

std::vector<ZipMember> Three() {
  return {Member("top/data.pkl", "pickle bytes"), Member("top/data/0", "0123"),
          Member("top/version", "3\n")};
}

// An archive of Three() whose second member was changed by `change`.
template <typename F>
std::string Changed(F change) {
  auto members = Three();
  change(members[1]);
  return BuildZip(members);
}

void ExpectCorrupt(const std::string& bytes, std::string_view part,
                   std::string_view id = {}) {
  ExpectError(Read(bytes), ErrorCode::kCorrupt, part, id);
}

TEST(ZipReaderTest, FindsMembersWithPayloadOffsets) {
  const std::string bytes = BuildZip(Three());
  const auto zip = Read(bytes);
  ASSERT_TRUE(zip) << zip.error().ToString();
  EXPECT_EQ(zip->top_folder(), "top");
  ASSERT_EQ(zip->entries().size(), 3u);
  const ZipEntry* const entry = zip->Find("data/0");
  ASSERT_NE(entry, nullptr);
  EXPECT_EQ(entry->name, "top/data/0");
  EXPECT_EQ(entry->size, 4u);
  EXPECT_EQ(entry->crc32, tests::SlowCrc32("0123"));
  EXPECT_EQ(entry->payload_offset, bytes.find("0123"));
  EXPECT_EQ(entry->payload_offset % 64, 0u);
  EXPECT_EQ(zip->Find("data/1"), nullptr);
}

TEST(ZipReaderTest, E5ReadsMemberAndChecksItsCrc) {
  std::string bytes = BuildZip(Three());
  const auto zip = Read(bytes);
  ASSERT_TRUE(zip);
  const ZipEntry& entry = *zip->Find("data/0");
  {
    const MemorySource source(AsBytes(bytes));
    const auto content = ReadZipEntry(source, entry, 4);
    ASSERT_TRUE(content);
    EXPECT_EQ(AsText(*content), "0123");
    EXPECT_TRUE(CheckZipEntryCrc(source, entry));
    ExpectError(ReadZipEntry(source, entry, 3), ErrorCode::kLimit, "4 bytes");
  }
  bytes[entry.payload_offset] = '!';
  const MemorySource source(AsBytes(bytes));
  ExpectError(ReadZipEntry(source, entry, 4), ErrorCode::kCorrupt, "CRC",
              "E-ZIP-CRC");
  ExpectError(CheckZipEntryCrc(source, entry), ErrorCode::kCorrupt,
              "top/data/0", "E-ZIP-CRC");
}

TEST(ZipReaderTest, E5TakesCrcZeroAsNotComputed) {
  const std::string bytes = Changed([](ZipMember& m) { m.crc = 0; });
  const auto zip = Read(bytes);
  ASSERT_TRUE(zip) << zip.error().ToString();
  const MemorySource source(AsBytes(bytes));
  EXPECT_EQ(zip->Find("data/0")->crc32, 0u);
  EXPECT_TRUE(CheckZipEntryCrc(source, *zip->Find("data/0")));
  EXPECT_TRUE(ReadZipEntry(source, *zip->Find("data/0"), 4));
}

TEST(ZipReaderTest, ReadsClassicTailWithoutZip64) {
  ZipOptions options;
  options.zip64_tail = false;
  EXPECT_TRUE(Read(BuildZip(Three(), options)));
}

TEST(ZipReaderTest, ReadsSizesInLocalHeader) {
  EXPECT_TRUE(
      Read(Changed([](ZipMember& m) { m.sizes_in_local_header = true; })));
}

TEST(ZipReaderTest, ReadsEmptyMember) {
  const auto zip = Read(Changed([](ZipMember& m) { m.content.clear(); }));
  ASSERT_TRUE(zip) << zip.error().ToString();
  EXPECT_EQ(zip->Find("data/0")->size, 0u);
}

// The form of nearly every member of an archive beyond 4 GiB: a zip64 field
// with the offset alone, and a descriptor of 24 bytes.
TEST(ZipReaderTest, ReadsZip64FieldsWithOnlyWhatIsSaturated) {
  EXPECT_TRUE(Read(Changed([](ZipMember& m) { m.zip64_offset = true; })));
  EXPECT_TRUE(Read(Changed([](ZipMember& m) { m.zip64_sizes = true; })));
  EXPECT_TRUE(Read(Changed([](ZipMember& m) {
    m.zip64_sizes = true;
    m.zip64_offset = true;
  })));
  EXPECT_TRUE(Read(Changed([](ZipMember& m) {
    m.zip64_offset = true;
    m.descriptor = ZipMember::Descriptor::k16;
  })));
}

TEST(ZipReaderTest, E5RefusesZip64FieldThatDoesNotFit) {
  const std::string missing = Changed([](ZipMember& m) {
    m.zip64_offset = true;
    m.central_extra = "";
  });
  ExpectCorrupt(missing, "missing");
  const std::string too_short = Changed([](ZipMember& m) {
    m.zip64_offset = true;
    m.central_extra = ByteBuilder().U16(1).U16(4).U32(0).str();
  });
  ExpectCorrupt(too_short, "too short");
  const std::string too_long = Changed([](ZipMember& m) {
    m.zip64_offset = true;
    m.central_extra = ByteBuilder().U16(1).U16(16).U64(4).U64(4).str();
  });
  ExpectCorrupt(too_long, "nothing asks for");
  const std::string unasked = Changed([](ZipMember& m) {
    m.central_extra = ByteBuilder().U16(1).U16(8).U64(4).str();
  });
  ExpectCorrupt(unasked, "nothing asks for");
  const std::string twice = Changed([](ZipMember& m) {
    m.zip64_offset = true;
    m.central_extra =
        ByteBuilder().U16(1).U16(8).U64(4).U16(1).U16(8).U64(4).str();
  });
  ExpectCorrupt(twice, "two zip64 fields");
  const std::string cut = Changed([](ZipMember& m) {
    m.central_extra = ByteBuilder().U16(7).U16(9).U64(4).str();
  });
  ExpectCorrupt(cut, "truncated");
  const std::string huge = Changed([](ZipMember& m) {
    m.zip64_sizes = true;
    m.central_size = ~uint64_t{0};
  });
  ExpectCorrupt(huge, "add up to more");
}

TEST(ZipReaderTest, E5RefusesCompressedAndEncryptedMembers) {
  ExpectCorrupt(Changed([](ZipMember& m) {
                  m.local_method = 8;
                  m.central_method = 8;
                }),
                "method 8", "E-ZIP-COMPRESSED");
  for (const uint16_t flag : std::vector<uint16_t>{1, 0x20, 0x40, 0x2000}) {
    ExpectCorrupt(Changed([flag](ZipMember& m) {
                    m.local_flags = static_cast<uint16_t>(0x0808 | flag);
                    m.central_flags = static_cast<uint16_t>(0x0808 | flag);
                  }),
                  "encrypted", "E-ZIP-FLAGS");
  }
}

TEST(ZipReaderTest, E5RefusesLocalHeaderThatDisagrees) {
  constexpr std::string_view kId = "E-ZIP-MISMATCH";
  ExpectCorrupt(Changed([](ZipMember& m) { m.local_name = "top/data/1"; }),
                "top/data/1", kId);
  ExpectCorrupt(Changed([](ZipMember& m) { m.local_name = "top/data/00"; }),
                "disagree", kId);
  ExpectCorrupt(Changed([](ZipMember& m) { m.local_method = 8; }), "disagree",
                kId);
  ExpectCorrupt(Changed([](ZipMember& m) { m.local_flags = 0x0809; }),
                "disagree", kId);
  ExpectCorrupt(Changed([](ZipMember& m) { m.local_size = 9; }), "disagree",
                kId);
  ExpectCorrupt(Changed([](ZipMember& m) {
                  m.sizes_in_local_header = true;
                  m.local_size = 3;
                }),
                "disagree", kId);
}

TEST(ZipReaderTest, E5RefusesWrongOrMissingDescriptor) {
  using Descriptor = ZipMember::Descriptor;
  ExpectCorrupt(Changed([](ZipMember& m) { m.descriptor = Descriptor::kNone; }),
                "descriptor", "E-ZIP-MISMATCH");
  ExpectCorrupt(
      Changed([](ZipMember& m) { m.descriptor = Descriptor::kWrongCrc; }),
      "descriptor", "E-ZIP-MISMATCH");
}

TEST(ZipReaderTest, E5RefusesSizesThatAreNotStored) {
  ExpectCorrupt(Changed([](ZipMember& m) { m.compressed_size = 3; }),
                "stored, but of 3 and 4");
  ExpectCorrupt(Changed([](ZipMember& m) { m.central_size = 5000; }),
                "add up to more");
  ExpectCorrupt(Changed([](ZipMember& m) { m.central_size = 100; }), "overlaps",
                "E-ZIP-OVERLAP");
}

TEST(ZipReaderTest, E5RefusesEqualNames) {
  for (const char* const name : {"top/data.pkl", "top/DATA.pkl"}) {
    ExpectCorrupt(Changed([name](ZipMember& m) { m.name = name; }),
                  "stands twice", "E-ZIP-DUPLICATE");
  }
  // Composed and decomposed accents.
  auto accents = Three();
  accents[1].name = "top/caf\xC3\xA9";
  accents[2].name = "top/cafe\xCC\x81";
  ExpectCorrupt(BuildZip(accents), "stands twice", "E-ZIP-DUPLICATE");
}

TEST(ZipReaderTest, RefusesUnsafeNames) {
  for (const char* const name :
       {"", "plain", "/top/x", "top//x", "top/", "top/../x", "../top/x",
        "top/./x", "top\\x/y", "top/a\nb", "top/\xff", "top/C:x",
        "top/a\xE2\x80\xAE"
        "b"}) {
    ExpectCorrupt(Changed([name](ZipMember& m) { m.name = name; }), "",
                  "E-ZIP-NAME");
  }
  ExpectCorrupt(Changed([](ZipMember& m) { m.name = "other/data/0"; }),
                "outside of the folder \"top\"", "E-ZIP-NAME");
  ExpectCorrupt(Changed([](ZipMember& m) {
                  m.name = "top/" + std::string(kMaxZipNameBytes, 'n');
                }),
                "at most 1024");
}

TEST(ZipReaderTest, RefusesLinksCommentsAndVolumes) {
  ExpectCorrupt(Changed([](ZipMember& m) {
                  m.made_by = 0x031e;
                  m.external_attributes = 0xa1ff0000;  // S_IFLNK | 0777
                }),
                "link");
  ExpectCorrupt(Changed([](ZipMember& m) { m.comment = "hi"; }), "comment");
  ExpectCorrupt(Changed([](ZipMember& m) { m.disk = 1; }), "volume");
  // A regular file is one.
  EXPECT_TRUE(Read(Changed([](ZipMember& m) {
    m.made_by = 0x031e;
    m.external_attributes = 0x81a40000;
  })));
}

TEST(ZipReaderTest, E5RefusesOverlapsAndGaps) {
  ExpectCorrupt(Changed([](ZipMember& m) { m.header_offset = 0; }), "overlaps",
                "E-ZIP-OVERLAP");
  ExpectCorrupt(Changed([](ZipMember& m) { m.header_offset = 10; }), "overlaps",
                "E-ZIP-OVERLAP");
  ExpectCorrupt(Changed([](ZipMember& m) { m.header_offset = 1u << 30; }), "");
  ExpectCorrupt(Changed([](ZipMember& m) { m.after = "hidden"; }),
                "6 unclaimed bytes", "E-ZIP-GAP");
  ExpectCorrupt(Changed([](ZipMember& m) { m.after = std::string(200, '\0'); }),
                "unclaimed bytes", "E-ZIP-GAP");
  ExpectCorrupt(Changed([](ZipMember& m) { m.after = std::string(64, '\0'); }),
                "unclaimed bytes", "E-ZIP-GAP");
  EXPECT_TRUE(
      Read(Changed([](ZipMember& m) { m.after = std::string(63, '\0'); })));
}

TEST(ZipReaderTest, E5RefusesBytesAroundTheArchive) {
  ZipOptions prefix;
  prefix.prefix = "GIF89a";
  ExpectCorrupt(BuildZip(Three(), prefix), "");
  prefix.prefix_shifts_offsets = true;
  ExpectCorrupt(BuildZip(Three(), prefix), "bytes before the first member");
  ZipOptions suffix;
  suffix.suffix = "x";
  ExpectCorrupt(BuildZip(Three(), suffix), "bytes follow", "E-ZIP-TRUNCATED");
  ZipOptions comment;
  comment.comment = "comment";
  ExpectCorrupt(BuildZip(Three(), comment), "", "E-ZIP-TRUNCATED");
  ZipOptions between;
  between.after_directory = "between";
  ExpectCorrupt(BuildZip(Three(), between), "does not end where");
}

TEST(ZipReaderTest, E5RefusesEndRecordsThatLie) {
  for (const bool zip64 : {false, true}) {
    ZipOptions few;
    few.zip64_tail = zip64;
    few.num_entries = 2;
    ExpectCorrupt(BuildZip(Three(), few), "after the last directory record");
    ZipOptions many = few;
    many.num_entries = 4;
    ExpectCorrupt(BuildZip(Three(), many), "do not fit");
    ZipOptions none = few;
    none.num_entries = 0;
    ExpectCorrupt(BuildZip(Three(), none), "empty");
    ZipOptions size = few;
    size.num_entries.reset();
    size.directory_size = 10;
    ExpectCorrupt(BuildZip(Three(), size), "does not end where");
  }
  ZipOptions two;
  two.end_record_offset = 5;
  ExpectCorrupt(BuildZip(Three(), two), "disagree");
  ZipOptions saturated;
  saturated.zip64_tail = false;
  saturated.end_record_offset = 0xffffffff;
  ExpectCorrupt(BuildZip(Three(), saturated), "zip64 end record is missing");
}

// Ten million members claimed in a few bytes: no memory may follow the claim.
TEST(ZipReaderTest, E7RefusesCountBeyondDirectory) {
  ZipOptions options;
  options.num_entries = 10'000'000;
  ExpectError(Read(BuildZip(Three(), options)), ErrorCode::kLimit,
              "10000000 members");
  options.num_entries = 1000;
  ExpectCorrupt(BuildZip(Three(), options), "do not fit");
}

// A bad piece has wiped the local header of the second member.
TEST(ZipReaderTest, PlacesPayloadBehindDamagedLocalHeader) {
  for (const bool wide : {false, true}) {
    auto members = Three();
    members[1].zip64_offset = wide;  // descriptor of 24 bytes, else 16
    std::string bytes = BuildZip(members);
    const size_t payload = bytes.find("0123");
    const size_t header = bytes.rfind("PK\x03\x04", payload);
    bytes.replace(header, payload - header, payload - header, '\0');
    ExpectCorrupt(bytes, "no local header");
    const auto zip =
        ReadZip(MemorySource(AsBytes(bytes)), ZipCheck::kDirectory);
    ASSERT_TRUE(zip) << zip.error().ToString();
    EXPECT_EQ(zip->Find("data/0")->payload_offset, payload);
  }
}

TEST(ZipReaderTest, PlacesNoPayloadOutsideItsRoom) {
  auto members = Three();
  members[1].central_size = 100;
  ExpectError(
      ReadZip(MemorySource(AsBytes(BuildZip(members))), ZipCheck::kDirectory),
      ErrorCode::kCorrupt, "overlaps");
}

TEST(ZipReaderTest, RefusesEveryTruncation) {
  const std::string bytes = BuildZip(Three());
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(Read(bytes.substr(0, size))) << size;
  }
}

// A flipped byte is either refused or changes nothing that this reader tells:
// version fields, times, the letters of an alignment field, payload.
TEST(ZipReaderTest, FlippedByteNeverMovesOrRenamesAMember) {
  const std::string bytes = BuildZip(Three());
  const auto right = Read(bytes);
  ASSERT_TRUE(right);
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (const int mask : {0x01, 0x80, 0xff}) {
      std::string flipped = bytes;
      flipped[i] = static_cast<char>(flipped[i] ^ mask);
      const auto zip = Read(flipped);
      if (!zip) continue;
      ASSERT_EQ(zip->entries().size(), right->entries().size()) << i;
      for (size_t k = 0; k < zip->entries().size(); ++k) {
        EXPECT_EQ(zip->entries()[k].name, right->entries()[k].name) << i;
        EXPECT_EQ(zip->entries()[k].size, right->entries()[k].size) << i;
        EXPECT_EQ(zip->entries()[k].crc32, right->entries()[k].crc32) << i;
        EXPECT_EQ(zip->entries()[k].payload_offset,
                  right->entries()[k].payload_offset)
            << i;
      }
    }
  }
}

}  // namespace
}  // namespace verify
