// SPDX-License-Identifier: Apache-2.0
#include "p2p/resume_store.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "tests/support/temp_dir.h"
#include "verify/base/text.h"
#include "verify/digest/digest.h"

namespace tests {
namespace {

using p2p::DecodeState;
using p2p::EncodeState;
using p2p::ResumeState;
using verify::ErrorCode;

std::vector<std::byte> Bytes(std::string_view text) {
  const verify::ByteSpan bytes = verify::AsBytes(text);
  return {bytes.begin(), bytes.end()};
}

ResumeState SampleState() {
  ResumeState state;
  state.info_hashes.v1.emplace().fill(std::byte{0x11});
  state.info_hashes.v2.emplace().fill(std::byte{0x22});
  state.torrent = Bytes("d4:infodee");
  state.resume_data = Bytes("d3:abc3:defe");
  state.payload_fingerprint = "f00d";
  state.trackers = {"udp://a.example:1337/announce", "http://b.example/"};
  state.web_seeds = {"https://c.example/x/"};
  return state;
}

template <typename T>
std::string Le(T value) {
  std::string out(sizeof(T), '\0');
  std::memcpy(out.data(), &value, sizeof(T));
  return out;
}

std::string Field(uint32_t tag, std::string_view content) {
  return Le<uint32_t>(tag) + Le<uint64_t>(content.size()) +
         std::string(content);
}

// A file as docs/decisions/0001 lays it out, around any body.
std::vector<std::byte> Sealed(const std::string& body, uint32_t version = 1) {
  const verify::Sha256Digest digest = verify::Sha256(verify::AsBytes(body));
  return Bytes("LSTSTATE" + Le<uint32_t>(version) + Le<uint64_t>(body.size()) +
               std::string(verify::AsText(digest)) + body);
}

const std::string kHash(20, '\x11');

TEST(ResumeStoreTest, ReadsBackWhatItWrote) {
  const ResumeState state = SampleState();
  const auto decoded = DecodeState(EncodeState(state));
  ASSERT_TRUE(decoded) << decoded.error().ToString();
  EXPECT_EQ(*decoded, state);
}

TEST(ResumeStoreTest, ReadsTheLayoutOfTheDecisionPage) {
  const auto decoded = DecodeState(
      Sealed(Field(1, kHash) + Field(6, "http://t/") + Field(8, "dee")));
  ASSERT_TRUE(decoded) << decoded.error().ToString();
  EXPECT_EQ(decoded->info_hashes.Key(), verify::HexEncode(Bytes(kHash)));
  EXPECT_EQ(decoded->trackers, std::vector<std::string>{"http://t/"});
  EXPECT_EQ(decoded->info, Bytes("dee"));
}

struct BadState {
  const char* name;
  std::vector<std::byte> bytes;
  ErrorCode code;
};

// Case F6.
TEST(ResumeStoreTest, RefusesEachBrokenRule) {
  const std::string hash = Field(1, kHash);
  const std::vector<BadState> cases = {
      {"empty", {}, ErrorCode::kCorrupt},
      {"magic", Bytes(std::string(60, 'x')), ErrorCode::kCorrupt},
      {"version 0", Sealed(hash, 0), ErrorCode::kCorrupt},
      {"later version", Sealed(hash, 2), ErrorCode::kUnsupported},
      {"no hash", Sealed(Field(6, "http://t/")), ErrorCode::kCorrupt},
      {"short v1", Sealed(Field(1, "short")), ErrorCode::kCorrupt},
      {"short v2", Sealed(Field(2, kHash)), ErrorCode::kCorrupt},
      {"twice", Sealed(hash + hash), ErrorCode::kCorrupt},
      {"order", Sealed(Field(3, "") + hash), ErrorCode::kCorrupt},
      {"tag", Sealed(hash + Field(99, "")), ErrorCode::kCorrupt},
      {"length past end",
       Sealed(hash + Le<uint32_t>(3) + Le<uint64_t>(1u << 30)),
       ErrorCode::kCorrupt},
      {"half a field", Sealed(hash + "ab"), ErrorCode::kCorrupt},
      {"fingerprint", Sealed(hash + Field(5, std::string(129, 'f'))),
       ErrorCode::kCorrupt},
      {"long url", Sealed(hash + Field(6, std::string(8193, 'u'))),
       ErrorCode::kLimit},
  };
  for (const BadState& bad : cases) {
    const auto decoded = DecodeState(bad.bytes);
    ASSERT_FALSE(decoded) << bad.name;
    EXPECT_EQ(decoded.error().code, bad.code) << bad.name;
    EXPECT_EQ(decoded.error().id, "E-STATE") << bad.name;
  }
  std::string many = hash;
  for (int i = 0; i < 1001; ++i) many += Field(6, "u");
  const auto decoded = DecodeState(Sealed(many));
  ASSERT_FALSE(decoded);
  EXPECT_EQ(decoded.error().code, ErrorCode::kLimit);
}

// Case F6.
TEST(ResumeStoreTest, RefusesEveryTruncationAndEveryFlippedByte) {
  const std::vector<std::byte> whole = EncodeState(SampleState());
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(DecodeState(verify::ByteSpan(whole).first(size))) << size;
  }
  for (size_t i = 0; i < whole.size(); ++i) {
    std::vector<std::byte> flipped = whole;
    flipped[i] ^= std::byte{0x40};
    EXPECT_FALSE(DecodeState(flipped)) << i;
  }
}

TEST(ResumeStoreTest, KeepsOneGeneration) {
  const TempDir temp;
  const std::string path = temp.File("state");
  ResumeState first = SampleState();
  ResumeState second = SampleState();
  second.payload_fingerprint = "beef";
  ASSERT_TRUE(p2p::SaveState(path, first));
  ASSERT_TRUE(p2p::SaveState(path, second));
  p2p::LoadedState loaded = p2p::LoadState(path);
  EXPECT_EQ(loaded.state, second);
  EXPECT_TRUE(loaded.remarks.empty());

  temp.Write("state", "half a st");
  loaded = p2p::LoadState(path);
  EXPECT_EQ(loaded.state, first);
  EXPECT_EQ(loaded.remarks.size(), 1u);

  std::filesystem::remove(temp.File("state"));
  EXPECT_EQ(p2p::LoadState(path).state, first);
}

TEST(ResumeStoreTest, AbsentStateIsNoRemark) {
  const TempDir temp;
  const p2p::LoadedState loaded = p2p::LoadState(temp.File("state"));
  EXPECT_FALSE(loaded.state.has_value());
  EXPECT_TRUE(loaded.remarks.empty());
}

TEST(ResumeStoreTest, LeavesNothingBesideTheTwoGenerations) {
  const TempDir temp;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(p2p::SaveState(temp.File("state"), SampleState()));
  }
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(temp.path())) {
    ++count;
    EXPECT_EQ(entry.status().permissions(),
              std::filesystem::perms::owner_read |
                  std::filesystem::perms::owner_write)
        << entry.path();
  }
  EXPECT_EQ(count, 2u);
}

}  // namespace
}  // namespace tests
