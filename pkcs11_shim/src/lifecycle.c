/* SPDX-License-Identifier: Apache-2.0 */
/* C_Initialize and C_Finalize: the inner module reads its tokens here, so here the generation is read. */
#include "config.h"
#include "epochs.h"
#include "guard.h"
#include "hashing.h"
#include "module.h"
#include "store.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A store that cannot be read has no generation: its cards then refuse, every other token works. */
static int64_t lifecycle_read_generation(const struct lock *lock) {
    int64_t generation;
    return lock->file >= 0 && store_generation(&generation) ? generation : -1;
}

/*
 * [module] environment, as the host's environment holds it while the inner module initialises. The host's
 * other threads may read the environment at any time, so nothing in it is moved or freed. If the host has a
 * variable of that name, this entry replaces it and is replaced by it afterwards. If it has none, the entry
 * is added once in a process and stays: its first byte makes it NAME=value, or an empty text.
 */
static char entry[sizeof config.environment];

/* The inner module's C_Initialize, with [module] environment set for just that long. */
static CK_RV lifecycle_initialize_inner(void *arguments) {
    if (config.environment_value == NULL) {
        return inner->C_Initialize(arguments);
    }
    const char *name = config.environment;
    size_t value_at = strlen(name) + 1;
    char *before = getenv(name);
    if (before != NULL && strcmp(before, config.environment_value) == 0) {
        return inner->C_Initialize(arguments);
    }
    memcpy(entry + 1, name + 1, sizeof entry - 1); /* the value stands behind the name */
    entry[value_at - 1] = '=';
    entry[0] = name[0];
    bool takes_place = getenv(name) != entry + value_at;
    if (takes_place && putenv(entry) != 0) {
        entry[0] = '\0';
        return CKR_HOST_MEMORY;
    }
    CK_RV rv = inner->C_Initialize(arguments);
    if (takes_place && before != NULL) {
        /* Through a number: gcc 14's analyser ends with an internal error at the offset of a pointer. */
        putenv((char *)((uintptr_t)before - value_at));
    }
    entry[0] = '\0';
    return rv;
}

CK_RV card_C_Initialize(void *arguments) {
    struct lock lock = {.kind = LOCK_STARTING};
    if (!lock_take(&lock)) {
        return CKR_FUNCTION_FAILED; /* of the values that C_Initialize may answer, PKCS#11 2.40 section 5.4 */
    }
    int64_t generation = lifecycle_read_generation(&lock);
    CK_RV rv = lifecycle_initialize_inner(arguments);
    /* On any other answer the host has initialised the inner module itself, at an unknown time. No epoch is
     * current then until C_Finalize and C_Initialize. */
    if (rv == CKR_OK) {
        epochs_keep(generation);
    }
    lock_release(&lock);
    return rv;
}

CK_RV card_C_Finalize(void *reserved) {
    struct lock lock = {.kind = LOCK_FINALIZE};
    if (!lock_take(&lock)) {
        return CKR_FUNCTION_FAILED;
    }
    hashing_forget_all();
    CK_RV rv = inner->C_Finalize(reserved);
    if (rv == CKR_OK) {
        epochs_drop();
        guard_forget_sessions();
    }
    lock_release(&lock);
    return rv;
}
