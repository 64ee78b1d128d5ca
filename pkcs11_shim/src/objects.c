/* SPDX-License-Identifier: Apache-2.0 */
/* Token objects of a card: only its holder, logged in with the PIN, may make, change or destroy them. */
#include "fetch.h"
#include "guard.h"
#include "module.h"
#include "template.h"

#include <stdbool.h>

static CK_RV objects_is_on_token(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, bool *on_token) {
    CK_BBOOL value = CK_TRUE;
    CK_ATTRIBUTE attribute = {CKA_TOKEN, &value, sizeof value};
    CK_RV rv = inner->C_GetAttributeValue(session, object, &attribute, 1);
    *on_token = value != CK_FALSE;
    return rv;
}

/* Whether the guarded call is on a card whose holder is not logged in: it may not touch what lies on the
 * token. */
static bool objects_is_limited(const struct guard *guard) {
    CK_STATE state = guard->info.state;
    return guard->card.is_card && state != CKS_RO_USER_FUNCTIONS && state != CKS_RW_USER_FUNCTIONS;
}

/*
 * Looks the session's card up. A session that the inner module does not know is replaced by
 * CK_INVALID_HANDLE, and the call goes on: the inner module then does nothing, and chooses the error of a
 * call that is wrong in several ways.
 */
static CK_RV objects_look_up(struct guard *guard, CK_SESSION_HANDLE *session) {
    CK_RV rv = guard_session(guard, *session, GUARD_OBJECT);
    if (rv == CKR_SESSION_HANDLE_INVALID) {
        *session = CK_INVALID_HANDLE;
        return CKR_OK;
    }
    return rv;
}

/* CKR_OK: the template, which is a copy from now on, puts nothing on the token. */
static CK_RV objects_allow_off_token(struct template *template) {
    CK_RV rv = template_judge(template);
    return rv == CKR_OK && template->says_token ? CKR_USER_NOT_LOGGED_IN : rv;
}

/* CKR_OK: an object may be made after this template; the caller makes it, and calls guard_end. */
static CK_RV objects_allow_new(struct guard *guard, CK_SESSION_HANDLE *session, struct template *template) {
    CK_RV rv = objects_look_up(guard, session);
    if (rv == CKR_OK && objects_is_limited(guard)) {
        rv = objects_allow_off_token(template);
    }
    return rv == CKR_OK ? rv : guard_end(guard, rv);
}

/* CKR_OK: this object may be changed after this template, or copied; the caller does so, and calls guard_end.
 */
static CK_RV objects_allow_change(struct guard *guard, CK_SESSION_HANDLE *session, CK_OBJECT_HANDLE object,
                                  struct template *template) {
    CK_RV rv = objects_look_up(guard, session);
    if (rv == CKR_OK && objects_is_limited(guard)) {
        bool on_token = true;
        rv = objects_is_on_token(*session, object, &on_token);
        if (rv == CKR_OK) {
            rv = on_token ? CKR_USER_NOT_LOGGED_IN : objects_allow_off_token(template);
        }
    }
    return rv == CKR_OK ? rv : guard_end(guard, rv);
}

CK_RV card_C_CreateObject(CK_SESSION_HANDLE session, CK_ATTRIBUTE *attributes, CK_ULONG length,
                          CK_OBJECT_HANDLE *object) {
    struct guard guard;
    struct template new;
    template_of(&new, attributes, length);
    CK_RV rv = objects_allow_new(&guard, &session, &new);
    return rv == CKR_OK ? guard_end(&guard, inner->C_CreateObject(session, new.attributes, length, object))
                        : rv;
}

CK_RV card_C_CopyObject(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *attributes,
                        CK_ULONG length, CK_OBJECT_HANDLE *copy) {
    /* A copy lies where its original lies unless the template says otherwise. So what lies on the card cannot
     * be copied here, even into the session: no card is bound to allow that. */
    struct guard guard;
    struct template changes;
    template_of(&changes, attributes, length);
    CK_RV rv = objects_allow_change(&guard, &session, object, &changes);
    return rv == CKR_OK
               ? guard_end(&guard, inner->C_CopyObject(session, object, changes.attributes, length, copy))
               : rv;
}

