/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A card's whole life in one process, for sanitizers and valgrind: linked with the module's sources, run on a
 * card that is not activated (cards.py) with inner/vendor.c behind the module and every quirk and guard
 * configured. That each answer is the right one is only checked so that the run is known to have gone where
 * it was sent; the rules have tests of their own.
 */
#include "cryptoki.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define USER_CODE     "Code~8642" /* as in cards.py */
#define PIN           "Pin+1357"
#define NEW_PIN       "newpin-1"
#define NEW_CODE      "NewCode-99"
#define RW            (CKF_SERIAL_SESSION | CKF_RW_SESSION)
#define LENGTH(array) (sizeof(array) / sizeof *(array))
#define THREADS       8
#define ROUNDS        6

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list);
CK_RV C_GetInterfaceList(CK_INTERFACE *interfaces, CK_ULONG *count);
CK_RV C_GetInterface(CK_UTF8CHAR *name, CK_VERSION *version, CK_INTERFACE **interface, CK_FLAGS flags);

static CK_FUNCTION_LIST *p11;
static CK_FUNCTION_LIST_3_0 *p11_3;
static CK_SLOT_ID card, plain;
static CK_BYTE text[] = "what is signed";

static const CK_MECHANISM_TYPE pkcs1[] = {CKM_SHA1_RSA_PKCS, CKM_SHA224_RSA_PKCS, CKM_SHA256_RSA_PKCS,
                                          CKM_SHA384_RSA_PKCS, CKM_SHA512_RSA_PKCS};

static void answers(CK_RV expected, CK_RV rv, const char *call, int line) {
    if (rv != expected) {
        fprintf(stderr, "line %d: %s answers 0x%lx, not 0x%lx\n", line, call, rv, expected);
        _exit(2); /* not exit(): other threads are still at work */
    }
}
#define ANSWERS(expected, call) answers(expected, call, #call, __LINE__)
#define OK(call)                ANSWERS(CKR_OK, call)

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, const char *secret) {
    return p11->C_Login(session, user, (CK_BYTE *)secret, strlen(secret));
}

static CK_RV set_pin(CK_SESSION_HANDLE session, const char *old, const char *new) {
    return p11->C_SetPIN(session, (CK_BYTE *)old, strlen(old), (CK_BYTE *)new, strlen(new));
}

static CK_RV init_pin(CK_SESSION_HANDLE session, const char *pin) {
    return p11->C_InitPIN(session, (CK_BYTE *)pin, strlen(pin));
}

static CK_SESSION_HANDLE open_session(CK_SLOT_ID slot) {
    CK_SESSION_HANDLE session;
    OK(p11->C_OpenSession(slot, RW, NULL, NULL, &session));
    return session;
}

/* The configuration is read at the first call, and again after it could not be. */
static void load(void) {
    char *configuration = strdup(getenv("XCA_PKCS11_CONF"));
    ANSWERS(CKR_ARGUMENTS_BAD, C_GetFunctionList(NULL));
    setenv("XCA_PKCS11_CONF", "/nonexistent/pkcs11.conf", 1);
    ANSWERS(CKR_GENERAL_ERROR, C_GetFunctionList(&p11));
    setenv("XCA_PKCS11_CONF", configuration, 1);
    free(configuration);
    CK_INTERFACE interfaces[2], *newest;
    CK_ULONG count = 0;
    OK(C_GetInterfaceList(NULL, &count));
    ANSWERS(CKR_BUFFER_TOO_SMALL, C_GetInterfaceList(interfaces, &(CK_ULONG){1}));
    OK(C_GetInterfaceList(interfaces, &count));
    OK(C_GetInterface((CK_BYTE *)"PKCS 11", NULL, &newest, 0));
    ANSWERS(CKR_ARGUMENTS_BAD, C_GetInterface(NULL, &(CK_VERSION){9, 9}, &newest, 0));
    p11_3 = newest->pFunctionList;
    OK(p11_3->v2.C_GetFunctionList(&p11));
}

