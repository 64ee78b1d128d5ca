/* SPDX-License-Identifier: Apache-2.0 */
#include "emsa.h"

#include "module.h"

#include <string.h>
#include <sys/random.h>

#define SHA2_PREFIX(total, number, length)                                                                   \
    {0x30, total, 0x30, 0x0d, 0x06,   0x09, 0x60, 0x86, 0x48,  0x01,                                         \
     0x65, 0x03,  0x04, 0x02, number, 0x05, 0x00, 0x04, length}

static const struct emsa_hash hashes[] = {
    {CKM_SHA_1,
     CKM_SHA1_RSA_PKCS,
     CKM_SHA1_RSA_PKCS_PSS,
     CKG_MGF1_SHA1,
     20,
     {0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 20},
     15},
    {CKM_SHA224, CKM_SHA224_RSA_PKCS, CKM_SHA224_RSA_PKCS_PSS, CKG_MGF1_SHA224, 28, SHA2_PREFIX(0x2d, 4, 28),
     19},
    {CKM_SHA256, CKM_SHA256_RSA_PKCS, CKM_SHA256_RSA_PKCS_PSS, CKG_MGF1_SHA256, 32, SHA2_PREFIX(0x31, 1, 32),
     19},
    {CKM_SHA384, CKM_SHA384_RSA_PKCS, CKM_SHA384_RSA_PKCS_PSS, CKG_MGF1_SHA384, 48, SHA2_PREFIX(0x41, 2, 48),
     19},
    {CKM_SHA512, CKM_SHA512_RSA_PKCS, CKM_SHA512_RSA_PKCS_PSS, CKG_MGF1_SHA512, 64, SHA2_PREFIX(0x51, 3, 64),
     19},
};

#define FIND(member, value)                                                                                  \
    for (size_t i = 0; i < sizeof hashes / sizeof hashes[0]; i++) {                                          \
        if (hashes[i].member == (value)) {                                                                   \
            return &hashes[i];                                                                               \
        }                                                                                                    \
    }                                                                                                        \
    return NULL

const struct emsa_hash *emsa_hash_of_pkcs1(CK_MECHANISM_TYPE mechanism) {
    FIND(pkcs1, mechanism);
}

const struct emsa_hash *emsa_hash_of_pss(CK_MECHANISM_TYPE mechanism) {
    FIND(pss, mechanism);
}

const struct emsa_hash *emsa_hash_of_mgf1(CK_ULONG mgf1) {
    FIND(mgf1, mgf1);
}

void emsa_digest_info(const struct emsa_hash *hash, const CK_BYTE *digest, CK_BYTE *out) {
    memcpy(out, hash->prefix, hash->prefix_length);
    memcpy(out + hash->prefix_length, digest, hash->length);
}

static CK_RV emsa_digest_of(const struct emsa_hash *hash, CK_SESSION_HANDLE session, CK_BYTE *data,
                            CK_ULONG length, CK_BYTE *digest) {
    CK_MECHANISM mechanism = {hash->digest, NULL, 0};
    CK_ULONG digest_length = hash->length;
    CK_RV rv = inner->C_DigestInit(session, &mechanism);
    return rv == CKR_OK ? inner->C_Digest(session, data, length, digest, &digest_length) : rv;
}

/* Section B.2.1; XORs the mask onto the data. */
static CK_RV emsa_mask(const struct emsa_hash *hash, CK_SESSION_HANDLE session, const CK_BYTE *seed,
                       CK_ULONG seed_length, CK_BYTE *data, CK_ULONG length) {
    CK_BYTE input[EMSA_LARGEST_DIGEST + 4], block[EMSA_LARGEST_DIGEST];
    memcpy(input, seed, seed_length);
    for (CK_ULONG done = 0, counter = 0; done < length; counter++) {
        const CK_BYTE number[4] = {0, 0, (CK_BYTE)(counter >> 8), (CK_BYTE)counter};
        memcpy(input + seed_length, number, sizeof number);
        CK_RV rv = emsa_digest_of(hash, session, input, seed_length + sizeof number, block);
        if (rv != CKR_OK) {
            return rv;
        }
        for (CK_ULONG i = 0; i < hash->length && done < length; i++, done++) {
            data[done] ^= block[i];
        }
    }
    return CKR_OK;
}

bool emsa_pss_fits(const struct emsa_pss *pss, CK_ULONG modulus_bits) {
    CK_ULONG em_length = (modulus_bits - 1 + 7) / 8;
    return em_length <= EMSA_LARGEST_MODULUS && pss->salt_length <= em_length &&
           em_length - pss->salt_length >= pss->hash->length + 2;
}

CK_RV emsa_pss_encode(const struct emsa_pss *pss, CK_SESSION_HANDLE session, const CK_BYTE *digest,
                      CK_ULONG modulus_bits, CK_BYTE *out) {
    CK_ULONG hash_length = pss->hash->length, salt_length = pss->salt_length;
    CK_ULONG modulus_length = (modulus_bits + 7) / 8, em_bits = modulus_bits - 1,
             em_length = (em_bits + 7) / 8;
    CK_BYTE *em = out + (modulus_length - em_length);
    CK_ULONG db_length = em_length - hash_length - 1;
    CK_BYTE *salt = em + db_length - salt_length, *h = em + db_length;
    memset(out, 0, modulus_length);
    salt[-1] = 0x01;
    if (getrandom(salt, salt_length, 0) != (ssize_t)salt_length) {
        return CKR_FUNCTION_FAILED;
    }
    CK_BYTE message[8 + EMSA_LARGEST_DIGEST + EMSA_LARGEST_MODULUS] = {0};
    memcpy(message + 8, digest, hash_length);
    memcpy(message + 8 + hash_length, salt, salt_length);
    CK_RV rv = emsa_digest_of(pss->hash, session, message, 8 + hash_length + salt_length, h);
    if (rv == CKR_OK) {
        rv = emsa_mask(pss->mgf1, session, h, hash_length, em, db_length);
    }
    em[0] &= (CK_BYTE)(0xFF >> (8 * em_length - em_bits));
    em[em_length - 1] = 0xbc;
    return rv;
}
