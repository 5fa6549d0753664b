// SPDX-License-Identifier: Apache-2.0
#include "verify/manifest/ec_key.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "verify/base/text.h"
#include "verify/digest/digest.h"
#include "verify/manifest/openssl_ptr.h"

namespace verify {
namespace {

using internal::BioOf;
using internal::BioPtr;
using internal::DigestPtr;
using internal::EcdsaSigPtr;
using internal::FailOpenSsl;
using internal::PkeyPtr;
using internal::Raw;

constexpr uint64_t kScryptN = 16384;
constexpr uint64_t kScryptR = 8;
constexpr uint64_t kScryptP = 5;

struct CurveFacts {
  EcCurve curve;
  const char* group;  // OpenSSL's name
  std::string_view name;
};

constexpr std::array<CurveFacts, 3> kCurves = {{
    {EcCurve::kP256, "prime256v1", "P-256"},
    {EcCurve::kP384, "secp384r1", "P-384"},
    {EcCurve::kP521, "secp521r1", "P-521"},
}};

const CurveFacts& FactsOf(EcCurve curve) {
  return kCurves[static_cast<size_t>(curve)];
}

const EVP_MD* DigestOf(EcCurve curve) {
  switch (curve) {
    case EcCurve::kP256:
      return EVP_sha256();
    case EcCurve::kP384:
      return EVP_sha384();
    case EcCurve::kP521:
      return EVP_sha512();
  }
  return EVP_sha256();
}

Unexpected WrongType(std::string_view what) {
  return Fail(ErrorCode::kUntrusted,
              StrCat("key: ", what,
                     ", but a model.sig takes P-256, P-384 or P-521 only"))
      .Id("E-KEY-TYPE")
      .Hint("lodestone keys generate NAME --type p256 makes one");
}

Unexpected BrokenKey(std::string_view what) {
  ERR_clear_error();
  return Fail(ErrorCode::kCorrupt, StrCat("key: ", what)).Id("E-KEY");
}

std::optional<std::string> TextParameter(EVP_PKEY* key, const char* name) {
  std::array<char, 64> text{};
  size_t size = 0;
  if (EVP_PKEY_get_utf8_string_param(key, name, text.data(), text.size(),
                                     &size) != 1) {
    ERR_clear_error();
    return std::nullopt;
  }
  return std::string(text.data(), size);
}

Result<EcCurve> CurveOf(EVP_PKEY* key) {
  if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC) {
    const char* type = EVP_PKEY_get0_type_name(key);
    return WrongType(
        StrCat("it is of type ", type == nullptr ? "unknown" : type));
  }
  // A curve that is written out by its parameters can be made to fit any
  // signature; only names are taken.
  if (TextParameter(key, OSSL_PKEY_PARAM_EC_ENCODING) != "named_curve") {
    return WrongType("its curve is given by parameters");
  }
  const auto group = TextParameter(key, OSSL_PKEY_PARAM_GROUP_NAME);
  for (const CurveFacts& facts : kCurves) {
    if (group == facts.group) return facts.curve;
  }
  return WrongType(
      StrCat("its curve is ", group.has_value() ? *group : "unknown"));
}

struct PassphraseUse {
  const Secret* passphrase = nullptr;
  bool asked = false;
};

// pem_password_cb of OpenSSL; `data` is a PassphraseUse.
int GivePassphrase(char* out, int size, int /*writing*/, void* data) {
  auto* use = static_cast<PassphraseUse*>(data);
  use->asked = true;
  const ByteSpan bytes = use->passphrase->bytes();
  if (bytes.empty() || bytes.size() > static_cast<size_t>(size)) return -1;
  std::memcpy(out, bytes.data(), bytes.size());
  return static_cast<int>(bytes.size());
}

}  // namespace

std::string_view EcCurveName(EcCurve curve) { return FactsOf(curve).name; }