static void look(void) {
    CK_INFO info;
    CK_SLOT_INFO slot_info;
    CK_SLOT_ID slots[8];
    CK_ULONG count = LENGTH(slots);
    OK(p11->C_GetInfo(&info));
    OK(p11->C_GetSlotList(CK_FALSE, slots, &count));
    for (CK_ULONG i = 0; i < count; i++) {
        CK_TOKEN_INFO token;
        OK(p11->C_GetSlotInfo(slots[i], &slot_info));
        OK(p11->C_GetTokenInfo(slots[i], &token));
        if (memcmp(token.label, "HiCOS", 5) == 0) {
            card = slots[i];
        } else if (memcmp(token.label, "plain", 5) == 0) {
            plain = slots[i];
        }
    }
    ANSWERS(CKR_SLOT_ID_INVALID, p11->C_GetTokenInfo(9999, &(CK_TOKEN_INFO){0}));
}

static void activate(void) {
    CK_SESSION_HANDLE session = open_session(card);
    ANSWERS(CKR_USER_PIN_NOT_INITIALIZED, login(session, CKU_USER, PIN));
    ANSWERS(CKR_USER_NOT_LOGGED_IN, init_pin(session, PIN));
    ANSWERS(CKR_PIN_LEN_RANGE, login(session, CKU_SO, "short"));
    ANSWERS(CKR_PIN_INVALID, login(session, CKU_SO, "with blank"));
    ANSWERS(CKR_PIN_INCORRECT, login(session, CKU_SO, "wrong-1"));
    ANSWERS(CKR_PIN_INCORRECT, login(session, CKU_SO, "wrong-1"));
    OK(login(session, CKU_SO, USER_CODE));
    ANSWERS(CKR_PIN_LEN_RANGE, init_pin(session, "12345"));
    OK(init_pin(session, PIN));
    OK(p11->C_Logout(session));
    OK(p11_3->C_LoginUser(session, CKU_USER, (CK_BYTE *)PIN, strlen(PIN), NULL, 0));
    OK(p11->C_CloseSession(session));
    ANSWERS(CKR_TOKEN_WRITE_PROTECTED,
            p11->C_InitToken(card, (CK_BYTE *)USER_CODE, strlen(USER_CODE), (CK_BYTE *)text));
}

static void change_secrets(void) {
    CK_SESSION_HANDLE session = open_session(card);
    ANSWERS(CKR_PIN_INCORRECT, set_pin(session, "wrong-1", NEW_PIN));
    OK(set_pin(session, PIN, NEW_PIN));
    ANSWERS(CKR_PIN_INCORRECT, login(session, CKU_USER, PIN));
    ANSWERS(CKR_PIN_INCORRECT, login(session, CKU_USER, "wrong-2"));
    ANSWERS(CKR_FUNCTION_REJECTED, login(session, CKU_USER, "wrong-3")); /* [guard] */
    setenv("XCA_LAST_TRY", "allow", 1);
    ANSWERS(CKR_PIN_LOCKED, login(session, CKU_USER, "wrong-3"));
    unsetenv("XCA_LAST_TRY");
    ANSWERS(CKR_PIN_LOCKED, login(session, CKU_USER, NEW_PIN));
    OK(login(session, CKU_SO, USER_CODE));
    OK(init_pin(session, PIN));
    ANSWERS(CKR_PIN_INCORRECT, set_pin(session, "wrong-1", NEW_CODE));
    OK(set_pin(session, USER_CODE, NEW_CODE));
    OK(p11->C_CloseAllSessions(card));
}

static CK_OBJECT_HANDLE find(CK_SESSION_HANDLE session, CK_OBJECT_CLASS class) {
    CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class}, {CKA_ID, "SIGN", 4}};
    CK_OBJECT_HANDLE object;
    CK_ULONG count;
    OK(p11->C_FindObjectsInit(session, template, LENGTH(template)));
    OK(p11->C_FindObjects(session, &object, 1, &count));
    OK(p11->C_FindObjectsFinal(session));
    return object;
}

