/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fuzzes what stands in the card store. The first byte of the input has one bit for each of the choices
 * below; the rest is patches: two bytes of place, one of length, then the bytes. Patches go anywhere in the
 * file, or into a slot, which a byte before each patch chooses and which gets a right checksum again. Then
 * the card is shown, and its secrets are tried. No store may allow more wrong secrets than a card has tries.
 */
#include "card.h"

#include "rules.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { ANYWHERE = 1, TRY_WRONG = 2, TRY_RIGHT = 4, CHANGE = 8, SHOW_READER = 16 };

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    card_start();
    return 0;
}

static void patch_slots(int file) {
    for (uint8_t patches = input_byte() % 16; patches > 0; patches--) {
        uint8_t which = input_byte();
        off_t offset = (off_t)((which & 1) * sizeof(struct record)) + (which >> 1 & 1) * XCA_STORE_BLOCK;
        struct record_slot slot;
        must(pread(file, &slot, sizeof slot, offset) == sizeof slot);
        const uint8_t *data;
        uint16_t place = 0;
        input_copy(&place, sizeof place);
        place %= sizeof slot;
        size_t length = input_take(input_byte(), &data);
        memcpy((char *)&slot + place, data, length < sizeof slot - place ? length : sizeof slot - place);
        card_seal(&slot);
        must(pwrite(file, &slot, sizeof slot, offset) == sizeof slot);
    }
}

static void patch_anywhere(int file) {
    off_t size = lseek(file, 0, SEEK_END);
    for (uint8_t patches = input_byte() % 16; patches > 0; patches--) {
        const uint8_t *data;
        uint16_t place = 0;
        input_copy(&place, sizeof place);
        size_t length = input_take(input_byte(), &data);
        must(length == 0 || pwrite(file, data, length, place % size) == (ssize_t)length);
    }
    if ((input_byte() & 7) == 7) {
        must(ftruncate(file, input_byte() * (size / 256)) == 0);
    }
}

static void show(void) {
    CK_TOKEN_INFO token;
    if (list->v2.C_GetTokenInfo(MINIMAL_CARD_SLOT, &token) == CKR_OK) {
        must(token.ulMinPinLen == XCA_PIN_MIN && token.ulMaxPinLen == XCA_PIN_MAX);
        must(memcmp(token.serialNumber, MINIMAL_CARD, sizeof token.serialNumber) == 0);
    }
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, const char *secret) {
    CK_RV rv = list->v2.C_Login(session, user, (CK_BYTE *)secret, strlen(secret));
    if (rv == CKR_OK) {
        list->v2.C_Logout(session);
    }
    return rv;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input_begin(data, size);
    uint8_t what = input_byte();
    card_renew();
    int file = open(store_path, O_RDWR | O_CLOEXEC);
    must(file >= 0);
    ((what & ANYWHERE) != 0 ? patch_anywhere : patch_slots)(file);
    close(file);
    list->v2.C_Initialize(NULL);
    CK_SLOT_INFO slot;
    if ((what & SHOW_READER) != 0) {
        list->v2.C_GetSlotInfo(MINIMAL_CARD_SLOT, &slot);
    }
    CK_SESSION_HANDLE session;
    must(list->v2.C_OpenSession(MINIMAL_CARD_SLOT, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL,
                                &session) == CKR_OK);
    static const char *const wrongs[] = {"wrong-1", "wrong-2", "wrong-3", "wrong-4"};
    for (size_t i = 0; (what & TRY_WRONG) != 0 && i < sizeof wrongs / sizeof wrongs[0]; i++) {
        login(session, (what & CHANGE) != 0 ? CKU_SO : CKU_USER, wrongs[i]);
    }
    must(inner_control->wrong[0] <= XCA_MAX_TRIES && inner_control->wrong[1] <= XCA_MAX_TRIES);
    if ((what & TRY_RIGHT) != 0) {
        login(session, CKU_USER, MINIMAL_PIN);
        login(session, CKU_SO, MINIMAL_USER_CODE);
    }
    if ((what & CHANGE) != 0) {
        list->v2.C_SetPIN(session, (CK_BYTE *)MINIMAL_PIN, strlen(MINIMAL_PIN), (CK_BYTE *)"newpin-1", 8);
        list->v2.C_Login(session, CKU_SO, (CK_BYTE *)MINIMAL_USER_CODE, strlen(MINIMAL_USER_CODE));
        list->v2.C_InitPIN(session, (CK_BYTE *)MINIMAL_PIN, strlen(MINIMAL_PIN));
    }
    show();
    return 0;
}
