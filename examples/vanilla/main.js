import { migrationsFrom, open } from 'tidelock'

const form = document.querySelector('form')
const list = document.querySelector('ul')
const status = document.querySelector('[role=status]')

const db = await open({
  name: 'notes',
  // Every tab has the same notes: the first one runs SQLite, in a worker, the others send it their calls.
  tabs: 'shared',
  thread: 'worker',
  migrations: migrationsFrom({
    '0001_notes.sql': 'CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL)',
  }),
}).catch(fail)

db.live('SELECT id, text FROM notes ORDER BY id DESC').subscribe((notes) => {
  list.replaceChildren(...notes.map(row))
  status.textContent = notes.length === 1 ? '1 note' : `${notes.length} notes`
}, fail)

form.addEventListener('submit', (event) => {
  event.preventDefault()
  const { text } = Object.fromEntries(new FormData(form))
  form.reset()
  db.run('INSERT INTO notes (text) VALUES (?)', [text]).catch(fail)
})

// Before, the browser would send the form by itself.
form.querySelector('button').disabled = false

function row({ id, text }) {
  const item = document.createElement('li')
  const remove = document.createElement('button')
  remove.textContent = '✕'
  remove.title = 'Remove'
  remove.addEventListener('click', () => db.run('DELETE FROM notes WHERE id = ?', [id]).catch(fail))
  item.append(text, ' ', remove)
  return item
}

/** Shows what failed and what to do. */
function fail(error) {
  status.textContent = [error.message, error.hint].filter(Boolean).join('. ')
  throw error
}
