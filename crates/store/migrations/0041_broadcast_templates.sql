-- template: an approved template of the Cloud API in place of words (name, language, components); message is then what it says.
-- outside_window_count: recipients who had not written within a day when it was made or was to begin; of words on such a number only.
ALTER TABLE wave_broadcasts ADD COLUMN template JSON;
ALTER TABLE wave_broadcasts ADD COLUMN outside_window_count BIGINT;
