/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host that turns the clock of the remembered values. The module is loaded over minimal.c, the library
 * MINIMAL, as XCA_PKCS11_CONF says.
 *
 *   clock MODULE
 */
#include "../inner/minimal.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static CK_FUNCTION_LIST *list;
static const struct minimal *control;
static CK_SESSION_HANDLE session;

static time_t later; /* seconds that the clock of the remembered values is ahead */

/* In place of the C library's. */
int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = (int)syscall(SYS_clock_gettime, clock, time);
    if (clock == CLOCK_BOOTTIME) {
        time->tv_sec += later;
    }
    return result;
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
    MUST(list->C_Finalize(NULL) == CKR_OK);
    return 0;
}
