/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A host with threads that it stops in the middle of a call: at every function of the inner module that the
 * call comes to, and at every lock of the store's file. The module is loaded over minimal.c, the library
 * MINIMAL, as XCA_PKCS11_CONF says; its store is XCA_CARD_STORE, with both cards of minimal.h.
 *
 *   interleavings MODULE pairs | closers  public | user | so    who is logged in at the start
 *   interleavings MODULE handles | last-try | cancel | fork | orphan | unhindered | readers | replaced |
 *                                signing | fork-signing | loading | loading-in-time
 *
 * prints a line for everything that goes wrong.
 */
#include "../inner/minimal.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RW              (CKF_SERIAL_SESSION | CKF_RW_SESSION)
#define LENGTH(array)   (sizeof(array) / sizeof *(array))
#define MOST_THREADS    3
#define CLOSED          ((CK_STATE)99)
#define SECONDS_AT_MOST 300
#define CHILDS_SECONDS  60

static CK_FUNCTION_LIST *list;
static CK_FUNCTION_LIST_3_0 *list_3_0;
static CK_C_GetFunctionList renew_inner; /* puts the inner module's first secrets back */
static struct minimal *control;

static void must(bool holds, const char *what) {
    if (!holds) {
        printf("%s\n", what);
        exit(1);
    }
}
#define MUST(condition) must(condition, #condition)

/* Forks. The child ends in time, so that a check that fails is not waited for because of a child that has
 * stayed and holds its output open. */
static pid_t begin_child(void) {
    pid_t child = fork();
    MUST(child >= 0);
    if (child == 0) {
        alarm(CHILDS_SECONDS);
    }
    return child;
}

/* Stopping a thread */

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int point; /* the thread stops there; -1: nowhere */
    bool stopped, go;
} stop = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .point = -1};

static _Thread_local bool can_stop;
static _Thread_local int points;
static void (*entered)(const char *function);

static void pass_point(const char *function) {
    if (entered != NULL) {
        entered(function);
    }
    if (!can_stop || points++ != stop.point) {
        return;
    }
    int cancelability;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancelability);
    pthread_mutex_lock(&stop.mutex);
    stop.stopped = true;
    pthread_cond_broadcast(&stop.changed);
    while (!stop.go) {
        pthread_cond_wait(&stop.changed, &stop.mutex);
    }
    pthread_mutex_unlock(&stop.mutex);
    pthread_setcancelstate(cancelability, NULL);
    pthread_testcancel(); /* as in whatever waits in an inner module */
}

/* These are in place of the C library's. */

static int replace_from = -1, replace_to; /* lockings before which another lock file is put in its place */
static int lockings;

static void replace_lock_file(void);

int fcntl(int file, int command, ...) {
    va_list arguments;
    va_start(arguments, command);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    if (command == F_OFD_SETLK) {
        if (replace_from >= 0 && lockings >= replace_from && lockings < replace_to) {
            replace_lock_file();
        }
        lockings++;
        pass_point("fcntl");
    }
    return (int)syscall(SYS_fcntl, file, command, argument);
}

int fcntl64(int file, int command, ...) __attribute__((alias("fcntl")));

static bool time_stands_still;
static atomic_int hours; /* that the clock of what is remembered of wrong values is ahead */

int clock_gettime(clockid_t clock, struct timespec *time) {
    static struct timespec first;
    int result = (int)syscall(SYS_clock_gettime, clock, time);
    if (time_stands_still && clock == CLOCK_MONOTONIC) {
        first = first.tv_sec == 0 ? *time : first;
        *time = first;
    } else if (clock == CLOCK_BOOTTIME) {
        time->tv_sec += hours * 3600;
    }
    return result;
}

/* Calls */

struct run {
    const struct call *call;
    CK_SESSION_HANDLE session, first_session;
    char guess[9]; /* a wrong value that was never tried */
    CK_RV rv;
    pthread_t thread;
    atomic_int task; /* the thread's number; 0: it has not begun */
    atomic_bool done;
    bool can_stop;
    bool knows_plain; /* the thread has seen that the plain token is no card */
};

struct call {
    const char *name;
    CK_RV (*make)(struct run *run);
};

static CK_BYTE pin[] = MINIMAL_PIN, user_code[] = MINIMAL_USER_CODE, new_pin[] = "newpin-1",
               new_code[] = "NewCode-9";
#define VALUE(text) text, sizeof(text) - 1
#define GUESS(run)  (CK_BYTE *)(run)->guess, 8
static CK_BBOOL yes = CK_TRUE;
static CK_ATTRIBUTE on_token = {CKA_TOKEN, &yes, sizeof yes};
static CK_MECHANISM mechanism = {CKM_RSA_PKCS_KEY_PAIR_GEN, NULL, 0};

#define CALL(name, expression)                                                                               \
    static CK_RV name(struct run *run) {                                                                     \
        CK_OBJECT_HANDLE object, object2;                                                                    \
        CK_TOKEN_INFO info;                                                                                  \
        (void)run, (void)object, (void)object2, (void)info;                                                  \
        return expression;                                                                                   \
    }
