//! Several deployments side by side, and the best of them.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;

use super::grid::grid;
use super::label;
use super::number::{self, NOT_AVAILABLE, or_na, value};
use super::ranking::{self, divisor, gpus, layout, named};
use crate::config::Limit;
use crate::level::Level;
use crate::metrics::{Distribution, Percentile, Summary, TooFewValues};
use crate::results::RunRecord;
use crate::verdict::{Contender, Figure, RunSet, rank};

/// Relative differences below this are ties.
const THRESHOLD: f64 = 0.03;

/// A table of all deployments at every point, and the best for each prompt: in throughput, per GPU, within
/// `SLO`, and at each level. `sides` are the deployments in order.
pub fn deployments(bench: &str, sides: &[RunSet]) -> String {
    let records = || sides.iter().flat_map(RunSet::records);
    let presets: BTreeSet<&str> = records().filter_map(|r| r.simulated.as_deref()).collect();
    let presets = Vec::from_iter(presets).join(", ");
    let simulated = (!presets.is_empty()).then_some(presets.as_str());
    let mut text = format!(
        "## {bench}: which deployment{}\n\n",
        label::of(simulated, records().any(RunRecord::insecure))
    );
    let prompts: BTreeSet<&str> = records().map(|record| &*record.prompt).collect();
    for prompt in prompts {
        let of_prompt = of_prompt(sides, prompt);
        let rows = of_prompt
            .iter()
            .map(|record| row(record, &of_prompt).to_vec());
        let mut head = HEAD.map(String::from);
        if of_prompt
            .iter()
            .any(|record| record.level.concurrency().is_none())
        {
            head[LEVEL] = "rate".to_owned();
        }
        let table = grid(head.to_vec(), rows, 3);
        text.push_str(&format!("{table}\n\n"));
        let tokens = of_prompt.first().map(|record| record.lengths().prompt);
        let tokens = tokens.map_or("0".to_owned(), |tokens| tokens.to_string());
        text.push_str(&format!("Best for prompt {prompt} ({tokens} tokens):\n"));
        for line in best(&of_prompt) {
            text.push_str(&format!("- {line}\n"));
        }
        text.push('\n');
    }
    for side in sides.iter().filter(|side| side.records().next().is_none()) {
        text.push_str(&format!("- {}: not measured\n", side.name));
    }
    text.push_str(&format!(
        "\n{}\n\
         Scaling: tok/s ÷ (replicas × tok/s of one replica under the same load of its own); it needs a deployment of \
         one such replica, measured at that load.\n\
         Balance: least and greatest share of the requests at one server, as a multiple of an even share.\n",
        ranking::legend(THRESHOLD)
    ));
    text
}

/// The records of a prompt, ordered by level and then by deployment.
fn of_prompt<'a>(sides: &'a [RunSet], prompt: &str) -> Vec<&'a RunRecord> {
    let records = sides.iter().flat_map(RunSet::records);
    let mut records: Vec<_> = records.filter(|record| record.prompt == prompt).collect();
    records.sort_by_key(|record| record.level);
    records
}

/// Position of the level's column.
const LEVEL: usize = 3;

const HEAD: [&str; 13] = [
    "Prompt",
    "Deployment",
    "Servers × GPUs",
    "c",
    "tok/s",
    "tok/s per GPU",
    "RPS",
    "TTFT P99 (ms)",
    "TPOT P99 (ms)",
    "Goodput (req/s)",
    "In SLO",
    "Scaling",
    "Balance",
];

