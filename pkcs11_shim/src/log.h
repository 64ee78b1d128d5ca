/* SPDX-License-Identifier: Apache-2.0 */
/* The log: one line an event. No caller ever passes it a PIN or a user code. */
#ifndef XCA_LOG_H
#define XCA_LOG_H

#include <stddef.h>

enum log_level { LOG_ERROR, LOG_INFO, LOG_DEBUG };

/* Reads a level's name ("error", "info", "debug"); -1 when it is none of them. */
int log_level_from(const char *name);

/* Writes the program's name in printable characters: what XCA_PROGRAM says, else the kernel's name of this
 * process (a script has its own name there, not its interpreter's). The rest of `name` is filled with nulls.
 */
void log_program(char *name, size_t size);

/* Lines go to the file when there is one, and to stderr when that is a terminal, unless XCA_LOG_TERMINAL says
 * no. The path is kept, not copied. */
void log_to(enum log_level level, const char *file);

__attribute__((format(printf, 2, 3))) void log_line(enum log_level level, const char *format, ...);

#endif
