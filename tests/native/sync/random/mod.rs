//! Random configurations and histories against the model server, from a seed: whatever is drawn, both sides are equal at
//! rest, no change is lost, requests follow the work, and nothing panics.
//!
//! `TIDELOCK_DRAWS=n` or `TIDELOCK_SEEDS=n` draws n seeds, from `TIDELOCK_FIRST=n` on; `TIDELOCK_SEED=n` plays that one and shows it.
//! `TIDELOCK_WITHOUT=a,b` leaves features out, which shows what a failure depends on; `TIDELOCK_WITH=a,b` adds features of `NOT_YET`;
//! `TIDELOCK_FAILURES=n` goes on until n seeds have failed.

mod chance;
mod check;
mod configuration;
mod features;
mod history;
mod ledger;
mod migration;

use std::sync::atomic::{AtomicU64, Ordering};

use self::{features::Features, history::Scene};
use crate::sample::usual_or_all;

/// How many seeds the usual and the long run of the suite draw, unless `TIDELOCK_DRAWS` says otherwise.
const DRAWS: (u64, u64) = (40, 100);

fn run(seed: u64, features: &Features) {
    let mut scene = Scene::new(seed, features);
    scene.play();
    if scene.configuration.breaking {
        scene.come_to_rest(true);
        scene.only_broken_rows_wait();
        scene.repair();
    }
    scene.come_to_rest(false);
    scene.check();
}

/// Runs seeds on all processors. Returns the failed ones, at most `most`.
fn run_all(seeds: std::ops::Range<u64>, features: &Features, most: usize) -> Vec<u64> {
    let next = AtomicU64::new(seeds.start);
    let failed = std::sync::Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || failed.lock().unwrap().len() >= most {
                return;
            }
            if std::panic::catch_unwind(|| run(seed, features)).is_err() {
                failed.lock().unwrap().push(seed);
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().for_each(|thread| thread.join().expect("panics are caught"));
    });
    failed.into_inner().unwrap()
}

#[test]
fn whatever_is_drawn_both_sides_agree_and_nothing_is_lost() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let features = Features::from_environment();
    if let Some(seed) = number("TIDELOCK_SEED") {
        run(seed, &features);
        return;
    }
    let draws = number("TIDELOCK_DRAWS").or_else(|| number("TIDELOCK_SEEDS")).unwrap_or(usual_or_all(DRAWS.0, DRAWS.1));
    let first = number("TIDELOCK_FIRST").unwrap_or_default();
    let most = number("TIDELOCK_FAILURES").unwrap_or(1) as usize;
    let started = std::time::Instant::now();
    let failed = run_all(first..first + draws, &features, most);
    println!("{draws} draws in {:.1} s", started.elapsed().as_secs_f64());
    assert!(failed.is_empty(), "seeds {failed:?} fail: TIDELOCK_SEED=n plays one");
}
