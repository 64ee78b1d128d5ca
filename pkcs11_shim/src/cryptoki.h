/* SPDX-License-Identifier: Apache-2.0 */
/* PKCS#11 2.40 from p11-kit's header, and what 3.0 adds to it (OASIS PKCS#11 3.0, sections 3.6 and 5). */
#ifndef XCA_CRYPTOKI_H
#define XCA_CRYPTOKI_H

#define CRYPTOKI_COMPAT 1
#include <p11-kit/pkcs11.h>

typedef struct {
    CK_UTF8CHAR_PTR pInterfaceName;
    CK_VOID_PTR pFunctionList;
    CK_FLAGS flags;
} CK_INTERFACE, *CK_INTERFACE_PTR, **CK_INTERFACE_PTR_PTR;

typedef CK_RV (*CK_C_GetInterfaceList)(CK_INTERFACE_PTR, CK_ULONG_PTR);
typedef CK_RV (*CK_C_GetInterface)(CK_UTF8CHAR_PTR, CK_VERSION_PTR, CK_INTERFACE_PTR_PTR, CK_FLAGS);
typedef CK_RV (*CK_C_LoginUser)(CK_SESSION_HANDLE, CK_USER_TYPE, CK_UTF8CHAR_PTR, CK_ULONG, CK_UTF8CHAR_PTR,
                                CK_ULONG);

typedef CK_RV (*CK_C_SessionCancel)(CK_SESSION_HANDLE, CK_FLAGS);

/* The functions after C_SessionCancel are handed on as they are: only their number matters here. */
#define CK_FUNCTIONS_AFTER_SESSION_CANCEL_3_0 20

typedef struct {
    CK_FUNCTION_LIST v2;
    CK_C_GetInterfaceList C_GetInterfaceList;
    CK_C_GetInterface C_GetInterface;
    CK_C_LoginUser C_LoginUser;
    CK_C_SessionCancel C_SessionCancel;
    void (*rest[CK_FUNCTIONS_AFTER_SESSION_CANCEL_3_0])(void);
} CK_FUNCTION_LIST_3_0;

#endif
