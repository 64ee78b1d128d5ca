/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded, lets the files of a process grow by FREE bytes in all: a disk that is nearly full. */
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static off_t taken;

static bool is_full(int file, off_t end) {
    struct stat facts;
    const char *space = getenv("FREE");
    if (space == NULL || fstat(file, &facts) != 0 || !S_ISREG(facts.st_mode) || end <= facts.st_size) {
        return false;
    }
    off_t grows = end - facts.st_size;
    if (taken + grows > atol(space)) {
        errno = ENOSPC;
        return true;
    }
    taken += grows;
    return false;
}

ssize_t pwrite64(int file, const void *bytes, size_t size, off64_t offset) {
    static ssize_t (*next)(int, const void *, size_t, off64_t);
    if (next == NULL) {
        *(void **)&next = dlsym(RTLD_NEXT, "pwrite64");
    }
    return is_full(file, offset + (off_t)size) ? -1 : next(file, bytes, size, offset);
}

ssize_t pwrite(int file, const void *bytes, size_t size, off_t offset) {
    return pwrite64(file, bytes, size, offset);
}

int ftruncate64(int file, off64_t size) {
    static int (*next)(int, off64_t);
    struct stat facts;
    if (next == NULL) {
        *(void **)&next = dlsym(RTLD_NEXT, "ftruncate64");
    }
    if (fstat(file, &facts) == 0 && size < facts.st_size) {
        taken -= facts.st_size - size;
    }
    return next(file, size);
}

int ftruncate(int file, off_t size) {
    return ftruncate64(file, size);
}
