/* SPDX-License-Identifier: Apache-2.0 */
/* The least that the card's module can stand on: a card, a plain token and an empty reader, all in memory,
 * for tests that count, fuzz, look into the process, or stop threads. Nothing is signed or hashed in truth,
 * no secret is kept as it was given, none is copied, and nothing is allocated. It locks nothing. */
#include "minimal.h"

#include <stdbool.h>
#include <string.h>

#define EXPORTED         __attribute__((visibility("default")))
#define SESSIONS         32
#define LARGEST_SECRET   16
#define LOGGED_OUT       (-1)
#define CONTEXT_SPECIFIC 2

static struct minimal control;

EXPORTED struct minimal *minimal(void) {
    return &control;
}

/* The secret's complement: a search of the memory for a secret must not find it here. */
struct secret {
    CK_BYTE complement[LARGEST_SECRET];
    CK_ULONG length;
};

static struct token {
    struct secret secrets[2]; /* the user's PIN, the SO's: the index is that of `control.wrong` */
    int user;                 /* LOGGED_OUT, CKU_SO, CKU_USER */
} tokens[2];

static struct session {
    bool open;
    CK_SLOT_ID slot;
    CK_FLAGS flags;
    CK_MECHANISM_TYPE
    signing; /* 0: nothing is signed; CKM_RSA_PKCS_KEY_PAIR_GEN, which is 0, signs nothing */
    CK_OBJECT_HANDLE key;
    CK_ULONG digest; /* its length; 0: nothing is digested */
    CK_BYTE sum;
} sessions[SESSIONS];

static bool initialized;

#define SCRIPTED                                                                                             \
    if (control.enter != NULL) {                                                                             \
        control.enter(&__func__[sizeof "minimal_" - 1]);                                                     \
    }                                                                                                        \
    if (control.answer != CKR_OK && control.skip-- == 0) {                                                   \
        CK_RV told = control.answer;                                                                         \
        control.answer = CKR_OK;                                                                             \
        return told;                                                                                         \
    }
#define INITIALIZED                                                                                          \
    SCRIPTED                                                                                                 \
    if (!initialized) {                                                                                      \
        return CKR_CRYPTOKI_NOT_INITIALIZED;                                                                 \
    }
#define IN_SESSION(handle)                                                                                   \
    INITIALIZED                                                                                              \
    if ((handle) == 0 || (handle) > SESSIONS || !sessions[(handle) - 1].open) {                              \
        return CKR_SESSION_HANDLE_INVALID;                                                                   \
    }                                                                                                        \
    struct session *session = &sessions[(handle) - 1];                                                       \
    struct token *token = &tokens[session->slot];                                                            \
    (void)token

static void set(struct secret *secret, const CK_BYTE *value, CK_ULONG length) {
    secret->length = length;
    for (CK_ULONG i = 0; i < length; i++) {
        secret->complement[i] = (CK_BYTE)~value[i];
    }
}

static bool is(const struct secret *secret, const CK_BYTE *value, CK_ULONG length) {
    bool same = secret->length == length;
    for (CK_ULONG i = 0; same && i < length; i++) {
        same = (value[i] ^ secret->complement[i]) == 0xff;
    }
    return same;
}

static CK_RV compare(CK_SLOT_ID slot, bool so, const CK_BYTE *value, CK_ULONG length) {
    bool right = is(&tokens[slot].secrets[so], value, length);
    if (slot == MINIMAL_CARD_SLOT) {
        control.wrong[so] = right ? 0 : control.wrong[so] + 1;
    } else {
        control.asked++;
        control.tries -= !right && control.tries > 0;
    }
    return right ? CKR_OK : CKR_PIN_INCORRECT;
}

static CK_RV minimal_C_Initialize(void *arguments) {
    (void)arguments;
    SCRIPTED
    if (initialized) {
        return CKR_CRYPTOKI_ALREADY_INITIALIZED;
    }
    initialized = true;
    return CKR_OK;
}

static CK_RV minimal_C_Finalize(void *reserved) {
    (void)reserved;
    INITIALIZED
    initialized = false;
    memset(sessions, 0, sizeof sessions);
    for (int slot = 0; slot < 2; slot++) {
        tokens[slot].user = LOGGED_OUT;
    }
    return CKR_OK;
}

static CK_RV minimal_C_GetInfo(CK_INFO *info) {
    INITIALIZED
    if (info == NULL) {
        return CKR_ARGUMENTS_BAD;
    }
    memset(info, ' ', sizeof *info);
    return CKR_OK;
}

