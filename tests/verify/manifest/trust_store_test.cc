// SPDX-License-Identifier: Apache-2.0
#include "verify/manifest/trust_store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "tests/support/expect_error.h"
#include "tests/support/temp_dir.h"
#include "verify/base/text.h"

namespace verify {
namespace {

using tests::ExpectError;

constexpr std::string_view kShort =
    "RWR93J44p0gUmpFM3TNK+5HL8DmbyhUQmpsqCYImY6RTlTWv8yAw+QfI";

std::string EcPem() {
  return EcPrivateKey::Generate(EcCurve::kP384).value().public_key().pem();
}

std::string Folder(const tests::TempDir& dir) { return dir.path() + "/keys"; }

TEST(TrustStoreTest, KeepsKeysOfEveryKind) {
  const tests::TempDir dir;
  auto store = TrustStore::Open(Folder(dir));
  ASSERT_TRUE(store.has_value());
  EXPECT_TRUE(store->keys().empty());
  const std::string pem = EcPem();
  const std::string root = tests::ReadFile(
      StrCat(LODESTONE_SOURCE_DIR, "/tests/golden/oms/ca-cert.pem"));
  ASSERT_TRUE(store->Add(ParseAcceptedKey(kShort, "mini").value()));
  ASSERT_TRUE(store->Add(ParseAcceptedKey(pem, "curve").value()));
  ASSERT_TRUE(store->Add(ParseAcceptedKey(root, "company").value()));

  store = TrustStore::Open(Folder(dir));
  ASSERT_TRUE(store.has_value());
  EXPECT_TRUE(store->refused().empty());
  ASSERT_EQ(store->keys().size(), 3u);
  EXPECT_EQ(store->keys()[0].name, "company");
  EXPECT_EQ(store->keys()[0].Type(), "root");
  EXPECT_EQ(store->keys()[1].name, "curve");
  EXPECT_EQ(store->keys()[1].Type(), "p384");
  EXPECT_EQ(store->keys()[1].Portable(), pem);
  EXPECT_EQ(store->keys()[2].Type(), "minisign");
  EXPECT_EQ(store->keys()[2].Portable(), kShort);
  EXPECT_EQ(store->keys()[2].Fingerprint(), "9A1448A7389EDC7D");
  EXPECT_EQ(store->Find("mini"), &store->keys()[2]);
  EXPECT_EQ(store->Find("9a1448a7389edc7d"), &store->keys()[2]);
  EXPECT_EQ(store->Find("x"), nullptr);
  struct stat info {};
  ASSERT_EQ(::stat(store->keys()[2].path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ASSERT_EQ(::stat(Folder(dir).c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);

  ASSERT_TRUE(store->Remove("mini"));
  ExpectError(store->Remove("mini"), ErrorCode::kNotFound, "mini", "E-NO-KEY");
  EXPECT_EQ(TrustStore::Open(Folder(dir)).value().keys().size(), 2u);
}

TEST(TrustStoreTest, OneNameIsOneKey) {
  const tests::TempDir dir;
  auto store = TrustStore::Open(Folder(dir));
  ASSERT_TRUE(store->Add(ParseAcceptedKey(kShort, "k").value()));
  EXPECT_TRUE(store->Add(ParseAcceptedKey(kShort, "k").value()));
  ExpectError(store->Add(ParseAcceptedKey(EcPem(), "k").value()),
              ErrorCode::kInvalidArgument, "another key", "E-KEY-NAME");
  for (const char* name : {"", "../x", ".x", "-x", "a/b", "a b", "\x1B"}) {
    ExpectError(store->Add(ParseAcceptedKey(kShort, name).value()),
                ErrorCode::kInvalidArgument, "name", "E-KEY-NAME");
  }
}

TEST(TrustStoreTest, IgnoresKeysThatOthersMayChange) {
  const tests::TempDir dir;
  auto store = TrustStore::Open(Folder(dir));
  ASSERT_TRUE(store->Add(ParseAcceptedKey(kShort, "k").value()));
  const std::string path = Folder(dir) + "/k.pub";
  for (const mode_t mode : {mode_t{0620}, mode_t{0602}, mode_t{0666}}) {
    ASSERT_EQ(::chmod(path.c_str(), mode), 0);
    const auto opened = TrustStore::Open(Folder(dir)).value();
    EXPECT_TRUE(opened.keys().empty());
    ASSERT_EQ(opened.refused().size(), 1u);
    EXPECT_NE(opened.refused()[0].message.find("others may write"),
              std::string::npos);
  }
  ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
  EXPECT_EQ(TrustStore::Open(Folder(dir)).value().keys().size(), 1u);
  ASSERT_EQ(::chmod(Folder(dir).c_str(), 0777), 0);
  EXPECT_TRUE(TrustStore::Open(Folder(dir)).value().keys().empty());
  ASSERT_EQ(::chmod(Folder(dir).c_str(), 0700), 0);
  if (::geteuid() == 0) {
    ASSERT_EQ(::chown(path.c_str(), 12345, 12345), 0);
    const auto opened = TrustStore::Open(Folder(dir)).value();
    EXPECT_TRUE(opened.keys().empty());
    EXPECT_NE(opened.refused()[0].message.find("belongs to user 12345"),
              std::string::npos);
  }
}

TEST(TrustStoreTest, IgnoresLinksAndFilesThatAreNoKeys) {
  const tests::TempDir dir;
  dir.Write("elsewhere.pub", std::string(kShort) + "\n");
  dir.Write("keys/bad.pub", "x");
  dir.Write("keys/large.pub", std::string(100'000, 'x'));
  dir.Write("keys/note.txt", "x");
  ASSERT_EQ(::chmod(Folder(dir).c_str(), 0700), 0);
  std::filesystem::create_symlink(dir.path() + "/elsewhere.pub",
                                  Folder(dir) + "/link.pub");
  std::filesystem::create_directory(Folder(dir) + "/dir.pub");
  const auto store = TrustStore::Open(Folder(dir)).value();
  EXPECT_TRUE(store.keys().empty());
  EXPECT_EQ(store.refused().size(), 4u);
}

TEST(TrustStoreTest, NeverTakesASecretKeyForAPublicOne) {
  const auto key = EcPrivateKey::Generate(EcCurve::kP256);
  const auto pem = key->ToPem(Secret());
  ExpectError(ParseAcceptedKey(pem->text(), "k"), ErrorCode::kInvalidArgument,
              "secret key", "E-SECRET-KEY");
  const auto mini = MinisignSecretKey::Generate()->FileText(Secret());
  ExpectError(ParseAcceptedKey(mini->text(), "k"), ErrorCode::kInvalidArgument,
              "secret key", "E-SECRET-KEY");
}

}  // namespace
}  // namespace verify
