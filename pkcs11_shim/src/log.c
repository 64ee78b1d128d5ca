/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
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
    /* A relative path would name a file in whatever folder the host happens to be in. */
    path = file != NULL && *file == '/' ? file : NULL;
}

static ssize_t log_process_name(char *name, size_t size) {
    int file = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
    ssize_t length = file >= 0 ? read(file, name, size) : 0;
    if (file >= 0) {
        close(file);
    }
    return length;
}

void log_program(char *name, size_t size) {
    const char *said = secure_getenv("XCA_PROGRAM");
    ssize_t length = said != NULL ? (ssize_t)strnlen(said, size - 1) : 0;
    if (length > 0) {
        memcpy(name, said, (size_t)length);
    } else {
        length = log_process_name(name, size - 1);
    }
    name[length > 0 ? length : 0] = '\0';
    size_t used = strcspn(name, "\n");
    memset(name + used, 0, size - used); /* what follows a newline in a name is not kept */
    for (char *c = name; *c != '\0'; c++) {
        *c = *c < 0x20 || *c > 0x7E ? '?' : *c;
    }
}

/* The characters that a line shows as they are: those of ASCII and of the scripts that paths here are written
 * in. The rest may act on a terminal, turn the direction of writing, or be invisible, and is shown as its
 * code. */
static const struct {
    uint32_t first, last;
} shown[] = {
    {0x20, 0x7E},     {0xA1, 0xAC},     {0xAE, 0x24F},    {0x3001, 0x3029},
    {0x3041, 0x3096}, {0x309B, 0x30FF}, {0x3105, 0x312F}, {0x3400, 0x4DBF},
    {0x4E00, 0x9FFF}, {0xF900, 0xFA6D}, {0xFF01, 0xFF9F}, {0x20000, 0x2A6DF},
};

static bool log_is_shown(uint32_t character) {
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        if (character >= shown[i].first && character <= shown[i].last) {
            return true;
        }
    }
    return false;
}

/* Reads a character of UTF-8 (RFC 3629); its length is 0 if there is none here. */
static size_t log_decode(const unsigned char *text, size_t length, uint32_t *character) {
    unsigned char first = text[0];
    size_t bytes = first < 0x80   ? 1
                   : first < 0xC2 ? 0
                   : first < 0xE0 ? 2
                   : first < 0xF0 ? 3
                   : first < 0xF5 ? 4
                                  : 0;
    if (bytes == 0 || bytes > length) {
        return 0;
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    *character = bytes == 1 ? first : first & (0x7FU >> bytes);
    for (size_t i = 1; i < bytes; i++) {
        if ((text[i] & 0xC0) != 0x80) {
            return 0;
        }
        *character = *character << 6 | (text[i] & 0x3F);
    }
    return *character >= least[bytes] ? bytes : 0;
}

/* Copies a text, as much of it as has room, in a form that harms no reader; returns the length. */
static size_t log_make_harmless(char *to, size_t room, const char *text, size_t length) {
    size_t used = 0;
    for (size_t at = 0, bytes; at < length; at += bytes) {
        uint32_t character;
        char code[sizeof "<U+10FFFF>"];
        const char *piece = text + at;
        int size;
        bytes = log_decode((const unsigned char *)text + at, length - at, &character);
        if (bytes == 0) {
            bytes = 1;
            size = snprintf(code, sizeof code, "<0x%02X>", (unsigned char)text[at]);
            piece = code;
        } else if (log_is_shown(character)) {
            size = (int)bytes;
        } else {
            size = snprintf(code, sizeof code, "<U+%04X>", (unsigned)character);
            piece = code;
        }
        if ((size_t)size > room - used) {
            break;
        }
        memcpy(to + used, piece, (size_t)size);
        used += (size_t)size;
    }
    return used;
}

/* One write, so that the lines of several processes do not mix; nobody can be told if it fails. */
static void log_put(int file, const char *line, size_t length) {
    ssize_t written = write(file, line, length);
    (void)written;
}

/* A program that explains an error in its own words says no; the file gets the lines all the same. */
static bool log_is_shown_at_terminal(void) {
    const char *said = secure_getenv("XCA_LOG_TERMINAL");
    return said == NULL || strcmp(said, "no") != 0;
}

void log_line(enum log_level level, const char *format, ...) {
    if (level > wanted) {
        return;
    }
    int saved_errno = errno;
    char line[1024], harmless[2048];
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
        used = log_make_harmless(harmless, sizeof harmless - 1, line, used);
        harmless[used++] = '\n';
        if (path != NULL) {
            int file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
            if (file >= 0) {
                log_put(file, harmless, used);
                close(file);
            }
        }
        if (log_is_shown_at_terminal() && isatty(STDERR_FILENO)) {
            log_put(STDERR_FILENO, harmless, used);
        }
    }
    errno = saved_errno;
}
