"""The tables of the state, version 3.

Whoever changes them raises `VERSION` and writes the step from the version before into `UPGRADES`; a state of a later
version than the program knows refuses to start.

A table WITHOUT ROWID has its primary key in front: of others SQLite 3.40 says that they are damaged (quick_check finds
NULLs that are not there), and a state that is damaged refuses to start.
"""

from __future__ import annotations

APPLICATION_ID = 0x63746D31  # "ctm1"
VERSION = 3

SCHEMA = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE logs (
    log_id BLOB PRIMARY KEY, name TEXT NOT NULL, url TEXT NOT NULL, start INTEGER NOT NULL,
    size INTEGER NOT NULL, hashes BLOB NOT NULL, proven_size INTEGER NOT NULL, proven_hashes BLOB NOT NULL,
    met BLOB, trusted BLOB, last_contact_ms INTEGER, head_size INTEGER NOT NULL DEFAULT 0, head_ms INTEGER,
    failing_since_ms INTEGER, last_error TEXT NOT NULL DEFAULT '', unproven_since_ms INTEGER,
    accused TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE TABLE heads (
    log_id BLOB NOT NULL, id BLOB NOT NULL, size INTEGER NOT NULL, timestamp_ms INTEGER NOT NULL, root BLOB NOT NULL,
    note BLOB NOT NULL, source TEXT NOT NULL, state TEXT NOT NULL, first_seen_ms INTEGER NOT NULL,
    PRIMARY KEY (log_id, id)
) WITHOUT ROWID;
CREATE TABLE gaps (
    log_id BLOB NOT NULL, lo INTEGER NOT NULL, hi INTEGER NOT NULL, reason TEXT NOT NULL, since_ms INTEGER NOT NULL,
    tried_ms INTEGER NOT NULL, PRIMARY KEY (log_id, lo)
) WITHOUT ROWID;
CREATE TABLE alerts (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, severity INTEGER NOT NULL, rule TEXT NOT NULL, rules TEXT NOT NULL,
    addressee TEXT NOT NULL, summary TEXT NOT NULL, body BLOB NOT NULL, item TEXT NOT NULL, item_group TEXT NOT NULL,
    thread TEXT NOT NULL, log_id BLOB NOT NULL, log_index INTEGER, proven INTEGER,
    created_ms INTEGER NOT NULL, last_seen_ms INTEGER NOT NULL, times_seen INTEGER NOT NULL DEFAULT 1,
    status TEXT NOT NULL, status_by TEXT NOT NULL DEFAULT '', status_note TEXT NOT NULL DEFAULT '', until_ms INTEGER,
    issuer TEXT NOT NULL DEFAULT '', repeats INTEGER NOT NULL DEFAULT 0, repeated_ms INTEGER
) WITHOUT ROWID;
CREATE INDEX alerts_by_time ON alerts (created_ms);
CREATE INDEX alerts_told ON alerts (thread, item, addressee, severity);
CREATE INDEX alerts_by_issuer ON alerts (item, issuer, created_ms);
CREATE INDEX alerts_unproven ON alerts (log_id, log_index) WHERE proven IS NULL AND log_index IS NOT NULL;
CREATE INDEX alerts_snoozed ON alerts (until_ms) WHERE status = 'snoozed';
CREATE TABLE sightings (
    alert_id TEXT NOT NULL, log_id BLOB NOT NULL, log_index INTEGER NOT NULL, proven INTEGER, seen_ms INTEGER NOT NULL,
    PRIMARY KEY (alert_id, log_id, log_index)
) WITHOUT ROWID;
CREATE INDEX sightings_unproven ON sightings (log_id, log_index) WHERE proven IS NULL;
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, alert_id TEXT NOT NULL, channel TEXT NOT NULL, kind TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'waiting', due_ms INTEGER NOT NULL, created_ms INTEGER NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, tried_ms INTEGER, last_error TEXT NOT NULL DEFAULT '', done_ms INTEGER,
    is_later INTEGER NOT NULL DEFAULT 1
);
CREATE TRIGGER outbox_urgent AFTER INSERT ON outbox BEGIN
    UPDATE outbox SET is_later = 0 WHERE id = NEW.id AND EXISTS
        (SELECT 1 FROM alerts WHERE alerts.id = NEW.alert_id AND alerts.severity = 1);
