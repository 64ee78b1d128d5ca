/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzes the configuration: the input is the file. What is accepted must be usable. */
#include "config.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int file;

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    char path[32];
    file = memfd_create("pkcs11.conf", MFD_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    setenv("XCA_PKCS11_CONF", path, 1);
    setenv("XCA_LOG_FILE", "/dev/null", 1); /* never a file that the input names */
    return file < 0;
}

static void must(bool holds) {
    if (!holds) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    must(ftruncate(file, 0) == 0 && pwrite(file, data, size, 0) == (ssize_t)size);
    if (config_load()) {
        must(config.module[0] == '/' && (config.store[0] == '/' || config.store[0] == '\0'));
        must((config.environment_value == NULL) == (config.environment[0] == '\0'));
        must(config.environment_value == NULL || strchr(config.environment, '=') == NULL);
        must(config.hash_in_module == (config.hash[0] != '\0'));
        must(config.trim_strings == (config.strings[0] != '\0'));
    }
    return 0;
}