static CK_RV minimal_C_GetSlotList(CK_BBOOL present, CK_SLOT_ID *slots, CK_ULONG *count) {
    INITIALIZED
    CK_ULONG room = *count;
    *count = present ? MINIMAL_EMPTY_SLOT : MINIMAL_SLOTS;
    for (CK_SLOT_ID slot = 0; slots != NULL && slot < *count && slot < room; slot++) {
        slots[slot] = slot;
    }
    return slots != NULL && room < *count ? CKR_BUFFER_TOO_SMALL : CKR_OK;
}

static CK_RV minimal_C_GetSlotInfo(CK_SLOT_ID slot, CK_SLOT_INFO *info) {
    INITIALIZED
    if (slot >= MINIMAL_SLOTS || info == NULL) {
        return slot >= MINIMAL_SLOTS ? CKR_SLOT_ID_INVALID : CKR_ARGUMENTS_BAD;
    }
    memset(info, ' ', sizeof *info);
    info->flags = CKF_REMOVABLE_DEVICE | (slot == MINIMAL_EMPTY_SLOT ? 0 : CKF_TOKEN_PRESENT);
    return CKR_OK;
}

static CK_RV minimal_C_GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO *info) {
    INITIALIZED
    if (slot >= MINIMAL_EMPTY_SLOT) {
        return slot == MINIMAL_EMPTY_SLOT ? CKR_TOKEN_NOT_PRESENT : CKR_SLOT_ID_INVALID;
    }
    if (info == NULL) {
        return CKR_ARGUMENTS_BAD;
    }
    static const char label[] = "xca-card:" MINIMAL_CARD, second[] = "xca-card:" MINIMAL_SECOND;
    memset(info, ' ', sizeof *info);
    info->flags = CKF_TOKEN_INITIALIZED;
    if (slot == MINIMAL_CARD_SLOT) {
        memcpy(info->label, label, sizeof label - 1);
    } else if (control.second_card) {
        memcpy(info->label, second, sizeof second - 1);
    } else {
        memcpy(info->label, "plain", 5);
        memcpy(info->serialNumber, "1", 1);
        info->flags |= control.flags | (control.tries == 1 ? CKF_USER_PIN_FINAL_TRY : 0);
    }
    return CKR_OK;
}

static CK_RV minimal_C_InitToken(CK_SLOT_ID slot, CK_BYTE *pin, CK_ULONG length, CK_BYTE *label) {
    INITIALIZED
    control.trespassed = control.trespassed || (label != NULL && memcmp(label, "xca-card:", 9) == 0);
    if (slot >= MINIMAL_EMPTY_SLOT || pin == NULL) {
        return CKR_ARGUMENTS_BAD;
    }
    return compare(slot, true, pin, length);
}

static CK_RV minimal_C_InitPIN(CK_SESSION_HANDLE handle, CK_BYTE *pin, CK_ULONG length) {
    IN_SESSION(handle);
    if (token->user != CKU_SO) {
        return CKR_USER_NOT_LOGGED_IN;
    }
    if (pin == NULL || length > LARGEST_SECRET) {
        return CKR_PIN_LEN_RANGE;
    }
    set(&token->secrets[0], pin, length);
    if (session->slot == MINIMAL_CARD_SLOT) {
        control.wrong[0] = 0;
    }
    return CKR_OK;
}

static CK_RV minimal_C_SetPIN(CK_SESSION_HANDLE handle, CK_BYTE *old, CK_ULONG old_length, CK_BYTE *new,
                              CK_ULONG new_length) {
    IN_SESSION(handle);
    if (old == NULL || new == NULL || new_length > LARGEST_SECRET) {
        return CKR_ARGUMENTS_BAD;
    }
    bool so = token->user == CKU_SO;
    CK_RV rv = compare(session->slot, so, old, old_length);
    if (rv == CKR_OK) {
        set(&token->secrets[so], new, new_length);
    }
    return rv;
}

static CK_RV minimal_C_OpenSession(CK_SLOT_ID slot, CK_FLAGS flags, void *application, CK_NOTIFY notify,
                                   CK_SESSION_HANDLE *handle) {
    (void)application, (void)notify;
    INITIALIZED
    if (slot >= MINIMAL_EMPTY_SLOT) {
        return CKR_SLOT_ID_INVALID;
    }
    for (CK_SESSION_HANDLE i = 0; i < SESSIONS; i++) {
        if (!sessions[i].open) {
            sessions[i] = (struct session){.open = true, .slot = slot, .flags = flags};
            *handle = i + 1;
            return CKR_OK;
        }
    }
    return CKR_SESSION_COUNT;
}

