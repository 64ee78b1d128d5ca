/* SPDX-License-Identifier: Apache-2.0 */
#include "template.h"

#include "fetch.h"

void template_of(struct template *template, CK_ATTRIBUTE *attributes, CK_ULONG length) {
    template->attributes = attributes;
    template->length = length;
}

static CK_RV template_judge_all(struct template *template, CK_ATTRIBUTE **attributes, CK_ULONG length);

/* An attribute in the copy. Whatever is not plainly harmless counts as "on the token": in doubt the card
 * refuses. */
static CK_RV template_judge_one(struct template *template, CK_ATTRIBUTE *attribute) {
    CK_BBOOL value = CK_TRUE;
    CK_ATTRIBUTE *inside = attribute->pValue;
    CK_RV rv = CKR_OK;
    switch (attribute->type) {
    case CKA_TOKEN:
        if (attribute->pValue != NULL && attribute->ulValueLen == sizeof value) {
            fetch(&value, attribute->pValue, sizeof value);
        }
        template->says_token = template->says_token || value != CK_FALSE;
        attribute->pValue = &template->no;
        break;
    case CKA_WRAP_TEMPLATE:
    case CKA_UNWRAP_TEMPLATE:
    case CKA_DERIVE_TEMPLATE:
        template->says_token = template->says_token || attribute->ulValueLen % sizeof *inside != 0;
        rv = template_judge_all(template, &inside, attribute->ulValueLen / sizeof *inside);
        attribute->pValue = inside;
        break;
    case CKA_ALLOWED_MECHANISMS:
        break;
    default: /* another array may be a template too */
        template->says_token = template->says_token || (attribute->type & CKF_ARRAY_ATTRIBUTE) != 0;
    }
    return rv;
}

static CK_RV template_judge_all(struct template *template, CK_ATTRIBUTE **attributes, CK_ULONG length) {
    if (*attributes == NULL) {
        return CKR_OK;
    }
    if (length > TEMPLATE_ROOM - template->used) {
        return CKR_TEMPLATE_INCONSISTENT;
    }
    CK_ATTRIBUTE *copy = &template->room[template->used];
    template->used += length;
    fetch(copy, *attributes, length * sizeof *copy);
    *attributes = copy;
    CK_RV rv = CKR_OK;
    for (CK_ULONG i = 0; rv == CKR_OK && i < length; i++) {
        rv = template_judge_one(template, &copy[i]);
    }
    return rv;
}

CK_RV template_judge(struct template *template) {
    template->says_token = false;
    template->no = CK_FALSE;
    template->used = 0;
    return template_judge_all(template, &template->attributes, template->length);
}
