/* SPDX-License-Identifier: Apache-2.0 */
/* The only exported functions, and the lists they hand out: the inner module's own, with replaced.def's
 * entries ours. */
#include "module.h"

#include "config.h"
#include "hashing.h"
#include "lock.h"
#include "log.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

/* How long a fork waits for the inner module to be loaded: five seconds. */
#define FORK_PAUSES   5000
#define FORK_PAUSE_NS 1000000L

#define EXPORT __attribute__((visibility("default")))

EXPORT CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list);
EXPORT CK_RV C_GetInterfaceList(CK_INTERFACE *interfaces, CK_ULONG *count);
EXPORT CK_RV C_GetInterface(CK_UTF8CHAR *name, CK_VERSION *version, CK_INTERFACE **interface, CK_FLAGS flags);

const CK_FUNCTION_LIST *inner;
const CK_FUNCTION_LIST_3_0 *inner3;

static CK_FUNCTION_LIST list2;
static CK_FUNCTION_LIST_3_0 list3;

static CK_UTF8CHAR standard[] = "PKCS 11";
static CK_INTERFACE interfaces[2]; /* the newest first */
static CK_ULONG interface_count;

static atomic_bool loaded;                                  /* the above is complete, and changes no more */
static pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER; /* held while the above is made */

/* This thread holds `loading`. An inner module that loads this module again gets an error, not a deadlock. */
static _Thread_local bool is_loading;

/* What stands in the lists for the exported functions. */
static CK_RV card_C_GetFunctionList(CK_FUNCTION_LIST **list) {
    return C_GetFunctionList(list);
}

static CK_RV card_C_GetInterfaceList(CK_INTERFACE *list, CK_ULONG *count) {
    return C_GetInterfaceList(list, count);
}

static CK_RV card_C_GetInterface(CK_UTF8CHAR *name, CK_VERSION *version, CK_INTERFACE **interface,
                                 CK_FLAGS flags) {
    return C_GetInterface(name, version, interface, flags);
}

/* Puts our functions into a list, and into the 3.0 part behind it if there is one. Our functions call those
 * of the inner module's 2.40 list: where that has NULL, the list gets NULL too. */
static void module_replace(CK_FUNCTION_LIST *list, CK_FUNCTION_LIST_3_0 *more) {
#define XCA_REPLACED(name) list->name = inner->name != NULL ? card_##name : NULL;
#define XCA_REPLACED_3(name)                                                                                 \
    if (more != NULL && more->name != NULL) {                                                                \
        more->name = card_##name;                                                                            \
    }
#define XCA_HASHING(name)                                                                                    \
    if (config.hash_in_module) {                                                                             \
        XCA_REPLACED(name)                                                                                   \
    }
#define XCA_HASHING_3(name)                                                                                  \
    if (config.hash_in_module) {                                                                             \
        XCA_REPLACED_3(name)                                                                                 \
    }
#include "replaced.def"
}

/* The inner module's 2.40 list, or NULL with a line in the log. */
static const CK_FUNCTION_LIST *module_find_inner(void *library) {
    CK_C_GetFunctionList get_list;
    *(void **)&get_list = dlsym(library, "C_GetFunctionList");
    if (get_list == NULL) {
        log_line(LOG_ERROR, "inner module %s: not a PKCS#11 module", config.module);
        return NULL;
    }
    if (get_list == C_GetFunctionList) {
        log_line(LOG_ERROR, "inner module %s: that is this module itself", config.module);
        return NULL;
    }
    CK_FUNCTION_LIST *list = NULL;
    CK_RV rv = get_list(&list);
    if (rv != CKR_OK || list == NULL) {
        log_line(LOG_ERROR, "inner module %s: C_GetFunctionList answers 0x%lx", config.module, rv);
        return NULL;
    }
    /* Without these nobody could tell a card from any other token. */
    if (list->C_Initialize == NULL || list->C_GetSessionInfo == NULL || list->C_GetTokenInfo == NULL ||
        list->C_GetAttributeValue == NULL || list->C_Logout == NULL) {
        log_line(LOG_ERROR, "inner module %s: its function list lacks what every module has", config.module);
        return NULL;
    }
    if (config.hash_in_module &&
        (list->C_OpenSession == NULL || list->C_CloseSession == NULL || list->C_DigestInit == NULL ||
         list->C_Digest == NULL || list->C_DigestUpdate == NULL || list->C_DigestFinal == NULL ||
         list->C_Sign == NULL)) {
        log_line(LOG_ERROR, "inner module %s: lacks what [quirks] hash = module takes", config.module);
        return NULL;
    }
    return list;
}

static bool module_same_version(const CK_VERSION *a, const CK_VERSION *b) {
    return a->major == b->major && a->minor == b->minor;
}

/* The inner module's standard interface of a version; NULL when it offers none, errs, or reports another
 * version. */
static const CK_INTERFACE *module_find_interface(void *library, CK_VERSION version) {
    CK_C_GetInterface get_interface;
    *(void **)&get_interface = dlsym(library, "C_GetInterface");
    CK_INTERFACE *interface = NULL;
    if (get_interface == NULL || get_interface == C_GetInterface ||
        get_interface(standard, &version, &interface, 0) != CKR_OK || interface == NULL ||
        interface->pFunctionList == NULL || !module_same_version(interface->pFunctionList, &version)) {
        return NULL;
    }
    return interface;
}

