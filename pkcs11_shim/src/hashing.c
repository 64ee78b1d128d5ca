/* SPDX-License-Identifier: Apache-2.0 */
/*
 * [quirks] hash = module: signatures with a hash in the mechanism are made in two steps, a digest and a
 * signature without a hash, because the vendor's module answers CKR_BUFFER_TOO_SMALL to them. Each step has a
 * session of its own. So the caller's session can digest something else meanwhile, and a signature that is
 * cancelled ends with its sessions: nothing is sent to the card for that.
 *
 * Each signature that has begun has a lock of its own, which is held while the inner module works on it:
 * calls on one session wait for each other, calls on different sessions do not.
 */
#include "hashing.h"

#include "config.h"
#include "emsa.h"
#include "fetch.h"
#include "module.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* What is known of a signature that has begun. */
struct hashing_signature {
    CK_SESSION_HANDLE session;
    CK_SLOT_ID slot;
    CK_SESSION_HANDLE digest; /* the session that digests */
    CK_SESSION_HANDLE signer; /* the session that signs */
    struct emsa_pss pss;      /* pss.hash for PKCS #1 v1.5 too */
    bool is_pss;
    bool in_parts;
    CK_ULONG modulus_bits;
};

/* A place for a signature. It is never freed, because threads may wait for its mutex. They may then find
 * another signature in it, or none. */
struct hashing_place {
    struct hashing_place *next;
    pthread_mutex_t mutex; /* guards the rest; held during calls of the inner module */
    struct hashing_signature signature;
    bool begun;   /* there is a signature here; written with the lists' mutex held too */
    bool busy;    /* somebody holds the mutex */
    bool cut_off; /* in the child of a fork: another thread of the parent was at work on the signature */
};

/* The lists' mutex is held for a few instructions, never during a call of the inner module and never while
 * another lock is waited for. */
static pthread_mutex_t lists_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct hashing_place *begun, *spare;

static void hashing_push(struct hashing_place **list, struct hashing_place *place) {
    place->next = *list;
    *list = place;
}

static void hashing_remove(struct hashing_place **list, const struct hashing_place *place) {
    while (*list != place) {
        list = &(*list)->next;
    }
    *list = place->next;
}

/* Delays the cancellation of this thread until the end of the call: a thread that is cancelled in the inner
 * module would keep its mutex for ever. */
static int hashing_begin(void) {
    int cancelability;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancelability);
    return cancelability;
}

static void hashing_finish(int cancelability) {
    pthread_setcancelstate(cancelability, NULL);
}

static void hashing_lock(struct hashing_place *place) {
    pthread_mutex_lock(&place->mutex);
    place->busy = true;
}

static void hashing_unlock(struct hashing_place *place) {
    place->busy = false;
    pthread_mutex_unlock(&place->mutex);
}

/* Which signatures are meant. */
struct hashing_filter {
    bool by_session, by_slot; /* neither: all */
    CK_SESSION_HANDLE session;
    CK_SLOT_ID slot;
};

static bool hashing_matches(const struct hashing_place *place, const struct hashing_filter *filter) {
    return place->begun && (!filter->by_session || place->signature.session == filter->session) &&
           (!filter->by_slot || place->signature.slot == filter->slot);
}

/* Locks a signature that is meant, and waits for whoever works on it. NULL: there is none. */
static struct hashing_place *hashing_take(const struct hashing_filter *filter) {
    for (;;) {
        pthread_mutex_lock(&lists_mutex);
        struct hashing_place *place = begun;
        while (place != NULL && !hashing_matches(place, filter)) {
            place = place->next;
        }
        pthread_mutex_unlock(&lists_mutex);
        if (place == NULL) {
            return NULL;
        }
        hashing_lock(place);
        if (hashing_matches(place, filter)) {
            return place;
        }
        hashing_unlock(place); /* it ended meanwhile */
    }
}

/* A place without a signature, in neither list. NULL: out of memory. */
static struct hashing_place *hashing_reserve(void) {
    pthread_mutex_lock(&lists_mutex);
    struct hashing_place *place = spare;
    if (place != NULL) {
        spare = place->next;
    }
    pthread_mutex_unlock(&lists_mutex);
    if (place == NULL) {
        place = calloc(1, sizeof *place);
        if (place != NULL) {
            place->mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
        }
    }
    return place;
}

static void hashing_give_back(struct hashing_place *place) {
    pthread_mutex_lock(&lists_mutex);
    hashing_push(&spare, place);
    pthread_mutex_unlock(&lists_mutex);
}

static void hashing_close_sessions(const struct hashing_signature *signature) {
    inner->C_CloseSession(signature->digest);
    inner->C_CloseSession(signature->signer);
}

