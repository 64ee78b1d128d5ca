/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host that changes what it gave to a call while the call is under way, as another of its threads may: at
 * each function of the inner module that the call comes to. The module is loaded over minimal.c, the library
 * MINIMAL; the card is that of minimal.h, and nobody is logged in.
 *
 *   double_fetch MODULE templates | secrets | mechanism     prints a line for everything that goes wrong
 */
#include "../inner/minimal.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LENGTH(array)  (sizeof(array) / sizeof *(array))
#define SESSION_OBJECT 33 /* of minimal.h */
#define MOMENTS        12 /* more than any call has */

static CK_FUNCTION_LIST *list;
static struct minimal *control;
static CK_SESSION_HANDLE session;

static void must(bool holds, const char *what) {
    if (!holds) {
        printf("%s\n", what);
        exit(1);
    }
}
#define MUST(condition) must(condition, #condition)

/* What the host gives, anew for each call. */

static CK_BBOOL yes = CK_TRUE, value, value_inside;
static CK_ATTRIBUTE inside[1], given[3];
static CK_MECHANISM mechanism;

static void give(void) {
    value = value_inside = CK_FALSE;
    inside[0] = (CK_ATTRIBUTE){CKA_TOKEN, &value_inside, sizeof value_inside};
    given[0] = (CK_ATTRIBUTE){CKA_PRIVATE, &yes, sizeof yes};
    given[1] = (CK_ATTRIBUTE){CKA_TOKEN, &value, sizeof value};
    given[2] = (CK_ATTRIBUTE){CKA_UNWRAP_TEMPLATE, inside, sizeof inside};
    mechanism = (CK_MECHANISM){CKM_AES_KEY_GEN, NULL, 0};
}

/* How it changes. */

static void nothing(void) {
}

static void the_value(void) {
    value = CK_TRUE;
}

static void where_the_value_is(void) {
    given[1].pValue = &yes;
}

static void what_it_is_the_value_of(void) {
    given[0].type = CKA_TOKEN;
}

static void how_long_it_is(void) {
    given[1].ulValueLen = 0;
}

static void the_value_inside(void) {
    value_inside = CK_TRUE;
}

static void where_the_value_inside_is(void) {
    inside[0].pValue = &yes;
}

/* Into one with more templates in its parameter. */
static void the_mechanism(void) {
    mechanism.mechanism = CKM_SP800_108_COUNTER_KDF;
}

static const struct {
    const char *name;
    void (*make)(void);
} changes[] = {
    {"nothing", nothing},
    {"the value", the_value},
    {"where the value is", where_the_value_is},
    {"what it is the value of", what_it_is_the_value_of},
    {"how long it is", how_long_it_is},
    {"the value inside", the_value_inside},
    {"where the value inside is", where_the_value_inside_is},
    {"the mechanism", the_mechanism},
};

/* The calls. */

static CK_OBJECT_HANDLE made, made_too;
static CK_BYTE wrapped[24];

static CK_RV create(void) {
    return list->C_CreateObject(session, given, LENGTH(given), &made);
}

static CK_RV copy(void) {
    return list->C_CopyObject(session, SESSION_OBJECT, given, LENGTH(given), &made);
}

static CK_RV set(void) {
    return list->C_SetAttributeValue(session, SESSION_OBJECT, given, LENGTH(given));
}

static CK_RV generate(void) {
    return list->C_GenerateKey(session, &mechanism, given, LENGTH(given), &made);
}

static CK_RV generate_public(void) {
    return list->C_GenerateKeyPair(session, &mechanism, given, LENGTH(given), NULL, 0, &made, &made_too);
}

static CK_RV generate_private(void) {
    return list->C_GenerateKeyPair(session, &mechanism, NULL, 0, given, LENGTH(given), &made, &made_too);
}

static CK_RV unwrap(void) {
    return list->C_UnwrapKey(session, &mechanism, SESSION_OBJECT, wrapped, sizeof wrapped, given,
                             LENGTH(given), &made);
}

static CK_RV derive(void) {
    return list->C_DeriveKey(session, &mechanism, SESSION_OBJECT, given, LENGTH(given), &made);
}

static const struct {
    const char *name;
    CK_RV (*make)(void);
} calls[] = {
    {"C_CreateObject", create},
    {"C_CopyObject", copy},
    {"C_SetAttributeValue", set},
    {"C_GenerateKey", generate},
    {"C_GenerateKeyPair, public", generate_public},
    {"C_GenerateKeyPair, private", generate_private},
    {"C_UnwrapKey", unwrap},
    {"C_DeriveKey", derive},
};

static void (*change)(void);
static unsigned moment, passed;

static void change_at_moment(const char *function) {
    (void)function;
    if (++passed == moment) {
        change();
    }
}

