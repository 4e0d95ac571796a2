//! Plans of several tiers against the most literal model: every tier says what it thinks, then all are charged or none.

use std::collections::HashMap;

use proptest::prelude::*;

use super::super::rule::{Algorithm, Rule};
use super::algorithms::{Model, model};
use super::*;

const ROUTES: [&str; 2] = ["orders", "carts"];
const USERS: [&str; 3] = ["ann", "bob", "cat"];

/// What a tier of the plan is, and what is asked of its model.
#[derive(Clone, Debug)]
struct Kind {
    document: TierDocument,
    rule: Rule,
}

fn kinds() -> impl Strategy<Value = Kind> {
    let algorithm = prop::sample::select(vec![
        (Algorithm::SlidingWindow, LimitAlgorithmDocument::SlidingWindow),
        (Algorithm::FixedWindow, LimitAlgorithmDocument::FixedWindow),
        (Algorithm::SlidingLog, LimitAlgorithmDocument::SlidingLog),
        (Algorithm::Bucket, LimitAlgorithmDocument::TokenBucket { burst: 3 }),
    ]);
    let per = prop::sample::select(vec![
        vec![PerDocument::Global],
        vec![PerDocument::User],
        vec![PerDocument::Route],
        vec![PerDocument::User, PerDocument::Route],
    ]);
    (algorithm, per, 1u64..8, 50u64..2_000, any::<bool>()).prop_map(
        |((algorithm, named), per, limit, window_ms, dry_run)| {
            let burst = if algorithm == Algorithm::Bucket { 3 } else { 0 };
            let rule = Rule { algorithm, limit, window_ms, burst, max_delay_ms: 0, period: None };
            let document = TierDocument {
                per,
                algorithm: named,
                window_ms,
                dry_run: dry_run && limit % 3 == 0,
                ..tier("", limit, PerDocument::Global)
            };
            Kind { document, rule }
        },
    )
}

/// Who asks for what, after how long.
type Step = (u64, usize, usize);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let pause = prop_oneof![5 => 0u64..3, 2 => 0u64..60, 1 => 0u64..1_200];
    prop::collection::vec((pause, 0..USERS.len(), 0..ROUTES.len()), 1..100)
}

/// The models of all callers of a tier, by what the tier tells them apart by.
#[derive(Default)]
struct Models(HashMap<Counted, Box<dyn Model>>);

/// Tier, and user and route where it tells those apart.
type Counted = (usize, Option<usize>, Option<usize>);

impl Models {
    fn of(&mut self, index: usize, kind: &Kind, (user, route): (usize, usize)) -> &mut dyn Model {
        let by = |per: PerDocument, who| kind.document.per.contains(&per).then_some(who);
        let key = (index, by(PerDocument::User, user), by(PerDocument::Route, route));
        self.0.entry(key).or_insert_with(|| model(kind.rule)).as_mut()
    }
}

proptest! {
    #[test]
    fn all_tiers_are_charged_or_none_and_each_decides_as_it_would_alone(
        kinds in prop::collection::vec(kinds(), 2..5), nested in any::<bool>(), charge_refused in any::<bool>(),
        steps in steps(),
    ) {
        let mut documents: Vec<_> = kinds.iter().map(|kind| kind.document.clone()).collect();
        let names: Vec<String> = (0..documents.len()).map(|index| format!("t{index}")).collect();
        for (index, document) in documents.iter_mut().enumerate() {
            document.name.clone_from(&names[index]);
            // Said one by one, or each within the next: it is the same plan.
            document.within = names.get(index + 1).filter(|_| nested).cloned();
        }
        let bench = Bench::new(&documents);
        let named: Vec<&str> = names.iter().take(if nested { 1 } else { 9 }).map(String::as_str).collect();
        let rules = ROUTES.map(|route| {
            let document = RateLimitDocument { charge_refused, ..rate_limit(&named) };
            LimitRule::compile(&document, &bench.tiers, route, "").unwrap()
        });
        let (mut models, mut now) = (Models::default(), NOON);
        for (pause, who, route) in steps {
            now += pause;
            let admit: Vec<bool> = kinds
                .iter()
                .enumerate()
                .map(|(index, kind)| models.of(index, kind, (who, route)).admits(now, 1))
                .collect();
            let passes = kinds.iter().zip(&admit).all(|(kind, admits)| *admits || kind.document.dry_run);
            let asked = bench.begin(&rules[route], user(USERS[who]), CLIENT, now);
            prop_assert_eq!(asked.is_ok(), passes, "at {}: {:?}", now, asked);
            for (index, kind) in kinds.iter().enumerate() {
                if admit[index] && (passes || charge_refused) {
                    models.of(index, kind, (who, route)).charge(now, 1);
                }
            }
        }
    }
}
