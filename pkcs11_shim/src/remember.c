/* SPDX-License-Identifier: Apache-2.0 */
/* Called with the lock held. */
#include "remember.h"

#include "rules.h"

#include <crypt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECONDS 300
#define PLACES  32

/* yescrypt's lowest cost, about a millisecond. It is enough: the hash never leaves this process, and the
 * value is a wrong one. */
#define METHOD "$y$"
#define COST   1

struct remember_entry {
    char number[XCA_CARD_NUMBER_LENGTH + 1]; /* empty: a free place */
    enum secret secret;
    int64_t epoch;
    time_t since; /* CLOCK_BOOTTIME */
    char hash[CRYPT_OUTPUT_SIZE];
};

static struct remember_entry wrongs[PLACES];

static time_t remember_now(void) {
    struct timespec time;
    clock_gettime(CLOCK_BOOTTIME, &time);
    return time.tv_sec;
}

static bool remember_hash(const char *setting, const CK_UTF8CHAR *value, CK_ULONG length,
                          char out[CRYPT_OUTPUT_SIZE]) {
    char phrase[XCA_USER_CODE_MAX + 1] = "";
    struct crypt_data *data = calloc(1, sizeof *data);
    if (data == NULL || length >= sizeof phrase) {
        free(data);
        return false;
    }
    memcpy(phrase, value, length);
    const char *result = crypt_r(phrase, setting, data);
    bool done = result != NULL && *result != '*';
    if (done) {
        memcpy(out, result, strlen(result) + 1);
    }
    explicit_bzero(phrase, sizeof phrase);
    explicit_bzero(data, sizeof *data);
    free(data);
    return done;
}

static struct remember_entry *remember_find(const char *number, enum secret secret) {
    for (size_t i = 0; i < PLACES; i++) {
        if (strcmp(wrongs[i].number, number) == 0 && wrongs[i].secret == secret) {
            return &wrongs[i];
        }
    }
    return NULL;
}

/* Returns the oldest place. Free places count as the oldest. */
static struct remember_entry *remember_oldest(void) {
    struct remember_entry *place = &wrongs[0];
    for (size_t i = 1; i < PLACES; i++) {
        if (wrongs[i].since < place->since) {
            place = &wrongs[i];
        }
    }
    return place;
}

bool remember_is_wrong(const char *number, enum secret secret, int64_t epoch, const CK_UTF8CHAR *value,
                       CK_ULONG length) {
    struct remember_entry *wrong = remember_find(number, secret);
    if (wrong == NULL) {
        return false;
    }
    if (wrong->epoch != epoch || remember_now() - wrong->since >= SECONDS) {
        remember_forget(number, secret);
        return false;
    }
    char again[CRYPT_OUTPUT_SIZE];
    return remember_hash(wrong->hash, value, length, again) && strcmp(again, wrong->hash) == 0;
}

void remember_wrong(const char *number, enum secret secret, int64_t epoch, const CK_UTF8CHAR *value,
                    CK_ULONG length) {
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    struct remember_entry new = {.secret = secret, .epoch = epoch, .since = remember_now()};
    memcpy(new.number, number, sizeof new.number);
    if (crypt_gensalt_rn(METHOD, COST, NULL, 0, setting, sizeof setting) == NULL ||
        !remember_hash(setting, value, length, new.hash)) {
        return;
    }
    struct remember_entry *place = remember_find(number, secret);
    if (place == NULL) {
        place = remember_oldest();
    }
    *place = new;
}

void remember_forget(const char *number, enum secret secret) {
    struct remember_entry *wrong = remember_find(number, secret);
    if (wrong != NULL) {
        explicit_bzero(wrong, sizeof *wrong);
    }
}

void remember_drop(void) {
    explicit_bzero(wrongs, sizeof wrongs);
}
