// Writes DOM elements as expressions.

export type Child = Node | string | number | bigint | null | undefined | false

type Props = Record<string, unknown>

/** Makes an element. `on…` properties become listeners, `aria-…` and `data-…` ones attributes, others properties of the element. */
export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  props: Props = {},
  ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === false) continue
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value as EventListener)
    else if (name === 'class') element.className = String(value)
    else if (!name.includes('-') && name in element) Reflect.set(element, name, value)
    else element.setAttribute(name, String(value))
  }
  return fill(element, ...children)
}

/** Replaces the children of an element. */
export function fill<E extends Element>(element: E, ...children: Child[]): E {
  element.replaceChildren(
    ...children.filter((child) => child || child === 0).map((child) => (child instanceof Node ? child : String(child))),
  )
  return element
}

/** Makes a button that shows that its action is running, and its error. */
export function action(label: Child, run: () => unknown, props: Props = {}): HTMLButtonElement {
  const button = h('button', { type: 'button', ...props }, label)
  button.addEventListener('click', async (event) => {
    event.stopPropagation()
    button.disabled = true
    button.setAttribute('aria-busy', 'true')
    try {
      await run()
    } catch (error) {
      toastError(error)
    } finally {
      button.disabled = false
      button.removeAttribute('aria-busy')
    }
  })
  return button
}

/** Makes a listener that runs `work` once for many calls in a row: a pull commits page after page. */
export function soon(work: () => unknown, delayMs = 120): () => void {
  let asked = false
  return () => {
    if (asked) return
    asked = true
    setTimeout(() => {
      asked = false
      work()
    }, delayMs)
  }
}

const NOTES_SHOWN = 3

/** Shows a note that disappears after a while. */
export function toast(text: string, kind: 'ok' | 'error' | 'warning' = 'ok', detail?: string): void {
  const note = h('div', { class: `toast ${kind}` }, h('strong', {}, text), detail && h('span', {}, detail))
  const notes = document.querySelector('#toasts')
  notes?.append(note)
  // Quick edits in a row must not cover the page with notes.
  for (const old of [...(notes?.children ?? [])].slice(0, -NOTES_SHOWN)) old.remove()
  setTimeout(() => note.classList.add('leaving'), kind === 'ok' ? 2200 : 8000)
  setTimeout(() => note.remove(), kind === 'ok' ? 2700 : 8500)
}

/** Removes the notes of a view when the user leaves it; errors stay for their time. */
export function clearNotes(): void {
  for (const note of document.querySelectorAll('.toast.ok')) note.remove()
}

export function toastError(error: unknown): void {
  const { code, message, hint } = describe(error)
  toast(message, 'error', [code, hint].filter(Boolean).join(' · '))
}

/** Returns the parts of an error that the screens show. */
export function describe(error: unknown): {
  code: string
  message: string
  hint: string
  details: Record<string, unknown>
} {
  const e = error as { code?: string; message?: string; hint?: string; details?: Record<string, unknown> }
  return { code: e?.code ?? '', message: e?.message ?? String(error), hint: e?.hint ?? '', details: e?.details ?? {} }
}
