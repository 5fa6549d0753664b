// SPDX-License-Identifier: Apache-2.0
#include "verify/manifest/signed_evidence.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "verify/base/text.h"

namespace verify {
namespace {

template <typename T>
struct KeyRef {
  const AcceptedKey* accepted;
  const T* key;
};

// All accepted keys of one kind, those given first.
template <typename T>
std::vector<KeyRef<T>> KeysOf(const AcceptedKeys& keys) {
  std::vector<KeyRef<T>> found;
  for (const auto& list : {keys.given, keys.stored}) {
    for (const AcceptedKey& accepted : list) {
      if (const T* key = std::get_if<T>(&accepted.key)) {
        found.push_back({&accepted, key});
      }
    }
  }
  return found;
}

Unexpected WrongKey(std::string_view key) {
  return Fail(ErrorCode::kUntrusted,
              StrCat("signed by ",
                     key.empty() ? std::string("a key that it does not name")
                                 : StrCat("key ", EscapeForTerminal(key, 128)),
                     ", which is none of the keys given or trusted"))
      .Id("E-WRONG-KEY")
      .Hint("make sure that you have the publisher's key");
}

Result<SignatureFinding> UnknownKey(std::string key, const AcceptedKeys& keys) {
  if (!keys.given.empty()) return WrongKey(key);
  SignatureFinding finding;
  finding.key = std::move(key);
  return finding;
}

Result<SignatureFinding> CheckByKey(const OmsBundle& bundle,
                                    const AcceptedKeys& keys) {
  const auto known = KeysOf<EcPublicKey>(keys);
  for (const auto& [accepted, key] : known) {
    if (bundle.hint.empty() || key->fingerprint() != bundle.hint) continue;
    RETURN_IF_ERROR(CheckOmsSignature(bundle, *key));
    return SignatureFinding{
        TrustLevel::kTrustedKey, key->fingerprint(), accepted->name, {}, {}};
  }
  // The hint is of no known key, or there is none.
  for (const auto& [accepted, key] : known) {
    if (!CheckOmsSignature(bundle, *key)) continue;
    if (bundle.hint.empty()) {
      return SignatureFinding{
          TrustLevel::kTrustedKey, key->fingerprint(), accepted->name, {}, {}};
    }
    return Fail(ErrorCode::kUntrusted,
                StrCat("bundle: its hint is ", bundle.hint,
                       ", but it is signed by ", key->fingerprint()))
        .Id("E-OMS-HINT");
  }
  return UnknownKey(bundle.hint, keys);
}

Result<SignatureFinding> CheckByCertificate(const OmsBundle& bundle,
                                            const AcceptedKeys& keys) {
  ASSIGN_OR_RETURN(const ChainSigner claimed,
                   ReadChainSigner(bundle.certificates));
  RETURN_IF_ERROR(CheckOmsSignature(bundle, claimed.key));
  for (const auto& [accepted, root] : KeysOf<RootCertificate>(keys)) {
    const auto signer = VerifyChain(bundle.certificates, *root, keys.now_s);
    if (!signer) {
      // Another root's.
      if (signer.error().id == "E-CERTIFICATE-ROOT") continue;
      return WithContext(signer.error(), accepted->name);
    }
    return SignatureFinding{TrustLevel::kTrustedKey,
                            signer->key.fingerprint(),
                            StrCat(accepted->name, " (", signer->subject, ")"),
                            {},
                            {}};
  }
  // The signer's own key may be trusted, without those above it.
  for (const auto& [accepted, key] : KeysOf<EcPublicKey>(keys)) {
    if (key->fingerprint() == claimed.key.fingerprint()) {
      return SignatureFinding{
          TrustLevel::kTrustedKey, key->fingerprint(), accepted->name, {}, {}};
    }
  }
  return UnknownKey(claimed.key.fingerprint(), keys);
}

}  // namespace

Result<Evidence> OmsEvidence(const OmsBundle& bundle, std::string_view source,
                             const SignatureFinding& signer) {
  // The same bytes whose signature was verified.
  ASSIGN_OR_RETURN(OmsStatement statement, ParseOmsStatement(bundle.payload));
  Evidence evidence;
  evidence.source = source;
  evidence.level = signer.level;
  evidence.signer_key = signer.key;
  evidence.signer_name = signer.name;
  evidence.sums = std::move(statement.resources);
  for (PublishedSum& sum : evidence.sums) sum.list = source;
  evidence.exhaustive = true;
  evidence.ignored = std::move(statement.ignore_paths);
  return evidence;
}

Result<Evidence> CheckOmsBundle(std::string_view text, std::string_view source,
                                const AcceptedKeys& keys) {
  ASSIGN_OR_RETURN(const OmsBundle bundle, ParseOmsBundle(text));
  ASSIGN_OR_RETURN(const SignatureFinding finding,
                   bundle.method == OmsBundle::Method::kKey
                       ? CheckByKey(bundle, keys)
                       : CheckByCertificate(bundle, keys));
  return OmsEvidence(bundle, source, finding);
}

bool IsKnownMinisigner(const Minisig& minisig, const AcceptedKeys& keys) {
  const auto known = KeysOf<MinisignPublicKey>(keys);
  return std::any_of(known.begin(), known.end(), [&](const auto& ref) {
    return ref.key->id == minisig.id;
  });
}

Result<SignatureFinding> CheckMinisig(const Minisig& minisig,
                                      const Blake2b512Digest& digest,
                                      const AcceptedKeys& keys) {
  std::optional<Error> failure;
  for (const auto& [accepted, key] : KeysOf<MinisignPublicKey>(keys)) {
    if (key->id != minisig.id) continue;
    // Nothing keeps two keys from having one id.
    auto right = VerifyMinisig(minisig, *key, digest);
    if (right) {
      return SignatureFinding{TrustLevel::kTrustedKey,
                              MinisignKeyIdText(key->id), accepted->name,
                              digest, minisig.trusted_comment};
    }
    if (!failure.has_value()) failure = right.error();
  }
  if (failure.has_value()) return Unexpected(*failure);
  return UnknownKey(MinisignKeyIdText(minisig.id), keys);
}

}  // namespace verify
