// Finds where the sources make errors, and what the messages look like: templates, with `{}` for what differs from case to case.
// No parser of either language: it knows texts, comments and brackets, and that is enough to cut a call into its arguments.

import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'

/** Root of the repository. */
export const root = new URL('../..', import.meta.url).pathname

/**
 * What makes an error, and which of its arguments is the message. A maker of one file only is named with it: another file may
 * have one of the same name that means something else.
 */
const makers = {
  rust: [
    { call: 'Error::new', at: 1 },
    { call: 'Error::invalid', at: 0 },
    { call: 'Error::internal', at: 0 },
    { call: 'Error::unsupported', at: 0, around: '{} is not available in this build' },
  ],
  typescript: [
    { call: 'new TidelockError', at: 1 },
    { call: 'invalid', at: 0 },
    { call: 'unavailable', at: 0, around: '{} is not available in this build' },
  ],
}

/** One place where an error is made: `{ file, line, templates, opaque }`; opaque: the message's text when it comes from elsewhere. */
export function places(language, extra = []) {
  const [folder, ending] = language === 'rust' ? ['src', '.rs'] : ['pkg-js/src', '.ts']
  const found = []
  for (const path of walk(join(root, folder), ending)) {
    const file = relative(root, path)
    const source = withoutTests(readFileSync(path, 'utf8'), language)
    const { code, texts } = masked(source, language)
    for (const maker of [...makers[language], ...extra.filter((one) => one.file === undefined || one.file === file)]) {
      for (const at of calls(code, maker.call)) {
        const line = source.slice(0, at).split('\n').length
        const argument = argumentsOf(code, at + maker.call.length)[maker.at]
        if (argument === undefined) continue
        const { templates, opaque } = templatesIn(code, texts, argument, at, language)
        const around = (template) => (maker.around ?? '{}').replace('{}', template)
        found.push({ file, line, call: maker.call, templates: templates.map(around), opaque })
      }
    }
  }
  return found
}

/** Whether a message is one of that template: its fixed words, in their order. */
export function matches(template, message) {
  const words = template.split('{}').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${words.join('.*')}$`, 's').test(message)
}

function* walk(folder, ending) {
  for (const entry of readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) {
      if (entry.name !== 'tests') yield* walk(path, ending)
    } else if (entry.name.endsWith(ending) && !entry.name.endsWith(`.d${ending}`) && entry.name !== `tests${ending}`)
      yield path
  }
}

/** Unit tests stand at the end of a file. */
function withoutTests(source, language) {
  const at = language === 'rust' ? source.search(/^#\[cfg\(test\)\]\nmod /m) : -1
  return at < 0 ? source : source.slice(0, at)
}

/**
 * The source with the insides of comments and texts blanked out, of the same length; and its texts by where they begin, with `{}`
 * for what is filled in.
 */
function masked(source, language) {
  const code = [...source]
  const texts = new Map()
  const blank = (from, to) => {
    for (let at = from; at < to; at++) if (code[at] !== '\n') code[at] = ' '
  }
  let at = 0
  while (at < source.length) {
    const rest = source.slice(at, at + 4)
    if (rest.startsWith('//')) {
      const end = source.indexOf('\n', at)
      blank(at, end < 0 ? source.length : end)
      at = end < 0 ? source.length : end
    } else if (rest.startsWith('/*')) {
      const end = source.indexOf('*/', at) + 2
      blank(at, end)
      at = end
    } else if (language === 'rust' && /^b?r#*"/.test(source.slice(at, at + 8)) && !/\w/.test(source[at - 1] ?? '')) {
      const hashes = /^b?r(#*)"/.exec(source.slice(at, at + 8))
      const end = source.indexOf(`"${hashes[1]}`, at + hashes[0].length) + 1 + hashes[1].length
      texts.set(at, source.slice(at + hashes[0].length, end - 1 - hashes[1].length))
      blank(at + 1, end)
      code[at] = '"'
      at = end
    } else if (language === 'rust' && source[at] === "'") {
      const char = /^'(\\u\{[0-9a-f]+\}|\\.|[^\\'])'/u.exec(source.slice(at, at + 14))
      if (char) blank(at, at + char[0].length)
      at += char ? char[0].length : 1
    } else if (
      language === 'typescript' &&
      source[at] === '/' &&
      /[=(,:!&|?]\s*$/.test(code.slice(Math.max(0, at - 8), at).join(''))
    ) {
      const regex = /^\/(\\.|\[(\\.|[^\]])*\]|[^/\\\n])+\/[a-z]*/.exec(source.slice(at))
      blank(at, at + (regex ? regex[0].length : 1))
      at += regex ? regex[0].length : 1
    } else if (source[at] === '"' || (language === 'typescript' && (source[at] === "'" || source[at] === '`'))) {
      const { end, text } = readText(source, at, language)
      texts.set(at, text)
      blank(at + 1, end)
      code[at] = '"'
      at = end
    } else at++
  }
  return { code: code.join(''), texts }
}