/* The caller has locked the signature, and unlocks it afterwards. */
static void hashing_end(struct hashing_place *place) {
    hashing_close_sessions(&place->signature);
    pthread_mutex_lock(&lists_mutex);
    place->begun = false;
    hashing_remove(&begun, place);
    hashing_push(&spare, place);
    pthread_mutex_unlock(&lists_mutex);
}

/* Locks the signature of a session. NULL: this module makes none there. In the child of a fork, a signature
 * that another thread was working on is ended here; `rv` is then CKR_OPERATION_NOT_INITIALIZED. */
static struct hashing_place *hashing_of_session(CK_SESSION_HANDLE session, CK_RV *rv) {
    struct hashing_filter filter = {.by_session = true, .session = session};
    struct hashing_place *place = hashing_take(&filter);
    *rv = CKR_OK;
    if (place != NULL && place->cut_off) {
        hashing_end(place);
        *rv = CKR_OPERATION_NOT_INITIALIZED;
    }
    return place;
}

static void hashing_end_all(const struct hashing_filter *filter) {
    if (!config.hash_in_module) {
        return;
    }
    int cancelability = hashing_begin();
    struct hashing_place *place = hashing_take(filter);
    while (place != NULL) {
        hashing_end(place);
        hashing_unlock(place);
        place = hashing_take(filter);
    }
    hashing_finish(cancelability);
}

void hashing_forget(CK_SESSION_HANDLE session) {
    hashing_end_all(&(struct hashing_filter){.by_session = true, .session = session});
}

void hashing_forget_slot(CK_SLOT_ID slot) {
    hashing_end_all(&(struct hashing_filter){.by_slot = true, .slot = slot});
}

void hashing_forget_all(void) {
    hashing_end_all(&(struct hashing_filter){.by_session = false});
}

static void hashing_before_fork(void) {
    pthread_mutex_lock(&lists_mutex);
}

static void hashing_after_fork_in_parent(void) {
    pthread_mutex_unlock(&lists_mutex);
}

static void hashing_release_places(struct hashing_place *list) {
    for (struct hashing_place *place = list; place != NULL; place = place->next) {
        place->cut_off = place->cut_off || place->busy;
        place->busy = false;
        place->mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    }
}

/* No thread of the child works on the parent's signatures. One that a thread of the parent was working on is
 * in an unknown state, and counts as cut off. */
static void hashing_after_fork_in_child(void) {
    lists_mutex = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    hashing_release_places(begun);
    hashing_release_places(spare);
}

void hashing_survive_fork(void) {
    pthread_atfork(hashing_before_fork, hashing_after_fork_in_parent, hashing_after_fork_in_child);
}

/* The quirk's part in a mechanism; hash NULL when it has none. */
static CK_RV hashing_choose(const CK_MECHANISM *mechanism, struct hashing_signature *signature) {
    signature->pss.hash = emsa_hash_of_pkcs1(mechanism->mechanism);
    const struct emsa_hash *hash = emsa_hash_of_pss(mechanism->mechanism);
    if (hash == NULL) {
        return CKR_OK;
    }
    CK_RSA_PKCS_PSS_PARAMS parameters;
    if (mechanism->pParameter == NULL || mechanism->ulParameterLen != sizeof parameters) {
        return CKR_MECHANISM_PARAM_INVALID;
    }
    memcpy(&parameters, mechanism->pParameter, sizeof parameters);
    signature->is_pss = true;
    signature->pss = (struct emsa_pss){hash, emsa_hash_of_mgf1(parameters.mgf), parameters.sLen};
    return parameters.hashAlg == hash->digest && signature->pss.mgf1 != NULL ? CKR_OK
                                                                             : CKR_MECHANISM_PARAM_INVALID;
}

static CK_RV hashing_read_modulus_bits(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, CK_ULONG *bits) {
    CK_BYTE modulus[EMSA_LARGEST_MODULUS];
    CK_ATTRIBUTE attribute = {CKA_MODULUS, modulus, sizeof modulus};
    CK_RV rv = inner->C_GetAttributeValue(session, key, &attribute, 1);
    CK_ULONG first = 0;
    if (rv != CKR_OK) {
        return rv;
    }
    if (attribute.ulValueLen > sizeof modulus) {
        return CKR_KEY_SIZE_RANGE;
    }
    while (first < attribute.ulValueLen && modulus[first] == 0) {
        first++;
    }
    *bits = (attribute.ulValueLen - first) * 8;
    for (CK_BYTE high = 0x80; *bits > 0 && (modulus[first] & high) == 0; high >>= 1) {
        --*bits;
    }
    return *bits > 0 ? CKR_OK : CKR_KEY_TYPE_INCONSISTENT;
}

