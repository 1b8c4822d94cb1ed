-- Run this in the SQL editor of your Supabase project. Then copy .env.example to .env.local, and fill it in.
CREATE TABLE todos (
  id uuid PRIMARY KEY,
  title text NOT NULL,
  done boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL
);

-- All users share one list. An app with users has a policy for the rows of each user.
ALTER TABLE todos ENABLE ROW LEVEL SECURITY;
CREATE POLICY shared ON todos USING (true) WITH CHECK (true);
