/* SPDX-License-Identifier: Apache-2.0 */
#include "lock.h"

#include "config.h"
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define POLL_NANOSECONDS 300000

/* Checks for errors: an inner module that calls back into this one is told so instead of hanging. */
static pthread_mutex_t mutex = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;

static struct timespec after(clockid_t clock, int milliseconds) {
    struct timespec time;
    clock_gettime(clock, &time);
    time.tv_sec += milliseconds / 1000;
    time.tv_nsec += milliseconds % 1000 * 1000000L;
    if (time.tv_nsec >= 1000000000L) {
        time.tv_sec++;
        time.tv_nsec -= 1000000000L;
    }
    return time;
}

static bool past(const struct timespec *deadline) {
    struct timespec now = after(CLOCK_MONOTONIC, 0);
    return now.tv_sec > deadline->tv_sec ||
           (now.tv_sec == deadline->tv_sec && now.tv_nsec >= deadline->tv_nsec);
}

/* Polls, since a blocking F_OFD_SETLKW has no time limit. */
static bool lock_file(int file, enum lock_kind kind, const struct timespec *deadline) {
    struct flock whole_file = {.l_type = kind == LOCK_SHARED ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};
    const struct timespec pause = {.tv_nsec = POLL_NANOSECONDS};
    while (fcntl(file, F_OFD_SETLK, &whole_file) != 0) {
        if ((errno != EAGAIN && errno != EACCES && errno != EINTR) || past(deadline)) {
            return false;
        }
        nanosleep(&pause, NULL);
    }
    return true;
}

bool lock_take(struct lock *lock, enum lock_kind kind, int milliseconds) {
    struct timespec mutex_deadline = after(CLOCK_REALTIME, milliseconds);
    struct timespec deadline = after(CLOCK_MONOTONIC, milliseconds);
    int failure = pthread_mutex_timedlock(&mutex, &mutex_deadline);
    if (failure != 0) {
        log_line(LOG_ERROR, "the module is busy in another thread: %s", strerror(failure));
        return false;
    }
    lock->file = -1;
    if (kind == LOCK_THREADS || *config.store == '\0') {
        return true;
    }
    char path[PATH_MAX + sizeof ".lock"];
    snprintf(path, sizeof path, "%s.lock", config.store);
    lock->file = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (lock->file < 0 && (errno == EACCES || errno == EROFS)) {
        lock->file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    }
    if (lock->file < 0) {
        if (errno == ENOENT || errno == ENOTDIR || errno == EACCES) {
            return true;
        }
        log_line(LOG_ERROR, "%s: %s", path, strerror(errno));
    } else if (lock_file(lock->file, kind, &deadline)) {
        return true;
    } else {
        log_line(LOG_ERROR, "%s: not to be had within %d ms: %s", path, milliseconds, strerror(errno));
        close(lock->file);
    }
    pthread_mutex_unlock(&mutex);
    return false;
}

void lock_release(struct lock *lock) {
    if (lock->file >= 0) {
        /* Not by closing alone: a child made without fork handlers would share the lock until it ends. */
        struct flock whole_file = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
        fcntl(lock->file, F_OFD_SETLK, &whole_file);
        close(lock->file);
    }
    pthread_mutex_unlock(&mutex);
}

/* False when the forking thread is inside the lock itself: an inner module that forks. */
static bool taken_for_fork;

static void before_fork(void) {
    taken_for_fork = pthread_mutex_lock(&mutex) == 0;
}

static void after_fork_in_parent(void) {
    if (taken_for_fork) {
        pthread_mutex_unlock(&mutex);
    }
}

static void after_fork_in_child(void) {
    /* The owner recorded in an error-checking mutex is the parent's thread: start anew instead of unlocking.
     */
    mutex = (pthread_mutex_t)PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
}

void lock_survive_fork(void) {
    pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}
