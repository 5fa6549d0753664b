// SPDX-License-Identifier: Apache-2.0
#include "verify/manifest/oms_signature.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <string_view>

#include "tests/support/expect_error.h"
#include "tests/support/oms_builder.h"
#include "tests/support/temp_dir.h"
#include "verify/base/base64.h"
#include "verify/base/text.h"

namespace verify {
namespace {

using tests::ExpectError;

EcPrivateKey NewKey(EcCurve curve = EcCurve::kP256) {
  auto key = EcPrivateKey::Generate(curve);
  EXPECT_TRUE(key.has_value());
  return std::move(*key);
}

Json Bundle(const EcPrivateKey& key) {
  return tests::OmsBundleParts(tests::OmsStatementParts().dump(), key);
}

void ExpectRefused(const std::function<void(Json&)>& change,
                   std::string_view part) {
  Json bundle = Bundle(NewKey());
  change(bundle);
  ExpectError(ParseOmsBundle(bundle.dump()), ErrorCode::kUntrusted, part,
              "E-OMS-BUNDLE");
}

std::string Golden(std::string_view name) {
  return tests::ReadFile(
      StrCat(LODESTONE_SOURCE_DIR, "/tests/golden/oms/", name));
}

// The example of DSSE's protocol.md.
TEST(OmsSignatureTest, PaeIsThatOfTheProtocol) {
  EXPECT_EQ(DssePae("http://example.com/HelloWorld", "hello world"),
            "DSSEv1 29 http://example.com/HelloWorld 11 hello world");
  EXPECT_EQ(DssePae("", ""), "DSSEv1 0  0 ");
}

TEST(OmsSignatureTest, VerifiesWhatItSignsOnEveryCurve) {
  for (const EcCurve curve : {EcCurve::kP256, EcCurve::kP384, EcCurve::kP521}) {
    const EcPrivateKey key = NewKey(curve);
    const std::string payload = tests::OmsStatementParts().dump();
    auto statement = ParseOmsStatement(AsBytes(payload));
    ASSERT_TRUE(statement.has_value());
    const auto text = SignOms(*statement, key);
    ASSERT_TRUE(text.has_value()) << text.error().message;
    const auto bundle = ParseOmsBundle(*text);
    ASSERT_TRUE(bundle.has_value()) << bundle.error().message;
    EXPECT_EQ(bundle->hint, key.public_key().fingerprint());
    EXPECT_TRUE(CheckOmsSignature(*bundle, key.public_key()).has_value());
    const auto again = ParseOmsStatement(bundle->payload);
    ASSERT_TRUE(again.has_value()) << again.error().message;
    EXPECT_EQ(again->resources, statement->resources);
    ExpectError(CheckOmsSignature(*bundle, NewKey(curve).public_key()),
                ErrorCode::kUntrusted, "it is not one of", "E-SIGNATURE");
  }
}

TEST(OmsSignatureTest, D6RefusesTheSignatureOfAnotherCurve) {
  const auto bundle = ParseOmsBundle(Bundle(NewKey(EcCurve::kP384)).dump());
  ASSERT_TRUE(bundle.has_value());
  ExpectError(CheckOmsSignature(*bundle, NewKey(EcCurve::kP256).public_key()),
              ErrorCode::kUntrusted, "P-256", "E-SIGNATURE");
}

TEST(OmsSignatureTest, AnyChangeOfThePayloadBreaksTheSignature) {
  const EcPrivateKey key = NewKey();
  auto bundle = ParseOmsBundle(Bundle(key).dump());
  ASSERT_TRUE(bundle.has_value());
  for (size_t i = 0; i < bundle->payload.size(); i += 7) {
    bundle->payload[i] ^= std::byte{1};
    EXPECT_FALSE(CheckOmsSignature(*bundle, key.public_key())) << i;
    bundle->payload[i] ^= std::byte{1};
  }
  EXPECT_TRUE(CheckOmsSignature(*bundle, key.public_key()).has_value());
}

// Signed for another type of payload, and then said to be of this one.
TEST(OmsSignatureTest, D5ThePayloadTypeIsSigned) {
  const EcPrivateKey key = NewKey();
  Json parts = tests::OmsBundleParts(tests::OmsStatementParts().dump(), key,
                                     "application/json");
  ExpectError(ParseOmsBundle(parts.dump()), ErrorCode::kUntrusted,
              "payloadType");
  parts["dsseEnvelope"]["payloadType"] = "application/vnd.in-toto+json";
  const auto bundle = ParseOmsBundle(parts.dump());
  ASSERT_TRUE(bundle.has_value());
  ExpectError(CheckOmsSignature(*bundle, key.public_key()),
              ErrorCode::kUntrusted, "signature");
}

TEST(OmsSignatureTest, D5RefusesWhatTheBundleMayNotHold) {
  ExpectRefused(
      [](Json& b) {
        b["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.3";
      },
      "mediaType");
  ExpectRefused([](Json& b) { b.erase("mediaType"); }, "mediaType");
  ExpectRefused([](Json& b) { b["more"] = 1; }, "more");
  ExpectRefused([](Json& b) { b["dsseEnvelope"]["more"] = 1; }, "more");
  ExpectRefused([](Json& b) { b["dsseEnvelope"]["signatures"][0]["more"] = 1; },
                "more");
  ExpectRefused(
      [](Json& b) { b["verificationMaterial"]["publicKey"]["more"] = 1; },
      "more");
  ExpectRefused([](Json& b) { b["verificationMaterial"].erase("publicKey"); },
                "0 of publicKey");
  ExpectRefused(
      [](Json& b) {
        b["verificationMaterial"]["certificate"]["rawBytes"] = "AAAA";
      },
      "2 of publicKey");
  ExpectRefused([](Json& b) { b = Json::array(); }, "no object");
}

TEST(OmsSignatureTest, D5RefusesAllButOneSignature) {
  ExpectRefused(
      [](Json& b) {
        auto& signatures = b["dsseEnvelope"]["signatures"];
        signatures.push_back(signatures[0]);
      },
      "2 signatures");
  ExpectRefused(
      [](Json& b) { b["dsseEnvelope"]["signatures"] = Json::array(); },
      "0 signatures");
}

TEST(OmsSignatureTest, D5RefusesWhatIsNoBase64) {
  for (const char* text : {"A", "AAA", "****", "AA==\n", "", "AB=="}) {
    ExpectRefused([&](Json& b) { b["dsseEnvelope"]["payload"] = text; },
                  "payload");
    ExpectRefused(
        [&](Json& b) { b["dsseEnvelope"]["signatures"][0]["sig"] = text; },
        "sig");
  }
}

TEST(OmsSignatureTest, D5RefusesKeysThatStandTwiceAndWhatFollows) {
  const std::string text = Bundle(NewKey()).dump();
  std::string twice = text;
  twice.insert(1, R"("mediaType":"x",)");
  ExpectError(ParseOmsBundle(twice), ErrorCode::kUntrusted, "twice");
  ExpectError(ParseOmsBundle(text + "x"), ErrorCode::kUntrusted, "JSON");
  ExpectError(ParseOmsBundle(text + text), ErrorCode::kUntrusted, "JSON");
  EXPECT_TRUE(ParseOmsBundle(text + "\n").has_value());
  std::string large(kMaxOmsBundleBytes + 1, ' ');
  ExpectError(ParseOmsBundle(large), ErrorCode::kUntrusted, "bytes");
}

TEST(OmsSignatureTest, AcceptsTheFormsOfNothingAsKeyId) {
  const EcPrivateKey key = NewKey();
  Json bundle = Bundle(key);
  Json& signature = bundle["dsseEnvelope"]["signatures"][0];
  signature["keyid"] = nullptr;
  EXPECT_TRUE(ParseOmsBundle(bundle.dump()).has_value());
  signature.erase("keyid");
  EXPECT_TRUE(ParseOmsBundle(bundle.dump()).has_value());
  bundle["verificationMaterial"].erase("tlogEntries");
  EXPECT_TRUE(ParseOmsBundle(bundle.dump()).has_value());
  bundle["verificationMaterial"]["publicKey"].erase("hint");
  bundle["verificationMaterial"]["publicKey"] = Json::object();
  EXPECT_TRUE(ParseOmsBundle(bundle.dump()).has_value());
  signature["keyid"] = "x";
  ExpectError(ParseOmsBundle(bundle.dump()), ErrorCode::kUntrusted, "keyid");
}

TEST(OmsSignatureTest, ReadsUrlSafeBase64) {
  const EcPrivateKey key = NewKey();
  Json bundle = Bundle(key);
  for (Json* text : {&bundle["dsseEnvelope"]["payload"],
                     &bundle["dsseEnvelope"]["signatures"][0]["sig"]}) {
    std::string safe = text->get<std::string>();
    for (char& c : safe) c = c == '+' ? '-' : c == '/' ? '_' : c;
    *text = safe;
  }
  const auto parsed = ParseOmsBundle(bundle.dump());
  ASSERT_TRUE(parsed.has_value()) << parsed.error().message;
  EXPECT_TRUE(CheckOmsSignature(*parsed, key.public_key()).has_value());
}

TEST(OmsSignatureTest, D6RefusesAHintThatIsNone) {
  for (const char* hint : {"", "00", "zz"}) {
    ExpectRefused(
        [&](Json& b) { b["verificationMaterial"]["publicKey"]["hint"] = hint; },
        "hint");
  }
  ExpectRefused(
      [](Json& b) {
        b["verificationMaterial"]["publicKey"]["hint"] = std::string(64, 'A');
      },
      "hint");
}

// model_signing 1.1.0 made it; openssl dgst -sha384 -verify agrees.
TEST(OmsSignatureTest, VerifiesWhatTheReferenceImplementationSigned) {
  const auto key = EcPublicKey::FromPem(Golden("signing-key-pub.pem"));
  ASSERT_TRUE(key.has_value()) << key.error().message;
  EXPECT_EQ(key->curve(), EcCurve::kP384);
  for (const char* name :
       {"elliptic-key/model.sig", "vectors/valid-key.bundle.json"}) {
    const auto bundle = ParseOmsBundle(Golden(name));
    ASSERT_TRUE(bundle.has_value()) << name << ": " << bundle.error().message;
    EXPECT_EQ(bundle->hint, key->fingerprint());
    EXPECT_TRUE(CheckOmsSignature(*bundle, *key).has_value()) << name;
    const auto statement = ParseOmsStatement(bundle->payload);
    ASSERT_TRUE(statement.has_value()) << statement.error().message;
    ASSERT_EQ(statement->resources.size(), 2u);
    EXPECT_EQ(statement->resources[0].name, "signme-1");
    EXPECT_EQ(statement->resources[1].name, "signme-2");
  }
}

TEST(OmsSignatureTest, GivesTheResultsOfTheSpecificationsVectors) {
  const auto chain =
      ParseOmsBundle(Golden("vectors/valid-certificate.bundle.json"));
  ASSERT_TRUE(chain.has_value()) << chain.error().message;
  EXPECT_EQ(chain->method, OmsBundle::Method::kCertificate);
  EXPECT_TRUE(ParseOmsStatement(chain->payload).has_value());
  ExpectError(ParseOmsBundle(Golden("vectors/valid-sigstore.bundle.json")),
              ErrorCode::kUnsupported, "keyless", "E-OMS-METHOD");
  ExpectError(ParseOmsBundle(Golden("vectors/old-raw-key.bundle.json")),
              ErrorCode::kUnsupported, "1.1", "E-OMS-METHOD");
  for (const char* name : {"empty", "missing-envelope", "missing-tlog-entries",
                           "missing-verification-material"}) {
    ExpectError(ParseOmsBundle(
                    Golden(StrCat("vectors/invalid-", name, ".bundle.json"))),
                ErrorCode::kUntrusted, "bundle", "E-OMS-BUNDLE");
  }
  const auto wrong = ParseOmsBundle(
      Golden("vectors/invalid-payload-wrong-predicate.bundle.json"));
  ASSERT_TRUE(wrong.has_value());
  ExpectError(ParseOmsStatement(wrong->payload), ErrorCode::kUntrusted,
              "predicateType", "E-OMS-STATEMENT");
}

TEST(OmsSignatureTest, SurvivesEveryTruncationAndEveryByte) {
  const std::string text = Bundle(NewKey()).dump();
  for (size_t size = 0; size < text.size(); ++size) {
    EXPECT_FALSE(ParseOmsBundle(std::string_view(text).substr(0, size)));
  }
  for (size_t i = 0; i < text.size(); ++i) {
    std::string changed = text;
    changed[i] = static_cast<char>(changed[i] ^ 2);
    const auto bundle = ParseOmsBundle(changed);
    if (!bundle) {
      EXPECT_TRUE(bundle.error().code == ErrorCode::kUntrusted ||
                  bundle.error().code == ErrorCode::kUnsupported);
    }
  }
}

}  // namespace
}  // namespace verify