static CK_RV minimal_C_CloseSession(CK_SESSION_HANDLE handle) {
    IN_SESSION(handle);
    session->open = false;
    for (int i = 0; i < SESSIONS; i++) {
        if (sessions[i].open && sessions[i].slot == session->slot) {
            return CKR_OK;
        }
    }
    token->user = LOGGED_OUT;
    return CKR_OK;
}

static CK_RV minimal_C_CloseAllSessions(CK_SLOT_ID slot) {
    INITIALIZED
    if (slot >= MINIMAL_EMPTY_SLOT) {
        return CKR_SLOT_ID_INVALID;
    }
    for (int i = 0; i < SESSIONS; i++) {
        sessions[i].open = sessions[i].open && sessions[i].slot != slot;
    }
    tokens[slot].user = LOGGED_OUT;
    return CKR_OK;
}

static CK_RV minimal_C_GetSessionInfo(CK_SESSION_HANDLE handle, CK_SESSION_INFO *info) {
    IN_SESSION(handle);
    bool rw = (session->flags & CKF_RW_SESSION) != 0;
    CK_STATE state = rw ? CKS_RW_PUBLIC_SESSION : CKS_RO_PUBLIC_SESSION;
    if (token->user == CKU_USER) {
        state = rw ? CKS_RW_USER_FUNCTIONS : CKS_RO_USER_FUNCTIONS;
    } else if (token->user == CKU_SO) {
        state = CKS_RW_SO_FUNCTIONS;
    }
    *info = (CK_SESSION_INFO){session->slot, state, session->flags, 0};
    return CKR_OK;
}

static CK_RV minimal_C_Login(CK_SESSION_HANDLE handle, CK_USER_TYPE user, CK_BYTE *pin, CK_ULONG length) {
    IN_SESSION(handle);
    if (user > CONTEXT_SPECIFIC || pin == NULL) {
        return user > CONTEXT_SPECIFIC ? CKR_USER_TYPE_INVALID : CKR_ARGUMENTS_BAD;
    }
    if (user != CONTEXT_SPECIFIC && token->user != LOGGED_OUT) {
        return CKR_USER_ALREADY_LOGGED_IN;
    }
    CK_RV rv = compare(session->slot, user == CKU_SO, pin, length);
    if (rv == CKR_OK && user != CONTEXT_SPECIFIC) {
        token->user = (int)user;
    }
    return rv;
}

static CK_RV minimal_C_LoginUser(CK_SESSION_HANDLE handle, CK_USER_TYPE user, CK_BYTE *pin, CK_ULONG length,
                                 CK_BYTE *name, CK_ULONG name_length) {
    (void)name, (void)name_length;
    return minimal_C_Login(handle, user, pin, length);
}

static CK_RV minimal_C_Logout(CK_SESSION_HANDLE handle) {
    IN_SESSION(handle);
    token->user = LOGGED_OUT;
    return CKR_OK;
}

static bool is_object(CK_OBJECT_HANDLE object) {
    return object > 0 && object < MINIMAL_OBJECTS;
}

static CK_ULONG modulus_length(CK_OBJECT_HANDLE key) {
    static const CK_ULONG lengths[] = {256, 0, 1, 8, 129, 1024, 1025, 66};
    return lengths[key & 7];
}

static CK_RV minimal_C_GetAttributeValue(CK_SESSION_HANDLE handle, CK_OBJECT_HANDLE object,
                                         CK_ATTRIBUTE *template, CK_ULONG count) {
    static const CK_BYTE firsts[] = {0x80, 0x00, 0x01, 0xff};
    IN_SESSION(handle);
    if (!is_object(object)) {
        return CKR_OBJECT_HANDLE_INVALID;
    }
    for (CK_ULONG i = 0; i < count; i++) {
        CK_ATTRIBUTE *attribute = &template[i];
        CK_ULONG room = attribute->ulValueLen;
        if (attribute->type != CKA_TOKEN && attribute->type != CKA_MODULUS) {
            return CKR_ATTRIBUTE_TYPE_INVALID;
        }
        attribute->ulValueLen = attribute->type == CKA_TOKEN ? 1 : modulus_length(object);
        if (attribute->pValue == NULL || attribute->ulValueLen == 0) {
            continue;
        }
        if (room < attribute->ulValueLen) {
            return CKR_BUFFER_TOO_SMALL;
        }
        CK_BYTE *value = attribute->pValue;
        memset(value, 0x5a, attribute->ulValueLen);
        value[0] = attribute->type == CKA_TOKEN ? (object & 32) == 0 : firsts[object >> 3 & 3];
    }
    return CKR_OK;
}

