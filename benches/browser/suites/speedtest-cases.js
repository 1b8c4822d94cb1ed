// The scripts of the suite `speedtest`: the cases of speedtest1's main test set, with their numbers.

import { numbers } from './workload.js'

/** The cases of a size: `{ number, title, script }[]`. */
export function cases(size) {
  const n = Math.round(500 * size)
  const few = Math.round(n / 5)
  const many = Math.round(700 * size)
  const top = allOnes(n)
  const keys = allOnes(many / 3)
  const counting = (count, make) => Array.from({ length: count }, (_, i) => make(i + 1))
  const row = (a, b, text) => `(${a},${b},'${text}')`
  /** `count` statements over random ranges of up to a dozen values. */
  const ranges = (count, make) => {
    const next = numbers(count + 1)
    return counting(count, () => {
      const from = next(top + 1)
      return make(from, from + next(10) + Math.floor(n / 5000))
    })
  }
  const singles = (count, make) => {
    const next = numbers(count + 2)
    return counting(count, () => make(next(n) + 1))
  }
  const table = (name, columns, rows) => [`CREATE TABLE ${name}(${columns})`, ...rows]
  const sums = 'SELECT count(*), avg(b), sum(length(c)), '
  const like = (make) => counting(10, (i) => make(`%${words(i)}%`))

  const list = [
    [
      100,
      'INSERTs into a table without index',
      table(
        't1',
        'a INTEGER, b INTEGER, c TEXT',
        counting(n, (i) => insert('t1', row(i, mixed(i, top), words(mixed(i, top))))),
      ),
    ],
    [
      110,
      'ordered INSERTs with an index',
      table(
        't2',
        'a INTEGER UNIQUE, b INTEGER, c TEXT',
        counting(n, (i) => insert('t2', row(i, mixed(i, top), words(mixed(i, top))))),
      ),
    ],
    [
      120,
      'unordered INSERTs with an index',
      table(
        't3',
        'a INTEGER UNIQUE, b INTEGER, c TEXT',
        counting(n, (i) => insert('t3', row(mixed(i, top), i, words(mixed(i, top))))),
      ),
    ],
    [
      130,
      '25 SELECTs, numeric BETWEEN',
      ranges(25, (x, y) => `${sums}group_concat(c) FROM t1 WHERE b BETWEEN ${x} AND ${y}`),
    ],
    [140, '10 SELECTs, LIKE', like((text) => `${sums}group_concat(c) FROM t1 WHERE c LIKE '${text}'`)],
    [142, '10 SELECTs, ORDER BY', like((text) => `SELECT a, b, c FROM t1 WHERE c LIKE '${text}' ORDER BY a`)],
    [
      145,
      '10 SELECTs, ORDER BY and LIMIT',
      like((text) => `SELECT a, b, c FROM t1 WHERE c LIKE '${text}' ORDER BY a LIMIT 10`),
    ],
    [
      150,
      'CREATE INDEX five times',
      [
        'CREATE UNIQUE INDEX t1b ON t1(b)',
        'CREATE INDEX t1c ON t1(c)',
        'CREATE UNIQUE INDEX t2b ON t2(b)',
        'CREATE INDEX t2c ON t2(c DESC)',
        'CREATE INDEX t3bc ON t3(b,c)',
      ],
    ],
    [
      160,
      'SELECTs, numeric BETWEEN, indexed',
      ranges(few, (x, y) => `${sums}group_concat(a) FROM t1 WHERE b BETWEEN ${x} AND ${y}`),
    ],
    [
      161,
      'SELECTs, numeric BETWEEN, key',
      ranges(few, (x, y) => `${sums}group_concat(a) FROM t2 WHERE a BETWEEN ${x} AND ${y}`),
    ],
    [
      170,
      'SELECTs, text BETWEEN, indexed',
      counting(few, (i) => {
        const text = words(mixed(i, top))
        return `${sums}group_concat(a) FROM t1 WHERE c BETWEEN '${text}' AND '${text}~'`
      }),
    ],
    [
      180,
      'INSERTs with three indexes',
      [
        'CREATE TABLE t4(a INTEGER UNIQUE, b INTEGER, c TEXT)',
        'CREATE INDEX t4b ON t4(b)',
        'CREATE INDEX t4c ON t4(c)',
        'INSERT INTO t4 SELECT * FROM t1',
      ],
    ],
    [190, 'DELETE and refill a table', ['DELETE FROM t2', 'INSERT INTO t2 SELECT * FROM t1']],
    [200, 'VACUUM', 'VACUUM'],
    [210, 'ALTER TABLE ADD COLUMN', ['ALTER TABLE t2 ADD COLUMN d INT DEFAULT 123', 'SELECT sum(d) FROM t2']],
    [
      230,
      'UPDATEs, numeric BETWEEN, indexed',
      ranges(few, (x, y) => `UPDATE t2 SET d=b*2 WHERE b BETWEEN ${x} AND ${y}`),
    ],
    [240, 'UPDATEs of single rows', singles(n, (x) => `UPDATE t2 SET d=b*3 WHERE a=${x}`)],
    [250, 'one UPDATE of all rows', ['UPDATE t2 SET d=b*4']],
    [260, 'a sum over them', ['SELECT sum(d) FROM t2']],
    [
      270,
      'DELETEs, numeric BETWEEN, indexed',
      ranges(few, (x, y) => `DELETE FROM t2 WHERE b BETWEEN ${x + 1} AND ${y + 1}`),
    ],
    [280, 'DELETEs of single rows', singles(n, (x) => `DELETE FROM t3 WHERE a=${x}`)],
    [290, 'refill two tables by REPLACE', ['t2', 't3'].map((t) => `REPLACE INTO ${t}(a,b,c) SELECT a,b,c FROM t1`)],
    [
      300,
      'refill a table in halves',
      [
        'DELETE FROM t2',
        'INSERT INTO t2(a,b,c) SELECT a,b,c FROM t1 WHERE (b&1)==(a&1)',
        'INSERT INTO t2(a,b,c) SELECT a,b,c FROM t1 WHERE (b&1)<>(a&1)',
      ],
    ],
    [
      310,
      'four-way joins',
      ranges(
        few,
        (x, y) =>
          `SELECT t1.c FROM t1, t2, t3, t4 WHERE t4.a BETWEEN ${x} AND ${y + 4} AND t3.a=t4.b AND t2.a=t3.b AND t1.c=t2.c`,
      ),
    ],
    [
      320,
      'a subquery in the result',
      [
        `SELECT sum(a), max(c), avg((SELECT a FROM t2 WHERE 5+t2.b=t1.b) AND rowid<${50 * Math.ceil(Math.sqrt(size))}), max(c)
         FROM t1 WHERE rowid<${50 * Math.ceil(Math.sqrt(size))}`,
      ],
    ],
    [
      400,
      'REPLACEs on an integer key',
      table(
        't5',
        'a INTEGER PRIMARY KEY, b TEXT',
        counting(many, (i) => `REPLACE INTO t5 VALUES(${mixed(i, keys)},'${words(i)}')`),
      ),
    ],
    [410, 'SELECTs on an integer key', counting(many, (i) => `SELECT b FROM t5 WHERE a=${mixed(i, keys)}`)],
    [
      500,
      'REPLACEs on a text key',
      table(
        't6',
        'a TEXT PRIMARY KEY, b INTEGER',
        counting(many, (i) => `REPLACE INTO t6 VALUES('${words(mixed(i, keys))}',${i})`),
      ),
    ],
    [510, 'SELECTs on a text key', counting(many, (i) => `SELECT b FROM t6 WHERE a='${words(mixed(i, keys))}'`)],
    [520, 'SELECT DISTINCT', ['SELECT DISTINCT b FROM t5', 'SELECT DISTINCT b FROM t6']],
    [980, 'PRAGMA integrity_check', ['PRAGMA integrity_check']],
    [990, 'ANALYZE', ['ANALYZE']],
  ]
  return list.map(([number, title, statements]) => ({
    number,
    title,
    script: Array.isArray(statements) ? `BEGIN;\n${statements.join(';\n')};\nCOMMIT;` : statements,
  }))
}

const insert = (table, values) => `INSERT INTO ${table} VALUES${values}`

/** The least 2ⁿ - 1 that isn't below it. */
function allOnes(limit) {
  let ones = 1
  while (ones < limit) ones = ones * 2 + 1
  return ones
}

/** A permutation of 0 to `top` (all ones) that scatters: the number's bits from the last to the first. */
function mixed(number, top) {
  let result = 0
  for (let bit = 1; bit <= top; bit *= 2) {
    result = result * 2 + (number & 1)
    number >>= 1
  }
  return result
}

const small =
  'zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen'.split(
    ' ',
  )
const tens = ' ten twenty thirty forty fifty sixty seventy eighty ninety'.split(' ')

/** A number in English: 123 is "one hundred twenty three". */
function words(number) {
  if (number < 20) return small[number]
  for (const [unit, name] of [
    [1_000_000, 'million'],
    [1000, 'thousand'],
    [100, 'hundred'],
  ]) {
    if (number >= unit) return `${words(Math.floor(number / unit))} ${name}${rest(number % unit)}`
  }
  return tens[Math.floor(number / 10)] + rest(number % 10)
}

const rest = (number) => (number === 0 ? '' : ` ${words(number)}`)
