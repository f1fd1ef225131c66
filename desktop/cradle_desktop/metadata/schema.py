"""The tables of the desktop's state: one script per schema version, applied in order; the file says how many it had."""

# "Crdl": tells our file from any other SQLite database (PRAGMA application_id).
APPLICATION_ID = 0x4372646C

# A released script is never edited: what changes is a further one.
SCRIPTS = (
    """
CREATE TABLE replica (
    number    INTEGER PRIMARY KEY,
    location  TEXT NOT NULL,
    type      TEXT NOT NULL,
    id        BLOB NOT NULL CHECK (length(id) = 16),
    store_id  BLOB NOT NULL,
    units     INTEGER NOT NULL,
    tick      INTEGER NOT NULL DEFAULT 0,
    oid       INTEGER NOT NULL DEFAULT 0,
    keys      BLOB NOT NULL,
    knowledge BLOB NOT NULL,
    forgotten BLOB NOT NULL,
    UNIQUE (location, type)
) STRICT;

CREATE TABLE item (
    replica  INTEGER NOT NULL REFERENCES replica ON DELETE CASCADE,
    id       BLOB NOT NULL,
    oid      INTEGER NOT NULL,
    identity TEXT NOT NULL,
    mark     BLOB NOT NULL,
    body     BLOB NOT NULL,
    PRIMARY KEY (replica, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE intent (
    number  INTEGER PRIMARY KEY,
    replica INTEGER NOT NULL REFERENCES replica ON DELETE CASCADE,
    body    BLOB NOT NULL
) STRICT;
CREATE INDEX intent_of_replica ON intent (replica);

CREATE TABLE identity (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    id   BLOB NOT NULL CHECK (length(id) = 16),
    name TEXT NOT NULL
) STRICT;

CREATE TABLE partnership (
    number      INTEGER PRIMARY KEY,
    name        TEXT NOT NULL COLLATE NOCASE UNIQUE,
    device_id   BLOB NOT NULL UNIQUE CHECK (length(device_id) = 16),
    device_name TEXT NOT NULL,
    key         BLOB NOT NULL CHECK (length(key) = 32),
    address     TEXT NOT NULL,
    certificate BLOB NOT NULL,
    agent       TEXT NOT NULL,
    created     INTEGER NOT NULL,
    last_sync   INTEGER
) STRICT;

CREATE TABLE enabled (
    partnership INTEGER NOT NULL REFERENCES partnership ON DELETE CASCADE,
    type        TEXT NOT NULL,
    location    TEXT NOT NULL,
    policy      TEXT NOT NULL,
    direction   TEXT NOT NULL,
    PRIMARY KEY (partnership, type)
) STRICT, WITHOUT ROWID;

CREATE TABLE conflict (
    number    INTEGER PRIMARY KEY AUTOINCREMENT,
    partner   TEXT NOT NULL,
    type      TEXT NOT NULL,
    item      BLOB NOT NULL,
    identity  TEXT NOT NULL,
    unit      INTEGER NOT NULL,
    kind      TEXT NOT NULL,
    winner    TEXT NOT NULL,
    loser     TEXT NOT NULL,
    value     BLOB NOT NULL,
    digest    BLOB NOT NULL,
    size      INTEGER NOT NULL,
    held      INTEGER NOT NULL,
    displaced BLOB,
    detected  INTEGER NOT NULL,
    resolved  INTEGER,
    taken     TEXT
) STRICT;
CREATE INDEX conflict_of_item ON conflict (item);
""",
    """
CREATE TABLE act (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,
    partner  TEXT NOT NULL,
    type     TEXT NOT NULL,
    location TEXT NOT NULL,
    kind     TEXT NOT NULL,
    done     INTEGER NOT NULL
) STRICT;

CREATE TABLE former (
    act      INTEGER NOT NULL REFERENCES act ON DELETE CASCADE,
    identity TEXT NOT NULL,
    old      BLOB NOT NULL,
    new      BLOB NOT NULL,
    name     TEXT NOT NULL,
    PRIMARY KEY (act, identity)
) STRICT, WITHOUT ROWID;

CREATE TABLE ancestor (
    number  INTEGER PRIMARY KEY AUTOINCREMENT,
    replica BLOB NOT NULL,
    partner TEXT NOT NULL,
    item    BLOB NOT NULL,
    digest  BLOB NOT NULL,
    size    INTEGER NOT NULL,
    UNIQUE (replica, partner, item)
) STRICT;

ALTER TABLE enabled ADD COLUMN deviations INTEGER NOT NULL DEFAULT 0;
""",
    """
CREATE TABLE horizon (
    replica BLOB NOT NULL,
    noted   INTEGER NOT NULL,
    known   TEXT NOT NULL,
    PRIMARY KEY (replica, noted)
) STRICT, WITHOUT ROWID;
""",
    """
ALTER TABLE enabled ADD COLUMN met BLOB NOT NULL DEFAULT x'';
""",
    """
ALTER TABLE conflict ADD COLUMN written INTEGER;
ALTER TABLE conflict ADD COLUMN displaced_written INTEGER;
""",
    """
CREATE TABLE stream (
    location TEXT NOT NULL,
    id       BLOB NOT NULL,
    device   BLOB NOT NULL,
    first    INTEGER NOT NULL,
    position INTEGER NOT NULL,
    mark     INTEGER NOT NULL,
    behind   INTEGER,
    compared INTEGER,
    PRIMARY KEY (location, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE stream_gap (
    location TEXT NOT NULL,
    id       BLOB NOT NULL,
    row      INTEGER NOT NULL,
    rows     INTEGER NOT NULL,
    PRIMARY KEY (location, id, row),
    FOREIGN KEY (location, id) REFERENCES stream ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
""",
    """
ALTER TABLE enabled ADD COLUMN filter BLOB NOT NULL DEFAULT x'';
ALTER TABLE enabled ADD COLUMN filtered BLOB NOT NULL DEFAULT x'';
ALTER TABLE enabled ADD COLUMN held INTEGER NOT NULL DEFAULT 0;
ALTER TABLE enabled ADD COLUMN named INTEGER NOT NULL DEFAULT 0;
""",
    """
ALTER TABLE replica ADD COLUMN witness BLOB NOT NULL DEFAULT x'';
""",
    """
CREATE TABLE leaving (
    device BLOB NOT NULL,
    type   TEXT NOT NULL,
    PRIMARY KEY (device, type)
) STRICT, WITHOUT ROWID;
""",
    """
ALTER TABLE item ADD COLUMN reborn INTEGER NOT NULL DEFAULT 0;
CREATE INDEX item_reborn ON item (replica) WHERE reborn;
""",
    """
ALTER TABLE former ADD COLUMN unsure INTEGER NOT NULL DEFAULT 0;
""",
    """
CREATE TABLE common (
    replica   BLOB NOT NULL,
    partner   TEXT NOT NULL,
    knowledge BLOB NOT NULL,
    PRIMARY KEY (replica, partner)
) STRICT, WITHOUT ROWID;
""",
)
VERSION = len(SCRIPTS)
