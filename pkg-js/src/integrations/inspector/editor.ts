// The editor for SQL, CodeMirror, which is loaded with the SQL view.
import {
  autocompletion,
  closeBrackets,
  closeBracketsKeymap,
  closeCompletion,
  completionKeymap,
} from '@codemirror/autocomplete'
import { defaultKeymap, history, historyKeymap } from '@codemirror/commands'
import { SQLite, sql } from '@codemirror/lang-sql'
import { bracketMatching, HighlightStyle, syntaxHighlighting } from '@codemirror/language'
import { Compartment, EditorState, Prec } from '@codemirror/state'
import { drawSelection, EditorView, highlightActiveLine, keymap, lineNumbers, placeholder } from '@codemirror/view'
import { tags } from '@lezer/highlight'

export interface Editor {
  /** The selected text, else the whole text. */
  text(): string
  /** The whole text. */
  all(): string
  replace(text: string): void
  /** Sets the tables and their columns, for completion. */
  setSchema(schema: Readonly<Record<string, readonly string[]>>): void
  focus(): void
  close(): void
}

/** Colours by variables of the inspector, so that they follow the dark and the light theme. */
const colours = HighlightStyle.define([
  { tag: [tags.keyword, tags.operatorKeyword], color: 'var(--keyword)' },
  { tag: [tags.string, tags.special(tags.string)], color: 'var(--string)' },
  { tag: [tags.number, tags.bool, tags.null], color: 'var(--number)' },
  { tag: [tags.lineComment, tags.blockComment], color: 'var(--soft)', fontStyle: 'italic' },
  { tag: tags.typeName, color: 'var(--type)' },
])

const look = EditorView.theme({
  '&': { backgroundColor: 'var(--card)', color: 'var(--ink)', fontSize: '13px', maxHeight: '50vh' },
  '.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '1.5', minHeight: '8em' },
  '.cm-content': { caretColor: 'var(--ink)' },
  '.cm-cursor': { borderLeftColor: 'var(--ink)' },
  '.cm-gutters': { backgroundColor: 'transparent', color: 'var(--soft)', border: 'none' },
  '.cm-activeLine': { backgroundColor: 'transparent' },
  '.cm-placeholder': { color: 'var(--soft)' },
  '&.cm-focused': { outline: '2px solid var(--accent)', outlineOffset: '-1px' },
  '.cm-selectionBackground, &.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground': {
    backgroundColor: 'var(--wash)',
  },
  '.cm-matchingBracket, &.cm-focused .cm-matchingBracket': { backgroundColor: 'var(--wash)', color: 'inherit' },
  '.cm-tooltip': { backgroundColor: 'var(--card)', color: 'var(--ink)', border: '1px solid var(--line)' },
  '.cm-tooltip-autocomplete ul li[aria-selected]': { backgroundColor: 'var(--accent)', color: 'var(--accent-ink)' },
})

/**
 * Replaces a selection without the browser's editing, which in Chromium writes an inline style into the text: a strict policy reports that.
 */
const replacing = EditorView.domEventHandlers({
  beforeinput(event, view) {
    const isReplaced = !view.state.selection.main.empty && !view.composing
    if (event.inputType !== 'insertText' || event.data === null || !isReplaced) return false
    event.preventDefault()
    view.dispatch(view.state.replaceSelection(event.data), { userEvent: 'input.type', scrollIntoView: true })
    return true
  },
})

/** Makes an editor in `host`. Ctrl-Enter, or Cmd-Enter, calls `run`. */
export function createEditor(root: ShadowRoot, host: HTMLElement, text: string, run: () => void): Editor {
  const language = new Compartment()
  const isHandled = (view: EditorView) => {
    closeCompletion(view)
    run()
    return true
  }
  const view = new EditorView({
    root,
    parent: host,
    state: EditorState.create({
      doc: text,
      extensions: [
        Prec.highest(keymap.of([{ key: 'Mod-Enter', run: isHandled }])),
        lineNumbers(),
        history(),
        drawSelection(),
        bracketMatching(),
        closeBrackets(),
        autocompletion(),
        highlightActiveLine(),
        keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...historyKeymap, ...completionKeymap]),
        language.of(sql({ dialect: SQLite })),
        syntaxHighlighting(colours),
        placeholder('SELECT …'),
        look,
        replacing,
        EditorView.lineWrapping,
        EditorView.contentAttributes.of({ 'aria-label': 'SQL' }),
      ],
    }),
  })
  return {
    text() {
      const { from, to } = view.state.selection.main
      return from === to ? view.state.doc.toString() : view.state.sliceDoc(from, to)
    },
    all: () => view.state.doc.toString(),
    replace: (next) => view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: next } }),
    setSchema: (schema) =>
      view.dispatch({
        effects: language.reconfigure(sql({ dialect: SQLite, schema: { ...schema }, upperCaseKeywords: true })),
      }),
    focus: () => view.focus(),
    close: () => view.destroy(),
  }
}
