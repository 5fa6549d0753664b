// SPDX-License-Identifier: Apache-2.0
// Long because: all that is asked of one database is in one place.
#include "cli/state/state_db.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include "cli/state/paths.h"
#include "verify/base/text.h"

namespace cli {
namespace {

namespace fs = std::filesystem;

using verify::ErrorCode;
using verify::Fail;
using verify::Result;
using verify::StrCat;

// Step N brings a file of version N to version N + 1; a step that was shipped
// is never changed.
constexpr std::array<const char*, 2> kMigrations = {
    R"(CREATE TABLE models(
  path TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  key TEXT NOT NULL,
  hash_v1 TEXT NOT NULL,
  hash_v2 TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  licence TEXT NOT NULL,
  level TEXT NOT NULL,
  fetched_s INTEGER,
  published_s INTEGER) STRICT;
CREATE TABLE verified_files(
  path TEXT PRIMARY KEY,
  size_bytes INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL,
  inode INTEGER NOT NULL,
  device INTEGER NOT NULL,
  digest TEXT NOT NULL,
  level TEXT NOT NULL,
  verified_s INTEGER NOT NULL) STRICT;
CREATE TABLE seeds(
  path TEXT PRIMARY KEY,
  uploaded_bytes INTEGER NOT NULL,
  downloaded_bytes INTEGER NOT NULL,
  seed_seconds REAL NOT NULL,
  last_complete_s INTEGER,
  policy TEXT NOT NULL,
  paused INTEGER NOT NULL,
  wanted INTEGER NOT NULL,
  ended TEXT NOT NULL) STRICT;)",
    R"(CREATE TABLE file_digests(
  path TEXT NOT NULL,
  kind TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL,
  ctime_ns INTEGER NOT NULL,
  inode INTEGER NOT NULL,
  device INTEGER NOT NULL,
  digest TEXT NOT NULL,
  hashed_s INTEGER NOT NULL,
  PRIMARY KEY(path, kind)) STRICT;)"};

constexpr int64_t kDigestLifeSeconds = int64_t{183} * 24 * 3600;

constexpr char kModelColumns[] =
    "SELECT name, path, key, hash_v1, hash_v2, size_bytes, licence, level, "
    "fetched_s, published_s FROM models ";
constexpr char kSeedColumns[] =
    "SELECT path, uploaded_bytes, downloaded_bytes, seed_seconds, "
    "last_complete_s, policy, paused, wanted, ended FROM seeds ";

ModelRecord ReadModel(const SqliteStatement& row) {
  ModelRecord model;
  model.name = row.Text(0);
  model.path = row.Text(1);
  model.key = row.Text(2);
  model.hash_v1 = row.Text(3);
  model.hash_v2 = row.Text(4);
  model.size_bytes = row.Unsigned(5);
  model.licence = row.Text(6);
  model.level = row.Text(7);
  model.fetched_s = row.OptionalInt(8);
  model.published_s = row.OptionalInt(9);
  return model;
}

SeedRecord ReadSeed(const SqliteStatement& row) {
  SeedRecord seed;
  seed.path = row.Text(0);
  seed.uploaded_bytes = row.Unsigned(1);
  seed.downloaded_bytes = row.Unsigned(2);
  seed.seed_seconds = row.Real(3);
  seed.last_complete_s = row.OptionalInt(4);
  seed.policy = row.Text(5);
  seed.paused = row.Int(6) != 0;
  seed.wanted = row.Int(7) != 0;
  seed.ended = row.Text(8);
  return seed;
}

Result<void> MakePrivateFolder(const std::string& folder) {
  std::error_code error;
  fs::create_directories(fs::path(folder).parent_path(), error);
  if (::mkdir(folder.c_str(), 0700) == 0 || errno == EEXIST) return {};
  return verify::FailErrno("create", folder, errno);
}

