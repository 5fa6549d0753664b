// SPDX-License-Identifier: Apache-2.0
// A thin owner of SQLite handles: open, run, bind, step. Used by cli/state
// only. Tested by tests/cli/state/state_db_test.cc.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "verify/base/result.h"

namespace cli {

// One prepared statement. Bind in order from 1, Step until it gives false.
// Used by one thread; must not outlive its database.
class SqliteStatement {
 public:
  SqliteStatement& Bind(std::string_view text);
  SqliteStatement& Bind(int64_t value);
  SqliteStatement& Bind(uint64_t value);
  SqliteStatement& Bind(double value);
  SqliteStatement& Bind(const std::optional<int64_t>& value);

  // True: a row is there. Errors: kIo, kBusy, kCorrupt (a broken file).
  verify::Result<bool> Step();
  // For statements without rows.
  verify::Result<void> Run();

  std::string Text(int column) const;
  int64_t Int(int column) const;
  uint64_t Unsigned(int column) const;
  double Real(int column) const;
  std::optional<int64_t> OptionalInt(int column) const;

 private:
  friend class SqliteDatabase;
  struct Finalizer {
    void operator()(sqlite3_stmt* statement) const {
      sqlite3_finalize(statement);
    }
  };
  explicit SqliteStatement(sqlite3_stmt* statement) : statement_(statement) {}

  std::unique_ptr<sqlite3_stmt, Finalizer> statement_;
  int next_ = 1;
  int bind_error_ = SQLITE_OK;
};

// Movable; used by one thread at a time.
class SqliteDatabase {
 public:
  // Opens or makes `path`, waiting up to five seconds for other processes.
  // Errors: kIo, kBusy, kCorrupt (not a database, or a broken one).
  static verify::Result<SqliteDatabase> Open(const std::string& path);

  verify::Result<void> Execute(const std::string& sql);
  verify::Result<SqliteStatement> Prepare(std::string_view sql) const;

 private:
  struct Closer {
    void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
  };
  explicit SqliteDatabase(sqlite3* database) : database_(database) {}

  std::unique_ptr<sqlite3, Closer> database_;
};

}  // namespace cli
