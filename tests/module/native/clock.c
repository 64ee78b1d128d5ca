/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host that turns the clocks, and holds still what stat(2) says of the store. The module is loaded over
 * minimal.c, the library MINIMAL, as XCA_PKCS11_CONF says; its store is XCA_CARD_STORE.
 *
 *   clock MODULE
 */
#include "../inner/minimal.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static CK_FUNCTION_LIST *list;
static const struct minimal *control;
static CK_SESSION_HANDLE session;

static time_t later; /* seconds that the clock of the remembered values is ahead */

/* The store whose facts are held still, with the time that it is then. */
static const char *held;
static struct stat facts_held;
static struct timespec time_held;

/* These two are in place of the C library's. */

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = (int)syscall(SYS_clock_gettime, clock, time);
    if (held != NULL && clock == CLOCK_REALTIME) {
        *time = time_held;
    } else if (clock == CLOCK_BOOTTIME) {
        time->tv_sec += later;
    }
    return result;
}

int stat(const char *path, struct stat *facts) {
    if (held != NULL && strcmp(path, held) == 0) {
        *facts = facts_held;
        return 0;
    }
    return fstatat(AT_FDCWD, path, facts, 0);
}

static void must(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "%s\n", what);
        exit(1);
    }
}
#define MUST(condition) must(condition, #condition)

static void log_in_wrongly(const char *value) {
    MUST(list->C_Login(session, CKU_USER, (CK_UTF8CHAR *)value, strlen(value)) == CKR_PIN_INCORRECT);
}

static CK_FLAGS shown(void) {
    CK_TOKEN_INFO info;
    MUST(list->C_GetTokenInfo(MINIMAL_CARD_SLOT, &info) == CKR_OK);
    return info.flags & (CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY);
}

/* From now on it is that many milliseconds after the store's last change. */
static void hold(const char *store, long milliseconds) {
    held = NULL;
    MUST(stat(store, &facts_held) == 0);
    time_held = facts_held.st_mtim;
    time_held.tv_nsec += milliseconds * 1000000;
    time_held.tv_sec += time_held.tv_nsec / 1000000000;
    time_held.tv_nsec %= 1000000000;
    held = store;
}

static void a_wrong_value_is_remembered_for_five_minutes(void) {
    log_in_wrongly("wrong-1");
    MUST(control->wrong[0] == 1);
    later = 299;
    log_in_wrongly("wrong-1");
    MUST(control->wrong[0] == 1);
    later = 301;
    log_in_wrongly("wrong-1");
    MUST(control->wrong[0] == 2);
    later = 0;
}

static void log_in(void) {
    MUST(list->C_Login(session, CKU_USER, (CK_UTF8CHAR *)MINIMAL_PIN, strlen(MINIMAL_PIN)) == CKR_OK);
    MUST(list->C_Logout(session) == CKR_OK);
}

/* A second change may leave the file's times as the first one left them, for as long as a clock's step. */
static void a_row_just_written_is_read_again(const char *store) {
    log_in();
    hold(store, 40);
    MUST(shown() == 0);
    log_in_wrongly("wrong-2");
    MUST(shown() == CKF_USER_PIN_COUNT_LOW);
    hold(store, 60);
    MUST(shown() == CKF_USER_PIN_COUNT_LOW);
    log_in_wrongly("wrong-3");
    MUST(shown() == CKF_USER_PIN_COUNT_LOW); /* held still: otherwise this proves nothing */
    held = NULL;
    MUST(shown() == (CKF_USER_PIN_COUNT_LOW | CKF_USER_PIN_FINAL_TRY));
    log_in();
}

int main(int count, char **arguments) {
    must(count == 2, "usage: clock MODULE");
    void *module = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    must(module != NULL, "the module cannot be loaded");
    CK_C_GetFunctionList get;
    *(void **)&get = dlsym(module, "C_GetFunctionList");
    MUST(get(&list) == CKR_OK);
    MUST(list->C_Initialize(NULL) == CKR_OK);
    void *inner = dlopen(getenv("MINIMAL"), RTLD_NOW | RTLD_NOLOAD);
    must(inner != NULL, "the inner module is not loaded");
    minimal_function *minimal;
    *(void **)&minimal = dlsym(inner, "minimal");
    control = minimal();
    MUST(list->C_OpenSession(MINIMAL_CARD_SLOT, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session) ==
         CKR_OK);
    a_wrong_value_is_remembered_for_five_minutes();
    a_row_just_written_is_read_again(getenv("XCA_CARD_STORE"));
    MUST(list->C_Finalize(NULL) == CKR_OK);
    return 0;
}
