import { checkObject, checkString, checkStrings, reading } from '../base/check.js'
import { invalid } from '../base/errors.js'
import type { CoreAudit, CoreExpiry } from '../engine/core-options.js'
import { openRules } from './open-rules.js'
import type { AuditOptions } from './options.js'
import { byDefault, complete, days, type Rules, required, texts } from './rule.js'

// The options about audit and maintenance.

export const auditRules = {
  tables: required(texts),
  redact: byDefault([], {
    check: (_, value) => checkRedact(value),
  }),
  retentionDays: days,
} satisfies Rules<AuditOptions>

/** Checks the options `audit` and `auditTable`; returns them in the form of the engine. */
export function checkAudit(audit: unknown, table: unknown, migrationsTable: unknown): CoreAudit {
  const options = Array.isArray(audit) ? { tables: audit } : audit
  const given = complete('audit', options, auditRules, 'an array of tables, or an object')
  const name = openRules.auditTable.check('auditTable', table ?? openRules.auditTable.default)
  const migrations = String(migrationsTable ?? openRules.migrationsTable.default)
  if (name.toLowerCase() === migrations.toLowerCase())
    throw invalid('auditTable and migrationsTable must differ', { details: { option: 'auditTable' } })
  return { ...given, table: name }
}

function checkRedact(redact: unknown): CoreAudit['redact'] {
  if (Array.isArray(redact)) {
    return checkStrings('audit.redact', redact).map((name) => {
      const dot = name.indexOf('.')
      return dot < 0 ? { column: name } : { table: name.slice(0, dot), column: name.slice(dot + 1) }
    })
  }
  const keys = keysOf('audit.redact', redact)
  const tables = checkObject('audit.redact', redact, keys, 'an array of columns, or an object')
  return Object.entries(tables).flatMap(([table, columns]) =>
    checkStrings(`audit.redact.${table}`, columns).map((column) => ({ table, column })),
  )
}

/** Returns the keys of an object in which each key is an option. */
function keysOf(option: string, value: unknown): readonly string[] {
  return reading(option, () => Object.keys(value ?? {}))
}

/** Checks the option `expires`; returns it in the form of the engine. */
export function checkExpires(expires: unknown): readonly CoreExpiry[] {
  const tables = checkObject('expires', expires, keysOf('expires', expires))
  return Object.entries(tables).map(([table, column]) => ({ table, column: checkString(`expires.${table}`, column) }))
}
