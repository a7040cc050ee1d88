-- What other products had said to people, each once. reference: names the act (booking.reminder:<appointment>:<beginning>).
CREATE TABLE wave_notices (
    company_id BIGINT NOT NULL REFERENCES companies (company_id),
    reference TEXT NOT NULL,
    message_id UUID,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (company_id, reference)
) /*sqlite: WITHOUT ROWID */;

-- Links of contacts, chats and tickets to other products' records. owner_kind: contact, chat, ticket. resource: booking/customers.
-- how: hand, phone (the numbers are the same), notice (something was sent to them for it).
CREATE TABLE wave_links (
    company_id BIGINT NOT NULL REFERENCES companies (company_id),
    id UUID NOT NULL,
    owner_kind TEXT NOT NULL,
    owner_id UUID NOT NULL,
    resource TEXT NOT NULL,
    record_id UUID NOT NULL,
    how TEXT NOT NULL,
    created_by UUID,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (company_id, id)
);
CREATE UNIQUE INDEX wave_links_owner ON wave_links (company_id, owner_kind, owner_id, resource, record_id);
CREATE INDEX wave_links_record ON wave_links (company_id, resource, record_id);
