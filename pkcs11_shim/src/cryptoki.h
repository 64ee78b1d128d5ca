/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PKCS#11 after the OASIS specification 3.0, which 3.1 leaves as it is: the types and values that the module,
 * its tests and its fuzzers use, and both function lists whole. Structures are not packed, as everywhere but
 * on Windows (section 2.1).
 */
#ifndef XCA_CRYPTOKI_H
#define XCA_CRYPTOKI_H

#include <assert.h>
#include <stddef.h>

/* General data types, section 3.1 */

typedef unsigned char CK_BYTE;
typedef CK_BYTE CK_UTF8CHAR;
typedef CK_BYTE CK_BBOOL;
typedef unsigned long CK_ULONG;
typedef CK_ULONG CK_FLAGS;
typedef CK_ULONG CK_RV;

#define CK_FALSE 0
#define CK_TRUE  1

typedef struct {
    CK_BYTE major, minor; /* minor in hundredths: 2.40 is 2, 40 and 3.0 is 3, 0 */
} CK_VERSION;

typedef struct {
    CK_VERSION cryptokiVersion;
    CK_UTF8CHAR manufacturerID[32];
    CK_FLAGS flags;
    CK_UTF8CHAR libraryDescription[32];
    CK_VERSION libraryVersion;
} CK_INFO;

/* Slot and token types, section 3.2 */

typedef CK_ULONG CK_SLOT_ID;

typedef struct {
    CK_UTF8CHAR slotDescription[64];
    CK_UTF8CHAR manufacturerID[32];
    CK_FLAGS flags;
    CK_VERSION hardwareVersion;
    CK_VERSION firmwareVersion;
} CK_SLOT_INFO;

#define CKF_TOKEN_PRESENT    0x1UL
#define CKF_REMOVABLE_DEVICE 0x2UL

typedef struct {
    CK_UTF8CHAR label[32];
    CK_UTF8CHAR manufacturerID[32];
    CK_UTF8CHAR model[16];
    CK_UTF8CHAR serialNumber[16];
    CK_FLAGS flags;
    CK_ULONG ulMaxSessionCount;
    CK_ULONG ulSessionCount;
    CK_ULONG ulMaxRwSessionCount;
    CK_ULONG ulRwSessionCount;
    CK_ULONG ulMaxPinLen;
    CK_ULONG ulMinPinLen;
    CK_ULONG ulTotalPublicMemory;
    CK_ULONG ulFreePublicMemory;
    CK_ULONG ulTotalPrivateMemory;
    CK_ULONG ulFreePrivateMemory;
    CK_VERSION hardwareVersion;
    CK_VERSION firmwareVersion;
    CK_UTF8CHAR utcTime[16];
} CK_TOKEN_INFO;

#define CKF_USER_PIN_INITIALIZED          0x8UL
#define CKF_PROTECTED_AUTHENTICATION_PATH 0x100UL
#define CKF_TOKEN_INITIALIZED             0x400UL
#define CKF_USER_PIN_COUNT_LOW            0x10000UL
#define CKF_USER_PIN_FINAL_TRY            0x20000UL
#define CKF_USER_PIN_LOCKED               0x40000UL
#define CKF_USER_PIN_TO_BE_CHANGED        0x80000UL
#define CKF_SO_PIN_COUNT_LOW              0x100000UL
#define CKF_SO_PIN_FINAL_TRY              0x200000UL
#define CKF_SO_PIN_LOCKED                 0x400000UL
#define CKF_SO_PIN_TO_BE_CHANGED          0x800000UL

/* Session types, section 3.3 */

typedef CK_ULONG CK_SESSION_HANDLE;
typedef CK_ULONG CK_USER_TYPE;
typedef CK_ULONG CK_STATE;

#define CK_INVALID_HANDLE 0UL

#define CKU_SO               0UL
#define CKU_USER             1UL
#define CKU_CONTEXT_SPECIFIC 2UL

#define CKS_RO_PUBLIC_SESSION 0UL
#define CKS_RO_USER_FUNCTIONS 1UL
#define CKS_RW_PUBLIC_SESSION 2UL
#define CKS_RW_USER_FUNCTIONS 3UL
#define CKS_RW_SO_FUNCTIONS   4UL

