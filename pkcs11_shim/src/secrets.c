/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The four calls that try or set a PIN or a user code, and C_InitToken, which a card refuses. Every decision
 * runs under one exclusive lock: the row is read, a try is spent durably, the inner module is asked,
 * and what it answers is settled durably. A process that is killed anywhere in between leaves the try spent.
 */
#include "card.h"
#include "config.h"
#include "epochs.h"
#include "fetch.h"
#include "guard.h"
#include "hashing.h"
#include "log.h"
#include "module.h"
#include "remember.h"
#include "store.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct secrets_decision {
    const char *number;
    struct store *store;
    struct store_row row;
};

struct secrets_value {
    const CK_UTF8CHAR *text;
    CK_ULONG length;
};

/* A secret, where no other thread of the host can change it. */
struct secrets_copy {
    CK_UTF8CHAR text[XCA_USER_CODE_MAX];
};

/* Copies a secret and returns the copy. A secret that is too long is not copied: it is refused by its length.
 */
static CK_UTF8CHAR *secrets_copy_secret(struct secrets_copy *copy, const CK_UTF8CHAR *secret,
                                        CK_ULONG length) {
    if (length <= sizeof copy->text) {
        fetch(copy->text, secret, length);
    }
    return copy->text;
}

/* Whether tries can be counted, which takes a lock that nobody else has. */
static bool secrets_is_locked(const struct lock *lock, const char *number) {
    if (lock->file >= 0 && lock->error == 0) {
        return true;
    }
    log_line(LOG_ERROR, "card %s: the lock of the card store %s cannot be taken: %s", number, config.store,
             lock->error != 0 ? strerror(lock->error) : "no store is configured");
    return false;
}

/* With the lock held, reads the row and compares the epoch; on CKR_OK the caller calls secrets_end. */
static CK_RV secrets_begin(struct secrets_decision *decision, const struct guard *guard) {
    const char *number = decision->number = guard->card.number;
    if (!secrets_is_locked(&guard->lock, number)) {
        return CKR_DEVICE_ERROR;
    }
    decision->store = store_open(true);
    if (decision->store == NULL) {
        return CKR_DEVICE_ERROR;
    }
    CK_RV rv = CKR_DEVICE_ERROR;
    struct store_row *row = &decision->row;
    bool read = store_read(decision->store, number, row);
    if (read && row->pending) {
        log_line(LOG_INFO, "card %s: a change of its secrets was cut off", number);
        read = store_end_pending(decision->store) && store_read(decision->store, number, row);
    }
    if (read) {
        rv = epochs_current(number, row->epoch) ? CKR_OK : CKR_DEVICE_REMOVED;
    }
    if (rv == CKR_DEVICE_REMOVED) {
        log_line(LOG_INFO, "card %s: its secrets changed after this process initialised: initialise again",
                 number);
    }
    if (rv != CKR_OK) {
        store_close(decision->store);
    }
    return rv;
}

static void secrets_end(struct secrets_decision *decision) {
    store_close(decision->store);
}

/* The form of a secret; looking at it costs no try. */
static CK_RV secrets_check_form(enum secret secret, struct secrets_value value) {
    CK_ULONG least = secret == SECRET_PIN ? XCA_PIN_MIN : XCA_USER_CODE_MIN;
    CK_ULONG most = secret == SECRET_PIN ? XCA_PIN_MAX : XCA_USER_CODE_MAX;
    if (value.length < least || value.length > most) {
        return CKR_PIN_LEN_RANGE;
    }
    for (CK_ULONG i = 0; i < value.length; i++) {
        if (value.text[i] < XCA_CHAR_FIRST || value.text[i] > XCA_CHAR_LAST) {
            return CKR_PIN_INVALID;
        }
    }
    return CKR_OK;
}

/* Whether the secret may be tried at all. */
static CK_RV secrets_check_state(const struct secrets_decision *decision, enum secret secret) {
    const struct store_row *row = &decision->row;
    if (secret == SECRET_USER_CODE && row->lapsed) {
        log_line(LOG_ERROR, "card %s: not activated in time, its certificate lapses: CKR_PIN_EXPIRED",
                 decision->number);
        return CKR_PIN_EXPIRED;
    }
    if (secret == SECRET_PIN && !row->activated) {
        /* Logged as an error, because many tools tell their user only that the login failed. */
        log_line(LOG_ERROR,
                 "card %s is not activated yet (CKR_USER_PIN_NOT_INITIALIZED); next: xcactl activate",
                 decision->number);
        return CKR_USER_PIN_NOT_INITIALIZED;
    }
    return row->tries[secret] == 0 ? CKR_PIN_LOCKED : CKR_OK;
}

