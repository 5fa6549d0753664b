// SPDX-License-Identifier: Apache-2.0
#include "verify/manifest/minisign.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>
#include <vector>

#include "verify/base/base64.h"
#include "verify/base/text.h"
#include "verify/digest/digest.h"
#include "verify/manifest/openssl_ptr.h"

namespace verify {
namespace {

using internal::DigestPtr;
using internal::FailOpenSsl;
using internal::PkeyPtr;
using internal::Raw;

constexpr std::string_view kUntrusted = "untrusted comment: ";
constexpr std::string_view kTrusted = "trusted comment: ";
constexpr std::string_view kPrehashed = "ED";
constexpr std::string_view kPlain = "Ed";
constexpr size_t kReadBytes = 1u << 20;

// Takes one line off the text, without its end ("\n" or "\r\n").
std::string_view TakeLine(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line;
}

template <size_t kBytes>
std::array<std::byte, kBytes> ArrayOf(ByteSpan bytes) {
  std::array<std::byte, kBytes> array;
  std::copy_n(bytes.begin(), kBytes, array.begin());
  return array;
}

// What a terminal shows as it is: UTF-8 without control characters. A tab is
// between the parts of the comments that minisign writes by itself.
bool IsPrintable(std::string_view comment) {
  if (!IsValidUtf8(comment)) return false;
  std::string plain(comment);
  std::replace(plain.begin(), plain.end(), '\t', ' ');
  return EscapeForTerminal(plain, plain.size() + 1) == plain;
}

Unexpected RefuseKey(std::string_view what) {
  return Fail(ErrorCode::kCorrupt, StrCat("minisign key: ", what)).Id("E-KEY");
}

Unexpected Refuse(std::string_view what) {
  return Fail(ErrorCode::kUntrusted, StrCat("minisign signature: ", what))
      .Id("E-MINISIG");
}

bool VerifyEd25519(const MinisignPublicKey& key, ByteSpan message,
                   ByteSpan signature) {
  const PkeyPtr public_key(EVP_PKEY_new_raw_public_key(
      EVP_PKEY_ED25519, nullptr, Raw(key.key.data()), key.key.size()));
  const DigestPtr context(EVP_MD_CTX_new());
  const bool right =
      public_key != nullptr && context != nullptr &&
      EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr,
                           public_key.get()) == 1 &&
      EVP_DigestVerify(context.get(), Raw(signature.data()), signature.size(),
                       Raw(message.data()), message.size()) == 1;
  ERR_clear_error();
  return right;
}

std::vector<std::byte> WithComment(ByteSpan signature,
                                   std::string_view comment) {
  std::vector<std::byte> bytes(signature.size() + comment.size());
  const auto text =
      std::copy(signature.begin(), signature.end(), bytes.begin());
  std::ranges::copy(AsBytes(comment), text);
  return bytes;
}

}  // namespace

std::string MinisignKeyIdText(const MinisignKeyId& id) {
  MinisignKeyId reversed = id;
  std::reverse(reversed.begin(), reversed.end());
  std::string text = HexEncode(reversed);
  for (char& c : text) {
    if (c >= 'a') c = static_cast<char>(c - 'a' + 'A');
  }
  return text;
}

Result<MinisignPublicKey> MinisignPublicKey::Parse(std::string_view text) {
  if (text.size() > kMaxMinisigBytes) return RefuseKey("the file is too large");
  std::string_view line = TakeLine(text);
  if (line.starts_with(kUntrusted)) {
    if (line.size() - kUntrusted.size() > kMaxUntrustedComment) {
      return RefuseKey("its comment is too long");
    }
    line = TakeLine(text);
  }
  if (!text.empty()) return RefuseKey("more lines than a public key has");
  const auto bytes = Base64Decode(line);
  if (!bytes.has_value() || bytes->size() != 42) {
    return RefuseKey("its line is no base64 of 42 bytes");
  }
  if (AsText(*bytes).substr(0, 2) != kPlain) {
    return RefuseKey("it is not for Ed25519");
  }
  MinisignPublicKey key;
  key.id = ArrayOf<8>(ByteSpan(*bytes).subspan(2));
  key.key = ArrayOf<32>(ByteSpan(*bytes).subspan(10));
  return key;
}

std::string MinisignPublicKey::ShortForm() const {
  std::vector<std::byte> bytes(AsBytes(kPlain).begin(), AsBytes(kPlain).end());
  bytes.insert(bytes.end(), id.begin(), id.end());
  bytes.insert(bytes.end(), key.begin(), key.end());
  return Base64Encode(bytes);
}

std::string MinisignPublicKey::FileText() const {
  return StrCat(kUntrusted, "minisign public key ", MinisignKeyIdText(id), "\n",
                ShortForm(), "\n");
}

