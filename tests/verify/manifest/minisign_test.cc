// SPDX-License-Identifier: Apache-2.0
#include "verify/manifest/minisign.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"
#include "verify/base/base64.h"
#include "verify/base/text.h"

namespace verify {
namespace {

using tests::ExpectError;

// By Debian's minisign 0.11, of a file "hello\n".
constexpr std::string_view kFile = "hello\n";
constexpr std::string_view kShort =
    "RWR93J44p0gUmpFM3TNK+5HL8DmbyhUQmpsqCYImY6RTlTWv8yAw+QfI";
constexpr std::string_view kPublic =
    "untrusted comment: minisign public key 9A1448A7389EDC7D\n"
    "RWR93J44p0gUmpFM3TNK+5HL8DmbyhUQmpsqCYImY6RTlTWv8yAw+QfI\n";
constexpr std::string_view kSecret =
    "untrusted comment: minisign encrypted secret key\n"
    "RWQAAEIyAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    "fdyeOKdIFJqH02eb8MW9/S79nmIhOzSJMVVIjuchTFaSrx7LwXH4f5FM3TNK+5HL8DmbyhUQ"
    "mpsqCYImY6RTlTWv8yAw+QfIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
constexpr std::string_view kSignature =
    "untrusted comment: signature from minisign secret key\n"
    "RUR93J44p0gUmo1mleqQVkKHz77uWdWPxT7MpKs+QD8+StUZ8j1EFQ79nm+ymDszizQnyeuo"
    "POsGxEbbNQXQZf0CtrMnxE4rKw4=\n"
    "trusted comment: version 3\n"
    "Q3GkfBKitRRe9ntA8k3l0tFwszpY86GfJ1PhBi70CQv/3JN6LwVxscLVkVNFGg46J4QTEnSJ"
    "aEEg6USpX0WFAg==\n";
// minisign -S -l: over the file itself.
constexpr std::string_view kLegacy =
    "untrusted comment: signature from minisign secret key\n"
    "RWR93J44p0gUmuc7hShiAKBFZCt7IhWVhD3z+ozavCWH/bTjGFIYT75u4e56ALBzAdK0He1a"
    "Hmj2CYqueNuuRX2xas/q3y8Brgg=\n"
    "trusted comment: timestamp:1795683111\tfile:f\n"
    "wLqFdnxdmecAfvgXiR+na1Mh7adLXLD9JcN6LHyE25MOxP7qi/E1+VMDAJ0VhgpjW+izXcBG"
    "1q8M9I4TD5/hBw==\n";

MinisignPublicKey Key() { return MinisignPublicKey::Parse(kShort).value(); }
Minisig Signature() { return Minisig::Parse(kSignature).value(); }
Blake2b512Digest Digest() { return Blake2b512(AsBytes(kFile)); }

std::string Replaced(std::string_view text, std::string_view from,
                     std::string_view to) {
  std::string out(text);
  const size_t at = out.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return at == std::string::npos ? out : out.replace(at, from.size(), to);
}

// RFC 7693, appendix A.
TEST(MinisignTest, HashesByBlake2b512) {
  EXPECT_EQ(HexEncode(Blake2b512(AsBytes("abc"))),
            "ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
            "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923");
}

TEST(MinisignTest, HashesAFileOfAnySize) {
  const tests::TempDir dir;
  const CancelToken cancel;
  for (const size_t size : {size_t{0}, size_t{1}, size_t{1} << 20,
                            (size_t{1} << 20) + 1, size_t{3} << 20}) {
    std::string content(size, 'x');
    if (size > 0) content.back() = 'y';
    const auto file = ReadOnlyFile::Open(dir.Write("f", content));
    ASSERT_TRUE(file.has_value());
    const auto digest = Blake2bOfFile(*file, cancel, nullptr);
    ASSERT_TRUE(digest.has_value());
    EXPECT_EQ(*digest, Blake2b512(AsBytes(content))) << size;
  }
  CancelToken cancelled;
  cancelled.Cancel();
  const auto file = ReadOnlyFile::Open(dir.path() + "/f");
  ExpectError(Blake2bOfFile(*file, cancelled, nullptr), ErrorCode::kCancelled,
              "interrupted");
}

TEST(MinisignTest, ReadsBothFormsOfAPublicKey) {
  for (const std::string_view text :
       {kShort, kPublic, std::string_view(kPublic).substr(0, 112)}) {
    const auto key = MinisignPublicKey::Parse(text);
    ASSERT_TRUE(key.has_value()) << key.error().message;
    EXPECT_EQ(MinisignKeyIdText(key->id), "9A1448A7389EDC7D");
    EXPECT_EQ(key->ShortForm(), kShort);
    EXPECT_EQ(key->FileText(), kPublic);
  }
  for (const std::string& text :
       {std::string(), std::string("RWR9"), StrCat(kPublic, "more\n"),
        Replaced(kShort, "RWR", "RUR"), std::string(kSignature),
        std::string(kSecret), std::string("untrusted comment: x\n")}) {
    ExpectError(MinisignPublicKey::Parse(text), ErrorCode::kCorrupt,
                "minisign key", "E-KEY");
  }
}

TEST(MinisignTest, VerifiesWhatMinisignSigned) {
  EXPECT_EQ(Signature().trusted_comment, "version 3");
  const auto right = VerifyMinisig(Signature(), Key(), Digest());
  EXPECT_TRUE(right.has_value()) << right.error().message;
  // As Windows ends its lines.
  std::string crlf;
  for (const char c : kSignature)
    crlf += c == '\n' ? "\r\n" : std::string(1, c);
  EXPECT_TRUE(VerifyMinisig(Minisig::Parse(crlf).value(), Key(), Digest()));
}

TEST(MinisignTest, D10RefusesTheLegacyForm) {
  ExpectError(Minisig::Parse(kLegacy), ErrorCode::kUntrusted, "legacy",
              "E-MINISIG-LEGACY");
  // Its bytes said to be of the other form.
  auto bytes = *Base64Decode(
      std::string_view(kLegacy).substr(54, kLegacy.find("\ntrusted") - 54));
  bytes[1] = std::byte{'D'};
  Minisig minisig = Signature();
  std::copy_n(bytes.begin() + 10, 64, minisig.signature.begin());
  ExpectError(VerifyMinisig(minisig, Key(), Digest()), ErrorCode::kUntrusted,
              "over this file");
}

TEST(MinisignTest, D10RefusesAnotherKeyFileOrComment) {
  MinisignPublicKey other = MinisignSecretKey::Generate().value().public_key();
  ExpectError(VerifyMinisig(Signature(), other, Digest()),
              ErrorCode::kUntrusted, "by key 9A1448A7389EDC7D", "E-MINISIG");
  // With the same number it is still another key.
  other.id = Key().id;
  ExpectError(VerifyMinisig(Signature(), other, Digest()),
              ErrorCode::kUntrusted, "over this file", "E-MINISIG");
  ExpectError(VerifyMinisig(Signature(), Key(), Blake2b512(AsBytes("hello"))),
              ErrorCode::kUntrusted, "over this file", "E-MINISIG");
  for (const std::string_view comment : {"version 4", "version 3 ", ""}) {
    Minisig changed = Signature();
    changed.trusted_comment = comment;
    ExpectError(VerifyMinisig(changed, Key(), Digest()), ErrorCode::kUntrusted,
                "trusted comment was changed", "E-MINISIG");
  }
  Minisig changed = Signature();
  changed.global_signature[5] ^= std::byte{1};
  ExpectError(VerifyMinisig(changed, Key(), Digest()), ErrorCode::kUntrusted,
              "global signature", "E-MINISIG");
}

// A comment is shown to a person: nothing in it may move a cursor or hide.
TEST(MinisignTest, D10RefusesCommentsThatCannotBePrinted) {
  for (const std::string_view comment :
       {std::string_view("\x1B[2J"), std::string_view("a\x07"),
        std::string_view("\xFF"), std::string_view("a\0b", 3),
        std::string_view("\xE2\x80\xAE"), std::string_view("\xC2\x9B"),
        std::string_view("a\rb"), std::string_view("\x7F")}) {
    const auto minisig =
        Minisig::Parse(Replaced(kSignature, "version 3", comment));
    ExpectError(minisig, ErrorCode::kUntrusted, "printed", "E-MINISIG");
    EXPECT_EQ(minisig.error().message.find('\x1B'), std::string::npos);
  }
  EXPECT_TRUE(
      Minisig::Parse(Replaced(kSignature, "version 3", "caf\xC3\xA9\tfile:x"))
          .has_value());
  ExpectError(
      Minisig::Parse(Replaced(kSignature, "version 3", std::string(8193, 'a'))),
      ErrorCode::kUntrusted, "too long");
  ExpectError(Minisig::Parse(Replaced(kSignature, "signature from",
                                      std::string(1025, 'a'))),
              ErrorCode::kUntrusted, "too long");
}

TEST(MinisignTest, RefusesAllThatIsNotFourLines) {
  for (const std::string& text :
       {std::string(), std::string(kPublic), StrCat(kSignature, "x"),
        Replaced(kSignature, "untrusted", "trusted"),
        Replaced(kSignature, "\ntrusted", "\nuntrusted"),
        Replaced(kSignature, "RUR", "RXR"), Replaced(kSignature, "=\n", "\n"),
        Replaced(kSignature, "==\n", "=\n"), std::string(20000, 'a')}) {
    ExpectError(Minisig::Parse(text), ErrorCode::kUntrusted,
                "minisign signature", "E-MINISIG");
  }
  for (size_t size = 0; size + 1 < kSignature.size(); ++size) {
    EXPECT_FALSE(Minisig::Parse(kSignature.substr(0, size)));
  }
  for (size_t i = kSignature.find('\n') + 1; i + 1 < kSignature.size(); ++i) {
    std::string changed(kSignature);
    changed[i] = static_cast<char>(changed[i] ^ 1);
    const auto minisig = Minisig::Parse(changed);
    if (minisig) {
      EXPECT_FALSE(VerifyMinisig(*minisig, Key(), Digest())) << i;
    }
  }
}

TEST(MinisignTest, ReadsTheSecretKeyOfMinisign) {
  EXPECT_TRUE(IsMinisignSecret(kSecret));
  EXPECT_FALSE(IsEncryptedMinisign(kSecret));
  const auto key = MinisignSecretKey::Parse(kSecret, Secret());
  ASSERT_TRUE(key.has_value()) << key.error().message;
  EXPECT_EQ(key->public_key(), Key());
  // Ed25519 has one signature for one message.
  const auto minisig = key->Sign(Digest(), "version 3");
  ASSERT_TRUE(minisig.has_value());
  EXPECT_EQ(minisig->signature, Signature().signature);
  EXPECT_EQ(minisig->global_signature, Signature().global_signature);
}

TEST(MinisignTest, KeysAreReadAgainWithTheirPassphrase) {
  const auto key = MinisignSecretKey::Generate();
  ASSERT_TRUE(key.has_value());
  const auto plain = key->FileText(Secret());
  ASSERT_TRUE(plain.has_value());
  const auto again = MinisignSecretKey::Parse(plain->text(), Secret());
  ASSERT_TRUE(again.has_value()) << again.error().message;
  EXPECT_EQ(again->public_key(), key->public_key());

  const auto sealed = key->FileText(Secret("secret"));
  ASSERT_TRUE(sealed.has_value()) << sealed.error().message;
  EXPECT_TRUE(IsEncryptedMinisign(sealed->text()));
  const auto opened =
      MinisignSecretKey::Parse(sealed->text(), Secret("secret"));
  ASSERT_TRUE(opened.has_value()) << opened.error().message;
  EXPECT_EQ(opened->public_key(), key->public_key());
  ExpectError(MinisignSecretKey::Parse(sealed->text(), Secret("Secret")),
              ErrorCode::kInvalidArgument, "not that of", "E-PASSPHRASE");
  ExpectError(MinisignSecretKey::Parse(sealed->text(), Secret()),
              ErrorCode::kInvalidArgument, "no passphrase", "E-PASSPHRASE");
}

std::string WithBytes(std::string_view text, size_t at,
                      const std::vector<std::byte>& bytes) {
  const size_t line = text.find('\n') + 1;
  auto decoded = *Base64Decode(text.substr(line, text.size() - line - 1));
  std::copy(bytes.begin(), bytes.end(),
            decoded.begin() + static_cast<std::ptrdiff_t>(at));
  return StrCat(text.substr(0, line), Base64Encode(decoded), "\n");
}

TEST(MinisignTest, RefusesSecretKeysThatAreBroken) {
  // Halves that do not belong together give the secret away by signing.
  ExpectError(MinisignSecretKey::Parse(WithBytes(kSecret, 100, {std::byte{7}}),
                                       Secret()),
              ErrorCode::kCorrupt, "halves", "E-KEY");
  ExpectError(MinisignSecretKey::Parse(WithBytes(kSecret, 130, {std::byte{7}}),
                                       Secret()),
              ErrorCode::kCorrupt, "checksum", "E-KEY");
  ExpectError(MinisignSecretKey::Parse(WithBytes(kSecret, 2, {std::byte{'X'}}),
                                       Secret()),
              ErrorCode::kCorrupt, "function", "E-KEY");
  ExpectError(MinisignSecretKey::Parse(WithBytes(kSecret, 4, {std::byte{'X'}}),
                                       Secret()),
              ErrorCode::kCorrupt, "kind", "E-KEY");
  ExpectError(MinisignSecretKey::Parse(kPublic, Secret()), ErrorCode::kCorrupt,
              "158 bytes", "E-KEY");
}

// 2^40 bytes of memory, or as many operations as 64 bits can say.
TEST(MinisignTest, RefusesAPassphraseThatCostsTooMuch) {
  const std::vector<std::byte> kdf = {std::byte{'S'}, std::byte{'c'}};
  std::vector<std::byte> limits(16, std::byte{0});
  limits[7] = limits[13] = std::byte{1};
  std::string text = WithBytes(WithBytes(kSecret, 2, kdf), 38, limits);
  ExpectError(MinisignSecretKey::Parse(text, Secret("x")), ErrorCode::kLimit,
              "scrypt", "E-KEY-LIMIT");
  limits.assign(16, std::byte{0xFF});
  text = WithBytes(WithBytes(kSecret, 2, kdf), 38, limits);
  ExpectError(MinisignSecretKey::Parse(text, Secret("x")), ErrorCode::kLimit,
              "scrypt", "E-KEY-LIMIT");
  limits.assign(16, std::byte{0});
  text = WithBytes(WithBytes(kSecret, 2, kdf), 38, limits);
  EXPECT_FALSE(MinisignSecretKey::Parse(text, Secret("x")));
}

TEST(MinisignTest, SignsNoCommentThatCannotBePrinted) {
  const auto key = MinisignSecretKey::Parse(kSecret, Secret());
  ASSERT_TRUE(key.has_value());
  for (const std::string& comment :
       {std::string("a\nb"), std::string("\x1B"), std::string(9000, 'a')}) {
    ExpectError(key->Sign(Digest(), comment), ErrorCode::kInvalidArgument,
                "comment", "E-COMMENT");
  }
}

}  // namespace
}  // namespace verify
