// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "tests/support/archive_builder.h"
#include "tests/support/gguf_builder.h"
#include "tests/support/pickle_builder.h"
#include "verify/checkpoint/checkpoint.h"

namespace verify {
namespace {

SniffedContent Sniff(const std::string& bytes) {
  auto content = SniffContent(MemorySource(AsBytes(bytes)));
  EXPECT_TRUE(content);
  return std::move(content).value();
}

TEST(SniffTest, KnowsWeights) {
  EXPECT_EQ(Sniff(tests::GgufBuilder().Build()).format,
            CheckpointFormat::kGguf);
  EXPECT_EQ(Sniff(tests::BuildTorch(tests::SmallStateDict(), {})).format,
            CheckpointFormat::kTorch);
  EXPECT_EQ(Sniff(tests::BuildSafetensors("{\"a\":1}", "")).format,
            CheckpointFormat::kSafetensors);
  EXPECT_EQ(Sniff(tests::BuildSafetensors("{ }", "")).format,
            CheckpointFormat::kSafetensors);
}

// Valid as two things at once: which one a program sees is its own affair.
TEST(SniffTest, E6TakesNothingThatIsATarArchiveToo) {
  tests::TarEntry entry;
  for (const auto& [name, kind] :
       std::vector<std::pair<std::string, std::string>>{
           {"GGUF\3", "GGUF"},
           {"PK\x03\x04", "a zip archive"},
           {std::string("\xf0\0\0\0\0\0\0\0{\"a\"", 12), "safetensors"}}) {
    entry.name = name;
    const SniffedContent content = Sniff(tests::TarOf({entry}));
    EXPECT_FALSE(content.format.has_value()) << name;
    EXPECT_EQ(content.description, "both " + kind + " and a tar archive");
  }
}

TEST(SniffTest, C15SaysWhatOtherFilesAre) {
  struct Case {
    std::string bytes;
    const char* description;
  };
  std::string tar(600, 'x');
  tar.replace(257, 5, "ustar");
  for (const Case& c : {
           Case{"", "an empty file"},
           Case{std::string(5000, '\0'), "zeros"},
           Case{"<!DOCTYPE html><html>", "an HTML page"},
           Case{"\n  <HTML lang=en>", "an HTML page"},
           Case{"\xef\xbb\xbf<html>", "an HTML page"},
           Case{"version https://git-lfs.github.com/spec/v1\noid sha256:00",
                "a Git LFS pointer"},
           Case{"\x7f"
                "ELF\2\1\1",
                "an ELF program"},
           Case{"MZ\x90", "a Windows or llamafile program"},
           Case{"#!/bin/sh\n", "a script"},
           Case{"7z\xbc\xaf\x27\x1c", "a 7z archive"},
           Case{"Rar!\x1a\x07\x01", "a RAR archive"},
           Case{"\x1f\x8b\x08", "gzip data"},
           Case{"BZh91AY", "bzip2 data"},
           Case{std::string("\xfd"
                            "7zXZ\0",
                            6),
                "xz data"},
           Case{"\x28\xb5\x2f\xfd", "zstd data"},
           Case{"\x50\x2a\x4d\x18", "zstd data"},  // skippable
           Case{tar, "a tar archive"},
           Case{"\x80\x02}q", "a bare pickle"},
           Case{"cposix\nsystem\n(S'true'\ntR.", "a bare pickle"},
           Case{"cposix\nsystem\np0\n(S'true'\ntR.", "a bare pickle"},
           Case{"config\nmodel\nother\n", "unknown data"},
           Case{"\xcf\xfa\xed\xfe....", "a macOS program"},
           Case{std::string("\0asm\1\0\0\0", 8), "a WebAssembly program"},
           Case{"\x89PNG\r\n\x1a\n", "an image"},
           Case{"PK\x07\x08PK", "a part of a zip archive"},
           Case{"{\"dim\": 4096}", "JSON text"},
           Case{"tjgg", "a GGML file, the form before GGUF"},
           Case{"hello", "unknown data"},
           Case{"P", "unknown data"},
       }) {
    const SniffedContent content = Sniff(c.bytes);
    EXPECT_FALSE(content.format.has_value()) << c.description;
    EXPECT_EQ(content.description, c.description);
  }
}

}  // namespace
}  // namespace verify
