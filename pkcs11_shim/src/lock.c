/* SPDX-License-Identifier: Apache-2.0 */
#include "lock.h"

#include "config.h"
#include "epochs.h"
#include "log.h"
#include "remember.h"
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DECIDING_MS 5000
#define SHOWING_MS  250

/* Calls that only read let those that decide go first for so long; after that they compete with them. */
#define YIELDING_MS 100

#define SHORTEST_PAUSE_NS 20000L
#define LONGEST_PAUSE_NS  300000L

/* Bytes of the file. BYTE_LOCK is the lock. A call that decides or waits to decide locks BYTE_DECIDERS
 * shared, so that readers know of it. Nobody locks BYTE_DECIDERS exclusively. */
enum { BYTE_LOCK, BYTE_DECIDERS };

/* What a call keeps from others in this process, the widest last. */
enum {
    REACH_NOTHING, /* it waits for the file, or has given up */
    REACH_PASSED,  /* its own session or slot */
    REACH_LOGIN_SHARED,
    REACH_LOGIN,
    REACH_ALL,
};

static const struct {
    short file; /* F_UNLCK: none */
    int reach;
} kinds[] = {
    [LOCK_SESSION] = {F_UNLCK, REACH_LOGIN_SHARED}, [LOCK_SHOWING] = {F_RDLCK, REACH_LOGIN_SHARED},
    [LOCK_LOOKING] = {F_RDLCK, REACH_LOGIN_SHARED}, [LOCK_DECIDING] = {F_WRLCK, REACH_LOGIN},
    [LOCK_STARTING] = {F_WRLCK, REACH_ALL},         [LOCK_LOGOUT] = {F_UNLCK, REACH_LOGIN},
    [LOCK_CLOSE_SESSION] = {F_UNLCK, REACH_LOGIN},  [LOCK_CLOSE_SLOT] = {F_UNLCK, REACH_LOGIN},
    [LOCK_FINALIZE] = {F_UNLCK, REACH_ALL},
};

/* The calls under way, guarded by `mutex`, which is never held while anything is waited for. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct lock *calls;
static uint64_t turns;
static unsigned waiting;

/* This thread holds a lock. An inner module that calls this module again gets an error, not a deadlock. */
static _Thread_local bool inside;

static struct timespec lock_after(int milliseconds) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    time.tv_sec += milliseconds / 1000;
    time.tv_nsec += milliseconds % 1000 * 1000000L;
    if (time.tv_nsec >= 1000000000L) {
        time.tv_sec++;
        time.tv_nsec -= 1000000000L;
    }
    return time;
}

static bool lock_past(const struct timespec *deadline) {
    struct timespec now = lock_after(0);
    return now.tv_sec > deadline->tv_sec ||
           (now.tv_sec == deadline->tv_sec && now.tv_nsec >= deadline->tv_nsec);
}

static int lock_milliseconds_of(const struct lock *lock) {
    return lock->kind == LOCK_SHOWING ? SHOWING_MS : DECIDING_MS;
}

/* How long the lock is waited for, from when this is first asked: most locks are free, and never ask. */
static const struct timespec *lock_deadline_of(struct lock *lock) {
    if (lock->deadline.tv_sec == 0) {
        lock->deadline = lock_after(lock_milliseconds_of(lock));
    }
    return &lock->deadline;
}

/* The list. The functions below, down to `lock_tell`, are called with the mutex held. */

static void lock_enter(struct lock *lock) {
    lock->reach = REACH_NOTHING;
    lock->next = calls;
    calls = lock;
}

static void lock_leave(struct lock *lock) {
    struct lock **at = &calls;
    while (*at != NULL && *at != lock) {
        at = &(*at)->next;
    }
    if (*at != NULL) { /* a forked child has forgotten its parent's */
        *at = lock->next;
    }
}

static bool lock_keeps_out(const struct lock *one, const struct lock *other) {
    switch (one->reach) {
    case REACH_ALL:
        return other->reach != REACH_NOTHING;
    case REACH_LOGIN:
        return other->reach == REACH_LOGIN || other->reach == REACH_LOGIN_SHARED ||
               (other->reach == REACH_PASSED &&
                ((one->kind == LOCK_CLOSE_SESSION && one->session == other->session) ||
                 (one->kind == LOCK_CLOSE_SLOT && one->slot == other->slot)));
    default:
        /* Both would use the open store (store.c), which is for one thread at a time. */
        return one->kind == LOCK_SHOWING && other->kind == LOCK_SHOWING && one->reach == REACH_LOGIN_SHARED &&
               other->reach == REACH_LOGIN_SHARED;
    }
}

/* A call waits only for calls that came before it, so that none waits for ever. */
static bool lock_must_wait(const struct lock *lock) {
    for (const struct lock *other = calls; other != NULL; other = other->next) {
        if (other->turn < lock->turn && (lock_keeps_out(lock, other) || lock_keeps_out(other, lock))) {
            return true;
        }
    }
    return false;
}