/** Reads the text that begins at `at`, to behind its closing quote. */
function readText(source, begin, language) {
  const quote = source[begin]
  let text = ''
  let at = begin + 1
  while (source[at] !== quote) {
    if (source[at] === '\\') {
      const next = source[at + 1]
      if (next === '\n') {
        at += 2
        while (/\s/.test(source[at])) at++
      } else {
        text += { n: '\n', t: '\t', 0: '\0' }[next] ?? next
        at += 2
      }
    } else if (quote === '`' && source.startsWith('${', at)) {
      at = closing(source, at + 1)
      text += '{}'
    } else {
      text += source[at]
      at++
    }
  }
  return { end: at + 1, text, language }
}

/** Behind the bracket that closes the one at `at`, texts and templates within skipped. */
function closing(source, begin) {
  let depth = 0
  for (let at = begin; at < source.length; at++) {
    if (source[at] === '{') depth++
    else if (source[at] === '}' && --depth === 0) return at + 1
    else if (source[at] === "'" || source[at] === '"' || source[at] === '`') at = readText(source, at).end - 1
  }
  throw new Error('an open bracket')
}

function* calls(code, name) {
  const pattern = new RegExp(`(?<![\\w.])${name.replace(/[.:]/g, '\\$&')}\\(`, 'g')
  for (const { index } of code.matchAll(pattern)) {
    if (!/(fn|function)\s+$/.test(code.slice(Math.max(0, index - 12), index))) yield index
  }
}

/** The arguments of the call whose bracket opens at `open`, as `[from, to]`. */
function argumentsOf(code, open) {
  const list = []
  let depth = 0
  let from = open + 1
  for (let at = open; at < code.length; at++) {
    if ('([{'.includes(code[at])) depth++
    else if (')]}'.includes(code[at])) {
      depth--
      if (depth === 0) {
        if (code.slice(from, at).trim() !== '') list.push([from, at])
        return list
      }
    } else if (code[at] === ',' && depth === 1) {
      list.push([from, at])
      from = at + 1
    }
  }
  return list
}

/** The templates that a message may have: of the texts in its expression, or in the variable that it is. */
function templatesIn(code, texts, [from, to], place, language) {
  const direct = literals(code, texts, from, to, language)
  if (direct.length > 0) return { templates: direct }
  const text = code
    .slice(from, to)
    .trim()
    .replace(/\.(clone|into|to_owned|to_string)\(\)$/, '')
    .replace(/^&/, '')
  if (/^\w+$/.test(text)) {
    const before = code.slice(Math.max(0, place - 2500), place)
    const start = [...before.matchAll(new RegExp(`\\b(let|const|let mut)\\s+${text}\\b[^=;]*=`, 'g'))].at(-1)
    const inner = start && before.slice(start.index).search(/^(fn|function|export|pub)\b/m)
    if (start && (inner === -1 || inner === undefined)) {
      const begin = Math.max(0, place - 2500) + start.index + start[0].length
      const found = literals(code, texts, begin, statementEnd(code, begin, place, language), language)
      if (found.length > 0) return { templates: found }
    }
  }
  return { templates: [], opaque: text.replace(/\s+/g, ' ').slice(0, 80) }
}

function statementEnd(code, begin, place, language) {
  if (language === 'typescript') {
    // No semicolons: up to the next line that begins a statement at the same or a smaller indent.
    const end = code.slice(begin, place).search(/\n\s*(const|let|if|return|throw|for)\b/)
    return end < 0 ? place : begin + end
  }
  let depth = 0
  for (let at = begin; at < place; at++) {
    if ('([{'.includes(code[at])) depth++
    else if (')]}'.includes(code[at])) depth--
    else if (code[at] === ';' && depth === 0) return at
  }
  return place
}

function literals(code, texts, from, to, language) {
  const found = []
  for (let at = from; at < to; at++) {
    if (code[at] !== '"' || !texts.has(at)) continue
    const text = texts.get(at)
    const before = code.slice(Math.max(from, at - 40), at)
    if (language === 'rust') {
      if (/format!\(\s*$/.test(before)) {
        found.push(unbraced(text))
        at = skip(code, at, to)
      } else if (
        !/(==|!=|\.(join|get|contains|starts_with|ends_with|split|trim_end_matches|trim_start_matches|strip_prefix|strip_suffix)\(|\[)\s*$/.test(
          before,
        ) &&
        !/^\s*=>/.test(code.slice(closeOf(code, texts, at), closeOf(code, texts, at) + 8))
      )
        found.push(text)
    } else {
      if (/(===|!==|\.(join|get|includes|startsWith|endsWith|split)\(|\[)\s*$/.test(before)) continue
      found.push(text)
    }
  }
  return found.filter((text) => /\w/.test(text) || text.includes('{}'))
}

function closeOf(code, texts, at) {
  let end = at + 1
  while (end < code.length && code[end] === ' ' && end < at + texts.get(at).length + 40) end++
  return end
}

/** From a `format!("...", args)`, behind its arguments. */
function skip(code, at, to) {
  let depth = 1
  for (let end = at; end < to; end++) {
    if ('([{'.includes(code[end])) depth++
    else if (')]}'.includes(code[end]) && --depth === 0) return end
  }
  return to
}

/** `{name}` and `{name:?}` become `{}`; doubled brackets single ones. */
function unbraced(text) {
  return text.replace(/\{\{|\}\}|\{[^{}]*\}/g, (found) => (found === '{{' ? '{' : found === '}}' ? '}' : '{}'))
}
