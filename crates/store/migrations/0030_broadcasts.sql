-- Broadcasts: one text to many, one after another with pauses. status: draft, queued (until scheduled_at), sending, paused, completed,
-- cancelled. next_at: when the next one goes. failed_in_row: failures since the last success.
CREATE TABLE wave_broadcasts (
    company_id BIGINT NOT NULL,
    id UUID NOT NULL,
    name TEXT NOT NULL,
    message TEXT NOT NULL,
    number_id UUID,
    status TEXT NOT NULL,
    pause_reason TEXT,
    scheduled_at BIGINT,
    next_at BIGINT,
    total BIGINT NOT NULL,
    sent_count BIGINT NOT NULL DEFAULT 0,
    failed_count BIGINT NOT NULL DEFAULT 0,
    skipped_count BIGINT NOT NULL DEFAULT 0,
    failed_in_row BIGINT NOT NULL DEFAULT 0,
    created_by UUID,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    started_at BIGINT,
    finished_at BIGINT,
    version BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (company_id, id),
    FOREIGN KEY (company_id, number_id) REFERENCES wave_numbers (company_id, id)
);
CREATE INDEX wave_broadcasts_due ON wave_broadcasts (next_at) WHERE next_at IS NOT NULL;

-- Whom a broadcast goes to, in order. status: pending, sending (its message is on its way), sent, failed, skipped.
CREATE TABLE wave_broadcast_recipients (
    company_id BIGINT NOT NULL,
    broadcast_id UUID NOT NULL,
    place BIGINT NOT NULL,
    jid TEXT NOT NULL,
    name TEXT,
    status TEXT NOT NULL,
    reason TEXT,
    message_id UUID,
    settled_at BIGINT,
    PRIMARY KEY (company_id, broadcast_id, place),
    FOREIGN KEY (company_id, broadcast_id) REFERENCES wave_broadcasts (company_id, id)
) /*sqlite: WITHOUT ROWID */;
CREATE UNIQUE INDEX wave_broadcast_recipients_jid ON wave_broadcast_recipients (company_id, broadcast_id, jid);
CREATE INDEX wave_broadcast_recipients_status ON wave_broadcast_recipients (company_id, broadcast_id, status, place);
CREATE INDEX wave_broadcast_recipients_message ON wave_broadcast_recipients (company_id, message_id) WHERE message_id IS NOT NULL;

-- The pace of a line: what broadcasts sent from it on a day of its company (counted from 1970-01-01), and when the next may go.
CREATE TABLE wave_broadcast_lines (
    company_id BIGINT NOT NULL,
    number_id UUID NOT NULL,
    day BIGINT NOT NULL,
    sent BIGINT NOT NULL,
    next_at BIGINT NOT NULL,
    PRIMARY KEY (company_id, number_id)
) /*sqlite: WITHOUT ROWID */;
