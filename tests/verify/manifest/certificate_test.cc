// SPDX-License-Identifier: Apache-2.0
// The chain is that of the reference implementation's test bundle: RSA root
// and intermediate, a P-384 signer with digitalSignature and codeSigning, all
// valid from 2 May 2025 to 30 April 2035.
#include "verify/manifest/certificate.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"
#include "verify/base/text.h"
#include "verify/manifest/oms_signature.h"

namespace verify {
namespace {

using tests::ExpectError;

constexpr int64_t k2026 = 1767225600;
constexpr int64_t k2024 = 1704067200;
constexpr int64_t k2036 = 2082758400;

// By openssl req -x509: another root, and a certificate that is none.
constexpr std::string_view kOtherRoot =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBkjCCATegAwIBAgIUV65X7QPihPgXWKjDQffXJ7m/vMUwCgYIKoZIzj0EAwIw\n"
    "FTETMBEGA1UEAwwKb3RoZXItcm9vdDAgFw0yNjExMjYwOTA1MjhaGA8yMTI2MTEw\n"
    "MjA5MDUyOFowFTETMBEGA1UEAwwKb3RoZXItcm9vdDBZMBMGByqGSM49AgEGCCqG\n"
    "SM49AwEHA0IABPItsNpXZ1JKvvibk19RVhK5IuJ57Vx1nJzpJMc9jplULiIAfxjv\n"
    "vOpGbQDzOc2mz69caJw+Qev1mq8FI7lgVg6jYzBhMB0GA1UdDgQWBBQPsluCKosY\n"
    "RjzIDkTUOLmQSp3++TAfBgNVHSMEGDAWgBQPsluCKosYRjzIDkTUOLmQSp3++TAP\n"
    "BgNVHRMBAf8EBTADAQH/MA4GA1UdDwEB/wQEAwICBDAKBggqhkjOPQQDAgNJADBG\n"
    "AiEAp/yqYHiaiMu+sUcBcC34uIib12AM2yqzt2dRzZ/AZcYCIQCdnh5Xz653Y9l7\n"
    "Q/V+zpDgVCCJbDZ6816Ok+e4PccE/w==\n"
    "-----END CERTIFICATE-----\n";
constexpr std::string_view kNoRoot =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBczCCARigAwIBAgIUdpL+UDZCpIchaciWmsj3WNON3BUwCgYIKoZIzj0EAwIw\n"
    "DzENMAsGA1UEAwwEbGVhZjAgFw0yNjExMjYwOTA1MjlaGA8yMTI2MTEwMjA5MDUy\n"
    "OVowDzENMAsGA1UEAwwEbGVhZjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABPIt\n"
    "sNpXZ1JKvvibk19RVhK5IuJ57Vx1nJzpJMc9jplULiIAfxjvvOpGbQDzOc2mz69c\n"
    "aJw+Qev1mq8FI7lgVg6jUDBOMB0GA1UdDgQWBBQPsluCKosYRjzIDkTUOLmQSp3+\n"
    "+TAfBgNVHSMEGDAWgBQPsluCKosYRjzIDkTUOLmQSp3++TAMBgNVHRMBAf8EAjAA\n"
    "MAoGCCqGSM49BAMCA0kAMEYCIQDj22X1o/DmCBp1Nl40W6CQnG2GV+lGx+6L39v8\n"
    "jTb7KQIhAKrdruiJK9//V2X9HpsmhBwAc54BDcZQ+VNE+hVJMXes\n"
    "-----END CERTIFICATE-----\n";

std::string Golden(std::string_view name) {
  return tests::ReadFile(
      StrCat(LODESTONE_SOURCE_DIR, "/tests/golden/oms/", name));
}

OmsBundle Bundle() {
  return ParseOmsBundle(Golden("certificate/model.sig")).value();
}

RootCertificate Root() {
  return RootCertificate::FromPem(Golden("ca-cert.pem")).value();
}

TEST(CertificateTest, VerifiesAChainUnderTheRootThatIsGiven) {
  const OmsBundle bundle = Bundle();
  ASSERT_EQ(bundle.method, OmsBundle::Method::kCertificate);
  const auto signer = VerifyChain(bundle.certificates, Root(), k2026);
  ASSERT_TRUE(signer.has_value()) << signer.error().message;
  EXPECT_EQ(signer->subject, "CN=intermediate-ca");
  EXPECT_TRUE(CheckOmsSignature(bundle, signer->key).has_value());
  const auto key = EcPublicKey::FromPem(Golden("signing-key-pub.pem"));
  EXPECT_EQ(signer->key.fingerprint(), key->fingerprint());
}

TEST(CertificateTest, D14SaysWhatTheClockIsHeldAgainst) {
  const OmsBundle bundle = Bundle();
  for (const auto& [now, year] : {std::pair{k2024, "2024"}, {k2036, "2036"}}) {
    const auto signer = VerifyChain(bundle.certificates, Root(), now);
    ExpectError(signer, ErrorCode::kUntrusted, "the clock of this machine says",
                "E-CERTIFICATE");
    EXPECT_NE(signer.error().message.find(year), std::string::npos);
    EXPECT_NE(signer.error().message.find("2025"), std::string::npos);
    EXPECT_NE(signer.error().hint.find("clock"), std::string::npos);
  }
}

TEST(CertificateTest, RefusesAnotherRootAndAGap) {
  OmsBundle bundle = Bundle();
  const auto other = RootCertificate::FromPem(kOtherRoot);
  ASSERT_TRUE(other.has_value()) << other.error().message;
  ExpectError(VerifyChain(bundle.certificates, *other, k2026),
              ErrorCode::kUntrusted, "root", "E-CERTIFICATE-ROOT");
  bundle.certificates.resize(1);
  ExpectError(VerifyChain(bundle.certificates, Root(), k2026),
              ErrorCode::kUntrusted, "root", "E-CERTIFICATE-ROOT");
  ExpectError(VerifyChain({}, Root(), k2026), ErrorCode::kUntrusted, "none");
}

TEST(CertificateTest, RefusesBytesThatWereChanged) {
  const OmsBundle bundle = Bundle();
  auto chain = bundle.certificates;
  for (size_t i = 0; i < chain[0].size(); i += 13) {
    chain[0][i] ^= std::byte{1};
    const auto signer = VerifyChain(chain, Root(), k2026);
    EXPECT_FALSE(signer.has_value()) << i;
    if (!signer) {
      EXPECT_EQ(signer.error().code, ErrorCode::kUntrusted)
          << signer.error().message;
    }
    chain[0][i] ^= std::byte{1};
  }
  chain[0].push_back(std::byte{0});
  ExpectError(VerifyChain(chain, Root(), k2026), ErrorCode::kUntrusted, "DER");
}

TEST(CertificateTest, RefusesARootThatIsNone) {
  ExpectError(RootCertificate::FromPem("x"), ErrorCode::kCorrupt, "none",
              "E-KEY");
  ExpectError(
      RootCertificate::FromPem(Golden("ca-cert.pem") + Golden("ca-cert.pem")),
      ErrorCode::kCorrupt, "more than one", "E-KEY");
  ExpectError(RootCertificate::FromPem(kNoRoot), ErrorCode::kUntrusted,
              "may not sign others", "E-KEY-TYPE");
}

}  // namespace
}  // namespace verify