static void guard_objects(void) {
    CK_SESSION_HANDLE session = open_session(card);
    CK_OBJECT_CLASS class = CKO_DATA;
    CK_BBOOL on_token = CK_TRUE, is_private = CK_FALSE;
    CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class},
                               {CKA_TOKEN, &on_token, sizeof on_token},
                               {CKA_PRIVATE, &is_private, sizeof is_private},
                               {CKA_VALUE, text, sizeof text}};
    CK_OBJECT_HANDLE object, certificate = find(session, CKO_CERTIFICATE);
    ANSWERS(CKR_USER_NOT_LOGGED_IN, p11->C_CreateObject(session, template, LENGTH(template), &object));
    ANSWERS(CKR_USER_NOT_LOGGED_IN, p11->C_DestroyObject(session, certificate));
    ANSWERS(CKR_USER_NOT_LOGGED_IN, p11->C_CopyObject(session, certificate, NULL, 0, &object));
    ANSWERS(CKR_USER_NOT_LOGGED_IN, p11->C_SetAttributeValue(session, certificate, template, 1));
    ANSWERS(CKR_USER_NOT_LOGGED_IN, p11->C_GenerateKey(session, &(CK_MECHANISM){CKM_AES_KEY_GEN, NULL, 0},
                                                       template, LENGTH(template), &object));
    ANSWERS(CKR_USER_NOT_LOGGED_IN,
            p11->C_GenerateKeyPair(session, &(CK_MECHANISM){CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0}, template, 1,
                                   template, LENGTH(template), &object, &object));
    ANSWERS(CKR_OBJECT_HANDLE_INVALID, p11->C_DestroyObject(session, 9999));
    OK(login(session, CKU_USER, PIN));
    OK(p11->C_CreateObject(session, template, LENGTH(template), &object));
    OK(p11->C_DestroyObject(session, object));
    OK(p11->C_CloseSession(session));
}

static CK_RV begin(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, size_t which, bool is_pss) {
    static const CK_MECHANISM_TYPE pss[] = {CKM_SHA1_RSA_PKCS_PSS, CKM_SHA224_RSA_PKCS_PSS,
                                            CKM_SHA256_RSA_PKCS_PSS, CKM_SHA384_RSA_PKCS_PSS,
                                            CKM_SHA512_RSA_PKCS_PSS};
    static const CK_MECHANISM_TYPE digests[] = {CKM_SHA_1, CKM_SHA224, CKM_SHA256, CKM_SHA384, CKM_SHA512};
    static const CK_ULONG masks[] = {CKG_MGF1_SHA1, CKG_MGF1_SHA224, CKG_MGF1_SHA256, CKG_MGF1_SHA384,
                                     CKG_MGF1_SHA512};
    CK_RSA_PKCS_PSS_PARAMS parameters = {digests[which], masks[which], 20};
    CK_MECHANISM mechanism = {is_pss ? pss[which] : pkcs1[which], is_pss ? &parameters : NULL,
                              is_pss ? sizeof parameters : 0};
    return p11->C_SignInit(session, &mechanism, key);
}

static void sign(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key, size_t which, bool is_pss) {
    CK_ULONG length;
    CK_BYTE signature[256];
    OK(begin(session, key, which, is_pss));
    OK(p11->C_Sign(session, text, sizeof text, NULL, &length));
    ANSWERS(CKR_BUFFER_TOO_SMALL, p11->C_Sign(session, text, sizeof text, signature, &(CK_ULONG){10}));
    OK(p11->C_Sign(session, text, sizeof text, signature, &length));
    OK(begin(session, key, which, is_pss));
    OK(p11->C_SignUpdate(session, text, 3));
    OK(p11->C_SignUpdate(session, text + 3, sizeof text - 3));
    OK(p11->C_SignFinal(session, signature, &length));
}

static void sign_in_every_way(void) {
    CK_SESSION_HANDLE session = open_session(card), other = open_session(card);
    OK(login(session, CKU_USER, PIN));
    CK_OBJECT_HANDLE key = find(session, CKO_PRIVATE_KEY);
    for (size_t which = 0; which < LENGTH(pkcs1); which++) {
        sign(session, key, which, false);
        sign(session, key, which, true);
    }
    CK_BYTE signature[256];
    OK(begin(session, key, 2, false));
    ANSWERS(CKR_OPERATION_ACTIVE, begin(session, key, 2, true));
    ANSWERS(CKR_ARGUMENTS_BAD, p11->C_Sign(session, NULL, 1, signature, &(CK_ULONG){256}));
    ANSWERS(CKR_OPERATION_NOT_INITIALIZED, p11->C_SignFinal(session, signature, &(CK_ULONG){256}));
    OK(begin(session, key, 2, true));
    OK(p11_3->C_SessionCancel(session, CKF_SIGN));
    OK(begin(session, key, 2, false));
    OK(begin(other, key, 2, true));
    OK(p11->C_CloseSession(other));
    OK(p11->C_CloseAllSessions(card));
}

