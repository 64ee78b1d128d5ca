/* SPDX-License-Identifier: Apache-2.0 */
#include "card.h"

#include "remember.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

CK_FUNCTION_LIST_3_0 *list;
struct minimal *inner_control;
const char *store_path;

enum { STORE, LOCK, CONFIGURATION, FILES };
static char paths[FILES][PATH_MAX];
static struct record sound[2];           /* a store of one card, activated and with all its tries */
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

void card_seal(struct record_slot *slot) {
    const Bytef *content = (const Bytef *)slot + sizeof slot->checksum;
    slot->checksum = (uint32_t)crc32(0, content, sizeof *slot - sizeof slot->checksum);
}

static void make_store(void) {
    struct record_slot *own = &sound[0].blocks[0].slot, *card = &sound[1].blocks[0].slot;
    *own = (struct record_slot){.format = XCA_STORE_FORMAT};
    *card = (struct record_slot){
        .format = XCA_STORE_FORMAT,
        .activated_at = 1,
        .tries = {XCA_MAX_TRIES, XCA_MAX_TRIES},
        .reader = "reader",
        .model = "model",
    };
    memcpy(card->number, MINIMAL_CARD, sizeof card->number);
    card_seal(own);
    card_seal(card);
}

void card_start(void) {
    const char *parent = getenv("TMPDIR");
    char folder[PATH_MAX - sizeof "/cards.db.lock"];
    snprintf(folder, sizeof folder, "%s/xca-fuzz-XXXXXX", parent != NULL ? parent : "/tmp");
    must(mkdtemp(folder) != NULL);
    static const char *const names[FILES] = {"cards.db", "cards.db.lock", "pkcs11.conf"};
    for (int i = 0; i < FILES; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/%s", folder, names[i]);
    }
    store_path = paths[STORE];
    make_store();
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

void card_renew(void) {
    CK_FUNCTION_LIST *ignored;
    *inner_control = (struct minimal){0};
    list->v2.C_Finalize(NULL);
    must(renew_inner(&ignored) == CKR_OK);
    remember_forget(MINIMAL_CARD, SECRET_PIN);
    remember_forget(MINIMAL_CARD, SECRET_USER_CODE);
    write_file(store_path, sound, sizeof sound);
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