static void templates(void) {
    for (size_t i = 0; i < LENGTH(calls); i++) {
        for (size_t j = 0; j < LENGTH(changes); j++) {
            change = changes[j].make;
            for (moment = 1; moment <= MOMENTS; moment++) {
                give();
                passed = 0;
                control->trespassed = false;
                control->enter = change_at_moment;
                CK_RV rv = calls[i].make();
                control->enter = NULL;
                if (control->trespassed || passed == 0 || passed >= MOMENTS ||
                    (change == nothing && rv != CKR_OK)) {
                    printf("%s: %s changes at function %u of %u: 0x%lx\n", calls[i].name, changes[j].name,
                           moment, passed, rv);
                }
            }
        }
    }
}

/* A text that becomes another when the inner module is asked what it is for. */
static CK_UTF8CHAR text[32];
static const char *becomes, *asked;

static void change_when_asked(const char *function) {
    if (strcmp(function, asked) == 0) {
        memcpy(text, becomes, strlen(becomes));
    }
}

static CK_ULONG give_text(const char *first, const char *function, const char *then) {
    memset(text, ' ', sizeof text);
    memcpy(text, first, strlen(first));
    asked = function;
    becomes = then;
    control->enter = change_when_asked;
    return strlen(first);
}

static CK_RV log_in(CK_USER_TYPE user, const char *secret) {
    control->enter = NULL;
    return list->C_Login(session, user, (CK_UTF8CHAR *)secret, strlen(secret));
}

static void secrets(void) {
    CK_ULONG length = give_text("wrong--1", "C_Login", MINIMAL_PIN);
    MUST(list->C_Login(session, CKU_USER, text, length) == CKR_PIN_INCORRECT);
    MUST(log_in(CKU_USER, "wrong--1") == CKR_PIN_INCORRECT && control->wrong[0] == 1); /* it was remembered */

    length = give_text("newpin-1", "C_SetPIN", "new pin ");
    MUST(list->C_SetPIN(session, (CK_UTF8CHAR *)MINIMAL_PIN, strlen(MINIMAL_PIN), text, length) == CKR_OK);
    MUST(log_in(CKU_USER, "newpin-1") == CKR_OK && list->C_Logout(session) == CKR_OK);

    length = give_text("wrong--2", "C_SetPIN", "newpin-1");
    MUST(list->C_SetPIN(session, text, length, (CK_UTF8CHAR *)"newpin-2", 8) == CKR_PIN_INCORRECT);

    length = give_text("wrong~~~1", "C_Login", MINIMAL_USER_CODE);
    MUST(list->C_Login(session, CKU_SO, text, length) == CKR_PIN_INCORRECT);
    MUST(log_in(CKU_SO, MINIMAL_USER_CODE) == CKR_OK);
    length = give_text("newpin-3", "C_InitPIN", "new pin ");
    MUST(list->C_InitPIN(session, text, length) == CKR_OK && list->C_Logout(session) == CKR_OK);
    MUST(log_in(CKU_USER, "newpin-3") == CKR_OK && list->C_Logout(session) == CKR_OK);

    give_text("plain", "C_InitToken", "xca-card:" MINIMAL_SECOND);
    MUST(list->C_InitToken(MINIMAL_PLAIN_SLOT, (CK_UTF8CHAR *)MINIMAL_USER_CODE, strlen(MINIMAL_USER_CODE),
                           text) == CKR_OK);
    MUST(!control->trespassed);
}

static void change_mechanism(const char *function) {
    if (strcmp(function, "C_SignInit") == 0) {
        mechanism.mechanism = CKM_SHA256_RSA_PKCS;
    }
}

/* With [quirks] hash = module: the inner module is never asked to sign with a hash. */
static void signing(void) {
    mechanism = (CK_MECHANISM){CKM_RSA_PKCS, NULL, 0};
    control->enter = change_mechanism;
    MUST(list->C_SignInit(session, &mechanism, SESSION_OBJECT) == CKR_OK);
}

int main(int argc, char **argv) {
    void *library = argc == 3 ? dlopen(argv[1], RTLD_NOW) : NULL;
    void *minimal_library = dlopen(getenv("MINIMAL"), RTLD_NOW);
    CK_C_GetFunctionList get_list;
    minimal_function *get_control;
    MUST(library != NULL && minimal_library != NULL);
    *(void **)&get_list = dlsym(library, "C_GetFunctionList");
    *(void **)&get_control = dlsym(minimal_library, "minimal");
    control = get_control();
    MUST(get_list(&list) == CKR_OK && list->C_Initialize(NULL) == CKR_OK);
    MUST(list->C_OpenSession(MINIMAL_CARD_SLOT, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session) ==
         CKR_OK);
    if (strcmp(argv[2], "templates") == 0) {
        templates();
    } else if (strcmp(argv[2], "secrets") == 0) {
        secrets();
    } else {
        signing();
    }
    return 0;
}