fn row(record: &RunRecord, all: &[&RunRecord]) -> [String; 13] {
    let summary = record.summary.as_ref();
    let tok_s = summary.and_then(|s| s.output_tok_s);
    let p99 = |latency: fn(&Summary) -> Option<Distribution>| {
        let figure = summary
            .and_then(latency)
            .map(|latency| latency.percentile(Percentile::P99));
        figure.map_or(NOT_AVAILABLE.to_owned(), number::percentile)
    };
    [
        record.prompt.clone(),
        named(&record.setup()),
        layout(&record.setup()),
        record.level.value_text(),
        or_na(tok_s),
        or_na(
            tok_s
                .zip(gpus(&record.setup()))
                .map(|(tok_s, gpus)| tok_s / gpus),
        ),
        or_na(summary.map(|s| s.rps)),
        p99(|s| s.ttft_ms),
        p99(|s| s.tpot_ms),
        or_na(summary.and_then(|s| s.goodput)),
        match in_slo(record) {
            None => NOT_AVAILABLE.to_owned(),
            Some(Ok(true)) => "yes".to_owned(),
            Some(Ok(false)) => "no".to_owned(),
            Some(Err(few)) => number::too_few(&few),
        },
        scaling(record, all).map_or(NOT_AVAILABLE.to_owned(), |s| format!("{:.0} %", 100.0 * s)),
        balance(record),
    ]
}

/// The limits of `SLO`, each with its latency (ms).
fn limits(record: &RunRecord) -> Vec<(&'static str, Limit, Option<Distribution>)> {
    let summary = record.summary.as_ref();
    let latency = |name| {
        let summary = summary?;
        match name {
            "ttft" => summary.ttft_ms,
            "tpot" => summary.tpot_ms,
            "itl" => summary.itl_ms,
            _ => summary.e2el_ms,
        }
    };
    let limits = record.slo().latencies().into_iter();
    let set = limits.filter_map(|(name, limit)| Some((name, limit?, latency(name))));
    set.collect()
}

/// Whether every percentile that `SLO` limits is within its limit; an error if one has too few values to tell, and
/// `None` without limits.
fn in_slo(record: &RunRecord) -> Option<Result<bool, TooFewValues>> {
    let limits = limits(record);
    let exceeds = |(_, limit, latency): &(_, Limit, Option<Distribution>)| {
        latency.is_none_or(|latency| {
            // A percentile is at least as great as any below it.
            let up_to = |p: &Percentile| p.percent() <= limit.percentile.percent();
            let is_greater = |p| latency.percentile(p).is_ok_and(|figure| figure > limit.ms);
            Percentile::ALL.into_iter().filter(up_to).any(is_greater)
        })
    };
    if limits.is_empty() {
        return None;
    }
    if limits.iter().any(exceeds) {
        return Some(Ok(false));
    }
    let limited = limits
        .iter()
        .filter_map(|(_, limit, latency)| Some(latency.as_ref()?.percentile(limit.percentile)));
    let too_few = limited.filter_map(Result::err).next();
    Some(too_few.map_or(Ok(true), Err))
}

/// tok/s ÷ (replicas × tok/s of one replica), if one such replica was measured at its share of the load.
fn scaling(record: &RunRecord, all: &[&RunRecord]) -> Option<f64> {
    let deployment = record.deployment.as_ref()?;
    let replicas = deployment.replicas;
    let concurrency = record.level.concurrency()?.get();
    if replicas < 2 || !concurrency.is_multiple_of(replicas) {
        return None;
    }
    let each = NonZeroUsize::new(concurrency / replicas);
    let is_one = |other: &&&RunRecord| {
        other.level.concurrency() == each
            && other.deployment.as_ref().is_some_and(|d| {
                d.replicas == 1
                    && d.gpus_per_replica == deployment.gpus_per_replica
                    && d.version == deployment.version
            })
    };
    let one = all.iter().find(is_one)?;
    let tok_s = |record: &RunRecord| record.summary.as_ref()?.output_tok_s;
    Some(tok_s(record)? / (replicas as f64 * tok_s(one)?))
}

fn balance(record: &RunRecord) -> String {
    let shares = record.summary.iter().flat_map(|summary| &summary.endpoints);
    let requests: Vec<f64> = shares.map(|share| share.requests as f64).collect();
    let even = requests.iter().sum::<f64>() / requests.len() as f64;
    let least = requests.iter().copied().reduce(f64::min);
    let most = requests.iter().copied().reduce(f64::max);
    match (least, most) {
        (Some(least), Some(most)) if requests.len() > 1 && even > 0.0 => {
            format!("{:.2}–{:.2}", least / even, most / even)
        }
        (Some(_), _) => "one server".to_owned(),
        _ => NOT_AVAILABLE.to_owned(),
    }
}

