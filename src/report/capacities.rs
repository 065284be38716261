//! The capacities of several deployments side by side, and the largest of them.

use std::collections::BTreeSet;

use super::grid::grid;
use super::label;
use super::number::{NOT_AVAILABLE, or_na};
use super::ranking::{self, gpus, layout, named};
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
        or_na(per_gpu),
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
        divisor: match per_gpu {
            true => gpus(&record.setup()).unwrap_or(1.0),
            false => 1.0,
        },
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
        ranking::answer(&ranking, &unit, ties, |_| String::new())
    )
}
