//! Migrations of the app: a table's whole numbers, those of its key included, become text or numbers again.

use tidelock::sync::outbox::capture;

use super::{
    configuration::{CURSOR, Holds, quote},
    history::Scene,
};

impl Scene {
    /// Rebuilds a table with the other type, and the tables that refer to it.
    pub fn migrate(&mut self) {
        let before = self.schemas();
        let at = self.chance.below(self.configuration.tables.len());
        let table = &mut self.configuration.tables[at];
        table.integers = if table.integers == "TEXT" { "INTEGER" } else { "TEXT" };
        let after = self.schemas();
        let rebuilt = (0..after.len()).filter(|at| before[*at] != after[*at]);
        let script = rebuilt.map(|at| self.rebuild(at, &after[at])).collect::<Vec<_>>().join("; ");
        self.log.push(format!("migration: {script}"));
        let connection = &self.world.host.connection;
        connection.exec("PRAGMA foreign_keys = OFF").unwrap();
        let migrated = connection.atomically(|connection| {
            capture::suspend(connection)?;
            connection.exec(&script)?;
            capture::resume(connection)
        });
        migrated.unwrap();
        connection.exec("PRAGMA foreign_keys = ON").unwrap();
    }

    fn schemas(&self) -> Vec<String> {
        let tables = &self.configuration.tables;
        tables.iter().map(|table| table.schema(tables)).collect()
    }

    /// Rebuilds a table in the order that SQLite documents (https://www.sqlite.org/lang_altertable.html, section 7).
    fn rebuild(&self, at: usize, schema: &str) -> String {
        let table = &self.configuration.tables[at];
        let name = &table.name;
        let stored =
            table.columns.iter().filter(|column| column.local && column.holds != Holds::Generated { here: true });
        let mut columns: Vec<String> = table.key.iter().map(|(name, _)| quote(name)).collect();
        columns.extend(stored.map(|column| quote(&column.name)));
        columns.extend(table.cursor.then(|| CURSOR.to_owned()));
        let (columns, made) = (columns.join(", "), schema.replacen(name, &format!("new_{name}"), 1));
        format!(
            "{made}; INSERT INTO new_{name}({columns}) SELECT {columns} FROM {name} ORDER BY rowid; DROP TABLE {name}; \
             ALTER TABLE new_{name} RENAME TO {name}"
        )
    }
}
