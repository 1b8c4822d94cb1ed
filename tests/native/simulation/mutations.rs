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

fn is_found(mutation: Mutation) {
    quiet();
    let finds = |seed: &u64| std::panic::catch_unwind(|| run(*seed, Some(mutation)));
    let found = (0..MAX_SEEDS).find_map(|seed| finds(&seed).err().map(|panic| (seed, panic)));
    QUIET.set(false);
    let Some((seed, panic)) = found else { panic!("{mutation:?} goes unnoticed for {MAX_SEEDS} seeds") };
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    let text = text.unwrap_or("a panic without text");
    println!("{mutation:?}: seed {seed}: {text}");
}

macro_rules! mutations {
    ($($name:ident: $mutation:ident,)*) => {
        $(#[test]
        fn $name() {
            is_found(Mutation::$mutation);
        })*

        #[test]
        fn every_mutation_is_tested() {
            assert_eq!(Mutation::ALL, [$(Mutation::$mutation,)*]);
        }
    };
}

mutations! {
    pages_of_open_transactions_in_the_file_are_found: SpillPages,
    a_skipped_fence_is_found: SkipFence,
    put_instead_of_add_is_found: PutInsteadOfAdd,
    a_claim_without_an_epoch_record_is_found: NoEpochRecord,
    a_blind_claim_is_found: ClaimBlindly,
    an_acknowledgement_before_completion_is_found: AcknowledgeEarly,
    strict_that_is_only_relaxed_is_found: RelaxStrict,
    an_unchecked_chain_is_found: NoChain,
    a_manifest_before_its_chunks_is_found: ManifestFirst,
    verification_that_reads_nothing_back_is_found: VerifyBlindly,
    a_log_cut_too_far_is_found: TruncateTooMuch,
    a_deleted_last_good_snapshot_is_found: DeleteTooMuch,
    forgotten_changes_are_found: ForgetTouched,
}
