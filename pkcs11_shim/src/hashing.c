/* SPDX-License-Identifier: Apache-2.0 */
/*
 * [quirks] hash = module: signatures with a hash in the mechanism are made in two steps, a digest and a
 * signature without a hash, because the vendor's module answers CKR_BUFFER_TOO_SMALL to them. What is
 * digested goes through a session of its own, so that the caller's session can digest something else
 * meanwhile.
 */
#include "hashing.h"
#include "emsa.h"
#include "fetch.h"
#include "module.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct signing {
    CK_SESSION_HANDLE session;
    CK_SLOT_ID slot;
    CK_SESSION_HANDLE digest; /* the session that digests */
    struct emsa_pss pss;      /* pss.hash for PKCS #1 v1.5 too */
    bool is_pss;
    bool in_parts;
    CK_ULONG modulus_bits;
    struct signing *next;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct signing *signings;

/* A thread that is cancelled in the inner module would keep the mutex for ever: it is cancelled afterwards.
 */
static int begin(void) {
    int cancelability;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancelability);
    pthread_mutex_lock(&mutex);
    return cancelability;
}

static void finish(int cancelability) {
    pthread_mutex_unlock(&mutex);
    pthread_setcancelstate(cancelability, NULL);
}

static struct signing **find(CK_SESSION_HANDLE session) {
    struct signing **at = &signings;
    while (*at != NULL && (*at)->session != session) {
        at = &(*at)->next;
    }
    return at;
}

static void end(struct signing **at) {
    struct signing *signing = *at;
    if (signing != NULL) {
        *at = signing->next;
        inner->C_CloseSession(signing->digest);
        free(signing);
    }
}

/* Ends what failed in the inner module too, where nothing but a signature does (PKCS#11 2.40 section 5.11,
 * C_Sign): of a block that is too long for CKM_RSA_PKCS, and no number below the modulus for CKM_RSA_X_509.
 */
static void cancel(struct signing **at) {
    CK_BYTE block[EMSA_LARGEST_MODULUS], signature[EMSA_LARGEST_MODULUS];
    CK_ULONG length = sizeof signature, block_length = ((*at)->modulus_bits + 7) / 8;
    memset(block, 0xff, block_length);
    inner->C_Sign((*at)->session, block, block_length, signature, &length);
    end(at);
}

void hashing_forget(CK_SESSION_HANDLE session) {
    int cancelability = begin();
    end(find(session));
    finish(cancelability);
}

/* The quirk's part in a mechanism; hash NULL when it has none. */
static CK_RV choose(const CK_MECHANISM *mechanism, struct signing *signing) {
    signing->pss.hash = emsa_hash_of_pkcs1(mechanism->mechanism);
    const struct emsa_hash *hash = emsa_hash_of_pss(mechanism->mechanism);
    if (hash == NULL) {
        return CKR_OK;
    }
    CK_RSA_PKCS_PSS_PARAMS parameters;
    if (mechanism->pParameter == NULL || mechanism->ulParameterLen != sizeof parameters) {
        return CKR_MECHANISM_PARAM_INVALID;
    }
    memcpy(&parameters, mechanism->pParameter, sizeof parameters);
    signing->is_pss = true;
    signing->pss = (struct emsa_pss){hash, emsa_hash_of_mgf1(parameters.mgf), parameters.sLen};
    return parameters.hashAlg == hash->digest && signing->pss.mgf1 != NULL ? CKR_OK
                                                                           : CKR_MECHANISM_PARAM_INVALID;
}

static CK_RV read_modulus_bits(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, CK_ULONG *bits) {
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

static CK_RV open_digest(struct signing *signing) {
    CK_SESSION_INFO info;
    CK_RV rv = inner->C_GetSessionInfo(signing->session, &info);
    if (rv != CKR_OK) {
        return rv;
    }
    signing->slot = info.slotID;
    /* Of the caller's kind: a read-only session more would bar the SO from logging in. */
    rv = inner->C_OpenSession(info.slotID, info.flags, NULL, NULL, &signing->digest);
    if (rv != CKR_OK) {
        return rv;
    }
    CK_MECHANISM mechanism = {signing->pss.hash->digest, NULL, 0};
    rv = inner->C_DigestInit(signing->digest, &mechanism);
    if (rv != CKR_OK) {
        inner->C_CloseSession(signing->digest);
    }
    return rv;
}

CK_RV card_C_SignInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key) {
    struct signing new = {.session = session};
    CK_MECHANISM how;
    if (mechanism != NULL) {
        fetch(&how, mechanism, sizeof how);
        mechanism = &how;
    }
    CK_RV rv = mechanism != NULL ? choose(mechanism, &new) : CKR_OK;
    if (rv != CKR_OK) {
        return rv;
    }
    if (new.pss.hash == NULL) {
        rv = inner->C_SignInit(session, mechanism, key);
        if (rv == CKR_OK) {
            hashing_forget(session);
        }
        return rv;
    }
    rv = open_digest(&new);
    if (rv != CKR_OK) {
        return rv;
    }
    CK_MECHANISM without_hash = {new.is_pss ? CKM_RSA_X_509 : CKM_RSA_PKCS, NULL, 0};
    struct signing *signing = malloc(sizeof *signing);
    rv = signing != NULL ? read_modulus_bits(session, key, &new.modulus_bits) : CKR_HOST_MEMORY;
    if (rv == CKR_OK) {
        rv = new.is_pss && !emsa_pss_fits(&new.pss, new.modulus_bits)
                 ? CKR_KEY_SIZE_RANGE
                 : inner->C_SignInit(session, &without_hash, key);
    }
    if (rv != CKR_OK) {
        inner->C_CloseSession(new.digest);
        free(signing);
        return rv;
    }
    int cancelability = begin();
    end(find(session)); /* of an operation that the inner module has forgotten */
    *signing = new;
    signing->next = signings;
    signings = signing;
    finish(cancelability);
    return CKR_OK;
}

