/* SPDX-License-Identifier: Apache-2.0 */
#include "card.h"

#include "remember.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

CK_FUNCTION_LIST_3_0 *list;
struct minimal *inner_control;
const char *store_path;

enum { STORE, LOCK, JOURNAL, CONFIGURATION, FILES };
static char paths[FILES][PATH_MAX];
static struct {
    unsigned char *bytes;
    sqlite3_int64 size;
} stores[2];                             /* files of a sound store, checked and unchecked */
static CK_C_GetFunctionList renew_inner; /* puts the inner module's first secrets back */

static struct {
    const uint8_t *data;
    size_t size;
} input;

void must(bool holds) {
    if (!holds) {
        abort();
    }
}

static void write_file(const char *path, const void *bytes, size_t size) {
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    must(file >= 0 && write(file, bytes, size) == (ssize_t)size && close(file) == 0);
}

static void make_store(bool unchecked) {
    static char schema[64 * 1024];
    FILE *file = fopen(SCHEMA_SQL, "re");
    must(file != NULL);
    schema[fread(schema, 1, sizeof schema - 1, file)] = '\0';
    fclose(file);
    for (char *word = schema; unchecked && (word = strstr(word, " STRICT")) != NULL;) {
        memset(word, ' ', strlen(" STRICT"));
    }
    sqlite3 *store;
    must(sqlite3_open(":memory:", &store) == SQLITE_OK);
    must(sqlite3_exec(store, schema, NULL, NULL, NULL) == SQLITE_OK);
    must(sqlite3_exec(store,
                      "INSERT INTO card VALUES ('" MINIMAL_CARD "', 'reader', 'model', '2026-01-01',"
                      " '2026-04-01', 1767225600, 3, 3, 0, 0)",
                      NULL, NULL, NULL) == SQLITE_OK);
    stores[unchecked].bytes = sqlite3_serialize(store, "main", &stores[unchecked].size, 0);
    must(stores[unchecked].bytes != NULL);
    sqlite3_close(store);
}

void card_start(void) {
    const char *parent = getenv("TMPDIR");
    char folder[PATH_MAX - sizeof "/cards.db-journal"];
    snprintf(folder, sizeof folder, "%s/xca-fuzz-XXXXXX", parent != NULL ? parent : "/tmp");
    must(mkdtemp(folder) != NULL);
    static const char *const names[FILES] = {"cards.db", "cards.db.lock", "cards.db-journal", "pkcs11.conf"};
    for (int i = 0; i < FILES; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/%s", folder, names[i]);
    }
    store_path = paths[STORE];
    make_store(false);
    make_store(true);
    write_file(paths[LOCK], "", 0);
    char text[PATH_MAX];
    int length = snprintf(text, sizeof text,
                          "[module]\npath=%s\n[store]\npath=%s\n[quirks]\nhash=module\nstrings=trim\n",
                          MINIMAL, store_path);
    write_file(paths[CONFIGURATION], text, (size_t)length);
    setenv("XCA_PKCS11_CONF", paths[CONFIGURATION], 1);
    CK_INTERFACE *interface;
    must(C_GetInterface(NULL, NULL, &interface, 0) == CKR_OK);
    list = interface->pFunctionList;
    must(list->v2.version.major == 3);
    void *library = dlopen(MINIMAL, RTLD_NOW | RTLD_NOLOAD);
    minimal_function *control;
    must(library != NULL);
    *(void **)&control = dlsym(library, "minimal");
    *(void **)&renew_inner = dlsym(library, "C_GetFunctionList");
    inner_control = control();
}

void card_renew(bool unchecked) {
    CK_FUNCTION_LIST *ignored;
    *inner_control = (struct minimal){0};
    list->v2.C_Finalize(NULL);
    must(renew_inner(&ignored) == CKR_OK);
    remember_forget(MINIMAL_CARD, SECRET_PIN);
    remember_forget(MINIMAL_CARD, SECRET_USER_CODE);
    unlink(paths[JOURNAL]);
    write_file(store_path, stores[unchecked].bytes, (size_t)stores[unchecked].size);
}

void input_begin(const uint8_t *data, size_t size) {
    input.data = data;
    input.size = size;
}

uint8_t input_byte(void) {
    uint8_t byte = 0;
    input_copy(&byte, 1);
    return byte;
}

size_t input_take(size_t most, const uint8_t **data) {
    size_t size = most < input.size ? most : input.size;
    *data = input.data;
    input.data += size;
    input.size -= size;
    return size;
}

void input_copy(void *to, size_t size) {
    const uint8_t *data;
    size_t taken = input_take(size, &data);
    if (taken > 0) {
        memcpy(to, data, taken);
    }
}

bool input_is_used_up(void) {
    return input.size == 0;
}
