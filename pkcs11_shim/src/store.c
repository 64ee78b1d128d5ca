/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

#include "config.h"
#include "log.h"
#include "rules.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STRING(x)  #x
#define TEXT_OF(x) STRING(x)
#define MAX_TRIES  TEXT_OF(XCA_MAX_TRIES)
#define NOW        "CAST(strftime('%s', 'now') AS INTEGER)"

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

static bool has_our_version(sqlite3 *store) {
    sqlite3_stmt *statement = prepare(store, "PRAGMA user_version");
    bool ours = false;
    if (statement != NULL && sqlite3_step(statement) == SQLITE_ROW) {
        int version = sqlite3_column_int(statement, 0);
        ours = version == XCA_SCHEMA_VERSION;
        if (!ours) {
            log_line(LOG_ERROR, "card store %s: version %d, this module reads %d", config.store, version,
                     XCA_SCHEMA_VERSION);
        }
    } else if (statement != NULL) {
        fail(store, "read");
    }
    sqlite3_finalize(statement);
    return ours;
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
    if (!has_our_version(store)) {
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
                read_tries(statement, 5, &row->tries[SECRET_USER_CODE]) &&
                row->epoch < INT64_MAX; /* a change raises it */
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

bool store_end_pending(sqlite3 *store, const char *number) {
    return change_card(
        store, "UPDATE card SET pending = 0, epoch = epoch + 1 WHERE number = ? AND pending = 1", number);
}

bool store_spend(sqlite3 *store, const char *number, enum secret secret, bool begins_change) {
    static const char *const spend[2][2] = {
        [SECRET_PIN] =
            {"UPDATE card SET pin_tries = pin_tries - 1 WHERE number = ? AND pin_tries > 0",
             "UPDATE card SET pin_tries = pin_tries - 1, pending = 1 WHERE number = ? AND pin_tries > 0"},
        [SECRET_USER_CODE] = {"UPDATE card SET user_code_tries = user_code_tries - 1"
                              " WHERE number = ? AND user_code_tries > 0",
                              "UPDATE card SET user_code_tries = user_code_tries - 1, pending = 1"
                              " WHERE number = ? AND user_code_tries > 0"},
    };
    return change_card(store, spend[secret][begins_change], number);
}

bool store_begin_change(sqlite3 *store, const char *number) {
    return change_card(store, "UPDATE card SET pending = 1 WHERE number = ?", number);
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

static bool settle_card(sqlite3 *store, const char *number, enum secret secret,
                        const struct outcome *outcome) {
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
           (!outcome->changed ||
            change_card(store, "UPDATE card SET pending = 0, epoch = epoch + 1 WHERE number = ?", number)) &&
           (!outcome->unchanged ||
            change_card(store, "UPDATE card SET pending = 0 WHERE number = ?", number)) &&
           record_event(store, number, outcome);
}

bool store_settle(sqlite3 *store, const char *number, enum secret secret, const struct outcome *outcome) {
    if (sqlite3_exec(store, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK) {
        return fail(store, "begin");
    }
    if (settle_card(store, number, secret, outcome) &&
        (sqlite3_exec(store, "COMMIT", NULL, NULL, NULL) == SQLITE_OK || fail(store, "commit"))) {
        return true;
    }
    sqlite3_exec(store, "ROLLBACK", NULL, NULL, NULL);
    return false;
}

/* Adds the next row to the list; false when there is no memory. */
static bool add_epoch(sqlite3_stmt *statement, struct epochs *epochs, bool *pending) {
    if ((epochs->count & (epochs->count - 1)) == 0) { /* full at every power of two */
        size_t room = epochs->count == 0 ? 1 : epochs->count * 2;
        struct epoch *larger = realloc(epochs->cards, room * sizeof *larger);
        if (larger == NULL) {
            return false;
        }
        epochs->cards = larger;
    }
    struct epoch *card = &epochs->cards[epochs->count++];
    copy_text(statement, 0, card->number, sizeof card->number);
    card->epoch = sqlite3_column_int64(statement, 1);
    *pending = *pending || sqlite3_column_int(statement, 2) != 0;
    return true;
}

bool store_epochs(sqlite3 *store, struct epochs *epochs) {
    *epochs = (struct epochs){0};
    sqlite3_stmt *statement =
        prepare(store, "SELECT number, epoch + (pending = 1), pending = 1 FROM card ORDER BY number");
    if (statement == NULL) {
        return false;
    }
    int step;
    bool pending = false;
    while ((step = sqlite3_step(statement)) == SQLITE_ROW && add_epoch(statement, epochs, &pending)) {
    }
    sqlite3_finalize(statement);
    bool done = step == SQLITE_DONE;
    if (done && pending) {
        done = has_our_version(store) && store_make_writable(store) &&
               sqlite3_exec(store, "UPDATE card SET pending = 0, epoch = epoch + 1 WHERE pending = 1", NULL,
                            NULL, NULL) == SQLITE_OK;
    }
    if (!done) {
        free(epochs->cards);
        *epochs = (struct epochs){0};
        return fail(store, "epochs");
    }
    return true;
}
