/* SPDX-License-Identifier: Apache-2.0 */
/* The one lock: the module's own mutex, and an open-file-description lock on `<store>.lock` against other
 * processes. */
#ifndef XCA_LOCK_H
#define XCA_LOCK_H

#include <stdbool.h>

/* LOCK_THREADS: against the other threads of this process only. */
enum lock_kind { LOCK_THREADS, LOCK_SHARED, LOCK_EXCLUSIVE };

#define LOCK_DECIDING_MS 5000
#define LOCK_SHOWING_MS  250

struct lock {
    int file; /* -1: no file is locked; where one was to be, there is no store */
};

/* Waits at most `milliseconds`. False when the lock was not to be had; then nothing is held. */
bool lock_take(struct lock *lock, enum lock_kind kind, int milliseconds);

void lock_release(struct lock *lock);

/* Makes fork(2) wait for a thread that holds the lock, and gives the child a lock of its own. Once a process.
 */
void lock_survive_fork(void);

#endif
