-- resumes_at: when a broadcast that a ban has paused goes on by itself. resumed_at: when it did; after another ban a person decides.
ALTER TABLE wave_broadcasts ADD COLUMN resumes_at BIGINT;
ALTER TABLE wave_broadcasts ADD COLUMN resumed_at BIGINT;
-- Whether WhatsApp said when the pause ends (paused_until); otherwise that is our guess.
ALTER TABLE wave_numbers ADD COLUMN is_pause_told BOOLEAN NOT NULL DEFAULT FALSE;
