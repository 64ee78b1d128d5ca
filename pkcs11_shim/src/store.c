/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

#include "config.h"
#include "log.h"
#include "rules.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STRING(x)  #x
#define TEXT_OF(x) STRING(x)
#define MAX_TRIES  TEXT_OF(XCA_MAX_TRIES)
#define NOW        "CAST(strftime('%s', 'now') AS INTEGER)"

/* The field has 31 bits; the last of them end what is pending. */
#define LAST_GENERATION (INT32_MAX - 0xFFFFF)

/* Writers exclude each other by the lock; this is for somebody's sqlite3 shell. */
#define BUSY_MILLISECONDS 500

/* For writing. EXCLUSIVE: the file is locked once, not for every statement; who else may use it waits for our
 * lock anyway. TRUNCATE: a commit is durable when it returns, which with DELETE is left to the directory's
 * next write-out. */
static const char settings[] =
    "PRAGMA locking_mode = EXCLUSIVE; PRAGMA synchronous = FULL; PRAGMA journal_mode = TRUNCATE;"
    "PRAGMA foreign_keys = ON";

static bool fail(sqlite3 *store, const char *what) {
    log_line(LOG_ERROR, "card store %s: %s: %s", config.store, what,
             store != NULL ? sqlite3_errmsg(store) : "out of memory");
    return false;
}

/* A store that others may write, or that is somebody else's, remembers nothing for certain. */
static bool is_ours(void) {
    struct stat facts;
    const char *why = NULL;
    if (*config.store == '\0') {
        why = "no path is configured and HOME is not set";
    } else if (stat(config.store, &facts) != 0) {
        why = strerror(errno);
    } else if (!S_ISREG(facts.st_mode)) {
        why = "not a regular file";
    } else if (facts.st_uid != geteuid()) {
        why = "belongs to another user";
    } else if ((facts.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        why = "others may write it";
    }
    if (why != NULL) {
        log_line(LOG_ERROR, "card store %s: %s", config.store, why);
    }
    return why == NULL;
}

static sqlite3_stmt *prepare(sqlite3 *store, const char *sql) {
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(store, sql, -1, &statement, NULL) != SQLITE_OK) {
        fail(store, "prepare");
    }
    return statement;
}

static bool read_number(sqlite3 *store, const char *sql, int64_t *number) {
    sqlite3_stmt *statement = prepare(store, sql);
    bool read = statement != NULL && sqlite3_step(statement) == SQLITE_ROW;
    if (read) {
        *number = sqlite3_column_int64(statement, 0);
    } else if (statement != NULL) {
        fail(store, "read");
    }
    sqlite3_finalize(statement);
    return read;
}

static bool has_our_format(sqlite3 *store) {
    int64_t format;
    if (!read_number(store, "PRAGMA application_id", &format)) {
        return false;
    }
    if (format != XCA_STORE_FORMAT) {
        log_line(LOG_ERROR, "card store %s: format 0x%08x, this module reads 0x%08x", config.store,
                 (unsigned)format, (unsigned)XCA_STORE_FORMAT);
    }
    return format == XCA_STORE_FORMAT;
}

static bool read_generation(sqlite3 *store, int64_t *generation) {
    if (!read_number(store, "PRAGMA user_version", generation)) {
        return false;
    }
    if (*generation < 0) {
        log_line(LOG_ERROR, "card store %s: its generation is negative", config.store);
    }
    return *generation >= 0;
}

/* Inside a transaction, like the two below. */
static bool write_generation(sqlite3 *store, int64_t generation) {
    char sql[64];
    snprintf(sql, sizeof sql, "PRAGMA user_version = %d", (int)generation);
    return generation <= INT32_MAX &&
           (sqlite3_exec(store, sql, NULL, NULL, NULL) == SQLITE_OK || fail(store, "write"));
}

static bool begin_generation(sqlite3 *store) {
    int64_t now;
    if (!read_generation(store, &now)) {
        return false;
    }
    if (now > LAST_GENERATION) {
        log_line(LOG_ERROR, "card store %s: its generations are used up", config.store);
        return false;
    }
    return write_generation(store, now | 1);
}

/* After the row's pending has gone; odd again as long as there is another. */
static bool end_generation(sqlite3 *store, int64_t *generation) {
    int64_t now, pending;
    if (!read_generation(store, &now) ||
        !read_number(store, "SELECT EXISTS (SELECT 1 FROM card WHERE pending = 1)", &pending)) {
        return false;
    }
    *generation = (now | 1) + 1 + pending;
    return write_generation(store, *generation);
}

bool store_make_writable(sqlite3 *store) {
    return sqlite3_exec(store, settings, NULL, NULL, NULL) == SQLITE_OK || fail(store, "open");
}

