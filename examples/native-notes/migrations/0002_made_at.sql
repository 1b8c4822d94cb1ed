-- migrate:up
ALTER TABLE notes ADD COLUMN made_at TEXT;
