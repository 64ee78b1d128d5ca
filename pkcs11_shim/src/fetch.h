/* SPDX-License-Identifier: Apache-2.0 */
/* The caller's memory, read once: another thread of the host may write to it at any time. */
#ifndef XCA_FETCH_H
#define XCA_FETCH_H

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

/* Copies what is to be judged. Only the copy is then judged and handed on; the fence keeps the compiler from
 * reading the original again in its place. */
static inline void fetch(void *copy, const void *original, size_t size) {
    memcpy(copy, original, size);
    atomic_signal_fence(memory_order_seq_cst);
}

#endif
