// SPDX-License-Identifier: Apache-2.0
// What a web seed is asked for and which of its answers are believed; whole
// downloads are in tests/scripts/web_seeds.py.
#include "p2p/web_seeds.h"

#include <gtest/gtest.h>

#include "p2p/http_range.h"

namespace tests {
namespace {

using p2p::ContentRangeFits;
using p2p::HttpRules;
using p2p::Metainfo;
using p2p::MetainfoFile;
using p2p::RedirectProblem;
using p2p::SameOrigin;
using p2p::WebSeedFileUrl;

// BEP 19: "the name from the torrent, then the path and file".
TEST(WebSeedFileUrlTest, JoinsUrlNameAndPath) {
  Metainfo metainfo;
  metainfo.name = "my model";
  MetainfoFile file;
  file.path = "sub/a%b?c#d&e.bin";
  EXPECT_EQ(WebSeedFileUrl("http://a.example/x", metainfo, file),
            "http://a.example/x/my%20model/sub/a%25b%3Fc%23d%26e.bin");
  EXPECT_EQ(WebSeedFileUrl("http://a.example/x/", metainfo, file),
            "http://a.example/x/my%20model/sub/a%25b%3Fc%23d%26e.bin");
  file.path = "\xC3\xA4.bin";
  EXPECT_EQ(WebSeedFileUrl("http://a.example/", metainfo, file),
            "http://a.example/my%20model/%C3%A4.bin");
}

// BEP 19: a single-file torrent's URL is the file, or its folder.
TEST(WebSeedFileUrlTest, TakesTheUrlItselfForOneFile) {
  Metainfo metainfo;
  metainfo.name = "weights.bin";
  metainfo.single_file = true;
  MetainfoFile file;
  file.path = "weights.bin";
  EXPECT_EQ(WebSeedFileUrl("http://a.example/w?v=1", metainfo, file),
            "http://a.example/w?v=1");
  EXPECT_EQ(WebSeedFileUrl("http://a.example/w/", metainfo, file),
            "http://a.example/w/weights.bin");
}

// RFC 9110, section 14.4.
TEST(ContentRangeTest, FitsOnlyWhatWasAskedFor) {
  EXPECT_TRUE(ContentRangeFits("bytes 42-1233/1234", 42, 1192, 1234));
  EXPECT_TRUE(ContentRangeFits("bytes 42-1233/*", 42, 1192, 1234));
  EXPECT_FALSE(ContentRangeFits("bytes 42-1233/1235", 42, 1192, 1234));
  EXPECT_FALSE(ContentRangeFits("bytes 41-1232/1234", 42, 1192, 1234));
  EXPECT_FALSE(ContentRangeFits("bytes 42-1232/1234", 42, 1192, 1234));
  EXPECT_FALSE(ContentRangeFits("bytes */1234", 42, 1192, 1234));
  EXPECT_FALSE(ContentRangeFits("items 42-1233/1234", 42, 1192, 1234));
  EXPECT_FALSE(ContentRangeFits("bytes 42-1233", 42, 1192, 1234));
  EXPECT_FALSE(ContentRangeFits("bytes 42/1233-1234", 42, 1192, 1234));
  EXPECT_FALSE(ContentRangeFits("", 0, 1, 1));
  EXPECT_FALSE(ContentRangeFits("bytes 0-18446744073709551615/*", 0, 0, 0));
}

TEST(SameOriginTest, ComparesSchemeHostAndPort) {
  EXPECT_TRUE(SameOrigin("http://A.example/x", "http://a.example:80/y"));
  EXPECT_TRUE(SameOrigin("https://a.example", "https://a.example:443/?q"));
  EXPECT_FALSE(SameOrigin("http://a.example/", "https://a.example/"));
  EXPECT_FALSE(SameOrigin("http://a.example/", "http://a.example:8080/"));
  EXPECT_FALSE(SameOrigin("http://a.example/", "http://b.example/"));
  EXPECT_TRUE(SameOrigin("http://[::1]:8080/a", "http://[::1]:8080/b"));
  EXPECT_FALSE(SameOrigin("http://[::1]/a", "http://[::1]:8080/b"));
}

TEST(RedirectTest, B5LeadsNowhereLocal) {
  HttpRules rules;
  rules.origin = "https://hub.example/r/";
  const std::string from = "https://hub.example/r/m/w.bin";
  EXPECT_FALSE(RedirectProblem(from, "https://cdn.example/x?sig=1", rules));
  for (const char* to :
       {"http://cdn.example/x", "https://127.0.0.1/x", "https://[::1]/x",
        "https://192.168.1.7/x", "https://10.0.0.1/x", "https://nas/x",
        "https://169.254.169.254/latest/", "https://me:pw@cdn.example/x",
        "ftp://cdn.example/x", "file:///etc/passwd", "https://cdn.example:22/",
        "https://0x7f000001/x"}) {
    EXPECT_TRUE(RedirectProblem(from, to, rules).has_value()) << to;
  }
}

TEST(RedirectTest, B5LetsALocalServerThatWasNamedLeadHomeOnly) {
  HttpRules rules;
  rules.origin = "http://127.0.0.1:8080/";
  rules.named_by_user = true;
  const std::string from = "http://127.0.0.1:8080/m/w.bin";
  EXPECT_FALSE(RedirectProblem(from, "http://127.0.0.1:8080/other", rules));
  EXPECT_TRUE(RedirectProblem(from, "http://127.0.0.1:9090/", rules));
  EXPECT_TRUE(RedirectProblem(from, "http://192.168.1.1/", rules));
  rules.named_by_user = false;
  EXPECT_TRUE(RedirectProblem(from, "http://127.0.0.1:8080/other", rules));
  rules.allow_local = true;
  EXPECT_FALSE(RedirectProblem(from, "http://127.0.0.1:9090/", rules));
}

}  // namespace
}  // namespace tests