sqlite3 *store_open(void) {
    if (!is_ours()) {
        return NULL;
    }
    sqlite3 *store = NULL;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
    if (sqlite3_open_v2(config.store, &store, flags, NULL) != SQLITE_OK) {
        fail(store, "open");
        sqlite3_close(store);
        return NULL;
    }
    sqlite3_busy_timeout(store, BUSY_MILLISECONDS);
    return store;
}

void store_close(sqlite3 *store) {
    sqlite3_close(store);
}

/* Runs one statement about one card; true when it changed exactly that row. */
static bool change_card(sqlite3 *store, const char *sql, const char *number) {
    sqlite3_stmt *statement = prepare(store, sql);
    if (statement == NULL) {
        return false;
    }
    sqlite3_bind_text(statement, 1, number, -1, SQLITE_STATIC);
    bool done = sqlite3_step(statement) == SQLITE_DONE && sqlite3_changes(store) == 1;
    sqlite3_finalize(statement);
    return done || fail(store, "write");
}

static void copy_text(sqlite3_stmt *statement, int column, char *to, size_t size) {
    const unsigned char *text = sqlite3_column_text(statement, column);
    snprintf(to, size, "%s", text != NULL ? (const char *)text : "");
}

/* The whole number, not its last 32 bits: a damaged row must not pass for one with tries left. */
static bool read_tries(sqlite3_stmt *statement, int column, int *tries) {
    int64_t number = sqlite3_column_int64(statement, column);
    *tries = (int)number;
    return number >= 0 && number <= XCA_MAX_TRIES;
}

bool store_read(sqlite3 *store, const char *number, struct row *row) {
    int64_t generation;
    if (!has_our_format(store) || !read_generation(store, &generation)) {
        return false;
    }
    sqlite3_stmt *statement = prepare(
        store, "SELECT reader, model, activated_at IS NOT NULL, lapsed, pin_tries, user_code_tries, epoch,"
               " pending FROM card_today WHERE number = ?");
    if (statement == NULL) {
        return false;
    }
    sqlite3_bind_text(statement, 1, number, -1, SQLITE_STATIC);
    int step = sqlite3_step(statement);
    bool found = step == SQLITE_ROW;
    if (found) {
        copy_text(statement, 0, row->reader, sizeof row->reader);
        copy_text(statement, 1, row->model, sizeof row->model);
        row->activated = sqlite3_column_int(statement, 2) != 0;
        row->lapsed = sqlite3_column_int(statement, 3) != 0;
        row->epoch = sqlite3_column_int64(statement, 6);
        row->pending = sqlite3_column_int(statement, 7) != 0;
        found = read_tries(statement, 4, &row->tries[SECRET_PIN]) &&
                read_tries(statement, 5, &row->tries[SECRET_USER_CODE]) && row->epoch >= 0 &&
                row->epoch <= generation;
    }
    if (!found) {
        if (step == SQLITE_ROW || step == SQLITE_DONE) {
            log_line(LOG_ERROR, "card store %s: no usable row for card %s", config.store, number);
        } else {
            fail(store, "read");
        }
    }
    sqlite3_finalize(statement);
    return found;
}

