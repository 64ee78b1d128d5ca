/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The locks of a call. Against other processes: open-file-description locks on `<store>.lock`. Against the
 * other threads of this process: a list of the calls under way. No other thread and no fork waits for a call
 * that waits for the file, and its thread can be cancelled.
 */
#ifndef XCA_LOCK_H
#define XCA_LOCK_H

#include "cryptoki.h"

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

enum lock_kind {
    LOCK_SESSION,       /* `session` stays open, and no login to a card changes */
    LOCK_SHOWING,       /* the file, shared: no try is open in any process */
    LOCK_LOOKING,       /* both of these */
    LOCK_DECIDING,      /* the file, exclusively; no other thread looks, decides, or changes a login */
    LOCK_STARTING,      /* the file, exclusively; no other call is under way */
    LOCK_LOGOUT,        /* no other thread looks, decides, or changes a login */
    LOCK_CLOSE_SESSION, /* that, and no call on `session` is under way */
    LOCK_CLOSE_SLOT,    /* that, and no call on `slot` is under way */
    LOCK_FINALIZE,      /* no other call is under way */
};

/* The caller sets the first three; only one that is taken is read or released. */
struct lock {
    enum lock_kind kind;
    CK_SESSION_HANDLE session; /* CK_INVALID_HANDLE: of none */
    CK_SLOT_ID slot;
    int file;  /* -1: no file is locked */
    int error; /* errno: why the file cannot be locked as it should be; 0: it is, or none was asked for */
    int reach; /* the rest is lock.c's */
    uint64_t turn;
    struct timespec deadline; /* zero until somebody waits */
    int cancelability;
    struct lock *next;
};

/*
 * Waits a while: five seconds, a quarter of one for LOCK_SHOWING. False, with a line in the log, when the
 * lock was not to be had; then nothing is held. Where no file can ever be locked `error` tells, and the rest
 * is held.
 */
bool lock_take(struct lock *lock);

/* Gives the file back, and keeps the rest. */
void lock_leave_file(struct lock *lock);

/* For a call on a token that is no card, in `slot`: from now on only its session or slot is kept open. */
void lock_pass(struct lock *lock, CK_SLOT_ID slot);

void lock_release(struct lock *lock);

/* Makes fork(2) wait, for five seconds at most, for a thread that looks or decides, and gives the child locks
 * of its own. Once a process. */
void lock_survive_fork(void);

#endif
