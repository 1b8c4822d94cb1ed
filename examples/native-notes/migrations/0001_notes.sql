-- migrate:up
CREATE TABLE notes(
  id INTEGER PRIMARY KEY,
  body TEXT NOT NULL CHECK (body <> ''),
  done BOOLEAN NOT NULL DEFAULT 0
);

-- migrate:down
DROP TABLE notes;