CALL(login, list->C_Login(run->session, CKU_USER, VALUE(pin)))
CALL(login_wrong, list->C_Login(run->session, CKU_USER, GUESS(run)))
CALL(login_again, list->C_Login(run->session, CKU_CONTEXT_SPECIFIC, GUESS(run)))
CALL(login_user, list_3_0->C_LoginUser(run->session, CKU_USER, GUESS(run), NULL, 0))
CALL(so_login, list->C_Login(run->session, CKU_SO, VALUE(user_code)))
CALL(so_login_wrong, list->C_Login(run->session, CKU_SO, GUESS(run)))
CALL(set_pin, list->C_SetPIN(run->session, VALUE(pin), VALUE(new_pin)))
CALL(set_code, list->C_SetPIN(run->session, VALUE(user_code), VALUE(new_code)))
CALL(set_wrong, list->C_SetPIN(run->session, GUESS(run), VALUE(new_pin)))
CALL(init_pin, list->C_InitPIN(run->session, VALUE(new_pin)))
CALL(init_token,
     list->C_InitToken(MINIMAL_CARD_SLOT, GUESS(run), (CK_BYTE *)"another token                   "))
CALL(create, list->C_CreateObject(run->session, &on_token, 1, &object))
CALL(copy, list->C_CopyObject(run->session, 1, NULL, 0, &object))
CALL(destroy, list->C_DestroyObject(run->session, 1))
CALL(set_value, list->C_SetAttributeValue(run->session, 1, NULL, 0))
CALL(make_key, list->C_GenerateKey(run->session, &mechanism, &on_token, 1, &object))
CALL(make_pair, list->C_GenerateKeyPair(run->session, &mechanism, NULL, 0, &on_token, 1, &object, &object2))
CALL(unwrap, list->C_UnwrapKey(run->session, &mechanism, 1, (CK_BYTE *)"", 0, &on_token, 1, &object))
CALL(derive, list->C_DeriveKey(run->session, &mechanism, 1, &on_token, 1, &object))
CALL(show, list->C_GetTokenInfo(MINIMAL_CARD_SLOT, &info))
CALL(logout, list->C_Logout(run->session))
CALL(close_first, list->C_CloseSession(run->first_session))
CALL(close_all, list->C_CloseAllSessions(MINIMAL_CARD_SLOT))
CALL(finalize, list->C_Finalize(NULL))

/* Those that can be second come first: of the rest, others of them do the same to a login. */
#define SECONDS   14
#define ROW(name) {#name, name}
static const struct call calls[] = {
    ROW(login),       ROW(login_wrong), ROW(so_login),   ROW(set_pin),  ROW(set_code),
    ROW(set_wrong),   ROW(init_pin),    ROW(create),     ROW(destroy),  ROW(show),
    ROW(logout),      ROW(close_first), ROW(close_all),  ROW(finalize), ROW(so_login_wrong),
    ROW(login_again), ROW(login_user),  ROW(init_token), ROW(copy),     ROW(set_value),
    ROW(make_key),    ROW(make_pair),   ROW(unwrap),     ROW(derive),
};
static const struct call closers[] = {ROW(logout), ROW(close_first), ROW(close_all), ROW(finalize)};

static CK_SESSION_HANDLE open_session(CK_SLOT_ID slot) {
    CK_SESSION_HANDLE session;
    MUST(list->C_OpenSession(slot, RW, NULL, NULL, &session) == CKR_OK);
    return session;
}

/* Starts anew: the card's secrets as they were, all tries, two sessions, and who is logged in. */
static void reset(CK_STATE state, CK_SESSION_HANDLE sessions[2]) {
    CK_FUNCTION_LIST *ignored;
    hours++;
    list->C_Finalize(NULL);
    MUST(list->C_Initialize(NULL) == CKR_OK);
    MUST(renew_inner(&ignored) == CKR_OK);
    sessions[0] = open_session(MINIMAL_CARD_SLOT);
    sessions[1] = open_session(MINIMAL_CARD_SLOT);
    MUST(list->C_Login(sessions[0], CKU_SO, VALUE(user_code)) == CKR_OK);
    MUST(list->C_InitPIN(sessions[0], VALUE(pin)) == CKR_OK);
    if (state != CKS_RW_SO_FUNCTIONS) {
        MUST(list->C_Logout(sessions[0]) == CKR_OK);
    }
    if (state == CKS_RW_USER_FUNCTIONS) {
        MUST(list->C_Login(sessions[0], CKU_USER, VALUE(pin)) == CKR_OK);
    }
}

/* Everything that can be seen after calls. */
struct outcome {
    CK_RV answers[MOST_THREADS];
    CK_STATE state;
    CK_FLAGS flags;
    unsigned wrong[2];
};