Result<Minisig> Minisig::Parse(std::string_view text) {
  if (text.size() > kMaxMinisigBytes) return Refuse("the file is too large");
  Minisig minisig;
  const std::string_view untrusted = TakeLine(text);
  if (!untrusted.starts_with(kUntrusted)) {
    return Refuse(StrCat("line 1 does not begin with \"", kUntrusted, "\""));
  }
  minisig.untrusted_comment = untrusted.substr(kUntrusted.size());
  if (minisig.untrusted_comment.size() > kMaxUntrustedComment) {
    return Refuse("the untrusted comment is too long");
  }
  const auto signature = Base64Decode(TakeLine(text));
  if (!signature.has_value() || signature->size() != 74) {
    return Refuse("line 2 is no base64 of 74 bytes");
  }
  const std::string_view algorithm = AsText(*signature).substr(0, 2);
  if (algorithm == kPlain) {
    return Fail(ErrorCode::kUntrusted,
                "minisign signature: of the legacy form, over the file itself "
                "in place of its digest")
        .Id("E-MINISIG-LEGACY")
        .Hint("ask its publisher for one by minisign 0.10 or later");
  }
  if (algorithm != kPrehashed) {
    return Refuse(StrCat("algorithm \"", EscapeForTerminal(algorithm),
                         "\" is not known"));
  }
  minisig.id = ArrayOf<8>(ByteSpan(*signature).subspan(2));
  minisig.signature = ArrayOf<64>(ByteSpan(*signature).subspan(10));
  const std::string_view trusted = TakeLine(text);
  if (!trusted.starts_with(kTrusted)) {
    return Refuse(StrCat("line 3 does not begin with \"", kTrusted, "\""));
  }
  minisig.trusted_comment = trusted.substr(kTrusted.size());
  if (minisig.trusted_comment.size() > kMaxTrustedComment) {
    return Refuse("the trusted comment is too long");
  }
  if (!IsPrintable(minisig.trusted_comment)) {
    return Refuse(StrCat("the trusted comment cannot be printed: \"",
                         EscapeForTerminal(minisig.trusted_comment, 128),
                         "\""));
  }
  const auto global = Base64Decode(TakeLine(text));
  if (!global.has_value() || global->size() != 64) {
    return Refuse("line 4 is no base64 of 64 bytes");
  }
  minisig.global_signature = ArrayOf<64>(*global);
  if (!text.empty()) return Refuse("more than four lines");
  return minisig;
}

std::string Minisig::FileText() const {
  std::vector<std::byte> bytes(AsBytes(kPrehashed).begin(),
                               AsBytes(kPrehashed).end());
  bytes.insert(bytes.end(), id.begin(), id.end());
  bytes.insert(bytes.end(), signature.begin(), signature.end());
  return StrCat(kUntrusted, untrusted_comment, "\n", Base64Encode(bytes), "\n",
                kTrusted, trusted_comment, "\n", Base64Encode(global_signature),
                "\n");
}

Result<void> VerifyMinisig(const Minisig& minisig, const MinisignPublicKey& key,
                           const Blake2b512Digest& digest) {
  if (minisig.id != key.id) {
    return Refuse(StrCat("by key ", MinisignKeyIdText(minisig.id), ", not by ",
                         MinisignKeyIdText(key.id)));
  }
  if (!VerifyEd25519(key, digest, minisig.signature)) {
    return Refuse(StrCat("it is not one of key ", MinisignKeyIdText(key.id),
                         " over this file"));
  }
  if (!VerifyEd25519(key,
                     WithComment(minisig.signature, minisig.trusted_comment),
                     minisig.global_signature)) {
    return Refuse(
        "the global signature is wrong: the trusted comment was "
        "changed");
  }
  return {};
}

Blake2b512Digest Blake2b512(ByteSpan bytes) {
  internal::DigestContext context("BLAKE2b512");
  context.Update(bytes);
  Blake2b512Digest digest;
  context.Finish(digest.data());
  return digest;
}

Result<Blake2b512Digest> Blake2bOfFile(const ReadOnlyFile& file,
                                       const CancelToken& cancel,
                                       ProgressSink* progress) {
  internal::DigestContext context("BLAKE2b512");
  std::vector<std::byte> buffer(static_cast<size_t>(
      std::min<uint64_t>(kReadBytes, std::max<uint64_t>(1, file.size()))));
  for (uint64_t offset = 0; offset < file.size();) {
    if (cancel.cancelled()) {
      return Fail(ErrorCode::kCancelled, "interrupted").Id("E-INTERRUPTED");
    }
    const size_t size = static_cast<size_t>(
        std::min<uint64_t>(buffer.size(), file.size() - offset));
    const std::span<std::byte> part = std::span(buffer).first(size);
    RETURN_IF_ERROR(file.ReadAt(offset, part));
    context.Update(part);
    offset += size;
    if (progress != nullptr) {
      progress->OnProgress(file.name(), offset, file.size());
    }
  }
  Blake2b512Digest digest;
  context.Finish(digest.data());
  return digest;
}

Result<Minisig> MinisignSecretKey::Sign(
    const Blake2b512Digest& digest, std::string_view trusted_comment) const {
  if (trusted_comment.size() > kMaxTrustedComment ||
      !IsPrintable(trusted_comment)) {
    return Fail(
               ErrorCode::kInvalidArgument,
               StrCat("the comment \"", EscapeForTerminal(trusted_comment, 128),
                      "\" is no printable text of at most ", kMaxTrustedComment,
                      " bytes"))
        .Id("E-COMMENT");
  }
  const PkeyPtr key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr,
                                                 Raw(key_.bytes().data()), 32));
  const auto sign = [&](ByteSpan message, std::array<std::byte, 64>& out) {
    const DigestPtr context(EVP_MD_CTX_new());
    size_t size = out.size();
    return key != nullptr && context != nullptr &&
           EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr,
                              key.get()) == 1 &&
           EVP_DigestSign(context.get(), Raw(out.data()), &size,
                          Raw(message.data()), message.size()) == 1 &&
           size == out.size();
  };
  Minisig minisig;
  minisig.id = public_.id;
  minisig.untrusted_comment =
      StrCat("signature from minisign key ", MinisignKeyIdText(public_.id));
  minisig.trusted_comment = trusted_comment;
  if (!sign(digest, minisig.signature) ||
      !sign(WithComment(minisig.signature, trusted_comment),
            minisig.global_signature)) {
    return FailOpenSsl("sign");
  }
  return minisig;
}

}  // namespace verify
