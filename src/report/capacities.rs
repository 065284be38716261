//! The capacities of several deployments side by side, and the largest of them.

use std::collections::BTreeSet;

use super::grid::grid;
use super::label;
use super::number::{NOT_AVAILABLE, value};
use super::ranking::{self, divisor, gpus, layout, named};
use crate::capacity::UnknownCapacity;
use crate::results::CapacityRecord;
use crate::verdict::{Contender, Figure, rank};

/// A table of the capacities of all deployments, and the largest for each prompt, also per GPU.
pub fn capacities(bench: &str, records: &[CapacityRecord]) -> String {
    let presets: BTreeSet<&str> = records
        .iter()
        .filter_map(|r| r.simulated.as_deref())
        .collect();
    let presets = Vec::from_iter(presets).join(", ");
    let simulated = (!presets.is_empty()).then_some(presets.as_str());
    let insecure = records.iter().any(|record| record.setup().insecure());
    let label = label::of(simulated, insecure);
    let mut text = format!("## {bench}: which deployment{label}\n\n");
    let head = [
        "Prompt",
        "Deployment",
        "Servers × GPUs",
        "Capacity (95 %)",
        "Bound by",
        "First failing",
        "Per GPU",
    ];
    let table = grid(head.map(String::from), records.iter().map(row), 6);
    text.push_str(&format!("{table}\n\n"));
    let mut prompts = Vec::from_iter(records.iter().map(|record| &*record.prompt));
    prompts.sort_unstable();
    prompts.dedup();
    for prompt in prompts {
        let of_prompt = records.iter().filter(|record| record.prompt == prompt);
        let of_prompt = Vec::from_iter(of_prompt);
        text.push_str(&format!(
            "Best for prompt {prompt} ({} tokens):\n- {}\n- {}\n\n",
            of_prompt[0].prompt_tokens,
            largest(&of_prompt, false),
            per_gpu(&of_prompt)
        ));
    }
    let ties = Figure::Capacity.default_threshold();
    text.push_str(&format!("{}\n", ranking::legend(ties)));
    text
}

fn row(record: &CapacityRecord) -> [String; 7] {
    let (setup, capacity) = (record.setup(), &record.capacity);
    let level = capacity.level.map(|level| level.value());
    let per_gpu = level.zip(gpus(&setup)).map(|(level, gpus)| level / gpus);
    [
        record.prompt.clone(),
        named(&setup),
        layout(&setup),
        capacity.range(),
        capacity
            .bound_by
            .clone()
            .unwrap_or(NOT_AVAILABLE.to_owned()),
        capacity
            .first_failing
            .map_or(NOT_AVAILABLE.to_owned(), |level| level.value_text()),
        per_gpu.map_or(NOT_AVAILABLE.to_owned(), number),
    ]
}

fn per_gpu(records: &[&CapacityRecord]) -> String {
    let setups = records.iter().map(|record| record.setup());
    ranking::why_not_per_gpu("capacity", setups).unwrap_or_else(|| largest(records, true))
}

/// The deployment with the largest capacity, and how the others differ from it.
fn largest(records: &[&CapacityRecord], per_gpu: bool) -> String {
    let question = match per_gpu {
        true => "capacity per GPU",
        false => "capacity",
    };
    let is_open = |record: &&&CapacityRecord| record.unknown() == Some(UnknownCapacity::OpenAbove);
    let open = records.iter().filter(is_open).map(|record| {
        let (name, found) = (named(&record.setup()), record.capacity.range());
        format!("{name} holds {found}")
    });
    let open = Vec::from_iter(open);
    if !open.is_empty() {
        let open = open.join(", ");
        return format!("{question}: not known, as {open}: raise the greatest level (--most)");
    }
    let names = Vec::from_iter(records.iter().map(|record| named(&record.setup())));
    let contenders = records.iter().zip(&names).map(|(record, name)| Contender {
        name,
        record: *record,
        divisor: divisor(&record.setup(), per_gpu),
    });
    let ties = Figure::Capacity.default_threshold();
    let ranking = rank(Figure::Capacity, contenders, ties);
    let unit = records[0].capacity.unit();
    let unit = match per_gpu {
        true => format!("{unit} per GPU"),
        false => unit.to_owned(),
    };
    format!(
        "{question}: {}",
        ranking::answer(&ranking, &unit, ties, number, |_| String::new())
    )
}

/// A capacity, or its part of a GPU: a whole number without decimals.
fn number(capacity: f64) -> String {
    // Back from its logarithm, 128 is 127.99999999999997.
    let whole = capacity.round();
    match (capacity - whole).abs() < 1e-9 * whole {
        true => whole.to_string(),
        false => value(capacity),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::results::DeploymentRecord;
    use crate::results::capacity_record_tests::found;

    fn on(name: &str, gpus: u32, record: CapacityRecord) -> CapacityRecord {
        let mut record = record;
        record.config["NUM_GPU"] = json!(gpus);
        record.deployment = Some(DeploymentRecord {
            name: name.to_owned(),
            replicas: 1,
            gpus_per_replica: Some(gpus),
            version: None,
        });
        record
    }

    #[test]
    fn the_largest_capacity_need_not_be_the_largest_per_gpu() {
        let records = [
            on("small", 2, found(64, 60.0, 67.0)),
            on("large", 8, found(128, 120.0, 134.0)),
            on("same", 8, found(126, 119.0, 133.0)),
        ];
        let text = capacities("capacity", &records);
        let line = |start: &str| text.lines().find(|line| line.starts_with(start));
        let all = line("- capacity: **large** with 128 users; ").expect("the largest");
        assert!(all.contains("tied within noise: same (126, "), "{all}");
        assert!(all.contains("behind it: small (64, −50.0 %"), "{all}");
        let per_gpu = line("- capacity per GPU: **small** with 32 users per GPU; ");
        let per_gpu = per_gpu.expect("the largest per GPU");
        assert!(per_gpu.contains("behind it: large (16"), "{per_gpu}");
        assert!(text.contains("| 128 users (120 … 134) |"), "{text}");
    }

    #[test]
    fn the_best_is_not_known_beside_an_open_capacity() {
        let mut open = found(4_096, 4_000.0, 4_096.0);
        open.capacity.upper = None;
        let records = [on("open", 8, open), on("small", 8, found(64, 60.0, 67.0))];
        let text = capacities("capacity", &records);
        let answer = "- capacity: not known, as open holds at least 4096 users: ";
        assert!(text.contains(answer), "{text}");
        assert!(
            text.contains("per GPU: the same, as each deployment has 8"),
            "{text}"
        );
    }
}
