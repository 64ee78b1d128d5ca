/* SPDX-License-Identifier: Apache-2.0 */
/* An inner module with the faults of the vendor's: SoftHSM that cannot sign with a hash in the mechanism
 * (CKR_BUFFER_TOO_SMALL, always), and whose tokens that are no cards have tabs, blanks and nulls for padding.
 * It offers PKCS#11 3.0 as well, and has no random numbers. It ends its process when a key is to sign a block
 * of ones, which no signature has: nothing may be sent to a card in order to cancel.
 *
 *   VENDOR_REAL   path of the module that does the work
 *   VENDOR_FLAGS  file with hexadecimal CK_FLAGS that tokens which are no cards show besides their own
 *   VENDOR_NULL   function that there is not: C_DigestInit, C_SessionCancel
 */
#include "cryptoki.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORTED          __attribute__((visibility("default")))
#define SESSIONS          4096
#define CKR_RANDOM_NO_RNG 0x121UL

static CK_FUNCTION_LIST *real;
static atomic_bool faulty[SESSIONS]; /* by session: what is signed there has a hash in its mechanism */

static CK_BBOOL has_hash(CK_MECHANISM_TYPE mechanism) {
    switch (mechanism) {
    case CKM_SHA1_RSA_PKCS:
    case CKM_SHA224_RSA_PKCS:
    case CKM_SHA256_RSA_PKCS:
    case CKM_SHA384_RSA_PKCS:
    case CKM_SHA512_RSA_PKCS:
    case CKM_SHA1_RSA_PKCS_PSS:
    case CKM_SHA224_RSA_PKCS_PSS:
    case CKM_SHA256_RSA_PKCS_PSS:
    case CKM_SHA384_RSA_PKCS_PSS:
    case CKM_SHA512_RSA_PKCS_PSS:
        return CK_TRUE;
    default:
        return CK_FALSE;
    }
}

static CK_RV vendor_C_SignInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key) {
    CK_RV rv = real->C_SignInit(session, mechanism, key);
    if (rv == CKR_OK) {
        faulty[session % SESSIONS] = has_hash(mechanism->mechanism);
    }
    return rv;
}

static CK_RV vendor_C_GenerateRandom(CK_SESSION_HANDLE session, CK_BYTE *random, CK_ULONG length) {
    (void)session, (void)random, (void)length;
    return CKR_RANDOM_NO_RNG;
}

static int is_missing(const char *function) {
    const char *missing = getenv("VENDOR_NULL");
    return missing && strcmp(missing, function) == 0;
}

static CK_RV vendor_C_Sign(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG length, CK_BYTE *signature,
                           CK_ULONG *signature_length) {
    CK_ULONG ones = 0;
    while (data && ones < length && data[ones] == 0xff)
        ones++;
    if (ones > 0 && ones == length)
        abort();
    return faulty[session % SESSIONS] ? CKR_BUFFER_TOO_SMALL
                                      : real->C_Sign(session, data, length, signature, signature_length);
}

static CK_RV vendor_C_SignFinal(CK_SESSION_HANDLE session, CK_BYTE *signature, CK_ULONG *length) {
    return faulty[session % SESSIONS] ? CKR_BUFFER_TOO_SMALL : real->C_SignFinal(session, signature, length);
}

/* One tab, one blank, and nulls. */
static void spoil(CK_UTF8CHAR *field, size_t size) {
    size_t length = size;
    while (length > 0 && field[length - 1] == ' ') {
        length--;
    }
    memset(field + length, 0, size - length);
    memcpy(field + length, "\t ", size - length < 2 ? size - length : 2);
}

static CK_FLAGS more_flags(void) {
    CK_FLAGS flags = 0;
    FILE *file = fopen(getenv("VENDOR_FLAGS"), "re");
    if (!file || fscanf(file, "%lx", &flags) != 1)
        abort(); /* a flag that is not shown would let a test pass that should fail */
    fclose(file);
    return flags;
}

static CK_RV vendor_C_GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO *info) {
    CK_RV rv = real->C_GetTokenInfo(slot, info);
    if (rv == CKR_OK && memcmp(info->label, "xca-card:", 9) != 0) {
        spoil(info->label, sizeof info->label);
        spoil(info->manufacturerID, sizeof info->manufacturerID);
        spoil(info->model, sizeof info->model);
        spoil(info->serialNumber, sizeof info->serialNumber);
        info->flags |= more_flags();
    }
    return rv;
}

static CK_RV vendor_C_LoginUser(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_BYTE *pin, CK_ULONG length,
                                CK_BYTE *name, CK_ULONG name_length) {
    (void)name, (void)name_length;
    return real->C_Login(session, user, pin, length);
}

/* SoftHSM has nothing to cancel with but a signature that fails: of a block no RSA-2048 key can sign. */
static CK_RV vendor_C_SessionCancel(CK_SESSION_HANDLE session, CK_FLAGS flags) {
    CK_BYTE data[256], signature[256];
    CK_ULONG length = sizeof signature;
    if (flags & CKF_SIGN) {
        memset(data, 0xff, sizeof data);
        real->C_Sign(session, data, sizeof data, signature, &length);
    }
    return CKR_OK;
}

static CK_FUNCTION_LIST_3_0 list;
static CK_FUNCTION_LIST list_2_40;
static CK_INTERFACE interface = {(CK_UTF8CHAR *)"PKCS 11", &list, 0};

EXPORTED CK_RV C_GetInterface(CK_UTF8CHAR *name, CK_VERSION *version, CK_INTERFACE **out, CK_FLAGS flags);

EXPORTED CK_RV C_GetFunctionList(CK_FUNCTION_LIST **out) {
    if (!real) {
        void *library = dlopen(getenv("VENDOR_REAL"), RTLD_NOW | RTLD_LOCAL);
        CK_RV (*get)(CK_FUNCTION_LIST **) =
            library ? (CK_RV (*)(CK_FUNCTION_LIST **))dlsym(library, "C_GetFunctionList") : NULL;
        if (!get || get(&real) != CKR_OK)
            return CKR_GENERAL_ERROR;
        list.v2 = *real;
        list.v2.C_GetFunctionList = C_GetFunctionList;
        list.v2.C_SignInit = vendor_C_SignInit;
        list.v2.C_Sign = vendor_C_Sign;
        list.v2.C_SignFinal = vendor_C_SignFinal;
        list.v2.C_GetTokenInfo = vendor_C_GetTokenInfo;
        list.v2.C_GenerateRandom = vendor_C_GenerateRandom;
        if (is_missing("C_DigestInit"))
            list.v2.C_DigestInit = NULL;
        list_2_40 = list.v2;
        list.v2.version = (CK_VERSION){3, 0};
        list.C_GetInterface = C_GetInterface;
        list.C_LoginUser = vendor_C_LoginUser;
        list.C_SessionCancel = is_missing("C_SessionCancel") ? NULL : vendor_C_SessionCancel;
    }
    *out = &list_2_40;
    return CKR_OK;
}

EXPORTED CK_RV C_GetInterface(CK_UTF8CHAR *name, CK_VERSION *version, CK_INTERFACE **out, CK_FLAGS flags) {
    CK_FUNCTION_LIST *base;
    (void)name, (void)version, (void)flags;
    if (C_GetFunctionList(&base) != CKR_OK)
        return CKR_GENERAL_ERROR;
    *out = &interface;
    return CKR_OK;
}
