// SPDX-License-Identifier: Apache-2.0
// Secret key files of minisign: reading, writing, and the passphrase.
#include <openssl/kdf.h>
#include <openssl/rand.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <utility>

#include "verify/base/base64.h"
#include "verify/base/text.h"
#include "verify/manifest/blake2b.h"
#include "verify/manifest/minisign.h"
#include "verify/manifest/openssl_ptr.h"

namespace verify {
namespace {

using internal::FailOpenSsl;
using internal::PkeyPtr;
using internal::Raw;

constexpr std::string_view kUntrusted = "untrusted comment: ";

// The bytes of the key's line.
constexpr size_t kAlgorithmAt = 0;     // "Ed"
constexpr size_t kKdfAt = 2;           // "Sc", or two zeros: not encrypted
constexpr size_t kChecksumKindAt = 4;  // "B2"
constexpr size_t kSaltAt = 6;
constexpr size_t kOpsAt = 38;
constexpr size_t kMemoryAt = 46;
constexpr size_t kSealedAt = 54;  // what follows is XORed with scrypt's bytes
constexpr size_t kIdAt = 54;
constexpr size_t kKeyAt = 62;
constexpr size_t kChecksumAt = 126;
constexpr size_t kSecretBytes = 158;
constexpr size_t kSaltBytes = kOpsAt - kSaltAt;
constexpr size_t kSeedBytes = 32;

// For keys made here: 128 MiB, N = 2^17, r = 8, p = 1.
constexpr uint64_t kOps = uint64_t{4} << 20;
constexpr uint64_t kMemory = uint64_t{128} << 20;
// N r p of at most this: some seconds.
constexpr uint64_t kMaxScryptWork = uint64_t{1} << 26;

Unexpected RefuseKey(std::string_view what) {
  return Fail(ErrorCode::kCorrupt, StrCat("minisign secret key: ", what))
      .Id("E-KEY");
}

struct ScryptCost {
  uint64_t n = 0;
  uint64_t r = 8;
  uint64_t p = 1;
};

// The largest power of two, from 2 on, that is at most `limit`.
uint64_t PowerBelow(uint64_t limit) {
  return limit < 4 ? 2 : std::bit_floor(limit);
}

// The costs that libsodium's crypto_pwhash_scryptsalsa208sha256 takes for its
// two limits: as much memory as is allowed if the operations are enough for
// one pass over it, else as much as they are enough for.
ScryptCost CostOf(uint64_t ops, uint64_t memory) {
  ops = std::max<uint64_t>(ops, 32768);
  ScryptCost cost;
  if (ops < memory / 32) {
    cost.n = PowerBelow(ops / (cost.r * 4));
    return cost;
  }
  cost.n = PowerBelow(memory / (cost.r * 128));
  cost.p = std::min<uint64_t>(ops / 4 / cost.n, 0x3fffffff) / cost.r;
  return cost;
}

// XORs the part of `bytes` from kSealedAt on with what scrypt makes of the
// passphrase.
Result<void> ApplyPassphrase(Secret& bytes, const Secret& passphrase) {
  const ByteSpan all = bytes.bytes();
  const ScryptCost cost = CostOf(LoadLe<uint64_t>(all.subspan(kOpsAt)),
                                 LoadLe<uint64_t>(all.subspan(kMemoryAt)));
  if (cost.p == 0 || cost.n > kMaxScryptBytes / (128 * cost.r) ||
      cost.p > kMaxScryptWork / (cost.n * cost.r)) {
    return Fail(ErrorCode::kLimit,
                StrCat("minisign secret key: its passphrase takes scrypt with "
                       "N = ",
                       cost.n, ", r = ", cost.r, ", p = ", cost.p,
                       ", more than is allowed"))
        .Id("E-KEY-LIMIT");
  }
  Secret stream(kSecretBytes - kSealedAt);
  const uint64_t most = 128 * cost.r * (cost.n + cost.p + 4) + (1u << 20);
  const std::string_view text = passphrase.text();
  if (EVP_PBE_scrypt(text.data(), text.size(), Raw(all.data() + kSaltAt),
                     kSaltBytes, cost.n, cost.r, cost.p, most,
                     Raw(stream.bytes().data()), stream.size()) != 1) {
    return FailOpenSsl("scrypt");
  }
  for (size_t i = 0; i < stream.size(); ++i) {
    bytes.bytes()[kSealedAt + i] ^= stream.bytes()[i];
  }
  return {};
}

// Over the algorithm, the key's number and the key.
Blake2b256Digest ChecksumOf(const Secret& bytes) {
  Secret input(2 + (kChecksumAt - kIdAt));
  const auto all = bytes.bytes();
  std::copy_n(all.begin() + kAlgorithmAt, 2, input.bytes().begin());
  std::copy(all.begin() + kIdAt, all.begin() + kChecksumAt,
            input.bytes().begin() + 2);
  return Blake2b256(input.bytes());
}

// The bytes of the key's line; nothing if the text is no secret key file.
std::optional<Secret> SecretLine(std::string_view text) {
  if (text.size() > kMaxMinisigBytes || !text.starts_with(kUntrusted)) {
    return std::nullopt;
  }
  const size_t first = text.find('\n');
  if (first == std::string_view::npos) return std::nullopt;
  text = TrimAscii(text.substr(first + 1));
  auto bytes = Base64Decode(text);
  if (!bytes.has_value()) return std::nullopt;
  std::optional<Secret> line;
  if (bytes->size() == kSecretBytes && AsText(*bytes).substr(0, 2) == "Ed") {
    line = Secret(ByteSpan(*bytes));
  }
  WipeBytes(*bytes);
  return line;
}

// The public key that belongs to a seed.
Result<std::array<std::byte, 32>> PublicOf(ByteSpan seed) {
  const PkeyPtr key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr,
                                                 Raw(seed.data()), kSeedBytes));
  std::array<std::byte, 32> out{};
  size_t size = out.size();
  if (key == nullptr ||
      EVP_PKEY_get_raw_public_key(key.get(), Raw(out.data()), &size) != 1) {
    return FailOpenSsl("make a key");
  }
  return out;
}

}  // namespace

