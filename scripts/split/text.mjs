// Splits a module in Binaryen's text form into its fields, so that functions can be moved from one module to another.

/** A name: `$name` or `$"a name"`. */
const identifier = String.raw`\$(?:"(?:[^"\\]|\\.)*"|[^\s()]+)`
const calls = new RegExp(String.raw`\((?:call|return_call|ref\.func) (${identifier})`, 'g')
const signature = new RegExp(
  String.raw`^ \(func (${identifier})(?: \(type ${identifier}\))?((?: \((?:param|result) [^()]*\))*)`,
)
const importedFunction = new RegExp(
  String.raw`^ \(import "[^"]*" "([^"]*)" \(func (${identifier})(?: \(type ${identifier}\))?(.*)\)\)$`,
)
const exported = new RegExp(String.raw`^ \(export "([^"]*)" \((\w+) (${identifier})\)\)`)

/** Returns the fields of a module: `functions` by name with their signature and callees, and everything else by kind. */
export function parseModule(text) {
  const fields = text.slice(text.indexOf('\n') + 1, text.lastIndexOf('\n)')).split(/\n(?= \()/)
  const module = { types: [], imports: [], functions: new Map(), exports: [], elements: [], others: [] }
  for (const field of fields) {
    const kind = field.match(/^ \((\w+)/)[1]
    if (kind === 'type' || kind === 'rec') module.types.push(field)
    else if (kind === 'import') module.imports.push(parseImport(field))
    else if (kind === 'func') module.functions.set(...parseFunction(field))
    else if (kind === 'export') {
      const [, name, what, target] = field.match(exported)
      module.exports.push({ field, name, kind: what, target })
    } else if (kind === 'elem') module.elements.push(parseElements(field))
    else module.others.push(field)
  }
  return module
}

function parseImport(field) {
  const [, called, name, header = ''] = field.match(importedFunction) ?? []
  if (name === undefined) throw new Error(`an import that is not a function: ${field}`)
  return { field, import: called, name, ...parseShape(header) }
}

function parseFunction(field) {
  const [, name, header] = field.match(signature)
  const callees = new Set([...field.matchAll(calls)].map(([, callee]) => callee))
  return [name, { field, callees, ...parseShape(header) }]
}

function parseShape(header) {
  const types = (kind) =>
    [...header.matchAll(new RegExp(String.raw`\(${kind} (?:\$\S+ )?([^()]*)\)`, 'g'))].flatMap(([, list]) =>
      list.split(' '),
    )
  return { parameters: types('param'), results: types('result') }
}

/** Parses an active element segment: its start in the table and the names of its functions. */
function parseElements(field) {
  const [, head, offset, list] = field.match(/^ (\(elem .*?\(i32\.const (\d+)\))(?: func)?((?: \$.*)?)\)$/s)
  return { head, offset: Number(offset), names: list.match(new RegExp(identifier, 'g')) ?? [] }
}
