/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes what stands in the card store. The first bit of the input chooses how the rest is put there:
 *   0: as values of the card's row, of any type, in a table that checks nothing, and as the store's
 * generation 1: as patches of a sound database file: two bytes of place, one of length, then the bytes Then
 * the card is shown, and its secrets are tried as the next bits say. In a sound file no value may allow more
 * wrong secrets than a card has tries.
 */
#include "card.h"

#include "rules.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATCHED = 1, TRY_WRONG = 2, TRY_RIGHT = 4, CHANGE = 8, SHOW_READER = 16 };

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    card_start();
    return 0;
}

static void bind_value(sqlite3_stmt *statement) {
    const uint8_t *data;
    int64_t number = 0;
    double real = 0;
    int length;
    switch (input_byte() % 6) {
    case 0:
        sqlite3_bind_int64(statement, 1, (int8_t)input_byte());
        break;
    case 1:
        input_copy(&number, sizeof number);
        sqlite3_bind_int64(statement, 1, number);
        break;
    case 2:
        input_copy(&real, sizeof real);
        sqlite3_bind_double(statement, 1, real);
        break;
    case 3:
        length = (int)input_take(input_byte(), &data);
        sqlite3_bind_text(statement, 1, (const char *)data, length, SQLITE_TRANSIENT);
        break;
    case 4:
        length = (int)input_take(input_byte(), &data);
        sqlite3_bind_blob(statement, 1, data, length, SQLITE_TRANSIENT);
        break;
    default:
        sqlite3_bind_null(statement, 1);
    }
}

static void write_values(void) {
    static const char *const updates[] = {
        "UPDATE card SET reader = ?",          "UPDATE card SET model = ?",
        "UPDATE card SET issued_on = ?",       "UPDATE card SET activate_by = ?",
        "UPDATE card SET activated_at = ?",    "UPDATE card SET pin_tries = ?",
        "UPDATE card SET user_code_tries = ?", "UPDATE card SET epoch = ?",
        "UPDATE card SET pending = ?",         "UPDATE card SET number = ?",
    };
    sqlite3 *store;
    must(sqlite3_open(store_path, &store) == SQLITE_OK);
    sqlite3_exec(store,
                 "PRAGMA synchronous = OFF; PRAGMA journal_mode = OFF; PRAGMA ignore_check_constraints = ON",
                 NULL, NULL, NULL);
    for (uint8_t changes = input_byte() % 8; changes > 0; changes--) {
        sqlite3_stmt *statement;
        const char *update = updates[input_byte() % (sizeof updates / sizeof updates[0])];
        must(sqlite3_prepare_v2(store, update, -1, &statement, NULL) == SQLITE_OK);
        bind_value(statement);
        sqlite3_step(statement);
        sqlite3_finalize(statement);
    }
    if ((input_byte() & 1) != 0) {
        int32_t generation = 0;
        char sql[64];
        input_copy(&generation, sizeof generation);
        snprintf(sql, sizeof sql, "PRAGMA user_version = %d", generation);
        sqlite3_exec(store, sql, NULL, NULL, NULL);
    }
    sqlite3_close(store);
}

static void write_patches(void) {
    int file = open(store_path, O_WRONLY | O_CLOEXEC);
    off_t size = lseek(file, 0, SEEK_END);
    for (uint8_t patches = input_byte() % 16; patches > 0; patches--) {
        const uint8_t *data;
        uint16_t place = 0;
        input_copy(&place, sizeof place);
        size_t length = input_take(input_byte(), &data);
        must(length == 0 || pwrite(file, data, length, place % size) == (ssize_t)length);
    }
    if ((input_byte() & 7) == 7) {
        must(ftruncate(file, input_byte() * (size / 256)) == 0);
    }
    close(file);
}

static void show(void) {
    CK_TOKEN_INFO token;
    if (list->v2.C_GetTokenInfo(MINIMAL_CARD_SLOT, &token) == CKR_OK) {
        must(token.ulMinPinLen == XCA_PIN_MIN && token.ulMaxPinLen == XCA_PIN_MAX);
        must(memcmp(token.serialNumber, MINIMAL_CARD, sizeof token.serialNumber) == 0);
    }
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, const char *secret) {
    CK_RV rv = list->v2.C_Login(session, user, (CK_BYTE *)secret, strlen(secret));
    if (rv == CKR_OK) {
        list->v2.C_Logout(session);
    }
    return rv;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input_begin(data, size);
    uint8_t what = input_byte();
    bool patched = (what & PATCHED) != 0;
    card_renew(!patched);
    if (patched) {
        write_patches();
    } else {
        write_values();
    }
    list->v2.C_Initialize(NULL);
    CK_SLOT_INFO slot;
    if ((what & SHOW_READER) != 0) {
        list->v2.C_GetSlotInfo(MINIMAL_CARD_SLOT, &slot);
    }
    CK_SESSION_HANDLE session;
    must(list->v2.C_OpenSession(MINIMAL_CARD_SLOT, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL,
                                &session) == CKR_OK);
    static const char *const wrongs[] = {"wrong-1", "wrong-2", "wrong-3", "wrong-4"};
    for (size_t i = 0; (what & TRY_WRONG) != 0 && i < sizeof wrongs / sizeof wrongs[0]; i++) {
        login(session, (what & CHANGE) != 0 ? CKU_SO : CKU_USER, wrongs[i]);
    }
    must(patched || (inner_control->wrong[0] <= XCA_MAX_TRIES && inner_control->wrong[1] <= XCA_MAX_TRIES));
    if ((what & TRY_RIGHT) != 0) {
        login(session, CKU_USER, MINIMAL_PIN);
        login(session, CKU_SO, MINIMAL_USER_CODE);
    }
    if ((what & CHANGE) != 0) {
        list->v2.C_SetPIN(session, (CK_BYTE *)MINIMAL_PIN, strlen(MINIMAL_PIN), (CK_BYTE *)"newpin-1", 8);
        list->v2.C_Login(session, CKU_SO, (CK_BYTE *)MINIMAL_USER_CODE, strlen(MINIMAL_USER_CODE));
        list->v2.C_InitPIN(session, (CK_BYTE *)MINIMAL_PIN, strlen(MINIMAL_PIN));
    }
    show();
    return 0;
}
