/* SPDX-License-Identifier: Apache-2.0 */
/* What store_row.c and calls.c share: a card in the module over minimal.c, and the input. */
#ifndef FUZZ_CARD_H
#define FUZZ_CARD_H

#include "../module/inner/minimal.h"
#include "cryptoki.h"
#include "record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exported by the module. */
CK_RV C_GetInterfaceList(CK_INTERFACE *interfaces, CK_ULONG *count);
CK_RV C_GetInterface(CK_UTF8CHAR *name, CK_VERSION *version, CK_INTERFACE **interface, CK_FLAGS flags);

extern CK_FUNCTION_LIST_3_0 *list;
extern struct minimal *inner_control;
extern const char *store_path;

/* Once: makes the card's folder in TMPDIR, which is best in memory, and loads the module. */
void card_start(void);

/* Before every input: a card that is activated and has all its tries, in a module that is not initialised. */
void card_renew(void);

/* Makes a slot whole, whatever stands in it. */
void card_seal(struct record_slot *slot);

/* Ends the process as a finding unless the condition holds. */
void must(bool holds);

/* The input, from front to back; zeros and nothing when it is used up. */
void input_begin(const uint8_t *data, size_t size);
uint8_t input_byte(void);
size_t input_take(size_t most, const uint8_t **data);
void input_copy(void *to, size_t size);
bool input_is_used_up(void);

#endif
