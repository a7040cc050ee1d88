-- Letters to people: written with what causes them, sent by a job, kept for a while so that an operator sees what became of them.
-- company_id 0: a letter about a person's own account.

CREATE TABLE mail_messages (
    company_id BIGINT NOT NULL,
    id UUID NOT NULL,
    recipient TEXT NOT NULL,
    template TEXT NOT NULL,
    language TEXT NOT NULL,
    subject TEXT NOT NULL,
    -- Text and HTML, sealed: they hold links that open accounts. Empty once the letter has left, but for the sandbox's.
    body BYTEA,
    -- smtp, sandbox, or off
    via TEXT NOT NULL,
    -- queued, sent, refused (for good), failed (too often)
    state TEXT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    last_error TEXT,
    created_at BIGINT NOT NULL,
    sent_at BIGINT,
    PRIMARY KEY (company_id, id)
);
CREATE INDEX mail_messages_recipient ON mail_messages (recipient);
CREATE INDEX mail_messages_age ON mail_messages (created_at);