static void lock_tell(void) {
    if (waiting > 0) {
        pthread_cond_broadcast(&changed);
    }
}

/* Takes the lock's place among the calls under way, if that is free, or once it is. */
static bool lock_join(struct lock *lock, int reach, bool waits) {
    lock->reach = reach;
    lock->turn = ++turns;
    bool blocked = lock_must_wait(lock);
    while (blocked && waits) {
        waiting++;
        waits =
            pthread_cond_clockwait(&changed, &mutex, CLOCK_MONOTONIC, lock_deadline_of(lock)) != ETIMEDOUT;
        waiting--;
        blocked = lock_must_wait(lock);
    }
    if (blocked) {
        lock->reach = REACH_NOTHING;
        lock_tell();
    }
    return !blocked;
}

static bool lock_join_now(struct lock *lock, bool waits) {
    pthread_mutex_lock(&mutex);
    bool joined = lock_join(lock, kinds[lock->kind].reach, waits);
    pthread_mutex_unlock(&mutex);
    return joined;
}

static void lock_reach_no_further_than(struct lock *lock, int reach) {
    pthread_mutex_lock(&mutex);
    lock->reach = reach;
    lock_tell();
    pthread_mutex_unlock(&mutex);
}

/* The file. */

static bool lock_is_passing(int error) {
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == EINTR;
}

/* With the mutex held, so that no fork leaves a child with a file that is in no list. A file that can only be
 * read is locked shared, also for a call that wants it exclusively; `error` then says why. That is enough to
 * read cards, and not enough to decide. */
static bool lock_open_file(struct lock *lock) {
    const int flags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    bool exclusive = kinds[lock->kind].file == F_WRLCK;
    lock->file = open(config.store_lock, (exclusive ? O_RDWR : O_RDONLY) | flags);
    lock->error = lock->file < 0 ? errno : 0;
    if (exclusive && (lock->error == EACCES || lock->error == EROFS)) {
        lock->file = open(config.store_lock, O_RDONLY | flags);
    }
    if (lock->file < 0 && lock_is_passing(lock->error)) {
        log_line(LOG_ERROR, "%s: %s", config.store_lock, strerror(lock->error));
        return false;
    }
    return true;
}

/* 0, or what fcntl(2) says. */
static int lock_set(const struct lock *lock, short type, off_t byte) {
    struct flock range = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    return fcntl(lock->file, F_OFD_SETLK, &range) == 0 ? 0 : errno;
}

static bool lock_somebody_decides(const struct lock *lock) {
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = BYTE_DECIDERS, .l_len = 1};
    return fcntl(lock->file, F_OFD_GETLK, &range) == 0 && range.l_type != F_UNLCK;
}

/* Locks the file if that is possible at once: 0, or why not. */
static int lock_file(const struct lock *lock, bool yields) {
    if (kinds[lock->kind].file == F_WRLCK && lock->error == 0) {
        int error = lock_set(lock, F_RDLCK, BYTE_DECIDERS);
        return error == 0 ? lock_set(lock, F_WRLCK, BYTE_LOCK) : error;
    }
    return yields && lock_somebody_decides(lock) ? EAGAIN : lock_set(lock, F_RDLCK, BYTE_LOCK);
}

/* Whether whoever opens the lock file now opens this one. */
static bool lock_is_at_its_path(int file) {
    struct stat opened, there;
    return fstat(file, &opened) == 0 && lstat(config.store_lock, &there) == 0 &&
           opened.st_dev == there.st_dev && opened.st_ino == there.st_ino;
}

static void lock_unlock_file(const struct lock *lock) {
    /* Not by closing alone: a child made without fork handlers would share the lock until it ends. */
    struct flock whole_file = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    fcntl(lock->file, F_OFD_SETLK, &whole_file);
}

static void lock_close_file(struct lock *lock) {
    if (lock->file >= 0) {
        lock_unlock_file(lock);
        pthread_mutex_lock(&mutex);
        close(lock->file);
        lock->file = -1;
        pthread_mutex_unlock(&mutex);
    }
}

static void lock_give_up(void *argument) {
    struct lock *lock = argument;
    lock_close_file(lock);
    pthread_mutex_lock(&mutex);
    lock_leave(lock);
    lock_tell();
    pthread_mutex_unlock(&mutex);
}

/* The only moment at which a thread with a lock can be cancelled. */
static void lock_rest(struct lock *lock, const struct timespec *pause) {
    pthread_cleanup_push(lock_give_up, lock);
    pthread_setcancelstate(lock->cancelability, NULL);
    nanosleep(pause, NULL);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    pthread_cleanup_pop(0);
}

static bool lock_open_again(struct lock *lock) {
    lock_close_file(lock);
    pthread_mutex_lock(&mutex);
    bool open = lock_open_file(lock);
    pthread_mutex_unlock(&mutex);
    return open;
}

