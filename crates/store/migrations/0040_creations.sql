-- The audit row of a record's making has the record's own id and is found by it, so it needs no entry in the index of targets: every
-- create changes one tree less.

ALTER TABLE audit_logs ADD COLUMN is_creation BOOLEAN NOT NULL DEFAULT FALSE;
DROP INDEX audit_logs_target;
CREATE INDEX audit_logs_target ON audit_logs (company_id, target_id) WHERE NOT is_creation;
