//! SQL functions and collations of the program. Natively only: each database has a thread there, on which SQLite finds
//! them (`sqlite::functions`). In a browser all databases of a program share one.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    cmp::Ordering,
    collections::HashMap,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::{Arc, Weak},
};

use super::{engine_handle::LaterEngine, inside::inside};
use crate::{
    error::{Error, Result},
    panics,
    sqlite::functions::{self, Arguments, CallPhase, FunctionDefinition, FunctionKind, Functions},
    value::Value,
};

type ScalarFn = Arc<dyn Fn(&[Value]) -> Result<Value> + Send + Sync>;
type CollationFn = Arc<dyn Fn(&str, &str) -> Ordering + Send + Sync>;
type AggregateState = Box<dyn Any>;
type StartFn = Arc<dyn Fn() -> AggregateState + Send + Sync>;
type StepFn = Arc<dyn Fn(&mut AggregateState, &[Value]) -> Result<()> + Send + Sync>;
type FinishFn = Arc<dyn Fn(AggregateState) -> Result<Value> + Send + Sync>;

/// The functions of an aggregate, over states of one type.
#[derive(Clone)]
struct AggregateFns {
    start: StartFn,
    step: StepFn,
    finish: FinishFn,
}

#[derive(Clone)]
enum FunctionBody {
    Scalar(ScalarFn),
    Aggregate(AggregateFns),
    Collation(CollationFn),
}

/// A function or a collation that SQL calls: see [`OpenOptions::function`](crate::OpenOptions::function). Natively only.
///
/// It runs on the thread of the database, whose calls wait meanwhile; a call on that database inside of it is
/// `invalid_argument`. An error or a panic of it fails the statement with `sqlite_error`; `details.function` names it, and
/// `cause` is the message of its error.
///
/// ```
/// # futures_executor::block_on(async {
/// use tidelock::{Error, OpenOptions, SqlFunction, Storage, Value};
///
/// let slug = SqlFunction::scalar("slug", |values| match values {
///     [Value::Text(title)] => Ok(title.to_lowercase().replace(' ', "-")),
///     _ => Err(Error::invalid("slug() takes a text")),
/// });
/// let longest = SqlFunction::aggregate(
///     "longest",
///     String::new,
///     |longest, values| {
///         let text = values[0].as_text().unwrap_or_default();
///         if text.len() > longest.len() {
///             *longest = text.to_owned();
///         }
///         Ok(())
///     },
///     Ok,
/// );
/// let by_length = SqlFunction::collation("by_length", |one, other| one.len().cmp(&other.len()));
///
/// let options = OpenOptions::new("example").storage(Storage::Memory);
/// let options = options.function(slug.deterministic()).function(longest).function(by_length);
/// let db = tidelock::open(options).await?;
/// db.exec("CREATE TABLE pages(title TEXT, slug TEXT AS (slug(title)) STORED)").await?;
/// db.exec("INSERT INTO pages VALUES ('Good Tea'), ('Cups')").await?;
/// assert_eq!(db.get_as::<String>("SELECT longest(slug) FROM pages", ()).await?.unwrap(), "good-tea");
/// let titles: Vec<String> = db.query_as("SELECT title FROM pages ORDER BY title COLLATE by_length", ()).await?;
/// assert_eq!(titles, ["Cups", "Good Tea"]);
/// # Ok::<_, tidelock::Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct SqlFunction {
    definition: FunctionDefinition,
    body: FunctionBody,
}

impl SqlFunction {
    fn new(name: impl Into<String>, kind: FunctionKind, body: FunctionBody) -> Self {
        let definition = FunctionDefinition { name: name.into(), kind, deterministic: false, direct_only: false };
        Self { definition, body }
    }

    /// Creates a function of the values of one row, of any number.
    pub fn scalar<V, F>(name: impl Into<String>, function: F) -> Self
    where
        V: Into<Value>,
        F: Fn(&[Value]) -> Result<V> + Send + Sync + 'static,
    {
        let function = move |values: &[Value]| function(values).map(Into::into);
        Self::new(name, FunctionKind::Scalar, FunctionBody::Scalar(Arc::new(function)))
    }

    /// Creates an aggregate: `start` returns the state of a group, `step` adds the values of a row, `finish` returns the
    /// result. A group without rows has the state of `start`.
    pub fn aggregate<S, V>(
        name: impl Into<String>,
        start: impl Fn() -> S + Send + Sync + 'static,
        step: impl Fn(&mut S, &[Value]) -> Result<()> + Send + Sync + 'static,
        finish: impl Fn(S) -> Result<V> + Send + Sync + 'static,
    ) -> Self
    where
        S: 'static,
        V: Into<Value>,
    {
        let other_state = || Error::internal("The state of an aggregate is another's");
        let functions = AggregateFns {
            start: Arc::new(move || Box::new(start())),
            step: Arc::new(move |state, values| step(state.downcast_mut().ok_or_else(other_state)?, values)),
            finish: Arc::new(move |state| finish(*state.downcast().map_err(|_| other_state())?).map(Into::into)),
        };
        Self::new(name, FunctionKind::Aggregate, FunctionBody::Aggregate(functions))
    }