/* Polls, since a blocking F_OFD_SETLKW has no time limit. */
static bool lock_wait_for_file(struct lock *lock) {
    struct timespec yielding = {0}, pause = {.tv_nsec = SHORTEST_PAUSE_NS};
    while (lock->file >= 0) {
        int error = lock_file(lock, yielding.tv_sec == 0 || !lock_past(&yielding));
        if (error == 0 && lock_is_at_its_path(lock->file)) {
            return true;
        }
        if (error == 0 && !lock_open_again(lock)) {
            return false;
        }
        if (error != 0 && error != EAGAIN && error != EACCES && error != EINTR) {
            lock_close_file(lock);
            lock->error = error;
            return true;
        }
        if (lock_past(lock_deadline_of(lock))) {
            log_line(LOG_ERROR, "%s: not to be had within %d ms", config.store_lock,
                     lock_milliseconds_of(lock));
            return false;
        }
        if (yielding.tv_sec == 0) {
            yielding = lock_after(YIELDING_MS);
        }
        lock_rest(lock, &pause);
        pause.tv_nsec = pause.tv_nsec * 2 < LONGEST_PAUSE_NS ? pause.tv_nsec * 2 : LONGEST_PAUSE_NS;
    }
    return true;
}

/* Waits for the file or for other threads, but never for one while it holds the other. */
static bool lock_take_both(struct lock *lock) {
    for (;;) {
        if (!lock_wait_for_file(lock)) {
            return false;
        }
        if (lock_join_now(lock, lock->file < 0)) {
            return true;
        }
        if (lock->file >= 0) {
            lock_unlock_file(lock);
        }
        if (lock->file < 0 || !lock_join_now(lock, true)) {
            log_line(LOG_ERROR, "another thread's call took more than %d ms", lock_milliseconds_of(lock));
            return false;
        }
        if (lock_file(lock, true) == 0 && lock_is_at_its_path(lock->file)) {
            return true;
        }
        lock_reach_no_further_than(lock, REACH_NOTHING);
    }
}

bool lock_take(struct lock *lock) {
    lock->file = -1;
    lock->error = 0;
    lock->deadline = (struct timespec){0};
    if (inside) {
        log_line(LOG_ERROR, "the inner module calls this module");
        return false;
    }
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &lock->cancelability);
    bool takes_file = kinds[lock->kind].file != F_UNLCK && *config.store != '\0';
    pthread_mutex_lock(&mutex);
    lock_enter(lock);
    bool open = !takes_file || lock_open_file(lock);
    bool taken = open && !takes_file && lock_join(lock, kinds[lock->kind].reach, true);
    pthread_mutex_unlock(&mutex);
    if (taken || (open && lock_take_both(lock))) {
        inside = true;
        return true;
    }
    lock_give_up(lock);
    pthread_setcancelstate(lock->cancelability, NULL);
    return false;
}

void lock_leave_file(struct lock *lock) {
    lock_close_file(lock);
}

void lock_pass(struct lock *lock, CK_SLOT_ID slot) {
    lock_close_file(lock);
    lock->slot = slot;
    lock_reach_no_further_than(lock, REACH_PASSED);
    inside = false;
}

void lock_release(struct lock *lock) {
    inside = false;
    lock_give_up(lock);
    pthread_setcancelstate(lock->cancelability, NULL);
}

/* What a thread that forks keeps others from: as much as a decision. */
static _Thread_local struct lock forking;
static _Thread_local bool forks_in_time;

static void lock_before_fork(void) {
    int cancelability;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancelability);
    pthread_mutex_lock(&mutex);
    forking = (struct lock){.kind = LOCK_LOGOUT, .file = -1};
    lock_enter(&forking);
    /* If the inner module forks, this thread has a lock already and does not wait for itself. */
    forks_in_time = inside || lock_join(&forking, REACH_LOGIN, true);
    pthread_setcancelstate(cancelability, NULL);
}

static void lock_after_fork_in_parent(void) {
    lock_leave(&forking);
    lock_tell();
    pthread_mutex_unlock(&mutex);
}

/* The calls of the parent's other threads go on in the parent only, and so do their locks. The child closes
 * their files, or it would hold the locks too. It does not unlock them, or the parent would lose them. */
static void lock_after_fork_in_child(void) {
    for (struct lock *call = calls; call != NULL; call = call->next) {
        if (call->file >= 0) {
            close(call->file);
            call->file = -1;
        }
    }
    store_close_in_child();
    calls = NULL;
    waiting = 0;
    inside = false;
    mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    changed = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    if (!forks_in_time) {
        /* The memory may be that of half a decision: cards refuse until a new C_Initialize. */
        epochs_drop();
        remember_drop();
    }
}

void lock_survive_fork(void) {
    pthread_atfork(lock_before_fork, lock_after_fork_in_parent, lock_after_fork_in_child);
}
