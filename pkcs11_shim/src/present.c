/* SPDX-License-Identifier: Apache-2.0 */
/* What is shown of a card: C_GetInfo, C_GetSlotInfo, C_GetTokenInfo. */
#include "card.h"
#include "config.h"
#include "lock.h"
#include "module.h"
#include "store.h"

#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define DESCRIPTION "XCA card over another module"

/* A change within the clock's step of the last one would leave the file's times as they were. */
#define SETTLED_NANOSECONDS 50000000

/* The store's file and its lock file, by what tells that one was written or replaced. */
struct present_files {
    struct stat store, lock;
};

/*
 * The row that this thread read last. It was read with the lock held, so no try was open. The times of the
 * files were old enough to differ after any later change. Every decision begins by writing to the store: as
 * long as the times are the same, none has begun. The row is only shown; nothing is decided by it.
 */
static _Thread_local struct {
    CK_SLOT_ID slot;
    char number[XCA_CARD_NUMBER_LENGTH + 1];
    struct present_files files;
    struct store_row row;
} shown;

/* PKCS#11 2.40 section 2.1: blank-padded, without a terminating null. */
static void present_pad(CK_UTF8CHAR *field, size_t size, const char *text) {
    size_t length = strnlen(text, size);
    while (length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80) {
        length--; /* never half a UTF-8 character */
    }
    memcpy(field, text, length);
    memset(field + length, ' ', size - length);
}
#define PAD(field, text) present_pad(field, sizeof(field), text)

/* The vendor's module leaves blanks, tabs or nulls where the padding should be. */
static void present_trim(CK_UTF8CHAR *field, size_t size) {
    while (size > 0 && (field[size - 1] == ' ' || field[size - 1] == '\t' || field[size - 1] == '\0')) {
        field[--size] = ' ';
    }
}
#define TRIM(field) present_trim(field, sizeof(field))

/* Nanoseconds from one time to another. */
static int64_t present_between(const struct timespec *from, const struct timespec *to) {
    return (to->tv_sec - from->tv_sec) * INT64_C(1000000000) + to->tv_nsec - from->tv_nsec;
}

static bool present_same_file(const struct stat *a, const struct stat *b) {
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
           present_between(&a->st_mtim, &b->st_mtim) == 0 && present_between(&a->st_ctim, &b->st_ctim) == 0;
}

static bool present_is_settled(const struct stat *facts) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return present_between(&facts->st_ctim, &now) > SETTLED_NANOSECONDS; /* every write sets it too */
}

static bool present_read_files(struct present_files *files) {
    return stat(config.store, &files->store) == 0 && lstat(config.store_lock, &files->lock) == 0;
}

/* With the lock held. */
static bool present_read_row(CK_SLOT_ID slot, const char *number, struct store_row *row) {
    struct present_files files;
    bool reusable =
        present_read_files(&files) && present_is_settled(&files.store) && present_is_settled(&files.lock);
    struct store *store = store_open(false);
    if (store == NULL) {
        return false;
    }
    bool found = store_read(store, number, row);
    store_close(store);
    if (found && reusable) {
        shown.slot = slot;
        memcpy(shown.number, number, sizeof shown.number);
        shown.files = files;
        shown.row = *row;
    }
    return found;
}

/* Without the lock: whether the row that was shown last is this slot's, and still is as it was. The token
 * information is read first, so that it was not half-written either. */
static bool present_is_shown_still(CK_SLOT_ID slot, CK_TOKEN_INFO *info) {
    struct present_files files;
    return shown.number[0] != '\0' && shown.slot == slot && inner->C_GetTokenInfo(slot, info) == CKR_OK &&
           card_has_number(info, shown.number) && present_read_files(&files) &&
           present_same_file(&shown.files.store, &files.store) &&
           present_same_file(&shown.files.lock, &files.lock);
}

/* The three flags that tell how many tries are left, PKCS#11 2.40 section 3.2, CK_TOKEN_INFO. */
static CK_FLAGS present_tries_flags(int tries, CK_FLAGS count_low, CK_FLAGS final_try, CK_FLAGS locked) {
    switch (tries) {
    case XCA_MAX_TRIES:
        return 0;
    case 0:
        return locked;
    case 1:
        return count_low | final_try;
    default:
        return count_low;
    }
}

