/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a card remembers: the format of the card store. No secret is ever kept here.
 *
 * The store is a file of records of one size. The first is the store's own, every other one is a card's or
 * free. A record has two blocks with a slot at the beginning of each, then room for events. Slots are written
 * by turns, by the parity of their sequence, and the newest that is whole counts: a write that a crash cuts
 * off leaves the slot before. Using a card overwrites and never grows the file, so that a full disk cannot
 * come between spending a try and settling it.
 *
 * Numbers are in the machine's own order. The Python face (store.py) reads the #defines from here.
 */
#ifndef XCA_RECORD_H
#define XCA_RECORD_H

#include "rules.h"

#include <stdint.h>

#define XCA_STORE_FORMAT 0x58434104 /* "XCA" and the version of this file; any other is refused */
#define XCA_STORE_BLOCK  4096       /* what a disk may tear when its power fails */
#define XCA_STORE_EVENTS 512        /* of a card; a newer one overwrites the oldest */

/* The store's own slot has a sequence, and its generation as epoch; nothing else. */
struct record_slot {
    uint32_t checksum; /* crc32(3) of zlib, of all that follows */
    uint32_t format;
    int64_t sequence;     /* rises by one with every slot that is written to the record */
    int64_t epoch;        /* the store's generation at the last change of one of the card's secrets */
    int64_t pending;      /* the generation of a change that has begun and not ended; 0: none */
    int64_t activated_at; /* Unix seconds; 0: 未開卡 */
    int64_t events;       /* how many there have been */
    int32_t issued_on;    /* days since 1970-01-01, like the next; Taiwan's calendar (UTC+8) */
    int32_t activate_by;  /* this day counts until 24:00 in Taipei */
    int32_t tries[2];     /* left, of the PIN and of the user code */
    char number[XCA_CARD_NUMBER_LENGTH]; /* of the card; empty: a free record */
    char reader[128];                    /* UTF-8, padded with nulls like the next */
    char model[32];
};

struct record_event {
    uint32_t checksum; /* crc32(3) of zlib, of all that follows */
    uint32_t result;   /* the CK_RV that the caller was given */
    int64_t number;    /* from 1; its place is the remainder by XCA_STORE_EVENTS */
    int64_t at;        /* Unix seconds */
    char event[24];
    char program[80]; /* XCA_PROGRAM, else the process's name; printable ASCII */
};

struct record {
    struct {
        struct record_slot slot;
        char rest[XCA_STORE_BLOCK - sizeof(struct record_slot)];
    } blocks[2];
    struct record_event events[XCA_STORE_EVENTS];
};

_Static_assert(sizeof(struct record_slot) == 240, "as in store.py");
_Static_assert(sizeof(struct record_event) == 128, "as in store.py");

#endif
