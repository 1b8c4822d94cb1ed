// Copies SQLite's sources for the wasm build, with the few changes that no compile option makes: node scripts/sqlite-sources.mjs FROM TO
//
// FTS5 compares the positions of a row's phrases in one call, without SQLite's progress handler: a NEAR of 1,000 phrases over one long row
// takes minutes. The changed source calls the handler, so that timeoutMs ends it. And it limits the phrases of a NEAR and the terms of a
// phrase, since FTS5 copies the lists of both each time they grow. The functions that compare each place of one text with another text
// (instr, replace, trim, unhex, LIKE, GLOB, json_patch) call the handler, too, and so do the parts of the compiler whose time may grow with
// the square or the power of a statement's length, or with the whole schema. SQLite itself calls it only where a program jumps: the
// operators and functions of one long expression also count the bytes of their values. Nested triggers and generated columns are limited,
// since SQLite compiles each by a nested call: 900 overflow the stack of a page, which ends the engine.
//
// What no database of tidelock reaches is left out, 8 KB of gzip: SQLite's error log, which has no reader; file names that are URIs;
// journals on a disk, with commits in several files; and the files of the sorter.
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
const overdue = `static int tidelockOverdue(sqlite3 *db, i64 nMore){
  static i64 nWork = 0;
  nWork += nMore;
  if( nWork<10000000 ) return 0;
  nWork = 0;
  return db->xProgress && db->xProgress(db->pProgressArg);
}

/* Counts work of the compiler, which ends with SQLITE_INTERRUPT at the deadline. Returns whether the statement has an error. */
static int tidelockCompiling(Parse *pParse, i64 nMore){
  if( pParse->nErr==0 && tidelockOverdue(pParse->db, nMore) ){
    pParse->nErr++;
    pParse->rc = SQLITE_INTERRUPT;
  }
  return pParse->nErr;
}

/* The bytes of a text or blob. */
static i64 tidelockBytes(const Mem *p){
  return (p->flags & (MEM_Str|MEM_Blob))!=0 ? p->n : 0;
}

static i64 tidelockAllBytes(int n, Mem **ap){
  i64 nBytes = 0;
  while( n>0 ) nBytes += tidelockBytes(ap[--n]);
  return nBytes;
}

/* The connection of the running LIKE or GLOB, and whether its deadline has passed. */
static sqlite3 *tidelockLikeDb = 0;
static int tidelockLikeOver = 0;

`

/**
 * In an instruction of a program: counts the bytes that it reads or writes, and ends the statement at the deadline. Values of less than 4 KB
 * are not counted, since even one test more takes a tenth of a comparison; `lengths` are theirs, also of what is neither text nor blob.
 */
const count = (lengths, bytes) => `  if( ((${lengths}) & ~4095)!=0 && tidelockOverdue(db, ${bytes}) ){
    rc = SQLITE_INTERRUPT;
    goto abort_due_to_error;
  }
`