/* Opens both sessions and begins the digest. */
static CK_RV hashing_open_sessions(struct hashing_signature *signature) {
    CK_SESSION_INFO info;
    CK_RV rv = inner->C_GetSessionInfo(signature->session, &info);
    if (rv != CKR_OK) {
        return rv;
    }
    signature->slot = info.slotID;
    /* Of the caller's kind: a read-only session more would bar the SO from logging in. */
    rv = inner->C_OpenSession(info.slotID, info.flags, NULL, NULL, &signature->digest);
    if (rv != CKR_OK) {
        return rv;
    }
    rv = inner->C_OpenSession(info.slotID, info.flags, NULL, NULL, &signature->signer);
    if (rv != CKR_OK) {
        inner->C_CloseSession(signature->digest);
        return rv;
    }
    CK_MECHANISM mechanism = {signature->pss.hash->digest, NULL, 0};
    rv = inner->C_DigestInit(signature->digest, &mechanism);
    if (rv != CKR_OK) {
        hashing_close_sessions(signature);
    }
    return rv;
}

/* Puts a signature that the inner module has begun into a reserved place. */
static void hashing_add(struct hashing_place *place, const struct hashing_signature *signature) {
    int cancelability = hashing_begin();
    hashing_forget(signature->session); /* another thread's, begun on this session at the same time */
    hashing_lock(place);
    place->signature = *signature;
    place->cut_off = false;
    pthread_mutex_lock(&lists_mutex);
    place->begun = true;
    hashing_push(&begun, place);
    pthread_mutex_unlock(&lists_mutex);
    hashing_unlock(place);
    hashing_finish(cancelability);
}

/* Begins a signature with a hash, of which session, hash and padding are known. */
static CK_RV hashing_init(struct hashing_signature *signature, CK_OBJECT_HANDLE key) {
    struct hashing_place *place = hashing_reserve();
    if (place == NULL) {
        return CKR_HOST_MEMORY;
    }
    CK_RV rv = hashing_open_sessions(signature);
    if (rv != CKR_OK) {
        hashing_give_back(place);
        return rv;
    }
    CK_MECHANISM without_hash = {signature->is_pss ? CKM_RSA_X_509 : CKM_RSA_PKCS, NULL, 0};
    rv = hashing_read_modulus_bits(signature->session, key, &signature->modulus_bits);
    if (rv == CKR_OK && signature->is_pss && !emsa_pss_fits(&signature->pss, signature->modulus_bits)) {
        rv = CKR_KEY_SIZE_RANGE;
    }
    if (rv == CKR_OK) {
        rv = inner->C_SignInit(signature->signer, &without_hash, key);
    }
    if (rv != CKR_OK) {
        hashing_close_sessions(signature);
        hashing_give_back(place);
        return rv;
    }
    hashing_add(place, signature);
    return CKR_OK;
}

/* Whether the module makes a signature in a session. */
static bool hashing_is_active(CK_SESSION_HANDLE session) {
    int cancelability = hashing_begin();
    CK_RV rv;
    struct hashing_place *place = hashing_of_session(session, &rv);
    bool active = place != NULL && rv == CKR_OK;
    if (place != NULL) {
        hashing_unlock(place);
    }
    hashing_finish(cancelability);
    return active;
}

CK_SESSION_HANDLE hashing_signer(CK_SESSION_HANDLE session) {
    if (!config.hash_in_module) {
        return session;
    }
    int cancelability = hashing_begin();
    CK_RV rv;
    struct hashing_place *place = hashing_of_session(session, &rv);
    if (place != NULL) {
        session = rv == CKR_OK ? place->signature.signer : session;
        hashing_unlock(place);
    }
    hashing_finish(cancelability);
    return session;
}

CK_RV card_C_SignInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key) {
    struct hashing_signature new = {.session = session};
    CK_MECHANISM how;
    CK_RV rv = CKR_OK;
    if (mechanism != NULL) {
        fetch(&how, mechanism, sizeof how);
        mechanism = &how;
        rv = hashing_choose(mechanism, &new);
    }
    if (rv == CKR_OK && mechanism != NULL && hashing_is_active(session)) {
        rv = CKR_OPERATION_ACTIVE;
    }
    if (rv != CKR_OK) {
        return rv;
    }
    if (new.pss.hash != NULL) {
        return hashing_init(&new, key);
    }
    rv = inner->C_SignInit(session, mechanism, key);
    if (rv == CKR_OK) {
        hashing_forget(session); /* without a mechanism the call ends a signature (PKCS#11 3.0) */
    }
    return rv;
}

