// Copies SQLite's sources for the wasm build, with the few changes that no compile option makes: node scripts/sqlite-sources.mjs FROM TO
//
// FTS5 compares the positions of a row's phrases in one call, without SQLite's progress handler: a NEAR of 1,000 phrases over one long row
// takes minutes. The changed source calls the handler, so that timeoutMs ends it. And it limits the phrases of a NEAR and the terms of a
// phrase, since FTS5 copies the lists of both each time they grow. The functions that compare each place of one text with another text
// (instr, replace, trim, unhex, LIKE, GLOB, json_patch) call the handler, too, and so do the parts of the compiler whose time may grow with
// the square or the power of a statement's length. Nested triggers and generated columns are limited, since SQLite compiles each by a nested
// call: 900 overflow the stack of a page, which ends the engine.
//
// What no database of tidelock reaches is left out, 3 KB of gzip: SQLite's error log, which has no reader; file names that are URIs; and
// journals on a disk, with commits in several files.
import { existsSync, lstatSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'

const mostPhrases = 4000
const mostNested = 100

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

/**
 * Whether the deadline of a connection has passed, asked after about 10 million comparisons, of which these are nMore. The count may be static:
 * an instance of wasm has one thread.
 */
const overdue = `static int tidelockOverdue(sqlite3 *db, int nMore){
  static i64 nWork = 0;
  nWork += nMore;
  if( nWork<10000000 ) return 0;
  nWork = 0;
  return db->xProgress && db->xProgress(db->pProgressArg);
}

/* The connection of the running LIKE or GLOB, and whether its deadline has passed. */
static sqlite3 *tidelockLikeDb = 0;
static int tidelockLikeOver = 0;

`

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
  // Functions that compare one text with each place of another.
  ['static void instrFunc(\n', `${overdue}static void instrFunc(\n`],
  [
    '      N++;\n      do{\n',
    `      N++;
      if( zHaystack[0]==firstChar && tidelockOverdue(sqlite3_context_db_handle(context), nNeedle) ){
        sqlite3_result_error_code(context, SQLITE_INTERRUPT);
        goto endInstr;
      }
      do{
`,
  ],
  [
    '      zOut[j++] = zStr[i];\n',
    `      zOut[j++] = zStr[i];
      if( zStr[i]==zPattern[0] && tidelockOverdue(db, nPattern) ){
        sqlite3_result_error_code(context, SQLITE_INTERRUPT);
        sqlite3_free(zOut);
        return;
      }
`,
  ],
  ...['        zIn += len;\n        nIn -= len;\n', '        if( i>=nChar ) break;\n        nIn -= len;\n'].map(
    (text) => [
      text,
      `${text}        if( tidelockOverdue(sqlite3_context_db_handle(context), nChar) ){
          sqlite3_result_error_code(context, SQLITE_INTERRUPT);
          if( zCharSet ) sqlite3_free(azChar);
          return;
        }
`,
    ],
  ),
  [
    '        if( !strContainsChar(zPass, nPass, ch) ) goto unhex_null;\n',
    `        if( tidelockOverdue(sqlite3_context_db_handle(pCtx), nPass) ){
          sqlite3_result_error_code(pCtx, SQLITE_INTERRUPT);
          goto unhex_null;
        }
        if( !strContainsChar(zPass, nPass, ch) ) goto unhex_null;
`,
  ],
  // One call of it compares up to the length of a pattern.
  [
    '  const u8 *zEscaped = 0;          /* One past the last escaped input char */\n\n',
    `  const u8 *zEscaped = 0;          /* One past the last escaped input char */

  if( tidelockLikeDb && (tidelockLikeOver || tidelockOverdue(tidelockLikeDb, 500)) ){
    tidelockLikeOver = 1;
    return SQLITE_NOWILDCARDMATCH;
  }
`,
  ],
  [
    `    sqlite3_result_int(context,
                      patternCompare(zB, zA, pInfo, escape)==SQLITE_MATCH);
`,
    `    int bMatch;
    tidelockLikeDb = db;
    tidelockLikeOver = 0;
    bMatch = patternCompare(zB, zA, pInfo, escape)==SQLITE_MATCH;
    tidelockLikeDb = 0;
    if( tidelockLikeOver ){
      sqlite3_result_error_code(context, SQLITE_INTERRUPT);
    }else{
      sqlite3_result_int(context, bMatch);
    }
`,
  ],
  // 99 is no code of the merge.
  [
    '      iTLabel = iTCursor;\n',
    '      iTLabel = iTCursor;\n      if( tidelockOverdue(pTarget->db, 16) ) return 99;\n',
  ],
  [
    '    }else if( rc==JSON_MERGE_OOM ){\n',
    '    }else if( rc==99 ){\n      sqlite3_result_error_code(ctx, SQLITE_INTERRUPT);\n    }else if( rc==JSON_MERGE_OOM ){\n',
  ],
  // A constant of a statement is compared with all before it.
  [
    '    for(pItem=p->a, i=p->nExpr; i>0; pItem++, i--){\n      if( pItem->fg.reusable\n',
    `    for(pItem=p->a, i=p->nExpr; i>0 && pParse->nErr==0; pItem++, i--){
      if( (i&0x3ff)==0 ) sqlite3ProgressCheck(pParse);
      if( pItem->fg.reusable
`,
  ],
  // A column of a subquery is replaced by a copy of its expression, which may double in each of nested subqueries.
  [
    '  if( pExpr==0 ) return 0;\n  if( ExprHasProperty(pExpr, EP_OuterON|EP_InnerON)\n   && pExpr->w.iJoin==pSubst->iTable\n',
    `  if( pExpr==0 ) return 0;
  sqlite3ProgressCheck(pSubst->pParse);
  if( pSubst->pParse->nErr ) return pExpr;
  if( ExprHasProperty(pExpr, EP_OuterON|EP_InnerON)
   && pExpr->w.iJoin==pSubst->iTable
`,
  ],
  // So may a generated column in those that use it.
  [
    '  sqlite3ExprCodeCopy(pParse, sqlite3ColumnExpr(pTab,pCol), regOut);\n  if( (pCol->colFlags & COLFLAG_VIRTUAL)!=0\n',
    `  static int nNested = 0;
  sqlite3ProgressCheck(pParse);
  if( pParse->nErr==0 && nNested>=${mostNested} ) sqlite3ErrorMsg(pParse, "generated columns nested too deep");
  if( pParse->nErr ) return;
  nNested++;
  sqlite3ExprCodeCopy(pParse, sqlite3ColumnExpr(pTab,pCol), regOut);
  nNested--;
  if( (pCol->colFlags & COLFLAG_VIRTUAL)!=0
`,
  ],
  [
    '  if( nDepth>=db->aLimit[SQLITE_LIMIT_TRIGGER_DEPTH] ){\n    sqlite3ErrorMsg(pParse, "triggers nested too deep");\n',
    `  if( nDepth>=${mostNested} ){\n    sqlite3ErrorMsg(pParse, "triggers nested too deep");\n`,
  ],
  // The option `rank` of a table names a function, which a file may have written: with ORDER BY rank, any SQL function would be called,
  // also one for statements only.
  [
    'static int fts5CursorFirstSorted(\n',
    'static Fts5Auxiliary *fts5FindAuxiliary(Fts5FullTable*, const char*);\nstatic int fts5CursorFirstSorted(\n',
  ],
  [
    '  nPhrase = sqlite3Fts5ExprPhraseCount(pCsr->pExpr);\n  nByte = SZ_FTS5SORTER(nPhrase);\n',
    `  if( fts5FindAuxiliary(pTab, zRank)==0 ){
    pTab->p.base.zErrMsg = sqlite3_mprintf("no such function: %s", zRank);
    return SQLITE_ERROR;
  }
  nPhrase = sqlite3Fts5ExprPhraseCount(pCsr->pExpr);
  nByte = SZ_FTS5SORTER(nPhrase);
`,
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
  // The error log, with the line of SQLite's source where an error begins.
  ...['CORRUPT', 'MISUSE', 'CANTOPEN'].map((code) => [
    `#define SQLITE_${code}_BKPT sqlite3${code[0]}${code.slice(1).toLowerCase()}Error(__LINE__)\n`,
    `#define SQLITE_${code}_BKPT SQLITE_${code}\n`,
  ]),
  [
    '# define SQLITE_CORRUPT_PGNO(P) sqlite3CorruptError(__LINE__)\n#endif\n',
    '# define SQLITE_CORRUPT_PGNO(P) SQLITE_CORRUPT\n#endif\n#define sqlite3_log(...) ((void)0)\n',
  ],
  [
    'SQLITE_API void sqlite3_log(int iErrCode, const char *zFormat, ...){',
    'SQLITE_API void (sqlite3_log)(int iErrCode, const char *zFormat, ...){',
  ],
  // Names of files.
  ['   && nUri>=5 && memcmp(zUri, "file:", 5)==0         /* IMP: R-57884-37496 */\n', '   && 0\n'],
  // Journals: no file has one, and no commit concerns several files.
  ['      rc = hasHotJournal(pPager, &bHotJournal);\n', '      bHotJournal = 0;\n'],
  ['   || nTrans<=1\n', '   || 1\n'],
  ['    rc = pager_delsuper(pPager, zSuper);\n', ''],
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
