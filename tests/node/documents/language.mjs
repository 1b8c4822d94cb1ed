// The language of prose: the words that the glossary replaces, and how long a line may be. The checks take lines of text, so they work
// for documents and for comments alike.

/** The columns of a line of prose. */
export const LONGEST_LINE = 120

/** Words that are not used in prose, and what to say instead. A space stands for any white space, also a line end. */
export const REPLACED_WORDS = [
  ['robbed|robs', 'a stolen lock, a fenced-out holder'],
  ['whoever|whomever|nobody|somebody|anybody|everybody', 'the name of the subject'],
  ['(?:what|who) (?:it|they) (?:has|have|had)|who (?:has|had|holds|held) it', 'the name of the subject'],
  ['(?:give|gives|gave|given|giving) up', 'cancel, or stop trying'],
  ['breaths?', 'yield to the event loop'],
  ['patience', 'timeout, liveness, retry budget'],
  ['desks?', 'client session, attached client'],
  ['tickets?', 'permit'],
  ['(?:takes?|took|taken|gives?|given|gave|holds?|held) (?:back )?(?:the|its|their|a) turn', 'lock the connection'],
  ['turns? of (?:its|their) own', 'a permit'],
  ['in (?:the|its|their) line|in line', 'in the queue'],
  ['aside', 'quarantined'],
  ['gone', 'deleted remotely'],
  ['joint|jointly', 'single-flight'],
  ['facts', 'statement effects, conflict input, health inputs'],
  ['moments?', 'point in time, lifecycle event'],
  ['heeds?|heeded', 'ignores'],
  ['no sound', 'not a valid SQLite database'],
  ['lacks? (?:their|its) parents?', 'foreign key violation'],
  ['no use for', 'unexpected argument'],
  ['lest', 'otherwise'],
  ['anew', 'again'],
  ['mends?|mended|mending', 'fix, repair'],
  ['thaws?|thawed', 'resume'],
  ['hears?', 'receive, detect'],
  ['pace', 'policy, interval'],
  ['old news', 'outdated'],
  ['shall', 'must'],
  ['be it', 'whether'],
  ['half-way|halfway', 'what interrupts it, and when'],
  ['(?:goes|go|went|going) away', 'end, close, be deleted'],
  ['(?:hold|holds|holding|held) up', 'block, delay'],
  ['(?:take|takes|taken|took|come|comes|came) along', 'include, copy'],
  ['of (?:its|their) own accord', 'automatically'],
  ['needs? the turn', 'hold the mutex'],
  ['lets? go of', 'release, close'],
  ['at present', 'now, or nothing: the present tense says it'],
  ['for good', 'permanently'],
  ['by hand', 'manually, hand-written, yourself'],
  ['tells?|told|telling', 'report, show, inform, distinguish'],
  ['(?:from|comes?) elsewhere', 'imported, external'],
  [`(?:it|that|there|what|who|here|where|how)['’]s|\\w+['’](?:ll|re|ve|d)`, 'subject and verb in full'],
].map(([words, instead]) => ({ pattern: new RegExp(`\\b(?:${words.replaceAll(' ', '\\s+')})\\b`, 'gi'), instead }))

/** The words to replace in lines of prose, each with file and line. A line that isn't prose is given as an empty one. */
export function wordsToReplace(path, lines) {
  const text = lines.join('\n')
  return REPLACED_WORDS.flatMap(({ pattern, instead }) =>
    Array.from(text.matchAll(pattern), ({ 0: found, index }) => ({
      line: text.slice(0, index).split('\n').length,
      problem: `'${found.replace(/\s+/g, ' ')}': say ${instead}`,
    })),
  )
    .toSorted((a, b) => a.line - b.line)
    .map(({ line, problem }) => `${path}:${line}: ${problem}`)
}

/** The lines that are too long, each with file and line. */
export function linesTooLong(path, lines) {
  return lines.flatMap((line, index) => {
    const columns = [...line].length
    return columns > LONGEST_LINE ? [`${path}:${index + 1}: ${columns} columns, at most ${LONGEST_LINE}`] : []
  })
}

/** What is wrong with the language of a Markdown document. */
export function problemsOfDocument(path, text) {
  const lines = withoutCode(text.split('\n'))
  // A table, an image or a link can't be broken into lines.
  const breakable = lines.map((line) => (/^\s*(\||!\[|[-*]?\s*\[[^\]]*\]\(\S*\)\W*$)/.test(line) ? '' : line))
  return [...wordsToReplace(path, lines.map(withoutNames)), ...linesTooLong(path, breakable)]
}

/** The number of words of a document, without its code and what programs write. */
export function wordsOf(text) {
  return withoutCode(text.split('\n'))
    .join('\n')
    .split(/[\s|]+/)
    .filter((word) => /[\p{L}\p{N}]/u.test(word)).length
}

/** The same lines, with empty ones instead of blocks of code and of what programs write (`<!-- name -->` to `<!-- /name -->`). */
function withoutCode(lines) {
  let end
  return lines.map((line) => {
    const wasCode = end !== undefined
    if (wasCode) end = end.test(line) ? undefined : end
    else if (/^\s*```/.test(line)) end = /^\s*```/
    else if (/^<!-- \w.*-->$/.test(line)) end = /^<!-- \//
    return wasCode || end !== undefined ? '' : line
  })
}

/** A line without its code and the addresses of its links. */
function withoutNames(line) {
  return line.replace(/`[^`]*`/g, '`').replace(/\]\([^)]*\)/g, ']')
}

/** How a comment begins, by the ending of a file: one that fills a line, and one after code. */
const COMMENTS = [
  [/\.(sh|toml)$/, /^\s*#!?\s?(.*)$/, /\s#\s(.*)$/],
  [/\.sql$/, /^\s*--\s?(.*)$/, /\s--\s(.*)$/],
  [/./, /^\s*(?:\/\/[/!]?|\/?\*+)\s?(.*)$/, /\s\/\/\s(.*)$/],
]

/** The words to replace in the comments of a source file. Code and quoted names may have any word. */
export function problemsOfComments(path, text) {
  const [, whole, behind] = COMMENTS.find(([ending]) => ending.test(path))
  const comments = text.split('\n').map((line) => {
    const comment = line.match(whole) ?? line.match(behind)
    return comment === null ? '' : withoutNames(comment[1])
  })
  return wordsToReplace(path, comments)
}

/** What is no name in a source file: comments and quoted texts. A quotation mark in Rust may also begin a lifetime. */
const NOT_CODE = {
  rs: /\/\/.*|\/\*[\s\S]*?\*\/|r(#*)"[\s\S]*?"\1|"(?:[^"\\]|\\[\s\S])*"|'(?:[^'\\\n]|\\[^'\n]+)'/g,
  ts: /\/\/.*|\/\*[\s\S]*?\*\/|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\[\s\S])*`/g,
}

/** The words to replace in the names of a source file in Rust or TypeScript: `keptAside` and `kept_aside` are read as two words. */
export function problemsOfNames(path, text) {
  const code = text.replace(NOT_CODE[path.slice(-2)], (other) => other.replace(/[^\n]+/g, ' '))
  const words = (name) => name.replace(/([a-z\d])([A-Z])/g, '$1 $2').replaceAll('_', ' ')
  const names = code
    .split('\n')
    .map((line) => (line.match(/[A-Za-z_]\w*/g) ?? []).map((name) => `${words(name)},`).join(' '))
  return wordsToReplace(path, names)
}
