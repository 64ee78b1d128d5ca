/* SPDX-License-Identifier: Apache-2.0 */
/* A thin module in front of OpenSC's: it gives answers that OpenSC never gives, and other modules may.
 *
 *   FRONT_REAL       path of the module that does the work
 *   FRONT_ACTIVATED  a token shows CKF_USER_PIN_INITIALIZED only while this file exists
 *   FRONT_SCRIPT     file of lines, read anew at every call:
 *                      answer <function> <hex CK_RV> <hex CK_RV>  for the first value the second is answered
 *                      once <function> <hex CK_RV> <hex CK_RV>    the same, the first time in a process
 *                      show <hex CK_FLAGS>                        a token shows these flags too
 *                      hide <hex CK_FLAGS>                        a token does not show these flags
 *                      label <text>                               a token has this label
 *                      null <function>                            the entry is NULL (read at the beginning)
 */
#include "cryptoki.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

static CK_FUNCTION_LIST *real, list;

static FILE *open_script(void) {
    FILE *script = fopen(getenv("FRONT_SCRIPT"), "re");
    if (!script)
        abort(); /* an answer that is not given would let a test pass that should fail */
    return script;
}

static CK_RV translated(const char *function, CK_RV rv, atomic_bool *given) {
    char line[128], kind[16], name[64];
    FILE *script = open_script();
    while (fgets(line, sizeof line, script)) {
        CK_RV from, to;
        if (sscanf(line, "%15s %63s %lx %lx", kind, name, &from, &to) != 4 || strcmp(name, function) != 0 ||
            from != rv)
            continue;
        if (strcmp(kind, "answer") == 0 || !atomic_exchange(given, 1)) {
            rv = to;
            break;
        }
    }
    fclose(script);
    return rv;
}

#define WRAPPED(X)                                                                                           \
    X(C_GetTokenInfo, (CK_SLOT_ID slot, CK_TOKEN_INFO * info), (slot, info))                                 \
    X(C_OpenSession,                                                                                         \
      (CK_SLOT_ID slot, CK_FLAGS flags, void *application, CK_NOTIFY notify, CK_SESSION_HANDLE *session),    \
      (slot, flags, application, notify, session))                                                           \
    X(C_Login, (CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_BYTE * pin, CK_ULONG length),               \
      (session, user, pin, length))                                                                          \
    X(C_InitPIN, (CK_SESSION_HANDLE session, CK_BYTE * pin, CK_ULONG length), (session, pin, length))        \
    X(C_SetPIN,                                                                                              \
      (CK_SESSION_HANDLE session, CK_BYTE * old, CK_ULONG old_length, CK_BYTE * new, CK_ULONG new_length),   \
      (session, old, old_length, new, new_length))                                                           \
    X(C_FindObjectsInit, (CK_SESSION_HANDLE session, CK_ATTRIBUTE * template, CK_ULONG count),               \
      (session, template, count))                                                                            \
    X(C_Sign,                                                                                                \
      (CK_SESSION_HANDLE session, CK_BYTE * data, CK_ULONG length, CK_BYTE * signature,                      \
       CK_ULONG * signature_length),                                                                         \
      (session, data, length, signature, signature_length))                                                  \
    X(C_GenerateRandom, (CK_SESSION_HANDLE session, CK_BYTE * data, CK_ULONG length), (session, data, length))

#define DEFINE(name, parameters, arguments)                                                                  \
    static CK_RV front_##name parameters {                                                                   \
        static atomic_bool given;                                                                            \
        return translated(#name, real->name arguments, &given);                                              \
    }
WRAPPED(DEFINE)

/* What the script says of a token. */
static CK_RV shown_C_GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO *info) {
    CK_RV rv = front_C_GetTokenInfo(slot, info);
    if (rv != CKR_OK)
        return rv;
    char line[128];
    CK_FLAGS flags;
    const char *activated = getenv("FRONT_ACTIVATED");
    if (activated && access(activated, F_OK) != 0)
        info->flags &= ~(CKF_USER_PIN_INITIALIZED | CKF_USER_PIN_LOCKED);
    FILE *script = open_script();
    while (fgets(line, sizeof line, script)) {
        line[strcspn(line, "\n")] = 0;
        if (sscanf(line, "show %lx", &flags) == 1)
            info->flags |= flags;
        if (sscanf(line, "hide %lx", &flags) == 1)
            info->flags &= ~flags;
        if (strncmp(line, "label ", 6) == 0) {
            memset(info->label, ' ', sizeof info->label);
            memcpy(info->label, line + 6, strnlen(line + 6, sizeof info->label));
        }
    }
    fclose(script);
    return CKR_OK;
}

static CK_BBOOL is_null(const char *function) {
    char line[128], name[64];
    CK_BBOOL found = CK_FALSE;
    FILE *script = open_script();
    while (fgets(line, sizeof line, script)) {
        if (sscanf(line, "null %63s", name) == 1 && strcmp(name, function) == 0)
            found = CK_TRUE;
    }
    fclose(script);
    return found;
}

EXPORTED CK_RV C_GetFunctionList(CK_FUNCTION_LIST **out) {
    if (!real) {
        void *library = dlopen(getenv("FRONT_REAL"), RTLD_NOW | RTLD_LOCAL);
        CK_RV (*get)(CK_FUNCTION_LIST **) =
            library ? (CK_RV (*)(CK_FUNCTION_LIST **))dlsym(library, "C_GetFunctionList") : NULL;
        if (!get || get(&real) != CKR_OK)
            return CKR_GENERAL_ERROR;
        list = *real;
        list.C_GetFunctionList = C_GetFunctionList;
#define ENTER(name, parameters, arguments) list.name = is_null(#name) ? NULL : front_##name;
        WRAPPED(ENTER)
        list.C_GetTokenInfo = shown_C_GetTokenInfo;
    }
    *out = &list;
    return CKR_OK;
}
