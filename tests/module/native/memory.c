/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host that looks into its own memory. The module is loaded over minimal.c, as XCA_PKCS11_CONF says.
 *
 *   memory MODULE secrets    uses PINs and user codes at every door; a line for each mapping, other than the
 *                            caller's own buffers, that then holds one
 *   memory MODULE growth N   logs in N times; prints by how many bytes heap and resident memory grew
 *
 * It holds a secret in the buffer alone that it gives to the module: its constants are complements.
 */
#include "../inner/minimal.h"

#include <crypt.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHUNK   (64 * 1024)
#define NEEDLE  5 /* bytes of a secret that no other memory holds by accident */
#define STACK   (1024 * 1024)
#define WARM_UP 2000

static CK_FUNCTION_LIST *list;

/* The caller's own buffers, and room to read memory into; each in a mapping that no other is joined to. */
static unsigned char *own, *chunk;

static void must(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "%s\n", what);
        exit(1);
    }
}

static void answers(CK_RV expected, CK_RV rv, const char *call) {
    if (rv != expected) {
        fprintf(stderr, "%s answers 0x%lx, not 0x%lx\n", call, rv, expected);
        exit(1);
    }
}
#define ANSWERS(expected, call) answers(expected, call, #call)

/* A secret as its complement. */
struct secret {
    const char *name;
    unsigned char complement[16];
    CK_ULONG length;
};
#define C(c) (unsigned char)~(c)

static const struct secret pin = {
    "the PIN", {C('P'), C('i'), C('n'), C('+'), C('1'), C('3'), C('5'), C('7')}, 8};
static const struct secret user_code = {
    "the user code", {C('C'), C('o'), C('d'), C('e'), C('~'), C('8'), C('6'), C('4'), C('2')}, 9};
static const struct secret wrong_pin = {
    "a wrong PIN", {C('z'), C('Q'), C('9'), C('!'), C('v'), C('K'), C('3'), C('_')}, 8};
static const struct secret wrong_code = {
    "a wrong user code", {C('h'), C('W'), C('4'), C('?'), C('b'), C('L'), C('8'), C('#'), C('d')}, 9};
static const struct secret new_pin = {
    "a new PIN", {C('m'), C('X'), C('2'), C('%'), C('r'), C('J'), C('7'), C('&')}, 8};
static const struct secret reset_pin = {
    "a reset PIN", {C('u'), C('G'), C('5'), C('@'), C('y'), C('B'), C('1'), C('=')}, 8};
static const struct secret new_code = {
    "a new user code", {C('k'), C('T'), C('6'), C('*'), C('n'), C('F'), C('0'), C('$'), C('e')}, 9};

/* Writes a secret to one of the caller's own buffers, byte by byte: not through a register that holds it
 * whole. */
static CK_BYTE *give(int place, const struct secret *secret) {
    volatile unsigned char *buffer = own + place * 64;
    for (CK_ULONG i = 0; i < secret->length; i++) {
        buffer[i] = (unsigned char)~secret->complement[i];
    }
    return (CK_BYTE *)buffer;
}

static bool stands_at(const unsigned char *memory, const unsigned char *complement) {
    for (int i = 0; i < NEEDLE; i++) {
        if ((memory[i] ^ complement[i]) != 0xff) {
            return false;
        }
    }
    return true;
}

/* Counts the places between two addresses that hold the first or the last bytes of the secret. */
static int count(int memory, uintptr_t from, uintptr_t to, const struct secret *secret) {
    const unsigned char *first = secret->complement, *last = secret->complement + secret->length - NEEDLE;
    int found = 0;
    for (uintptr_t at = from; at < to; at += CHUNK - NEEDLE) {
        size_t wanted = to - at < CHUNK ? to - at : CHUNK;
        ssize_t length = pread(memory, chunk, wanted, (off_t)at);
        for (ssize_t i = 0; i + NEEDLE <= length; i++) {
            found += stands_at(chunk + i, first) || stands_at(chunk + i, last);
        }
    }
    return found;
}

/* Prints the mappings that hold the secret, other than the caller's own. */
static void search(const struct secret *secret) {
    static char line[512], where[256];
    FILE *maps = fopen("/proc/self/maps", "re");
    int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    must(maps != NULL && memory >= 0, "the process cannot look into itself");
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long from, to;
        char permissions[5];
        *where = '\0';
        must(sscanf(line, "%lx-%lx %4s %*s %*s %*s %255s", &from, &to, permissions, where) >= 3, line);
        if (permissions[1] == 'w' && from != (uintptr_t)own && from != (uintptr_t)chunk &&
            count(memory, from, to, secret) > 0) {
            printf("%s: %s\n", secret->name, *where != '\0' ? where : "anonymous");
        }
    }
    must(count(memory, (uintptr_t)own, (uintptr_t)own + 4096, secret) > 0,
         "the search does not find the caller's own buffer");
    fclose(maps);
    close(memory);
    fflush(stdout);
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, const struct secret *secret) {
    return list->C_Login(session, user, give(0, secret), secret->length);
}

enum door { LOGIN, SO_LOGIN, SET_PIN, INIT_PIN };

struct call {
    CK_SESSION_HANDLE session;
    enum door door;
    const struct secret *first, *second;
    CK_RV rv;
};

static void *carry_out(void *argument) {
    struct call *call = argument;
    switch (call->door) {
    case LOGIN:
    case SO_LOGIN:
        call->rv = login(call->session, call->door == LOGIN ? CKU_USER : CKU_SO, call->first);
        break;
    case SET_PIN:
        call->rv = list->C_SetPIN(call->session, give(0, call->first), call->first->length,
                                  give(1, call->second), call->second->length);
        break;
    case INIT_PIN:
        call->rv = list->C_InitPIN(call->session, give(0, call->first), call->first->length);
        break;
    }
    return NULL;
}

