/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SYSTEM_FILE  "/etc/xca/pkcs11.conf"
#define LARGEST_FILE (64 * 1024)

struct config config;

struct config_entry {
    const char *section, *name;
    char *to;
    size_t size;
    const char *variable; /* overrides the file */
};

static const struct config_entry entries[] = {
    {"module", "path", config.module, sizeof config.module, "XCA_PKCS11_MODULE"},
    {"module", "label", config.label, sizeof config.label, NULL},
    {"module", "environment", config.environment, sizeof config.environment, NULL},
    {"store", "path", config.store, sizeof config.store, "XCA_CARD_STORE"},
    {"quirks", "hash", config.hash, sizeof config.hash, NULL},
    {"quirks", "strings", config.strings, sizeof config.strings, NULL},
    {"guard", "keep_last_try", config.keep_last_try, sizeof config.keep_last_try, NULL},
    {"log", "level", config.log_level, sizeof config.log_level, "XCA_LOG_LEVEL"},
    {"log", "file", config.log_file, sizeof config.log_file, "XCA_LOG_FILE"},
};
#define ENTRIES (sizeof entries / sizeof entries[0])

static bool config_put(const struct config_entry *entry, const char *text) {
    size_t length = strlen(text);
    if (length >= entry->size) {
        return false;
    }
    memcpy(entry->to, text, length + 1);
    return true;
}

/* inih's handler: 0 is an error. A name that is unknown or stands twice is one: a misspelt rule must not be
 * ignored. */
static int config_on_value(void *user, const char *section, const char *name, const char *text) {
    (void)user;
    for (size_t i = 0; i < ENTRIES; i++) {
        const struct config_entry *entry = &entries[i];
        if (strcmp(section, entry->section) == 0 && strcmp(name, entry->name) == 0) {
            return *entry->to == '\0' && *text != '\0' && config_put(entry, text);
        }
    }
    return 0;
}

static const char *config_variable(const char *name) {
    const char *text = secure_getenv(name);
    return text != NULL && *text != '\0' ? text : NULL;
}

/* Writes `$<xdg>/<file>`, or `$HOME/<below>/<file>` when that variable holds no absolute path (XDG Base
 * Directory Specification); an empty string when there is none of either. xca_common/base_directories.py has
 * the same rule. */
static void config_user_path(char *path, size_t size, const char *xdg, const char *below, const char *file) {
    const char *folder = config_variable(xdg), *home = config_variable("HOME");
    int length = -1;
    if (folder != NULL && *folder == '/') {
        length = snprintf(path, size, "%s/%s", folder, file);
    } else if (home != NULL) {
        length = snprintf(path, size, "%s/%s/%s", home, below, file);
    }
    if (length < 0 || (size_t)length >= size) {
        *path = '\0';
    }
}

/* The file to read, or an empty path when there is none and the environment alone must do. */
static void config_find_file(char *path, size_t size) {
    const char *named = config_variable("XCA_PKCS11_CONF");
    if (named != NULL) {
        snprintf(path, size, "%s", named);
        return;
    }
    config_user_path(path, size, "XDG_CONFIG_HOME", ".config", "xca/pkcs11.conf");
    if (*path == '\0' || access(path, F_OK) != 0) {
        snprintf(path, size, "%s", access(SYSTEM_FILE, F_OK) == 0 ? SYSTEM_FILE : "");
    }
}

static bool config_read_file(const char *path) {
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat facts;
    if (descriptor < 0 || fstat(descriptor, &facts) != 0) {
        log_line(LOG_ERROR, "configuration %s: %s", path, strerror(errno));
        if (descriptor >= 0) {
            close(descriptor);
        }
        return false;
    }
    if (!S_ISREG(facts.st_mode) || facts.st_size > LARGEST_FILE) {
        log_line(LOG_ERROR, "configuration %s: not a file of at most %d bytes", path, LARGEST_FILE);
        close(descriptor);
        return false;
    }
    FILE *file = fdopen(descriptor, "re");
    if (file == NULL) {
        log_line(LOG_ERROR, "configuration %s: %s", path, strerror(errno));
        close(descriptor);
        return false;
    }
    int line = ini_parse_file(file, config_on_value, NULL);
    fclose(file);
    if (line != 0) {
        log_line(LOG_ERROR, "configuration %s: line %d is too long, or no known section, name and value",
                 path, line);
        return false;
    }
    return true;
}

/* Reads a value that is one of two words, or missing; false when it is another. */
static bool config_read_choice(const char *name, const char *text, const char *on, const char *off,
                               bool *value) {
    *value = strcmp(text, on) == 0;
    if (*value || *text == '\0' || (off != NULL && strcmp(text, off) == 0)) {
        return true;
    }
    log_line(LOG_ERROR, "configuration: %s is not %s", name, on);
    return false;
}

static bool config_check(void) {
    int level = *config.log_level == '\0' ? LOG_ERROR : log_level_from(config.log_level);
    if (level < 0) {
        log_line(LOG_ERROR, "configuration: log level is none of error, info, debug");
        return false;
    }
    log_to((enum log_level)level, config.log_file);
    if (*config.module == '\0') {
        log_line(LOG_ERROR, "no configuration: set XCA_PKCS11_CONF, or write [module] path to " SYSTEM_FILE);
        return false;
    }
    if (*config.store == '\0') {
        config_user_path(config.store, sizeof config.store, "XDG_DATA_HOME", ".local/share", "xca/cards.db");
    }
    snprintf(config.store_lock, sizeof config.store_lock, "%s.lock", config.store);
    const char *const paths[] = {config.module, config.store, config.log_file};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        if (*paths[i] != '\0' && *paths[i] != '/') {
            log_line(LOG_ERROR, "configuration: the path %s is not absolute", paths[i]);
            return false;
        }
    }
    if (*config.environment != '\0') {
        char *equals = strchr(config.environment, '=');
        if (equals == NULL || equals == config.environment) {
            log_line(LOG_ERROR, "configuration: [module] environment is not of the form NAME=value");
            return false;
        }
        *equals = '\0';
        config.environment_value = equals + 1;
    }
    return config_read_choice("[quirks] hash", config.hash, "module", NULL, &config.hash_in_module) &&
           config_read_choice("[quirks] strings", config.strings, "trim", NULL, &config.trim_strings) &&
           config_read_choice("[guard] keep_last_try", config.keep_last_try, "yes", "no",
                              &config.guard_last_try);
}

bool config_load(void) {
    memset(&config, 0, sizeof config);
    const char *log_file = config_variable("XCA_LOG_FILE");
    log_to(LOG_ERROR, log_file);
    char path[PATH_MAX];
    config_find_file(path, sizeof path);
    if (*path != '\0' && !config_read_file(path)) {
        return false;
    }
    for (size_t i = 0; i < ENTRIES; i++) {
        const char *text = entries[i].variable != NULL ? config_variable(entries[i].variable) : NULL;
        if (text != NULL && !config_put(&entries[i], text)) {
            log_line(LOG_ERROR, "configuration: %s is too long", entries[i].variable);
            return false;
        }
    }
    return config_check();
}
