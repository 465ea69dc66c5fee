//! Tables, indexes and views (spec 05 §11). Zero values are NULL, times are text of fixed width in UTC, and there are
//! only those foreign keys that the real database has.

pub(super) const SCHEMA: &str = r"
CREATE TABLE IF NOT EXISTS institutions (
    id INTEGER PRIMARY KEY AUTOINCREMENT, created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
    name TEXT, identifier TEXT UNIQUE, state TEXT, type TEXT, member_institution_id INTEGER, deactivated_at TEXT,
    otp_enabled INTEGER, spot_restore_frequency INTEGER, last_spot_restore_work_item_id INTEGER,
    receiving_bucket TEXT NOT NULL UNIQUE, restore_bucket TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE IF NOT EXISTS users (
    id INTEGER PRIMARY KEY AUTOINCREMENT, created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
    name TEXT, email TEXT UNIQUE, institution_id INTEGER REFERENCES institutions(id), role TEXT NOT NULL,
    deactivated_at TEXT, encrypted_password TEXT NOT NULL, encrypted_api_secret_key TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS intellectual_objects (
    id INTEGER PRIMARY KEY AUTOINCREMENT, created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
    title TEXT, description TEXT, identifier TEXT UNIQUE, alt_identifier TEXT, access TEXT, bag_name TEXT,
    institution_id INTEGER, state TEXT, etag TEXT, bag_group_identifier TEXT, storage_option TEXT NOT NULL,
    bagit_profile_identifier TEXT, source_organization TEXT, internal_sender_identifier TEXT,
    internal_sender_description TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS objects_by_update ON intellectual_objects (updated_at);
CREATE INDEX IF NOT EXISTS objects_by_etag ON intellectual_objects (etag);
CREATE TABLE IF NOT EXISTS generic_files (
    id INTEGER PRIMARY KEY AUTOINCREMENT, created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
    file_format TEXT, size INTEGER, identifier TEXT UNIQUE, intellectual_object_id INTEGER, state TEXT,
    last_fixity_check TEXT NOT NULL, institution_id INTEGER NOT NULL, storage_option TEXT NOT NULL,
    uuid TEXT NOT NULL UNIQUE, mod_time TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS files_by_object ON generic_files (intellectual_object_id, identifier);
CREATE INDEX IF NOT EXISTS files_by_update ON generic_files (updated_at);
CREATE INDEX IF NOT EXISTS files_by_fixity ON generic_files (last_fixity_check);
CREATE TABLE IF NOT EXISTS checksums (
    id INTEGER PRIMARY KEY AUTOINCREMENT, created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
    algorithm TEXT, datetime TEXT, digest TEXT, generic_file_id INTEGER REFERENCES generic_files(id)
) STRICT;
CREATE INDEX IF NOT EXISTS checksums_by_file ON checksums (generic_file_id);
CREATE TABLE IF NOT EXISTS storage_records (
    id INTEGER PRIMARY KEY AUTOINCREMENT, generic_file_id INTEGER REFERENCES generic_files(id), url TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS storage_records_by_file ON storage_records (generic_file_id);
CREATE TABLE IF NOT EXISTS premis_events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
    agent TEXT, date_time TEXT, detail TEXT, event_type TEXT, generic_file_id INTEGER, identifier TEXT UNIQUE,
    institution_id INTEGER, intellectual_object_id INTEGER, object TEXT, old_uuid TEXT, outcome TEXT,
    outcome_detail TEXT, outcome_information TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS events_by_file ON premis_events (generic_file_id, event_type);
CREATE INDEX IF NOT EXISTS events_by_object ON premis_events (intellectual_object_id, event_type);
CREATE INDEX IF NOT EXISTS events_by_time ON premis_events (date_time);
CREATE TABLE IF NOT EXISTS deletion_requests (
    id INTEGER PRIMARY KEY AUTOINCREMENT, institution_id INTEGER NOT NULL REFERENCES institutions(id),
    requested_by_id INTEGER NOT NULL REFERENCES users(id), requested_at TEXT NOT NULL,
    encrypted_confirmation_token TEXT NOT NULL, confirmed_by_id INTEGER REFERENCES users(id), confirmed_at TEXT,
    cancelled_by_id INTEGER REFERENCES users(id), cancelled_at TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS deletion_requests_generic_files (
    deletion_request_id INTEGER NOT NULL REFERENCES deletion_requests(id),
    generic_file_id INTEGER NOT NULL REFERENCES generic_files(id),
    PRIMARY KEY (deletion_request_id, generic_file_id)
) STRICT;
CREATE TABLE IF NOT EXISTS deletion_requests_intellectual_objects (
    deletion_request_id INTEGER NOT NULL REFERENCES deletion_requests(id),
    intellectual_object_id INTEGER NOT NULL REFERENCES intellectual_objects(id),
    PRIMARY KEY (deletion_request_id, intellectual_object_id)
) STRICT;
CREATE TABLE IF NOT EXISTS work_items (
    id INTEGER PRIMARY KEY AUTOINCREMENT, created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
    name TEXT, etag TEXT, institution_id INTEGER, intellectual_object_id INTEGER, generic_file_id INTEGER, bucket TEXT,
    user TEXT, note TEXT, action TEXT, stage TEXT, status TEXT, outcome TEXT, bag_date TEXT, date_processed TEXT,
    retry INTEGER NOT NULL, node TEXT, pid INTEGER, needs_admin_review INTEGER NOT NULL, queued_at TEXT, size INTEGER,
    stage_started_at TEXT, aptrust_approver TEXT, inst_approver TEXT,
    deletion_request_id INTEGER REFERENCES deletion_requests(id)
) STRICT;
CREATE INDEX IF NOT EXISTS items_by_update ON work_items (updated_at);
CREATE INDEX IF NOT EXISTS items_by_name ON work_items (name, etag);
CREATE INDEX IF NOT EXISTS items_by_object ON work_items (intellectual_object_id);
CREATE INDEX IF NOT EXISTS items_by_file ON work_items (generic_file_id);
CREATE INDEX IF NOT EXISTS items_by_status ON work_items (status, queued_at);
CREATE TABLE IF NOT EXISTS alerts (
    id INTEGER PRIMARY KEY AUTOINCREMENT, institution_id INTEGER REFERENCES institutions(id), type TEXT NOT NULL,
    subject TEXT NOT NULL, content TEXT NOT NULL, deletion_request_id INTEGER REFERENCES deletion_requests(id),
    created_at TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS alerts_users (
    alert_id INTEGER NOT NULL REFERENCES alerts(id), user_id INTEGER NOT NULL REFERENCES users(id),
    sent_at TEXT, read_at TEXT, PRIMARY KEY (alert_id, user_id)
) STRICT;
CREATE TABLE IF NOT EXISTS alerts_premis_events (
    alert_id INTEGER NOT NULL REFERENCES alerts(id), premis_event_id INTEGER NOT NULL REFERENCES premis_events(id),
    PRIMARY KEY (alert_id, premis_event_id)
) STRICT;
CREATE TABLE IF NOT EXISTS alerts_work_items (
    alert_id INTEGER NOT NULL REFERENCES alerts(id), work_item_id INTEGER NOT NULL REFERENCES work_items(id),
    PRIMARY KEY (alert_id, work_item_id)
) STRICT;
CREATE TABLE IF NOT EXISTS storage_options (
    id INTEGER PRIMARY KEY AUTOINCREMENT, provider TEXT NOT NULL, service TEXT NOT NULL, region TEXT NOT NULL,
    name TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE IF NOT EXISTS internal_metadata (key TEXT PRIMARY KEY NOT NULL, value TEXT) STRICT;

CREATE VIEW IF NOT EXISTS institutions_view AS
SELECT i.id, i.name, i.identifier, i.state, i.type, i.deactivated_at, i.otp_enabled, i.spot_restore_frequency,
    i.last_spot_restore_work_item_id, i.receiving_bucket, i.restore_bucket, i.created_at, i.updated_at,
    i.member_institution_id AS parent_id, p.name AS parent_name, p.identifier AS parent_identifier,
    p.state AS parent_state, p.deactivated_at AS parent_deactivated_at
FROM institutions i LEFT JOIN institutions p ON p.id = i.member_institution_id;
CREATE VIEW IF NOT EXISTS intellectual_objects_view AS
SELECT o.*, i.name AS institution_name, i.identifier AS institution_identifier, i.type AS institution_type,
    i.member_institution_id AS institution_parent_id,
    (SELECT count(*) FROM generic_files f WHERE f.intellectual_object_id = o.id AND f.state = 'A') AS file_count,
    (SELECT sum(size) FROM generic_files f WHERE f.intellectual_object_id = o.id AND f.state = 'A') AS size,
    (SELECT count(*) FROM generic_files f WHERE f.intellectual_object_id = o.id AND f.state = 'A'
        AND pattern(o.identifier || '/data/%', f.identifier)) AS payload_file_count,
    (SELECT sum(size) FROM generic_files f WHERE f.intellectual_object_id = o.id AND f.state = 'A'
        AND pattern(o.identifier || '/data/%', f.identifier)) AS payload_size
FROM intellectual_objects o LEFT JOIN institutions i ON i.id = o.institution_id;
CREATE VIEW IF NOT EXISTS generic_files_view AS
SELECT f.*, o.identifier AS object_identifier, o.access, i.name AS institution_name,
    i.identifier AS institution_identifier,
    (SELECT digest FROM checksums c WHERE c.generic_file_id = f.id AND algorithm = 'md5'
        ORDER BY created_at DESC LIMIT 1) AS md5,
    (SELECT digest FROM checksums c WHERE c.generic_file_id = f.id AND algorithm = 'sha1'
        ORDER BY created_at DESC LIMIT 1) AS sha1,
    (SELECT digest FROM checksums c WHERE c.generic_file_id = f.id AND algorithm = 'sha256'
        ORDER BY created_at DESC LIMIT 1) AS sha256,
    (SELECT digest FROM checksums c WHERE c.generic_file_id = f.id AND algorithm = 'sha512'
        ORDER BY created_at DESC LIMIT 1) AS sha512
FROM generic_files f LEFT JOIN intellectual_objects o ON o.id = f.intellectual_object_id
    LEFT JOIN institutions i ON i.id = f.institution_id;
CREATE VIEW IF NOT EXISTS checksums_view AS
SELECT c.*, f.state, f.identifier AS generic_file_identifier, f.intellectual_object_id, f.institution_id
FROM checksums c LEFT JOIN generic_files f ON f.id = c.generic_file_id;
CREATE VIEW IF NOT EXISTS premis_events_view AS
SELECT e.*, i.name AS institution_name, o.identifier AS intellectual_object_identifier,
    f.identifier AS generic_file_identifier
FROM premis_events e LEFT JOIN institutions i ON i.id = e.institution_id
    LEFT JOIN intellectual_objects o ON o.id = e.intellectual_object_id
    LEFT JOIN generic_files f ON f.id = e.generic_file_id;
CREATE VIEW IF NOT EXISTS work_items_view AS
SELECT w.*, i.name AS institution_name, i.identifier AS institution_identifier, o.identifier AS object_identifier,
    o.alt_identifier, o.bag_group_identifier, o.storage_option, o.bagit_profile_identifier, o.source_organization,
    o.internal_sender_identifier, f.identifier AS generic_file_identifier
FROM work_items w LEFT JOIN institutions i ON i.id = w.institution_id
    LEFT JOIN intellectual_objects o ON o.id = w.intellectual_object_id
    LEFT JOIN generic_files f ON f.id = w.generic_file_id;
-- The canceller is joined on the approver's id, as the real view does by mistake.
CREATE VIEW IF NOT EXISTS deletion_requests_view AS
SELECT d.id, d.institution_id, i.name AS institution_name, i.identifier AS institution_identifier,
    d.requested_by_id, r.name AS requested_by_name, r.email AS requested_by_email, d.requested_at,
    d.confirmed_by_id, a.name AS confirmed_by_name, a.email AS confirmed_by_email, d.confirmed_at,
    d.cancelled_by_id, a.name AS cancelled_by_name, a.email AS cancelled_by_email, d.cancelled_at,
    (SELECT count(*) FROM deletion_requests_generic_files l WHERE l.deletion_request_id = d.id) AS file_count,
    (SELECT count(*) FROM deletion_requests_intellectual_objects l WHERE l.deletion_request_id = d.id) AS object_count
FROM deletion_requests d LEFT JOIN institutions i ON i.id = d.institution_id
    LEFT JOIN users r ON r.id = d.requested_by_id LEFT JOIN users a ON a.id = d.confirmed_by_id;
CREATE VIEW IF NOT EXISTS alerts_view AS
SELECT a.id, a.institution_id, i.name AS institution_name, i.identifier AS institution_identifier, a.type, a.subject,
    a.content, a.deletion_request_id, a.created_at, l.user_id, u.name AS user_name, u.email AS user_email, l.sent_at,
    l.read_at
FROM alerts a LEFT JOIN alerts_users l ON l.alert_id = a.id LEFT JOIN users u ON u.id = l.user_id
    LEFT JOIN institutions i ON i.id = a.institution_id;
";
