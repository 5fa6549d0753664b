// SPDX-License-Identifier: Apache-2.0
#include "verify/manifest/ec_key.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"
#include "verify/base/text.h"

namespace verify {
namespace {

using tests::ExpectError;

// Made by `openssl ecparam -name prime256v1 -genkey -noout`, then converted;
// "-passout pass:secret" where encrypted.
constexpr std::string_view kSec1 =
    "-----BEGIN EC PRIVATE KEY-----\n"
    "MHcCAQEEILb5oUa1K7DhsCGEEa4eVpq78rogSoPjIa1a4aeA/F6loAoGCCqGSM49\n"
    "AwEHoUQDQgAEleboIs1b/hfTQjzk8t95vIYml1HM6N8ktmlzgSZPX2jOgHqJ6S0i\n"
    "l50Pjc/XGxvnxW7jjCz+bRarkEK9fu8U6A==\n"
    "-----END EC PRIVATE KEY-----\n";
constexpr std::string_view kPkcs8 =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgtvmhRrUrsOGwIYQR\n"
    "rh5WmrvyuiBKg+MhrVrhp4D8XqWhRANCAASV5ugizVv+F9NCPOTy33m8hiaXUczo\n"
    "3yS2aXOBJk9faM6AeonpLSKXnQ+Nz9cbG+fFbuOMLP5tFquQQr1+7xTo\n"
    "-----END PRIVATE KEY-----\n";
constexpr std::string_view kEncrypted =
    "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
    "MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjG4U8ban0OVAICCAAw\n"
    "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEP101l0kBs2q1u4NOXcDthEEgZBy\n"
    "g8owF9dlHp5YhrnmpsfXKSIPDM0fz12qWMN0jNWTMN89eT5xbdCV81L8yINqqrIZ\n"
    "dN3O2NlCmdpfn9mJlZmV+EuDsPnDTioMvYkO5DsNC4zi62gqvb3T/56pPxk4C7LM\n"
    "hH3d8dgq4HlSFkxHBPzSMJ/TGQzA+VeQOVcEJFjoXIDRC/eKCfYOEMX8HztpX1M=\n"
    "-----END ENCRYPTED PRIVATE KEY-----\n";
constexpr std::string_view kEncryptedSec1 =
    "-----BEGIN EC PRIVATE KEY-----\n"
    "Proc-Type: 4,ENCRYPTED\n"
    "DEK-Info: AES-256-CBC,569FAB08D83287D391B7B210346A3F67\n"
    "\n"
    "clqaU6yHPEuE1xbev/EL+SvcZdam2Qg8ZUishsXShCCEDuidlNs/YGM+CDJjVcn8\n"
    "EVTsAxLPUqoSLOzwdUHoyqT4xcwjjrvINnTHt/PgHr9edC2YqpOd/j/pRfeMvdOW\n"
    "ufVXFaM0sEyh4uyVqfppAhIE7C+4JfykxAHN3g9xn2o=\n"
    "-----END EC PRIVATE KEY-----\n";
constexpr std::string_view kPublic =
    "-----BEGIN PUBLIC KEY-----\n"
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEleboIs1b/hfTQjzk8t95vIYml1HM\n"
    "6N8ktmlzgSZPX2jOgHqJ6S0il50Pjc/XGxvnxW7jjCz+bRarkEK9fu8U6A==\n"
    "-----END PUBLIC KEY-----\n";
constexpr std::string_view kCompressed =
    "-----BEGIN PUBLIC KEY-----\n"
    "MDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgACleboIs1b/hfTQjzk8t95vIYml1HM\n"
    "6N8ktmlzgSZPX2g=\n"
    "-----END PUBLIC KEY-----\n";
constexpr std::string_view kEd25519 =
    "-----BEGIN PUBLIC KEY-----\n"
    "MCowBQYDK2VwAyEA14wtgNO+ezrN/Vlm9sIaOrltIPWtpW/NlTO8Jzi2hwY=\n"
    "-----END PUBLIC KEY-----\n";
constexpr std::string_view kRsa =
    "-----BEGIN PUBLIC KEY-----\n"
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEApovKOKIKIxLgy61GoROY\n"
    "GicF5A5wB0iIQAQRETgEZrJpK0t398pIxMgqZV9Fx9BztV49rX8mIaYvMH0BYFB6\n"
    "+LqR4+QP4PLEA6Pb3+ut5o4Pf5USAYZn5le5jhF8ZAaHPz7c23iU4CeOLYKKkV1i\n"
    "SWTi0/O81KfQFRv1fIEhBFabg4UTSCDG10BLVQmvuFZ9zTyfZD7X1l8aPPRxNPE9\n"
    "SmAkwPE5oib/XIfvEe1A/DeAKjJQKopQ8eY0v+XWfGuhlpeY6+sFJYpYeS8/cd3L\n"
    "qu6YAwX+Liefihs8x/0LaeyL9wvlx9t4EpVhZlRsWkHCs+S7zzGe9qn8pGyQ362p\n"
    "dwIDAQAB\n"
    "-----END PUBLIC KEY-----\n";
constexpr std::string_view kSecp256k1 =
    "-----BEGIN PUBLIC KEY-----\n"
    "MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEIjzcqIuD2Ss20e5FyOBMpzs96uansUBm\n"
    "km6cESQZL04KGA/kbwdyH6r4ssJH2kZUDsezePLXOW18dUD/z6UipA==\n"
    "-----END PUBLIC KEY-----\n";
constexpr std::string_view kExplicit =
    "-----BEGIN PUBLIC KEY-----\n"
    "MIIBSzCCAQMGByqGSM49AgEwgfcCAQEwLAYHKoZIzj0BAQIhAP////8AAAABAAAA\n"
    "AAAAAAAAAAAA////////////////MFsEIP////8AAAABAAAAAAAAAAAAAAAA////\n"
    "///////////8BCBaxjXYqjqT57PrvVV2mIa8ZR0GsMxTsPY7zjw+J9JgSwMVAMSd\n"
    "NgiG5wSTamZ44ROdJreBn36QBEEEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5\n"
    "RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9QIhAP////8AAAAA\n"
    "//////////+85vqtpxeehPO5ysL8YyVRAgEBA0IABAWAKZaU+HzlcvIEJDQvlBN1\n"
    "kdv83Q1d3TcN/JUcNaDH6Vn8ewLtvCTfYiFdB8PCfM8HfuZrHFyS29z+d6ggrbM=\n"
    "-----END PUBLIC KEY-----\n";
constexpr std::string_view kFingerprint =
    "e8a8dc5dccba36061de008a19f77708dcb5b7157abb91eda53984f2c5213dc31";
constexpr std::string_view kSignature =
    "3046022100cbdd52915c46dbe4341bb6b6fad1a078573f5855642a9716b81ad7"
    "a361cc364c022100d264ecdcd4ec29ec54aaed949ca4c0a9a65ba539257ec4a7"
    "43b1243cf9a0cb21";
constexpr std::string_view kOtherS =
    "3045022100cbdd52915c46dbe4341bb6b6fad1a078573f5855642a9716b81ad7"
    "a361cc364c02202d9b13222b13d614ab55126b635b3f56168b55748198d9ddb0"
    "08a68602c25a30";

std::vector<std::byte> Hex(std::string_view hex) { return *HexDecode(hex); }

TEST(EcKeyTest, ReadsEveryFormOfAPrivateKey) {
  const auto expected = EcPublicKey::FromPem(kPublic);
  ASSERT_TRUE(expected.has_value()) << expected.error().message;
  for (const std::string_view pem : {kSec1, kPkcs8}) {
    const auto key = EcPrivateKey::FromPem(pem, Secret());
    ASSERT_TRUE(key.has_value()) << key.error().message;
    EXPECT_EQ(key->public_key().pem(), expected->pem());
    EXPECT_FALSE(IsEncryptedPem(pem));
  }
  for (const std::string_view pem : {kEncrypted, kEncryptedSec1}) {
    EXPECT_TRUE(IsEncryptedPem(pem));
    const auto key = EcPrivateKey::FromPem(pem, Secret("secret"));
    ASSERT_TRUE(key.has_value()) << key.error().message;
    EXPECT_EQ(key->public_key().pem(), expected->pem());
    ExpectError(EcPrivateKey::FromPem(pem, Secret()),
                ErrorCode::kInvalidArgument, "no passphrase", "E-PASSPHRASE");
    ExpectError(EcPrivateKey::FromPem(pem, Secret("wrong")),
                ErrorCode::kInvalidArgument, "not that of the key",
                "E-PASSPHRASE");
  }
}

// sha256sum of `openssl pkey -pubout`, and of the same key with its point
// compressed: one key, one fingerprint.
TEST(EcKeyTest, FingerprintIsThatOfThePemWrittenAgain) {
  for (const std::string_view pem : {kPublic, kCompressed}) {
    const auto key = EcPublicKey::FromPem(pem);
    ASSERT_TRUE(key.has_value()) << key.error().message;
    EXPECT_EQ(key->fingerprint(), kFingerprint);
  }
  // With other text around it, as the reference implementation's test key.
  const auto key = EcPublicKey::FromPem(tests::ReadFile(
      StrCat(LODESTONE_SOURCE_DIR, "/tests/golden/oms/signing-key-pub.pem")));
  ASSERT_TRUE(key.has_value());
  EXPECT_EQ(key->fingerprint(),
            "e8450dec4eb99dae995da9af1bc2cc9f76ed669ee2e744f57abba763df3e3f8e");
}

TEST(EcKeyTest, D6RefusesOtherKindsOfKeys) {
  for (const std::string_view pem : {kEd25519, kRsa, kSecp256k1, kExplicit}) {
    ExpectError(EcPublicKey::FromPem(pem), ErrorCode::kUntrusted, "P-256",
                "E-KEY-TYPE");
  }
  for (const std::string_view pem : {"", "x", "-----BEGIN PUBLIC KEY-----\n",
                                     "-----BEGIN PUBLIC KEY-----\nAAAA\n"
                                     "-----END PUBLIC KEY-----\n"}) {
    ExpectError(EcPublicKey::FromPem(pem), ErrorCode::kCorrupt, "key", "E-KEY");
  }
  ExpectError(EcPublicKey::FromPem(kPkcs8), ErrorCode::kCorrupt, "key",
              "E-KEY");
  ExpectError(EcPrivateKey::FromPem(kPublic, Secret()), ErrorCode::kCorrupt,
              "key", "E-KEY");
}

// By `openssl dgst -sha256 -sign` over "message".
TEST(EcKeyTest, VerifiesWhatOpenSslSigned) {
  const auto key = EcPublicKey::FromPem(kPublic);
  ASSERT_TRUE(key.has_value());
  const auto signature = Hex(kSignature);
  EXPECT_TRUE(key->Verify(AsBytes("message"), signature).has_value());
  ExpectError(key->Verify(AsBytes("massage"), signature), ErrorCode::kUntrusted,
              "it is not one of", "E-SIGNATURE");
}

TEST(EcKeyTest, D7RefusesEveryOtherFormOfASignature) {
  const auto key = EcPublicKey::FromPem(kPublic);
  ASSERT_TRUE(key.has_value());
  const auto expect = [&](std::vector<std::byte> signature,
                          std::string_view part) {
    ExpectError(key->Verify(AsBytes("message"), signature),
                ErrorCode::kUntrusted, part, "E-SIGNATURE");
  };
  auto trailing = Hex(kSignature);
  trailing.push_back(std::byte{0});
  expect(trailing, "bytes follow");
  expect(Hex("3006020100020101"), "above zero");
  expect(Hex("3006020101020100"), "above zero");
  expect(Hex("30060201ff020101"), "signature");
  expect(Hex("300702020001020101"), "DER");  // a zero too many
  expect(Hex("308106020101020101"), "DER");  // a long form of a short length
  expect(Hex("3080020101020101"
             "0000"),
         "DER");  // no length at all
  expect(Hex("30090201010201010201"
             "01"),
         "DER");  // three numbers
  expect({}, "DER");
  expect(std::vector<std::byte>(2000), "too long");
}

// The order of P-256 less s: the other s that fits the same r.
TEST(EcKeyTest, D7AcceptsHighS) {
  const auto key = EcPublicKey::FromPem(kPublic);
  ASSERT_TRUE(key.has_value());
  EXPECT_TRUE(key->Verify(AsBytes("message"), Hex(kOtherS)).has_value());
}

TEST(EcKeyTest, WritesAKeyThatIsReadAgain) {
  for (const EcCurve curve : {EcCurve::kP256, EcCurve::kP384, EcCurve::kP521}) {
    const auto key = EcPrivateKey::Generate(curve);
    ASSERT_TRUE(key.has_value());
    EXPECT_EQ(key->public_key().curve(), curve);
    for (const std::string_view passphrase : {"", "pass phrase"}) {
      const auto pem = key->ToPem(Secret(passphrase));
      ASSERT_TRUE(pem.has_value()) << pem.error().message;
      EXPECT_EQ(IsEncryptedPem(pem->text()), !passphrase.empty());
      EXPECT_TRUE(IsPrivatePem(pem->text()));
      const auto again = EcPrivateKey::FromPem(pem->text(), Secret(passphrase));
      ASSERT_TRUE(again.has_value()) << again.error().message;
      EXPECT_EQ(again->public_key().pem(), key->public_key().pem());
      const auto signature = again->Sign(AsBytes("m"));
      ASSERT_TRUE(signature.has_value());
      EXPECT_TRUE(key->public_key().Verify(AsBytes("m"), *signature));
    }
  }
}

}  // namespace
}  // namespace verify
