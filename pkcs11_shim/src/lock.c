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

/* Who only reads lets those that decide go first for so long; then it takes its chance among them. */
#define YIELDING_MS 100

#define SHORTEST_PAUSE_NS 20000L
#define LONGEST_PAUSE_NS  300000L

/* Bytes of the file. The second is only ever locked shared, by those that decide or wait to: who only reads
 * looks whether somebody does. */
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

/* This thread holds a lock: an inner module that calls this one again is told so instead of hanging. */
static _Thread_local bool inside;

static struct timespec after(int milliseconds) {
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

static bool past(const struct timespec *deadline) {
    struct timespec now = after(0);
    return now.tv_sec > deadline->tv_sec ||
           (now.tv_sec == deadline->tv_sec && now.tv_nsec >= deadline->tv_nsec);
}

static int milliseconds_of(const struct lock *lock) {
    return lock->kind == LOCK_SHOWING ? SHOWING_MS : DECIDING_MS;
}

/* How long the lock is waited for, from when this is first asked: most locks are free, and never ask. */
static const struct timespec *deadline_of(struct lock *lock) {
    if (lock->deadline.tv_sec == 0) {
        lock->deadline = after(milliseconds_of(lock));
    }
    return &lock->deadline;
}

/* The list. The functions below, down to `tell`, are called with the mutex held. */

static void enter(struct lock *lock) {
    lock->reach = REACH_NOTHING;
    lock->next = calls;
    calls = lock;
}

static void leave(struct lock *lock) {
    struct lock **at = &calls;
    while (*at != NULL && *at != lock) {
        at = &(*at)->next;
    }
    if (*at != NULL) { /* a forked child has forgotten its parent's */
        *at = lock->next;
    }
}

static bool keeps_out(const struct lock *one, const struct lock *other) {
    switch (one->reach) {
    case REACH_ALL:
        return other->reach != REACH_NOTHING;
    case REACH_LOGIN:
        return other->reach == REACH_LOGIN || other->reach == REACH_LOGIN_SHARED ||
               (other->reach == REACH_PASSED &&
                ((one->kind == LOCK_CLOSE_SESSION && one->session == other->session) ||
                 (one->kind == LOCK_CLOSE_SLOT && one->slot == other->slot)));
    default:
        /* What is kept in mind of the store is for one thread at a time. */
        return one->kind == LOCK_SHOWING && other->kind == LOCK_SHOWING && one->reach == REACH_LOGIN_SHARED &&
               other->reach == REACH_LOGIN_SHARED;
    }
}

/* In the order in which they came, so that nobody waits for ever. */
static bool must_wait(const struct lock *lock) {
    for (const struct lock *other = calls; other != NULL; other = other->next) {
        if (other->turn < lock->turn && (keeps_out(lock, other) || keeps_out(other, lock))) {
            return true;
        }
    }
    return false;
}

static void tell(void) {
    if (waiting > 0) {
        pthread_cond_broadcast(&changed);
    }
}

/* Takes the lock's place among the calls under way, if that is free, or once it is. */
static bool join(struct lock *lock, int reach, bool waits) {
    lock->reach = reach;
    lock->turn = ++turns;
    bool blocked = must_wait(lock);
    while (blocked && waits) {
        waiting++;
        waits = pthread_cond_clockwait(&changed, &mutex, CLOCK_MONOTONIC, deadline_of(lock)) != ETIMEDOUT;
        waiting--;
        blocked = must_wait(lock);
    }
    if (blocked) {
        lock->reach = REACH_NOTHING;
        tell();
    }
    return !blocked;
}

static bool join_now(struct lock *lock, bool waits) {
    pthread_mutex_lock(&mutex);
    bool joined = join(lock, kinds[lock->kind].reach, waits);
    pthread_mutex_unlock(&mutex);
    return joined;
}

static void reach_no_further_than(struct lock *lock, int reach) {
    pthread_mutex_lock(&mutex);
    lock->reach = reach;
    tell();
    pthread_mutex_unlock(&mutex);
}

/* The file. */

static bool is_passing(int error) {
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == EINTR;
}

/* With the mutex held, so that no fork leaves a child with a file that nobody knows of. A file that can only
 * be read is locked shared even where it should be exclusively: enough to read by, and `error` tells. */
static bool open_file(struct lock *lock) {
    const int flags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
    bool exclusive = kinds[lock->kind].file == F_WRLCK;
    lock->file = open(config.store_lock, (exclusive ? O_RDWR : O_RDONLY) | flags);
    lock->error = lock->file < 0 ? errno : 0;
    if (exclusive && (lock->error == EACCES || lock->error == EROFS)) {
        lock->file = open(config.store_lock, O_RDONLY | flags);
    }
    if (lock->file < 0 && is_passing(lock->error)) {
        log_line(LOG_ERROR, "%s: %s", config.store_lock, strerror(lock->error));
        return false;
    }
    return true;
}

/* 0, or what fcntl(2) says. */
static int set(const struct lock *lock, short type, off_t byte) {
    struct flock range = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    return fcntl(lock->file, F_OFD_SETLK, &range) == 0 ? 0 : errno;
}

static bool somebody_decides(const struct lock *lock) {
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = BYTE_DECIDERS, .l_len = 1};
    return fcntl(lock->file, F_OFD_GETLK, &range) == 0 && range.l_type != F_UNLCK;
}

