// SPDX-License-Identifier: Apache-2.0
// Archives are put together by hand after POSIX.1-2017 (pax) and GNU tar's
// manual; tests/scripts/unpack.py reads what GNU tar writes.
#include "verify/container/tar_reader.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/archive_builder.h"
#include "tests/support/expect_error.h"

namespace verify {
namespace {

using tests::ExpectError;
using tests::PaxRecord;
using tests::TarEnd;
using tests::TarEntry;
using tests::TarMemberOf;
using tests::TarOf;

struct Listed {
  std::string path;
  std::string content;
  bool is_folder = false;
  bool operator==(const Listed&) const = default;
};

void PrintTo(const Listed& listed, std::ostream* out) {
  *out << listed.path << (listed.is_folder ? "/" : "") << "=" << listed.content;
}

// A stream of which nobody knows how long it is.
class Drip final : public ByteStream {
 public:
  explicit Drip(std::string_view bytes) : bytes_(bytes) {}
  std::string_view name() const override { return "drip"; }
  Result<size_t> Read(std::span<std::byte> out) override {
    const size_t count = std::min({out.size(), bytes_.size(), size_t{100}});
    std::copy_n(AsBytes(bytes_).begin(), count, out.begin());
    bytes_.remove_prefix(count);
    return count;
  }

