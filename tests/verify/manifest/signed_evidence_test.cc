// SPDX-License-Identifier: Apache-2.0
#include "verify/manifest/signed_evidence.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/expect_error.h"
#include "tests/support/oms_builder.h"
#include "tests/support/temp_dir.h"
#include "verify/base/text.h"

namespace verify {
namespace {

using tests::ExpectError;

constexpr int64_t k2026 = 1767225600;
constexpr int64_t k2036 = 2082758400;

std::string Golden(std::string_view name) {
  return tests::ReadFile(
      StrCat(LODESTONE_SOURCE_DIR, "/tests/golden/oms/", name));
}

EcPrivateKey NewKey() {
  return std::move(EcPrivateKey::Generate(EcCurve::kP256).value());
}

AcceptedKey Accept(const EcPrivateKey& key, std::string name) {
  return {std::move(name), {}, key.public_key()};
}

TEST(SignedEvidenceTest, ATrustedKeySaysWhatFilesAre) {
  const EcPrivateKey key = NewKey();
  const std::vector<AcceptedKey> keys = {Accept(NewKey(), "other"),
                                         Accept(key, "publisher")};
  const std::string text =
      tests::OmsBundleText(tests::OmsStatementParts(), key);
  for (const AcceptedKeys& accepted :
       {AcceptedKeys{.stored = keys, .given = {}},
        AcceptedKeys{.stored = {}, .given = keys}}) {
    const auto evidence = CheckOmsBundle(text, "model.sig", accepted);
    ASSERT_TRUE(evidence.has_value()) << evidence.error().message;
    EXPECT_EQ(evidence->level, TrustLevel::kTrustedKey);
    EXPECT_EQ(evidence->signer_name, "publisher");
    EXPECT_EQ(evidence->signer_key, key.public_key().fingerprint());
    EXPECT_TRUE(evidence->exhaustive);
    ASSERT_EQ(evidence->sums.size(), 2u);
    EXPECT_EQ(evidence->sums[1].name, "b/c.json");
    EXPECT_EQ(evidence->sums[1].list, "model.sig");
  }
}

TEST(SignedEvidenceTest, D12AnUnknownKeyAddsNothing) {
  const EcPrivateKey key = NewKey();
  const std::string text =
      tests::OmsBundleText(tests::OmsStatementParts(), key);
  for (const std::vector<AcceptedKey>& keys :
       {std::vector<AcceptedKey>(), {Accept(NewKey(), "other")}}) {
    const auto evidence =
        CheckOmsBundle(text, "model.sig", {.stored = keys, .given = {}});
    ASSERT_TRUE(evidence.has_value()) << evidence.error().message;
    EXPECT_EQ(evidence->level, TrustLevel::kUnknownKey);
    EXPECT_EQ(evidence->signer_key, key.public_key().fingerprint());
    EXPECT_EQ(evidence->signer_name, "");
    EXPECT_FALSE(MayCallVerified(evidence->level));
  }
}

TEST(SignedEvidenceTest, D6RefusesAnotherKeyThanTheOneGiven) {
  const std::string text =
      tests::OmsBundleText(tests::OmsStatementParts(), NewKey());
  const std::vector<AcceptedKey> given = {Accept(NewKey(), "given")};
  ExpectError(CheckOmsBundle(text, "model.sig", {.stored = {}, .given = given}),
              ErrorCode::kUntrusted, "none of the keys", "E-WRONG-KEY");
}

// A hint chooses a key and proves none: one that names another key than the
// signer's, known or not, is refused.
TEST(SignedEvidenceTest, D6RefusesAHintThatIsNotOfTheSigner) {
  const EcPrivateKey key = NewKey();
  const EcPrivateKey other = NewKey();
  const std::vector<AcceptedKey> keys = {Accept(key, "publisher"),
                                         Accept(other, "other")};
  Json bundle = tests::OmsBundleParts(tests::OmsStatementParts().dump(), key);
  Json& hint = bundle["verificationMaterial"]["publicKey"]["hint"];
  hint = other.public_key().fingerprint();
  ExpectError(
      CheckOmsBundle(bundle.dump(), "model.sig", {.stored = keys, .given = {}}),
      ErrorCode::kUntrusted, "it is not one of", "E-SIGNATURE");
  hint = std::string(64, '0');
  ExpectError(
      CheckOmsBundle(bundle.dump(), "model.sig", {.stored = keys, .given = {}}),
      ErrorCode::kUntrusted, "hint", "E-OMS-HINT");
  bundle["verificationMaterial"]["publicKey"] = Json::object();
  const auto evidence =
      CheckOmsBundle(bundle.dump(), "model.sig", {.stored = keys, .given = {}});
  ASSERT_TRUE(evidence.has_value()) << evidence.error().message;
  EXPECT_EQ(evidence->signer_name, "publisher");
}

// By a key that is trusted, but of a kind that is not implemented: never 0.
TEST(SignedEvidenceTest, D5ATrustedSignatureOverABadStatementIsRefused) {
  const EcPrivateKey key = NewKey();
  const std::vector<AcceptedKey> keys = {Accept(key, "publisher")};
  Json statement = tests::OmsStatementParts();
  statement["predicate"]["serialization"]["hash_type"] = "blake3";
  ExpectError(CheckOmsBundle(tests::OmsBundleText(statement, key), "model.sig",
                             {.stored = keys, .given = {}}),
              ErrorCode::kUnsupported, "blake3", "E-OMS-METHOD");
  statement = tests::OmsStatementParts();
  statement["predicate"]["resources"][0]["digest"] = std::string(64, '0');
  ExpectError(CheckOmsBundle(tests::OmsBundleText(statement, key), "model.sig",
                             {.stored = keys, .given = {}}),
              ErrorCode::kUntrusted, "root digest", "E-OMS-STATEMENT");
}

TEST(SignedEvidenceTest, ACertificateCountsUnderItsRootAlone) {
  const std::string text = Golden("certificate/model.sig");
  const std::vector<AcceptedKey> root = {
      ParseAcceptedKey(Golden("ca-cert.pem"), "company").value()};
  const auto trusted = CheckOmsBundle(
      text, "model.sig", {.stored = root, .given = {}, .now_s = k2026});
  ASSERT_TRUE(trusted.has_value()) << trusted.error().message;
  EXPECT_EQ(trusted->level, TrustLevel::kTrustedKey);
  EXPECT_EQ(trusted->signer_name, "company (CN=intermediate-ca)");

  const auto unknown = CheckOmsBundle(
      text, "model.sig", {.stored = {}, .given = {}, .now_s = k2026});
  ASSERT_TRUE(unknown.has_value()) << unknown.error().message;
  EXPECT_EQ(unknown->level, TrustLevel::kUnknownKey);

  // The signer's own key needs no root and no clock.
  const std::vector<AcceptedKey> key = {
      ParseAcceptedKey(Golden("signing-key-pub.pem"), "person").value()};
  const auto by_key = CheckOmsBundle(
      text, "model.sig", {.stored = key, .given = {}, .now_s = k2036});
  ASSERT_TRUE(by_key.has_value()) << by_key.error().message;
  EXPECT_EQ(by_key->signer_name, "person");
}

TEST(SignedEvidenceTest, D14AnExpiredCertificateIsNoUnknownKey) {
  const std::vector<AcceptedKey> root = {
      ParseAcceptedKey(Golden("ca-cert.pem"), "company").value()};
  ExpectError(CheckOmsBundle(Golden("certificate/model.sig"), "model.sig",
                             {.stored = root, .given = {}, .now_s = k2036}),
              ErrorCode::kUntrusted, "the clock of this machine says",
              "E-CERTIFICATE");
}

TEST(SignedEvidenceTest, MinisignFindsTheKeyAmongThoseOfOneNumber) {
  const auto secret = MinisignSecretKey::Generate();
  MinisignPublicKey twin = MinisignSecretKey::Generate()->public_key();
  twin.id = secret->public_key().id;
  const Blake2b512Digest digest = Blake2b512(AsBytes("x"));
  const auto minisig = secret->Sign(digest, "comment");
  const std::vector<AcceptedKey> both = {
      {"twin", {}, twin}, {"publisher", {}, secret->public_key()}};
  EXPECT_TRUE(IsKnownMinisigner(*minisig, {.stored = both, .given = {}}));
  const auto finding =
      CheckMinisig(*minisig, digest, {.stored = both, .given = {}});
  ASSERT_TRUE(finding.has_value()) << finding.error().message;
  EXPECT_EQ(finding->name, "publisher");
  EXPECT_EQ(finding->trusted_comment, "comment");
  ExpectError(CheckMinisig(*minisig, digest,
                           {.stored = std::span(both).first(1), .given = {}}),
              ErrorCode::kUntrusted, "over this file", "E-MINISIG");
  const auto unknown = CheckMinisig(*minisig, digest, {});
  ASSERT_TRUE(unknown.has_value());
  EXPECT_EQ(unknown->level, TrustLevel::kUnknownKey);
  EXPECT_EQ(unknown->trusted_comment, "");
  const std::vector<AcceptedKey> other = {
      {"other", {}, MinisignSecretKey::Generate()->public_key()}};
  ExpectError(CheckMinisig(*minisig, digest, {.stored = {}, .given = other}),
              ErrorCode::kUntrusted, "none of the keys", "E-WRONG-KEY");
}

}  // namespace
}  // namespace verify