/* No object is really made or destroyed: the tests ask only whether it was allowed. */

static bool says_token(const CK_ATTRIBUTE *template, CK_ULONG count) {
    bool says = false;
    for (CK_ULONG i = 0; template != NULL && i < count && !says; i++) {
        const CK_ATTRIBUTE *attribute = &template[i];
        if (attribute->type == CKA_TOKEN) {
            says = attribute->pValue == NULL || attribute->ulValueLen != sizeof(CK_BBOOL) ||
                   *(const CK_BBOOL *)attribute->pValue != CK_FALSE;
        } else if (attribute->type == CKA_UNWRAP_TEMPLATE) {
            says = says_token(attribute->pValue, attribute->ulValueLen / sizeof *template);
        }
    }
    return says;
}

static void see(const struct session *session, const CK_ATTRIBUTE *template, CK_ULONG count) {
    if (session->slot == MINIMAL_CARD_SLOT && tokens[MINIMAL_CARD_SLOT].user != CKU_USER) {
        control.trespassed = control.trespassed || says_token(template, count);
    }
}

static CK_RV minimal_C_CreateObject(CK_SESSION_HANDLE handle, CK_ATTRIBUTE *template, CK_ULONG count,
                                    CK_OBJECT_HANDLE *object) {
    IN_SESSION(handle);
    see(session, template, count);
    *object = 1;
    return CKR_OK;
}

static CK_RV minimal_C_CopyObject(CK_SESSION_HANDLE handle, CK_OBJECT_HANDLE from, CK_ATTRIBUTE *template,
                                  CK_ULONG count, CK_OBJECT_HANDLE *copy) {
    IN_SESSION(handle);
    see(session, template, count);
    *copy = from;
    return is_object(from) ? CKR_OK : CKR_OBJECT_HANDLE_INVALID;
}

static CK_RV minimal_C_DestroyObject(CK_SESSION_HANDLE handle, CK_OBJECT_HANDLE object) {
    IN_SESSION(handle);
    return is_object(object) ? CKR_OK : CKR_OBJECT_HANDLE_INVALID;
}

static CK_RV minimal_C_SetAttributeValue(CK_SESSION_HANDLE handle, CK_OBJECT_HANDLE object,
                                         CK_ATTRIBUTE *template, CK_ULONG count) {
    IN_SESSION(handle);
    see(session, template, count);
    return is_object(object) ? CKR_OK : CKR_OBJECT_HANDLE_INVALID;
}

static CK_RV minimal_C_GenerateKeyPair(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism,
                                       CK_ATTRIBUTE *public, CK_ULONG public_count, CK_ATTRIBUTE *private,
                                       CK_ULONG private_count, CK_OBJECT_HANDLE *public_key,
                                       CK_OBJECT_HANDLE *private_key) {
    (void)mechanism;
    IN_SESSION(handle);
    see(session, public, public_count);
    see(session, private, private_count);
    *public_key = *private_key = 1;
    return CKR_OK;
}

static CK_RV minimal_C_GenerateKey(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism, CK_ATTRIBUTE *template,
                                   CK_ULONG count, CK_OBJECT_HANDLE *key) {
    (void)mechanism;
    IN_SESSION(handle);
    see(session, template, count);
    *key = 1;
    return CKR_OK;
}

static CK_RV minimal_C_UnwrapKey(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism,
                                 CK_OBJECT_HANDLE unwrapping, CK_BYTE *wrapped, CK_ULONG length,
                                 CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *key) {
    (void)mechanism, (void)unwrapping, (void)wrapped, (void)length;
    IN_SESSION(handle);
    see(session, template, count);
    *key = 1;
    return CKR_OK;
}

static CK_RV minimal_C_DeriveKey(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE base,
                                 CK_ATTRIBUTE *template, CK_ULONG count, CK_OBJECT_HANDLE *key) {
    (void)base;
    IN_SESSION(handle);
    see(session, template, count);
    if (token->user != CKU_USER && mechanism != NULL && mechanism->mechanism == CKM_SP800_108_COUNTER_KDF) {
        control.trespassed = control.trespassed || session->slot == MINIMAL_CARD_SLOT;
    }
    *key = 1;
    return CKR_OK;
}

