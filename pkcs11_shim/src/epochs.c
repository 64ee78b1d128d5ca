/* SPDX-License-Identifier: Apache-2.0 */
#include "epochs.h"

#include <stdlib.h>
#include <string.h>

static struct epochs kept;
static bool known;

bool epochs_known(void) {
    return known;
}

void epochs_keep(struct epochs *fresh) {
    epochs_drop();
    kept = *fresh;
    known = true;
    *fresh = (struct epochs){0};
}

void epochs_drop(void) {
    free(kept.cards);
    kept = (struct epochs){0};
    known = false;
}

static int by_number(const void *number, const void *card) {
    return strcmp(number, ((const struct epoch *)card)->number);
}

struct epoch *epochs_find(const char *number) {
    return kept.count == 0 ? NULL : bsearch(number, kept.cards, kept.count, sizeof *kept.cards, by_number);
}
