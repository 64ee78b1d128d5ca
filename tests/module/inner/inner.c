/* SPDX-License-Identifier: Apache-2.0 */
/* An inner module for tests: SoftHSM with a script beside it that says which call goes wrong, and how.
 *
 *   INNER_REAL    path of the module that does the work
 *   INNER_CALLS   file to which every call of a wrapped function appends the function's name
 *   INNER_SCRIPT  file of lines "<function> <action> <value>", read anew at every call:
 *                   return <hex CK_RV>    answer that, and do not ask the real module
 *                   kill before|after     end this process with SIGKILL before or after the real call
 *                   then <file>           after this call, that file is the script
 *                   wait <fifo>           open the fifo, and go on when its writer closes it
 *                   count <n>             C_GetSlotList only: say that there are so many slots, name none
 *   INNER_NULL    function whose entry in the table is NULL
 *
 * Built with -DINTERFACES it exports C_GetInterface too, and
 *   INNER_VERSION says what that answers to all but a question for 2.40: "3.0", "7.7", "error"
 *   INNER_FLAGS   says the flags of its interfaces, in hexadecimal
 */
#include "cryptoki.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

static CK_FUNCTION_LIST *real;

static void note(const char *function) {
    char line[64];
    int length = snprintf(line, sizeof line, "%s\n", function);
    int file = open(getenv("INNER_CALLS"), O_WRONLY | O_APPEND | O_CLOEXEC);
    if (file < 0 || write(file, line, (size_t)length) != length)
        abort(); /* a call that is not counted would let a test pass that should fail */
    close(file);
}

/* Looks up what the script says about a function; the value is empty when it says nothing. */
static void look_up(const char *function, const char *action, char value[256]) {
    char name[64], what[16];
    FILE *script = fopen(getenv("INNER_SCRIPT"), "re");
    if (!script)
        abort();
    value[0] = 0;
    while (fscanf(script, "%63s %15s %255s", name, what, value) == 3) {
        if (strcmp(name, function) == 0 && strcmp(what, action) == 0) {
            fclose(script);
            return;
        }
        value[0] = 0;
    }
    fclose(script);
}

static void kill_when(const char *function, const char *moment) {
    char value[256];
    look_up(function, "kill", value);
    if (strcmp(value, moment) == 0)
        raise(SIGKILL);
}

static char next[256]; /* the script after the call under way of the real module; empty: the same */

static int answered(const char *function, CK_RV *answer) {
    char value[256], end;
    note(function);
    kill_when(function, "before");
    look_up(function, "wait", value);
    if (value[0]) {
        int fifo = open(value, O_RDONLY | O_CLOEXEC);
        while (read(fifo, &end, 1) > 0)
            ;
        close(fifo);
    }
    look_up(function, "return", value);
    *answer = strtoul(value, NULL, 16);
    int is_answered = value[0] != 0;
    look_up(function, "then", value);
    if (value[0] && !is_answered)
        snprintf(next, sizeof next, "%s", value);
    else if (value[0] && rename(value, getenv("INNER_SCRIPT")) != 0)
        abort();
    return is_answered;
}

/* What the wrapper replaces or asks, one row a function: name, parameters, arguments. */
#define WRAPPED(X)                                                                                           \
    X(C_Initialize, (void *args), (args))                                                                    \
    X(C_Finalize, (void *args), (args))                                                                      \
    X(C_GetInfo, (CK_INFO * info), (info))                                                                   \
    X(C_GetSlotInfo, (CK_SLOT_ID slot, CK_SLOT_INFO * info), (slot, info))                                   \
    X(C_GetTokenInfo, (CK_SLOT_ID slot, CK_TOKEN_INFO * info), (slot, info))                                 \
    X(C_GetSessionInfo, (CK_SESSION_HANDLE session, CK_SESSION_INFO * info), (session, info))                \
    X(C_GetAttributeValue,                                                                                   \
      (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE * template, CK_ULONG count),         \
      (session, object, template, count))                                                                    \
    X(C_InitToken, (CK_SLOT_ID slot, CK_BYTE * pin, CK_ULONG length, CK_BYTE * label),                       \
      (slot, pin, length, label))                                                                            \
    X(C_InitPIN, (CK_SESSION_HANDLE session, CK_BYTE * pin, CK_ULONG length), (session, pin, length))        \
    X(C_SetPIN,                                                                                              \
      (CK_SESSION_HANDLE session, CK_BYTE * old, CK_ULONG old_length, CK_BYTE * new, CK_ULONG new_length),   \
      (session, old, old_length, new, new_length))                                                           \
    X(C_Login, (CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_BYTE * pin, CK_ULONG length),               \
      (session, user, pin, length))                                                                          \
    X(C_Logout, (CK_SESSION_HANDLE session), (session))                                                      \
    X(C_CloseSession, (CK_SESSION_HANDLE session), (session))                                                \
    X(C_CloseAllSessions, (CK_SLOT_ID slot), (slot))                                                         \
    X(C_CreateObject,                                                                                        \
      (CK_SESSION_HANDLE session, CK_ATTRIBUTE * template, CK_ULONG count, CK_OBJECT_HANDLE * object),       \
      (session, template, count, object))                                                                    \
    X(C_CopyObject,                                                                                          \
      (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE from, CK_ATTRIBUTE * template, CK_ULONG count,            \
       CK_OBJECT_HANDLE * object),                                                                           \
      (session, from, template, count, object))                                                              \
    X(C_DestroyObject, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object), (session, object))              \
    X(C_SetAttributeValue,                                                                                   \
      (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE * template, CK_ULONG count),         \
      (session, object, template, count))                                                                    \
    X(C_GenerateKey,                                                                                         \
      (CK_SESSION_HANDLE session, CK_MECHANISM * mechanism, CK_ATTRIBUTE * template, CK_ULONG count,         \
       CK_OBJECT_HANDLE * key),                                                                              \
      (session, mechanism, template, count, key))                                                            \
    X(C_GenerateKeyPair,                                                                                     \
      (CK_SESSION_HANDLE session, CK_MECHANISM * mechanism, CK_ATTRIBUTE * public, CK_ULONG public_count,    \
       CK_ATTRIBUTE * private, CK_ULONG private_count, CK_OBJECT_HANDLE * public_key,                        \
       CK_OBJECT_HANDLE * private_key),                                                                      \
      (session, mechanism, public, public_count, private, private_count, public_key, private_key))           \
    X(C_UnwrapKey,                                                                                           \
      (CK_SESSION_HANDLE session, CK_MECHANISM * mechanism, CK_OBJECT_HANDLE key, CK_BYTE * wrapped,         \
       CK_ULONG length, CK_ATTRIBUTE * template, CK_ULONG count, CK_OBJECT_HANDLE * object),                 \
      (session, mechanism, key, wrapped, length, template, count, object))                                   \
    X(C_DeriveKey,                                                                                           \
      (CK_SESSION_HANDLE session, CK_MECHANISM * mechanism, CK_OBJECT_HANDLE key, CK_ATTRIBUTE * template,   \
       CK_ULONG count, CK_OBJECT_HANDLE * object),                                                           \
      (session, mechanism, key, template, count, object))