static unsigned char *stack; /* of the thread that calls */
static const struct secret *hashed;
static int hashes;

/* In place of the C library's. When the module gives back what it hashed a value with, that value has gone
 * from there and from the frames of its functions, which are still live: later calls would write over them.
 * One copy is left, the one that is tried; `search` looks for that after the call. */
void free(void *memory) {
    extern void __libc_free(void *);
    const unsigned char *frames = __builtin_frame_address(0);
    if (hashed != NULL && malloc_usable_size(memory) / sizeof(struct crypt_data) == 1 && frames > stack &&
        frames < stack + STACK) {
        const unsigned char *const places[] = {frames, memory};
        const size_t sizes[] = {(size_t)(stack + STACK - frames), sizeof(struct crypt_data)};
        for (int place = 0; place < 2; place++) {
            int found = 0;
            for (size_t i = 0; i + NEEDLE <= sizes[place]; i++) {
                found += stands_at(places[place] + i, hashed->complement);
            }
            if (found != (place == 0)) {
                printf("%s: %d times %s\n", hashed->name, found,
                       place == 0 ? "in live frames" : "where it was hashed");
            }
        }
        hashes++;
    }
    __libc_free(memory);
}

/* Calls from a thread with a stack of its own, which the search does not tread on; then searches. */
static void use(CK_SESSION_HANDLE session, CK_RV expected, enum door door, const struct secret *first,
                const struct secret *second) {
    if (stack == NULL) {
        stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        must(stack != MAP_FAILED, "no memory");
    }
    struct call call = {session, door, first, second, CKR_OK};
    pthread_t thread;
    pthread_attr_t attributes;
    hashed = first;
    must(pthread_attr_init(&attributes) == 0 && pthread_attr_setstack(&attributes, stack, STACK) == 0 &&
             pthread_create(&thread, &attributes, carry_out, &call) == 0 && pthread_join(thread, NULL) == 0,
         "no thread");
    hashed = NULL;
    pthread_attr_destroy(&attributes);
    answers(expected, call.rv, first->name);
    search(first);
    if (second != NULL) {
        search(second);
    }
}

static void secrets(CK_SESSION_HANDLE session) {
    use(session, CKR_PIN_INCORRECT, LOGIN, &wrong_pin, NULL);
    use(session, CKR_PIN_INCORRECT, LOGIN, &wrong_pin, NULL); /* remembered */
    use(session, CKR_OK, LOGIN, &pin, NULL);
    use(session, CKR_OK, SET_PIN, &pin, &new_pin);
    use(session, CKR_PIN_INCORRECT, SET_PIN, &wrong_pin, &pin);
    use(session, CKR_PIN_INCORRECT, SET_PIN, &wrong_pin, &pin);
    ANSWERS(CKR_OK, list->C_Logout(session));
    use(session, CKR_PIN_INCORRECT, SO_LOGIN, &wrong_code, NULL);
    use(session, CKR_PIN_INCORRECT, SO_LOGIN, &wrong_code, NULL);
    use(session, CKR_OK, SO_LOGIN, &user_code, NULL);
    use(session, CKR_OK, INIT_PIN, &reset_pin, NULL);
    use(session, CKR_OK, SET_PIN, &user_code, &new_code);
    must(hashes > 0, "no value was hashed");
}

static long resident(void) {
    long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "re");
    must(statm != NULL && fscanf(statm, "%*s %ld", &pages) == 1, "no /proc/self/statm");
    fclose(statm);
    return pages * sysconf(_SC_PAGESIZE);
}

static void log_in_and_look(CK_SESSION_HANDLE session, long turn) {
    CK_TOKEN_INFO info;
    if (turn % 50 == 0) {
        ANSWERS(CKR_PIN_INCORRECT, login(session, CKU_USER, &wrong_pin));
    }
    ANSWERS(CKR_OK, login(session, CKU_USER, &pin));
    ANSWERS(CKR_OK, list->C_GetTokenInfo(MINIMAL_CARD_SLOT, &info));
    ANSWERS(CKR_OK, list->C_Logout(session));
}

static void growth(CK_SESSION_HANDLE session, long logins) {
    for (long turn = 0; turn < WARM_UP; turn++) {
        log_in_and_look(session, turn);
    }
    long heap = (long)mallinfo2().uordblks, memory = resident();
    for (long turn = 0; turn < logins; turn++) {
        log_in_and_look(session, turn);
    }
    printf("heap %ld resident %ld\n", (long)mallinfo2().uordblks - heap, resident() - memory);
}

int main(int count, char **arguments) {
    must(count >= 3, "usage: memory MODULE secrets|growth [LOGINS]");
    own = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    chunk = mmap(NULL, CHUNK, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(own != MAP_FAILED && chunk != MAP_FAILED, "no memory");
    void *module = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    must(module != NULL, "the module cannot be loaded");
    CK_C_GetFunctionList get;
    *(void **)&get = dlsym(module, "C_GetFunctionList");
    CK_SESSION_HANDLE session;
    ANSWERS(CKR_OK, get(&list));
    ANSWERS(CKR_OK, list->C_Initialize(NULL));
    ANSWERS(CKR_OK, list->C_OpenSession(MINIMAL_CARD_SLOT, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL,
                                        &session));
    if (strcmp(arguments[2], "secrets") == 0) {
        secrets(session);
    } else {
        must(count == 4, "how many logins?");
        growth(session, atol(arguments[3]));
    }
    ANSWERS(CKR_OK, list->C_Finalize(NULL));
    return 0;
}
