// Copies SQLite's sources for the wasm build, with the few changes that no compile option makes: node scripts/sqlite-sources.mjs FROM TO
//
// FTS5 compares the positions of a row's phrases in one call, without SQLite's progress handler: a NEAR of 1,000 phrases over one long row
// takes minutes. The changed source calls the handler, so that timeoutMs ends it. And it limits the phrases of a NEAR and the terms of a
// phrase, since FTS5 copies the lists of both each time they grow.
import { existsSync, lstatSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'

const mostPhrases = 4000

/** Calls the progress handler after about 100,000 comparisons, of which these are `count`; at the deadline it leaves the loop by `exit`. */
const ask = (count, exit, db = 'db') => `      if( (nWork += ${count})>=100000 ){
        nWork = 0;
        if( ${db}->xProgress && ${db}->xProgress(${db}->pProgressArg) ){
          rc = SQLITE_INTERRUPT;
          ${exit};
        }
      }
`

/** What FTS5 says of an expression that is too deep: src/sqlite/failure.rs replaces the impossible depth. */
const tooMany = 'sqlite3Fts5ParseError(pParse, "fts5 expression tree is too large (maximum depth 0)");'

/** The connection of a table's cursor. */
const tableDb = '((Fts5Table*)pCsr->base.pVtab)->pConfig->db'

/** Texts that must occur once, and what replaces them. */
const changes = [
  // The phrases of a row.
  ['static int fts5ExprPhraseIsMatch(\n', 'static int fts5ExprPhraseIsMatch(\n  sqlite3 *db,\n'],
  ['fts5ExprPhraseIsMatch(pNode,', 'fts5ExprPhraseIsMatch(pExpr->pConfig->db, pNode,'],
  [
    '  Fts5PoslistWriter writer = {0};\n  Fts5PoslistReader a',
    '  int nWork = 0;\n  Fts5PoslistWriter writer = {0};\n  Fts5PoslistReader a',
  ],
  [
    '      bMatch = 1;\n      for(i=0; i<pPhrase->nTerm; i++){\n',
    `      bMatch = 1;\n${ask('pPhrase->nTerm', 'goto ismatch_out')}      for(i=0; i<pPhrase->nTerm; i++){\n`,
  ],
  // The distances between them.
  ['fts5ExprNearIsMatch(int *pRc,', 'fts5ExprNearIsMatch(sqlite3 *db, int *pRc,'],
  ['fts5ExprNearIsMatch(pRc,', 'fts5ExprNearIsMatch(pExpr->pConfig->db, pRc,'],
  ['  Fts5NearTrimmer *a = aStatic;\n', '  Fts5NearTrimmer *a = aStatic;\n  int nWork = 0;\n'],
  [
    '      bMatch = 1;\n      for(i=0; i<pNear->nPhrase; i++){\n',
    `      bMatch = 1;\n${ask('pNear->nPhrase', 'goto ismatch_out')}      for(i=0; i<pNear->nPhrase; i++){\n`,
  ],
  // The places of all phrases, for highlight(), snippet() and other functions.
  ['    int nInst = 0;                /* Number', '    int nWork = 0;\n    int nInst = 0;                /* Number'],
  [
    '        int iBest = -1;\n        for(i=0; i<nIter; i++){\n',
    `        int iBest = -1;\n${ask('nIter', 'break', tableDb)}        for(i=0; i<nIter; i++){\n`,
  ],
  // The limits.
  [
    '  Fts5ExprNearset *pRet = 0;\n\n',
    `  Fts5ExprNearset *pRet = 0;\n\n  if( pNear && pNear->nPhrase>=${mostPhrases} ) ${tooMany}\n`,
  ],
  [
    '  if( pPhrase && pPhrase->nTerm>0 && (tflags & FTS5_TOKEN_COLOCATED) ){\n',
    `  if( pPhrase && pPhrase->nTerm>=${mostPhrases} ) return pCtx->rc = SQLITE_TOOBIG;\n` +
      '  if( pPhrase && pPhrase->nTerm>0 && (tflags & FTS5_TOKEN_COLOCATED) ){\n',
  ],
  ['  if( rc || (rc = sCtx.rc) ){\n', `  if( rc || (rc = sCtx.rc) ){\n    if( rc==SQLITE_TOOBIG ) ${tooMany}\n`],
]

const [from, to] = process.argv.slice(2)
let source = readFileSync(path.join(from, 'sqlite3.c'), 'utf8')
for (const [text, instead] of changes) {
  const pieces = source.split(text)
  if (pieces.length !== 2) throw new Error(`SQLite's source has this ${pieces.length - 1} times, not once: ${text}`)
  source = pieces.join(instead)
}

// An earlier version made a link.
if (lstatSync(to, { throwIfNoEntry: false })?.isSymbolicLink()) rmSync(to)
mkdirSync(to, { recursive: true })
const files = { 'sqlite3.c': source }
for (const name of ['sqlite3.h', 'sqlite3ext.h']) files[name] = readFileSync(path.join(from, name), 'utf8')
for (const [name, text] of Object.entries(files)) {
  const file = path.join(to, name)
  // An unchanged file keeps its time: otherwise cargo would compile it again.
  if (!existsSync(file) || readFileSync(file, 'utf8') !== text) writeFileSync(file, text)
}
