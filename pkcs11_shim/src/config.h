/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration: XCA_PKCS11_CONF, else $XDG_CONFIG_HOME/xca/pkcs11.conf, else /etc/xca/pkcs11.conf. */
#ifndef XCA_CONFIG_H
#define XCA_CONFIG_H

#include <limits.h>
#include <stdbool.h>

struct config {
    char module[PATH_MAX];      /* [module] path, XCA_PKCS11_MODULE: the inner module */
    char label[200];            /* [module] label: only for Python (config.py), which finds cards by it */
    char environment[PATH_MAX]; /* [module] environment: the name of what is set around the inner C_Initialize
                                   only */
    const char *environment_value;              /* and its value; NULL when nothing is set */
    char store[PATH_MAX];                       /* [store] path, XCA_CARD_STORE */
    char store_lock[PATH_MAX + sizeof ".lock"]; /* the file beside the store that is locked */
    char hash[8];                               /* [quirks] hash: "module" */
    char strings[8];                            /* [quirks] strings: "trim" */
    char keep_last_try[4];                      /* [guard] keep_last_try: "yes" or "no" */
    bool hash_in_module;                        /* the module makes the digests of signatures itself */
    bool trim_strings; /* blanks, tabs and nulls at the end of a token's strings become the standard's padding
                        */
    bool guard_last_try;     /* no login spends the last try unless XCA_LAST_TRY=allow */
    char log_level[8];       /* [log] level, XCA_LOG_LEVEL */
    char log_file[PATH_MAX]; /* [log] file, XCA_LOG_FILE */
};

extern struct config config;

/* Fills `config` and sets the log up. False, with one line in the log, when it cannot be used. */
bool config_load(void);

#endif