/* Whether this process must not spend a last try: [guard] keep_last_try says so, unless XCA_LAST_TRY=allow,
 * or the process itself, with XCA_LAST_TRY=keep. */
static bool secrets_keeps_last_try(void) {
    const char *said = secure_getenv("XCA_LAST_TRY");
    if (said != NULL && strcmp(said, "allow") == 0) {
        return false;
    }
    return config.guard_last_try || (said != NULL && strcmp(said, "keep") == 0);
}

static enum guard_kind secrets_kind_of_try(void) {
    return secrets_keeps_last_try() ? GUARD_LAST_TRY : GUARD_SECRET;
}

static CK_RV secrets_keep_last_try(bool is_last) {
    return is_last && secrets_keeps_last_try() ? CKR_FUNCTION_REJECTED : CKR_OK;
}

/* The same for a token that counts its own tries: only its flags tell that one is the last. */
static CK_RV secrets_keep_last_try_of_token(const struct guard *guard, CK_SLOT_ID slot, enum secret secret) {
    if (guard->kind != GUARD_LAST_TRY) {
        return CKR_OK;
    }
    CK_TOKEN_INFO info;
    CK_RV rv = inner->C_GetTokenInfo(slot, &info);
    CK_FLAGS final_try = secret == SECRET_PIN ? CKF_USER_PIN_FINAL_TRY : CKF_SO_PIN_FINAL_TRY;
    return rv == CKR_OK && (info.flags & final_try) != 0 ? CKR_FUNCTION_REJECTED : rv;
}

static CK_RV secrets_check_secret(const struct secrets_decision *decision, enum secret secret,
                                  struct secrets_value value) {
    CK_RV rv = secrets_check_state(decision, secret);
    if (rv == CKR_OK) {
        rv = secrets_check_form(secret, value);
    }
    if (rv == CKR_OK &&
        remember_is_wrong(decision->number, secret, decision->row.epoch, value.text, value.length)) {
        rv = CKR_PIN_INCORRECT;
    }
    return rv == CKR_OK ? secrets_keep_last_try(decision->row.tries[secret] == 1) : rv;
}

/* Answers that the inner module gives before it looks at the secret; measured for SoftHSM's
 * CKR_GENERAL_ERROR. */
static bool secrets_proves_not_looked_at(CK_RV rv) {
    switch (rv) {
    case CKR_USER_ALREADY_LOGGED_IN:
    case CKR_USER_ANOTHER_ALREADY_LOGGED_IN:
    case CKR_USER_PIN_NOT_INITIALIZED:
    case CKR_SESSION_READ_ONLY:
    case CKR_SESSION_READ_ONLY_EXISTS:
    case CKR_SESSION_HANDLE_INVALID:
    case CKR_OPERATION_NOT_INITIALIZED:
    case CKR_USER_TYPE_INVALID:
    case CKR_ARGUMENTS_BAD:
    case CKR_CRYPTOKI_NOT_INITIALIZED:
    case CKR_PIN_LEN_RANGE:
    case CKR_GENERAL_ERROR:
        return true;
    default:
        return false;
    }
}

/* Answers after which the secret certainly is what it was. After any other the change stays pending. */
static bool secrets_proves_unchanged(CK_RV rv) {
    switch (rv) {
    case CKR_PIN_INCORRECT:
    case CKR_PIN_INVALID:
    case CKR_PIN_LOCKED:
    case CKR_USER_NOT_LOGGED_IN:
    case CKR_FUNCTION_NOT_SUPPORTED:
        return true;
    default:
        return secrets_proves_not_looked_at(rv) && rv != CKR_GENERAL_ERROR;
    }
}

/* The outcome of a try. The wrong value that locks the secret is answered CKR_PIN_LOCKED. */
static struct store_outcome secrets_outcome_of_try(struct secrets_decision *decision, enum secret secret,
                                                   struct secrets_value value, CK_RV rv, const char *event) {
    struct store_outcome outcome = {.event = event, .result = rv};
    if (rv == CKR_OK) {
        outcome.fill = true;
        remember_forget(decision->number, secret);
    } else if (rv == CKR_PIN_INCORRECT) {
        remember_wrong(decision->number, secret, decision->row.epoch, value.text, value.length);
        outcome.result = decision->row.tries[secret] == 1 ? CKR_PIN_LOCKED : CKR_PIN_INCORRECT;
    } else {
        outcome.give_back = secrets_proves_not_looked_at(rv);
    }
    return outcome;
}

