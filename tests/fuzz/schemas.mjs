// Schemas and statements for files and migrations: ordinary and hostile ones.

/** Scripts, each of which creates a database. */
export const scripts = [
  `CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, s TEXT NOT NULL UNIQUE, r REAL DEFAULT 0.5, b BLOB);
   INSERT INTO t (s, b) VALUES ('one', x'00ff'), ('two', zeroblob(9000)), (printf('%.*c', 5000, 'x'), NULL);
   CREATE INDEX i ON t (s, r DESC) WHERE r > 0; CREATE VIEW v AS SELECT id, upper(s) AS s FROM t;
   CREATE TABLE log (what); CREATE TRIGGER g AFTER UPDATE ON t BEGIN INSERT INTO log VALUES (NEW.s); END;`,
  `CREATE TABLE parents (id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE);
   CREATE TABLE children (a, b, parent REFERENCES parents ON DELETE CASCADE, PRIMARY KEY (a, b)) WITHOUT ROWID, STRICT;`.replace(
    '(a, b, parent',
    '(a INT, b INT, parent INT',
  ),
  `CREATE TABLE g (a INT, twice AS (a * 2) STORED, text GENERATED ALWAYS AS (json_quote(a)), CHECK (a < 1000));
   INSERT INTO g VALUES (1), (2); CREATE INDEX e ON g (abs(a), twice);`,
  "CREATE VIRTUAL TABLE f USING fts5(title, body, tokenize='porter'); INSERT INTO f VALUES ('a tide', 'locked by the moon'), ('b', 'c');",
  'WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 900) SELECT 1; CREATE TABLE many (x INTEGER PRIMARY KEY, y TEXT); WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 900) INSERT INTO many SELECT x, hex(x * x) FROM n;'.replace(
    /^.*SELECT 1; /,
    '',
  ),
]

const nested = (open, close, times) => open.repeat(times) + close.repeat(times)

/** Statements of a schema. */
export const definitions = [
  'CREATE TABLE a (x, y)',
  'CREATE TABLE a (x INTEGER PRIMARY KEY, y TEXT DEFAULT (hex(zeroblob(100000000))))',
  'CREATE TABLE a (x, y AS (randomblob(1000000000)))',
  'CREATE TABLE a (x, y AS (decrypt(x)), CHECK (encrypt(x)))',
  'CREATE TABLE sqlite_sequence (name, seq)',
  'CREATE TABLE sqlite_stat1 (tbl, idx, stat)',
  'CREATE TABLE tidelock_outbox (id INTEGER PRIMARY KEY, "table", key, op, columns, time)',
  'CREATE TABLE schema_migrations (version, name, checksum, applied_at, execution_ms)',
  'CREATE TABLE a AS SELECT 1',
  'CREATE TABLE a (x REFERENCES a ON DELETE CASCADE ON UPDATE SET NULL) WITHOUT ROWID',
  'CREATE TABLE a (',
  `CREATE TABLE a (x CHECK (${nested('(', ')', 900)}))`,
  `CREATE TABLE a (${Array.from({ length: 1900 }, (_, n) => `c${n}`).join()})`,
  'CREATE UNIQUE INDEX a ON t (abs(x), load_extension(y)) WHERE y IN (SELECT 1)',
  'CREATE INDEX a ON a (x)',
  'CREATE VIEW a AS SELECT * FROM a',
  'CREATE VIEW a AS SELECT * FROM b AS p, b AS q, b AS r',
  'CREATE VIEW b AS SELECT * FROM t AS p, t AS q, t AS r',
  'CREATE VIEW a AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n',
  "CREATE VIEW a AS SELECT readfile('/etc/passwd'), writefile('x', 1), fts3_tokenizer('simple', x'41414141')",
  'CREATE TRIGGER a AFTER INSERT ON t BEGIN INSERT INTO t SELECT * FROM t; END',
  "CREATE TRIGGER a AFTER DELETE ON tidelock_outbox BEGIN INSERT INTO tidelock_outbox VALUES (1, 'mine', '{}', 'delete', '', 0); END",
  "CREATE TRIGGER a INSTEAD OF UPDATE ON b BEGIN SELECT RAISE(ABORT, 'no'); END",
  'CREATE TRIGGER a BEFORE UPDATE OF x ON t WHEN randomblob(1000000000) BEGIN DELETE FROM t; END',
  "CREATE VIRTUAL TABLE a USING fts5(x, content='t', content_rowid='id')",
  'CREATE TABLE a_data (id INTEGER PRIMARY KEY, block BLOB)',
  "CREATE VIEW a AS SELECT * FROM f WHERE f MATCH replace(hex(zeroblob(6000)), '00', 'a OR ') || 'a'",
  'CREATE TRIGGER a AFTER INSERT ON t BEGIN INSERT INTO \ufefftidelock_outbox VALUES (1); END',
  'CREATE VIRTUAL TABLE a USING dbstat',
  'CREATE VIRTUAL TABLE a USING json_each',
  'PRAGMA writable_schema = ON',
  "ATTACH 'other' AS o",
  'DROP TABLE t',
  'VACUUM',
  '',
  null,
]

/** Words to insert into SQL. */
export const words = [
  ...[
    'SELECT',
    'FROM',
    'WHERE',
    'CREATE',
    'TABLE',
    'INDEX',
    'TRIGGER',
    'VIEW',
    'BEGIN',
    'END',
    'COMMIT',
    'ROLLBACK',
    'WITHOUT ROWID',
  ],
  ...[
    'STRICT',
    'GENERATED ALWAYS AS',
    'REFERENCES',
    'PRIMARY KEY',
    'DEFAULT',
    'CHECK',
    'COLLATE',
    'AUTOINCREMENT',
    'TEMP',
    'VIRTUAL',
  ],
  ...[
    'sqlite_schema',
    'sqlite_temp_schema',
    'tidelock_outbox',
    'tidelock_tables',
    'schema_migrations',
    'rowid',
    'NEW',
    'OLD',
    'main',
  ],
  ...[
    'randomblob(1000000)',
    'zeroblob(100000000)',
    'json_each',
    'load_extension',
    'fts5',
    'match',
    "; SELECT count(*) FROM f WHERE f MATCH replace(hex(zeroblob(6000)), '00', 'a AND ') || 'a';",
    '\ufeff',
    "'%s'",
    'x',
    't',
    'id',
    '*',
    ',',
  ],
  ...[
    'PRAGMA',
    'ATTACH',
    'VACUUM',
    'writable_schema',
    'DROP',
    'ALTER TABLE',
    'RENAME TO',
    'INSERT INTO',
    'DELETE',
    'EXPLAIN',
    'UNION ALL',
  ],
  ...[
    '-- migrate:up',
    '-- migrate:down',
    '--> statement-breakpoint',
    '-- Up Migration',
    '-- Down Migration',
    '-- +goose Up',
    '\n',
  ],
]
