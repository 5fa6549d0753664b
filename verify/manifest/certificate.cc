// SPDX-License-Identifier: Apache-2.0
#include "verify/manifest/certificate.h"

#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <array>
#include <ctime>
#include <utility>

#include "verify/base/text.h"
#include "verify/digest/digest.h"
#include "verify/manifest/openssl_ptr.h"

namespace verify {
namespace {

using internal::BioOf;
using internal::BioPtr;
using internal::FailOpenSsl;
using internal::Raw;
using internal::X509Ptr;

using StorePtr =
    std::unique_ptr<X509_STORE, internal::OpenSslDeleter<X509_STORE_free>>;
using StoreContextPtr =
    std::unique_ptr<X509_STORE_CTX,
                    internal::OpenSslDeleter<X509_STORE_CTX_free>>;

// Certificates between the root and the signer.
constexpr int kMaxChainDepth = 8;

struct StackDeleter {
  void operator()(STACK_OF(X509) * stack) const {
    sk_X509_pop_free(stack, X509_free);
  }
};
using StackPtr = std::unique_ptr<STACK_OF(X509), StackDeleter>;

Unexpected Refuse(std::string_view what) {
  ERR_clear_error();
  return Fail(ErrorCode::kUntrusted, StrCat("certificate: ", what))
      .Id("E-CERTIFICATE");
}

Result<X509Ptr> Parse(ByteSpan der) {
  const unsigned char* cursor = Raw(der.data());
  X509Ptr certificate(
      d2i_X509(nullptr, &cursor, static_cast<long>(der.size())));
  if (certificate == nullptr || cursor != Raw(der.data()) + der.size()) {
    return Refuse("it is no X.509 certificate in DER");
  }
  return certificate;
}

std::string SubjectOf(X509* certificate) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr) return {};
  X509_NAME_print_ex(bio.get(), X509_get_subject_name(certificate), 0,
                     XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
  return internal::TakeText(bio.get());
}

std::string TimeOf(const ASN1_TIME* time) {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  if (bio == nullptr || ASN1_TIME_print(bio.get(), time) != 1) return "?";
  return internal::TakeText(bio.get());
}

std::string ClockText(int64_t now_s) {
  const std::time_t time = static_cast<std::time_t>(now_s);
  std::tm parts{};
  std::array<char, 64> text{};
  if (gmtime_r(&time, &parts) == nullptr) return std::to_string(now_s);
  const size_t size =
      std::strftime(text.data(), text.size(), "%b %e %H:%M:%S %Y GMT", &parts);
  return std::string(text.data(), size);
}

Result<ChainSigner> SignerOf(X509* leaf) {
  EVP_PKEY* key = X509_get_pubkey(leaf);  // a reference of our own
  if (key == nullptr) return Refuse("its key cannot be read");
  ASSIGN_OR_RETURN(EcPublicKey public_key, EcPublicKey::FromOpenSsl(key));
  return ChainSigner{std::move(public_key), SubjectOf(leaf)};
}

bool MaySign(X509* leaf) {
  const uint32_t usage = X509_get_key_usage(leaf);
  const uint32_t purposes = X509_get_extended_key_usage(leaf);
  // Both functions answer with all bits where nothing is said.
  const bool says_usage = usage != UINT32_MAX;
  const bool says_purposes = purposes != UINT32_MAX;
  if (says_usage && (usage & X509v3_KU_DIGITAL_SIGNATURE) == 0) return false;
  if (says_purposes && (purposes & (XKU_CODE_SIGN | XKU_ANYEKU)) == 0) {
    return false;
  }
  return says_usage || says_purposes;
}

}  // namespace

