// SPDX-License-Identifier: Apache-2.0
#include "verify/manifest/report.h"

#include <gtest/gtest.h>

namespace verify {
namespace {

FileReport File(FileOutcome outcome, TrustLevel level) {
  FileReport file;
  file.outcome = outcome;
  file.level = level;
  return file;
}

TEST(ReportTest, SaysEachLevelInItsWords) {
  EXPECT_EQ(TrustLevelText(TrustLevel::kUnverified), "unsigned");
  EXPECT_EQ(TrustLevelText(TrustLevel::kUnknownKey), "signed by unknown key");
  EXPECT_EQ(TrustLevelText(TrustLevel::kMd5Only),
            "md5 only (accidental corruption)");
  EXPECT_EQ(TrustLevelText(TrustLevel::kSha1Only), "sha1 only (weak anchor)");
  EXPECT_EQ(TrustLevelText(TrustLevel::kPiecesV1),
            "v1 pieces only (weak anchor, SHA-1)");
  EXPECT_EQ(TrustLevelText(TrustLevel::kSha256), "sha256 list or v2 root");
  EXPECT_EQ(TrustLevelText(TrustLevel::kPiecesV2), "sha256 list or v2 root");
  EXPECT_EQ(TrustLevelText(TrustLevel::kTrustedKey), "signed by trusted key");
}

TEST(ReportTest, NeverCallsMd5OrAnUnknownKeyVerified) {
  EXPECT_FALSE(MayCallVerified(TrustLevel::kUnverified));
  EXPECT_FALSE(MayCallVerified(TrustLevel::kUnknownKey));
  EXPECT_FALSE(MayCallVerified(TrustLevel::kMd5Only));
  EXPECT_TRUE(MayCallVerified(TrustLevel::kSha1Only));
  EXPECT_TRUE(MayCallVerified(TrustLevel::kPiecesV1));
  EXPECT_TRUE(MayCallVerified(TrustLevel::kSha256));
  EXPECT_TRUE(MayCallVerified(TrustLevel::kPiecesV2));
  EXPECT_TRUE(MayCallVerified(TrustLevel::kTrustedKey));
}

TEST(ReportTest, LevelIsThatOfTheWeakestFile) {
  VerifyReport report;
  EXPECT_EQ(report.level(), TrustLevel::kUnverified);
  report.files.push_back(File(FileOutcome::kOk, TrustLevel::kTrustedKey));
  EXPECT_EQ(report.level(), TrustLevel::kTrustedKey);
  report.files.push_back(File(FileOutcome::kOk, TrustLevel::kSha256));
  report.files.push_back(File(FileOutcome::kOk, TrustLevel::kPiecesV1));
  EXPECT_EQ(report.level(), TrustLevel::kPiecesV1);
  EXPECT_TRUE(report.ok());
  report.files.push_back(File(FileOutcome::kOk, TrustLevel::kMd5Only));
  EXPECT_EQ(report.level(), TrustLevel::kMd5Only);
}

TEST(ReportTest, AnyBadFileTakesTheLevelAway) {
  for (const FileOutcome outcome :
       {FileOutcome::kMismatch, FileOutcome::kMissing, FileOutcome::kWrongSize,
        FileOutcome::kUnreadable, FileOutcome::kExtra}) {
    VerifyReport report;
    report.files.push_back(File(FileOutcome::kOk, TrustLevel::kTrustedKey));
    report.files.push_back(File(outcome, TrustLevel::kTrustedKey));
    EXPECT_EQ(report.level(), TrustLevel::kUnverified);
    EXPECT_EQ(report.ok(), outcome == FileOutcome::kExtra);
    EXPECT_EQ(report.Count(outcome), 1u);
    EXPECT_EQ(report.Count(FileOutcome::kOk), 1u);
  }
}

}  // namespace
}  // namespace verify
