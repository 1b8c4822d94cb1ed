// A to-do list on the command line: npm start -- add tea | done 1 | remove 1 | list. Its data is in the folder ./todo.tidelock.
import { isTidelockError, migrationsFrom, open } from 'tidelock'

const migrations = migrationsFrom({
  '0001_todos.sql': 'CREATE TABLE todos (id INTEGER PRIMARY KEY, title TEXT NOT NULL, done INTEGER NOT NULL DEFAULT 0)',
})

const commands = {
  async add(db, ...words) {
    if (words.length === 0) throw new Usage('add needs a title')
    const { lastInsertRowid } = await db.run('INSERT INTO todos (title) VALUES (?)', [words.join(' ')])
    console.log(`Added ${lastInsertRowid}`)
  },
  done: (db, id) => change(db, 'UPDATE todos SET done = 1 WHERE id = ?', id),
  remove: (db, id) => change(db, 'DELETE FROM todos WHERE id = ?', id),
  async list(db) {
    const todos = await db.query('SELECT id, title, done FROM todos ORDER BY id')
    for (const { id, title, done } of todos) console.log(`${done ? '[x]' : '[ ]'} ${id} ${title}`)
    if (todos.length === 0) console.log('Nothing to do')
  },
}

async function change(db, sql, id) {
  const number = Number(id)
  if (!Number.isInteger(number)) throw new Usage('Name the number of an entry')
  const { changes } = await db.run(sql, [number])
  if (changes === 0) throw new Usage(`There is no entry ${number}`)
}

class Usage extends Error {}

async function main([name = 'list', ...words]) {
  if (!Object.hasOwn(commands, name)) throw new Usage(`Commands are: ${Object.keys(commands).join(', ')}`)
  // Another process may be writing now.
  const db = await open({ name: 'todo', storage: 'file', migrations, lock: { onBusy: 'wait' } })
  try {
    await commands[name](db, ...words)
  } finally {
    await db.close()
  }
}

main(process.argv.slice(2)).catch((error) => {
  if (!(error instanceof Usage) && !isTidelockError(error)) throw error
  console.error(error.message)
  if (error.hint) console.error(error.hint)
  process.exitCode = error instanceof Usage ? 2 : 1
})
