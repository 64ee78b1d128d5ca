/* SPDX-License-Identifier: Apache-2.0 */
/* A guarded call: which card it is about is looked up with the lock held that keeps the answer true until the
 * call is done. */
#ifndef XCA_GUARD_H
#define XCA_GUARD_H

#include "card.h"
#include "lock.h"

/* What a guarded call is about. With GUARD_SECRET the store's file stays locked if the token is a card. With
 * GUARD_LAST_TRY it stays locked for every token, because its flags tell whether a try is its last. */
enum guard_kind { GUARD_OBJECT, GUARD_SECRET, GUARD_LAST_TRY };

struct guard {
    enum guard_kind kind;
    bool held;
    struct lock lock;
    CK_SESSION_INFO info; /* guard_session only */
    struct card card;
};

/*
 * CKR_OK: the caller decides, makes the inner call, and calls guard_end. Otherwise what the lookup answered,
 * and nothing is held: then nothing may be forwarded.
 */
CK_RV guard_session(struct guard *guard, CK_SESSION_HANDLE session, enum guard_kind kind);
CK_RV guard_slot(struct guard *guard, CK_SLOT_ID slot, enum guard_kind kind);

/* Does nothing when nothing is held. Returns its second argument. */
CK_RV guard_end(struct guard *guard, CK_RV rv);

/* Called after C_Finalize, with the lock held: calls that still wait then fail, since their sessions are
 * gone.
 */
void guard_forget_sessions(void);

#endif