END;
CREATE UNIQUE INDEX outbox_once ON outbox (alert_id, channel) WHERE kind = 'alert';
CREATE INDEX outbox_due ON outbox (channel, due_ms, id) WHERE status = 'waiting';
CREATE INDEX outbox_in_turn ON outbox (channel, is_later, due_ms, id) WHERE status = 'waiting';
CREATE INDEX outbox_by_alert ON outbox (alert_id);
CREATE INDEX outbox_dead ON outbox (channel) WHERE status = 'dead';
CREATE TABLE channels (
    name TEXT PRIMARY KEY, last_success_ms INTEGER, failing_since_ms INTEGER, last_error TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE TABLE authorisations (
    id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, value TEXT NOT NULL, item TEXT NOT NULL,
    by TEXT NOT NULL, note TEXT NOT NULL, created_ms INTEGER NOT NULL, until_ms INTEGER,
    is_refusal INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX authorisations_by_value ON authorisations (kind, value);
CREATE TABLE items (id TEXT PRIMARY KEY, spec BLOB NOT NULL, added_ms INTEGER NOT NULL, removed_ms INTEGER);
CREATE TABLE baselines (item TEXT PRIMARY KEY, profile BLOB NOT NULL, updated_ms INTEGER NOT NULL);
CREATE TABLE scts (
    id TEXT PRIMARY KEY, log_id BLOB NOT NULL, sct BLOB NOT NULL, leaf BLOB NOT NULL, timestamp_ms INTEGER NOT NULL,
    log_index INTEGER, source TEXT NOT NULL, handed_ms INTEGER NOT NULL, status TEXT NOT NULL,
    detail TEXT NOT NULL DEFAULT '', checked_ms INTEGER
) WITHOUT ROWID;
CREATE INDEX scts_waiting ON scts (log_id, timestamp_ms) WHERE status = 'waiting';
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, number TEXT NOT NULL, at_ms INTEGER NOT NULL,
    note TEXT NOT NULL
);
CREATE INDEX events_by_number ON events (number, at_ms);
CREATE TABLE snapshots (
    url TEXT NOT NULL, sha256 BLOB NOT NULL, fetched_ms INTEGER NOT NULL, body BLOB NOT NULL, error TEXT NOT NULL,
    first_ms INTEGER NOT NULL, PRIMARY KEY (url, first_ms)
);
CREATE TABLE issuers (name TEXT PRIMARY KEY, first_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE certificates (
    issuer BLOB NOT NULL, serial BLOB NOT NULL, spki BLOB NOT NULL, log_id BLOB NOT NULL, log_index INTEGER NOT NULL,
    not_after_ms INTEGER NOT NULL, url TEXT NOT NULL, PRIMARY KEY (issuer, serial, log_id, log_index, url)
);
CREATE INDEX certificates_by_key ON certificates (spki);
CREATE INDEX certificates_by_url ON certificates (url) WHERE url != '';
CREATE TABLE enrolled (hash INTEGER PRIMARY KEY, added_ms INTEGER NOT NULL);
CREATE TABLE tasks (
    id INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, spec BLOB NOT NULL, progress BLOB NOT NULL DEFAULT x'',
    created_ms INTEGER NOT NULL, done_ms INTEGER
);
"""

UPGRADES: dict[int, tuple[str, ...]] = {
    1: ("CREATE INDEX alerts_told ON alerts (thread, item, addressee, severity)", "DROP INDEX alerts_by_thread"),
    2: (
        "ALTER TABLE alerts ADD COLUMN issuer TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE alerts ADD COLUMN repeats INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE alerts ADD COLUMN repeated_ms INTEGER",
        "UPDATE alerts SET issuer = coalesce(json_extract(CAST(body AS TEXT), '$.issuer.id'), '') "
        "WHERE kind = 'certificate' AND json_valid(CAST(body AS TEXT)) AND json_extract(CAST(body AS TEXT), "
        "'$.issuer.verified')",
        "CREATE INDEX alerts_by_issuer ON alerts (item, issuer, created_ms)",
        "ALTER TABLE authorisations ADD COLUMN is_refusal INTEGER NOT NULL DEFAULT 0",
        "UPDATE meta SET value = CAST(CAST(strftime('%s', 'now') * 1000 AS TEXT) AS BLOB) WHERE key LIKE 'ready:%'",
    ),
}
"""From this version to the next, statement by statement, all in one transaction."""
