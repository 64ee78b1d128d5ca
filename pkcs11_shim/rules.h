/* SPDX-License-Identifier: Apache-2.0 */
/* The card's rules as numbers and words. The Python face reads this file too: every rule stands here only. */
#ifndef XCA_RULES_H
#define XCA_RULES_H

/* 用戶代碼 (SO PIN) and PIN碼 (user PIN): lengths in characters, and the printable ASCII they are made of. */
#define XCA_USER_CODE_MIN 6
#define XCA_USER_CODE_MAX 10
#define XCA_PIN_MIN       6
#define XCA_PIN_MAX       8
#define XCA_CHAR_FIRST    0x21
#define XCA_CHAR_LAST     0x7E

/* Wrong values in a row that lock a secret. */
#define XCA_MAX_TRIES 3

#define XCA_CARD_NUMBER_LENGTH 16

/* How the inner module's token says that it is a card, and what the card then says of itself. */
#define XCA_INNER_LABEL       "xca-card:"
#define XCA_CARD_LABEL        "HiCOS PKI Smart Card"
#define XCA_CARD_MANUFACTURER "Chunghwa TeleCom Co., Ltd."

#endif
