-- Full-text search over messages of Loopwave (wave/src/search). Filled in batches from a queue, because a message must not wait for an index.
-- These tables can be made anew from wave_messages; their company is not called company_id, because they are no data of it.

-- Messages that are new, changed or gone since they were last looked at.
CREATE TABLE wave_search_queue (
    company BIGINT NOT NULL,
    message_id UUID NOT NULL,
    PRIMARY KEY (company, message_id)
) /*sqlite: WITHOUT ROWID */;
INSERT INTO wave_search_queue SELECT company_id, id FROM wave_messages WHERE text IS NOT NULL;

-- Which message a row of the index is. place: the message's second in microseconds, and its turn within it.
CREATE TABLE wave_search_rows (
    place BIGINT PRIMARY KEY,
    company BIGINT NOT NULL,
    message_id UUID NOT NULL
);
CREATE UNIQUE INDEX wave_search_rows_message ON wave_search_rows (company, message_id);

-- Texts come cut into words already; every character beyond ASCII belongs to one. No positions: nobody searches for phrases.
CREATE VIRTUAL TABLE wave_search USING fts5(words, content='', contentless_delete=1, detail=none, tokenize='ascii');

CREATE TRIGGER wave_messages_search_new AFTER INSERT ON wave_messages WHEN NEW.text IS NOT NULL
BEGIN
    INSERT INTO wave_search_queue (company, message_id) VALUES (NEW.company_id, NEW.id) ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER wave_messages_search_changed AFTER UPDATE OF text, chat_id, number_id, agent_id ON wave_messages
WHEN OLD.text IS NOT NEW.text OR OLD.chat_id IS NOT NEW.chat_id OR OLD.number_id IS NOT NEW.number_id OR OLD.agent_id IS NOT NEW.agent_id
BEGIN
    INSERT INTO wave_search_queue (company, message_id) VALUES (NEW.company_id, NEW.id) ON CONFLICT DO NOTHING;
END;
CREATE TRIGGER wave_messages_search_gone AFTER DELETE ON wave_messages WHEN OLD.text IS NOT NULL
BEGIN
    INSERT INTO wave_search_queue (company, message_id) VALUES (OLD.company_id, OLD.id) ON CONFLICT DO NOTHING;
END;