/** The same in a call of a function, with the length of its result. */
const countArguments = (length, bytes) => `  {
    int nAll = ${length};
    for(i=pCtx->argc-1; i>=0; i--) nAll |= pCtx->argv[i]->n;
  ${count('nAll', `${bytes}tidelockAllBytes(pCtx->argc, pCtx->argv)`)}  }
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
  [
    '/*\n** Check for interrupts and invoke progress callback.\n*/\n',
    `${overdue}/*\n** Check for interrupts and invoke progress callback.\n*/\n`,
  ],
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
  // Functions of JSON that look up many paths in one document.
  ...[
    'for(i=1; i<argc-1; i+=2){\n',
    'for(i=1; i<argc; i++){\n    zPath = (const char*)sqlite3_value_text(argv[i]);\n',
    'for(i=1; i<argc; i++){\n    /* With a single PATH argument */\n',
  ].map((text, at) => [
    text,
    text.replace(
      '{\n',
      `{
    if( tidelockOverdue(sqlite3_context_db_handle(ctx), p->nBlob) ){
      sqlite3_result_error_code(ctx, SQLITE_INTERRUPT);
${at === 2 ? '      goto json_extract_error;\n' : '      jsonParseFree(p);\n      return;\n'}    }
`,
    ),
  ]),
  // snippet() counts all places of the phrases for each of them.
  [
    '        memset(aSeen, 0, nPhrase);\n        rc = fts5SnippetScore(pApi, pFts, nDocsize, aSeen, i,\n            io,',
    `        if( tidelockOverdue(sqlite3_context_db_handle(pCtx), nInst) ){
          rc = SQLITE_INTERRUPT;
          continue;
        }
        memset(aSeen, 0, nPhrase);
        rc = fts5SnippetScore(pApi, pFts, nDocsize, aSeen, i,
            io,`,
  ],
  // One expression may have thousands of operators and functions, each over a long value.
  ...[
    [
      '  assert( (pOut->flags&MEM_Str)==0\n       || pOut->enc==encoding\n       || db->mallocFailed );\n',
      countArguments('pOut->n', 'tidelockBytes(pOut)+'),
    ],
    ['  assert( pCtx->pOut->flags==MEM_Null );\n  assert( pCtx->skipFlag==0 );\n  break;\n', countArguments('0', '')],
    ['  if( sqlite3VdbeMemGrow(pOut, (int)nByte+2, pOut==pIn2) ){\n', count('nByte', 'nByte')],
    ['    type1 = numericType(pIn1);\n', count('pIn1->n|pIn2->n', 'tidelockBytes(pIn1)+tidelockBytes(pIn2)')],
    ['  rc = sqlite3VdbeMemCast(pIn1, pOp->p2, encoding);\n', count('pIn1->n', 'tidelockBytes(pIn1)')],
    [
      '    affinity = pOp->p5 & SQLITE_AFF_MASK;\n    if( affinity>=SQLITE_AFF_NUMERIC ){\n      if( (flags1 | flags3)&MEM_Str ){\n',
      count('pIn1->n|pIn3->n', 'tidelockBytes(pIn1)+tidelockBytes(pIn3)'),
    ],
  ].map(([text, counted]) => [text, `${counted}${text}`]),
  // A foreign key with an action is a trigger, which is looked for among all that the statement has compiled.
  [
    '  TriggerPrg *pPrg;\n\n  assert( pTrigger->zName==0 || pTab==tableOfTrigger(pTrigger) );\n',
    '  TriggerPrg *pPrg;\n  int nWork = 1000;\n\n  assert( pTrigger->zName==0 || pTab==tableOfTrigger(pTrigger) );\n',
  ],
  [
    '      pPrg && (pPrg->pTrigger!=pTrigger || pPrg->orconf!=orconf);\n      pPrg=pPrg->pNext\n  );\n',
    `      pPrg && (pPrg->pTrigger!=pTrigger || pPrg->orconf!=orconf);
      pPrg=pPrg->pNext
  ) nWork++;
  /* To compile one takes a millisecond or several. */
  if( pPrg==0 ) nWork += 1000000;
  if( tidelockCompiling(pParse, nWork) ) return 0;
`,
  ],
  // quick_check compiles one program for all tables.
  [
    '        int mxCol;              /* Maximum non-virtual column number */\n\n        if( tableSkipIntegrityCheck(pTab,pObjTab) ) continue;\n',
    `        int mxCol;              /* Maximum non-virtual column number */

        if( tableSkipIntegrityCheck(pTab,pObjTab) ) continue;
        if( tidelockCompiling(pParse, 1000*(i64)pTab->nCol) ) break;
`,
  ],
  // The words of a statement: a schema has megabytes of them.
  [
    '    pParse->sLastToken.z = zSql;\n    pParse->sLastToken.n = (u32)n;\n',
    '    if( tidelockCompiling(pParse, 1000) ) break;\n    pParse->sLastToken.z = zSql;\n    pParse->sLastToken.n = (u32)n;\n',
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
  // JSON grows by its own buffers, which SQLite compares with the limit of a value only when it is complete.
  [
    'static int jsonStringGrow(JsonString *p, u32 N){\n  u64 nTotal = N<p->nAlloc ? p->nAlloc*2 : p->nAlloc+N+10;\n  char *zNew;\n',
    `static int jsonStringGrow(JsonString *p, u32 N){
  u64 nTotal = N<p->nAlloc ? p->nAlloc*2 : p->nAlloc+N+10;
  char *zNew;
  if( p->pCtx && p->nUsed+N>(u64)sqlite3_context_db_handle(p->pCtx)->aLimit[SQLITE_LIMIT_LENGTH] ){
    p->eErr |= JSTRING_ERR;
    sqlite3_result_error_toobig(p->pCtx);
    jsonStringReset(p);
    return SQLITE_TOOBIG;
  }
`,
  ],
  // Its binary form may be longer than its text.
  [
    '  aNew = sqlite3DbRealloc(pParse->db, pParse->aBlob, t);\n',
    `  if( N>2*(u64)pParse->db->aLimit[SQLITE_LIMIT_LENGTH] ){ pParse->oom = 1; return 1; }
  aNew = sqlite3DbRealloc(pParse->db, pParse->aBlob, t);
`,
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
  // Every journal, temporary table and sorted row is in memory (SQLITE_TEMP_STORE=3), and pages reach a file only with a commit.
  ['  rc = readSuperJournal(pPager->jfd, 1+(i64)pPager->pVfs->mxPathname, &zSuper);\n', '  rc = SQLITE_OK;\n'],
  ['      if( pPager->journalMode==PAGER_JOURNALMODE_MEMORY ){\n', '      if( 1 ){\n'],
  ['    if( sqlite3JournalIsInMemory(pPager->jfd) ){\n', '    if( 1 ){\n'],
  ['    if( isOpen(pPager->jfd) && pPager->journalMode!=PAGER_JOURNALMODE_MEMORY ){\n', '    if( 0 ){\n'],
  ['    int nStmtSpill = sqlite3Config.nStmtSpill;\n', '    int nStmtSpill = -1;\n'],
  ['  if( p->nSpill>0 && (iAmt+iOfst)>p->nSpill ){\n', '  if( 0 ){\n'],
  ['    if( !pPager->exclusiveMode && (eOld & 5)==1 && (eMode & 1)==0 ){\n', '    if( 0 ){\n'],
  ['  testcase( pPager->doNotSpill & SPILLFLAG_ROLLBACK );\n', '  return SQLITE_OK;\n'],
  ['    rc = pagerOpentemp(pPager, pPager->fd, pPager->vfsFlags);\n', ''],
  // The sorter, whose files would be memory, too: rows stay in blocks until they are sorted, and are never copied. A block's place then
  // has room for four parts of the log, of 512 KiB each.
  ['    if( !sqlite3TempInMemory(db) ){\n      i64 mxCache; ', '    if( 0 ){\n      i64 mxCache; '],
  ['  if( pSorter->mxPmaSize ){\n', '  if( 0 ){\n'],
  ['  pSorter->list.szPMA += nPMA;\n  if( nPMA>pSorter->mxKeysize ){\n', '  if( 0 ){\n'],
  [
    '  if( pSorter->list.aMemory ){\n    int nMin = pSorter->iMemory + nReq;\n\n    if( nMin>pSorter->nMemory ){\n',
    `  if( 1 ){
    i64 nMin = pSorter->iMemory + nReq;
    if( nMin>pSorter->nMemory ){
      i64 nNew = MAX(MIN(2*(i64)pSorter->nMemory, (2<<20)+(16<<10)), MAX(pSorter->pgsz, nReq+8));
      u8 *aBlock = sqlite3Malloc(nNew);
      if( !aBlock ) return SQLITE_NOMEM_BKPT;
      *(u8**)aBlock = pSorter->list.aMemory;
      pSorter->list.aMemory = aBlock;
      pSorter->nMemory = (int)nNew;
      pSorter->iMemory = 8;
    }
    if( 0 ){
`,
  ],
  // Rows lie at multiples of four bytes, as wasm32 needs: an index over two million rows takes 8 MB less.
  ['    pSorter->iMemory += ROUND8(nReq);\n', '    pSorter->iMemory += (nReq+3)&~3;\n'],
  [
    '    if( pSorter->list.pList ){\n      pNew->u.iNext = (int)((u8*)(pSorter->list.pList) - pSorter->list.aMemory);\n    }\n',
    '    pNew->u.pNext = pSorter->list.pList;\n',
  ],
  [
    '    if( pList->aMemory ){\n      if( (u8*)p==pList->aMemory ){\n',
    `    if( tidelockOverdue(pTask->pSorter->db, 32+(i64)p->nVal) ) return SQLITE_INTERRUPT;
    if( 0 ){
      if( (u8*)p==pList->aMemory ){
`,
  ],
  ['  if( pSorter->bUsePMA==0 ){\n', '  if( 1 ){\n'],
  ['  if( pSorter->bUsePMA ){\n    assert(', '  if( 0 ){\n    assert('],
  ['  if( pSorter->bUsePMA ){\n    PmaReader', '  if( 0 ){\n    PmaReader'],
  ['    if( pSorter->list.aMemory==0 ) vdbeSorterRecordFree(db, pFree);\n', ''],
  ['  vdbeMergeEngineFree(pSorter->pMerger);\n  pSorter->pMerger = 0;\n', ''],
  [
    '  if( pSorter->list.aMemory==0 ){\n    vdbeSorterRecordFree(0, pSorter->list.pList);\n  }\n',
    `  while( pSorter->list.aMemory ){
    u8 *aNext = *(u8**)pSorter->list.aMemory;
    sqlite3_free(pSorter->list.aMemory);
    pSorter->list.aMemory = aNext;
  }
  pSorter->nMemory = 0;
`,
  ],
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
