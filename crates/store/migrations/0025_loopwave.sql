-- Loopwave: a team inbox for WhatsApp.

-- How a company uses it; a company without a row has the defaults. chosen: one object, see wave/src/preference.
CREATE TABLE wave_preferences (
    company_id BIGINT NOT NULL REFERENCES companies (company_id),
    chosen JSON NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (company_id)
);

-- Lines. public_id is what the API calls one (n1a2b3c). address: the line as its engine knows it (Cloud API: the phone number's id).
-- secret: sealed credentials of the engine. state: qr, connecting, ready, disconnected, logged_out. heard_at: the last sign of life.
-- paused_until: nothing but what people write goes out before. warm_since: when it was first ready; a new line sends less.
-- owner, owner_until: the node that holds its connection, where the engine needs one.
CREATE TABLE wave_numbers (
    company_id BIGINT NOT NULL REFERENCES companies (company_id),
    id UUID NOT NULL,
    public_id TEXT NOT NULL UNIQUE,
    label TEXT NOT NULL,
    engine TEXT NOT NULL,
    address TEXT,
    phone TEXT,
    state TEXT NOT NULL,
    state_reason TEXT,
    state_at BIGINT NOT NULL,
    config JSON NOT NULL,
    secret BYTEA,
    qr TEXT,
    qr_until BIGINT,
    paused_until BIGINT,
    pause_reason TEXT,
    warm_since BIGINT,
    heard_at BIGINT,
    sent_count BIGINT NOT NULL DEFAULT 0,
    failed_count BIGINT NOT NULL DEFAULT 0,
    received_count BIGINT NOT NULL DEFAULT 0,
    owner TEXT,
    owner_until BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT,
    version BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (company_id, id)
);
CREATE UNIQUE INDEX wave_numbers_address ON wave_numbers (company_id, engine, address) WHERE deleted_at IS NULL AND address IS NOT NULL;
CREATE INDEX wave_numbers_owner ON wave_numbers (engine, owner_until) WHERE deleted_at IS NULL;

-- People. A person is a row and never a telephone number: numbers change, and some people have none.
-- opted_out_at: asked not to be written to. merged_into: where their history went on.
CREATE TABLE wave_contacts (
    company_id BIGINT NOT NULL REFERENCES companies (company_id),
    id UUID NOT NULL,
    name TEXT NOT NULL,
    phone TEXT,
    email TEXT,
    company_name TEXT,
    location TEXT,
    owner_id UUID,
    lifecycle TEXT NOT NULL,
    tags JSON NOT NULL,
    lifetime_value TEXT,
    notes TEXT,
    opted_out_at BIGINT,
    opt_out_reason TEXT,
    linked_record TEXT,
    merged_into UUID,
    last_contacted_at BIGINT,
    conversation_count BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT,
    version BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (company_id, id)
);
CREATE INDEX wave_contacts_recent ON wave_contacts (company_id, last_contacted_at, id) WHERE deleted_at IS NULL;
CREATE INDEX wave_contacts_linked ON wave_contacts (company_id, linked_record) WHERE linked_record IS NOT NULL;

-- By what a person is known. kind: phone (digits with country code), lid, bsuid.
CREATE TABLE wave_identities (
    company_id BIGINT NOT NULL,
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    contact_id UUID NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (company_id, kind, value),
    FOREIGN KEY (company_id, contact_id) REFERENCES wave_contacts (company_id, id)
) /*sqlite: WITHOUT ROWID */;
CREATE INDEX wave_identities_contact ON wave_identities (company_id, contact_id);

-- Conversations of a line with somebody, or with a group. jid: how WhatsApp addresses it. last_inbound_at: opens the 24-hour window.
-- waiting_since: the customer wrote and nobody answered yet. quiet_until: no automation answers before (a person did).
CREATE TABLE wave_chats (
    company_id BIGINT NOT NULL,
    id UUID NOT NULL,
    number_id UUID NOT NULL,
    jid TEXT NOT NULL,
    contact_id UUID,
    name TEXT,
    is_group BOOLEAN NOT NULL DEFAULT FALSE,
    status TEXT NOT NULL DEFAULT 'open',
    assignee_id UUID,
    assignee_name TEXT,
    assigned_at BIGINT,
    labels JSON NOT NULL,
    unread_count BIGINT NOT NULL DEFAULT 0,
    last_text TEXT,
    last_from_me BOOLEAN NOT NULL DEFAULT FALSE,
    last_message_at BIGINT NOT NULL,
    first_inbound_at BIGINT,
    last_inbound_at BIGINT,
    waiting_since BIGINT,
    quiet_until BIGINT,
    resolved_at BIGINT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (company_id, id),
    FOREIGN KEY (company_id, number_id) REFERENCES wave_numbers (company_id, id),
    FOREIGN KEY (company_id, contact_id) REFERENCES wave_contacts (company_id, id)
);
CREATE UNIQUE INDEX wave_chats_jid ON wave_chats (company_id, number_id, jid);
CREATE INDEX wave_chats_recent ON wave_chats (company_id, last_message_at, id);
CREATE INDEX wave_chats_status ON wave_chats (company_id, status, last_message_at, id);
CREATE INDEX wave_chats_assignee ON wave_chats (company_id, assignee_id, status, last_message_at, id);
CREATE INDEX wave_chats_contact ON wave_chats (company_id, contact_id) WHERE contact_id IS NOT NULL;
CREATE INDEX wave_chats_waiting ON wave_chats (company_id, waiting_since) WHERE waiting_since IS NOT NULL;

-- wa_id: WhatsApp's own id. origin: phone (the customer's, or the shop's own telephone), agent, api, automation, broadcast, form.
-- status: received; queued, sending, sent, delivered, read, failed, unknown. details: media, buttons, reactions, what it answers.
CREATE TABLE wave_messages (
    company_id BIGINT NOT NULL,
    id UUID NOT NULL,
    chat_id UUID NOT NULL,
    number_id UUID NOT NULL,
    wa_id TEXT,
    from_me BOOLEAN NOT NULL,
    kind TEXT NOT NULL,
    text TEXT,
    details JSON,
    origin TEXT NOT NULL,
    agent_id UUID,
    agent_name TEXT,
    status TEXT NOT NULL,
    status_at BIGINT NOT NULL,
    failure_code TEXT,
    failure_words TEXT,
    sent_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (company_id, id),
    FOREIGN KEY (company_id, chat_id) REFERENCES wave_chats (company_id, id)
) /*sqlite: WITHOUT ROWID */;
CREATE INDEX wave_messages_thread ON wave_messages (company_id, chat_id, sent_at, id);
CREATE UNIQUE INDEX wave_messages_wa ON wave_messages (company_id, number_id, wa_id) WHERE wa_id IS NOT NULL;

-- What is on its way out; the row goes when its outcome is known. step: waiting, sending (somebody may have handed it over), unknown.
-- lane: one row of a lane goes out after the other, in order (a chat). rank: 0 people and programs, 1 automations, 2 broadcasts.
CREATE TABLE wave_outgoing (
    company_id BIGINT NOT NULL,
    message_id UUID NOT NULL,
    number_id UUID NOT NULL,
    chat_id UUID NOT NULL,
    jid TEXT NOT NULL,
    step TEXT NOT NULL,
    rank BIGINT NOT NULL,
    content JSON NOT NULL,
    due_at BIGINT NOT NULL,
    expires_at BIGINT,
    attempts BIGINT NOT NULL DEFAULT 0,
    lease_owner TEXT,
    lease_until BIGINT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (company_id, message_id),
    FOREIGN KEY (company_id, message_id) REFERENCES wave_messages (company_id, id)
) /*sqlite: WITHOUT ROWID */;
CREATE INDEX wave_outgoing_due ON wave_outgoing (due_at, rank, message_id) WHERE step = 'waiting';
CREATE INDEX wave_outgoing_held ON wave_outgoing (lease_until) WHERE step = 'sending';
CREATE INDEX wave_outgoing_number ON wave_outgoing (company_id, number_id, step);
CREATE INDEX wave_outgoing_chat ON wave_outgoing (company_id, chat_id, created_at, message_id);

-- The sandbox's own world: telephones that are not there. inbox of a simulated telephone is the messages it was sent.
CREATE TABLE wave_sandbox_messages (
    company_id BIGINT NOT NULL,
    id UUID NOT NULL,
    number_id UUID NOT NULL,
    message_id UUID NOT NULL,
    jid TEXT NOT NULL,
    content JSON NOT NULL,
    stage TEXT NOT NULL,
    next_at BIGINT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (company_id, id)
);
CREATE UNIQUE INDEX wave_sandbox_messages_intent ON wave_sandbox_messages (company_id, message_id);
CREATE INDEX wave_sandbox_messages_due ON wave_sandbox_messages (next_at) WHERE next_at IS NOT NULL;