/* Locks the file if that is possible at once: 0, or why not. */
static int lock_file(const struct lock *lock, bool yields) {
    if (kinds[lock->kind].file == F_WRLCK && lock->error == 0) {
        int error = set(lock, F_RDLCK, BYTE_DECIDERS);
        return error == 0 ? set(lock, F_WRLCK, BYTE_LOCK) : error;
    }
    return yields && somebody_decides(lock) ? EAGAIN : set(lock, F_RDLCK, BYTE_LOCK);
}

/* Whether whoever opens the lock file now opens this one. */
static bool is_at_its_path(int file) {
    struct stat opened, there;
    return fstat(file, &opened) == 0 && lstat(config.store_lock, &there) == 0 &&
           opened.st_dev == there.st_dev && opened.st_ino == there.st_ino;
}

static void unlock_file(const struct lock *lock) {
    /* Not by closing alone: a child made without fork handlers would share the lock until it ends. */
    struct flock whole_file = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    fcntl(lock->file, F_OFD_SETLK, &whole_file);
}

static void close_file(struct lock *lock) {
    if (lock->file >= 0) {
        unlock_file(lock);
        pthread_mutex_lock(&mutex);
        close(lock->file);
        lock->file = -1;
        pthread_mutex_unlock(&mutex);
    }
}

static void give_up(void *argument) {
    struct lock *lock = argument;
    close_file(lock);
    pthread_mutex_lock(&mutex);
    leave(lock);
    tell();
    pthread_mutex_unlock(&mutex);
}

/* The only moment at which a thread with a lock can be cancelled. */
static void rest(struct lock *lock, const struct timespec *pause) {
    pthread_cleanup_push(give_up, lock);
    pthread_setcancelstate(lock->cancelability, NULL);
    nanosleep(pause, NULL);
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    pthread_cleanup_pop(0);
}

static bool open_again(struct lock *lock) {
    close_file(lock);
    pthread_mutex_lock(&mutex);
    bool open = open_file(lock);
    pthread_mutex_unlock(&mutex);
    return open;
}

/* Polls, since a blocking F_OFD_SETLKW has no time limit. */
static bool wait_for_file(struct lock *lock) {
    struct timespec yielding = {0}, pause = {.tv_nsec = SHORTEST_PAUSE_NS};
    while (lock->file >= 0) {
        int error = lock_file(lock, yielding.tv_sec == 0 || !past(&yielding));
        if (error == 0 && is_at_its_path(lock->file)) {
            return true;
        }
        if (error == 0 && !open_again(lock)) {
            return false;
        }
        if (error != 0 && error != EAGAIN && error != EACCES && error != EINTR) {
            close_file(lock);
            lock->error = error;
            return true;
        }
        if (past(deadline_of(lock))) {
            log_line(LOG_ERROR, "%s: not to be had within %d ms", config.store_lock, milliseconds_of(lock));
            return false;
        }
        if (yielding.tv_sec == 0) {
            yielding = after(YIELDING_MS);
        }
        rest(lock, &pause);
        pause.tv_nsec = pause.tv_nsec * 2 < LONGEST_PAUSE_NS ? pause.tv_nsec * 2 : LONGEST_PAUSE_NS;
    }
    return true;
}

/* Waits for the file or for other threads, but never for one while it holds the other. */
static bool take_both(struct lock *lock) {
    for (;;) {
        if (!wait_for_file(lock)) {
            return false;
        }
        if (join_now(lock, lock->file < 0)) {
            return true;
        }
        if (lock->file >= 0) {
            unlock_file(lock);
        }
        if (lock->file < 0 || !join_now(lock, true)) {
            log_line(LOG_ERROR, "another thread's call took more than %d ms", milliseconds_of(lock));
            return false;
        }
        if (lock_file(lock, true) == 0 && is_at_its_path(lock->file)) {
            return true;
        }
        reach_no_further_than(lock, REACH_NOTHING);
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
    enter(lock);
    bool open = !takes_file || open_file(lock);
    bool taken = open && !takes_file && join(lock, kinds[lock->kind].reach, true);
    pthread_mutex_unlock(&mutex);
    if (taken || (open && take_both(lock))) {
        inside = true;
        return true;
    }
    give_up(lock);
    pthread_setcancelstate(lock->cancelability, NULL);
    return false;
}

void lock_leave_file(struct lock *lock) {
    close_file(lock);
}

void lock_pass(struct lock *lock, CK_SLOT_ID slot) {
    close_file(lock);
    lock->slot = slot;
    reach_no_further_than(lock, REACH_PASSED);
    inside = false;
}

void lock_release(struct lock *lock) {
    inside = false;
    give_up(lock);
    pthread_setcancelstate(lock->cancelability, NULL);
}

/* What a thread that forks keeps others from: as much as a decision. */
static _Thread_local struct lock forking;
static _Thread_local bool forks_in_time;

static void before_fork(void) {
    int cancelability;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancelability);
    pthread_mutex_lock(&mutex);
    forking = (struct lock){.kind = LOCK_LOGOUT, .file = -1};
    enter(&forking);
    /* An inner module that forks is not waited for by its own thread. */
    forks_in_time = inside || join(&forking, REACH_LOGIN, true);
    pthread_setcancelstate(cancelability, NULL);
}

static void after_fork_in_parent(void) {
    leave(&forking);
    tell();
    pthread_mutex_unlock(&mutex);
}

/* The calls of the parent's other threads go on in the parent only, and so do their locks: they are the
 * parent's as long as the child does not unlock them, and the child's as long as it has their files. */
static void after_fork_in_child(void) {
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
        /* Half of a decision may stand here: cards wait for a new C_Initialize. */
        epochs_drop();
        remember_drop();
    }
}

void lock_survive_fork(void) {
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}
