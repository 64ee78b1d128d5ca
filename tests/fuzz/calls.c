/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes sequences of calls: every step is a byte that names a call and the bytes of its arguments. Every
 * buffer has exactly the length that the call is told. Whatever the calls, the inner module never compares
 * more wrong values in a row than a card has tries.
 */
#include "card.h"

#include "config.h"
#include "rules.h"

#include <stdlib.h>
#include <string.h>

#define BUFFERS 48
#define HANDLES 6

static CK_FUNCTION_LIST *v2;
static CK_SESSION_HANDLE sessions[HANDLES]; /* the last ones opened; 0 is never one */
static unsigned opened;
static void *buffers[BUFFERS]; /* of the current step */
static unsigned used;

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    card_start();
    v2 = &list->v2;
    return 0;
}

/* Memory that a sanitizer guards on both sides, until the end of the step. */
static void *buffer(size_t size) {
    void *memory = malloc(size);
    must(memory != NULL && used < BUFFERS);
    memset(memory, 0, size);
    return buffers[used++] = memory;
}

static void free_buffers(void) {
    while (used > 0) {
        free(buffers[--used]);
    }
}

static CK_SESSION_HANDLE session(void) {
    return sessions[input_byte() % HANDLES];
}

static CK_SLOT_ID slot(void) {
    return input_byte() % (MINIMAL_SLOTS + 1);
}

static CK_OBJECT_HANDLE object(void) {
    return input_byte() % (MINIMAL_OBJECTS + 1);
}

/* Bytes of the input, or NULL with no length. */
static CK_BYTE *bytes(CK_ULONG *length) {
    const uint8_t *data;
    uint8_t wanted = input_byte();
    *length = wanted == 0xff ? 0 : input_take(wanted, &data);
    if (wanted == 0xff) {
        return NULL;
    }
    CK_BYTE *copy = buffer(*length);
    if (*length > 0) {
        memcpy(copy, data, *length);
    }
    return copy;
}

static CK_BYTE *secret(CK_ULONG *length) {
    static const char *const known[] = {
        MINIMAL_PIN, MINIMAL_USER_CODE, "wrong-1", "wrong-2",    "wrong-3",
        "wrong-4",   "newpin-1",        "12345",   "with blank", "123456789",
    };
    uint8_t which = input_byte() % (sizeof known / sizeof known[0] + 1);
    if (which == sizeof known / sizeof known[0]) {
        return bytes(length);
    }
    *length = strlen(known[which]);
    return memcpy(buffer(*length), known[which], *length);
}

/* One template deep. */
static CK_ATTRIBUTE *template(CK_ULONG *count, bool inside) {
    static const CK_ATTRIBUTE_TYPE types[] = {CKA_TOKEN, CKA_PRIVATE, CKA_LABEL, CKA_MODULUS,
                                              CKA_UNWRAP_TEMPLATE};
    uint8_t wanted = input_byte();
    *count = wanted == 0xff ? 0 : wanted % 4;
    if (wanted == 0xff) {
        return NULL;
    }
    CK_ATTRIBUTE *attributes = buffer(*count * sizeof *attributes);
    for (CK_ULONG i = 0; i < *count; i++) {
        CK_ATTRIBUTE *attribute = &attributes[i];
        attribute->type = types[input_byte() % (inside ? 4 : 5)];
        if (attribute->type == CKA_UNWRAP_TEMPLATE) {
            attribute->pValue = template(&attribute->ulValueLen, true);
            attribute->ulValueLen = attribute->ulValueLen * sizeof *attribute + input_byte() % 2;
        } else {
            attribute->pValue = bytes(&attribute->ulValueLen);
        }
    }
    return attributes;
}

