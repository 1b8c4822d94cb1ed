/** The reason why a text can't be a script. */
export interface ScriptFlaw {
  /** Where the flaw begins, in UTF-16 units. */
  readonly index: number
  /** What is wrong, as the text after a colon. */
  readonly why: string
  /** What to do. */
  readonly hint: string
}

/** A script, split into tokens but not parsed. */
export interface ScriptText {
  /** The script, with a semicolon before each `--> statement-breakpoint` that stands in for one. */
  readonly sql: string
  /** Where its first token is; `undefined` when there are only spaces and comments. */
  readonly first: number | undefined
  /** The first flaw, if there is one. */
  readonly flaw: ScriptFlaw | undefined
}

/** Comments, quoted texts and names, words, numbers, then any other character: also an opening mark that is never closed. */
const pieces =
  /--[^\n]*|\/\*[\s\S]*?\*\/|'[^']*'|"[^"]*"|`[^`]*`|\[[^\]]*\]|[A-Za-z_\x80-\uffff][\w$\x80-\uffff]*|[\d.]+|\S/g

const closing: Readonly<Record<string, string>> = { "'": "'", '"': '"', '`': '`', '[': ']', '/*': '*/' }

/** Finds a NUL character: SQLite silently ignores the rest of a script after one. */
export function nulFlaw(text: string): ScriptFlaw | undefined {
  const index = text.indexOf('\0')
  if (index < 0) return undefined
  return { index, why: 'there is a NUL character', hint: 'Save it as UTF-8; in SQL the character is char(0)' }
}

/**
 * Reads a script as SQLite does: quotes, comments, and triggers, which end with `; END`. A flaw is anything that SQLite would silently
 * ignore, or reject only when the script runs. drizzle-kit splits its files at `--> statement-breakpoint`, with or without a semicolon:
 * a missing semicolon is added in the same line, except in a text or a trigger.
 */
export function readScript(text: string): ScriptText {
  let [sql, copied] = ['', 0]
  let first: number | undefined
  // Of the current statement: the number of pieces, whether TRIGGER may follow CREATE [TEMP], where it began, how much of `; END` was read.
  let [words, creates, ending] = [0, false, 0]
  let began = 0
  let trigger: number | undefined
  const found = (flaw: ScriptFlaw | undefined): ScriptText => ({ sql: sql + text.slice(copied), first, flaw })
  const nul = nulFlaw(text)
  if (nul !== undefined) return found(nul)
  for (const { 0: piece, index } of text.matchAll(pieces)) {
    const isWhole = trigger === undefined || ending === 2
    if (piece.startsWith('--')) {
      if (piece.trimEnd().includes('\r')) return found(swallowed(index))
      if (!piece.startsWith('--> statement-breakpoint') || words === 0 || !isWhole) continue
      sql += `${text.slice(copied, index)};`
      copied = index
      words = 0
      trigger = undefined
      continue
    }
    const opened = piece === '/' && text[index + 1] === '*' ? '/*' : piece
    const close = closing[opened]
    if (close !== undefined) return found(unclosed(index, opened, close))
    if (piece.length > 1 && piece.startsWith('/*')) continue
    first ??= index
    if (piece.includes('\ufffd')) return found(damaged(index))
    if (piece === ';' && isWhole) {
      words = 0
      trigger = undefined
      continue
    }
    const word = piece.toLowerCase()
    words += 1
    if (words === 1) {
      began = index
      creates = word === 'create'
    } else if (words < 4 && creates) {
      if (word === 'trigger') [trigger, ending] = [began, 0]
      creates = word === 'temp' || word === 'temporary'
    } else if (word === ';') ending = 1
    else ending = ending === 1 && word === 'end' ? 2 : 0
  }
  return found(trigger === undefined || ending === 2 ? undefined : endless(trigger))
}

function unclosed(index: number, open: string, close: string): ScriptFlaw {
  const hint =
    open === '/*' ? 'Close the comment with */' : `Close it with ${close}; within a text or a name a quote is doubled`
  return { index, why: `what ${open} opens is never closed`, hint }
}

function endless(index: number): ScriptFlaw {
  return {
    index,
    why: 'a trigger has no end',
    hint: "End the trigger's last statement with a semicolon, then END;",
  }
}

function swallowed(index: number): ScriptFlaw {
  return {
    index,
    why: 'a comment continues after a carriage return, over what seems to be the next line',
    hint: 'Only \\n ends a comment: save the file with line ends \\n or \\r\\n',
  }
}

function damaged(index: number): ScriptFlaw {
  return {
    index,
    why: 'there is U+FFFD, which replaces a character that was lost',
    hint: 'Save it as UTF-8; if the character itself is meant, write char(65533) in SQL',
  }
}

/** Returns the line of a position in a text, from 1. */
export function lineOf(text: string, index: number): number {
  return text.slice(0, index).split(/\r\n|\n|\r/).length
}