// Renames the database and what belongs to it out of the way. Nothing is
// deleted: whoever wants to look at it can.
Result<std::string> SetAside(const std::string& path) {
  std::string aside;
  for (int i = 1; i < 1000; ++i) {
    aside = StrCat(path, ".set-aside-", i);
    std::error_code error;
    if (!fs::exists(fs::symlink_status(aside, error))) break;
  }
  for (const char* suffix : {"-wal", "-shm", ""}) {
    std::error_code error;
    fs::rename(path + suffix, aside + suffix, error);
    if (error && error != std::errc::no_such_file_or_directory) {
      return verify::FailErrno("rename", path + suffix, error.value());
    }
  }
  return aside;
}

}  // namespace

std::string StateDb::DefaultPath() { return StateFolder() + "/state.sqlite"; }

Result<StateDb> StateDb::Open(const std::string& path, std::string& warning) {
  warning.clear();
  RETURN_IF_ERROR(MakePrivateFolder(fs::path(path).parent_path().string()));
  // One process at a time opens, so that two that find it broken do not set
  // aside each other's new file.
  const std::string lock_path = path + ".lock";
  const verify::UniqueFd lock(::open(
      lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock.valid()) return verify::FailErrno("open", lock_path, errno);
  while (::flock(lock.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return verify::FailErrno("lock", lock_path, errno);
  }
  auto state = OpenOnce(path);
  if (state || (state.error().code != ErrorCode::kCorrupt &&
                state.error().code != ErrorCode::kUnsupported)) {
    return state;
  }
  const std::string reason = state.error().message;
  ASSIGN_OR_RETURN(const std::string aside, SetAside(path));
  warning = StrCat(reason, "; it was set aside as \"",
                   verify::EscapeForTerminal(aside),
                   "\" and a new one made; models are checked again before "
                   "they are seeded");
  return OpenOnce(path);
}

Result<StateDb> StateDb::OpenOnce(const std::string& path) {
  ASSIGN_OR_RETURN(SqliteDatabase database, SqliteDatabase::Open(path));
  // In WAL mode a kill leaves whole transactions; NORMAL syncs at checkpoints.
  RETURN_IF_ERROR(
      database.Execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"));
  {
    ASSIGN_OR_RETURN(SqliteStatement check,
                     database.Prepare("PRAGMA quick_check(1)"));
    ASSIGN_OR_RETURN(const bool row, check.Step());
    if (!row || check.Text(0) != "ok") {
      return Fail(ErrorCode::kCorrupt,
                  StrCat("state database is broken: ",
                         verify::EscapeForTerminal(row ? check.Text(0) : "")));
    }
  }
  StateDb state(std::move(database));
  RETURN_IF_ERROR(state.Migrate());
  return state;
}

template <typename F>
Result<void> StateDb::InTransaction(F&& body) {
  RETURN_IF_ERROR(database_.Execute("BEGIN IMMEDIATE"));
  Result<void> done = body();
  if (done) done = database_.Execute("COMMIT");
  if (!done) {
    // The first error is the one to tell.
    static_cast<void>(database_.Execute("ROLLBACK"));
  }
  return done;
}

Result<void> StateDb::Migrate() {
  return InTransaction([&]() -> Result<void> {
    int64_t version = 0;
    {
      ASSIGN_OR_RETURN(SqliteStatement read,
                       database_.Prepare("PRAGMA user_version"));
      ASSIGN_OR_RETURN(const bool row, read.Step());
      if (row) version = read.Int(0);
    }
    const auto newest = static_cast<int64_t>(kMigrations.size());
    if (version > newest || version < 0) {
      return Fail(ErrorCode::kUnsupported,
                  StrCat("state database has version ", version,
                         ", this program knows up to ", newest));
    }
    for (int64_t step = version; step < newest; ++step) {
      RETURN_IF_ERROR(
          database_.Execute(kMigrations[static_cast<size_t>(step)]));
    }
    if (version == newest) return {};
    return database_.Execute(StrCat("PRAGMA user_version=", newest));
  });
}

Result<std::string> StateDb::PutModel(const ModelRecord& model) {
  std::string name = model.name;
  auto stored = InTransaction([&]() -> Result<void> {
    std::set<std::string> taken;
    ASSIGN_OR_RETURN(const std::vector<ModelRecord> models, Models());
    for (const ModelRecord& other : models) {
      if (other.path == model.path) {
        // Once printed, a name stays.
        name = other.name;
        taken.clear();
        break;
      }
      taken.insert(other.name);
    }
    for (int i = 2; taken.contains(name); ++i)
      name = StrCat(model.name, "-", i);
    ASSIGN_OR_RETURN(
        SqliteStatement put,
        database_.Prepare(
            "INSERT INTO models(name, path, key, hash_v1, hash_v2, size_bytes, "
            "licence, level, fetched_s, published_s) "
            "VALUES(?,?,?,?,?,?,?,?,?,?) ON CONFLICT(path) DO UPDATE SET "
            "key=excluded.key, hash_v1=excluded.hash_v1, "
            "hash_v2=excluded.hash_v2, size_bytes=excluded.size_bytes, "
            "licence=iif(excluded.licence='', licence, excluded.licence), "
            "level=iif(excluded.level='', level, excluded.level), "
            "fetched_s=coalesce(excluded.fetched_s, fetched_s), "
            "published_s=coalesce(excluded.published_s, published_s)"));
    return put.Bind(name)
        .Bind(model.path)
        .Bind(model.key)
        .Bind(model.hash_v1)
        .Bind(model.hash_v2)
        .Bind(model.size_bytes)
        .Bind(model.licence)
        .Bind(model.level)
        .Bind(model.fetched_s)
        .Bind(model.published_s)
        .Run();
  });
  if (!stored) return verify::Unexpected(std::move(stored).error());
  return name;
}

Result<std::vector<ModelRecord>> StateDb::Models() const {
  ASSIGN_OR_RETURN(SqliteStatement read,
                   database_.Prepare(StrCat(kModelColumns, "ORDER BY name")));
  std::vector<ModelRecord> models;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, read.Step());
    if (!row) return models;
    models.push_back(ReadModel(read));
  }
}

Result<std::optional<ModelRecord>> StateDb::FindModel(
    std::string_view what) const {
  ASSIGN_OR_RETURN(std::vector<ModelRecord> models, Models());
  const std::string path = CanonicalPath(std::string(what));
  for (ModelRecord& model : models) {
    if (model.name == what) return std::optional(std::move(model));
  }
  for (ModelRecord& model : models) {
    if (model.path == path) return std::optional(std::move(model));
  }
  constexpr size_t kFewestDigits = 8;
  if (what.size() < kFewestDigits) return std::optional<ModelRecord>();
  const std::string digits = verify::AsciiLower(what);
  std::optional<ModelRecord> found;
  for (ModelRecord& model : models) {
    if (!model.hash_v1.starts_with(digits) &&
        !model.hash_v2.starts_with(digits)) {
      continue;
    }
    if (found.has_value()) return std::optional<ModelRecord>();
    found = std::move(model);
  }
  return found;
}

Result<void> StateDb::RemoveModel(const std::string& path) {
  return InTransaction([&]() -> Result<void> {
    for (const char* sql :
         {"DELETE FROM models WHERE path=?", "DELETE FROM seeds WHERE path=?",
          "DELETE FROM verified_files WHERE path=?",
          "DELETE FROM file_digests WHERE path=?"}) {
      ASSIGN_OR_RETURN(SqliteStatement remove, database_.Prepare(sql));
      RETURN_IF_ERROR(remove.Bind(path).Run());
    }
    // Everything below the folder: names that begin with "PATH/", which end
    // before "PATH0", as '0' follows '/'.
    for (const char* sql :
         {"DELETE FROM verified_files WHERE path>? AND path<?",
          "DELETE FROM file_digests WHERE path>? AND path<?"}) {
      ASSIGN_OR_RETURN(SqliteStatement below, database_.Prepare(sql));
      RETURN_IF_ERROR(below.Bind(path + "/").Bind(path + "0").Run());
    }
    return {};
  });
}

Result<void> StateDb::PutDigests(const std::string& path,
                                 const verify::FileStamp& stamp,
                                 const RememberedDigests& digests,
                                 int64_t now_s) {
  return InTransaction([&]() -> Result<void> {
    ASSIGN_OR_RETURN(
        SqliteStatement forget,
        database_.Prepare("DELETE FROM file_digests WHERE hashed_s<? OR "
                          "(path=? AND NOT (size_bytes=? AND mtime_ns=? AND "
                          "ctime_ns=? AND inode=? AND device=?))"));
    RETURN_IF_ERROR(forget.Bind(now_s - kDigestLifeSeconds)
                        .Bind(path)
                        .Bind(stamp.identity.size_bytes)
                        .Bind(stamp.identity.mtime_ns)
                        .Bind(stamp.ctime_ns)
                        .Bind(stamp.identity.inode)
                        .Bind(stamp.identity.device)
                        .Run());
    for (const auto& [kind, digest] : digests) {
      ASSIGN_OR_RETURN(
          SqliteStatement put,
          database_.Prepare(
              "INSERT OR REPLACE INTO file_digests(path, kind, size_bytes, "
              "mtime_ns, ctime_ns, inode, device, digest, hashed_s) "
              "VALUES(?,?,?,?,?,?,?,?,?)"));
      RETURN_IF_ERROR(put.Bind(path)
                          .Bind(kind)
                          .Bind(stamp.identity.size_bytes)
                          .Bind(stamp.identity.mtime_ns)
                          .Bind(stamp.ctime_ns)
                          .Bind(stamp.identity.inode)
                          .Bind(stamp.identity.device)
                          .Bind(digest)
                          .Bind(now_s)
                          .Run());
    }
    return {};
  });
}

Result<RememberedDigests> StateDb::FindDigests(
    const std::string& path, const verify::FileStamp& stamp) const {
  ASSIGN_OR_RETURN(
      SqliteStatement read,
      database_.Prepare(
          "SELECT kind, digest FROM file_digests WHERE path=? AND size_bytes=? "
          "AND mtime_ns=? AND ctime_ns=? AND inode=? AND device=?"));
  read.Bind(path)
      .Bind(stamp.identity.size_bytes)
      .Bind(stamp.identity.mtime_ns)
      .Bind(stamp.ctime_ns)
      .Bind(stamp.identity.inode)
      .Bind(stamp.identity.device);
  RememberedDigests digests;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, read.Step());
    if (!row) return digests;
    digests[read.Text(0)] = read.Text(1);
  }
}

