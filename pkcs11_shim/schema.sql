-- SPDX-License-Identifier: Apache-2.0
-- What a card remembers: the non-volatile memory of every card in one store. No secret is ever kept here.
-- application_id is "XCA" and the version of this file: the module takes it from here when it is built, and refuses
-- any other.
PRAGMA application_id = 0x58434102;
-- user_version is the store's generation: it rises with every change of a secret and is odd while one is pending. A
-- process that starts reads it from the file's header (bytes 60 to 63, sqlite.org/fileformat2.html), without SQLite.
PRAGMA user_version = 0;

CREATE TABLE card (
    number          TEXT PRIMARY KEY NOT NULL CHECK (length(number) = 16),
    reader          TEXT NOT NULL,
    model           TEXT NOT NULL,
    issued_on       TEXT NOT NULL CHECK (issued_on IS date(issued_on)),
    activate_by     TEXT NOT NULL CHECK (activate_by IS date(activate_by)),
    activated_at    INTEGER,                     -- Unix seconds; NULL: 未開卡
    pin_tries       INTEGER NOT NULL CHECK (pin_tries >= 0),
    user_code_tries INTEGER NOT NULL CHECK (user_code_tries >= 0),
    epoch           INTEGER NOT NULL DEFAULT 0,  -- generation of the last change of a secret
    pending         INTEGER NOT NULL DEFAULT 0 CHECK (pending IN (0, 1))  -- a change of a secret has begun
) STRICT;

-- The calendar is Taiwan's (UTC+8): the last day counts until 24:00 in Taipei.
CREATE VIEW card_today AS
SELECT *,
       activated_at IS NULL AND date('now', '+8 hours') > activate_by AS lapsed,
       CAST(julianday(activate_by) - julianday(date('now', '+8 hours')) AS INTEGER) AS days_left
FROM card;

CREATE TABLE event (
    id      INTEGER PRIMARY KEY,
    at      INTEGER NOT NULL,                    -- Unix seconds
    card    TEXT NOT NULL REFERENCES card (number) ON DELETE CASCADE,
    event   TEXT NOT NULL CHECK (event IN ('issue', 'verify-pin', 'verify-user-code', 'activate', 'reset-pin',
                                           'change-pin', 'change-user-code', 'reset-user-code', 'repair')),
    result  INTEGER NOT NULL,                    -- the CK_RV that the caller was given
    program TEXT NOT NULL
) STRICT;

CREATE INDEX event_by_card ON event (card, id);

CREATE TRIGGER event_cap AFTER INSERT ON event BEGIN
    DELETE FROM event
    WHERE card = NEW.card
      AND id <= (SELECT id FROM event WHERE card = NEW.card ORDER BY id DESC LIMIT 1 OFFSET 500);
END;