static void present_show_card(CK_TOKEN_INFO *info, const char *number, const struct store_row *row) {
    PAD(info->label, XCA_CARD_LABEL);
    PAD(info->manufacturerID, XCA_CARD_MANUFACTURER);
    PAD(info->model, row->model);
    PAD(info->serialNumber, number);
    info->ulMinPinLen = XCA_PIN_MIN;
    info->ulMaxPinLen = XCA_PIN_MAX;
    info->flags &= ~(CK_FLAGS)(CKF_USER_PIN_INITIALIZED | CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY |
                               CKF_USER_PIN_LOCKED | CKF_USER_PIN_TO_BE_CHANGED | CKF_SO_PIN_COUNT_LOW |
                               CKF_SO_PIN_FINAL_TRY | CKF_SO_PIN_LOCKED | CKF_SO_PIN_TO_BE_CHANGED);
    info->flags |= row->activated ? CKF_USER_PIN_INITIALIZED : 0;
    info->flags |= present_tries_flags(row->tries[SECRET_PIN], CKF_USER_PIN_COUNT_LOW, CKF_USER_PIN_FINAL_TRY,
                                       CKF_USER_PIN_LOCKED);
    info->flags |= present_tries_flags(row->tries[SECRET_USER_CODE], CKF_SO_PIN_COUNT_LOW,
                                       CKF_SO_PIN_FINAL_TRY, CKF_SO_PIN_LOCKED);
}

/* Reads the token information of a slot, and the row of a card. The lock is held, shared, so that a try that
 * is spent and not yet settled is never shown. `inner_answer` is the inner module's answer about the token.
 */
static CK_RV present_look(CK_SLOT_ID slot, CK_TOKEN_INFO *info, struct card *card, struct store_row *row,
                          CK_RV *inner_answer) {
    *card = (struct card){.is_card = false};
    *inner_answer = CKR_OK;
    if (card_reads_stranger(slot, info)) {
        return CKR_OK;
    }
    if (present_is_shown_still(slot, info)) {
        *card = (struct card){.is_card = true};
        memcpy(card->number, shown.number, sizeof card->number);
        *row = shown.row;
        return CKR_OK;
    }
    struct lock lock = {.kind = LOCK_SHOWING};
    if (!lock_take(&lock)) {
        return CKR_DEVICE_ERROR;
    }
    CK_RV rv = inner->C_GetTokenInfo(slot, info);
    *inner_answer = rv;
    if (rv == CKR_OK) {
        *card = card_of_token(slot, info);
        if (card->is_card && (lock.file < 0 || !present_read_row(slot, card->number, row))) {
            rv = CKR_DEVICE_ERROR;
        }
    }
    lock_release(&lock);
    return rv;
}

CK_RV card_C_GetInfo(CK_INFO *info) {
    CK_RV rv = inner->C_GetInfo(info);
    if (rv == CKR_OK) {
        PAD(info->libraryDescription, DESCRIPTION);
    }
    return rv;
}

CK_RV card_C_GetSlotInfo(CK_SLOT_ID slot, CK_SLOT_INFO *info) {
    CK_RV rv = inner->C_GetSlotInfo(slot, info);
    if (rv != CKR_OK || (info->flags & CKF_TOKEN_PRESENT) == 0) {
        return rv;
    }
    CK_TOKEN_INFO token;
    struct card card;
    struct store_row row;
    CK_RV inner_answer;
    rv = present_look(slot, &token, &card, &row, &inner_answer);
    if (rv == CKR_OK && card.is_card) {
        PAD(info->slotDescription, row.reader);
    }
    /* A reader is a reader, whatever the inner module answers about the token in it. */
    return inner_answer != CKR_OK ? CKR_OK : rv;
}

CK_RV card_C_GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO *info) {
    if (info == NULL) {
        return inner->C_GetTokenInfo(slot, NULL);
    }
    CK_TOKEN_INFO token;
    struct card card;
    struct store_row row;
    CK_RV inner_answer;
    CK_RV rv = present_look(slot, &token, &card, &row, &inner_answer);
    if (rv == CKR_OK) {
        if (card.is_card) {
            present_show_card(&token, card.number, &row);
        } else if (config.trim_strings) {
            TRIM(token.label);
            TRIM(token.manufacturerID);
            TRIM(token.model);
            TRIM(token.serialNumber);
        }
        *info = token;
    }
    return rv;
}