/* Signs the finished digest; the signature is over. */
static CK_RV hashing_sign_digest(struct hashing_place *place, CK_BYTE *digest, CK_BYTE *out,
                                 CK_ULONG *out_length) {
    const struct hashing_signature *signature = &place->signature;
    CK_BYTE block[EMSA_LARGEST_MODULUS];
    CK_ULONG length;
    CK_RV rv = CKR_OK;
    if (signature->is_pss) {
        length = (signature->modulus_bits + 7) / 8;
        rv = emsa_pss_encode(&signature->pss, signature->digest, digest, signature->modulus_bits, block);
    } else {
        length = signature->pss.hash->prefix_length + signature->pss.hash->length;
        emsa_digest_info(signature->pss.hash, digest, block);
    }
    if (rv == CKR_OK) {
        rv = inner->C_Sign(signature->signer, block, length, out, out_length);
    }
    hashing_end(place);
    return rv;
}

/* PKCS#11 2.40 section 5.2: CKR_OK with a length for a NULL buffer, CKR_BUFFER_TOO_SMALL; the operation goes
 * on. */
static bool hashing_answer_length(const struct hashing_signature *signature, const CK_BYTE *out,
                                  CK_ULONG *out_length, CK_RV *rv) {
    CK_ULONG needed = (signature->modulus_bits + 7) / 8;
    if (out != NULL && *out_length >= needed) {
        return false;
    }
    *out_length = needed;
    *rv = out == NULL ? CKR_OK : CKR_BUFFER_TOO_SMALL;
    return true;
}

/* Digests the only or the last part, and signs. */
static CK_RV hashing_sign(struct hashing_place *place, bool is_last_part, CK_BYTE *data, CK_ULONG length,
                          CK_BYTE *out, CK_ULONG *out_length) {
    const struct hashing_signature *signature = &place->signature;
    CK_RV rv;
    if (out_length == NULL) {
        return CKR_ARGUMENTS_BAD;
    }
    if (!is_last_part && signature->in_parts) {
        hashing_end(place);
        return CKR_OPERATION_ACTIVE;
    }
    if (hashing_answer_length(signature, out, out_length, &rv)) {
        return rv;
    }
    CK_BYTE digest[EMSA_LARGEST_DIGEST];
    CK_ULONG digest_length = sizeof digest;
    rv = is_last_part ? inner->C_DigestFinal(signature->digest, digest, &digest_length)
                      : inner->C_Digest(signature->digest, data, length, digest, &digest_length);
    if (rv != CKR_OK) {
        hashing_end(place);
        return rv;
    }
    return hashing_sign_digest(place, digest, out, out_length);
}

static CK_RV hashing_update(struct hashing_place *place, CK_BYTE *part, CK_ULONG length) {
    CK_RV rv = inner->C_DigestUpdate(place->signature.digest, part, length);
    if (rv == CKR_OK) {
        place->signature.in_parts = true;
    } else {
        hashing_end(place);
    }
    return rv;
}

CK_RV card_C_Sign(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG length, CK_BYTE *out,
                  CK_ULONG *out_length) {
    int cancelability = hashing_begin();
    CK_RV rv;
    struct hashing_place *place = hashing_of_session(session, &rv);
    if (place == NULL) {
        hashing_finish(cancelability);
        return inner->C_Sign(session, data, length, out, out_length);
    }
    if (rv == CKR_OK) {
        rv = hashing_sign(place, false, data, length, out, out_length);
    }
    hashing_unlock(place);
    hashing_finish(cancelability);
    return rv;
}

CK_RV card_C_SignUpdate(CK_SESSION_HANDLE session, CK_BYTE *part, CK_ULONG length) {
    int cancelability = hashing_begin();
    CK_RV rv;
    struct hashing_place *place = hashing_of_session(session, &rv);
    if (place == NULL) {
        hashing_finish(cancelability);
        return inner->C_SignUpdate(session, part, length);
    }
    if (rv == CKR_OK) {
        rv = hashing_update(place, part, length);
    }
    hashing_unlock(place);
    hashing_finish(cancelability);
    return rv;
}

CK_RV card_C_SignFinal(CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *out_length) {
    int cancelability = hashing_begin();
    CK_RV rv;
    struct hashing_place *place = hashing_of_session(session, &rv);
    if (place == NULL) {
        hashing_finish(cancelability);
        return inner->C_SignFinal(session, out, out_length);
    }
    if (rv == CKR_OK) {
        rv = hashing_sign(place, true, NULL, 0, out, out_length);
    }
    hashing_unlock(place);
    hashing_finish(cancelability);
    return rv;
}

CK_RV card_C_SessionCancel(CK_SESSION_HANDLE session, CK_FLAGS flags) {
    if ((flags & CKF_SIGN) != 0) {
        hashing_forget(session);
    }
    return inner3->C_SessionCancel(session, flags);
}
