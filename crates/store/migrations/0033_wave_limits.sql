-- What WhatsApp lets lines of the Cloud API send, and how lines are watched.

-- When a line may send again, as a whole (about is empty) and to one person (about is their jid): see wave/src/limit/rules.rs.
CREATE TABLE wave_paces (
    company_id BIGINT NOT NULL,
    number_id UUID NOT NULL,
    about TEXT NOT NULL,
    paced_until BIGINT NOT NULL,
    PRIMARY KEY (company_id, number_id, about),
    FOREIGN KEY (company_id, number_id) REFERENCES wave_numbers (company_id, id)
) /*sqlite: WITHOUT ROWID */;

-- People who were written to before they wrote: so many within a day. account: Meta's id of the business account.
CREATE TABLE wave_first_contacts (
    company_id BIGINT NOT NULL REFERENCES companies (company_id),
    account TEXT NOT NULL,
    jid TEXT NOT NULL,
    first_at BIGINT NOT NULL,
    PRIMARY KEY (company_id, account, jid)
) /*sqlite: WITHOUT ROWID */;
CREATE INDEX wave_first_contacts_at ON wave_first_contacts (company_id, account, first_at);

-- Why a message waits, and so why it was late: not_ready, throttled, pair_limited, tier_limited, or what its engine said.
ALTER TABLE wave_outgoing ADD COLUMN waits_for TEXT;

-- The last message in and out; when the watchdog last asked whether the line lives, and how often in a row nobody said so.
ALTER TABLE wave_numbers ADD COLUMN inbound_at BIGINT;
ALTER TABLE wave_numbers ADD COLUMN outbound_at BIGINT;
ALTER TABLE wave_numbers ADD COLUMN probed_at BIGINT;
ALTER TABLE wave_numbers ADD COLUMN probe_failures BIGINT NOT NULL DEFAULT 0;
CREATE INDEX wave_numbers_probed ON wave_numbers (probed_at) WHERE deleted_at IS NULL;