Result<void> StateDb::PutVerified(const std::vector<VerifiedFile>& files,
                                  const std::string& digest,
                                  const std::string& level, int64_t now_s) {
  return InTransaction([&]() -> Result<void> {
    for (const VerifiedFile& file : files) {
      ASSIGN_OR_RETURN(
          SqliteStatement put,
          database_.Prepare(
              "INSERT OR REPLACE INTO verified_files(path, size_bytes, "
              "mtime_ns, inode, device, digest, level, verified_s) "
              "VALUES(?,?,?,?,?,?,?,?)"));
      RETURN_IF_ERROR(put.Bind(file.path)
                          .Bind(file.identity.size_bytes)
                          .Bind(file.identity.mtime_ns)
                          .Bind(file.identity.inode)
                          .Bind(file.identity.device)
                          .Bind(digest)
                          .Bind(level)
                          .Bind(now_s)
                          .Run());
    }
    return {};
  });
}

Result<bool> StateDb::AllVerified(const std::vector<VerifiedFile>& files,
                                  const std::string& digest) const {
  for (const VerifiedFile& file : files) {
    ASSIGN_OR_RETURN(
        SqliteStatement read,
        database_.Prepare("SELECT 1 FROM verified_files WHERE path=? AND "
                          "size_bytes=? AND mtime_ns=? AND inode=? AND "
                          "device=? AND digest=?"));
    ASSIGN_OR_RETURN(const bool row, read.Bind(file.path)
                                         .Bind(file.identity.size_bytes)
                                         .Bind(file.identity.mtime_ns)
                                         .Bind(file.identity.inode)
                                         .Bind(file.identity.device)
                                         .Bind(digest)
                                         .Step());
    if (!row) return false;
  }
  return true;
}

