// SPDX-License-Identifier: Apache-2.0
#include "cli/flows/content_check.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/output.h"
#include "tests/support/temp_dir.h"
#include "verify/base/bytes.h"
#include "verify/base/progress.h"
#include "verify/digest/digest.h"

namespace cli {
namespace {

using verify::Evidence;
using verify::TrustLevel;

constexpr std::string_view kConfig = "{}";
constexpr std::string_view kWeights = "weights";

verify::PublishedSum SumOf(std::string name, std::string_view content) {
  verify::PublishedSum sum;
  sum.name = std::move(name);
  sum.algorithm = verify::SumAlgorithm::kSha256;
  const verify::Sha256Digest digest = verify::Sha256(verify::AsBytes(content));
  sum.digest.assign(digest.begin(), digest.end());
  return sum;
}

// A signed manifest of two files in a folder that holds these.
class SignedContentTest : public ::testing::Test {
 protected:
  SignedContentTest() {
    dir_.Write("config.json", kConfig);
    dir_.Write("model.safetensors", kWeights);
    evidence_.source = "model.sig";
    evidence_.level = TrustLevel::kTrustedKey;
    evidence_.signer_key = "1f2e";
    evidence_.signer_name = "Ann";
    evidence_.exhaustive = true;
    evidence_.sums = {SumOf("config.json", kConfig),
                      SumOf("model.safetensors", kWeights)};
  }

  ContentReport Check() {
    OutputOptions quiet;
    quiet.quiet = true;
    Output output(quiet);
    const verify::CancelToken cancel;
    Context context{output, cancel};
    ContentOptions options;
    options.path = dir_.path();
    options.evidence = {evidence_};
    options.source_files = {"model.sig"};
    options.num_threads = 1;
    output.KeepEvents();
    auto report = CheckContent(options, context);
    EXPECT_TRUE(report.has_value());
    warnings_ = 0;
    for (const KeptEvent& event : output.kept_events()) {
      if (event.type == "warning") ++warnings_;
    }
    return report ? std::move(*report) : ContentReport();
  }

  static std::string ErrorId(const ContentReport& report) {
    return report.error.has_value() ? report.error->id : "";
  }

  tests::TempDir dir_;
  Evidence evidence_;
  int warnings_ = 0;
};

TEST_F(SignedContentTest, GivesItsLevelToEveryFileAndTheWhole) {
  dir_.Write("model.sig", "the signature itself is not one of its files");
  const ContentReport report = Check();
  EXPECT_EQ(ErrorId(report), "");
  EXPECT_EQ(report.level, TrustLevel::kTrustedKey);
  EXPECT_EQ(report.num_extra, 0u);
  for (const FileVerdict& file : report.files) {
    if (file.report.name == "model.sig") continue;
    EXPECT_EQ(file.report.level, TrustLevel::kTrustedKey);
    EXPECT_EQ(file.source, "model.sig");
    EXPECT_EQ(file.signer_name, "Ann");
  }
}

TEST_F(SignedContentTest, D2ExtraFileUnderASignedManifestIsUntrusted) {
  dir_.Write("sub/notes.txt", "mine");
  const ContentReport report = Check();
  EXPECT_EQ(ErrorId(report), "E-UNSIGNED-EXTRA");
  EXPECT_EQ(report.error->code, verify::ErrorCode::kUntrusted);
  EXPECT_NE(report.error->message.find("sub/notes.txt"), std::string::npos);
  EXPECT_EQ(report.num_extra, 1u);
}

// What git keeps at the top of a folder is outside of the scope.
TEST_F(SignedContentTest, D2FilesOfGitAreNotExtra) {
  dir_.Write(".gitattributes", "x");
  dir_.Write(".git/config", "x");
  EXPECT_EQ(ErrorId(Check()), "");
  dir_.Write("sub/.gitattributes", "x");
  EXPECT_EQ(ErrorId(Check()), "E-UNSIGNED-EXTRA");
}

TEST_F(SignedContentTest, D12UnderAnUnknownKeyAnExtraFileIsAWarning) {
  dir_.Write("notes.txt", "mine");
  evidence_.level = TrustLevel::kUnknownKey;
  evidence_.signer_name.clear();
  const ContentReport report = Check();
  EXPECT_EQ(ErrorId(report), "");
  EXPECT_EQ(warnings_, 1);
  EXPECT_EQ(report.level, TrustLevel::kUnknownKey);
  EXPECT_FALSE(verify::MayCallVerified(report.level));
}

TEST_F(SignedContentTest, D8LeavingOutAFileThatIsUsedIsUntrusted) {
  dir_.Write("tokenizer.json", "{}");
  evidence_.exhaustive = false;
  evidence_.ignored = {"tokenizer.json"};
  const ContentReport report = Check();
  EXPECT_EQ(ErrorId(report), "E-UNSIGNED-USED");
  EXPECT_EQ(report.error->code, verify::ErrorCode::kUntrusted);
}

TEST_F(SignedContentTest, D8LeavingOutWhatNoModelReadsIsNoError) {
  dir_.Write("README.md", "# A model");
  evidence_.ignored = {"README.md"};
  const ContentReport report = Check();
  EXPECT_EQ(ErrorId(report), "");
  EXPECT_EQ(report.num_extra, 1u);
}

// Wrong bytes weigh more than what is too much: 6, not 7.
TEST_F(SignedContentTest, WrongBytesAreAMismatchAlsoUnderASignature) {
  dir_.Write("notes.txt", "mine");
  dir_.Write("model.safetensors", "Weights");
  const ContentReport report = Check();
  EXPECT_EQ(ErrorId(report), "E-MISMATCH");
  EXPECT_EQ(report.error->code, verify::ErrorCode::kMismatch);
  EXPECT_EQ(report.level, TrustLevel::kUnverified);
}

TEST_F(SignedContentTest, D2SignedFileThatIsAbsentIsAMismatch) {
  evidence_.sums.push_back(SumOf("tokenizer.json", "{}"));
  const ContentReport report = Check();
  EXPECT_EQ(ErrorId(report), "E-MISMATCH");
  EXPECT_EQ(report.num_missing, 1u);
}

}  // namespace
}  // namespace cli
