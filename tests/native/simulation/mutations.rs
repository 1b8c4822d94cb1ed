//! Tests of the simulation itself: it must detect each broken rule.

use std::{cell::Cell, sync::Once};

use super::{mutant::Mutation, run};

/// The number of seeds within which a broken rule must be detected.
const MAX_SEEDS: u64 = 3000;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Silences the expected panics of this thread.
fn quiet() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !QUIET.get() {
                loud(info);
            }
        }));
    });
    QUIET.set(true);
}

/// Tries the seeds from `first` on, and then those before it: the first of all take most of the time where they find nothing.
fn is_found(mutation: Mutation, first: u64) {
    quiet();
    let finds = |seed: &u64| std::panic::catch_unwind(|| run(*seed, Some(mutation)));
    let found = (first..MAX_SEEDS).chain(0..first).find_map(|seed| finds(&seed).err().map(|panic| (seed, panic)));
    QUIET.set(false);
    let Some((seed, panic)) = found else { panic!("{mutation:?} goes unnoticed for {MAX_SEEDS} seeds") };
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    let text = text.unwrap_or("a panic without text");
    println!("{mutation:?}: seed {seed}: {text}");
}

macro_rules! mutations {
    ($($name:ident: $mutation:ident from $first:literal,)*) => {
        $(#[test]
        fn $name() {
            is_found(Mutation::$mutation, $first);
        })*

        #[test]
        fn every_mutation_is_tested() {
            assert_eq!(Mutation::ALL, [$(Mutation::$mutation,)*]);
        }
    };
}

mutations! {
    pages_of_open_transactions_in_the_file_are_found: SpillPages from 131,
    a_skipped_fence_is_found: SkipFence from 15,
    put_instead_of_add_is_found: PutInsteadOfAdd from 7,
    a_claim_without_an_epoch_record_is_found: NoEpochRecord from 2,
    a_blind_claim_is_found: ClaimBlindly from 23,
    an_acknowledgement_before_completion_is_found: AcknowledgeEarly from 1,
    strict_that_is_only_relaxed_is_found: RelaxStrict from 3,
    an_unchecked_chain_is_found: NoChain from 23,
    a_manifest_before_its_chunks_is_found: ManifestFirst from 2,
    verification_that_reads_nothing_back_is_found: VerifyBlindly from 11,
    a_log_cut_too_far_is_found: TruncateTooMuch from 12,
    a_deleted_last_good_snapshot_is_found: DeleteTooMuch from 90,
    forgotten_changes_are_found: ForgetTouched from 4,
}