static bool begin(sqlite3 *store) {
    return sqlite3_exec(store, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK || fail(store, "begin");
}

/* Commits what was done, or takes all of it back. */
static bool end(sqlite3 *store, bool done) {
    if (done && (sqlite3_exec(store, "COMMIT", NULL, NULL, NULL) == SQLITE_OK || fail(store, "commit"))) {
        return true;
    }
    sqlite3_exec(store, "ROLLBACK", NULL, NULL, NULL);
    return false;
}

static bool begin_change(sqlite3 *store, const char *number) {
    return change_card(store, "UPDATE card SET pending = 1 WHERE number = ?", number) &&
           begin_generation(store);
}

/* The epoch is the generation that end_generation comes to, or the one before it. */
#define END_CHANGE                                                                                           \
    "UPDATE card SET pending = 0, epoch = ((SELECT user_version FROM pragma_user_version) | 1) + 1 WHERE "

bool store_end_pending(sqlite3 *store, const char *number) {
    int64_t generation;
    return begin(store) && end(store, change_card(store, END_CHANGE "number = ?", number) &&
                                          end_generation(store, &generation));
}

static bool settle_change(sqlite3 *store, const char *number, struct outcome *outcome) {
    static const char *const settle[] = {"UPDATE card SET pending = 0 WHERE number = ?",
                                         END_CHANGE "number = ?"};
    int64_t generation;
    bool done = change_card(store, settle[outcome->changed], number) && end_generation(store, &generation);
    outcome->epoch = done ? generation & ~INT64_C(1) : 0;
    return done;
}

bool store_spend(sqlite3 *store, const char *number, enum secret secret, bool begins_change) {
    static const char *const spend[] = {
        [SECRET_PIN] = "UPDATE card SET pin_tries = pin_tries - 1 WHERE number = ? AND pin_tries > 0",
        [SECRET_USER_CODE] =
            "UPDATE card SET user_code_tries = user_code_tries - 1 WHERE number = ? AND user_code_tries > 0",
    };
    return begin(store) && end(store, change_card(store, spend[secret], number) &&
                                          (!begins_change || begin_change(store, number)));
}

bool store_begin_change(sqlite3 *store, const char *number) {
    return begin(store) && end(store, begin_change(store, number));
}

static bool record_event(sqlite3 *store, const char *number, const struct outcome *outcome) {
    char program[16];
    log_program(program);
    sqlite3_stmt *statement = prepare(store, "INSERT INTO event (at, card, event, result, program)"
                                             " VALUES (" NOW ", ?, ?, ?, ?)");
    if (statement == NULL) {
        return false;
    }
    sqlite3_bind_text(statement, 1, number, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 2, outcome->event, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 3, (sqlite3_int64)outcome->result);
    sqlite3_bind_text(statement, 4, program, -1, SQLITE_STATIC);
    bool done = sqlite3_step(statement) == SQLITE_DONE;
    sqlite3_finalize(statement);
    return done || fail(store, "write");
}

static bool settle_card(sqlite3 *store, const char *number, enum secret secret, struct outcome *outcome) {
    static const char *const fill[] = {
        [SECRET_PIN] = "UPDATE card SET pin_tries = " MAX_TRIES " WHERE number = ?",
        [SECRET_USER_CODE] = "UPDATE card SET user_code_tries = " MAX_TRIES " WHERE number = ?",
    };
    static const char *const give_back[] = {
        [SECRET_PIN] = "UPDATE card SET pin_tries = min(pin_tries + 1, " MAX_TRIES ") WHERE number = ?",
        [SECRET_USER_CODE] =
            "UPDATE card SET user_code_tries = min(user_code_tries + 1, " MAX_TRIES ") WHERE number = ?",
    };
    return (!outcome->fill || change_card(store, fill[secret], number)) &&
           (!outcome->give_back || change_card(store, give_back[secret], number)) &&
           (!outcome->activate ||
            change_card(store, "UPDATE card SET activated_at = " NOW " WHERE number = ?", number)) &&
           (!(outcome->changed || outcome->unchanged) || settle_change(store, number, outcome)) &&
           record_event(store, number, outcome);
}

bool store_settle(sqlite3 *store, const char *number, enum secret secret, struct outcome *outcome) {
    return begin(store) && end(store, settle_card(store, number, secret, outcome));
}

static uint32_t big_endian(const unsigned char *bytes) {
    uint32_t number;
    memcpy(&number, bytes, sizeof number);
    return be32toh(number);
}

/* The generation as the file's header has it, where nobody needs SQLite to tell: no transaction was cut off,
 * and no change is pending. Loading SQLite's pages would cost a starting process more than all else that we
 * do then. */
static bool read_header(int64_t *generation) {
    char journal[sizeof config.store + sizeof "-journal"];
    struct stat facts;
    snprintf(journal, sizeof journal, "%s-journal", config.store);
    if (stat(journal, &facts) == 0 ? facts.st_size > 0 : errno != ENOENT) {
        return false;
    }
    unsigned char header[100] = {0};
    int file = open(config.store, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return false;
    }
    ssize_t size = pread(file, header, sizeof header, 0);
    close(file);
    bool no_wal = header[18] == 1 && header[19] == 1;
    *generation = big_endian(header + 60);
    return size == sizeof header && memcmp(header, "SQLite format 3", 16) == 0 && no_wal &&
           big_endian(header + 68) == XCA_STORE_FORMAT && *generation <= INT32_MAX && (*generation & 1) == 0;
}

static bool end_all_pending(sqlite3 *store, int64_t *generation) {
    return store_make_writable(store) && begin(store) &&
           end(store, (sqlite3_exec(store, END_CHANGE "pending = 1", NULL, NULL, NULL) == SQLITE_OK ||
                       fail(store, "write")) &&
                          end_generation(store, generation));
}

bool store_generation(int64_t *generation) {
    if (!is_ours()) {
        return false;
    }
    if (read_header(generation)) {
        return true;
    }
    sqlite3 *store = store_open();
    bool read = store != NULL && has_our_format(store) && read_generation(store, generation) &&
                ((*generation & 1) == 0 || end_all_pending(store, generation));
    store_close(store);
    return read;
}