static void look_at_the_plain_token(void) {
    CK_SESSION_HANDLE session = open_session(plain);
    ANSWERS(CKR_PIN_INCORRECT, login(session, CKU_USER, "wrong-1"));
    OK(login(session, CKU_USER, "plain-pin"));
    OK(p11->C_CloseSession(session));
}

static void in_a_child(void (*what)(void)) {
    pid_t child = fork();
    if (child == 0) {
        what();
        execl("/bin/true", "true", (char *)NULL); /* what the other threads held is not the child's to free */
        _exit(1);
    }
    int status;
    waitpid(child, &status, 0);
    ANSWERS(CKR_OK, (CK_RV)status);
}

static void go_on(void) {
    CK_SESSION_HANDLE session = open_session(card);
    OK(login(session, CKU_USER, PIN));
    sign(session, find(session, CKO_PRIVATE_KEY), 2, true);
}

static void end_at_once(void) {
}

/* With everybody at the card a mere look may be told to come again (CKR_DEVICE_ERROR after 0.25 s). */
static void look_with_others(CK_SLOT_ID slot) {
    CK_TOKEN_INFO info;
    CK_RV rv = p11->C_GetTokenInfo(slot, &info);
    OK(rv == CKR_DEVICE_ERROR ? CKR_OK : rv);
}

/* A login is the process's: one thread's makes the others', and a logout ends them all. Valgrind may let a
 * thread wait for longer than the module does (CKR_DEVICE_ERROR after 5 s). */
static CK_RV login_with_others(CK_SESSION_HANDLE session) {
    CK_RV rv = CKR_DEVICE_ERROR;
    for (int patience = 10; rv == CKR_DEVICE_ERROR && patience > 0; patience--) {
        rv = login(session, CKU_USER, PIN);
    }
    return rv == CKR_USER_ALREADY_LOGGED_IN ? CKR_OK : rv;
}

static void *sign_with_others(void *argument) {
    CK_SESSION_HANDLE session = open_session(card);
    OK(login_with_others(session));
    CK_OBJECT_HANDLE key = find(session, CKO_PRIVATE_KEY);
    for (size_t which = 0; which < LENGTH(pkcs1); which++) {
        look_with_others(which % 2 ? plain : card);
        sign(session, key, which, which % 2);
    }
    return argument;
}

static void *log_in_and_out_with_others(void *argument) {
    CK_SESSION_HANDLE session = open_session(card);
    for (int round = 0; round < ROUNDS; round++) {
        OK(login_with_others(session));
        look_with_others(card);
        OK(p11->C_Logout(session));
    }
    return argument;
}

static void in_threads(void *(*what)(void *)) {
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        ANSWERS(0, (CK_RV)pthread_create(&threads[i], NULL, what, NULL));
    }
    in_a_child(end_at_once);
    for (int i = 0; i < THREADS; i++) {
        ANSWERS(0, (CK_RV)pthread_join(threads[i], NULL));
    }
    OK(p11->C_CloseAllSessions(card));
}

int main(void) {
    CK_C_INITIALIZE_ARGS arguments = {.flags = CKF_OS_LOCKING_OK};
    load();
    OK(p11->C_Initialize(&arguments));
    ANSWERS(CKR_CRYPTOKI_ALREADY_INITIALIZED, p11->C_Initialize(&arguments));
    look();
    activate();
    change_secrets();
    guard_objects();
    sign_in_every_way();
    look_at_the_plain_token();
    in_a_child(go_on);
    in_threads(sign_with_others);
    in_threads(log_in_and_out_with_others);
    CK_SESSION_HANDLE session = open_session(card);
    OK(login(session, CKU_USER, PIN));
    OK(begin(session, find(session, CKO_PRIVATE_KEY), 2, false));
    OK(p11->C_Finalize(NULL)); /* in the middle of a signature */
    OK(p11->C_Initialize(&arguments));
    look();
    OK(p11->C_Finalize(NULL));
    ANSWERS(CKR_CRYPTOKI_NOT_INITIALIZED, p11->C_Finalize(NULL));
    return 0;
}
