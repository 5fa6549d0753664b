// SPDX-License-Identifier: Apache-2.0
// What the program remembers between runs, in one SQLite file
// ($XDG_STATE_HOME/lodestone/state.sqlite, write-ahead log, folder 0700): the
// models that are here, which files were verified in which state, the digests
// of files that were read, and how long and how much each model was seeded. It
// decides no trust by itself: a file counts as verified or as read only as long
// as its size, times and inode are those that were recorded. Loss of the file
// costs a re-check, never payload. Tested by tests/cli/state/state_db_test.cc
// and tests/scripts/seed_kill9.py.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/state/sqlite.h"
#include "p2p/metainfo.h"
#include "verify/base/file.h"
#include "verify/base/file_stamp.h"
#include "verify/base/result.h"

namespace cli {

// A folder or file that a torrent names.
struct ModelRecord {
  std::string name;     // unique; what `ls` prints and verbs accept
  std::string path;     // canonical; unique
  std::string key;      // InfoHashes::Key()
  std::string hash_v1;  // hex, empty if there is none
  std::string hash_v2;
  uint64_t size_bytes = 0;
  std::string licence;               // empty: not known
  std::string level;                 // TrustLevelName, empty: not checked
  std::optional<int64_t> fetched_s;  // seconds since 1970
  std::optional<int64_t> published_s;
};

// The seeding of one model over all runs.
struct SeedRecord {
  std::string path;  // of its model
  uint64_t uploaded_bytes = 0;
  uint64_t downloaded_bytes = 0;
  double seed_seconds = 0;
  // When another complete peer was last seen, in seconds since 1970.
  std::optional<int64_t> last_complete_s;
  std::string policy;  // p2p::FormatSeedPolicy
  bool paused = false;
  bool wanted = false;  // served by `lodestone seed` without arguments
  std::string ended;    // why it stopped by itself; empty: it did not
};

// A payload file as it was when its bytes were found right.
struct VerifiedFile {
  std::string path;
  verify::FileIdentity identity;
};

// Digests of one file in hex, by kind: what flows/cached_hash names them.
using RememberedDigests = std::map<std::string, std::string>;

// Used by one thread at a time. Several processes may have it open.
class StateDb {
 public:
  // StateFolder()/state.sqlite.
  static std::string DefaultPath();

  // Opens or makes it, and its folder. A file that is broken, or of a later
  // version, is renamed to "NAME.set-aside-N" and a new one made; `warning`
  // then says so. Errors: kIo (folder or file cannot be made or written),
  // kBusy (another process holds it for more than five seconds).
  static verify::Result<StateDb> Open(const std::string& path,
                                      std::string& warning);

  // Adds or updates by path; what the record leaves empty is kept. Gives the
  // name, with "-2", "-3", ... behind it if another path has it already.
  verify::Result<std::string> PutModel(const ModelRecord& model);
  verify::Result<std::vector<ModelRecord>> Models() const;
  // By name, path, or at least eight first digits of its hash. Nothing if
  // none or several fit.
  verify::Result<std::optional<ModelRecord>> FindModel(
      std::string_view what) const;
  // Forgets the model, its seeding and its verified files; no file is touched.
  verify::Result<void> RemoveModel(const std::string& path);

  // `digest` says what the bytes were found to be: "torrent:KEY".
  verify::Result<void> PutVerified(const std::vector<VerifiedFile>& files,
                                   const std::string& digest,
                                   const std::string& level, int64_t now_s);
  // True if every file is recorded with this identity and digest.
  verify::Result<bool> AllVerified(const std::vector<VerifiedFile>& files,
                                   const std::string& digest) const;
  verify::Result<void> ForgetVerified(const std::vector<VerifiedFile>& files);

  // Adds to what is remembered of the file at `path` (canonical) in this state;
  // what was remembered of it in another state is forgotten, and of any file
  // what was not renewed for half a year.
  verify::Result<void> PutDigests(const std::string& path,
                                  const verify::FileStamp& stamp,
                                  const RememberedDigests& digests,
                                  int64_t now_s);
  // Empty if the file is not remembered in this state.
  verify::Result<RememberedDigests> FindDigests(
      const std::string& path, const verify::FileStamp& stamp) const;

  verify::Result<void> PutSeeds(const std::vector<SeedRecord>& seeds);
  verify::Result<std::optional<SeedRecord>> FindSeed(
      const std::string& path) const;
  verify::Result<std::vector<SeedRecord>> Seeds() const;

 private:
  explicit StateDb(SqliteDatabase database) : database_(std::move(database)) {}
  static verify::Result<StateDb> OpenOnce(const std::string& path);
  verify::Result<void> Migrate();
  template <typename F>
  verify::Result<void> InTransaction(F&& body);

  SqliteDatabase database_;
};

// The files of a payload at `path` (folder or file) as they are now; nothing
// if one of them is missing, no regular file, or of another size than the
// torrent says.
std::optional<std::vector<VerifiedFile>> PayloadIdentities(
    const p2p::Metainfo& metainfo, const std::string& path);

// True if the two list the same files in the same state, wherever they stand.
bool SameIdentities(const std::vector<VerifiedFile>& a,
                    const std::vector<VerifiedFile>& b);

// "torrent:KEY".
std::string VerifiedDigest(const p2p::Metainfo& metainfo);

// The record of a torrent's payload at `path`, made canonical.
ModelRecord ModelOf(const p2p::Metainfo& metainfo, const std::string& path);

}  // namespace cli