static struct outcome look(const struct run *runs, int count, CK_SESSION_HANDLE session) {
    struct outcome outcome;
    CK_SESSION_INFO info = {.state = CLOSED};
    CK_TOKEN_INFO token;
    memset(&outcome, 0, sizeof outcome);
    for (int i = 0; i < count; i++) {
        outcome.answers[i] = runs[i].rv;
    }
    CK_RV rv = list->C_GetSessionInfo(session, &info);
    outcome.state = rv == CKR_OK ? info.state : CLOSED + rv;
    if (rv == CKR_CRYPTOKI_NOT_INITIALIZED) {
        MUST(list->C_Initialize(NULL) == CKR_OK);
    }
    MUST(list->C_GetTokenInfo(MINIMAL_CARD_SLOT, &token) == CKR_OK);
    outcome.flags = token.flags;
    memcpy(outcome.wrong, control->wrong, sizeof outcome.wrong);
    return outcome;
}

static void prepare(struct run *runs, int count, const struct call *const *which, CK_STATE state) {
    static unsigned guesses;
    CK_SESSION_HANDLE sessions[2];
    reset(state, sessions);
    for (int i = 0; i < count; i++) {
        runs[i] = (struct run){.call = which[i], .session = sessions[i > 0], .first_session = sessions[0]};
        snprintf(runs[i].guess, sizeof runs[i].guess, "g%07u", ++guesses);
    }
}

/* [quirks] hash = module */
static CK_RV sign(struct run *run) {
    static CK_MECHANISM with_hash = {CKM_SHA256_RSA_PKCS, NULL, 0};
    CK_BYTE signature[256];
    CK_ULONG length = sizeof signature;
    CK_RV rv = list->C_SignInit(run->session, &with_hash, 32); /* a key of 2048 bits */
    return rv == CKR_OK ? list->C_Sign(run->session, VALUE(pin), signature, &length) : rv;
}

static const struct call signing = {"sign", sign};

static void *carry_out(void *argument) {
    struct run *run = argument;
    CK_TOKEN_INFO info;
    if (run->knows_plain) {
        MUST(list->C_GetTokenInfo(MINIMAL_PLAIN_SLOT, &info) == CKR_OK);
    }
    can_stop = run->can_stop;
    points = 0;
    run->task = (int)syscall(SYS_gettid);
    run->rv = run->call->make(run);
    run->done = true;
    return NULL;
}

static void begin(struct run *run) {
    MUST(pthread_create(&run->thread, NULL, carry_out, run) == 0);
}

static bool sleeps(int process, int task) {
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/task/%d/stat", process, task);
    FILE *file = fopen(path, "re");
    bool read = file != NULL && fgets(line, sizeof line, file) != NULL;
    if (file != NULL) {
        fclose(file);
    }
    const char *name_end = read ? strrchr(line, ')') : NULL;
    return name_end != NULL && name_end[2] == 'S';
}

static void rest(void) {
    nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
}

/* Until the call is over or waits. Taking a slow call for one that waits only makes a run less strict. */
static void settle(const struct run *run) {
    for (int asleep = 0; !run->done && asleep < 4; rest()) {
        asleep = run->task != 0 && sleeps(getpid(), run->task) ? asleep + 1 : 0;
    }
}

static bool has_ended(int end) {
    struct pollfd pipe = {.fd = end, .events = POLLIN};
    return poll(&pipe, 1, 0) != 0;
}

static void settle_process(pid_t process, int end) {
    for (int asleep = 0; !has_ended(end) && asleep < 20; rest()) {
        asleep = sleeps(process, process) ? asleep + 1 : 0;
    }
}

/* Begins the call and waits until it stops; false: it ended without coming to that point. */
static bool begin_and_stop(struct run *run, int point) {
    stop.point = point;
    stop.stopped = stop.go = false;
    run->can_stop = true;
    begin(run);
    for (;;) {
        pthread_mutex_lock(&stop.mutex);
        bool stopped = stop.stopped;
        pthread_mutex_unlock(&stop.mutex);
        if (stopped || run->done) {
            return stopped;
        }
        rest();
    }
}

static void go_on(void) {
    pthread_mutex_lock(&stop.mutex);
    stop.go = true;
    pthread_cond_broadcast(&stop.changed);
    pthread_mutex_unlock(&stop.mutex);
}

static void join(struct run *run) {
    MUST(pthread_join(run->thread, NULL) == 0);
}

static void say(const char *what, const struct run *runs, int count, CK_STATE state, int point) {
    printf("%s: state %lu, point %d:", what, state, point);
    for (int i = 0; i < count; i++) {
        printf(" %s 0x%lx", runs[i].call->name, runs[i].rv);
    }
    printf("\n");
}

