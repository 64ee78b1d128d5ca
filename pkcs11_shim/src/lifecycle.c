/* SPDX-License-Identifier: Apache-2.0 */
/* C_Initialize and C_Finalize: the inner module reads its tokens here, so here the generation is read. */
#include "config.h"
#include "epochs.h"
#include "hashing.h"
#include "lock.h"
#include "module.h"
#include "store.h"

#include <stdlib.h>
#include <string.h>

/* A store that cannot be read has no generation: its cards then refuse, every other token works. */
static int64_t read_generation(const struct lock *lock) {
    int64_t generation;
    return lock->file >= 0 && store_generation(&generation) ? generation : -1;
}

/* The inner module's C_Initialize, with [module] environment set for just that long. */
static CK_RV initialize_inner(void *arguments) {
    if (config.environment_value == NULL) {
        return inner->C_Initialize(arguments);
    }
    const char *name = config.environment;
    const char *before = getenv(name);
    char *saved = before != NULL ? strdup(before) : NULL;
    if ((before != NULL && saved == NULL) || setenv(name, config.environment_value, 1) != 0) {
        free(saved);
        return CKR_HOST_MEMORY;
    }
    CK_RV rv = inner->C_Initialize(arguments);
    if (saved != NULL) {
        setenv(name, saved, 1);
    } else {
        unsetenv(name);
    }
    free(saved);
    return rv;
}

CK_RV card_C_Initialize(void *arguments) {
    struct lock lock;
    if (!lock_take(&lock, LOCK_EXCLUSIVE, LOCK_DECIDING_MS)) {
        return CKR_FUNCTION_FAILED; /* of the values that C_Initialize may answer, PKCS#11 2.40 section 5.4 */
    }
    int64_t generation = read_generation(&lock);
    CK_RV rv = initialize_inner(arguments);
    /* Where somebody else has initialised it, the inner module's knowledge is of unknown age: no epoch is
     * current until C_Finalize and C_Initialize. */
    if (rv == CKR_OK) {
        epochs_keep(generation);
    }
    lock_release(&lock);
    return rv;
}

CK_RV card_C_Finalize(void *reserved) {
    struct lock lock;
    if (!lock_take(&lock, LOCK_THREADS, LOCK_DECIDING_MS)) {
        return CKR_FUNCTION_FAILED;
    }
    hashing_forget_all();
    CK_RV rv = inner->C_Finalize(reserved);
    if (rv == CKR_OK) {
        epochs_drop();
    }
    lock_release(&lock);
    return rv;
}