static CK_MECHANISM *mechanism(void) {
    static const CK_MECHANISM_TYPE types[] = {
        CKM_RSA_PKCS,
        CKM_RSA_X_509,
        CKM_SHA1_RSA_PKCS,
        CKM_SHA224_RSA_PKCS,
        CKM_SHA256_RSA_PKCS,
        CKM_SHA384_RSA_PKCS,
        CKM_SHA512_RSA_PKCS,
        CKM_SHA1_RSA_PKCS_PSS,
        CKM_SHA224_RSA_PKCS_PSS,
        CKM_SHA256_RSA_PKCS_PSS,
        CKM_SHA384_RSA_PKCS_PSS,
        CKM_SHA512_RSA_PKCS_PSS,
    };
    static const CK_MECHANISM_TYPE hashes[] = {CKM_SHA_1, CKM_SHA224, CKM_SHA256, CKM_SHA384, CKM_SHA512};
    uint8_t which = input_byte();
    if (which == 0xff) {
        return NULL;
    }
    CK_MECHANISM *chosen = buffer(sizeof *chosen);
    chosen->mechanism = types[which % (sizeof types / sizeof types[0])];
    which = input_byte();
    if (which < 8) {
        chosen->pParameter = bytes(&chosen->ulParameterLen);
    } else {
        CK_RSA_PKCS_PSS_PARAMS *pss = buffer(sizeof *pss);
        pss->hashAlg = hashes[which % 5];
        pss->mgf = which / 5 % 6 + 1;
        pss->sLen = input_byte() % 4 == 3 ? (CK_ULONG)-1 : input_byte();
        chosen->pParameter = pss;
        chosen->ulParameterLen = sizeof *pss;
    }
    return chosen;
}

/* A CK_ULONG for a handle or a length; NULL only where the inner module would ask for that too. */
static CK_ULONG *cell(CK_ULONG value) {
    CK_ULONG *number = buffer(sizeof *number);
    *number = value;
    return number;
}

static CK_BYTE *room(CK_ULONG **length) {
    uint8_t kind = input_byte();
    CK_ULONG size = kind & 0x3f ? 16UL * (kind & 0x3f) : 1025;
    *length = (kind & 0x40) != 0 ? NULL : cell(size);
    return (kind & 0x80) != 0 ? NULL : buffer(size);
}

static void script(void) {
    static const CK_RV answers[] = {
        CKR_HOST_MEMORY,
        CKR_GENERAL_ERROR,
        CKR_ARGUMENTS_BAD,
        CKR_DEVICE_ERROR,
        CKR_DEVICE_REMOVED,
        CKR_PIN_INCORRECT,
        CKR_PIN_LOCKED,
        CKR_SESSION_HANDLE_INVALID,
        CKR_TOKEN_NOT_PRESENT,
        CKR_USER_ALREADY_LOGGED_IN,
        CKR_BUFFER_TOO_SMALL,
        CKR_CRYPTOKI_NOT_INITIALIZED,
        CKR_FUNCTION_NOT_SUPPORTED,
    };
    uint8_t which = input_byte();
    inner_control->answer = answers[which % (sizeof answers / sizeof answers[0])];
    inner_control->skip = which / (sizeof answers / sizeof answers[0]) % 8;
}

static void open_session(void) {
    CK_SESSION_HANDLE handle;
    CK_FLAGS flags = CKF_SERIAL_SESSION | (input_byte() % 4 != 0 ? CKF_RW_SESSION : 0);
    if (v2->C_OpenSession(slot(), flags, NULL, NULL, &handle) == CKR_OK) {
        sessions[1 + opened++ % (HANDLES - 1)] = handle;
    }
}

static void interfaces(void) {
    CK_ULONG count = input_byte() % 4;
    CK_INTERFACE *found = buffer(count * sizeof *found);
    C_GetInterfaceList(input_byte() % 2 ? found : NULL, &count);
    CK_VERSION version = {input_byte() % 4, input_byte() % 41};
    CK_INTERFACE *interface;
    C_GetInterface(NULL, &version, &interface, input_byte() % 2);
}