/// The best deployments, one line for each criterion.
fn best(records: &[&RunRecord]) -> Vec<String> {
    let mut lines = vec![
        answer("throughput", &best_points(records, |_| true), false),
        per_gpu(records),
        within_slo(records),
    ];
    let mut levels: Vec<Level> = records.iter().map(|record| record.level).collect();
    levels.dedup();
    // For a single level the first line is enough.
    for level in levels.iter().copied().filter(|_| levels.len() > 1) {
        let at = best_points(records, |record| record.level == level);
        lines.push(answer(&format!("throughput at {level}"), &at, false));
    }
    lines
}

/// The record with the most tok/s of each deployment, among those that `counts` selects.
fn best_points<'a>(
    records: &[&'a RunRecord],
    counts: impl Fn(&RunRecord) -> bool,
) -> Vec<&'a RunRecord> {
    let tok_s = |record: &RunRecord| record.summary.as_ref().and_then(|s| s.output_tok_s);
    let mut best: Vec<&RunRecord> = Vec::new();
    for record in records.iter().filter(|record| counts(record)) {
        match best
            .iter_mut()
            .find(|known| named(&known.setup()) == named(&record.setup()))
        {
            Some(known) if tok_s(record) > tok_s(known) => *known = record,
            Some(_) => {}
            None => best.push(record),
        }
    }
    best
}

fn per_gpu(records: &[&RunRecord]) -> String {
    let best = best_points(records, |_| true);
    let setups = best.iter().map(|record| record.setup());
    ranking::why_not_per_gpu("throughput", setups)
        .unwrap_or_else(|| answer("throughput per GPU", &best, true))
}

fn within_slo(records: &[&RunRecord]) -> String {
    let limits = records
        .first()
        .map(|record| limits(record))
        .unwrap_or_default();
    if limits.is_empty() {
        return "throughput within SLO: n/a, as SLO is not set".to_owned();
    }
    let limits = limits
        .iter()
        .map(|(name, limit, _)| format!("{} {limit}", name.to_uppercase()));
    let question = format!("throughput with {}", Vec::from_iter(limits).join(", "));
    let within = best_points(records, |record| in_slo(record) == Some(Ok(true)));
    let text = match within.is_empty() {
        true => format!("{question}: none, no point meets it"),
        false => answer(&question, &within, false),
    };
    let is_unknown = |record: &&&RunRecord| matches!(in_slo(record), Some(Err(_)));
    match records.iter().filter(is_unknown).count() {
        0 => text,
        unknown => format!(
            "{text}; not known of {} with too few values for its percentile: measure longer",
            number::count(unknown, "point")
        ),
    }
}

/// The mark of a doubtful figure: the client did not keep up, or the point is partial.
fn doubt(record: &RunRecord) -> &'static str {
    match &record.self_check {
        Some(check) if !check.client_bound.is_empty() => ", client-bound",
        _ if record.partial.is_some() => ", partial",
        _ => "",
    }
}

/// The ranking of these records by tok/s, as an answer to a question.
fn answer(question: &str, records: &[&RunRecord], per_gpu: bool) -> String {
    let names: Vec<String> = records
        .iter()
        .map(|record| named(&record.setup()))
        .collect();
    let contenders = records.iter().zip(&names).map(|(record, name)| Contender {
        name,
        record: *record,
        divisor: divisor(&record.setup(), per_gpu),
    });
    let ranking = rank(Figure::TokS, contenders, THRESHOLD);
    let unit = match per_gpu {
        true => "tok/s per GPU",
        false => "tok/s",
    };
    let answer = ranking::answer(&ranking, unit, THRESHOLD, value, |record| {
        format!(" at {}{}", record.level, doubt(record))
    });
    format!("{question}: {answer}")
}

#[cfg(test)]
mod tests;
