-- Tickets of Loopwave, and the cooldowns of what happens by itself in a chat.

-- status: open, in_progress, waiting, resolved, closed. priority: low, med, high, urgent. tag: where it came from.
CREATE TABLE wave_tickets (
    company_id BIGINT NOT NULL REFERENCES companies (company_id),
    id UUID NOT NULL,
    ref TEXT NOT NULL,
    subject TEXT NOT NULL,
    description TEXT NOT NULL,
    customer_name TEXT,
    customer_phone TEXT,
    customer_email TEXT,
    status TEXT NOT NULL,
    priority TEXT NOT NULL,
    assignee_id UUID,
    assignee_name TEXT,
    tag TEXT,
    chat_id UUID,
    contact_id UUID,
    due_at BIGINT,
    comment_count BIGINT NOT NULL DEFAULT 0,
    resolved_at BIGINT,
    closed_at BIGINT,
    created_by UUID,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT,
    version BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (company_id, id),
    FOREIGN KEY (company_id, chat_id) REFERENCES wave_chats (company_id, id),
    FOREIGN KEY (company_id, contact_id) REFERENCES wave_contacts (company_id, id)
);
CREATE UNIQUE INDEX wave_tickets_ref ON wave_tickets (company_id, ref);
CREATE INDEX wave_tickets_recent ON wave_tickets (company_id, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX wave_tickets_status ON wave_tickets (company_id, status, created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX wave_tickets_chat ON wave_tickets (company_id, chat_id) WHERE chat_id IS NOT NULL;
CREATE INDEX wave_tickets_contact ON wave_tickets (company_id, contact_id) WHERE contact_id IS NOT NULL;

-- What the team writes to each other under a ticket.
CREATE TABLE wave_ticket_comments (
    company_id BIGINT NOT NULL,
    id UUID NOT NULL,
    ticket_id UUID NOT NULL,
    author_id UUID,
    author_name TEXT,
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (company_id, id),
    FOREIGN KEY (company_id, ticket_id) REFERENCES wave_tickets (company_id, id)
);
CREATE INDEX wave_ticket_comments_thread ON wave_ticket_comments (company_id, ticket_id, created_at, id);

-- When something last happened by itself in a chat. what: ticket (intake), reply (automations). Whoever changes the row may go on.
CREATE TABLE wave_claims (
    company_id BIGINT NOT NULL,
    chat_id UUID NOT NULL,
    what TEXT NOT NULL,
    claimed_at BIGINT NOT NULL,
    PRIMARY KEY (company_id, chat_id, what),
    FOREIGN KEY (company_id, chat_id) REFERENCES wave_chats (company_id, id)
) /*sqlite: WITHOUT ROWID */;

-- Words that came through the public form a while ago, by their digest: the same words open one ticket.
CREATE TABLE wave_form_entries (
    company_id BIGINT NOT NULL,
    digest TEXT NOT NULL,
    ticket_id UUID NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (company_id, digest),
    FOREIGN KEY (company_id, ticket_id) REFERENCES wave_tickets (company_id, id)
) /*sqlite: WITHOUT ROWID */;

-- Automatic replies by rule. trigger_on: keyword, welcome, all. match_mode: contains, exact, starts. position: the lowest is tried first.
CREATE TABLE wave_automations (
    company_id BIGINT NOT NULL REFERENCES companies (company_id),
    id UUID NOT NULL,
    name TEXT NOT NULL,
    is_enabled BOOLEAN NOT NULL,
    trigger_on TEXT NOT NULL,
    matches TEXT NOT NULL,
    match_mode TEXT NOT NULL,
    response TEXT NOT NULL,
    number_id UUID,
    reply_to_groups BOOLEAN NOT NULL,
    cooldown_minutes BIGINT NOT NULL,
    position BIGINT NOT NULL,
    created_by UUID,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    deleted_at BIGINT,
    version BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (company_id, id),
    FOREIGN KEY (company_id, number_id) REFERENCES wave_numbers (company_id, id)
);
CREATE INDEX wave_automations_order ON wave_automations (company_id, position, id) WHERE deleted_at IS NULL;

-- Automatic replies of a company in the window that began at window_at.
CREATE TABLE wave_reply_windows (
    company_id BIGINT NOT NULL REFERENCES companies (company_id),
    window_at BIGINT NOT NULL,
    used BIGINT NOT NULL,
    PRIMARY KEY (company_id)
);
