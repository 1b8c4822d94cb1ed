/** Why a text can't be a script. */
export interface Flaw {
  /** Where it begins, in UTF-16 units. */
  readonly index: number
  /** What is wrong, to follow a colon. */
  readonly why: string
  /** What to do about it. */
  readonly hint: string
}

/** A script, read as far as that takes no knowledge of SQL's statements. */
export interface ScriptText {
  /** The script, with a semicolon before each `--> statement-breakpoint` that stands in for one. */
  readonly sql: string
  /** Where its first word is; `undefined` where there is nothing but space and comments. */
  readonly first: number | undefined
  /** The first thing for which it can't be a script. */
  readonly flaw: Flaw | undefined
}

/** Comments, quoted texts and names, words with numbers, then any other character: what opens one of these and never closes it, too. */
const pieces =
  /--[^\n]*|\/\*[\s\S]*?\*\/|'[^']*'|"[^"]*"|`[^`]*`|\[[^\]]*\]|[A-Za-z_\x80-\uffff][\w$\x80-\uffff]*|[\d.]+|\S/g

const closing: Readonly<Record<string, string>> = { "'": "'", '"': '"', '`': '`', '[': ']', '/*': '*/' }

/** Where a text holds a NUL: SQLite would take what comes behind it for no part of the script, and say nothing. */
export function nulFlaw(text: string): Flaw | undefined {
  const index = text.indexOf('\0')
  if (index < 0) return undefined
  return { index, why: 'there is a NUL character', hint: 'Save it as UTF-8; in SQL the character is char(0)' }
}

/**
 * Reads a script as SQLite does: quotes, comments, and triggers, which end by `; END`. What SQLite would refuse only when the script
 * runs, or swallow without a word, is its flaw. drizzle-kit cuts its files at `--> statement-breakpoint`, whether there is a
 * semicolon or not: here it gets one, in the same line, except in a text or a trigger.
 */
export function readScript(text: string): ScriptText {
  let [sql, copied] = ['', 0]
  let first: number | undefined
  // Of the statement at hand: how many pieces, whether CREATE [TEMP] may go on with TRIGGER, where that began, how much of `; END`.
  let [words, creates, ending] = [0, false, 0]
  let began = 0
  let trigger: number | undefined
  const found = (flaw: Flaw | undefined): ScriptText => ({ sql: sql + text.slice(copied), first, flaw })
  const nul = nulFlaw(text)
  if (nul !== undefined) return found(nul)
  for (const { 0: piece, index } of text.matchAll(pieces)) {
    const isWhole = trigger === undefined || ending === 2
    if (piece.startsWith('--')) {
      const lone = piece.search(/\r(?=\s*\S)/)
      if (lone >= 0) return found(swallowed(index))
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

function unclosed(index: number, open: string, close: string): Flaw {
  const hint =
    open === '/*' ? 'Close the comment with */' : `Close it with ${close}; within a text or a name a quote is doubled`
  return { index, why: `what ${open} opens is never closed`, hint }
}

function endless(index: number): Flaw {
  return {
    index,
    why: 'a trigger has no end',
    hint: "A trigger's last statement has a semicolon, and END; behind it",
  }
}

function swallowed(index: number): Flaw {
  return {
    index,
    why: 'a comment goes on behind a carriage return, with what seems to be the next line',
    hint: 'Only \\n ends a comment: save the file with line ends \\n or \\r\\n',
  }
}

function damaged(index: number): Flaw {
  return {
    index,
    why: 'there is U+FFFD, which stands for a letter that was lost',
    hint: 'Save it as UTF-8; should the character itself be meant, in SQL it is char(65533)',
  }
}

/** The line of a place in a text, from 1. */
export function lineOf(text: string, index: number): number {
  return text.slice(0, index).split(/\r\n|\n|\r/).length
}
