/* SPDX-License-Identifier: Apache-2.0 */
/* A template as the caller gave it, or a copy of it that was judged. */
#ifndef XCA_TEMPLATE_H
#define XCA_TEMPLATE_H

#include "cryptoki.h"

#include <stdbool.h>

#define TEMPLATE_ROOM 128 /* attributes, those of templates inside it included; SoftHSM takes 32 */

struct template {
    CK_ATTRIBUTE *attributes; /* for the inner module */
    CK_ULONG length;
    bool says_token; /* once it is judged: something is to lie on the token, or may be meant to */
    CK_BBOOL no;     /* the value of every CKA_TOKEN in the copy */
    CK_ULONG used;
    CK_ATTRIBUTE room[TEMPLATE_ROOM];
};

/* Takes the caller's template as it is. */
void template_of(struct template *template, CK_ATTRIBUTE *attributes, CK_ULONG length);

/* Copies and judges it. CKR_TEMPLATE_INCONSISTENT when it has more attributes than there is room for. */
CK_RV template_judge(struct template *template);

#endif