Result<RootCertificate> RootCertificate::FromPem(std::string_view pem) {
  const auto broken = [](std::string_view what) {
    ERR_clear_error();
    return Fail(ErrorCode::kCorrupt, StrCat("certificate: ", what)).Id("E-KEY");
  };
  if (pem.size() > kMaxKeyFileBytes) return broken("the file is too large");
  const BioPtr bio = BioOf(pem);
  RootCertificate root;
  root.certificate_ = std::shared_ptr<x509_st>(
      PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr), X509_free);
  if (root.certificate_ == nullptr) return broken("none in PEM form");
  const X509Ptr second(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  if (second != nullptr) return broken("more than one in the file");
  if (X509_check_ca(root.get()) != 1) {
    return Fail(ErrorCode::kUntrusted,
                "certificate: it may not sign others, so it is no root")
        .Id("E-KEY-TYPE");
  }
  unsigned char* der = nullptr;
  const int size = i2d_X509(root.get(), &der);
  if (size < 0) return FailOpenSsl("write a certificate");
  root.fingerprint_ = HexEncode(Sha256(
      {reinterpret_cast<const std::byte*>(der), static_cast<size_t>(size)}));
  OPENSSL_free(der);
  root.subject_ = SubjectOf(root.get());
  const BioPtr out(BIO_new(BIO_s_mem()));
  if (out == nullptr || PEM_write_bio_X509(out.get(), root.get()) != 1) {
    return FailOpenSsl("write a certificate");
  }
  root.pem_ = internal::TakeText(out.get());
  return root;
}

Result<ChainSigner> ReadChainSigner(
    const std::vector<std::vector<std::byte>>& chain) {
  if (chain.empty()) return Refuse("none");
  ASSIGN_OR_RETURN(const X509Ptr leaf, Parse(chain.front()));
  return SignerOf(leaf.get());
}

Result<ChainSigner> VerifyChain(
    const std::vector<std::vector<std::byte>>& chain,
    const RootCertificate& root, int64_t now_s) {
  if (chain.empty()) return Refuse("none");
  ASSIGN_OR_RETURN(const X509Ptr leaf, Parse(chain.front()));
  const StackPtr others(sk_X509_new_null());
  const StorePtr store(X509_STORE_new());
  const StoreContextPtr context(X509_STORE_CTX_new());
  if (others == nullptr || store == nullptr || context == nullptr ||
      X509_STORE_add_cert(store.get(), root.get()) != 1) {
    return FailOpenSsl("verify a certificate");
  }
  for (size_t i = 1; i < chain.size(); ++i) {
    ASSIGN_OR_RETURN(X509Ptr other, Parse(chain[i]));
    if (sk_X509_push(others.get(), other.get()) == 0) {
      return FailOpenSsl("verify a certificate");
    }
    other.release();
  }
  if (X509_STORE_CTX_init(context.get(), store.get(), leaf.get(),
                          others.get()) != 1) {
    return FailOpenSsl("verify a certificate");
  }
  X509_VERIFY_PARAM* param = X509_STORE_CTX_get0_param(context.get());
  // The one root, be it an intermediate one of a larger tree.
  X509_VERIFY_PARAM_set_flags(
      param, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_X509_STRICT);
  X509_VERIFY_PARAM_set_depth(param, kMaxChainDepth);
  X509_VERIFY_PARAM_set_time(param, static_cast<std::time_t>(now_s));
  if (X509_verify_cert(context.get()) != 1) {
    const int reason = X509_STORE_CTX_get_error(context.get());
    X509* at = X509_STORE_CTX_get_current_cert(context.get());
    std::string text = X509_verify_cert_error_string(reason);
    if (at != nullptr) {
      text += StrCat(" (", EscapeForTerminal(SubjectOf(at), 128), ")");
    }
    const bool early = reason == X509_V_ERR_CERT_NOT_YET_VALID;
    if (at != nullptr && (early || reason == X509_V_ERR_CERT_HAS_EXPIRED)) {
      return Fail(ErrorCode::kUntrusted,
                  StrCat("certificate: ", text, ": valid from ",
                         TimeOf(X509_get0_notBefore(at)), " to ",
                         TimeOf(X509_get0_notAfter(at)),
                         ", and the clock of this machine says ",
                         ClockText(now_s)))
          .Id("E-CERTIFICATE")
          .Hint(
              "if the clock is wrong, set it; if it is right, ask for a new "
              "signature");
    }
    switch (reason) {
      case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
      case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
      case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
      case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
        ERR_clear_error();
        return Fail(ErrorCode::kUntrusted,
                    StrCat("certificate: it does not lead to the root given: ",
                           text))
            .Id("E-CERTIFICATE-ROOT");
      default:
        return Refuse(text);
    }
  }
  if (!MaySign(leaf.get())) {
    return Refuse(
        "the signer's is not for signing: neither digitalSignature nor the "
        "purpose code signing");
  }
  return SignerOf(leaf.get());
}

}  // namespace verify
