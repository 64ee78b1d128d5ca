/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

#include "config.h"
#include "epochs.h"
#include "log.h"
#include "record.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#define SECONDS_A_DAY       INT64_C(86400)
#define TAIPEI_AHEAD_OF_UTC INT64_C(28800)

/* The store's own record. */
#define OWN 0

/* The open store: one call at a time has it, since those that open it keep one another out (lock.h). */
static struct store {
    int file;
    bool locked;
    int64_t place; /* of the card's record in the file */
    struct record_slot own, card;
} opened = {.file = -1};

static bool store_fail(const char *what) {
    log_line(LOG_ERROR, "card store %s: %s", config.store, what);
    return false;
}

/* Returns why the content of a store cannot be trusted: it belongs to another user, or others may write it.
 * NULL: it can. */
static const char *store_why_not_ours(int file) {
    struct stat facts;
    if (fstat(file, &facts) != 0) {
        return strerror(errno);
    }
    if (!S_ISREG(facts.st_mode)) {
        return "not a regular file";
    }
    if (facts.st_uid != geteuid()) {
        return "belongs to another user";
    }
    return (facts.st_mode & (S_IWGRP | S_IWOTH)) != 0 ? "others may write it" : NULL;
}

static uint32_t store_checksum(const void *of, size_t size) {
    const uint32_t *after = (const uint32_t *)of + 1;
    return (uint32_t)crc32(0, (const Bytef *)after, (uInt)(size - sizeof *after));
}

static off_t store_offset_of(int64_t place) {
    return (off_t)(place * (int64_t)sizeof(struct record));
}

static bool store_is_whole(const struct record_slot *slot, int block) {
    return slot->format == XCA_STORE_FORMAT && slot->checksum == store_checksum(slot, sizeof *slot) &&
           slot->sequence >= 0 && slot->sequence % 2 == block;
}

enum store_found { FOUND, NOTHING_WHOLE, END_OF_FILE };

/* The newest whole slot of a record. */
static enum store_found store_read_slot(int file, int64_t place, struct record_slot *slot) {
    struct record_slot slots[2];
    for (int block = 0; block < 2; block++) {
        off_t offset = store_offset_of(place) + block * XCA_STORE_BLOCK;
        if (pread(file, &slots[block], sizeof slots[block], offset) != sizeof slots[block]) {
            return END_OF_FILE;
        }
    }
    /* The older slot's checksum is needed only where the newer one is not whole. */
    int newer = slots[1].sequence > slots[0].sequence;
    int newest = store_is_whole(&slots[newer], newer) ? newer : !newer;
    if (newest != newer && !store_is_whole(&slots[newest], newest)) {
        return NOTHING_WHOLE;
    }
    *slot = slots[newest];
    return FOUND;
}

static bool store_put(int file, const void *content, size_t size, off_t offset) {
    ssize_t written = pwrite(file, content, size, offset);
    if (written >= 0 && (size_t)written < size) {
        errno = ENOSPC; /* pwrite(2) gives no reason when it writes only a part */
    }
    return written >= 0 && (size_t)written == size;
}

/* Overwrites the older slot of the record. True: the new one is on the disk. */
static bool store_write_slot(int file, int64_t place, struct record_slot *slot) {
    if (slot->sequence == INT64_MAX) {
        return store_fail("its sequence is used up");
    }
    slot->sequence++;
    slot->checksum = store_checksum(slot, sizeof *slot);
    off_t offset = store_offset_of(place) + slot->sequence % 2 * XCA_STORE_BLOCK;
    return (store_put(file, slot, sizeof *slot, offset) && fdatasync(file) == 0) ||
           store_fail(strerror(errno));
}

static bool store_write_card(struct store *store) {
    return store_write_slot(store->file, store->place, &store->card) &&
           epochs_forward(store->own.epoch, store->card.number, store->card.epoch, store->card.sequence);
}