Result<EcPublicKey> EcPublicKey::FromPem(std::string_view pem) {
  if (pem.size() > kMaxKeyFileBytes) return BrokenKey("the file is too large");
  const BioPtr bio = BioOf(pem);
  PkeyPtr key(PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr));
  if (key == nullptr) return BrokenKey("no public key in PEM form");
  return FromOpenSsl(key.release());
}

Result<EcPublicKey> EcPublicKey::FromOpenSsl(evp_pkey_st* key) {
  EcPublicKey result;
  result.key_ = std::shared_ptr<evp_pkey_st>(key, EVP_PKEY_free);
  ASSIGN_OR_RETURN(result.curve_, CurveOf(key));
  // One key has one fingerprint: a compressed point is written out.
  EVP_PKEY_set_utf8_string_param(
      key, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "uncompressed");
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || PEM_write_bio_PUBKEY(bio.get(), key) != 1) {
    return FailOpenSsl("write a public key");
  }
  result.pem_ = internal::TakeText(bio.get());
  result.fingerprint_ = HexEncode(Sha256(AsBytes(result.pem_)));
  return result;
}

Result<void> EcPublicKey::Verify(ByteSpan message, ByteSpan signature) const {
  const auto refuse = [](std::string_view what) {
    ERR_clear_error();
    return Fail(ErrorCode::kUntrusted, StrCat("signature: ", what))
        .Id("E-SIGNATURE");
  };
  // Looked at first, so that the reason can be said: DER has one form only.
  if (signature.size() > 1024) return refuse("too long for ECDSA");
  const unsigned char* cursor = Raw(signature.data());
  const EcdsaSigPtr parsed(
      d2i_ECDSA_SIG(nullptr, &cursor, static_cast<long>(signature.size())));
  if (parsed == nullptr) return refuse("it is no DER of two numbers");
  if (cursor != Raw(signature.data()) + signature.size()) {
    return refuse("bytes follow its DER");
  }
  unsigned char* again = nullptr;
  const int again_size = i2d_ECDSA_SIG(parsed.get(), &again);
  const bool canonical =
      again_size == static_cast<int>(signature.size()) &&
      std::memcmp(again, signature.data(), signature.size()) == 0;
  OPENSSL_free(again);
  if (!canonical) return refuse("its DER is not the shortest form");
  const BIGNUM* r = ECDSA_SIG_get0_r(parsed.get());
  const BIGNUM* s = ECDSA_SIG_get0_s(parsed.get());
  if (BN_is_zero(r) || BN_is_negative(r) || BN_is_zero(s) ||
      BN_is_negative(s)) {
    return refuse("r or s is not above zero");
  }
  const DigestPtr context(EVP_MD_CTX_new());
  if (context == nullptr ||
      EVP_DigestVerifyInit(context.get(), nullptr, DigestOf(curve_), nullptr,
                           key_.get()) != 1) {
    return FailOpenSsl("verify a signature");
  }
  if (EVP_DigestVerify(context.get(), Raw(signature.data()), signature.size(),
                       Raw(message.data()), message.size()) != 1) {
    return refuse(StrCat("it is not one of the ", FactsOf(curve_).name, " key ",
                         fingerprint_, " over these bytes"));
  }
  return {};
}

Result<EcPrivateKey> EcPrivateKey::FromOpenSsl(
    std::shared_ptr<evp_pkey_st> key) {
  EVP_PKEY_up_ref(key.get());
  ASSIGN_OR_RETURN(EcPublicKey public_key, EcPublicKey::FromOpenSsl(key.get()));
  EcPrivateKey result(std::move(public_key));
  result.key_ = std::move(key);
  return result;
}

Result<EcPrivateKey> EcPrivateKey::Generate(EcCurve curve) {
  std::shared_ptr<evp_pkey_st> key(EVP_EC_gen(FactsOf(curve).group),
                                   EVP_PKEY_free);
  if (key == nullptr) return FailOpenSsl("make a key");
  return FromOpenSsl(std::move(key));
}

