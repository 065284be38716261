//! How often the verdicts are wrong: comparisons of servers whose true difference is known.
//!
//! A comparison is a *family*: the default levels of concurrency with all figures. Both sides of it are
//! simulated in virtual time with the noise of two kinds of machine, and judged as `servemark compare`
//! judges; beside it Criterion judges the same windows. A smaller sample runs over real sockets, by the
//! shipped bench, and has to agree.
//!
//! `cargo bench --bench verdict_calibration` takes some minutes, prints its tables and saves them in
//! `target/criterion/servemark/verdict_calibration/tables.md`; with `-- --test` everything runs once.

mod criterion_alone;
mod sockets;
mod tally;
mod virtual_runs;

use std::error::Error;
use std::fmt::Write;
use std::process::ExitCode;

use comfy_table::{CellAlignment, Table, presets};
use servemark::internals::config::Metric;
use servemark::internals::results;

use tally::Tally;
use virtual_runs::{Conditions, Family, Method, Trial};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The noise of a server that has its GPUs for itself, and of one on a machine that others use, too.
const CONDITIONS: [Conditions; 2] = [
    Conditions {
        name: "quiet machine",
        steps: "step=0.05,drift=0.005:20,stall=0.05:50",
        between_runs: 0.005,
    },
    Conditions {
        name: "shared machine",
        steps: "step=0.1,drift=0.01:20,stall=0.1:100",
        between_runs: 0.01,
    },
];

const METHODS: [(Method, Family, &str); 5] = [
    (
        Method::Saved { runs: 1 },
        Family::Default,
        "saved baseline, one run per side (default)",
    ),
    (
        Method::Saved { runs: 3 },
        Family::Default,
        "saved baseline, three runs per side",
    ),
    (Method::InTurns, Family::Default, "A/B in turns, one run"),
    (
        Method::Saved { runs: 1 },
        Family::Open,
        "open loop (4, 16, 64 req/s), one run per side, TPOT",
    ),
    (
        Method::InTurns,
        Family::Open,
        "open loop (4, 16, 64 req/s), A/B in turns, TPOT",
    ),
];

/// By how much longer the steps of the slower server are.
const SLOWDOWNS: [f64; 4] = [0.02, 0.03, 0.05, 0.10];

/// Comparisons of equal servers, and of unequal ones for each slow-down.
const EQUAL: u64 = 1_000;
const UNEQUAL: u64 = 500;

/// Criterion takes 20 ms and more per benchmark.
const EQUAL_BY_CRITERION: u64 = 500;
const UNEQUAL_BY_CRITERION: u64 = 200;

fn main() -> Result<ExitCode> {
    if let Ok(trials) = std::env::var(criterion_alone::VARIABLE) {
        criterion_alone::run(&trials)?;
        return Ok(ExitCode::SUCCESS);
    }
    if std::env::var_os(sockets::VARIABLE).is_some() {
        return Ok(sockets::run());
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let given = |option: &str| arguments.iter().any(|argument| argument == option);
    if given("--list") {
        return Ok(ExitCode::SUCCESS);
    }
    let small = given("--test") || !given("--bench");
    let count = |full: u64| if small { 1 } else { full };
    let mut text = String::new();
    for conditions in CONDITIONS {
        let table = calibrate(conditions, &count)?;
        println!("\n{table}");
        writeln!(text, "{table}\n")?;
    }
    let table = sockets::compare_samples(CONDITIONS[0], small)?;
    println!("\n{table}");
    writeln!(text, "{table}")?;
    if !small {
        let path = results::directory().join("verdict_calibration/tables.md");
        results::write_atomically(&path, text.as_bytes())?;
        println!("\nTables:  {}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// The table of one kind of machine.
fn calibrate(conditions: Conditions, count: &dyn Fn(u64) -> u64) -> Result<String> {
    let mut table = table();
    for (method, family, name) in METHODS {
        let tally = |slowdown, comparisons| {
            eprintln!(
                "{}: {name}, {:.0} % slower …",
                conditions.name,
                100.0 * slowdown
            );
            let trial = Trial::new(conditions, method, slowdown)?.of_family(family);
            Tally::of(trial, count(comparisons))
        };
        let equal = tally(0.0, EQUAL)?;
        let slower: Vec<Tally> = SLOWDOWNS
            .iter()
            .map(|s| tally(*s, UNEQUAL))
            .collect::<Result<_>>()?;
        table.add_row(tally::row(name, &equal, &slower));
    }
    let criterion = |slowdown, comparisons, metrics: &[Metric]| {
        eprintln!(
            "{}: Criterion, {:.0} % slower …",
            conditions.name,
            100.0 * slowdown
        );
        let trial = Trial::new(conditions, Method::Saved { runs: 1 }, slowdown)?;
        let verdicts = criterion_alone::verdicts(&trial, count(comparisons), metrics)?;
        Ok::<_, Box<dyn Error + Send + Sync>>(Tally::of_criterion(&verdicts))
    };
    let equal = criterion(0.0, EQUAL_BY_CRITERION, &Metric::ALL)?;
    let slower = |slowdown: &f64| criterion(*slowdown, UNEQUAL_BY_CRITERION, &[Metric::OutputTokS]);
    let slower: Vec<Tally> = SLOWDOWNS.iter().map(slower).collect::<Result<_>>()?;
    table.add_row(tally::row(
        "Criterion's verdict alone, one run per side",
        &equal,
        &slower,
    ));
    Ok(format!(
        "## {}: steps {}, between runs {} %\n\n{table}",
        conditions.name,
        conditions.steps,
        100.0 * conditions.between_runs
    ))
}

fn table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    let seen = SLOWDOWNS.map(|slowdown| format!("{:.0} % slower: detected", 100.0 * slowdown));
    let heads = [
        "method",
        "equal: any figure regressed",
        "equal: any figure improved",
    ];
    table.set_header(heads.map(str::to_owned).into_iter().chain(seen));
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