static CK_ULONG digest_length(CK_MECHANISM_TYPE mechanism) {
    switch (mechanism) {
    case CKM_SHA_1:
        return 20;
    case CKM_SHA224:
        return 28;
    case CKM_SHA256:
        return 32;
    case CKM_SHA384:
        return 48;
    case CKM_SHA512:
        return 64;
    default:
        return 0;
    }
}

static CK_RV minimal_C_DigestInit(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism) {
    IN_SESSION(handle);
    if (session->digest != 0) {
        return CKR_OPERATION_ACTIVE;
    }
    session->sum = 0;
    session->digest = digest_length(mechanism->mechanism);
    return session->digest != 0 ? CKR_OK : CKR_MECHANISM_INVALID;
}

static CK_RV minimal_C_DigestUpdate(CK_SESSION_HANDLE handle, CK_BYTE *part, CK_ULONG length) {
    IN_SESSION(handle);
    if (session->digest == 0 || (part == NULL && length > 0)) {
        return session->digest == 0 ? CKR_OPERATION_NOT_INITIALIZED : CKR_ARGUMENTS_BAD;
    }
    for (CK_ULONG i = 0; i < length; i++) {
        session->sum = (CK_BYTE)(session->sum * 31 + part[i]);
    }
    return CKR_OK;
}

static CK_RV minimal_C_DigestFinal(CK_SESSION_HANDLE handle, CK_BYTE *digest, CK_ULONG *length) {
    IN_SESSION(handle);
    CK_ULONG room = *length;
    if (session->digest == 0) {
        return CKR_OPERATION_NOT_INITIALIZED;
    }
    *length = session->digest;
    if (digest == NULL || room < session->digest) {
        return digest == NULL ? CKR_OK : CKR_BUFFER_TOO_SMALL;
    }
    memset(digest, session->sum, session->digest);
    session->digest = 0;
    return CKR_OK;
}

static CK_RV minimal_C_Digest(CK_SESSION_HANDLE handle, CK_BYTE *data, CK_ULONG length, CK_BYTE *digest,
                              CK_ULONG *digest_length) {
    CK_RV rv = minimal_C_DigestUpdate(handle, data, length);
    return rv == CKR_OK ? minimal_C_DigestFinal(handle, digest, digest_length) : rv;
}

static CK_RV minimal_C_SignInit(CK_SESSION_HANDLE handle, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key) {
    IN_SESSION(handle);
    if (mechanism == NULL || !is_object(key)) {
        return mechanism == NULL ? CKR_ARGUMENTS_BAD : CKR_KEY_HANDLE_INVALID;
    }
    if (session->signing != 0) {
        return CKR_OPERATION_ACTIVE;
    }
    if (mechanism->mechanism != CKM_RSA_PKCS && mechanism->mechanism != CKM_RSA_X_509) {
        return CKR_MECHANISM_INVALID;
    }
    session->signing = mechanism->mechanism;
    session->key = key;
    return CKR_OK;
}

static CK_RV minimal_C_Sign(CK_SESSION_HANDLE handle, CK_BYTE *data, CK_ULONG length, CK_BYTE *signature,
                            CK_ULONG *signature_length) {
    IN_SESSION(handle);
    if (session->signing == 0 || data == NULL || signature_length == NULL) {
        return session->signing == 0 ? CKR_OPERATION_NOT_INITIALIZED : CKR_ARGUMENTS_BAD;
    }
    CK_ULONG needed = modulus_length(session->key), room = *signature_length;
    CK_ULONG padding = session->signing == CKM_RSA_PKCS ? 11 : 0;
    *signature_length = needed;
    if (signature == NULL || room < needed) {
        return signature == NULL ? CKR_OK : CKR_BUFFER_TOO_SMALL;
    }
    session->signing = 0;
    if (length + padding > needed) {
        return CKR_DATA_LEN_RANGE;
    }
    CK_BYTE sum = 0;
    for (CK_ULONG i = 0; i < length; i++) {
        sum = (CK_BYTE)(sum + data[i]);
    }
    memset(signature, sum, needed);
    return CKR_OK;
}