typedef struct {
    CK_SLOT_ID slotID;
    CK_STATE state;
    CK_FLAGS flags;
    CK_ULONG ulDeviceError;
} CK_SESSION_INFO;

#define CKF_RW_SESSION     0x2UL
#define CKF_SERIAL_SESSION 0x4UL

/* Object types, section 3.4 */

typedef CK_ULONG CK_OBJECT_HANDLE;
typedef CK_ULONG CK_OBJECT_CLASS;
typedef CK_ULONG CK_ATTRIBUTE_TYPE;

#define CKO_DATA        0UL
#define CKO_CERTIFICATE 1UL
#define CKO_PRIVATE_KEY 3UL

#define CKA_CLASS   0x0UL
#define CKA_TOKEN   0x1UL
#define CKA_PRIVATE 0x2UL
#define CKA_LABEL   0x3UL
#define CKA_VALUE   0x11UL
#define CKA_ID      0x102UL
#define CKA_MODULUS 0x120UL

#define CKF_ARRAY_ATTRIBUTE    0x40000000UL
#define CKA_WRAP_TEMPLATE      (CKF_ARRAY_ATTRIBUTE | 0x211UL)
#define CKA_UNWRAP_TEMPLATE    (CKF_ARRAY_ATTRIBUTE | 0x212UL)
#define CKA_DERIVE_TEMPLATE    (CKF_ARRAY_ATTRIBUTE | 0x213UL)
#define CKA_ALLOWED_MECHANISMS (CKF_ARRAY_ATTRIBUTE | 0x600UL)

typedef struct {
    CK_ATTRIBUTE_TYPE type;
    void *pValue;
    CK_ULONG ulValueLen;
} CK_ATTRIBUTE;

/* Mechanism types, section 3.5 and PKCS #11 Current Mechanisms 3.0, section 2.1 */

typedef CK_ULONG CK_MECHANISM_TYPE;

#define CKM_RSA_PKCS_KEY_PAIR_GEN         0x0UL
#define CKM_RSA_PKCS                      0x1UL
#define CKM_RSA_X_509                     0x3UL
#define CKM_SHA1_RSA_PKCS                 0x6UL
#define CKM_SHA1_RSA_PKCS_PSS             0xEUL
#define CKM_SHA256_RSA_PKCS               0x40UL
#define CKM_SHA384_RSA_PKCS               0x41UL
#define CKM_SHA512_RSA_PKCS               0x42UL
#define CKM_SHA256_RSA_PKCS_PSS           0x43UL
#define CKM_SHA384_RSA_PKCS_PSS           0x44UL
#define CKM_SHA512_RSA_PKCS_PSS           0x45UL
#define CKM_SHA224_RSA_PKCS               0x46UL
#define CKM_SHA224_RSA_PKCS_PSS           0x47UL
#define CKM_SHA_1                         0x220UL
#define CKM_SHA256                        0x250UL
#define CKM_SHA224                        0x255UL
#define CKM_SHA384                        0x260UL
#define CKM_SHA512                        0x270UL
#define CKM_SP800_108_COUNTER_KDF         0x3ACUL
#define CKM_SP800_108_FEEDBACK_KDF        0x3ADUL
#define CKM_SP800_108_DOUBLE_PIPELINE_KDF 0x3AEUL
#define CKM_AES_KEY_GEN                   0x1080UL

typedef struct {
    CK_MECHANISM_TYPE mechanism;
    void *pParameter;
    CK_ULONG ulParameterLen;
} CK_MECHANISM;

#define CKF_SIGN 0x800UL /* of C_SessionCancel too */

#define CKG_MGF1_SHA1   1UL
#define CKG_MGF1_SHA256 2UL
#define CKG_MGF1_SHA384 3UL
#define CKG_MGF1_SHA512 4UL
#define CKG_MGF1_SHA224 5UL

typedef struct {
    CK_MECHANISM_TYPE hashAlg;
    CK_ULONG mgf; /* CKG_… */
    CK_ULONG sLen;
} CK_RSA_PKCS_PSS_PARAMS;

/* Function return values, section 5.1 */

