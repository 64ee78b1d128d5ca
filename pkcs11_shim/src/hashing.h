/* SPDX-License-Identifier: Apache-2.0 */
/* [quirks] hash = module; its replaced entries are declared in module.h. */
#ifndef XCA_HASHING_H
#define XCA_HASHING_H

#include "cryptoki.h"

/* Each before the sessions end. */
void hashing_forget(CK_SESSION_HANDLE session);
void hashing_forget_slot(CK_SLOT_ID slot);
void hashing_forget_all(void);

/* The session in which the inner module signs for a session: where CKU_CONTEXT_SPECIFIC logs in. The caller
 * holds a lock that keeps the session open. */
CK_SESSION_HANDLE hashing_signer(CK_SESSION_HANDLE session);

/* Gives the child of a fork locks of its own. Once a process. */
void hashing_survive_fork(void);

#endif