bool IsMinisignSecret(std::string_view text) {
  return SecretLine(text).has_value();
}

bool IsEncryptedMinisign(std::string_view text) {
  const auto line = SecretLine(text);
  return line.has_value() && line->text().substr(kKdfAt, 2) == "Sc";
}

Result<MinisignSecretKey> MinisignSecretKey::Parse(std::string_view text,
                                                   const Secret& passphrase) {
  auto line = SecretLine(text);
  if (!line.has_value()) {
    return RefuseKey("no comment and one line of base64 of 158 bytes");
  }
  Secret& bytes = *line;
  const std::string_view kdf = bytes.text().substr(kKdfAt, 2);
  const bool encrypted = kdf == "Sc";
  if (!encrypted && kdf != std::string_view("\0\0", 2)) {
    return RefuseKey("its passphrase is by no known function");
  }
  if (bytes.text().substr(kChecksumKindAt, 2) != "B2") {
    return RefuseKey("its checksum is of no known kind");
  }
  const auto wrong_passphrase = [](std::string_view what) {
    return Fail(ErrorCode::kInvalidArgument, std::string(what))
        .Id("E-PASSPHRASE")
        .Hint("--passphrase-file FILE gives it");
  };
  if (encrypted) {
    if (passphrase.empty()) {
      return wrong_passphrase(
          "the key is encrypted, and no passphrase was given");
    }
    RETURN_IF_ERROR(ApplyPassphrase(bytes, passphrase));
  }
  const Blake2b256Digest checksum = ChecksumOf(bytes);
  const ByteSpan all = bytes.bytes();
  // minisign -W writes zeros there.
  const bool no_checksum =
      !encrypted && std::all_of(all.begin() + kChecksumAt, all.end(),
                                [](std::byte b) { return b == std::byte{0}; });
  if (!no_checksum && std::memcmp(checksum.data(), all.data() + kChecksumAt,
                                  checksum.size()) != 0) {
    if (encrypted) {
      return wrong_passphrase("the passphrase is not that of the key");
    }
    return RefuseKey("its checksum is wrong");
  }
  MinisignSecretKey key;
  key.key_ = Secret(all.subspan(kKeyAt, kChecksumAt - kKeyAt));
  std::copy_n(all.begin() + kIdAt, key.public_.id.size(),
              key.public_.id.begin());
  ASSIGN_OR_RETURN(key.public_.key, PublicOf(key.key_.bytes()));
  // A key that signs for another public key gives its secret away.
  if (std::memcmp(key.public_.key.data(), key.key_.bytes().data() + kSeedBytes,
                  kSeedBytes) != 0) {
    return RefuseKey("its two halves do not belong together");
  }
  return key;
}

Result<MinisignSecretKey> MinisignSecretKey::Generate() {
  MinisignSecretKey key;
  key.key_ = Secret(2 * kSeedBytes);
  const std::span<std::byte> bytes = key.key_.bytes();
  if (RAND_priv_bytes(Raw(bytes.data()), kSeedBytes) != 1 ||
      RAND_bytes(Raw(key.public_.id.data()),
                 static_cast<int>(key.public_.id.size())) != 1) {
    return FailOpenSsl("make a key");
  }
  ASSIGN_OR_RETURN(key.public_.key, PublicOf(bytes));
  std::copy(key.public_.key.begin(), key.public_.key.end(),
            bytes.begin() + kSeedBytes);
  return key;
}

Result<Secret> MinisignSecretKey::FileText(const Secret& passphrase) const {
  Secret bytes(kSecretBytes);
  const std::span<std::byte> all = bytes.bytes();
  const auto put = [&](size_t at, ByteSpan part) {
    std::copy(part.begin(), part.end(),
              all.begin() + static_cast<std::ptrdiff_t>(at));
  };
  put(kAlgorithmAt, AsBytes("Ed"));
  put(kChecksumKindAt, AsBytes("B2"));
  put(kIdAt, public_.id);
  put(kKeyAt, key_.bytes());
  put(kChecksumAt, ChecksumOf(bytes));
  if (!passphrase.empty()) {
    put(kKdfAt, AsBytes("Sc"));
    if (RAND_bytes(Raw(all.data() + kSaltAt), kSaltBytes) != 1) {
      return FailOpenSsl("make a salt");
    }
    std::memcpy(all.data() + kOpsAt, &kOps, sizeof(kOps));
    std::memcpy(all.data() + kMemoryAt, &kMemory, sizeof(kMemory));
    RETURN_IF_ERROR(ApplyPassphrase(bytes, passphrase));
  }
  std::string line = Base64Encode(bytes.bytes());
  std::string text =
      StrCat(kUntrusted, "minisign ", passphrase.empty() ? "" : "encrypted ",
             "secret key\n", line, "\n");
  Secret file{std::string_view(text)};
  WipeBytes(std::as_writable_bytes(std::span(line)));
  WipeBytes(std::as_writable_bytes(std::span(text)));
  return file;
}

}  // namespace verify
