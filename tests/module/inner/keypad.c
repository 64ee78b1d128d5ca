/* SPDX-License-Identifier: Apache-2.0 */
/* A module whose reader has a keypad: a secret is typed there where none is given. SoftHSM does the work.
 *
 *   KEYPAD_REAL       path of the module that does the work
 *   KEYPAD_USER_CODE  what is typed for the user code
 *   KEYPAD_PIN        what is typed for the PIN; empty: the entry is cancelled
 *   KEYPAD_NEW        what is typed for a new value
 *
 * A secret that a program gives is refused with CKR_ARGUMENTS_BAD.
 */
#include "cryptoki.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#define EXPORTED __attribute__((visibility("default")))

static CK_FUNCTION_LIST *real, list;
static CK_BBOOL is_so;

static CK_RV typed(const char *variable, CK_BYTE *given, CK_BYTE **value, CK_ULONG *length) {
    char *said = getenv(variable);
    if (given)
        return CKR_ARGUMENTS_BAD;
    if (!said || !*said)
        return CKR_FUNCTION_CANCELED;
    *value = (CK_BYTE *)said;
    *length = strlen(said);
    return CKR_OK;
}

static CK_RV keypad_C_Login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_BYTE *pin, CK_ULONG length) {
    CK_RV rv = typed(user == CKU_SO ? "KEYPAD_USER_CODE" : "KEYPAD_PIN", pin, &pin, &length);
    if (rv == CKR_OK)
        rv = real->C_Login(session, user, pin, length);
    if (rv == CKR_OK)
        is_so = user == CKU_SO;
    return rv;
}

static CK_RV keypad_C_Logout(CK_SESSION_HANDLE session) {
    is_so = CK_FALSE;
    return real->C_Logout(session);
}

static CK_RV keypad_C_CloseSession(CK_SESSION_HANDLE session) {
    is_so = CK_FALSE;
    return real->C_CloseSession(session);
}

static CK_RV keypad_C_InitPIN(CK_SESSION_HANDLE session, CK_BYTE *pin, CK_ULONG length) {
    CK_RV rv = typed("KEYPAD_NEW", pin, &pin, &length);
    if (rv == CKR_OK)
        rv = real->C_InitPIN(session, pin, length);
    if (rv == CKR_OK)
        setenv("KEYPAD_PIN", getenv("KEYPAD_NEW"), 1); /* the person types the new one from now on */
    return rv;
}

static CK_RV keypad_C_SetPIN(CK_SESSION_HANDLE session, CK_BYTE *old, CK_ULONG old_length, CK_BYTE *new,
                             CK_ULONG new_length) {
    CK_RV rv = typed(is_so ? "KEYPAD_USER_CODE" : "KEYPAD_PIN", old, &old, &old_length);
    if (rv == CKR_OK)
        rv = typed("KEYPAD_NEW", new, &new, &new_length);
    return rv == CKR_OK ? real->C_SetPIN(session, old, old_length, new, new_length) : rv;
}

static CK_RV keypad_C_GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO *info) {
    CK_RV rv = real->C_GetTokenInfo(slot, info);
    if (rv == CKR_OK)
        info->flags |= CKF_PROTECTED_AUTHENTICATION_PATH;
    return rv;
}

EXPORTED CK_RV C_GetFunctionList(CK_FUNCTION_LIST **out) {
    if (!real) {
        void *library = dlopen(getenv("KEYPAD_REAL"), RTLD_NOW | RTLD_LOCAL);
        CK_RV (*get)(CK_FUNCTION_LIST **) =
            library ? (CK_RV (*)(CK_FUNCTION_LIST **))dlsym(library, "C_GetFunctionList") : NULL;
        if (!get || get(&real) != CKR_OK)
            return CKR_GENERAL_ERROR;
        list = *real;
        list.C_GetFunctionList = C_GetFunctionList;
        list.C_GetTokenInfo = keypad_C_GetTokenInfo;
        list.C_Login = keypad_C_Login;
        list.C_Logout = keypad_C_Logout;
        list.C_CloseSession = keypad_C_CloseSession;
        list.C_InitPIN = keypad_C_InitPIN;
        list.C_SetPIN = keypad_C_SetPIN;
    }
    *out = &list;
    return CKR_OK;
}
