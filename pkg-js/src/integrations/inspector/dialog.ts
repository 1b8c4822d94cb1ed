// Dialogs: a confirmation, and a value in full.
import type { SqlResultValue, SqlValue } from '../../index.js'
import { type Child, download, fill, h } from './dom.js'
import { hex, plural, size } from './format.js'
import { errorText } from './problem.js'
import { kindOf, kinds, parseValue, type ValueKind } from './values.js'

/** The longest text, and the most bytes, that a dialog shows. */
const shownLength = 200_000
const shownBytes = 4096

/** Asks before something that can't easily be undone. Resolves with whether the user agrees. */
export function confirmed(host: HTMLElement, title: string, text: Child, verb: string): Promise<boolean> {
  return new Promise((resolve) => {
    const dialog = open(
      host,
      title,
      h('p', {}, text),
      h(
        'div',
        { class: 'buttons end' },
        h('button', { type: 'button', onclick: () => dialog.close() }, 'Cancel'),
        h('button', { type: 'button', class: 'danger', onclick: () => dialog.close('yes') }, verb),
      ),
    )
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'))
  })
}

/** Shows a value in full; with `save` it can be changed. */
export function valueDialog(
  host: HTMLElement,
  title: string,
  value: SqlResultValue,
  save?: (value: SqlValue) => Promise<void>,
): void {
  const close = h('button', { type: 'button', onclick: () => dialog.close() }, save === undefined ? 'Close' : 'Cancel')
  const buttons = h('div', { class: 'buttons end' }, ...extras(title, value), h('span', { class: 'space' }), close)
  const dialog = open(host, title, h('p', { class: 'soft' }, described(value)), ...body(), buttons)

  function body(): HTMLElement[] {
    if (save === undefined) return [h('pre', { class: 'value', tabIndex: 0 }, shown(value))]
    const kind = h(
      'select',
      { 'aria-label': 'Type' },
      ...kinds.map((name) => h('option', { value: name, selected: name === kindOf(value) }, name)),
    )
    const text = h('textarea', { 'aria-label': 'Value', rows: 10, spellcheck: false, value: editable(value) })
    const flaw = h('p', { class: 'flaw', role: 'alert' })
    const check = () => {
      text.disabled = kind.value === 'NULL'
    }
    kind.addEventListener('change', check)
    check()
    const confirm = h('button', { type: 'submit', class: 'primary' }, 'Save')
    buttons.append(confirm)
    const submit = async (event: Event) => {
      event.preventDefault()
      try {
        await save(parseValue(text.value, kind.value as ValueKind))
        dialog.close()
      } catch (error) {
        fill(flaw, errorText(error))
      }
    }
    confirm.addEventListener('click', submit)
    return [h('label', { class: 'row' }, 'Type ', kind), text, flaw]
  }
}

function open(host: HTMLElement, title: string, ...children: Child[]): HTMLDialogElement {
  const heading = h('h3', { id: 'dialog-title' }, title)
  const dialog = h('dialog', { 'aria-labelledby': 'dialog-title' }, heading, ...children)
  dialog.addEventListener('close', () => dialog.remove())
  host.append(dialog)
  dialog.showModal()
  return dialog
}

function extras(title: string, value: SqlResultValue): HTMLElement[] {
  if (value === null) return []
  const data = () => new Blob([value instanceof Uint8Array ? value.slice() : String(value)])
  const name = `${title.replaceAll(/\W+/g, '-')}.${value instanceof Uint8Array ? 'bin' : 'txt'}`
  const copy = () => navigator.clipboard?.writeText(value instanceof Uint8Array ? hex(value) : String(value))
  return [
    h('button', { type: 'button', onclick: copy }, 'Copy'),
    h('button', { type: 'button', onclick: () => download(name, data()) }, 'Download'),
  ]
}

function described(value: SqlResultValue): string {
  if (value === null) return 'NULL'
  if (value instanceof Uint8Array) return `BLOB, ${size(value.length)}`
  if (typeof value === 'string') return `TEXT, ${plural(value.length, 'character')}`
  return kindOf(value)
}

/** The text that stands for a value while it is edited. */
export function editable(value: SqlResultValue): string {
  if (value === null) return ''
  return value instanceof Uint8Array ? hex(value) : String(value)
}

function shown(value: SqlResultValue): string {
  if (value instanceof Uint8Array) return hexDump(value)
  const text = String(value)
  return text.length > shownLength
    ? `${text.slice(0, shownLength)}\n… (${plural(text.length, 'character')})`
    : pretty(text)
}

/** JSON with indents; other text as it is. */
function pretty(text: string): string {
  if (!/^\s*[[{]/.test(text)) return text
  try {
    return JSON.stringify(JSON.parse(text), null, 2)
  } catch {
    return text
  }
}

function hexDump(bytes: Uint8Array): string {
  const lines: string[] = []
  for (let at = 0; at < Math.min(bytes.length, shownBytes); at += 16) {
    const line = bytes.subarray(at, at + 16)
    const text = Array.from(line, (byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : '·')).join('')
    const pairs = Array.from(line, (byte) => byte.toString(16).padStart(2, '0')).join(' ')
    lines.push(`${at.toString(16).padStart(6, '0')}  ${pairs.padEnd(47)}  ${text}`)
  }
  if (bytes.length > shownBytes) lines.push(`… (${size(bytes.length)})`)
  return lines.join('\n')
}