static bool store_read_own(struct store *store) {
    if (store_read_slot(store->file, OWN, &store->own) != FOUND) {
        log_line(LOG_ERROR,
                 "card store %s: damaged, or made by another version (this one reads format 0x%08x)",
                 config.store, (unsigned)XCA_STORE_FORMAT);
        return false;
    }
    return store->own.epoch >= 0 || store_fail("its generation is negative");
}

/* 0, or what fcntl(2) says. */
static int store_lock_file(short type) {
    struct flock whole_file = {.l_type = type, .l_whence = SEEK_SET};
    return fcntl(opened.file, F_OFD_SETLK, &whole_file) == 0 ? 0 : errno;
}

/* Whoever changes the store locks it too: somebody may have put another lock file in the place of the one
 * that another program holds. */
static const char *store_why_not_writable(void) {
    int error = store_lock_file(F_WRLCK);
    opened.locked = error == 0;
    if (error == EAGAIN || error == EACCES) {
        return "another program, which holds another lock file, is changing it";
    }
    return error != 0 ? strerror(error) : NULL;
}

struct store *store_open(bool for_writing) {
    if (*config.store == '\0') {
        store_fail("no path is configured and HOME is not set");
        return NULL;
    }
    opened.file = open(config.store, (for_writing ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    const char *why_not = opened.file < 0 ? strerror(errno) : store_why_not_ours(opened.file);
    if (why_not == NULL && for_writing) {
        why_not = store_why_not_writable();
    }
    if (why_not != NULL) {
        store_fail(why_not);
        store_close(&opened);
        return NULL;
    }
    return &opened;
}

void store_close(struct store *store) {
    if (store->locked) {
        store_lock_file(F_UNLCK); /* not by closing alone, as in lock.c */
    }
    store_close_in_child();
}

void store_close_in_child(void) {
    if (opened.file >= 0) {
        close(opened.file);
    }
    opened.file = -1;
    opened.locked = false;
}

static bool store_find_card(struct store *store, const char *number) {
    if (*number == '\0') {
        return false; /* a token's label may have no number after the prefix, and free records have none
                         either */
    }
    enum store_found found = FOUND;
    for (int64_t place = OWN + 1; found != END_OF_FILE; place++) {
        found = store_read_slot(store->file, place, &store->card);
        if (found == FOUND && memcmp(store->card.number, number, sizeof store->card.number) == 0) {
            store->place = place;
            return true;
        }
    }
    return false;
}

static bool store_no_card_can_have(const struct record_slot *card, int64_t generation) {
    for (int secret = 0; secret < 2; secret++) {
        if (card->tries[secret] < 0 || card->tries[secret] > XCA_MAX_TRIES) {
            return true;
        }
    }
    bool pending_is_newest = card->pending > card->epoch && card->pending <= generation;
    return card->epoch < 0 || card->epoch > generation || (card->pending != 0 && !pending_is_newest) ||
           card->events < 0 || card->events == INT64_MAX;
}

static bool store_is_past(int32_t day) {
    return (time(NULL) + TAIPEI_AHEAD_OF_UTC) / SECONDS_A_DAY > day;
}

bool store_read(struct store *store, const char *number, struct store_row *row) {
    if (!store_read_own(store)) {
        return false;
    }
    const struct record_slot *card = &store->card;
    if (!store_find_card(store, number) || store_no_card_can_have(card, store->own.epoch)) {
        log_line(LOG_ERROR, "card store %s: no usable row for card %s", config.store, number);
        return false;
    }
    if (!epochs_forward(store->own.epoch, number, card->epoch, card->sequence)) {
        return store_fail("older than it was; when that is meant, start the program again");
    }
    snprintf(row->reader, sizeof row->reader, "%.*s", (int)sizeof card->reader, card->reader);
    snprintf(row->model, sizeof row->model, "%.*s", (int)sizeof card->model, card->model);
    row->activated = card->activated_at != 0;
    row->lapsed = !row->activated && store_is_past(card->activate_by);
    row->tries[SECRET_PIN] = card->tries[SECRET_PIN];
    row->tries[SECRET_USER_CODE] = card->tries[SECRET_USER_CODE];
    row->epoch = card->epoch;
    row->pending = card->pending != 0;
    return true;
}

static bool store_write_event(const struct store *store, const struct record_event *event) {
    off_t offset = store_offset_of(store->place) + (off_t)offsetof(struct record, events) +
                   event->number % XCA_STORE_EVENTS * (off_t)sizeof *event;
    return store_put(store->file, event, sizeof *event, offset) || store_fail(strerror(errno));
}

/* Makes sure that settling will not fail for want of space. A copied store may have holes where there were
 * zeros, which are filled here. A process may be forbidden to write that far into a file: the coming event,
 * the farthest write, is tried here. */
static bool store_can_settle(const struct store *store) {
    off_t begin = store_offset_of(store->place);
    off_t hole = lseek(store->file, begin, SEEK_HOLE);
    if (hole >= 0 && hole < begin + (off_t)sizeof(struct record) &&
        fallocate(store->file, 0, begin, sizeof(struct record)) != 0 && errno != EOPNOTSUPP) {
        return store_fail(strerror(errno));
    }
    return store_write_event(store, &(struct record_event){.number = store->card.events + 1});
}

/* The generation first: no card is ever ahead of its store. */
static bool store_raise_generation(struct store *store) {
    if (store->own.epoch == INT64_MAX) {
        return store_fail("its generations are used up");
    }
    store->own.epoch++;
    store->card.pending = store->own.epoch;
    return store_write_slot(store->file, OWN, &store->own);
}

/* The card's epoch becomes the generation of the change. Processes that initialised before the change began
 * have an older generation; those that initialised later have seen the change. */
static void store_end_change(struct record_slot *card) {
    card->epoch = card->pending;
    card->pending = 0;
}

bool store_end_pending(struct store *store) {
    store_end_change(&store->card);
    return store_write_card(store);
}

bool store_spend(struct store *store, enum secret secret, bool begins_change) {
    if (store->card.tries[secret] <= 0 || !store_can_settle(store) ||
        (begins_change && !store_raise_generation(store))) {
        return false;
    }
    store->card.tries[secret]--;
    return store_write_card(store);
}

bool store_begin_change(struct store *store) {
    return store_can_settle(store) && store_raise_generation(store) && store_write_card(store);
}

/* The event is durable once the slot that counts it is. */
static bool store_record_event(struct store *store, const struct store_outcome *outcome) {
    struct record_event event = {
        .result = (uint32_t)outcome->result,
        .number = ++store->card.events,
        .at = time(NULL),
    };
    snprintf(event.event, sizeof event.event, "%s", outcome->event);
    log_program(event.program, sizeof event.program);
    event.checksum = store_checksum(&event, sizeof event);
    return store_write_event(store, &event);
}

bool store_settle(struct store *store, enum secret secret, struct store_outcome *outcome) {
    struct record_slot *card = &store->card;
    if (outcome->fill) {
        card->tries[secret] = XCA_MAX_TRIES;
    }
    if (outcome->give_back && card->tries[secret] < XCA_MAX_TRIES) {
        card->tries[secret]++;
    }
    if (outcome->activate) {
        time_t now = time(NULL);
        card->activated_at = now > 0 ? now : 1;
    }
    if (outcome->changed) {
        store_end_change(card);
    } else if (outcome->unchanged) {
        card->pending = 0;
    }
    outcome->epoch = card->epoch;
    return store_record_event(store, outcome) && store_write_card(store);
}

bool store_generation(int64_t *generation) {
    struct store *store = store_open(false);
    if (store == NULL) {
        return false;
    }
    bool read = store_read_own(store);
    *generation = store->own.epoch;
    store_close(store);
    return read;
}