#define DEFINE(name, parameters, arguments)                                                                  \
    static CK_RV scripted_##name parameters {                                                                \
        CK_RV answer;                                                                                        \
        if (answered(#name, &answer))                                                                        \
            return answer;                                                                                   \
        answer = real->name arguments;                                                                       \
        if (next[0] && rename(next, getenv("INNER_SCRIPT")) != 0)                                            \
            abort();                                                                                         \
        next[0] = 0;                                                                                         \
        kill_when(#name, "after");                                                                           \
        return answer;                                                                                       \
    }
WRAPPED(DEFINE)

static CK_RV scripted_C_GetSlotList(CK_BYTE present, CK_SLOT_ID *slots, CK_ULONG *count) {
    char value[256];
    look_up("C_GetSlotList", "count", value);
    if (!value[0])
        return real->C_GetSlotList(present, slots, count);
    *count = strtoul(value, NULL, 10);
    return CKR_OK;
}

static CK_FUNCTION_LIST list;

EXPORTED CK_RV C_GetFunctionList(CK_FUNCTION_LIST **out) {
    if (!out)
        return CKR_ARGUMENTS_BAD;
    if (!real) {
        void *library = dlopen(getenv("INNER_REAL"), RTLD_NOW | RTLD_LOCAL);
        CK_RV (*get)(CK_FUNCTION_LIST **) =
            library ? (CK_RV (*)(CK_FUNCTION_LIST **))dlsym(library, "C_GetFunctionList") : NULL;
        if (!get || get(&real) != CKR_OK)
            return CKR_GENERAL_ERROR;
        const char *missing = getenv("INNER_NULL") ? getenv("INNER_NULL") : "";
        list = *real;
        list.C_GetFunctionList = C_GetFunctionList;
        list.C_GetSlotList = scripted_C_GetSlotList;
#define ENTER(name, parameters, arguments) list.name = strcmp(missing, #name) ? scripted_##name : NULL;
        WRAPPED(ENTER)
    }
    *out = &list;
    return CKR_OK;
}

#ifdef INTERFACES
static CK_FUNCTION_LIST_3_0 list_3_0; /* of what PKCS#11 3.0 adds, all but three are NULL here */
static CK_INTERFACE newest = {(CK_UTF8CHAR *)"PKCS 11", &list_3_0, 0};
static CK_INTERFACE oldest = {(CK_UTF8CHAR *)"PKCS 11", &list, 0};

static CK_RV login_user(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_BYTE *pin, CK_ULONG length,
                        CK_BYTE *name, CK_ULONG name_length) {
    (void)name, (void)name_length;
    note("C_LoginUser");
    return real->C_Login(session, user, pin, length);
}

EXPORTED CK_RV C_GetInterfaceList(CK_INTERFACE *interfaces, CK_ULONG *count);

EXPORTED CK_RV C_GetInterface(CK_UTF8CHAR *name, CK_VERSION *version, CK_INTERFACE **out, CK_FLAGS flags) {
    CK_FUNCTION_LIST *base;
    const char *told = getenv("INNER_VERSION");
    (void)name, (void)flags;
    if (strcmp(told, "error") == 0 || C_GetFunctionList(&base) != CKR_OK)
        return CKR_GENERAL_ERROR;
    list_3_0.v2 = *base;
    list_3_0.v2.C_Login = scripted_C_Login; /* also where INNER_NULL hides it in the 2.40 list */
    list_3_0.v2.version.major = (CK_BYTE)(told[0] - '0');
    list_3_0.v2.version.minor = (CK_BYTE)(told[2] - '0');
    list_3_0.C_GetInterfaceList = C_GetInterfaceList;
    list_3_0.C_GetInterface = C_GetInterface;
    list_3_0.C_LoginUser = login_user;
    newest.flags = oldest.flags = getenv("INNER_FLAGS") ? strtoul(getenv("INNER_FLAGS"), NULL, 16) : 0;
    *out = version && version->major == 2 ? &oldest : &newest;
    return CKR_OK;
}

EXPORTED CK_RV C_GetInterfaceList(CK_INTERFACE *interfaces, CK_ULONG *count) {
    CK_INTERFACE *found;
    CK_RV answer = C_GetInterface(NULL, NULL, &found, 0);
    if (answer == CKR_OK && interfaces)
        *interfaces = *found;
    *count = 1;
    return answer;
}
#endif
