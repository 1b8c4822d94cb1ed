import { useLiveQuery, useMutation } from 'tidelock/react'

interface Todo {
  id: string
  title: string
  done: 0 | 1
}

export function Todos() {
  const { rows, error, loading } = useLiveQuery<Todo>('SELECT id, title, done FROM todos ORDER BY created_at, id')
  const add = useMutation((db, title: string) =>
    db.run('INSERT INTO todos (id, title, created_at) VALUES (?, ?, ?)', [
      crypto.randomUUID(),
      title,
      new Date().toISOString(),
    ]),
  )
  const check = useMutation((db, { id, done }: Todo) =>
    db.run('UPDATE todos SET done = ? WHERE id = ?', [1 - done, id]),
  )
  const remove = useMutation((db, { id }: Todo) => db.run('DELETE FROM todos WHERE id = ?', [id]))

  const failure = error ?? add.error ?? check.error ?? remove.error
  if (loading) return <p>Loading</p>
  return (
    <>
      <form action={(form) => add.mutate(String(form.get('title')))}>
        <input name="title" aria-label="What to do" placeholder="What to do" autoComplete="off" required />
        <button type="submit">Add</button>
      </form>
      {failure && <p role="alert">{failure.message}</p>}
      <ul>
        {rows.map((todo) => (
          <li key={todo.id}>
            <label>
              <input type="checkbox" checked={todo.done === 1} onChange={() => check.mutate(todo)} />
              {todo.title}
            </label>
            <button type="button" title="Remove" onClick={() => remove.mutate(todo)}>
              ✕
            </button>
          </li>
        ))}
      </ul>
    </>
  )
}
