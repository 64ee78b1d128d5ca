/* SPDX-License-Identifier: Apache-2.0 */
/* Token objects of a card: only its holder, logged in with the PIN, may make, change or destroy them. */
#include "guard.h"
#include "module.h"

#include <stdbool.h>

static bool says_token(const CK_ATTRIBUTE *template, CK_ULONG length) {
    if (template == NULL) {
        return false;
    }
    for (CK_ULONG i = 0; i < length; i++) {
        const CK_ATTRIBUTE *attribute = &template[i];
        /* Whatever is not plainly false counts as true: in doubt the card refuses. */
        if (attribute->type == CKA_TOKEN &&
            (attribute->pValue == NULL || attribute->ulValueLen != sizeof(CK_BBOOL) ||
             *(const CK_BBOOL *)attribute->pValue != CK_FALSE)) {
            return true;
        }
    }
    return false;
}

static CK_RV is_on_token(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, bool *on_token) {
    CK_BBOOL value = CK_TRUE;
    CK_ATTRIBUTE attribute = {CKA_TOKEN, &value, sizeof value};
    CK_RV rv = inner->C_GetAttributeValue(session, object, &attribute, 1);
    *on_token = value != CK_FALSE;
    return rv;
}

/* CKR_OK: a call that changes token objects, or does not, may be forwarded. */
static CK_RV allow(const CK_SESSION_INFO *info, bool changes_token) {
    bool holder = info->state == CKS_RO_USER_FUNCTIONS || info->state == CKS_RW_USER_FUNCTIONS;
    return holder || !changes_token ? CKR_OK : CKR_USER_NOT_LOGGED_IN;
}

/*
 * Looks the session's card up; a session that the inner module does not know becomes the one that never is:
 * asked with that, the inner module does nothing, and says what it says first of a call that is wrong in
 * several ways.
 */
static CK_RV look_up(struct guard *guard, CK_SESSION_HANDLE *session) {
    CK_RV rv = guard_session(guard, *session, GUARD_OBJECT);
    if (rv == CKR_SESSION_HANDLE_INVALID) {
        *session = CK_INVALID_HANDLE;
        return CKR_OK;
    }
    return rv;
}

/* CKR_OK: an object may be made; the caller makes it, and calls guard_end. */
static CK_RV allow_new(struct guard *guard, CK_SESSION_HANDLE *session, bool on_token) {
    CK_RV rv = look_up(guard, session);
    if (rv == CKR_OK && guard->card.is_card) {
        rv = allow(&guard->info, on_token);
    }
    return rv == CKR_OK ? rv : guard_end(guard, rv);
}

/* CKR_OK: this object may be changed, or copied to the token; the caller does so, and calls guard_end. */
static CK_RV allow_change(struct guard *guard, CK_SESSION_HANDLE *session, CK_OBJECT_HANDLE object,
                          bool to_token) {
    bool on_token = true;
    CK_RV rv = look_up(guard, session);
    if (rv == CKR_OK && guard->card.is_card) {
        rv = is_on_token(*session, object, &on_token);
        rv = rv == CKR_OK ? allow(&guard->info, on_token || to_token) : rv;
    }
    return rv == CKR_OK ? rv : guard_end(guard, rv);
}

CK_RV card_C_CreateObject(CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, CK_ULONG length,
                          CK_OBJECT_HANDLE *object) {
    struct guard guard;
    CK_RV rv = allow_new(&guard, &session, says_token(template, length));
    return rv == CKR_OK ? guard_end(&guard, inner->C_CreateObject(session, template, length, object)) : rv;
}

CK_RV card_C_CopyObject(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *template,
                        CK_ULONG length, CK_OBJECT_HANDLE *copy) {
    /* A copy stays where its original is unless the template says otherwise; a card need not hand out copies.
     */
    struct guard guard;
    CK_RV rv = allow_change(&guard, &session, object, says_token(template, length));
    return rv == CKR_OK ? guard_end(&guard, inner->C_CopyObject(session, object, template, length, copy))
                        : rv;
}

CK_RV card_C_DestroyObject(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object) {
    struct guard guard;
    CK_RV rv = allow_change(&guard, &session, object, false);
    return rv == CKR_OK ? guard_end(&guard, inner->C_DestroyObject(session, object)) : rv;
}

CK_RV card_C_SetAttributeValue(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *template,
                               CK_ULONG length) {
    struct guard guard;
    CK_RV rv = allow_change(&guard, &session, object, says_token(template, length));
    return rv == CKR_OK ? guard_end(&guard, inner->C_SetAttributeValue(session, object, template, length))
                        : rv;
}

CK_RV card_C_GenerateKey(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_ATTRIBUTE *template,
                         CK_ULONG length, CK_OBJECT_HANDLE *key) {
    struct guard guard;
    CK_RV rv = allow_new(&guard, &session, says_token(template, length));
    return rv == CKR_OK ? guard_end(&guard, inner->C_GenerateKey(session, mechanism, template, length, key))
                        : rv;
}

CK_RV card_C_GenerateKeyPair(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
                             CK_ATTRIBUTE *public_template, CK_ULONG public_length,
                             CK_ATTRIBUTE *private_template, CK_ULONG private_length,
                             CK_OBJECT_HANDLE *public_key, CK_OBJECT_HANDLE *private_key) {
    struct guard guard;
    CK_RV rv =
        allow_new(&guard, &session,
                  says_token(public_template, public_length) || says_token(private_template, private_length));
    return rv == CKR_OK ? guard_end(&guard, inner->C_GenerateKeyPair(session, mechanism, public_template,
                                                                     public_length, private_template,
                                                                     private_length, public_key, private_key))
                        : rv;
}

CK_RV card_C_UnwrapKey(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE unwrapping,
                       CK_BYTE *wrapped, CK_ULONG wrapped_length, CK_ATTRIBUTE *template, CK_ULONG length,
                       CK_OBJECT_HANDLE *key) {
    struct guard guard;
    CK_RV rv = allow_new(&guard, &session, says_token(template, length));
    return rv == CKR_OK ? guard_end(&guard, inner->C_UnwrapKey(session, mechanism, unwrapping, wrapped,
                                                               wrapped_length, template, length, key))
                        : rv;
}

CK_RV card_C_DeriveKey(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE base,
                       CK_ATTRIBUTE *template, CK_ULONG length, CK_OBJECT_HANDLE *key) {
    struct guard guard;
    CK_RV rv = allow_new(&guard, &session, says_token(template, length));
    return rv == CKR_OK
               ? guard_end(&guard, inner->C_DeriveKey(session, mechanism, base, template, length, key))
               : rv;
}