static void step(void) {
    CK_ULONG a_length, b_length, *answer_length;
    CK_BYTE *a, *b, *answer;
    CK_ATTRIBUTE *template_a, *template_b;
    CK_MECHANISM *how;
    CK_SESSION_HANDLE at;
    CK_USER_TYPE user;
    switch (input_byte() % 28) {
    case 0:
        script();
        break;
    case 1:
        v2->C_Initialize(NULL);
        break;
    case 2:
        v2->C_Finalize(NULL);
        break;
    case 3:
        v2->C_GetInfo(input_byte() % 2 ? buffer(sizeof(CK_INFO)) : NULL);
        break;
    case 4:
        at = slot();
        v2->C_GetSlotInfo(at, input_byte() % 4 ? buffer(sizeof(CK_SLOT_INFO)) : NULL);
        break;
    case 5:
        at = slot();
        v2->C_GetTokenInfo(at, input_byte() % 4 ? buffer(sizeof(CK_TOKEN_INFO)) : NULL);
        break;
    case 6:
    case 7:
        open_session();
        break;
    case 8:
        v2->C_CloseSession(session());
        break;
    case 9:
        v2->C_CloseAllSessions(slot());
        break;
    case 10:
    case 11:
        at = session();
        user = input_byte() % 4;
        a = secret(&a_length);
        v2->C_Login(at, user, a, a_length);
        break;
    case 12:
        at = session();
        user = input_byte() % 4;
        a = secret(&a_length);
        b = bytes(&b_length);
        list->C_LoginUser(at, user, a, a_length, b, b_length);
        break;
    case 13:
        v2->C_Logout(session());
        break;
    case 14:
        at = session();
        a = secret(&a_length);
        b = secret(&b_length);
        v2->C_SetPIN(at, a, a_length, b, b_length);
        break;
    case 15:
        at = session();
        a = secret(&a_length);
        v2->C_InitPIN(at, a, a_length);
        break;
    case 16:
        at = slot();
        a = secret(&a_length);
        v2->C_InitToken(at, a, a_length, buffer(32));
        break;
    case 17:
        at = session();
        template_a = template(&a_length, false);
        v2->C_CreateObject(at, template_a, a_length, buffer(sizeof(CK_OBJECT_HANDLE)));
        break;
    case 18:
        at = session();
        template_a = template(&a_length, false);
        v2->C_CopyObject(at, object(), template_a, a_length, buffer(sizeof(CK_OBJECT_HANDLE)));
        break;
    case 19:
        at = session();
        v2->C_DestroyObject(at, object());
        break;
    case 20:
        at = session();
        template_a = template(&a_length, false);
        v2->C_SetAttributeValue(at, object(), template_a, a_length);
        break;
    case 21:
        at = session();
        template_a = template(&a_length, false);
        template_b = template(&b_length, false);
        v2->C_GenerateKeyPair(at, mechanism(), template_a, a_length, template_b, b_length, cell(0), cell(0));
        break;
    case 22:
        at = session();
        how = mechanism();
        v2->C_SignInit(at, how, object());
        break;
    case 23:
        at = session();
        a = bytes(&a_length);
        answer = room(&answer_length);
        v2->C_Sign(at, a, a_length, answer, answer_length);
        break;
    case 24:
        at = session();
        a = bytes(&a_length);
        v2->C_SignUpdate(at, a, a_length);
        break;
    case 25:
        at = session();
        answer = room(&answer_length);
        v2->C_SignFinal(at, answer, answer_length);
        break;
    case 26:
        list->C_SessionCancel(session(), input_byte() % 2 ? CKF_SIGN : 0);
        break;
    case 27:
        interfaces();
        break;
    }
    free_buffers();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input_begin(data, size);
    memset(sessions, 0, sizeof sessions);
    opened = 0;
    card_renew();
    uint8_t setting = input_byte();
    config.guard_last_try = (setting & 1) != 0;
    config.trim_strings = (setting & 2) != 0;
    inner_control->flags = (setting & 4) != 0 ? CKF_USER_PIN_FINAL_TRY : CKF_SO_PIN_FINAL_TRY;
    if ((setting & 8) == 0) {
        v2->C_Initialize(NULL);
    }
    while (!input_is_used_up()) {
        step();
    }
    must(!inner_control->trespassed);
    must(inner_control->wrong[0] <= XCA_MAX_TRIES && inner_control->wrong[1] <= XCA_MAX_TRIES);
    return 0;
}