CK_RV card_C_DestroyObject(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object) {
    struct guard guard;
    struct template none;
    template_of(&none, NULL, 0);
    CK_RV rv = objects_allow_change(&guard, &session, object, &none);
    return rv == CKR_OK ? guard_end(&guard, inner->C_DestroyObject(session, object)) : rv;
}

CK_RV card_C_SetAttributeValue(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *attributes,
                               CK_ULONG length) {
    struct guard guard;
    struct template changes;
    template_of(&changes, attributes, length);
    CK_RV rv = objects_allow_change(&guard, &session, object, &changes);
    return rv == CKR_OK
               ? guard_end(&guard, inner->C_SetAttributeValue(session, object, changes.attributes, length))
               : rv;
}

CK_RV card_C_GenerateKey(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_ATTRIBUTE *attributes,
                         CK_ULONG length, CK_OBJECT_HANDLE *key) {
    struct guard guard;
    struct template new;
    template_of(&new, attributes, length);
    CK_RV rv = objects_allow_new(&guard, &session, &new);
    return rv == CKR_OK
               ? guard_end(&guard, inner->C_GenerateKey(session, mechanism, new.attributes, length, key))
               : rv;
}

CK_RV card_C_GenerateKeyPair(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
                             CK_ATTRIBUTE *public_attributes, CK_ULONG public_length,
                             CK_ATTRIBUTE *private_attributes, CK_ULONG private_length,
                             CK_OBJECT_HANDLE *public_key, CK_OBJECT_HANDLE *private_key) {
    struct guard guard;
    struct template public, private;
    template_of(&public, public_attributes, public_length);
    template_of(&private, private_attributes, private_length);
    CK_RV rv = objects_allow_new(&guard, &session, &public);
    if (rv == CKR_OK && objects_is_limited(&guard)) {
        rv = objects_allow_off_token(&private);
    }
    if (rv == CKR_OK) {
        rv = inner->C_GenerateKeyPair(session, mechanism, public.attributes, public_length,
                                      private.attributes, private_length, public_key, private_key);
    }
    return guard_end(&guard, rv);
}

CK_RV card_C_UnwrapKey(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE unwrapping,
                       CK_BYTE *wrapped, CK_ULONG wrapped_length, CK_ATTRIBUTE *attributes, CK_ULONG length,
                       CK_OBJECT_HANDLE *key) {
    struct guard guard;
    struct template new;
    template_of(&new, attributes, length);
    CK_RV rv = objects_allow_new(&guard, &session, &new);
    return rv == CKR_OK ? guard_end(&guard, inner->C_UnwrapKey(session, mechanism, unwrapping, wrapped,
                                                               wrapped_length, new.attributes, length, key))
                        : rv;
}

/* Mechanisms that derive more keys than one, each after a template in the parameter (PKCS #11 Current
 * Mechanisms 3.0, CK_DERIVED_KEY): for the holder alone. */
static bool objects_makes_more_keys(CK_MECHANISM_TYPE mechanism) {
    return mechanism == CKM_SP800_108_COUNTER_KDF || mechanism == CKM_SP800_108_FEEDBACK_KDF ||
           mechanism == CKM_SP800_108_DOUBLE_PIPELINE_KDF;
}

CK_RV card_C_DeriveKey(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE base,
                       CK_ATTRIBUTE *attributes, CK_ULONG length, CK_OBJECT_HANDLE *key) {
    struct guard guard;
    struct template new;
    CK_MECHANISM how;
    template_of(&new, attributes, length);
    CK_RV rv = objects_allow_new(&guard, &session, &new);
    if (rv == CKR_OK && mechanism != NULL && objects_is_limited(&guard)) {
        fetch(&how, mechanism, sizeof how);
        mechanism = &how;
        rv = objects_makes_more_keys(how.mechanism) ? CKR_USER_NOT_LOGGED_IN : CKR_OK;
    }
    if (rv == CKR_OK) {
        rv = inner->C_DeriveKey(session, mechanism, base, new.attributes, length, key);
    }
    return guard_end(&guard, rv);
}
