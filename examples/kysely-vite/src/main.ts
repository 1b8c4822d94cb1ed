import { addExpense, totals } from './expenses'

const form = document.querySelector('form')!
const table = document.querySelector('tbody')!
const status = document.querySelector('[role=status]')!
const money = new Intl.NumberFormat('en', { style: 'currency', currency: 'EUR' })

totals.subscribe((rows) => {
  table.replaceChildren(
    ...rows.map(({ name, count, cents }) => {
      const row = document.createElement('tr')
      for (const text of [name, String(count), money.format(cents / 100)]) row.insertCell().textContent = text
      return row
    }),
  )
}, fail)

form.addEventListener('submit', (event) => {
  event.preventDefault()
  const values = new FormData(form)
  form.reset()
  addExpense(String(values.get('category')), Math.round(Number(values.get('amount')) * 100)).catch(fail)
})

// Before, the browser would send the form by itself.
form.querySelector('button')!.disabled = false

function fail(error: Error) {
  status.textContent = error.message
}