Result<void> StateDb::ForgetVerified(const std::vector<VerifiedFile>& files) {
  return InTransaction([&]() -> Result<void> {
    for (const VerifiedFile& file : files) {
      ASSIGN_OR_RETURN(
          SqliteStatement forget,
          database_.Prepare("DELETE FROM verified_files WHERE path=?"));
      RETURN_IF_ERROR(forget.Bind(file.path).Run());
    }
    return {};
  });
}

Result<void> StateDb::PutSeeds(const std::vector<SeedRecord>& seeds) {
  return InTransaction([&]() -> Result<void> {
    for (const SeedRecord& seed : seeds) {
      ASSIGN_OR_RETURN(
          SqliteStatement put,
          database_.Prepare(
              "INSERT OR REPLACE INTO seeds(path, uploaded_bytes, "
              "downloaded_bytes, seed_seconds, last_complete_s, policy, "
              "paused, wanted, ended) VALUES(?,?,?,?,?,?,?,?,?)"));
      RETURN_IF_ERROR(put.Bind(seed.path)
                          .Bind(seed.uploaded_bytes)
                          .Bind(seed.downloaded_bytes)
                          .Bind(seed.seed_seconds)
                          .Bind(seed.last_complete_s)
                          .Bind(seed.policy)
                          .Bind(int64_t{seed.paused})
                          .Bind(int64_t{seed.wanted})
                          .Bind(seed.ended)
                          .Run());
    }
    return {};
  });
}

