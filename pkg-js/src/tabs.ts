// What tabs that share a database load: dist/tabs.js.

export { Link } from './tabs/link.js'
