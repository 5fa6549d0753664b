// SPDX-License-Identifier: Apache-2.0
#include "verify/manifest/evidence_check.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "verify/base/text.h"

namespace verify {
namespace {

// RFC 1321 and FIPS 180-2 digests of "abc".
constexpr std::string_view kMd5 = "900150983cd24fb0d6963f7d28e17f72";
constexpr std::string_view kSha256 =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr uint64_t kSize = 3;

PublishedSum Sum(SumAlgorithm algorithm, std::string_view hex) {
  PublishedSum sum;
  sum.name = "a";
  sum.algorithm = algorithm;
  sum.digest = *HexDecode(hex);
  return sum;
}

Evidence List(std::string source, PublishedSum sum) {
  Evidence evidence;
  evidence.source = std::move(source);
  evidence.sums.push_back(std::move(sum));
  return evidence;
}

Evidence Signed(TrustLevel level, PublishedSum sum) {
  Evidence evidence = List("model.sig", std::move(sum));
  evidence.level = level;
  evidence.signer_key = "1f2e3d";
  if (level == TrustLevel::kTrustedKey) evidence.signer_name = "Ann";
  return evidence;
}

std::vector<ComputedDigest> DigestsOfAbc() {
  return {{SumAlgorithm::kMd5, *HexDecode(kMd5)},
          {SumAlgorithm::kSha256, *HexDecode(kSha256)}};
}

EvidenceVerdict Compare(const std::vector<Evidence>& evidence,
                        uint64_t size_bytes = kSize) {
  const EvidenceIndex index(evidence);
  return CompareFile(index.Of("a"), size_bytes, DigestsOfAbc());
}

TEST(EvidenceCheckTest, StrongestOfThoseThatAgreeCounts) {
  const PublishedSum md5 = Sum(SumAlgorithm::kMd5, kMd5);
  const PublishedSum sha256 = Sum(SumAlgorithm::kSha256, kSha256);
  const auto verdict = Compare(
      {List("a.md5", md5), List("SHA256SUMS", sha256), List("RELEASE", md5)});
  EXPECT_EQ(verdict.agreement, Agreement::kAgrees);
  EXPECT_EQ(verdict.level, TrustLevel::kSha256);
  EXPECT_EQ(verdict.source, "SHA256SUMS");
  EXPECT_EQ(verdict.expected, StrCat("sha256:", kSha256));
  EXPECT_EQ(verdict.detail, "sha256 as in SHA256SUMS");
}

TEST(EvidenceCheckTest, D3Md5AloneIsForAccidents) {
  const auto verdict = Compare({List("a.md5", Sum(SumAlgorithm::kMd5, kMd5))});
  EXPECT_EQ(verdict.level, TrustLevel::kMd5Only);
  EXPECT_FALSE(MayCallVerified(verdict.level));
}

TEST(EvidenceCheckTest, SaysWhoSigned) {
  const PublishedSum sha256 = Sum(SumAlgorithm::kSha256, kSha256);
  const auto trusted = Compare({Signed(TrustLevel::kTrustedKey, sha256)});
  EXPECT_EQ(trusted.level, TrustLevel::kTrustedKey);
  EXPECT_EQ(trusted.signer_name, "Ann");
  EXPECT_EQ(trusted.detail,
            "sha256 as in model.sig, signed by Ann (key 1f2e3d)");
  const auto unknown = Compare({Signed(TrustLevel::kUnknownKey, sha256)});
  EXPECT_EQ(unknown.level, TrustLevel::kUnknownKey);
  EXPECT_EQ(unknown.detail,
            "sha256 as in model.sig, signed by unknown key 1f2e3d");
  EXPECT_FALSE(MayCallVerified(unknown.level));
}

// Who signs a list of MD5 has not made MD5 strong.
TEST(EvidenceCheckTest, SignatureDoesNotStrengthenAWeakDigest) {
  const auto verdict =
      Compare({Signed(TrustLevel::kTrustedKey, Sum(SumAlgorithm::kMd5, kMd5))});
  EXPECT_EQ(verdict.level, TrustLevel::kMd5Only);
}

TEST(EvidenceCheckTest, OneThatDiffersOutweighsAllThatAgree) {
  const PublishedSum right = Sum(SumAlgorithm::kSha256, kSha256);
  const PublishedSum wrong = Sum(SumAlgorithm::kMd5, std::string(32, '0'));
  for (const auto& evidence :
       {std::vector{Signed(TrustLevel::kTrustedKey, right), List("b", wrong)},
        std::vector{List("b", wrong),
                    Signed(TrustLevel::kTrustedKey, right)}}) {
    const auto verdict = Compare(evidence);
    EXPECT_EQ(verdict.agreement, Agreement::kDiffers);
    EXPECT_EQ(verdict.level, TrustLevel::kUnverified);
    EXPECT_EQ(verdict.source, "b");
    EXPECT_NE(verdict.detail.find(std::string(32, '0')), std::string::npos);
    EXPECT_NE(verdict.detail.find(kMd5), std::string::npos);
  }
}

TEST(EvidenceCheckTest, ASizeIsAStatementToo) {
  PublishedSum sum = Sum(SumAlgorithm::kSha256, kSha256);
  sum.size_bytes = 4;
  const auto verdict = Compare({List("lfs", sum)});
  EXPECT_EQ(verdict.agreement, Agreement::kWrongSize);
  EXPECT_EQ(verdict.detail, "3 bytes, lfs says 4");
  sum.size_bytes = kSize;
  EXPECT_EQ(Compare({List("lfs", sum)}).agreement, Agreement::kAgrees);
}

TEST(EvidenceCheckTest, WhatWasNotComputedProvesNothing) {
  const std::string hex(96, '0');
  const auto verdict = Compare({List("x", Sum(SumAlgorithm::kSha384, hex))});
  EXPECT_EQ(verdict.agreement, Agreement::kNotCompared);
  EXPECT_EQ(verdict.level, TrustLevel::kUnverified);
  EXPECT_EQ(Compare({}).agreement, Agreement::kNothingStated);
}

TEST(EvidenceCheckTest, EscapesNamesOfSources) {
  const auto verdict =
      Compare({List("x\x1b[2J", Sum(SumAlgorithm::kMd5, kMd5))});
  EXPECT_EQ(verdict.detail.find('\x1b'), std::string::npos);
}

// An ignored folder stands for all in it, and for nothing beside it.
TEST(EvidenceCheckTest, D8KnowsWhatASourceLeavesOut) {
  Evidence evidence;
  evidence.ignored = {"tokenizer.json", "sub"};
  EXPECT_TRUE(LeavesOut(evidence, "tokenizer.json"));
  EXPECT_TRUE(LeavesOut(evidence, "sub/a/b.bin"));
  EXPECT_FALSE(LeavesOut(evidence, "subs/a"));
  EXPECT_FALSE(LeavesOut(evidence, "tokenizer.json.bak"));
}

TEST(EvidenceCheckTest, KnowsWhatModelsAreReadFrom) {
  for (const std::string_view name :
       {"model-00001-of-00002.safetensors", "sub/CONFIG.JSON", "tokenizer.json",
        "modeling_x.py", "consolidated.00.pth", "merges.txt", "params.json",
        "chat_template.jinja", "model.safetensors.index.json"}) {
    EXPECT_TRUE(IsReadByModels(name)) << name;
  }
  for (const std::string_view name :
       {"README.md", "LICENSE", "SHA256SUMS", "notes.txt", "demo.aria2",
        "config.json.bak", "report.html"}) {
    EXPECT_FALSE(IsReadByModels(name)) << name;
  }
}

}  // namespace
}  // namespace verify