/* Signs the finished digest; the signing is over. */
static CK_RV sign_digest(struct signing **at, CK_BYTE *digest, CK_BYTE *signature,
                         CK_ULONG *signature_length) {
    struct signing *signing = *at;
    CK_BYTE block[EMSA_LARGEST_MODULUS];
    CK_ULONG length;
    CK_RV rv = CKR_OK;
    if (signing->is_pss) {
        length = (signing->modulus_bits + 7) / 8;
        rv = emsa_pss_encode(&signing->pss, signing->digest, digest, signing->modulus_bits, block);
    } else {
        length = signing->pss.hash->prefix_length + signing->pss.hash->length;
        emsa_digest_info(signing->pss.hash, digest, block);
    }
    if (rv == CKR_OK) {
        rv = inner->C_Sign(signing->session, block, length, signature, signature_length);
    }
    if (rv == CKR_OK) {
        end(at);
    } else {
        cancel(at);
    }
    return rv;
}

/* PKCS#11 2.40 section 5.2: CKR_OK with a length for a NULL buffer, CKR_BUFFER_TOO_SMALL; the operation goes
 * on. */
static bool answer_length(const struct signing *signing, const CK_BYTE *signature, CK_ULONG *signature_length,
                          CK_RV *rv) {
    CK_ULONG needed = (signing->modulus_bits + 7) / 8;
    if (signature != NULL && *signature_length >= needed) {
        return false;
    }
    *signature_length = needed;
    *rv = signature == NULL ? CKR_OK : CKR_BUFFER_TOO_SMALL;
    return true;
}

CK_RV card_C_Sign(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG length, CK_BYTE *signature,
                  CK_ULONG *signature_length) {
    int cancelability = begin();
    struct signing **at = find(session);
    CK_RV rv = CKR_OK;
    if (*at == NULL) {
        finish(cancelability);
        return inner->C_Sign(session, data, length, signature, signature_length);
    }
    if (signature_length == NULL) {
        rv = CKR_ARGUMENTS_BAD;
    } else if ((*at)->in_parts) {
        cancel(at);
        rv = CKR_OPERATION_ACTIVE;
    } else if (!answer_length(*at, signature, signature_length, &rv)) {
        CK_BYTE digest[EMSA_LARGEST_DIGEST];
        CK_ULONG digest_length = sizeof digest;
        rv = inner->C_Digest((*at)->digest, data, length, digest, &digest_length);
        if (rv == CKR_OK) {
            rv = sign_digest(at, digest, signature, signature_length);
        } else {
            cancel(at);
        }
    }
    finish(cancelability);
    return rv;
}

CK_RV card_C_SignUpdate(CK_SESSION_HANDLE session, CK_BYTE *part, CK_ULONG length) {
    int cancelability = begin();
    struct signing **at = find(session);
    if (*at == NULL) {
        finish(cancelability);
        return inner->C_SignUpdate(session, part, length);
    }
    CK_RV rv = inner->C_DigestUpdate((*at)->digest, part, length);
    if (rv == CKR_OK) {
        (*at)->in_parts = true;
    } else {
        cancel(at);
    }
    finish(cancelability);
    return rv;
}

CK_RV card_C_SignFinal(CK_SESSION_HANDLE session, CK_BYTE *signature, CK_ULONG *signature_length) {
    int cancelability = begin();
    struct signing **at = find(session);
    CK_RV rv = CKR_OK;
    if (*at == NULL) {
        finish(cancelability);
        return inner->C_SignFinal(session, signature, signature_length);
    }
    if (signature_length == NULL) {
        rv = CKR_ARGUMENTS_BAD;
    } else if (!answer_length(*at, signature, signature_length, &rv)) {
        CK_BYTE digest[EMSA_LARGEST_DIGEST];
        CK_ULONG digest_length = sizeof digest;
        rv = inner->C_DigestFinal((*at)->digest, digest, &digest_length);
        if (rv == CKR_OK) {
            rv = sign_digest(at, digest, signature, signature_length);
        } else {
            cancel(at);
        }
    }
    finish(cancelability);
    return rv;
}

CK_RV card_C_SessionCancel(CK_SESSION_HANDLE session, CK_FLAGS flags) {
    CK_RV rv = inner3->C_SessionCancel(session, flags);
    if (rv == CKR_OK && (flags & CKF_SIGN) != 0) {
        hashing_forget(session);
    }
    return rv;
}

void hashing_forget_slot(CK_SLOT_ID slot) {
    int cancelability = begin();
    for (struct signing **at = &signings; *at != NULL;) {
        if ((*at)->slot == slot) {
            end(at);
        } else {
            at = &(*at)->next;
        }
    }
    finish(cancelability);
}

void hashing_forget_all(void) {
    int cancelability = begin();
    while (signings != NULL) {
        end(&signings);
    }
    finish(cancelability);
}
