/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 8017 section 9: what is put around a digest before the RSA operation. Digests are the inner module's
 * own. */
#ifndef XCA_EMSA_H
#define XCA_EMSA_H

#include "cryptoki.h"

#include <stdbool.h>

#define EMSA_LARGEST_DIGEST  64
#define EMSA_LARGEST_MODULUS 1024 /* bytes */

struct emsa_hash {
    CK_MECHANISM_TYPE digest, pkcs1, pss; /* CKM_SHA256, CKM_SHA256_RSA_PKCS, CKM_SHA256_RSA_PKCS_PSS … */
    CK_ULONG mgf1;                        /* CKG_MGF1_SHA256 … */
    CK_ULONG length;                      /* of the digest, in bytes */
    CK_BYTE prefix[19];                   /* of the DigestInfo's DER, section 9.2 note 1 */
    CK_ULONG prefix_length;
};

/* NULL when no entry has that value there. */
const struct emsa_hash *emsa_hash_of_pkcs1(CK_MECHANISM_TYPE mechanism);
const struct emsa_hash *emsa_hash_of_pss(CK_MECHANISM_TYPE mechanism);
const struct emsa_hash *emsa_hash_of_mgf1(CK_ULONG mgf1);

/* Writes the DigestInfo of section 9.2, prefix_length + length bytes. */
void emsa_digest_info(const struct emsa_hash *hash, const CK_BYTE *digest, CK_BYTE *out);

struct emsa_pss {
    const struct emsa_hash *hash, *mgf1;
    CK_ULONG salt_length;
};

/* Whether a modulus has room for the encoding, section 9.1.1 step 3. */
bool emsa_pss_fits(const struct emsa_pss *pss, CK_ULONG modulus_bits);

/*
 * EMSA-PSS-ENCODE of section 9.1.1, with as many bytes as the modulus has, which fits. The session is one in
 * which nothing else is digested.
 */
CK_RV emsa_pss_encode(const struct emsa_pss *pss, CK_SESSION_HANDLE session, const CK_BYTE *digest,
                      CK_ULONG modulus_bits, CK_BYTE *out);

#endif