#define CKR_OK                             0x0UL
#define CKR_HOST_MEMORY                    0x2UL
#define CKR_SLOT_ID_INVALID                0x3UL
#define CKR_GENERAL_ERROR                  0x5UL
#define CKR_FUNCTION_FAILED                0x6UL
#define CKR_ARGUMENTS_BAD                  0x7UL
#define CKR_ATTRIBUTE_TYPE_INVALID         0x12UL
#define CKR_DATA_LEN_RANGE                 0x21UL
#define CKR_DEVICE_ERROR                   0x30UL
#define CKR_DEVICE_REMOVED                 0x32UL
#define CKR_FUNCTION_CANCELED              0x50UL
#define CKR_FUNCTION_NOT_SUPPORTED         0x54UL
#define CKR_KEY_HANDLE_INVALID             0x60UL
#define CKR_KEY_SIZE_RANGE                 0x62UL
#define CKR_KEY_TYPE_INCONSISTENT          0x63UL
#define CKR_MECHANISM_INVALID              0x70UL
#define CKR_MECHANISM_PARAM_INVALID        0x71UL
#define CKR_OBJECT_HANDLE_INVALID          0x82UL
#define CKR_OPERATION_ACTIVE               0x90UL
#define CKR_OPERATION_NOT_INITIALIZED      0x91UL
#define CKR_PIN_INCORRECT                  0xA0UL
#define CKR_PIN_INVALID                    0xA1UL
#define CKR_PIN_LEN_RANGE                  0xA2UL
#define CKR_PIN_EXPIRED                    0xA3UL
#define CKR_PIN_LOCKED                     0xA4UL
#define CKR_SESSION_COUNT                  0xB1UL
#define CKR_SESSION_HANDLE_INVALID         0xB3UL
#define CKR_SESSION_READ_ONLY              0xB5UL
#define CKR_SESSION_READ_ONLY_EXISTS       0xB7UL
#define CKR_TEMPLATE_INCONSISTENT          0xD1UL
#define CKR_TOKEN_NOT_PRESENT              0xE0UL
#define CKR_TOKEN_NOT_RECOGNIZED           0xE1UL
#define CKR_TOKEN_WRITE_PROTECTED          0xE2UL
#define CKR_USER_ALREADY_LOGGED_IN         0x100UL
#define CKR_USER_NOT_LOGGED_IN             0x101UL
#define CKR_USER_PIN_NOT_INITIALIZED       0x102UL
#define CKR_USER_TYPE_INVALID              0x103UL
#define CKR_USER_ANOTHER_ALREADY_LOGGED_IN 0x104UL
#define CKR_BUFFER_TOO_SMALL               0x150UL
#define CKR_CRYPTOKI_NOT_INITIALIZED       0x190UL
#define CKR_CRYPTOKI_ALREADY_INITIALIZED   0x191UL
#define CKR_FUNCTION_REJECTED              0x200UL

/* Function types, section 3.6 */

typedef CK_RV (*CK_NOTIFY)(CK_SESSION_HANDLE session, CK_ULONG event, void *application);

typedef struct {
    CK_RV (*CreateMutex)(void **mutex);
    CK_RV (*DestroyMutex)(void *mutex);
    CK_RV (*LockMutex)(void *mutex);
    CK_RV (*UnlockMutex)(void *mutex);
    CK_FLAGS flags;
    void *pReserved;
} CK_C_INITIALIZE_ARGS;

#define CKF_OS_LOCKING_OK 0x2UL

typedef struct {
    CK_UTF8CHAR *pInterfaceName;
    void *pFunctionList; /* begins with its CK_VERSION */
    CK_FLAGS flags;
} CK_INTERFACE;

typedef struct CK_FUNCTION_LIST CK_FUNCTION_LIST;

typedef CK_RV (*CK_C_GetFunctionList)(CK_FUNCTION_LIST **list);
typedef CK_RV (*CK_C_GetInterfaceList)(CK_INTERFACE *interfaces, CK_ULONG *count);
typedef CK_RV (*CK_C_GetInterface)(CK_UTF8CHAR *name, CK_VERSION *version, CK_INTERFACE **interface,
                                   CK_FLAGS flags);

/* An entry that nothing here calls: its place in a list is all that counts. */
typedef void (*CK_UNCALLED)(void);

/* PKCS#11 2.40 and later. Chapter 5 has the functions in this order, but for C_GetFunctionList and the last
 * two. */