static void module_offer(void *list, const CK_INTERFACE *inner_interface) {
    CK_FLAGS flags = inner_interface != NULL ? inner_interface->flags : 0;
    interfaces[interface_count++] = (CK_INTERFACE){standard, list, flags};
}

static bool module_load(void) {
    if (!config_load()) {
        return false;
    }
    void *library = dlopen(config.module, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (library == NULL) {
        log_line(LOG_ERROR, "inner module: %s", dlerror());
        return false;
    }
    const CK_FUNCTION_LIST *found = module_find_inner(library);
    if (found == NULL) {
        return false;
    }
    inner = found;
    interface_count = 0;
    /* 3.0 and no later one: the list of 3.2 has functions that no entry of replaced.def guards. */
    const CK_INTERFACE *interface3 = module_find_interface(library, (CK_VERSION){3, 0});
    if (interface3 != NULL) {
        inner3 = interface3->pFunctionList;
        list3 = *inner3;
        module_replace(&list3.v2, &list3);
        module_offer(&list3, interface3);
    }
    list2 = *found;
    if (list2.version.major != 2) {
        list2.version = (CK_VERSION){2, 40};
    }
    module_replace(&list2, NULL);
    module_offer(&list2, module_find_interface(library, list2.version));
    log_line(LOG_DEBUG, "inner module %s loaded", config.module);
    return true;
}

/* Once; a failure is tried again at the next call, when its cause may be gone. */
static CK_RV module_load_once(void) {
    if (loaded) {
        return CKR_OK;
    }
    if (is_loading) {
        log_line(LOG_ERROR, "inner module %s: loads this module again", config.module);
        return CKR_GENERAL_ERROR;
    }
    int cancelability;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancelability);
    pthread_mutex_lock(&loading);
    is_loading = true;
    loaded = loaded || module_load();
    is_loading = false;
    pthread_mutex_unlock(&loading);
    pthread_setcancelstate(cancelability, NULL);
    return loaded ? CKR_OK : CKR_GENERAL_ERROR;
}

static _Thread_local bool keeps_from_loading;

/* fork(2) waits, for a limited time, for another thread that loads the inner module. */
static void module_before_fork(void) {
    const struct timespec pause = {.tv_nsec = FORK_PAUSE_NS};
    int cancelability;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancelability);
    keeps_from_loading = false;
    for (int pauses = 0; pauses < FORK_PAUSES && !loaded && !is_loading && !keeps_from_loading; pauses++) {
        keeps_from_loading = pthread_mutex_trylock(&loading) == 0;
        if (!keeps_from_loading) {
            nanosleep(&pause, NULL);
        }
    }
    pthread_setcancelstate(cancelability, NULL);
}

static void module_after_fork_in_parent(void) {
    if (keeps_from_loading) {
        pthread_mutex_unlock(&loading);
    }
}

/* What was not completely loaded is loaded again. */
static void module_after_fork_in_child(void) {
    loading = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
}

/* Runs when this module is loaded, before any fork. fork(2) calls the handler that was registered last first:
 * it waits for the loading of the inner module before it waits for calls, which may wait for the loading. */
__attribute__((constructor)) static void module_survive_fork(void) {
    hashing_survive_fork();
    lock_survive_fork();
    pthread_atfork(module_before_fork, module_after_fork_in_parent, module_after_fork_in_child);
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list) {
    if (list == NULL) {
        return CKR_ARGUMENTS_BAD;
    }
    CK_RV rv = module_load_once();
    if (rv == CKR_OK) {
        *list = &list2;
    }
    return rv;
}

/* PKCS#11 3.0 section 5.4.4 (C_GetInterfaceList). */
CK_RV C_GetInterfaceList(CK_INTERFACE *list, CK_ULONG *count) {
    if (count == NULL) {
        return CKR_ARGUMENTS_BAD;
    }
    CK_RV rv = module_load_once();
    if (rv != CKR_OK) {
        return rv;
    }
    CK_ULONG room = *count;
    *count = interface_count;
    if (list == NULL) {
        return CKR_OK;
    }
    if (room < interface_count) {
        return CKR_BUFFER_TOO_SMALL;
    }
    memcpy(list, interfaces, interface_count * sizeof *list);
    return CKR_OK;
}

/* PKCS#11 3.0 section 5.4.5 (C_GetInterface): no name or no version leaves the choice to the module. What is
 * asked for and not there is a bad argument, as other modules say and as tools expect. */
CK_RV C_GetInterface(CK_UTF8CHAR *name, CK_VERSION *version, CK_INTERFACE **interface, CK_FLAGS flags) {
    if (interface == NULL) {
        return CKR_ARGUMENTS_BAD;
    }
    CK_RV rv = module_load_once();
    if (rv != CKR_OK) {
        return rv;
    }
    for (CK_ULONG i = 0; i < interface_count; i++) {
        if ((name == NULL || strcmp((const char *)name, (const char *)standard) == 0) &&
            (version == NULL || module_same_version(version, interfaces[i].pFunctionList)) &&
            (interfaces[i].flags & flags) == flags) {
            *interface = &interfaces[i];
            return CKR_OK;
        }
    }
    return CKR_ARGUMENTS_BAD;
}