static void secrets_log_decision(const struct secrets_decision *decision,
                                 const struct store_outcome *outcome) {
    log_line(LOG_INFO, "card %s: %s answers 0x%lx", decision->number, outcome->event, outcome->result);
}

struct secrets_login {
    CK_SESSION_HANDLE session;
    CK_USER_TYPE user;
    CK_UTF8CHAR *pin;
    CK_ULONG pin_length;
    bool named; /* C_LoginUser */
    CK_UTF8CHAR *name;
    CK_ULONG name_length;
};

static enum secret secrets_secret_of(CK_USER_TYPE user) {
    return user == CKU_SO ? SECRET_USER_CODE : SECRET_PIN;
}

static CK_RV secrets_ask_inner(const struct secrets_login *login) {
    CK_SESSION_HANDLE session =
        login->user == CKU_CONTEXT_SPECIFIC ? hashing_signer(login->session) : login->session;
    return login->named ? inner3->C_LoginUser(session, login->user, login->pin, login->pin_length,
                                              login->name, login->name_length)
                        : inner->C_Login(session, login->user, login->pin, login->pin_length);
}

static CK_RV secrets_check_login_state(CK_STATE state, CK_USER_TYPE user) {
    bool is_user = state == CKS_RO_USER_FUNCTIONS || state == CKS_RW_USER_FUNCTIONS;
    bool is_so = state == CKS_RW_SO_FUNCTIONS;
    switch (user) {
    case CKU_SO:
        return is_so ? CKR_USER_ALREADY_LOGGED_IN : is_user ? CKR_USER_ANOTHER_ALREADY_LOGGED_IN : CKR_OK;
    case CKU_USER:
        return is_user ? CKR_USER_ALREADY_LOGGED_IN : is_so ? CKR_USER_ANOTHER_ALREADY_LOGGED_IN : CKR_OK;
    case CKU_CONTEXT_SPECIFIC:
        /* While the SO is logged in, the inner module compares the value with the user code. An operation
         * that the user began can still be there then, since it outlives a logout. */
        return is_so ? CKR_USER_ANOTHER_ALREADY_LOGGED_IN : CKR_OK;
    default:
        return CKR_USER_TYPE_INVALID;
    }
}

/* The event of a login. A program that logs in for one purpose may say so: XCA_PURPOSE. */
static const char *secrets_event_of_login(enum secret secret, CK_RV rv) {
    static const char *const purposes[] = {"sign", "decrypt"};
    if (secret == SECRET_USER_CODE) {
        return "verify-user-code";
    }
    const char *said = rv == CKR_OK ? secure_getenv("XCA_PURPOSE") : NULL;
    for (size_t i = 0; said != NULL && i < sizeof purposes / sizeof purposes[0]; i++) {
        if (strcmp(said, purposes[i]) == 0) {
            return purposes[i];
        }
    }
    return "verify-pin";
}

static CK_RV secrets_try_login(struct secrets_decision *decision, const struct secrets_login *login) {
    enum secret secret = secrets_secret_of(login->user);
    struct secrets_value value = {login->pin, login->pin_length};
    CK_RV rv = secrets_check_secret(decision, secret, value);
    if (rv != CKR_OK) {
        return rv;
    }
    if (!store_spend(decision->store, secret, false)) {
        return CKR_DEVICE_ERROR;
    }
    rv = secrets_ask_inner(login);
    struct store_outcome outcome =
        secrets_outcome_of_try(decision, secret, value, rv, secrets_event_of_login(secret, rv));
    secrets_log_decision(decision, &outcome);
    if (!store_settle(decision->store, secret, &outcome) && rv == CKR_OK) {
        /* The success could not be recorded: the login is undone. */
        inner->C_Logout(login->session);
        return CKR_DEVICE_ERROR;
    }
    return outcome.result;
}

static CK_RV secrets_login_to_card(const struct guard *guard, const struct secrets_login *login) {
    CK_RV rv = secrets_check_login_state(guard->info.state, login->user);
    if (rv == CKR_OK && login->pin == NULL) {
        rv = CKR_ARGUMENTS_BAD;
    }
    if (rv != CKR_OK) {
        return rv;
    }
    struct secrets_decision decision;
    rv = secrets_begin(&decision, guard);
    if (rv == CKR_OK) {
        struct secrets_copy pin;
        struct secrets_login taken = *login;
        taken.pin = secrets_copy_secret(&pin, login->pin, login->pin_length);
        rv = secrets_try_login(&decision, &taken);
        explicit_bzero(&pin, sizeof pin);
        secrets_end(&decision);
    }
    return rv;
}