struct CK_FUNCTION_LIST {
    CK_VERSION version;
    CK_RV (*C_Initialize)(void *arguments);
    CK_RV (*C_Finalize)(void *reserved);
    CK_RV (*C_GetInfo)(CK_INFO *info);
    CK_C_GetFunctionList C_GetFunctionList;
    CK_RV (*C_GetSlotList)(CK_BBOOL token_present, CK_SLOT_ID *slots, CK_ULONG *count);
    CK_RV (*C_GetSlotInfo)(CK_SLOT_ID slot, CK_SLOT_INFO *info);
    CK_RV (*C_GetTokenInfo)(CK_SLOT_ID slot, CK_TOKEN_INFO *info);
    CK_UNCALLED C_GetMechanismList;
    CK_UNCALLED C_GetMechanismInfo;
    CK_RV (*C_InitToken)(CK_SLOT_ID slot, CK_UTF8CHAR *pin, CK_ULONG pin_length, CK_UTF8CHAR *label);
    CK_RV (*C_InitPIN)(CK_SESSION_HANDLE session, CK_UTF8CHAR *pin, CK_ULONG pin_length);
    CK_RV (*C_SetPIN)(CK_SESSION_HANDLE session, CK_UTF8CHAR *old, CK_ULONG old_length, CK_UTF8CHAR *new,
                      CK_ULONG new_length);
    CK_RV (*C_OpenSession)(CK_SLOT_ID slot, CK_FLAGS flags, void *application, CK_NOTIFY notify,
                           CK_SESSION_HANDLE *session);
    CK_RV (*C_CloseSession)(CK_SESSION_HANDLE session);
    CK_RV (*C_CloseAllSessions)(CK_SLOT_ID slot);
    CK_RV (*C_GetSessionInfo)(CK_SESSION_HANDLE session, CK_SESSION_INFO *info);
    CK_UNCALLED C_GetOperationState;
    CK_UNCALLED C_SetOperationState;
    CK_RV (*C_Login)(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR *pin, CK_ULONG pin_length);
    CK_RV (*C_Logout)(CK_SESSION_HANDLE session);
    CK_RV (*C_CreateObject)(CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, CK_ULONG length,
                            CK_OBJECT_HANDLE *object);
    CK_RV (*C_CopyObject)(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *template,
                          CK_ULONG length, CK_OBJECT_HANDLE *copy);
    CK_RV (*C_DestroyObject)(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object);
    CK_UNCALLED C_GetObjectSize;
    CK_RV (*C_GetAttributeValue)(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *template,
                                 CK_ULONG length);
    CK_RV (*C_SetAttributeValue)(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *template,
                                 CK_ULONG length);
    CK_RV (*C_FindObjectsInit)(CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, CK_ULONG length);
    CK_RV (*C_FindObjects)(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *objects, CK_ULONG room,
                           CK_ULONG *count);
    CK_RV (*C_FindObjectsFinal)(CK_SESSION_HANDLE session);
    CK_UNCALLED C_EncryptInit;
    CK_UNCALLED C_Encrypt;
    CK_UNCALLED C_EncryptUpdate;
    CK_UNCALLED C_EncryptFinal;
    CK_UNCALLED C_DecryptInit;
    CK_UNCALLED C_Decrypt;
    CK_UNCALLED C_DecryptUpdate;
    CK_UNCALLED C_DecryptFinal;
    CK_RV (*C_DigestInit)(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism);
    CK_RV (*C_Digest)(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG length, CK_BYTE *digest,
                      CK_ULONG *digest_length);
    CK_RV (*C_DigestUpdate)(CK_SESSION_HANDLE session, CK_BYTE *part, CK_ULONG length);
    CK_UNCALLED C_DigestKey;
    CK_RV (*C_DigestFinal)(CK_SESSION_HANDLE session, CK_BYTE *digest, CK_ULONG *digest_length);
    CK_RV (*C_SignInit)(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key);
    CK_RV (*C_Sign)(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG length, CK_BYTE *signature,
                    CK_ULONG *signature_length);
    CK_RV (*C_SignUpdate)(CK_SESSION_HANDLE session, CK_BYTE *part, CK_ULONG length);
    CK_RV (*C_SignFinal)(CK_SESSION_HANDLE session, CK_BYTE *signature, CK_ULONG *signature_length);
    CK_UNCALLED C_SignRecoverInit;
    CK_UNCALLED C_SignRecover;
    CK_UNCALLED C_VerifyInit;
    CK_UNCALLED C_Verify;
    CK_UNCALLED C_VerifyUpdate;
    CK_UNCALLED C_VerifyFinal;
    CK_UNCALLED C_VerifyRecoverInit;
    CK_UNCALLED C_VerifyRecover;
    CK_UNCALLED C_DigestEncryptUpdate;
    CK_UNCALLED C_DecryptDigestUpdate;
    CK_UNCALLED C_SignEncryptUpdate;
    CK_UNCALLED C_DecryptVerifyUpdate;
    CK_RV (*C_GenerateKey)(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_ATTRIBUTE *template,
                           CK_ULONG length, CK_OBJECT_HANDLE *key);
    CK_RV (*C_GenerateKeyPair)(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
                               CK_ATTRIBUTE *public_template, CK_ULONG public_length,
                               CK_ATTRIBUTE *private_template, CK_ULONG private_length,
                               CK_OBJECT_HANDLE *public_key, CK_OBJECT_HANDLE *private_key);
    CK_UNCALLED C_WrapKey;
    CK_RV (*C_UnwrapKey)(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE unwrapping,
                         CK_BYTE *wrapped, CK_ULONG wrapped_length, CK_ATTRIBUTE *template, CK_ULONG length,
                         CK_OBJECT_HANDLE *key);
    CK_RV (*C_DeriveKey)(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE base,
                         CK_ATTRIBUTE *template, CK_ULONG length, CK_OBJECT_HANDLE *key);
    CK_UNCALLED C_SeedRandom;
    CK_RV (*C_GenerateRandom)(CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG length);
    CK_UNCALLED C_GetFunctionStatus;
    CK_UNCALLED C_CancelFunction;
    CK_UNCALLED C_WaitForSlotEvent;
};

