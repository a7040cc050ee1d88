-- A message moves its chat in every index over when chats were last written in. Chats that nobody has, which most of those are that
-- customers write in, stand in no index of assignees: they are found on the way through those of a status, or through all.
DROP INDEX wave_chats_assignee;
CREATE INDEX wave_chats_assignee ON wave_chats (company_id, assignee_id, status, last_message_at, id) WHERE assignee_id IS NOT NULL;
DROP INDEX wave_chats_mine;
CREATE INDEX wave_chats_mine ON wave_chats (company_id, assignee_id, last_message_at, id) WHERE assignee_id IS NOT NULL;
