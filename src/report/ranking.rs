//! Deployments ranked by a figure, as sentences.

use super::change::{percent, threshold};
use super::number::NOT_AVAILABLE;
use crate::results::Setup;
use crate::verdict::{Change, Ranking, Standing};

/// What the words of an answer mean.
pub(super) fn legend(ties_within: f64) -> String {
    format!(
        "Tied: the whole interval is within {}. Tied within noise: its estimate is, or it is not significant (false \
         discovery rate 5 % in each line): measure longer.",
        threshold(ties_within)
    )
}

/// The deployment's name, with the user's label.
pub(super) fn named(setup: &Setup<'_>) -> String {
    let Some(deployment) = setup.deployment else {
        return setup.server();
    };
    match &deployment.version {
        Some(version) => format!("{} ({version})", deployment.name),
        None => deployment.name.clone(),
    }
}

/// Its servers and the GPUs of each: `2 × 4`.
pub(super) fn layout(setup: &Setup<'_>) -> String {
    let gpus = setup.deployment.and_then(|d| d.gpus_per_replica);
    let gpus = gpus.map_or("?".to_owned(), |gpus| gpus.to_string());
    format!("{} × {gpus}", setup.endpoints.len())
}

/// Its GPUs.
pub(super) fn gpus(setup: &Setup<'_>) -> Option<f64> {
    // The record has the `NUM_GPU` of its deployment.
    setup.num_gpu().map(f64::from)
}

/// By what a figure is divided: the GPUs, or nothing.
pub(super) fn divisor(setup: &Setup<'_>, per_gpu: bool) -> f64 {
    match per_gpu {
        true => gpus(setup).unwrap_or(1.0),
        false => 1.0,
    }
}

/// Why no figure per GPU is ranked, as an answer to the question; `None` if it can be.
pub(super) fn why_not_per_gpu<'a>(
    figure: &str,
    setups: impl Iterator<Item = Setup<'a>>,
) -> Option<String> {
    let counts: Option<Vec<u32>> = setups.map(|setup| setup.num_gpu()).collect();
    match counts.as_deref() {
        None => Some(format!(
            "{figure} per GPU: n/a, as the GPUs of a deployment are not known (gpus_per_replica)"
        )),
        Some([first, others @ ..]) if others.iter().all(|count| count == first) => Some(format!(
            "{figure} per GPU: the same, as each deployment has {first} GPUs"
        )),
        Some(_) => None,
    }
}

/// `**4x2** with 11300 tok/s at c=512; behind it: 2x4 (10600 at c=512, −6.2 %, …)`, where `text` writes a figure, and
/// `at` says at which load, if it has to be said.
pub(super) fn answer<R>(
    Ranking(ranked): &Ranking<'_, R>,
    unit: &str,
    ties_within: f64,
    text: fn(f64) -> String,
    at: impl Fn(&R) -> String,
) -> String {
    let (mut best, mut tied, mut unsure) = (String::new(), vec![], vec![]);
    let (mut behind, mut apart) = (vec![], vec![]);
    for (contender, figure, standing) in ranked {
        let figure = figure.map(text).unwrap_or_default();
        let (name, at) = (contender.name, at(contender.record));
        let change = |change: &Change| {
            let (low, high) = change.interval;
            let (change, low, high) = (percent(change.relative), percent(low), percent(high));
            format!("{name} ({figure}{at}, {change}, 95 %: {low} … {high})")
        };
        match standing {
            Standing::Best => best = format!("**{name}** with {figure} {unit}{at}"),
            Standing::Tied(c) if c.interval.0 > -ties_within => tied.push(change(c)),
            Standing::Tied(c) => unsure.push(change(c)),
            Standing::Behind(c) => behind.push(change(c)),
            Standing::NoFigure(why) => apart.push(format!("{name}: {why}")),
            Standing::OtherWork(why) => apart.push(format!("{name} is not compared: {why}")),
        }
    }
    if best.is_empty() {
        best = NOT_AVAILABLE.to_owned();
    }
    let lists = [
        ("tied with it", tied),
        ("tied within noise", unsure),
        ("behind it", behind),
    ];
    for (words, list) in lists {
        if !list.is_empty() {
            best.push_str(&format!("; {words}: {}", list.join(", ")));
        }
    }
    for note in apart {
        best.push_str(&format!("; {note}"));
    }
    best
}