Result<EcPrivateKey> EcPrivateKey::FromPem(std::string_view pem,
                                           const Secret& passphrase) {
  if (pem.size() > kMaxKeyFileBytes) return BrokenKey("the file is too large");
  const BioPtr bio = BioOf(pem);
  PassphraseUse use{&passphrase, false};
  std::shared_ptr<evp_pkey_st> key(
      PEM_read_bio_PrivateKey(bio.get(), nullptr, GivePassphrase, &use),
      EVP_PKEY_free);
  if (key == nullptr) {
    if (!use.asked) return BrokenKey("no private key in PEM form");
    ERR_clear_error();
    return Fail(ErrorCode::kInvalidArgument,
                passphrase.empty() ? "the key is encrypted, and no passphrase "
                                     "was given"
                                   : "the passphrase is not that of the key")
        .Id("E-PASSPHRASE")
        .Hint("--passphrase-file FILE gives it");
  }
  return FromOpenSsl(std::move(key));
}

Result<Secret> EcPrivateKey::ToPem(const Secret& passphrase) const {
  const BioPtr bio(BIO_new(BIO_s_secmem()));
  using Pkcs8Ptr =
      std::unique_ptr<PKCS8_PRIV_KEY_INFO,
                      internal::OpenSslDeleter<PKCS8_PRIV_KEY_INFO_free>>;
  const Pkcs8Ptr plain(EVP_PKEY2PKCS8(key_.get()));
  if (bio == nullptr || plain == nullptr) return FailOpenSsl("write a key");
  if (passphrase.empty()) {
    if (PEM_write_bio_PKCS8_PRIV_KEY_INFO(bio.get(), plain.get()) != 1) {
      return FailOpenSsl("write a key");
    }
  } else {
    using SealedPtr =
        std::unique_ptr<X509_SIG, internal::OpenSslDeleter<X509_SIG_free>>;
    X509_ALGOR* algorithm = PKCS5_pbe2_set_scrypt(
        EVP_aes_256_cbc(), nullptr, 16, nullptr, kScryptN, kScryptR, kScryptP);
    if (algorithm == nullptr) return FailOpenSsl("encrypt a key");
    const std::string_view text = passphrase.text();
    const SealedPtr sealed(PKCS8_set0_pbe(
        text.data(), static_cast<int>(text.size()), plain.get(), algorithm));
    if (sealed == nullptr) {
      X509_ALGOR_free(algorithm);
      return FailOpenSsl("encrypt a key");
    }
    if (PEM_write_bio_PKCS8(bio.get(), sealed.get()) != 1) {
      return FailOpenSsl("write a key");
    }
  }
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return Secret(std::string_view(data, static_cast<size_t>(size)));
}

Result<std::vector<std::byte>> EcPrivateKey::Sign(ByteSpan message) const {
  const DigestPtr context(EVP_MD_CTX_new());
  size_t size = 0;
  if (context == nullptr ||
      EVP_DigestSignInit(context.get(), nullptr, DigestOf(public_.curve()),
                         nullptr, key_.get()) != 1 ||
      EVP_DigestSign(context.get(), nullptr, &size, Raw(message.data()),
                     message.size()) != 1) {
    return FailOpenSsl("sign");
  }
  std::vector<std::byte> signature(size);
  if (EVP_DigestSign(context.get(), Raw(signature.data()), &size,
                     Raw(message.data()), message.size()) != 1) {
    return FailOpenSsl("sign");
  }
  signature.resize(size);
  return signature;
}

bool IsPrivatePem(std::string_view text) {
  return text.find("PRIVATE KEY-----") != std::string_view::npos;
}

bool IsEncryptedPem(std::string_view text) {
  return text.find("-----BEGIN ENCRYPTED PRIVATE KEY-----") !=
             std::string_view::npos ||
         (IsPrivatePem(text) &&
          text.find("Proc-Type: 4,ENCRYPTED") != std::string_view::npos);
}

}  // namespace verify
