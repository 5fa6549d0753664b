// SPDX-License-Identifier: Apache-2.0
#include "verify/structure/side_files.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <system_error>

#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"

namespace verify {
namespace {

using tests::ExpectError;
using tests::TempDir;

// Path and kind of all that is active, one a line.
std::string Listed(const SideFiles& files) {
  std::string out;
  for (const ActiveContent& active : files.active) {
    out += active.path;
    out += ": ";
    out += ActiveKindName(active.kind);
    out += '\n';
  }
  return out;
}

SideFiles Read(const TempDir& dir) {
  auto files = ReadSideFiles(dir.path(), nullptr);
  EXPECT_TRUE(files) << files.error().ToString();
  return files ? std::move(files).value() : SideFiles{};
}

TEST(SideFilesTest, C21ListsWhatCouldRun) {
  TempDir dir;
  dir.Write("modeling_evil.py", "import os");
  dir.Write("sub/kernel.so.1.2", "");
  dir.Write("sub/Setup.EXE", "");
  dir.Write("notes.ipynb", "{}");
  dir.Write("model.skops", "PK\x03\x04");
  dir.Write("weights.bin", std::string_view("\x7f"
                                            "ELF\2\1\1",
                                            7));
  dir.Write("model.llamafile.txt", "MZqFpD='\n");
  dir.Write("run", "#!/bin/sh\n");
  dir.Write("mac", "\xcf\xfa\xed\xfe....");
  dir.Write("training_args.bin", std::string_view("\x80\x02}q\x00.", 6));
  const SideFiles files = Read(dir);
  EXPECT_EQ(Listed(files),
            "mac: program\n"
            "model.llamafile.txt: program\n"
            "model.skops: pickle\n"
            "modeling_evil.py: script\n"
            "notes.ipynb: script\n"
            "run: script\n"
            "sub/Setup.EXE: program\n"
            "sub/kernel.so.1.2: program\n"
            "training_args.bin: pickle\n"
            "weights.bin: program\n");
}

TEST(SideFilesTest, C21ListsRequestsForRemoteCode) {
  TempDir dir;
  dir.Write("config.json",
            R"({"text_config": {"auto_map": {"AutoModel": "evil.Model"}}})");
  dir.Write("tokenizer_config.json", R"({"trust_remote_code": true})");
  dir.Write("generation_config.json",
            R"({"trust_remote_code": false, "auto_map": {}})");
  dir.Write(".gitattributes",
            "*.bin filter=lfs diff=lfs merge=lfs -text\n# filter=x\n");
  EXPECT_EQ(Listed(Read(dir)),
            "config.json: remote code\n"
            "tokenizer_config.json: remote code\n");
  dir.Write(".gitattributes", "*.md filter=lfs\n*.md\tdiff=evil -text\n");
  const SideFiles files = Read(dir);
  ASSERT_EQ(files.active.size(), 3u);
  EXPECT_EQ(files.active[0].kind, ActiveKind::kFilter);
  EXPECT_NE(files.active[0].detail.find("diff=evil"), std::string::npos);
}

TEST(SideFilesTest, LeavesWeightsAndTextsAlone) {
  TempDir dir;
  dir.Write("consolidated.00.pth", "PK\x03\x04");
  dir.Write("model.gguf", "GGUF");
  dir.Write("README.md", "# A model\nimport os\n");
  dir.Write("params.json", "{}");
  dir.Write("LICENSE", "");
  EXPECT_EQ(Listed(Read(dir)), "");
}

TEST(SideFilesTest, FollowsNoLinks) {
  TempDir dir;
  TempDir elsewhere;
  elsewhere.Write("evil.py", "");
  std::error_code error;
  std::filesystem::create_directory_symlink(elsewhere.path(), dir.File("link"),
                                            error);
  std::filesystem::create_symlink(elsewhere.File("evil.py"),
                                  dir.File("here.py"), error);
  ASSERT_FALSE(error);
  EXPECT_EQ(Listed(Read(dir)), "");
}

// The digest is that of `printf '{{ messages }}' | sha256sum`.
TEST(SideFilesTest, C19MeasuresTemplatesAndRendersNone) {
  TempDir dir;
  dir.Write("tokenizer_config.json", R"({"chat_template": "{{ messages }}"})");
  SideFiles files = Read(dir);
  ASSERT_EQ(files.templates.size(), 1u);
  EXPECT_EQ(files.templates[0].place, "tokenizer_config.json");
  EXPECT_EQ(files.templates[0].name, "default");
  EXPECT_EQ(files.templates[0].size_bytes, 14u);
  EXPECT_EQ(files.templates[0].num_control, 0u);
  EXPECT_EQ(files.templates[0].sha256,
            "f24189f08c85a1eb19a737306c3a13e85462ee33d964f28108d64a2485fa2171");
  EXPECT_FALSE(files.templates_differ);

  // The same text a second time is no difference; another is.
  dir.Write("chat_template.jinja", "{{ messages }}");
  EXPECT_FALSE(Read(dir).templates_differ);
  dir.Write("chat_template.jinja", "{{ messages }} ");
  EXPECT_TRUE(Read(dir).templates_differ);
  // A template of another name is another template.
  dir.Write("chat_template.jinja", "{{ messages }}");
  dir.Write("additional_chat_templates/rag.jinja", "{{ documents }}");
  files = Read(dir);
  EXPECT_FALSE(files.templates_differ);
  ASSERT_EQ(files.templates.size(), 3u);
  EXPECT_EQ(files.templates[0].name, "rag");
}

TEST(SideFilesTest, C19CountsCharactersThatHide) {
  TempDir dir;
  // A bell, a zero-width space, a right-to-left override, a stray byte; tab
  // and line ends are no finding.
  dir.Write("chat_template.jinja",
            "a\tb\r\n\x07\xe2\x80\x8b\xe2\x80\xae\xff\xc3\xa9");
  const SideFiles files = Read(dir);
  ASSERT_EQ(files.templates.size(), 1u);
  EXPECT_EQ(files.templates[0].num_control, 4u);
}

TEST(SideFilesTest, C19SaysWhatIsUnusualInATemplate) {
  TempDir dir;
  const auto concerns = [&](const std::string& text) {
    dir.Write("chat_template.jinja", text);
    const SideFiles files = Read(dir);
    return files.templates.size() == 1 ? files.templates[0].concerns.size()
                                       : size_t{99};
  };
  EXPECT_EQ(concerns("{% for m in messages %}{{ m['content'] }}{% endfor %}"),
            0u);
  EXPECT_EQ(concerns("{{ a.__init__.__globals__['os'].popen('id') }}"), 1u);
  EXPECT_EQ(concerns("{{ ''[ '__cl' 'ass__' ] }}"), 0u);  // it cannot know
  EXPECT_EQ(concerns("{{ a | attr('x') }}"), 1u);
  EXPECT_EQ(concerns("{{ a['\\x5f\\x5fclass'] }}"), 1u);
  EXPECT_EQ(concerns(std::string(60'000, ' ')), 1u);
  EXPECT_EQ(concerns("{{ __class__ }}\x1b[2J"), 2u);
}

TEST(SideFilesTest, C19ReadsTemplatesOfGgufAndLists) {
  GgufFile gguf;
  gguf.metadata["tokenizer.chat_template"] = std::string("{{ a }}");
  gguf.metadata["tokenizer.chat_template.tool_use"] = std::string("{{ b }}");
  gguf.metadata["tokenizer.chat_templates"] =
      std::vector<std::string>{"tool_use"};
  TempDir dir;
  dir.Write("tokenizer_config.json",
            R"({"chat_template": [{"name": "default", "template": "{{ a }}"},
                {"name": "tool_use", "template": "{{ c }}"}]})");
  const auto files = ReadSideFiles(dir.path(), &gguf);
  ASSERT_TRUE(files) << files.error().ToString();
  ASSERT_EQ(files->templates.size(), 4u);
  EXPECT_EQ(files->templates[0].place, "GGUF metadata");
  EXPECT_EQ(files->templates[1].name, "tool_use");
  EXPECT_TRUE(files->templates_differ);
  // Without a folder only the metadata.
  EXPECT_EQ(ReadSideFiles("", &gguf)->templates.size(), 2u);
}

TEST(SideFilesTest, RefusesWhatIsNoTemplateOrJson) {
  TempDir dir;
  for (const char* text :
       {R"({"chat_template": 1})", R"({"chat_template": [1]})",
        R"({"chat_template": [{"name": "x"}]})"}) {
    dir.Write("tokenizer_config.json", text);
    ExpectError(ReadSideFiles(dir.path(), nullptr), ErrorCode::kCorrupt,
                "tokenizer_config.json", "E-TEMPLATE");
  }
  dir.Write("tokenizer_config.json", "{");
  ExpectError(ReadSideFiles(dir.path(), nullptr), ErrorCode::kCorrupt,
              "tokenizer_config.json");
  dir.Write("tokenizer_config.json", std::string(100'000, '['));
  ExpectError(ReadSideFiles(dir.path(), nullptr), ErrorCode::kLimit, "deeper");
  dir.Write("tokenizer_config.json", "{}");
  dir.Write("chat_template.jinja", std::string((4u << 20) + 1, ' '));
  ExpectError(ReadSideFiles(dir.path(), nullptr), ErrorCode::kLimit,
              "chat_template.jinja");
}

}  // namespace
}  // namespace verify
