// SPDX-License-Identifier: Apache-2.0
#include "cli/state/sqlite.h"

#include "verify/base/text.h"

namespace cli {
namespace {

using verify::ErrorCode;
using verify::Fail;
using verify::Result;
using verify::StrCat;

constexpr int kBusyTimeoutMs = 5000;

verify::Unexpected FailSqlite(sqlite3* database, int status) {
  ErrorCode code = ErrorCode::kIo;
  switch (status & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_ERROR:  // a table or column that is not there
    case SQLITE_CONSTRAINT:
      code = ErrorCode::kCorrupt;
      break;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      code = ErrorCode::kBusy;
      break;
    default:
      break;
  }
  return Fail(code, StrCat("state database: ",
                           verify::EscapeForTerminal(
                               database == nullptr ? sqlite3_errstr(status)
                                                   : sqlite3_errmsg(database))))
      .Id("E-STATE");
}

}  // namespace

SqliteStatement& SqliteStatement::Bind(std::string_view text) {
  const int status =
      sqlite3_bind_text64(statement_.get(), next_++, text.data(), text.size(),
                          SQLITE_TRANSIENT, SQLITE_UTF8);
  if (bind_error_ == SQLITE_OK) bind_error_ = status;
  return *this;
}

SqliteStatement& SqliteStatement::Bind(int64_t value) {
  const int status = sqlite3_bind_int64(statement_.get(), next_++, value);
  if (bind_error_ == SQLITE_OK) bind_error_ = status;
  return *this;
}

// SQLite's integers are signed; sizes and inodes keep their bits.
SqliteStatement& SqliteStatement::Bind(uint64_t value) {
  return Bind(static_cast<int64_t>(value));
}

SqliteStatement& SqliteStatement::Bind(double value) {
  const int status = sqlite3_bind_double(statement_.get(), next_++, value);
  if (bind_error_ == SQLITE_OK) bind_error_ = status;
  return *this;
}

SqliteStatement& SqliteStatement::Bind(const std::optional<int64_t>& value) {
  if (value.has_value()) return Bind(*value);
  const int status = sqlite3_bind_null(statement_.get(), next_++);
  if (bind_error_ == SQLITE_OK) bind_error_ = status;
  return *this;
}

Result<bool> SqliteStatement::Step() {
  sqlite3* database = sqlite3_db_handle(statement_.get());
  if (bind_error_ != SQLITE_OK) return FailSqlite(database, bind_error_);
  const int status = sqlite3_step(statement_.get());
  if (status == SQLITE_ROW) return true;
  if (status == SQLITE_DONE) return false;
  return FailSqlite(database, status);
}

Result<void> SqliteStatement::Run() {
  while (true) {
    ASSIGN_OR_RETURN(const bool row, Step());
    if (!row) return {};
  }
}

std::string SqliteStatement::Text(int column) const {
  const unsigned char* text = sqlite3_column_text(statement_.get(), column);
  if (text == nullptr) return {};
  return std::string(
      static_cast<const char*>(static_cast<const void*>(text)),
      static_cast<size_t>(sqlite3_column_bytes(statement_.get(), column)));
}

int64_t SqliteStatement::Int(int column) const {
  return sqlite3_column_int64(statement_.get(), column);
}

uint64_t SqliteStatement::Unsigned(int column) const {
  return static_cast<uint64_t>(Int(column));
}

double SqliteStatement::Real(int column) const {
  return sqlite3_column_double(statement_.get(), column);
}

std::optional<int64_t> SqliteStatement::OptionalInt(int column) const {
  if (sqlite3_column_type(statement_.get(), column) == SQLITE_NULL) {
    return std::nullopt;
  }
  return Int(column);
}

Result<SqliteDatabase> SqliteDatabase::Open(const std::string& path) {
  sqlite3* handle = nullptr;
  const int status =
      sqlite3_open_v2(path.c_str(), &handle,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE |
                          SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_NOFOLLOW,
                      nullptr);
  SqliteDatabase database(handle);
  if (status != SQLITE_OK) return FailSqlite(handle, status);
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, kBusyTimeoutMs);
  // What a hostile file may make SQLite do is bounded.
  sqlite3_limit(handle, SQLITE_LIMIT_LENGTH, 64 << 20);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  sqlite3_db_config(handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, nullptr);
  return database;
}

Result<void> SqliteDatabase::Execute(const std::string& sql) {
  const int status =
      sqlite3_exec(database_.get(), sql.c_str(), nullptr, nullptr, nullptr);
  if (status != SQLITE_OK) return FailSqlite(database_.get(), status);
  return {};
}

Result<SqliteStatement> SqliteDatabase::Prepare(std::string_view sql) const {
  sqlite3_stmt* statement = nullptr;
  const int status =
      sqlite3_prepare_v2(database_.get(), sql.data(),
                         static_cast<int>(sql.size()), &statement, nullptr);
  if (status != SQLITE_OK) return FailSqlite(database_.get(), status);
  return SqliteStatement(statement);
}

}  // namespace cli
