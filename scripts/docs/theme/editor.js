// The code editor of the playground, which is loaded after the page is there.
import { javascript } from '@codemirror/lang-javascript'
import { defaultHighlightStyle, HighlightStyle, syntaxHighlighting } from '@codemirror/language'
import { Prec } from '@codemirror/state'
import { keymap } from '@codemirror/view'
import { tags } from '@lezer/highlight'
import { basicSetup, EditorView } from 'codemirror'

/** Colours by variables of the page, so that they follow its dark and light theme. */
const colours = HighlightStyle.define([
  { tag: [tags.keyword, tags.operatorKeyword, tags.controlKeyword], color: 'var(--code-keyword)' },
  { tag: [tags.string, tags.special(tags.string), tags.regexp], color: 'var(--code-string)' },
  { tag: [tags.number, tags.bool, tags.null], color: 'var(--code-number)' },
  { tag: tags.comment, color: 'var(--code-comment)', fontStyle: 'italic' },
])

const look = EditorView.theme({
  '&': { backgroundColor: 'transparent', color: 'var(--vp-c-text-1)', fontSize: '13px' },
  '.cm-content': { fontFamily: 'var(--vp-font-family-mono)', caretColor: 'var(--vp-c-text-1)' },
  '.cm-cursor': { borderLeftColor: 'var(--vp-c-text-1)' },
  '.cm-gutters': { backgroundColor: 'transparent', color: 'var(--vp-c-text-2)', border: 'none' },
  '.cm-activeLine, .cm-activeLineGutter': { backgroundColor: 'var(--vp-c-default-soft)' },
  '&.cm-focused .cm-selectionBackground, .cm-selectionBackground, .cm-content ::selection': {
    backgroundColor: 'var(--vp-c-brand-soft) !important',
  },
})

/** Makes an editor in `host`. Ctrl-Enter, or Cmd-Enter, calls `run`. */
export function createEditor(host, code, run) {
  const isHandled = () => {
    run()
    return true
  }
  const view = new EditorView({
    doc: code,
    parent: host,
    extensions: [
      Prec.highest(keymap.of([{ key: 'Mod-Enter', run: isHandled }])),
      basicSetup,
      javascript(),
      syntaxHighlighting(colours),
      syntaxHighlighting(defaultHighlightStyle, { fallback: true }),
      look,
      EditorView.contentAttributes.of({ 'aria-label': 'Code' }),
      EditorView.lineWrapping,
    ],
  })
  return {
    text: () => view.state.doc.toString(),
    replace: (text) => view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: text } }),
    destroy: () => view.destroy(),
  }
}
