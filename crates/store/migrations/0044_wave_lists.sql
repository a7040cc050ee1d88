-- Lists and search of Loopwave.

-- To find chats by a part of their name or address, all of these are looked at and not the chats: only what is looked at stands in it, and
-- nothing of it changes with a message. PostgreSQL writes a changed row's every index and goes through the chats.
/*sqlite: CREATE INDEX wave_chats_names ON wave_chats (company_id, name, jid, id); */

-- Read by nothing: chats that wait are listed by wave_chats_unanswered.
DROP INDEX wave_chats_waiting;

-- Contacts are listed by when they were last in touch, those that never were at the end.
DROP INDEX wave_contacts_recent;
CREATE INDEX wave_contacts_recent ON wave_contacts (company_id, (COALESCE(last_contacted_at, 0)), id) WHERE deleted_at IS NULL;

-- Beginnings of two and three letters are words of the index as well: without, the lists of all words that begin so were put together at
-- every search. The index is filled anew, beside what else is done.
/*sqlite:
DROP TABLE wave_search;
DELETE FROM wave_search_rows;
CREATE VIRTUAL TABLE wave_search USING fts5(words, content='', contentless_delete=1, detail=none, prefix='2 3', tokenize='ascii');
INSERT INTO wave_search_queue SELECT company_id, id FROM wave_messages WHERE text IS NOT NULL ON CONFLICT DO NOTHING;
*/