Result<std::optional<SeedRecord>> StateDb::FindSeed(
    const std::string& path) const {
  ASSIGN_OR_RETURN(SqliteStatement read,
                   database_.Prepare(StrCat(kSeedColumns, "WHERE path=?")));
  ASSIGN_OR_RETURN(const bool row, read.Bind(path).Step());
  if (!row) return std::optional<SeedRecord>();
  return std::optional(ReadSeed(read));
}

Result<std::vector<SeedRecord>> StateDb::Seeds() const {
  ASSIGN_OR_RETURN(SqliteStatement read,
                   database_.Prepare(StrCat(kSeedColumns, "ORDER BY path")));
  std::vector<SeedRecord> seeds;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, read.Step());
    if (!row) return seeds;
    seeds.push_back(ReadSeed(read));
  }
}

std::optional<std::vector<VerifiedFile>> PayloadIdentities(
    const p2p::Metainfo& metainfo, const std::string& path) {
  std::vector<VerifiedFile> files;
  for (const p2p::MetainfoFile& file : metainfo.files) {
    if (file.is_pad) continue;
    VerifiedFile entry;
    entry.path = metainfo.single_file ? path : path + "/" + file.path;
    const auto stamp = verify::StampOf(entry.path);
    if (!stamp || stamp->identity.size_bytes != file.size_bytes) {
      return std::nullopt;
    }
    entry.identity = stamp->identity;
    files.push_back(std::move(entry));
  }
  return files;
}

bool SameIdentities(const std::vector<VerifiedFile>& a,
                    const std::vector<VerifiedFile>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const VerifiedFile& one, const VerifiedFile& other) {
                      return one.identity == other.identity;
                    });
}

std::string VerifiedDigest(const p2p::Metainfo& metainfo) {
  return "torrent:" + metainfo.info_hashes.Key();
}

ModelRecord ModelOf(const p2p::Metainfo& metainfo, const std::string& path) {
  ModelRecord model;
  model.path = CanonicalPath(path);
  model.name = fs::path(model.path).filename().string();
  model.key = metainfo.info_hashes.Key();
  if (metainfo.info_hashes.v1.has_value()) {
    model.hash_v1 = verify::HexEncode(*metainfo.info_hashes.v1);
  }
  if (metainfo.info_hashes.v2.has_value()) {
    model.hash_v2 = verify::HexEncode(*metainfo.info_hashes.v2);
  }
  model.size_bytes = metainfo.total_bytes();
  return model;
}

}  // namespace cli
