-- The inbox of Loopwave: filters, labels, notes, saved views.

CREATE INDEX wave_chats_unread ON wave_chats (company_id, last_message_at, id) WHERE unread_count > 0;
CREATE INDEX wave_chats_unanswered ON wave_chats (company_id, last_message_at, id) WHERE waiting_since IS NOT NULL;
CREATE INDEX wave_chats_mine ON wave_chats (company_id, assignee_id, last_message_at, id);
CREATE INDEX wave_chats_number ON wave_chats (company_id, number_id, last_message_at, id);

-- The labels of wave_chats.labels, to find chats by.
CREATE TABLE wave_chat_labels (
    company_id BIGINT NOT NULL,
    label TEXT NOT NULL,
    chat_id UUID NOT NULL,
    PRIMARY KEY (company_id, label, chat_id),
    FOREIGN KEY (company_id, chat_id) REFERENCES wave_chats (company_id, id)
) /*sqlite: WITHOUT ROWID */;
CREATE INDEX wave_chat_labels_chat ON wave_chat_labels (company_id, chat_id);

-- What agents write to each other about a chat; never sent to anybody.
CREATE TABLE wave_notes (
    company_id BIGINT NOT NULL,
    id UUID NOT NULL,
    chat_id UUID NOT NULL,
    author_id UUID,
    author_name TEXT,
    text TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (company_id, id),
    FOREIGN KEY (company_id, chat_id) REFERENCES wave_chats (company_id, id)
);
CREATE INDEX wave_notes_chat ON wave_notes (company_id, chat_id, created_at, id);

-- Filters of chats that somebody keeps under a name. owner_id: whose alone it is; NULL for all of the company. filter: see wave/src/saved_view.
CREATE TABLE wave_saved_views (
    company_id BIGINT NOT NULL REFERENCES companies (company_id),
    id UUID NOT NULL,
    owner_id UUID,
    created_by UUID,
    name TEXT NOT NULL,
    filter JSON NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    version BIGINT NOT NULL DEFAULT 1,
    PRIMARY KEY (company_id, id)
);
CREATE INDEX wave_saved_views_owner ON wave_saved_views (company_id, owner_id, name, id);