static CK_RV minimal_C_SignUpdate(CK_SESSION_HANDLE handle, CK_BYTE *part, CK_ULONG length) {
    (void)part, (void)length;
    IN_SESSION(handle);
    return CKR_OPERATION_NOT_INITIALIZED;
}

static CK_RV minimal_C_SignFinal(CK_SESSION_HANDLE handle, CK_BYTE *signature, CK_ULONG *length) {
    (void)signature, (void)length;
    IN_SESSION(handle);
    return CKR_OPERATION_NOT_INITIALIZED;
}

static CK_RV minimal_C_SessionCancel(CK_SESSION_HANDLE handle, CK_FLAGS flags) {
    IN_SESSION(handle);
    if ((flags & CKF_SIGN) != 0) {
        session->signing = 0;
    }
    return CKR_OK;
}

static CK_RV minimal_C_GenerateRandom(CK_SESSION_HANDLE handle, CK_BYTE *out, CK_ULONG length) {
    IN_SESSION(handle);
    memset(out, 0x42, length);
    return CKR_OK;
}

EXPORTED CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list);

#define EVERY(X)                                                                                             \
    X(C_Initialize)                                                                                          \
    X(C_Finalize)                                                                                            \
    X(C_GetInfo)                                                                                             \
    X(C_GetSlotList)                                                                                         \
    X(C_GetSlotInfo)                                                                                         \
    X(C_GetTokenInfo)                                                                                        \
    X(C_InitToken)                                                                                           \
    X(C_InitPIN)                                                                                             \
    X(C_SetPIN)                                                                                              \
    X(C_OpenSession)                                                                                         \
    X(C_CloseSession)                                                                                        \
    X(C_CloseAllSessions)                                                                                    \
    X(C_GetSessionInfo)                                                                                      \
    X(C_Login)                                                                                               \
    X(C_Logout)                                                                                              \
    X(C_GetAttributeValue)                                                                                   \
    X(C_CreateObject)                                                                                        \
    X(C_CopyObject)                                                                                          \
    X(C_DestroyObject)                                                                                       \
    X(C_SetAttributeValue)                                                                                   \
    X(C_GenerateKey)                                                                                         \
    X(C_GenerateKeyPair)                                                                                     \
    X(C_UnwrapKey)                                                                                           \
    X(C_DeriveKey)                                                                                           \
    X(C_DigestInit)                                                                                          \
    X(C_Digest)                                                                                              \
    X(C_DigestUpdate)                                                                                        \
    X(C_DigestFinal)                                                                                         \
    X(C_SignInit)                                                                                            \
    X(C_Sign)                                                                                                \
    X(C_SignUpdate)                                                                                          \
    X(C_SignFinal)                                                                                           \
    X(C_GenerateRandom)
#define ENTRY(name) .name = minimal_##name,

static CK_FUNCTION_LIST list = {.version = {2, 40}, EVERY(ENTRY).C_GetFunctionList = C_GetFunctionList};

EXPORTED CK_RV C_GetFunctionList(CK_FUNCTION_LIST **out) {
    if (control.enter != NULL) {
        control.enter("C_GetFunctionList");
    }
    for (int slot = 0; slot < 2; slot++) {
        tokens[slot].user = LOGGED_OUT;
        set(&tokens[slot].secrets[0], (const CK_BYTE *)MINIMAL_PIN, sizeof MINIMAL_PIN - 1);
        set(&tokens[slot].secrets[1], (const CK_BYTE *)MINIMAL_USER_CODE, sizeof MINIMAL_USER_CODE - 1);
    }
    *out = &list;
    return CKR_OK;
}

/* PKCS#11 3.0: what its list adds; the other entries stay NULL. */
static CK_FUNCTION_LIST_3_0 list_3_0 = {
    .v2 = {.version = {3, 0}, EVERY(ENTRY).C_GetFunctionList = C_GetFunctionList},
    .C_LoginUser = minimal_C_LoginUser,
    .C_SessionCancel = minimal_C_SessionCancel,
};

static CK_INTERFACE interface = {(CK_UTF8CHAR *)"PKCS 11", &list_3_0, 0};

EXPORTED CK_RV C_GetInterface(CK_UTF8CHAR *name, CK_VERSION *version, CK_INTERFACE **out, CK_FLAGS flags);

EXPORTED CK_RV C_GetInterface(CK_UTF8CHAR *name, CK_VERSION *version, CK_INTERFACE **out, CK_FLAGS flags) {
    (void)name, (void)version, (void)flags;
    *out = &interface;
    return CKR_OK;
}
