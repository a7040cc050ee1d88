-- The sandbox misbehaves when it is asked to: how a simulated line treats what it is handed; one without a row is well. Times in milliseconds.
-- read_after: NULL, nobody looks at it. fail_next: so many hand-overs fail; fail_percent: of the others so many in a hundred. fail_how: refused,
-- later, unknown (it arrived, the answer is lost), vanished (it did not arrive, and nobody knows), undelivered (taken, and failed afterwards).
CREATE TABLE wave_sandbox_lines (
    company_id BIGINT NOT NULL,
    number_id UUID NOT NULL,
    deliver_after BIGINT NOT NULL,
    read_after BIGINT,
    fail_next BIGINT NOT NULL,
    fail_percent BIGINT NOT NULL,
    fail_how TEXT NOT NULL,
    banned_until BIGINT,
    ban_reason TEXT,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (company_id, number_id),
    FOREIGN KEY (company_id, number_id) REFERENCES wave_numbers (company_id, id)
) /*sqlite: WITHOUT ROWID */;

-- What was decided when a message was taken. read_after: NULL, never. is_doomed: it fails on its way.
ALTER TABLE wave_sandbox_messages ADD COLUMN read_after BIGINT;
ALTER TABLE wave_sandbox_messages ADD COLUMN is_doomed BOOLEAN NOT NULL DEFAULT FALSE;
CREATE INDEX wave_sandbox_messages_phone ON wave_sandbox_messages (company_id, number_id, jid, created_at);
