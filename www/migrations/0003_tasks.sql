-- Lives in this browser only: no remote has such a table, and no pull touches it.
CREATE TABLE tasks (
  id INTEGER PRIMARY KEY,
  title TEXT NOT NULL,
  done BOOLEAN NOT NULL DEFAULT 0,
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
);

INSERT INTO tasks (title) VALUES
  ('Call Bärenklau Deli about the pallets'),
  ('Count the black garlic 🧄'),
  ('Ask Zoë for the ramp''s new opening hours');