/* Every order of the calls, one after the other. */
static int in_order(const struct call *const *which, int count, CK_STATE state, struct outcome *outcomes) {
    static const int orders[6][3] = {{0, 1, 2}, {1, 0, 2}, {0, 2, 1}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    int number = count == 2 ? 2 : 6;
    for (int order = 0; order < number; order++) {
        struct run runs[MOST_THREADS];
        prepare(runs, count, which, state);
        for (int i = 0; i < count; i++) {
            struct run *run = &runs[orders[order][i]];
            run->rv = run->call->make(run);
        }
        outcomes[order] = look(runs, count, runs[0].session);
    }
    return number;
}

/* With the first call stopped at each of its points while the others are made, everything is as if the calls
 * had been made in some order. */
static void check_as_in_some_order(const struct call *const *which, int count, CK_STATE state) {
    struct outcome expected[6];
    int orders = in_order(which, count, state, expected);
    for (int point = 0;; point++) {
        struct run runs[MOST_THREADS];
        prepare(runs, count, which, state);
        bool stopped = begin_and_stop(&runs[0], point);
        for (int i = 1; stopped && i < count; i++) {
            begin(&runs[i]);
            settle(&runs[i]);
        }
        go_on();
        for (int i = 0; i < (stopped ? count : 1); i++) {
            join(&runs[i]);
        }
        if (!stopped) {
            return;
        }
        struct outcome outcome = look(runs, count, runs[0].session);
        bool found = false;
        for (int order = 0; order < orders; order++) {
            found = found || memcmp(&outcome, &expected[order], sizeof outcome) == 0;
        }
        if (!found) {
            say("as in no order", runs, count, state, point);
        }
    }
}

static CK_STATE start = CKS_RW_PUBLIC_SESSION;

static void pairs(void) {
    for (size_t first = 0; first < LENGTH(calls); first++) {
        for (size_t second = 0; second < SECONDS; second++) {
            const struct call *which[] = {&calls[first], &calls[second]};
            check_as_in_some_order(which, 2, start);
        }
    }
}

static void closers_of_secrets(void) {
    static const struct call firsts[] = {ROW(login),    ROW(login_wrong), ROW(so_login), ROW(set_pin),
                                         ROW(set_code), ROW(set_wrong),   ROW(init_pin)};
    for (size_t first = 0; first < LENGTH(firsts); first++) {
        for (size_t second = 0; second < LENGTH(closers); second++) {
            for (size_t third = 0; third < LENGTH(closers); third++) {
                const struct call *which[] = {&firsts[first], &closers[second], &closers[third]};
                check_as_in_some_order(which, 3, start);
            }
        }
    }
}

/* A handle that is used again */

static CK_SLOT_ID slot_of_new_session;

static CK_RV close_and_open(struct run *run) {
    list->C_CloseSession(run->first_session);
    list->C_OpenSession(slot_of_new_session, RW, NULL, NULL, &run->session);
    return CKR_OK;
}

static CK_RV start_again(struct run *run) {
    list->C_Finalize(NULL);
    list->C_Initialize(NULL);
    list->C_OpenSession(slot_of_new_session, RW, NULL, NULL, &run->session);
    return CKR_OK;
}

static unsigned asked(CK_SLOT_ID slot) {
    return slot == MINIMAL_PLAIN_SLOT ? control->asked : control->wrong[0] + control->wrong[1];
}

/* A value that is given to one token never reaches the other. */
static void check_handle(const struct call *first, const struct call *second, CK_SLOT_ID from) {
    slot_of_new_session = from == MINIMAL_CARD_SLOT ? MINIMAL_PLAIN_SLOT : MINIMAL_CARD_SLOT;
    const struct call *which[] = {first, second};
    for (int point = 0;; point++) {
        struct run runs[2];
        prepare(runs, 2, which, CKS_RW_PUBLIC_SESSION);
        MUST(list->C_CloseAllSessions(MINIMAL_CARD_SLOT) == CKR_OK);
        runs[0].session = runs[1].first_session = open_session(from);
        runs[0].knows_plain = true;
        control->asked = 0;
        bool stopped = begin_and_stop(&runs[0], point);
        if (stopped) {
            begin(&runs[1]);
            settle(&runs[1]);
        }
        go_on();
        join(&runs[0]);
        if (!stopped) {
            return;
        }
        join(&runs[1]);
        if (runs[1].session != runs[0].session) {
            say("another handle", runs, 2, CKS_RW_PUBLIC_SESSION, point);
        }
        if (asked(slot_of_new_session) != 0) {
            say("reached the other token", runs, 2, CKS_RW_PUBLIC_SESSION, point);
        }
        CK_TOKEN_INFO info;
        MUST(list->C_GetTokenInfo(slot_of_new_session, &info) == CKR_OK);
        if ((info.flags & (CKF_USER_PIN_COUNT_LOW | CKF_SO_PIN_COUNT_LOW)) != 0) {
            say("charged to the other token", runs, 2, CKS_RW_PUBLIC_SESSION, point);
        }
    }
}

static void handles(void) {
    static const struct call firsts[] = {ROW(login_wrong), ROW(so_login_wrong), ROW(login_user),
                                         ROW(set_wrong)};
    static const struct call seconds[] = {ROW(close_and_open), ROW(start_again)};
    for (int turn = 0; turn < 3; turn++) {
        control->second_card = turn < 2;
        for (size_t first = 0; first < LENGTH(firsts); first++) {
            for (size_t second = 0; second < LENGTH(seconds); second++) {
                check_handle(&firsts[first], &seconds[second],
                             turn == 0 ? MINIMAL_CARD_SLOT : MINIMAL_PLAIN_SLOT);
            }
        }
    }
}

/* [guard] keep_last_try, of a token that counts its own tries */

static void last_try(void) {
    static const struct call guesses[] = {ROW(login_wrong), ROW(login_user), ROW(set_wrong),
                                          ROW(login_again)};
    for (size_t first = 0; first < LENGTH(guesses); first++) {
        for (size_t second = 0; second < LENGTH(guesses); second++) {
            bool stopped = true;
            for (int point = 0; stopped; point++) {
                const struct call *which[] = {&guesses[first], &guesses[second]};
                struct run runs[2];
                prepare(runs, 2, which, CKS_RW_PUBLIC_SESSION);
                runs[0].session = open_session(MINIMAL_PLAIN_SLOT);
                runs[1].session = open_session(MINIMAL_PLAIN_SLOT);
                control->tries = 2;
                stopped = begin_and_stop(&runs[0], point);
                begin(&runs[1]);
                settle(&runs[1]);
                go_on();
                join(&runs[0]);
                join(&runs[1]);
                if (control->tries != 1) {
                    say("not one try left", runs, 2, CKS_RW_PUBLIC_SESSION, point);
                }
            }
        }
    }
}

/* Cancelled threads */

static int lock_file;

static void lock_store(short type) {
    struct flock range = {.l_type = type, .l_whence = SEEK_SET, .l_len = 1};
    MUST(syscall(SYS_fcntl, lock_file, F_OFD_SETLK, &range) == 0);
}

static void check_child(void) {
    pid_t child = begin_child();
    if (child == 0) {
        CK_SESSION_HANDLE sessions[2];
        reset(CKS_RW_USER_FUNCTIONS, sessions);
        _exit(0);
    }
    int status;
    MUST(waitpid(child, &status, 0) == child);
    must(status == 0, "a child does not reach the card");
}

static CK_RV initialize(struct run *run) {
    (void)run;
    return list->C_Initialize(NULL);
}

static void cancel_while_it_waits(const struct call *call) {
    struct run run;
    void *result = NULL;
    prepare(&run, 1, &call, call->make == init_pin ? CKS_RW_SO_FUNCTIONS : CKS_RW_PUBLIC_SESSION);
    lock_store(F_WRLCK);
    begin(&run);
    settle(&run);
    MUST(pthread_cancel(run.thread) == 0 && pthread_join(run.thread, &result) == 0);
    if (result != PTHREAD_CANCELED) {
        say("not cancelled while it waits", &run, 1, CKS_RW_PUBLIC_SESSION, 0);
    }
    lock_store(F_UNLCK);
    check_child();
}

static void cancel_at_every_point(const struct call *call) {
    bool stopped = true;
    for (int point = 0; stopped; point++) {
        struct run run;
        prepare(&run, 1, &call, CKS_RW_USER_FUNCTIONS);
        stopped = begin_and_stop(&run, point);
        pthread_cancel(run.thread);
        go_on();
        join(&run);
        CK_SESSION_HANDLE sessions[2];
        reset(CKS_RW_USER_FUNCTIONS, sessions);
    }
    check_child();
}

static void cancel(void) {
    static const struct call waits[] = {ROW(login),    ROW(login_wrong), ROW(set_pin),
                                        ROW(init_pin), ROW(create),      ROW(initialize)};
    for (size_t i = 0; i < LENGTH(waits); i++) {
        cancel_while_it_waits(&waits[i]);
    }
    cancel_at_every_point(&signing);
    for (size_t i = 0; i < LENGTH(calls); i++) {
        cancel_at_every_point(&calls[i]);
    }
}

/* Forks */

/* Stops a login in the inner module: the last function that it asks. */
static void stop_in_login(struct run *run) {
    static const struct call right = ROW(login);
    const struct call *which = &right;
    int point = 0;
    for (bool stopped = true; stopped; point++) {
        prepare(run, 1, &which, CKS_RW_PUBLIC_SESSION);
        stopped = begin_and_stop(run, point);
        go_on();
        join(run);
    }
    /* The points after the inner call are the unlocking alone. */
    prepare(run, 1, &which, CKS_RW_PUBLIC_SESSION);
    MUST(begin_and_stop(run, point - 4));
}

static bool has_store_open(void) {
    struct stat store, facts;
    MUST(stat(getenv("XCA_CARD_STORE"), &store) == 0);
    for (int file = 0; file < 1024; file++) {
        if (fstat(file, &facts) == 0 && facts.st_ino == store.st_ino && facts.st_dev == store.st_dev) {
            return true;
        }
    }
    return false;
}

static void fork_in_time(void) {
    struct run run;
    int ends[2];
    char byte;
    stop_in_login(&run);
    MUST(pipe(ends) == 0);
    pid_t child = begin_child();
    if (child == 0) {
        close(ends[1]);
        if (has_store_open()) {
            _exit(3); /* its parent's lock would last as long as it does */
        }
        MUST(read(ends[0], &byte, 1) == 0);
        /* The child has memory of half a decision: nothing is decided before a new C_Initialize. */
        if (list->C_Login(run.session, CKU_USER, VALUE(pin)) != CKR_DEVICE_REMOVED) {
            _exit(2);
        }
        CK_SESSION_HANDLE sessions[2];
        reset(CKS_RW_USER_FUNCTIONS, sessions);
        _exit(0);
    }
    go_on();
    join(&run);
    MUST(run.rv == CKR_OK);
    close(ends[1]);
    int status;
    MUST(waitpid(child, &status, 0) == child);
    must(status == 0, "the child of a fork in the middle of a login");
    check_child();
}

static void end_in_login(const char *function) {
    if (strcmp(function, "C_Login") == 0) {
        _exit(0);
    }
}

/* A process that forks while a thread waits for the file, and is gone before it unlocks it, leaves no lock in
 * its child. */
static void orphan(void) {
    int ends[2];
    MUST(pipe(ends) == 0);
    lock_store(F_WRLCK);
    pid_t parent = begin_child();
    if (parent == 0) {
        static const struct call right = ROW(login);
        struct run run = {.call = &right};
        close(lock_file);
        close(ends[0]);
        run.session = run.first_session = open_session(MINIMAL_CARD_SLOT);
        entered = end_in_login; /* before the child says that the file can be unlocked */
        begin(&run);
        settle(&run);
        if (begin_child() == 0) {
            pid_t child = getpid();
            MUST(write(ends[1], &child, sizeof child) == sizeof child);
            pause();
        }
        join(&run);
        _exit(1);
    }
    pid_t child;
    int status;
    close(ends[1]);
    MUST(read(ends[0], &child, sizeof child) == sizeof child);
    lock_store(F_UNLCK);
    MUST(waitpid(parent, &status, 0) == parent);
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    bool free = syscall(SYS_fcntl, lock_file, F_OFD_SETLK, &range) == 0;
    kill(child, SIGKILL);
    must(status == 0, "the parent does not end in its login");
    must(free, "the child keeps its parent's lock");
}

/* A call that waits for the file blocks no other call */

static void check_unhindered(const struct call *waiting, const struct call *other) {
    const struct call *which[] = {waiting, other};
    struct run runs[2];
    prepare(runs, 2, which, waiting->make == init_pin ? CKS_RW_SO_FUNCTIONS : CKS_RW_PUBLIC_SESSION);
    lock_store(F_WRLCK);
    begin(&runs[0]);
    settle(&runs[0]);
    other->make(&runs[1]);
    if (runs[0].done) {
        say("waits for the file too", runs, 2, CKS_RW_PUBLIC_SESSION, 0);
    }
    lock_store(F_UNLCK);
    join(&runs[0]);
}

static CK_RV fork_child(struct run *run) {
    (void)run;
    pid_t child = begin_child();
    if (child == 0) {
        _exit(0);
    }
    MUST(waitpid(child, NULL, 0) == child);
    return CKR_OK;
}

static void unhindered(void) {
    static const struct call waiting[] = {ROW(login), ROW(set_pin), ROW(init_pin), ROW(create),
                                          ROW(initialize)};
    static const struct call others[] = {ROW(logout), ROW(close_first), ROW(close_all), ROW(finalize),
                                         ROW(fork_child)};
    for (size_t first = 0; first < LENGTH(waiting); first++) {
        for (size_t second = 0; second < LENGTH(others); second++) {
            check_unhindered(&waiting[first], &others[second]);
        }
    }
}

/* Calls that decide come before calls that read */

/* A process that looks at the card once this program says so; then its end of a pipe closes. */
static pid_t reader(int *looked, int *say_so) {
    int to[2], from[2];
    char byte;
    MUST(pipe(to) == 0 && pipe(from) == 0);
    pid_t process = begin_child();
    if (process == 0) {
        close(to[1]);
        close(from[0]);
        MUST(read(to[0], &byte, 1) == 0);
        time_stands_still = true; /* so that its time limit is never reached */
        CK_TOKEN_INFO info;
        _exit(list->C_GetTokenInfo(MINIMAL_CARD_SLOT, &info) != CKR_OK);
    }
    close(to[0]);
    close(from[1]);
    *say_so = to[1];
    *looked = from[0];
    return process;
}

static void readers(void) {
    static const struct call right = ROW(login);
    const struct call *which = &right;
    struct run run;
    int looked, say_so, status;
    prepare(&run, 1, &which, CKS_RW_PUBLIC_SESSION);
    pid_t process = reader(&looked, &say_so);
    lock_store(F_RDLCK); /* another reader, at work */
    begin(&run);
    settle(&run);
    close(say_so);
    settle_process(process, looked);
    must(!run.done && !has_ended(looked), "a reader comes before a login that waits");
    lock_store(F_UNLCK);
    join(&run);
    MUST(run.rv == CKR_OK);
    MUST(waitpid(process, &status, 0) == process && status == 0);
}

/* Another lock file in the place of the one that was opened */

static char lock_path[4096];
static bool unlocked; /* the inner module was asked while the file at the lock's path could be locked */

static void replace_lock_file(void) {
    char new_path[sizeof lock_path + sizeof ".new"];
    snprintf(new_path, sizeof new_path, "%s.new", lock_path);
    int file = open(new_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    MUST(file >= 0 && close(file) == 0 && rename(new_path, lock_path) == 0);
}

static void look_whether_locked(const char *function) {
    static const char *const locked[] = {"C_GetTokenInfo", "C_Login", "C_SetPIN", "C_InitPIN"};
    for (size_t i = 0; i < LENGTH(locked); i++) {
        if (strcmp(function, locked[i]) == 0) {
            struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
            int file = open(lock_path, O_RDWR | O_CLOEXEC);
            MUST(file >= 0);
            unlocked = unlocked || syscall(SYS_fcntl, file, F_OFD_SETLK, &range) == 0;
            close(file);
        }
    }
}

static void check_replaced(const struct call *call, CK_RV expected, int from, int to) {
    struct run run;
    prepare(&run, 1, &call, call->make == init_pin ? CKS_RW_SO_FUNCTIONS : CKS_RW_PUBLIC_SESSION);
    lockings = 0;
    replace_to = to;
    replace_from = from;
    unlocked = false;
    entered = look_whether_locked;
    run.rv = call->make(&run);
    entered = NULL;
    replace_from = -1;
    if (run.rv != expected) {
        say("another answer", &run, 1, CKS_RW_PUBLIC_SESSION, from);
    }
    if (unlocked) {
        say("not locked at its path", &run, 1, CKS_RW_PUBLIC_SESSION, from);
    }
}

static void replaced(void) {
    static const struct call deciding[] = {ROW(login), ROW(set_pin), ROW(init_pin)}, showing = ROW(show);
    for (size_t i = 0; i < LENGTH(deciding); i++) {
        check_replaced(&deciding[i], CKR_OK, 0, 1); /* before it says that it decides */
        check_replaced(&deciding[i], CKR_OK, 1, 2); /* before it locks */
        check_replaced(&deciding[i], CKR_OK, 0, 8);
    }
    check_replaced(&showing, CKR_OK, 0, 1);
    check_replaced(&showing, CKR_OK, 0, 8);
    check_replaced(&showing, CKR_DEVICE_ERROR, 0, INT_MAX); /* in the end it gives up */
}

/* [quirks] hash = module: signatures in several threads */

static void prepare_signing(struct run runs[2], const struct call *second) {
    const struct call *which[] = {&signing, second};
    prepare(runs, 2, which, CKS_RW_USER_FUNCTIONS);
}

/* A signature that is stopped keeps nobody from signing in another session. */
static void sign_beside(void) {
    struct run runs[2];
    bool stopped = true;
    for (int point = 0; stopped; point++) {
        prepare_signing(runs, &signing);
        stopped = begin_and_stop(&runs[0], point);
        runs[1].rv = sign(&runs[1]);
        go_on();
        join(&runs[0]);
        if (runs[0].rv != CKR_OK || runs[1].rv != CKR_OK) {
            say("no signature", runs, 2, CKS_RW_USER_FUNCTIONS, point);
        }
    }
}

/* In one session, calls and closers wait for each other or find nothing; the session can be used afterwards.
 */
static void sign_together(const struct call *second) {
    struct run runs[2];
    bool stopped = true;
    for (int point = 0; stopped; point++) {
        CK_SESSION_HANDLE sessions[2];
        prepare_signing(runs, second);
        runs[1].session = runs[0].session;
        stopped = begin_and_stop(&runs[0], point);
        begin(&runs[1]);
        settle(&runs[1]);
        go_on();
        join(&runs[0]);
        join(&runs[1]);
        if (runs[0].rv != CKR_OK && runs[1].rv != CKR_OK) {
            say("nothing done", runs, 2, CKS_RW_USER_FUNCTIONS, point);
        }
        reset(CKS_RW_USER_FUNCTIONS, sessions);
        runs[0].session = sessions[0];
        MUST(sign(&runs[0]) == CKR_OK);
    }
}

static void signatures(void) {
    static const struct call seconds[] = {ROW(sign), ROW(close_first), ROW(close_all), ROW(finalize)};
    alarm(120);
    sign_beside();
    for (size_t i = 0; i < LENGTH(seconds); i++) {
        sign_together(&seconds[i]);
    }
}

/* In a child, the signature that another thread of its parent was at work on is no more; the others go on. */
static void fork_signing(void) {
    struct run runs[2];
    bool stopped = true;
    for (int point = 0; stopped; point++) {
        CK_BYTE signature[256];
        CK_ULONG length = sizeof signature;
        prepare_signing(runs, &signing);
        stopped = begin_and_stop(&runs[0], point);
        pid_t child = begin_child();
        if (child == 0) {
            MUST(sign(&runs[1]) == CKR_OK);
            MUST(list->C_Sign(runs[0].session, VALUE(pin), signature, &length) ==
                 CKR_OPERATION_NOT_INITIALIZED);
            MUST(sign(&runs[0]) == CKR_OK);
            MUST(list->C_Finalize(NULL) == CKR_OK);
            _exit(0);
        }
        int status;
        MUST(waitpid(child, &status, 0) == child);
        if (status != 0) {
            say("the child does not sign", runs, 1, CKS_RW_USER_FUNCTIONS, point);
        }
        go_on();
        join(&runs[0]);
        MUST(runs[0].rv == CKR_OK);
    }
}

/* A fork while another thread loads the inner module */

static CK_C_GetFunctionList get_list;

static CK_RV load(struct run *run) {
    (void)run;
    return get_list(&list);
}

static const struct call loading = ROW(load);

static void load_in_child(void) {
    MUST(get_list(&list) == CKR_OK);
    CK_SESSION_HANDLE sessions[2];
    reset(CKS_RW_USER_FUNCTIONS, sessions);
}

static CK_RV fork_and_load(struct run *run) {
    (void)run;
    pid_t child = begin_child();
    if (child == 0) {
        load_in_child();
        _exit(0);
    }
    int status;
    MUST(waitpid(child, &status, 0) == child);
    must(status == 0, "a child does not load the inner module");
    return CKR_OK;
}

/* The thread that loads is stopped in the inner module: for as long as the fork lasts, or until it waits. */
static void fork_while_loading(bool in_time) {
    static const struct call forks = ROW(fork_and_load);
    struct run runs[2] = {{.call = &loading}, {.call = &forks}};
    control->enter = pass_point;
    MUST(begin_and_stop(&runs[0], 0));
    begin(&runs[1]);
    if (in_time) {
        settle(&runs[1]);
        go_on();
        join(&runs[1]);
    } else {
        join(&runs[1]);
        go_on();
    }
    join(&runs[0]);
    MUST(runs[0].rv == CKR_OK);
}

int main(int count, char **arguments) {
    static const struct {
        const char *name;
        void (*check)(void);
    } checks[] = {{"pairs", pairs},        {"closers", closers_of_secrets},
                  {"handles", handles},    {"last-try", last_try},
                  {"cancel", cancel},      {"fork", fork_in_time},
                  {"orphan", orphan},      {"unhindered", unhindered},
                  {"readers", readers},    {"replaced", replaced},
                  {"signing", signatures}, {"fork-signing", fork_signing}};
    must(count >= 3, "usage: interleavings MODULE CHECK [START]");
    if (count == 4) {
        start = strcmp(arguments[3], "so") == 0     ? CKS_RW_SO_FUNCTIONS
                : strcmp(arguments[3], "user") == 0 ? CKS_RW_USER_FUNCTIONS
                                                    : CKS_RW_PUBLIC_SESSION;
    }
    alarm(SECONDS_AT_MOST);
    snprintf(lock_path, sizeof lock_path, "%s.lock", getenv("XCA_CARD_STORE"));
    lock_file = open(lock_path, O_RDWR | O_CLOEXEC);
    void *module = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    void *library = dlopen(getenv("MINIMAL"), RTLD_NOW | RTLD_LOCAL);
    must(lock_file >= 0 && module != NULL && library != NULL, "what it needs is not there");
    minimal_function *inner;
    CK_C_GetInterface get_interface;
    CK_INTERFACE *interface = NULL;
    *(void **)&get_list = dlsym(module, "C_GetFunctionList");
    *(void **)&get_interface = dlsym(module, "C_GetInterface");
    *(void **)&renew_inner = dlsym(library, "C_GetFunctionList");
    *(void **)&inner = dlsym(library, "minimal");
    control = inner();
    if (strncmp(arguments[2], "loading", strlen("loading")) == 0) {
        fork_while_loading(strcmp(arguments[2], "loading-in-time") == 0);
        return 0;
    }
    MUST(get_list(&list) == CKR_OK && get_interface(NULL, NULL, &interface, 0) == CKR_OK);
    list_3_0 = interface->pFunctionList;
    MUST(list->C_Initialize(NULL) == CKR_OK);
    control->enter = pass_point;
    for (size_t i = 0; i < LENGTH(checks); i++) {
        if (strcmp(arguments[2], checks[i].name) == 0) {
            checks[i].check();
            return 0;
        }
    }
    must(false, "no such check");
}