    /// Creates a collation, for `COLLATE` and `ORDER BY`.
    pub fn collation(
        name: impl Into<String>,
        compare: impl Fn(&str, &str) -> Ordering + Send + Sync + 'static,
    ) -> Self {
        Self::new(name, FunctionKind::Collation, FunctionBody::Collation(Arc::new(compare)))
    }

    /// Says that the same values always give the same result: needed in indexes and generated columns.
    #[must_use]
    pub fn deterministic(mut self) -> Self {
        self.definition.deterministic = true;
        self
    }

    /// Forbids it in views, triggers, indexes, defaults and checks of the schema, which may come from an imported file.
    #[must_use]
    pub fn direct_only(mut self) -> Self {
        self.definition.direct_only = true;
        self
    }
}

impl fmt::Debug for SqlFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SqlFunction").field(&self.definition).finish()
    }
}

/// Gives the connections of this thread the functions of the program. Fails with `invalid_argument` for a name that SQLite
/// refuses.
pub(super) fn add_functions(all: Vec<SqlFunction>, engine: LaterEngine) -> Result<()> {
    if all.is_empty() {
        return Ok(());
    }
    let definitions = all.iter().map(|function| function.definition.clone()).collect();
    let bodies = all.into_iter().map(|function| function.body).collect();
    functions::add(
        definitions,
        Rc::new(FunctionBodies { bodies, engine, states: RefCell::default(), last: Cell::default() }),
    )
}

/// What SQLite's callbacks call.
struct FunctionBodies {
    bodies: Vec<FunctionBody>,
    engine: LaterEngine,
    /// The states of the groups under way.
    states: RefCell<HashMap<u32, AggregateState>>,
    last: Cell<u32>,
}

impl FunctionBodies {
    /// Runs a function of the program. Its panic is an error: SQLite's callbacks can't be unwound.
    fn run<T>(&self, function: impl FnOnce() -> Result<T>) -> Result<T> {
        let engine = self.engine.get().map_or(0, |engine| Weak::as_ptr(engine).addr());
        catch_unwind(AssertUnwindSafe(|| inside(engine, None, function))).unwrap_or_else(|payload| {
            Err(Error::internal(format!("It panicked: {}", panics::message(payload.as_ref()))))
        })
    }

    /// Returns the number of a new group.
    fn new_group(&self, is_first: bool) -> u32 {
        let group = if is_first { 1 } else { self.last.get() + 1 };
        self.last.set(group);
        group
    }

    /// Adds a row to a group; 0 is a new one. Returns the number of the group. A failed step ends it.
    fn step(&self, functions: &AggregateFns, group: u32, values: &[Value]) -> Result<Value> {
        let known = self.states.borrow_mut().remove(&group);
        let state = self.run(|| {
            let mut state = known.unwrap_or_else(|| (functions.start)());
            (functions.step)(&mut state, values)?;
            Ok(state)
        })?;
        let mut states = self.states.borrow_mut();
        let group = if group == 0 { self.new_group(states.is_empty()) } else { group };
        states.insert(group, state);
        Ok(Value::Integer(group.into()))
    }
}

impl Functions for FunctionBodies {
    fn call(&self, function: usize, phase: CallPhase, state: u32, arguments: &Arguments<'_>) -> Result<Value> {
        match (&self.bodies[function], phase) {
            (FunctionBody::Scalar(scalar), CallPhase::Call) => self.run(|| scalar(&arguments.values())),
            (FunctionBody::Aggregate(aggregate), CallPhase::Step) => self.step(aggregate, state, &arguments.values()),
            (FunctionBody::Aggregate(aggregate), CallPhase::Finish) => {
                let state = self.states.borrow_mut().remove(&state);
                self.run(|| (aggregate.finish)(state.unwrap_or_else(|| (aggregate.start)())))
            }
            _ => Err(Error::internal("An SQL function was called in another way than it was registered")),
        }
    }

    fn compare(&self, collation: usize, one: &str, other: &str) -> Result<Ordering> {
        match &self.bodies[collation] {
            FunctionBody::Collation(compare) => self.run(|| Ok(compare(one, other))),
            _ => Err(Error::internal("An SQL function was called as a collation")),
        }
    }
}