static CK_RV secrets_login_to_other(const struct guard *guard, const struct secrets_login *login) {
    CK_RV rv = secrets_keep_last_try_of_token(guard, guard->info.slotID, secrets_secret_of(login->user));
    return rv == CKR_OK ? secrets_ask_inner(login) : rv;
}

static CK_RV secrets_guard_login(const struct secrets_login *login) {
    struct guard guard;
    CK_RV rv = guard_session(&guard, login->session, secrets_kind_of_try());
    if (rv != CKR_OK) {
        return rv;
    }
    rv = guard.card.is_card ? secrets_login_to_card(&guard, login) : secrets_login_to_other(&guard, login);
    return guard_end(&guard, rv);
}

CK_RV card_C_Login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR *pin, CK_ULONG pin_length) {
    struct secrets_login login = {.session = session, .user = user, .pin = pin, .pin_length = pin_length};
    return secrets_guard_login(&login);
}

CK_RV card_C_LoginUser(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR *pin, CK_ULONG pin_length,
                       CK_UTF8CHAR *name, CK_ULONG name_length) {
    struct secrets_login login = {session, user, pin, pin_length, true, name, name_length};
    return secrets_guard_login(&login);
}

/* Activates the card, or gives an activated one a new PIN: the user code was verified by this session's
 * login. */
static CK_RV secrets_try_init_pin(struct secrets_decision *decision, CK_SESSION_HANDLE session,
                                  CK_UTF8CHAR *pin, CK_ULONG pin_length) {
    if (decision->row.lapsed) {
        return CKR_PIN_EXPIRED;
    }
    CK_RV rv = secrets_check_form(SECRET_PIN, (struct secrets_value){pin, pin_length});
    if (rv != CKR_OK) {
        return rv;
    }
    if (!store_begin_change(decision->store)) {
        return CKR_DEVICE_ERROR;
    }
    rv = inner->C_InitPIN(session, pin, pin_length);
    bool done = rv == CKR_OK;
    struct store_outcome outcome = {
        .fill = done,
        .activate = done && !decision->row.activated,
        .changed = done,
        .unchanged = secrets_proves_unchanged(rv),
        .event = decision->row.activated ? "reset-pin" : "activate",
        .result = rv,
    };
    secrets_log_decision(decision, &outcome);
    if (!store_settle(decision->store, SECRET_PIN, &outcome)) {
        return done ? CKR_DEVICE_ERROR : rv;
    }
    if (done) {
        epochs_own(decision->number, outcome.epoch);
    }
    return rv;
}

static CK_RV secrets_init_pin_of_card(const struct guard *guard, CK_SESSION_HANDLE session, CK_UTF8CHAR *pin,
                                      CK_ULONG pin_length) {
    if (guard->info.state != CKS_RW_SO_FUNCTIONS) {
        return CKR_USER_NOT_LOGGED_IN;
    }
    if (pin == NULL) {
        return CKR_ARGUMENTS_BAD;
    }
    struct secrets_decision decision;
    CK_RV rv = secrets_begin(&decision, guard);
    if (rv == CKR_OK) {
        struct secrets_copy copy;
        rv =
            secrets_try_init_pin(&decision, session, secrets_copy_secret(&copy, pin, pin_length), pin_length);
        explicit_bzero(&copy, sizeof copy);
        secrets_end(&decision);
    }
    return rv;
}

CK_RV card_C_InitPIN(CK_SESSION_HANDLE session, CK_UTF8CHAR *pin, CK_ULONG pin_length) {
    struct guard guard;
    CK_RV rv = guard_session(&guard, session, GUARD_SECRET);
    if (rv != CKR_OK) {
        return rv;
    }
    rv = guard.card.is_card ? secrets_init_pin_of_card(&guard, session, pin, pin_length)
                            : inner->C_InitPIN(session, pin, pin_length);
    return guard_end(&guard, rv);
}

struct secrets_change {
    CK_SESSION_HANDLE session;
    enum secret secret;
    CK_UTF8CHAR *old, *new;
    CK_ULONG old_length, new_length;
};

