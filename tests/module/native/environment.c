/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host that watches its environment while the inner module initialises. The module is loaded over
 * minimal.c, the library MINIMAL, with [module] environment = MINIMAL_SETTING=wanted. Whatever a thread may
 * be reading stays where it is: each entry, and the list of them once it has grown.
 *
 *   environment MODULE
 */
#include "../inner/minimal.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME    "MINIMAL_SETTING"
#define ENTRIES 256

static CK_FUNCTION_LIST *list;
static char **place;                    /* of the environment, when `remember` was called */
static const char *remembered[ENTRIES]; /* its entries */
static int calls;

static void must(bool holds, const char *what, int line) {
    if (!holds) {
        fprintf(stderr, "line %d: %s\n", line, what);
        exit(1);
    }
}
#define MUST(condition) must(condition, #condition, __LINE__)

static bool is(const char *value) {
    const char *now = getenv(NAME);
    return value == NULL ? now == NULL : now != NULL && strcmp(now, value) == 0;
}

static void remember(void) {
    place = environ;
    for (size_t i = 0; i == 0 || remembered[i - 1] != NULL; i++) {
        MUST(i < ENTRIES);
        remembered[i] = environ[i];
    }
}

/* The list is where it was, and in it every entry but, at most, one. */
static void stayed(size_t others) {
    MUST(environ == place);
    for (size_t i = 0; i == 0 || remembered[i - 1] != NULL; i++) {
        others -= environ[i] != remembered[i];
    }
    MUST(others == 0);
}

/* As another thread does that writes to the environment meanwhile. */
static void write_more(void) {
    calls++;
    MUST(is("wanted"));
    MUST(setenv("LATER", "1", 1) == 0);
    remember();
}

static void stays(void) {
    calls++;
    MUST(is("wanted"));
    stayed(0);
}

static void takes_the_place_of_one(void) {
    calls++;
    MUST(is("wanted"));
    stayed(1);
}

static void (*initializing)(void);

static void enter(const char *function) {
    if (strcmp(function, "C_Initialize") == 0) {
        initializing();
    }
}

static void initialize(void) {
    MUST(list->C_Initialize(NULL) == CKR_OK);
    MUST(list->C_Finalize(NULL) == CKR_OK);
}

int main(int argc, char **argv) {
    void *library = argc == 2 ? dlopen(argv[1], RTLD_NOW) : NULL;
    void *minimal_library = dlopen(getenv("MINIMAL"), RTLD_NOW);
    CK_C_GetFunctionList get_list;
    minimal_function *control;
    MUST(library != NULL && minimal_library != NULL);
    *(void **)&get_list = dlsym(library, "C_GetFunctionList");
    *(void **)&control = dlsym(minimal_library, "minimal");
    MUST(get_list(&list) == CKR_OK);
    control()->enter = enter;

    initializing = write_more;
    initialize();
    stayed(0); /* what came later was not shifted */
    MUST(is(NULL));

    initializing = stays;
    initialize();
    stayed(0);
    MUST(is(NULL));

    MUST(setenv(NAME, "theirs", 1) == 0);
    remember();
    initialize();
    stayed(0);
    MUST(is("theirs"));

    MUST(setenv(NAME, "wanted", 1) == 0);
    remember();
    initialize();
    stayed(0);
    MUST(is("wanted"));

    MUST(clearenv() == 0 && setenv(NAME, "theirs", 1) == 0);
    remember();
    initializing = takes_the_place_of_one;
    initialize();
    stayed(0);
    MUST(is("theirs"));
    MUST(calls == 5);
    return 0;
}
