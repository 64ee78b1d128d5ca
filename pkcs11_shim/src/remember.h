/* SPDX-License-Identifier: Apache-2.0 */
/* The last wrong value of each secret, as a salted hash: trying the same wrong value again costs no try. */
#ifndef XCA_REMEMBER_H
#define XCA_REMEMBER_H

#include "cryptoki.h"
#include "store.h"

#include <stdbool.h>

/* True when this very value was wrong less than five minutes ago, in this process and epoch. */
bool remember_is_wrong(const char *number, enum secret secret, int64_t epoch, const CK_UTF8CHAR *value,
                       CK_ULONG length);

void remember_wrong(const char *number, enum secret secret, int64_t epoch, const CK_UTF8CHAR *value,
                    CK_ULONG length);

void remember_forget(const char *number, enum secret secret);

/* Forgets every value. */
void remember_drop(void);

#endif