static CK_RV secrets_try_set_pin(struct secrets_decision *decision, const struct secrets_change *change) {
    struct secrets_value old = {change->old, change->old_length};
    CK_RV rv = secrets_check_secret(decision, change->secret, old);
    if (rv != CKR_OK) {
        return rv;
    }
    if (!store_spend(decision->store, change->secret, true)) {
        return CKR_DEVICE_ERROR;
    }
    rv = inner->C_SetPIN(change->session, change->old, change->old_length, change->new, change->new_length);
    struct store_outcome outcome = secrets_outcome_of_try(
        decision, change->secret, old, rv, change->secret == SECRET_PIN ? "change-pin" : "change-user-code");
    outcome.changed = rv == CKR_OK;
    outcome.unchanged = secrets_proves_unchanged(rv);
    secrets_log_decision(decision, &outcome);
    if (!store_settle(decision->store, change->secret, &outcome)) {
        return rv == CKR_OK ? CKR_DEVICE_ERROR : outcome.result;
    }
    if (outcome.changed) {
        epochs_own(decision->number, outcome.epoch);
    }
    return outcome.result;
}

static CK_RV secrets_set_pin_of_card(const struct guard *guard, const struct secrets_change *change) {
    if (guard->info.state == CKS_RO_PUBLIC_SESSION || guard->info.state == CKS_RO_USER_FUNCTIONS) {
        return CKR_SESSION_READ_ONLY;
    }
    if (change->old == NULL || change->new == NULL) {
        return CKR_ARGUMENTS_BAD;
    }
    struct secrets_copy old, new;
    struct secrets_change taken = *change;
    taken.old = secrets_copy_secret(&old, change->old, change->old_length);
    taken.new = secrets_copy_secret(&new, change->new, change->new_length);
    struct secrets_decision decision;
    CK_RV rv = secrets_check_form(taken.secret, (struct secrets_value){taken.new, taken.new_length});
    if (rv == CKR_OK) {
        rv = secrets_begin(&decision, guard);
    }
    if (rv == CKR_OK) {
        rv = secrets_try_set_pin(&decision, &taken);
        secrets_end(&decision);
    }
    explicit_bzero(&old, sizeof old);
    explicit_bzero(&new, sizeof new);
    return rv;
}

static CK_RV secrets_set_pin_of_other(const struct guard *guard, const struct secrets_change *change) {
    CK_RV rv = secrets_keep_last_try_of_token(guard, guard->info.slotID, change->secret);
    return rv == CKR_OK ? inner->C_SetPIN(change->session, change->old, change->old_length, change->new,
                                          change->new_length)
                        : rv;
}

CK_RV card_C_SetPIN(CK_SESSION_HANDLE session, CK_UTF8CHAR *old, CK_ULONG old_length, CK_UTF8CHAR *new,
                    CK_ULONG new_length) {
    struct guard guard;
    CK_RV rv = guard_session(&guard, session, secrets_kind_of_try());
    if (rv != CKR_OK) {
        return rv;
    }
    enum secret secret = guard.info.state == CKS_RW_SO_FUNCTIONS ? SECRET_USER_CODE : SECRET_PIN;
    struct secrets_change change = {session, secret, old, new, old_length, new_length};
    rv = guard.card.is_card ? secrets_set_pin_of_card(&guard, &change)
                            : secrets_set_pin_of_other(&guard, &change);
    return guard_end(&guard, rv);
}

static CK_RV secrets_init_other_token(const struct guard *guard, CK_SLOT_ID slot, CK_UTF8CHAR *pin,
                                      CK_ULONG pin_length, CK_UTF8CHAR *label) {
    CK_TOKEN_INFO new;
    if (label != NULL) {
        fetch(new.label, label, sizeof new.label);
        label = new.label;
        /* A second token with a card's number would have tries of its own to fill that card's counters with.
         */
        if (memcmp(label, XCA_INNER_LABEL, sizeof XCA_INNER_LABEL - 1) == 0) {
            return CKR_TOKEN_WRITE_PROTECTED;
        }
    }
    CK_RV rv = secrets_keep_last_try_of_token(guard, slot, SECRET_USER_CODE);
    return rv == CKR_OK ? inner->C_InitToken(slot, pin, pin_length, label) : rv;
}

CK_RV card_C_InitToken(CK_SLOT_ID slot, CK_UTF8CHAR *pin, CK_ULONG pin_length, CK_UTF8CHAR *label) {
    struct guard guard;
    CK_RV rv = guard_slot(&guard, slot, secrets_kind_of_try());
    if (rv != CKR_OK) {
        return rv;
    }
    rv = guard.card.is_card ? CKR_TOKEN_WRITE_PROTECTED
                            : secrets_init_other_token(&guard, slot, pin, pin_length, label);
    return guard_end(&guard, rv);
}
