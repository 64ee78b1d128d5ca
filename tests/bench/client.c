/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times the calls of one PKCS#11 module on one token, in a process of its own. The loop is in C: Python's own
 * cost would hide the difference that is looked for.
 *
 *   client MODULE CARD PLAIN        prints "<row> <nanoseconds a call>", one row a line
 *   client MODULE CARD PLAIN COUNT  logs in and out COUNT times; prints the time of the cold start, and each
 *                                   login's
 *   client MODULE CARD PLAIN look   looks at the card until SIGTERM; prints the time of the longest call
 *
 * CARD and PLAIN are labels of tokens; CARD's PIN is a line on standard input.
 */
#include "cryptoki.h"

#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static CK_FUNCTION_LIST *module;
static CK_SLOT_ID card, plain;
static CK_SESSION_HANDLE session;
static CK_OBJECT_HANDLE key;
static CK_BYTE pin[64];
static CK_ULONG pin_length;

static void must(const char *what, CK_RV answer) {
    if (answer != CKR_OK) {
        fprintf(stderr, "%s: 0x%lx\n", what, answer);
        exit(1);
    }
}
#define MUST(call) must(#call, module->call)

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static CK_SLOT_ID find_slot(const char *label) {
    CK_SLOT_ID slots[64];
    CK_ULONG count = sizeof slots / sizeof slots[0];
    MUST(C_GetSlotList(CK_TRUE, slots, &count));
    for (CK_ULONG i = 0; i < count; i++) {
        CK_TOKEN_INFO info;
        if (module->C_GetTokenInfo(slots[i], &info) == CKR_OK &&
            memcmp(info.label, label, strlen(label)) == 0)
            return slots[i];
    }
    fprintf(stderr, "no token %s\n", label);
    exit(1);
}

static void cold_start(const char *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    CK_C_GetFunctionList get_list = NULL;
    CK_ULONG count = 0;
    if (library)
        *(void **)&get_list = dlsym(library, "C_GetFunctionList");
    if (!get_list) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    must("C_GetFunctionList", get_list(&module));
    MUST(C_Initialize(NULL));
    MUST(C_GetSlotList(CK_TRUE, NULL, &count));
}

static void get_session_info(void) {
    CK_SESSION_INFO info;
    MUST(C_GetSessionInfo(session, &info));
}

static void generate_random(void) {
    CK_BYTE random[16];
    MUST(C_GenerateRandom(session, random, sizeof random));
}

static void digest(void) {
    static CK_BYTE data[1024];
    CK_MECHANISM sha256 = {CKM_SHA256, NULL, 0};
    CK_BYTE result[32];
    CK_ULONG length = sizeof result;
    MUST(C_DigestInit(session, &sha256));
    MUST(C_Digest(session, data, sizeof data, result, &length));
}

static CK_OBJECT_HANDLE find(CK_OBJECT_CLASS class) {
    CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class}, {CKA_ID, "SIGN", 4}};
    CK_OBJECT_HANDLE object = 0;
    CK_ULONG count = 0;
    MUST(C_FindObjectsInit(session, template, 2));
    MUST(C_FindObjects(session, &object, 1, &count));
    MUST(C_FindObjectsFinal(session));
    return object;
}

static void find_objects(void) {
    find(CKO_CERTIFICATE);
}

static void card_token_info(void) {
    CK_TOKEN_INFO info;
    MUST(C_GetTokenInfo(card, &info));
}

static void plain_token_info(void) {
    CK_TOKEN_INFO info;
    MUST(C_GetTokenInfo(plain, &info));
}

static void open_close(void) {
    CK_SESSION_HANDLE another;
    MUST(C_OpenSession(card, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &another));
    MUST(C_CloseSession(another));
}

static void login_logout(void) {
    MUST(C_Login(session, CKU_USER, pin, pin_length));
    MUST(C_Logout(session));
}

static void time_logins(int count) {
    for (int i = 0; i < count; i++) {
        long long start = now();
        MUST(C_Login(session, CKU_USER, pin, pin_length));
        printf("C_Login %lld\n", now() - start);
        MUST(C_Logout(session));
    }
}

static volatile sig_atomic_t ended;

static void end(int signal) {
    (void)signal;
    ended = 1;
}

/* Says first that it has begun. */
static void look(void) {
    long long longest = 0;
    signal(SIGTERM, end);
    puts("begun");
    fflush(stdout);
    while (!ended) {
        CK_TOKEN_INFO info;
        long long start = now();
        module->C_GetTokenInfo(card, &info); /* may give up: who decides comes first */
        longest = now() - start > longest ? now() - start : longest;
    }
    printf("longest %lld\n", longest);
}

static void sign(void) {
    static CK_BYTE data[32];
    CK_MECHANISM rsa = {CKM_SHA256_RSA_PKCS, NULL, 0};
    CK_BYTE result[256];
    CK_ULONG length = sizeof result;
    MUST(C_SignInit(session, &rsa, key));
    MUST(C_Sign(session, data, sizeof data, result, &length));
}

static void measure(const char *row, void (*call)(void), int count) {
    call(); /* not the first one: it fills caches */
    long long start = now();
    for (int i = 0; i < count; i++)
        call();
    printf("%s %.1f\n", row, (double)(now() - start) / count);
}

int main(int argc, char **argv) {
    if (argc < 4 || !fgets((char *)pin, sizeof pin, stdin))
        return 2;
    pin_length = strcspn((char *)pin, "\n");

    long long start = now();
    cold_start(argv[1]);
    long long started = now() - start;
    if (argc == 5 && strcmp(argv[4], "look") != 0)
        printf("cold-start %lld\n", started);
    card = find_slot(argv[2]);
    MUST(C_OpenSession(card, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session));
    if (argc == 5) {
        if (strcmp(argv[4], "look") == 0)
            look();
        else
            time_logins(atoi(argv[4]));
        return 0;
    }
    plain = find_slot(argv[3]);

    measure("C_GetSessionInfo", get_session_info, 100000);
    measure("C_GenerateRandom", generate_random, 10000);
    measure("C_Digest", digest, 5000);
    measure("C_FindObjects", find_objects, 300);
    measure("C_GetTokenInfo-card", card_token_info, 500);
    measure("C_GetTokenInfo-other", plain_token_info, 500);
    measure("C_OpenSession+Close", open_close, 3000);
    measure("C_Login+Logout", login_logout, 10);
    MUST(C_Login(session, CKU_USER, pin, pin_length));
    key = find(CKO_PRIVATE_KEY);
    measure("C_Sign", sign, 15);
    return 0;
}
