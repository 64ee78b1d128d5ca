/* SPDX-License-Identifier: Apache-2.0 */
/* The state of minimal.c that its host reads and sets, through the exported function `minimal`. */
#ifndef MINIMAL_H
#define MINIMAL_H

#include "cryptoki.h"

#include <stdbool.h>

#define MINIMAL_CARD      "XC00000000000001"
#define MINIMAL_SECOND    "XC00000000000002" /* its PIN and user code are the same */
#define MINIMAL_PIN       "Pin+1357"
#define MINIMAL_USER_CODE "Code~8642"

enum { MINIMAL_CARD_SLOT, MINIMAL_PLAIN_SLOT, MINIMAL_EMPTY_SLOT, MINIMAL_SLOTS };

/* Keys, by handle: the low three bits choose the length of the modulus, the next two its first byte, the next
 * whether the key is a session object. */
#define MINIMAL_OBJECTS 64

struct minimal {
    CK_RV answer;      /* of one call, which does nothing else; CKR_OK: none */
    unsigned skip;     /* calls before that one */
    unsigned wrong[2]; /* wrong values in a row that were compared with the card's PIN and user code */
    bool trespassed; /* a template wanted something on the card, and its holder was not logged in; or a label,
                        another card */
    CK_FLAGS flags;  /* more flags of the plain token */

    void (*enter)(const char *function); /* called first by every function, unless NULL */
    bool second_card;                    /* the plain token is a card too */
    unsigned asked;                      /* values that were compared with a secret of the plain token */
    unsigned tries;                      /* that the plain token counts, as a real card does; 0: none */
};

typedef struct minimal *minimal_function(void);

#endif
