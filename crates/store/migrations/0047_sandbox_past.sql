-- What a simulated telephone knows from before it was linked, and tells when it is asked for it. A row goes when it is told.
-- wa_id, jid, name, author, from_me, content, at: the message, as it is taken then.
CREATE TABLE wave_sandbox_past (
    company_id BIGINT NOT NULL,
    id UUID NOT NULL,
    number_id UUID NOT NULL,
    wa_id TEXT,
    jid TEXT NOT NULL,
    name TEXT,
    author TEXT,
    from_me BOOLEAN NOT NULL,
    content JSON NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (company_id, id),
    FOREIGN KEY (company_id, number_id) REFERENCES wave_numbers (company_id, id)
);
CREATE INDEX wave_sandbox_past_number ON wave_sandbox_past (company_id, number_id, at);
