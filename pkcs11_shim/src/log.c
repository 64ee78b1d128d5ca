/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const names[] = {"error", "info", "debug"};
static enum log_level wanted = LOG_ERROR;
static const char *path;

int log_level_from(const char *name) {
    for (int level = LOG_ERROR; level <= LOG_DEBUG; level++) {
        if (strcmp(name, names[level]) == 0) {
            return level;
        }
    }
    return -1;
}

void log_to(enum log_level level, const char *file) {
    wanted = level;
    path = file;
}

void log_program(char name[16]) {
    int file = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
    ssize_t length = file >= 0 ? read(file, name, 15) : 0;
    if (file >= 0) {
        close(file);
    }
    name[length > 0 ? length : 0] = '\0';
    name[strcspn(name, "\n")] = '\0';
    for (char *c = name; *c != '\0'; c++) {
        *c = *c < 0x20 || *c > 0x7E ? '?' : *c;
    }
}

/* One write, so that the lines of several processes do not mix; nobody can be told if it fails. */
static void put(int file, const char *line, size_t length) {
    ssize_t written = write(file, line, length);
    (void)written;
}

void log_line(enum log_level level, const char *format, ...) {
    if (level > wanted) {
        return;
    }
    int saved_errno = errno;
    char line[1024], program[16];
    log_program(program);
    time_t now = time(NULL);
    struct tm parts;
    size_t used = strftime(line, sizeof line, "%FT%TZ ", gmtime_r(&now, &parts));
    used += (size_t)snprintf(line + used, sizeof line - used,
                             "%.64s[%ld] xca-pkcs11 %s: ", program_invocation_short_name, (long)getpid(),
                             names[level]);
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line + used, sizeof line - used - 1, format, arguments);
    va_end(arguments);
    if (length >= 0) {
        used += (size_t)length < sizeof line - used - 1 ? (size_t)length : sizeof line - used - 2;
        for (size_t i = 0; i < used; i++) {
            if (line[i] == '\n' || line[i] == '\r' || line[i] == '\x1b') {
                line[i] = '?';
            }
        }
        line[used++] = '\n';
        if (path != NULL && *path != '\0') {
            int file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
            if (file >= 0) {
                put(file, line, used);
                close(file);
            }
        }
        if (isatty(STDERR_FILENO)) {
            put(STDERR_FILENO, line, used);
        }
    }
    errno = saved_errno;
}
