import { checkDays, checkObject, checkString, checkStrings, optional } from '../base/check.js'
import { invalid } from '../base/errors.js'
import type { CoreAudit, CoreExpiry } from '../engine/core.js'

// The options about audit and maintenance.

/** The option `audit` with its table, as the engine takes it. */
export function checkAudit(audit: unknown, table: unknown, migrationsTable: unknown): CoreAudit {
  const given = Array.isArray(audit) ? { tables: audit } : checkObject('audit', audit, keys)
  const name = checkString('auditTable', table ?? 'audit_log')
  const migrations = String(migrationsTable ?? 'schema_migrations')
  if (name.toLowerCase() === migrations.toLowerCase())
    throw invalid('auditTable and migrationsTable must differ', { details: { option: 'auditTable' } })
  return {
    table: name,
    tables: checkStrings('audit.tables', given.tables),
    redact: given.redact === undefined ? [] : checkRedact(given.redact),
    retentionDays: optional('audit.retentionDays', given.retentionDays, checkDays),
  }
}

const keys = ['tables', 'redact', 'retentionDays']

function checkRedact(redact: unknown): CoreAudit['redact'] {
  if (Array.isArray(redact)) {
    return checkStrings('audit.redact', redact).map((name) => {
      const dot = name.indexOf('.')
      return dot < 0 ? { column: name } : { table: name.slice(0, dot), column: name.slice(dot + 1) }
    })
  }
  const tables = checkObject('audit.redact', redact, Object.keys(redact ?? {}))
  return Object.entries(tables).flatMap(([table, columns]) =>
    checkStrings(`audit.redact.${table}`, columns).map((column) => ({ table, column })),
  )
}

/** The option `expires`. */
export function checkExpires(expires: unknown): readonly CoreExpiry[] {
  const tables = checkObject('expires', expires, Object.keys(expires ?? {}))
  return Object.entries(tables).map(([table, column]) => ({ table, column: checkString(`expires.${table}`, column) }))
}
