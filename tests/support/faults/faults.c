// SPDX-License-Identifier: Apache-2.0
// Preloaded: makes the nth call of a kind after fault_arm() fail, or raises a signal before it.
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static char armed[16];
static int left;
static int error_number;
int fault_hit;

void fault_arm(const char *kind, int nth, int error) {
    strncpy(armed, kind, sizeof armed - 1);
    left = nth;
    error_number = error;
    fault_hit = 0;
}

static int fails(const char *kind) {
    if (strcmp(armed, kind) != 0 || --left != 0) {
        return 0;
    }
    fault_hit = 1;
    if (error_number < 0) {
        kill(getpid(), -error_number); // of the whole process, whichever thread makes the call
        return 0;
    }
    errno = error_number;
    return 1;
}

#define REAL(name) ((__typeof__(&(name)))dlsym(RTLD_NEXT, #name))

static int is_for_writing(int flags) {
    return (flags & O_ACCMODE) != O_RDONLY;
}

#define OPEN(name)                                                                                           \
    int name(const char *path, int flags, ...) {                                                             \
        va_list more;                                                                                        \
        va_start(more, flags);                                                                               \
        mode_t mode = va_arg(more, mode_t);                                                                  \
        va_end(more);                                                                                        \
        return is_for_writing(flags) && fails("open") ? -1 : REAL(name)(path, flags, mode);                  \
    }
OPEN(open)
OPEN(open64)

int mkdir(const char *path, mode_t mode) {
    return fails("open") ? -1 : REAL(mkdir)(path, mode);
}

ssize_t write(int file, const void *data, size_t size) {
    return fails(file == 1 ? "print" : "write") ? -1 : REAL(write)(file, data, size);
}

ssize_t pwrite(int file, const void *data, size_t size, off_t offset) {
    return fails("write") ? -1 : REAL(pwrite)(file, data, size, offset);
}

ssize_t pwrite64(int file, const void *data, size_t size, off64_t offset) {
    return fails("write") ? -1 : REAL(pwrite64)(file, data, size, offset);
}

int fsync(int file) {
    return fails("fsync") ? -1 : REAL(fsync)(file);
}

int fdatasync(int file) {
    return fails("fsync") ? -1 : REAL(fdatasync)(file);
}

int rename(const char *from, const char *to) {
    return fails("rename") ? -1 : REAL(rename)(from, to);
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
    return fails("rename") ? -1 : REAL(renameat2)(from_folder, from, to_folder, to, flags);
}

int link(const char *from, const char *to) {
    return fails("rename") ? -1 : REAL(link)(from, to);
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    return fails("rename") ? -1 : REAL(linkat)(from_folder, from, to_folder, to, flags);
}

int close(int file) {
    int flags = fcntl(file, F_GETFL);
    struct stat status;
    int is_file =
        flags != -1 && is_for_writing(flags) && fstat(file, &status) == 0 && S_ISREG(status.st_mode);
    int failed = is_file && fails("close");
    int result = REAL(close)(file); // it is closed all the same, as in close(2)
    if (failed) {
        errno = error_number;
        return -1;
    }
    return result;
}
