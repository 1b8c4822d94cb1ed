import { db, kysely } from './database'

/** The number and the sum of the expenses in each category, the largest sum first, after each change. */
export const totals = db.live(
  kysely
    .selectFrom('expenses')
    .innerJoin('categories', 'categories.id', 'category_id')
    .select(({ fn }) => ['name', fn.countAll<number>().as('count'), fn.sum<number>('cents').as('cents')])
    .groupBy('categories.id')
    .orderBy('cents', 'desc'),
)

/** Adds an expense, and its category when that is new. */
export function addExpense(category: string, cents: number) {
  return kysely.transaction().execute(async (trx) => {
    await trx
      .insertInto('categories')
      .values({ name: category })
      .onConflict((conflict) => conflict.doNothing())
      .execute()
    const { id } = await trx
      .selectFrom('categories')
      .select('id')
      .where('name', '=', category)
      .executeTakeFirstOrThrow()
    await trx.insertInto('expenses').values({ category_id: id, cents }).execute()
  })
}