 private:
  std::string_view bytes_;
};

Result<std::vector<Listed>> List(ByteStream& stream) {
  TarReader reader(stream);
  std::vector<Listed> all;
  while (true) {
    ASSIGN_OR_RETURN(const std::optional<TarMember> member, reader.Next());
    if (!member.has_value()) return all;
    std::string content(
        static_cast<size_t>(std::min<uint64_t>(member->size_bytes, 1u << 20)),
        '\0');
    size_t filled = 0;
    while (filled < content.size()) {
      ASSIGN_OR_RETURN(const size_t got,
                       reader.Read(std::as_writable_bytes(
                           std::span(content).subspan(filled))));
      if (got == 0) break;
      filled += got;
    }
    all.push_back({member->path, content, member->is_folder});
  }
}

Result<std::vector<Listed>> List(const std::string& bytes) {
  const MemorySource source(AsBytes(bytes));
  SourceStream stream(source);
  auto whole = List(stream);
  Drip drip(bytes);
  const auto dripped = List(drip);
  EXPECT_EQ(whole.has_value(), dripped.has_value());
  if (whole && dripped) {
    EXPECT_EQ(*whole, *dripped);
  }
  return whole;
}

TarEntry File(std::string name, std::string content = "x") {
  TarEntry entry;
  entry.name = std::move(name);
  entry.content = std::move(content);
  return entry;
}

TarEntry Typed(char type, std::string name, std::string content = "") {
  TarEntry entry = File(std::move(name), std::move(content));
  entry.type = type;
  return entry;
}

TarEntry Pax(const std::string& records) { return Typed('x', "pax", records); }

void ExpectPathRefused(const std::vector<TarEntry>& entries,
                       std::string_view part) {
  ExpectError(List(TarOf(entries)), ErrorCode::kCorrupt, part,
              "E-ARCHIVE-PATH");
}

TEST(TarReaderTest, ReadsFilesAndFolders) {
  const auto all = List(TarOf({Typed('5', "model/"), File("model/a", "one"),
                               File("model/empty", ""),
                               File("model/b", std::string(1000, 'b'))}));
  ASSERT_TRUE(all) << all.error().ToString();
  EXPECT_EQ(*all, (std::vector<Listed>{{"model", "", true},
                                       {"model/a", "one"},
                                       {"model/empty", ""},
                                       {"model/b", std::string(1000, 'b')}}));
}

TEST(TarReaderTest, SkipsContentThatNobodyReads) {
  const std::string bytes =
      TarOf({File("a", std::string(5000, 'a')), File("b", "two")});
  const MemorySource source(AsBytes(bytes));
  SourceStream stream(source);
  TarReader reader(stream);
  ASSERT_EQ((*reader.Next())->path, "a");
  std::byte one{};
  ASSERT_TRUE(reader.Read({&one, 1}));
  ASSERT_EQ((*reader.Next())->path, "b");
  ASSERT_EQ(*reader.Next(), std::nullopt);
  ASSERT_EQ(*reader.Next(), std::nullopt);
  EXPECT_EQ(reader.num_members(), 2u);
}

TEST(TarReaderTest, ReadsPrefixGnuAndPaxNames) {
  TarEntry prefixed = File("file", "1");
  prefixed.prefix = "deep/folder";
  TarEntry gnu = File("cut", "2");
  gnu.magic = std::string("ustar  \0", 8);
  gnu.prefix = "no name here";  // times, in GNU's form
  const std::string long_name =
      std::string(150, 'n') + "/" + std::string(150, 'm');
  TarEntry sized = File("size", "4444");
  sized.size_field = "00000000000";  // what counts is the pax size
  const auto all = List(
      TarOf({prefixed, Typed('L', "././@LongLink", long_name + '\0'), gnu,
             Pax(PaxRecord("path", "caf\xC3\xA9") + PaxRecord("mtime", "1.5")),
             File("ignored", "3"), Pax(PaxRecord("size", "4")), sized}));
  ASSERT_TRUE(all) << all.error().ToString();
  EXPECT_EQ(*all, (std::vector<Listed>{{"deep/folder/file", "1"},
                                       {long_name, "2"},
                                       {"caf\xC3\xA9", "3"},
                                       {"size", "4444"}}));
}

TEST(TarReaderTest, ReadsNamesThatBeginWithTheFolderItself) {
  const auto all =
      List(TarOf({Typed('5', "./"), File("./a", "1"), Typed('5', "./b/")}));
  ASSERT_TRUE(all) << all.error().ToString();
  EXPECT_EQ(*all, (std::vector<Listed>{{"a", "1"}, {"b", "", true}}));
}

TEST(TarReaderTest, ReadsBinarySizes) {
  TarEntry entry = File("a", "12345");
  entry.size_field = std::string("\x80\0\0\0\0\0\0\0\0\0\0\x05", 12);
  const auto all = List(TarOf({entry}));
  ASSERT_TRUE(all) << all.error().ToString();
  EXPECT_EQ((*all)[0].content, "12345");
}

TEST(TarReaderTest, E4RefusesNamesThatLeaveTheFolder) {
  ExpectPathRefused({File("../a")}, "\"..\"");
  ExpectPathRefused({File("a/../../b")}, "\"..\"");
  ExpectPathRefused({File("/etc/passwd")}, "absolute");
  ExpectPathRefused({File("a//b")}, "without a name");
  ExpectPathRefused({File("a\\..\\b")}, "backslash");
  ExpectPathRefused({File("C:x")}, "drive");
  ExpectPathRefused({File("")}, "without a name");
  ExpectPathRefused({File("a/")}, "");
  ExpectPathRefused({Typed('5', "../")}, "\"..\"");
  ExpectPathRefused({Typed('5', "/")}, "");
  ExpectPathRefused({File("./../a")}, "\"..\"");
  TarEntry prefixed = File("passwd");
  prefixed.prefix = "/etc";
  ExpectPathRefused({prefixed}, "absolute");
  prefixed.prefix = "..";
  ExpectPathRefused({prefixed}, "\"..\"");
}

TEST(TarReaderTest, E4RefusesNamesThatDeceive) {
  ExpectPathRefused({File("a\x1b[2J")}, "control");
  ExpectPathRefused({File("a\xE2\x80\xAE"
                          "b")},
                    "control or invisible");
  ExpectPathRefused({File("a\xFF")}, "not UTF-8");
}

TEST(TarReaderTest, E4RefusesLinksDevicesAndPipes) {
  TarEntry symlink = Typed('2', "link");
  symlink.link_target = "/etc";
  ExpectPathRefused({symlink, File("link/passwd")}, "a symbolic link");
  TarEntry hard = Typed('1', "hard");
  hard.link_target = "../../secret";
  ExpectPathRefused({hard}, "a hard link");
  ExpectPathRefused({Typed('3', "tty")}, "a device");
  ExpectPathRefused({Typed('4', "disk")}, "a device");
  ExpectPathRefused({Typed('6', "pipe")}, "a pipe");
  ExpectPathRefused({Typed('S', "holes")}, "a sparse file");
  ExpectPathRefused({Typed('K', "././@LongLink", "target")}, "link");
  ExpectPathRefused({Typed('7', "contiguous")}, "neither file nor folder");
  ExpectPathRefused({Typed('D', "dump")}, "neither file nor folder");
}

TEST(TarReaderTest, E4RefusesPaxOverridesThatLeaveTheFolder) {
  ExpectPathRefused({Pax(PaxRecord("path", "../evil")), File("good")},
                    "\"..\"");
  ExpectPathRefused({Pax(PaxRecord("path", "/etc/x")), File("good")},
                    "absolute");
  ExpectPathRefused(
      {Pax(PaxRecord("path", std::string_view("a\0b", 3))), File("good")},
      "control");
  ExpectPathRefused({Pax(PaxRecord("path", "")), File("good")},
                    "without a name");
  ExpectPathRefused({Pax(PaxRecord("linkpath", "/etc")), File("good")},
                    "\"linkpath\" is not allowed");
  ExpectPathRefused({Pax(PaxRecord("GNU.sparse.major", "1")), File("good")},
                    "\"GNU.sparse.major\" is not allowed");
  ExpectPathRefused(
      {Typed('g', "pax", PaxRecord("path", "same")), File("good")},
      "for all members");
  ExpectPathRefused(
      {Pax(PaxRecord("path", "a") + PaxRecord("path", "b")), File("good")},
      "stands twice");
  ExpectPathRefused({Typed('L', "././@LongLink", "one"),
                     Pax(PaxRecord("path", "two")), File("good")},
                    "two long names");
  ExpectPathRefused({Typed('L', "././@LongLink", "../one"), File("good")},
                    "\"..\"");
}

TEST(TarReaderTest, TakesPaxKeysThatChangeNothing) {
  EXPECT_TRUE(List(TarOf({Typed('g', "pax", PaxRecord("comment", "0123")),
                          Pax(PaxRecord("mtime", "1") + PaxRecord("uid", "0") +
                              PaxRecord("SCHILY.xattr.user.x", "y")),
                          File("a")})));
}

TEST(TarReaderTest, E4RefusesDuplicates) {
  ExpectPathRefused({File("a"), File("a")}, "there twice");
  ExpectPathRefused({File("a"), File("./a")}, "there twice");
  ExpectPathRefused({File("Model"), File("model")}, "where case is ignored");
  // Composed and decomposed e with an accent.
  ExpectPathRefused({File("caf\xC3\xA9"), File("cafe\xCC\x81")},
                    "where case is ignored");
  ExpectPathRefused({File("a"), File("a/b")}, "both file and folder");
  ExpectPathRefused({Typed('5', "a/"), File("a")}, "both file and folder");
  EXPECT_TRUE(List(TarOf({Typed('5', "a/"), Typed('5', "a/"), File("a/b")})));
}

TEST(TarReaderTest, E4RefusesSizesBeyondTheArchive) {
  TarEntry entry = File("a", "12345");
  entry.size_field = "77777777777";
  ExpectError(List(TarOf({entry})), ErrorCode::kCorrupt, "", "E-TRUNCATED");
  entry.size_field =
      std::string("\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12);
  ExpectError(List(TarOf({entry})), ErrorCode::kCorrupt, "no number", "E-TAR");
  entry.size_field = std::string(
      "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
      "\xff",
      12);
  ExpectError(List(TarOf({entry})), ErrorCode::kCorrupt, "no number", "E-TAR");
  entry.size_field = "0000000000x";
  ExpectError(List(TarOf({entry})), ErrorCode::kCorrupt, "no number", "E-TAR");
  for (const char* size : {"-1", "", "99999999999999999999", "1x"}) {
    ExpectError(List(TarOf({Pax(PaxRecord("size", size)), File("a")})),
                ErrorCode::kCorrupt, "no number", "E-TAR");
  }
}

TEST(TarReaderTest, E4RefusesAFolderWithContent) {
  ExpectPathRefused({Typed('5', "a/", "hidden")}, "a folder of 6 bytes");
}

TEST(TarReaderTest, RefusesHeadersThatDoNotHoldTogether) {
  TarEntry wrong = File("a");
  wrong.checksum_field = "0000001";
  ExpectError(List(TarOf({wrong})), ErrorCode::kCorrupt, "checksum", "E-TAR");
  TarEntry old = File("a");
  old.magic = std::string(8, '\0');
  ExpectError(List(TarOf({old})), ErrorCode::kCorrupt, "no header", "E-TAR");
  for (const char* records :
       {"x", "5 a=b", "99 a=b\n", "6 ab\n", "3 \n", "0 a=b\n", " a=b\n",
        "123456789012345678901234 a=b\n", "6 a=bx"}) {
    EXPECT_FALSE(List(TarOf({Pax(records), File("a")}))) << records;
  }
  ExpectError(List(TarOf({Pax(PaxRecord("path", "a"))})), ErrorCode::kCorrupt,
              "without its member", "E-TAR");
  ExpectError(List(TarOf({Pax("9 uid=00\n"), Pax("9 uid=00\n"), File("a")})),
              ErrorCode::kCorrupt, "two pax headers", "E-TAR");
  TarEntry large = Typed('x', "pax");
  large.size_field = "00040000000";
  ExpectError(List(TarOf({large})), ErrorCode::kLimit, "8388608 bytes",
              "E-TAR");
}

TEST(TarReaderTest, E6RefusesWhatFollowsTheEnd) {
  const std::string whole = TarOf({File("a")});
  EXPECT_TRUE(List(whole + std::string(9000, '\0')));
  ExpectError(List(whole + "PK"), ErrorCode::kCorrupt, "follows the end",
              "E-ARCHIVE-TRAILING");
  ExpectError(List(whole + std::string(70'000, '\0') + "x"),
              ErrorCode::kCorrupt, "follows the end", "E-ARCHIVE-TRAILING");
  // A second archive behind the first.
  ExpectError(List(whole + whole), ErrorCode::kCorrupt, "follows the end",
              "E-ARCHIVE-TRAILING");
}

TEST(TarReaderTest, RefusesEveryTruncation) {
  const std::string whole = TarOf({Pax(PaxRecord("path", "b")), File("a")});
  for (size_t size = 0; size < whole.size(); ++size) {
    ExpectError(List(whole.substr(0, size)), ErrorCode::kCorrupt, "");
  }
}

// A flipped byte of a header is refused; one in the content or in the padding
// changes that alone.
TEST(TarReaderTest, FindsEveryFlippedByteOfAHeader) {
  const std::string whole = TarOf({File("name", "content")});
  for (size_t i = 0; i < 512; ++i) {
    for (const int mask : {0x01, 0x80}) {
      std::string flipped = whole;
      flipped[i] = static_cast<char>(flipped[i] ^ mask);
      EXPECT_FALSE(List(flipped)) << i;
    }
  }
}

// Ten million members: the count is bounded, and memory with it.
TEST(TarReaderTest, E7RefusesTenMillionMembers) {
  class Endless final : public ByteStream {
   public:
    std::string_view name() const override { return "endless"; }
    Result<size_t> Read(std::span<std::byte> out) override {
      if (at_ == block_.size()) {
        block_ = TarMemberOf(File(std::to_string(count_++), ""));
        at_ = 0;
      }
      const size_t share = std::min(out.size(), block_.size() - at_);
      std::copy_n(AsBytes(block_).begin() + static_cast<ptrdiff_t>(at_), share,
                  out.begin());
      at_ += share;
      return share;
    }

   private:
    uint64_t count_ = 0;
    std::string block_;
    size_t at_ = 0;
  };
  Endless endless;
  ExpectError(List(endless), ErrorCode::kLimit, "more than 200000 members",
              "E-TAR");
}

TEST(TarReaderTest, TellsATarByMagicAndChecksum) {
  const std::string whole = TarOf({File("a")});
  EXPECT_TRUE(IsTar(AsBytes(whole)));
  std::string other = whole;
  other[0] = 'b';
  EXPECT_FALSE(IsTar(AsBytes(other)));
  EXPECT_FALSE(IsTar(AsBytes(whole.substr(0, 511))));
}

}  // namespace
}  // namespace verify
