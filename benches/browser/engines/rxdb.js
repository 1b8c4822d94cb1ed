// RxDB on its Dexie storage (IndexedDB): documents, pulled by its replication with a pull handler written as its documentation advises.

import { createRxDatabase } from 'rxdb/plugins/core'
import { replicateRxCollection } from 'rxdb/plugins/replication'
import { getRxStorageDexie } from 'rxdb/plugins/storage-dexie'

const schema = {
  version: 0,
  primaryKey: 'id',
  type: 'object',
  // Its primary keys are texts.
  properties: {
    id: { type: 'string', maxLength: 20 },
    name: { type: 'string' },
    quantity: { type: 'integer' },
    updated_at: { type: 'string' },
  },
  required: ['id', 'name', 'quantity', 'updated_at'],
}

export async function open({ name }) {
  const db = await createRxDatabase({ name, storage: getRxStorageDexie(), multiInstance: false, eventReduce: true })
  const { items } = await db.addCollections({ items: { schema } })
  return {
    /** Pulls all pages: `page(last)` gives the rows behind an id. */
    async pull(page, pageSize) {
      const replication = replicateRxCollection({
        collection: items,
        replicationIdentifier: 'items',
        deletedField: '_deleted',
        live: false,
        pull: {
          batchSize: pageSize,
          async handler(checkpoint) {
            const rows = await page(checkpoint?.id ?? 0)
            const documents = rows.map((row) => ({ ...row, id: String(row.id), _deleted: false }))
            return { documents, checkpoint: rows.length > 0 ? { id: rows.at(-1).id } : checkpoint }
          },
        },
      })
      let failed
      replication.error$.subscribe((error) => {
        failed = error
      })
      await replication.awaitInitialReplication()
      if (failed) throw failed
    },
    async total() {
      const all = (await items.find().exec()).map((document) => document.toJSON())
      const quantity = all.reduce((sum, document) => sum + document.quantity, 0)
      const name = all
        .map((document) => document.name)
        .sort()
        .at(-1)
      return [{ rows: all.length, quantity, name }]
    },
    close: () => db.close(),
  }
}
