/* SPDX-License-Identifier: Apache-2.0 */
/* The module as a whole: the inner module behind it and the entries that it puts in the inner module's place.
 */
#ifndef XCA_MODULE_H
#define XCA_MODULE_H

#include "cryptoki.h"

/* The inner module's lists; inner3 is NULL when it offers no 3.0 interface. Set once, before a list of ours
 * exists. */
extern const CK_FUNCTION_LIST *inner;
extern const CK_FUNCTION_LIST_3_0 *inner3;

/* lifecycle.c */
CK_RV card_C_Initialize(void *arguments);
CK_RV card_C_Finalize(void *reserved);

/* present.c */
CK_RV card_C_GetInfo(CK_INFO *info);
CK_RV card_C_GetSlotInfo(CK_SLOT_ID slot, CK_SLOT_INFO *info);
CK_RV card_C_GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO *info);

/* secrets.c */
CK_RV card_C_InitToken(CK_SLOT_ID slot, CK_UTF8CHAR *pin, CK_ULONG pin_length, CK_UTF8CHAR *label);
CK_RV card_C_InitPIN(CK_SESSION_HANDLE session, CK_UTF8CHAR *pin, CK_ULONG pin_length);
CK_RV card_C_SetPIN(CK_SESSION_HANDLE session, CK_UTF8CHAR *old, CK_ULONG old_length, CK_UTF8CHAR *new,
                    CK_ULONG new_length);
CK_RV card_C_Login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR *pin, CK_ULONG pin_length);
CK_RV card_C_LoginUser(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR *pin, CK_ULONG pin_length,
                       CK_UTF8CHAR *name, CK_ULONG name_length);

/* sessions.c */
CK_RV card_C_CloseSession(CK_SESSION_HANDLE session);
CK_RV card_C_CloseAllSessions(CK_SLOT_ID slot);
CK_RV card_C_Logout(CK_SESSION_HANDLE session);

/* objects.c */
CK_RV card_C_CreateObject(CK_SESSION_HANDLE session, CK_ATTRIBUTE *template, CK_ULONG length,
                          CK_OBJECT_HANDLE *object);
CK_RV card_C_CopyObject(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *template,
                        CK_ULONG length, CK_OBJECT_HANDLE *copy);
CK_RV card_C_DestroyObject(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object);
CK_RV card_C_SetAttributeValue(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *template,
                               CK_ULONG length);
CK_RV card_C_GenerateKey(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_ATTRIBUTE *template,
                         CK_ULONG length, CK_OBJECT_HANDLE *key);
CK_RV card_C_GenerateKeyPair(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism,
                             CK_ATTRIBUTE *public_template, CK_ULONG public_length,
                             CK_ATTRIBUTE *private_template, CK_ULONG private_length,
                             CK_OBJECT_HANDLE *public_key, CK_OBJECT_HANDLE *private_key);
CK_RV card_C_UnwrapKey(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE unwrapping,
                       CK_BYTE *wrapped, CK_ULONG wrapped_length, CK_ATTRIBUTE *template, CK_ULONG length,
                       CK_OBJECT_HANDLE *key);
CK_RV card_C_DeriveKey(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE base,
                       CK_ATTRIBUTE *template, CK_ULONG length, CK_OBJECT_HANDLE *key);

/* hashing.c */
CK_RV card_C_SignInit(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key);
CK_RV card_C_Sign(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG length, CK_BYTE *signature,
                  CK_ULONG *signature_length);
CK_RV card_C_SignUpdate(CK_SESSION_HANDLE session, CK_BYTE *part, CK_ULONG length);
CK_RV card_C_SignFinal(CK_SESSION_HANDLE session, CK_BYTE *signature, CK_ULONG *signature_length);
CK_RV card_C_SessionCancel(CK_SESSION_HANDLE session, CK_FLAGS flags);

#endif