/* PKCS#11 3.0: the list above, and behind it what is new. */
typedef struct {
    CK_FUNCTION_LIST v2;
    CK_C_GetInterfaceList C_GetInterfaceList;
    CK_C_GetInterface C_GetInterface;
    CK_RV (*C_LoginUser)(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR *pin, CK_ULONG pin_length,
                         CK_UTF8CHAR *name, CK_ULONG name_length);
    CK_RV (*C_SessionCancel)(CK_SESSION_HANDLE session, CK_FLAGS flags);
    CK_UNCALLED C_MessageEncryptInit;
    CK_UNCALLED C_EncryptMessage;
    CK_UNCALLED C_EncryptMessageBegin;
    CK_UNCALLED C_EncryptMessageNext;
    CK_UNCALLED C_MessageEncryptFinal;
    CK_UNCALLED C_MessageDecryptInit;
    CK_UNCALLED C_DecryptMessage;
    CK_UNCALLED C_DecryptMessageBegin;
    CK_UNCALLED C_DecryptMessageNext;
    CK_UNCALLED C_MessageDecryptFinal;
    CK_UNCALLED C_MessageSignInit;
    CK_UNCALLED C_SignMessage;
    CK_UNCALLED C_SignMessageBegin;
    CK_UNCALLED C_SignMessageNext;
    CK_UNCALLED C_MessageSignFinal;
    CK_UNCALLED C_MessageVerifyInit;
    CK_UNCALLED C_VerifyMessage;
    CK_UNCALLED C_VerifyMessageBegin;
    CK_UNCALLED C_VerifyMessageNext;
    CK_UNCALLED C_MessageVerifyFinal;
} CK_FUNCTION_LIST_3_0;

/* The version takes the room of a pointer, and no entry is missing: 68 functions, and 24 more. */
static_assert(offsetof(CK_FUNCTION_LIST, C_Initialize) == sizeof(CK_UNCALLED), "version in a function list");
static_assert(sizeof(CK_FUNCTION_LIST) == (1 + 68) * sizeof(CK_UNCALLED), "functions of PKCS#11 2.40");
static_assert(sizeof(CK_FUNCTION_LIST_3_0) == (1 + 68 + 24) * sizeof(CK_UNCALLED),
              "functions of PKCS#11 3.0");
static_assert(offsetof(CK_TOKEN_INFO, flags) == 96, "texts in a token's information");
static_assert(sizeof(CK_ATTRIBUTE) == 3 * sizeof(CK_ULONG), "an attribute");

#endif
