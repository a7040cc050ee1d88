-- What was asked to be forgotten: how far it is, and what became of it. company_id is 0 for an account, which is the installation's.
CREATE TABLE erasures (
    company_id BIGINT NOT NULL,
    id UUID NOT NULL,
    -- account
    kind TEXT NOT NULL,
    -- The account: its row stays, without a name.
    subject UUID,
    -- person, operator, command line
    asked_through TEXT NOT NULL,
    asked_by UUID,
    -- running, done
    state TEXT NOT NULL,
    -- What is still looked for, sealed. NULL when it is done: nothing here says whom it was about.
    wanted BYTEA,
    -- What was gone through, so that work that was cut short goes on where it was.
    progress JSON NOT NULL,
    -- By table: {"table", "erased", "pseudonymised", "kept", "ground"}. Numbers, never names.
    report JSON NOT NULL,
    created_at BIGINT NOT NULL,
    finished_at BIGINT,
    PRIMARY KEY (company_id, id)
);
CREATE INDEX erasures_subject ON erasures (subject);
