//! Colours for a terminal, laid over a finished text: files and pipes get the text itself.

use clap::builder::styling::{AnsiColor, Color, Effects, Style};

const BAD: Style = coloured(AnsiColor::Red).bold();
const DOUBTFUL: Style = coloured(AnsiColor::Yellow);
const GOOD: Style = coloured(AnsiColor::Green);
const HEADING: Style = Style::new().effects(Effects::BOLD);

const fn coloured(colour: AnsiColor) -> Style {
    Style::new().fg_color(Some(Color::Ansi(colour)))
}

/// A report's text with what must not be missed in colour: verdicts, failed requests, clients that were
/// the limit, what is simulated. Nothing but colours is added, so no column moves.
///
/// Print it through `anstream`, which takes the colours out again where they are not wanted: pipes,
/// files, `NO_COLOR`.
pub fn painted(text: &str) -> String {
    let mut heads: Vec<&str> = Vec::new();
    let mut painted = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        if !line.starts_with('|') {
            heads.clear();
            painted.push_str(&outside(line));
            continue;
        }
        let cells: Vec<&str> = line.split('|').collect();
        if heads.is_empty() {
            heads = cells.iter().map(|head| head.trim()).collect();
            painted.push_str(line);
            continue;
        }
        let cells = cells.iter().enumerate().map(|(at, cell)| {
            let head = heads.get(at).copied().unwrap_or_default();
            match style(head, cell.trim()) {
                Some(style) => wrap(cell, cell.trim(), style),
                None => (*cell).to_owned(),
            }
        });
        painted.push_str(&Vec::from_iter(cells).join("|"));
    }
    painted
}

/// How a cell of a table is shown.
fn style(head: &str, cell: &str) -> Option<Style> {
    let begins = |word: &str| cell.starts_with(word);
    match head.to_lowercase().as_str() {
        "failed" | "failed requests" if cell.parse().is_ok_and(|failed: u64| failed > 0) => {
            return Some(BAD);
        }
        "ready" if cell == "yes" => return Some(GOOD),
        "ready" if cell == "NO" => return Some(BAD),
        _ => {}
    }
    if begins("regressed") || cell == "FAILED" || cell == "✗" {
        Some(BAD)
    } else if begins("improved") {
        Some(GOOD)
    } else if begins("inconclusive") || cell == "client-bound" || cell == "partial" {
        Some(DOUBTFUL)
    } else {
        None
    }
}

/// A line outside of tables.
fn outside(line: &str) -> String {
    if let Some(heading) = line.strip_suffix('\n').filter(|line| line.starts_with('#')) {
        let label = "**simulated**";
        let painted = match heading.split_once(label) {
            None => wrap(heading, heading, HEADING),
            Some((before, after)) => {
                let label = wrap(label, label, DOUBTFUL.bold());
                format!("{}{label}{after}", wrap(before, before, HEADING))
            }
        };
        return painted + "\n";
    }
    let words = [
        ("FAILED", BAD),
        ("REGRESSED", BAD),
        ("COULD NOT TELL", DOUBTFUL),
        ("client-bound", DOUBTFUL),
        ("partial", DOUBTFUL),
    ];
    let note = line.starts_with("- ") || line.starts_with("gate: ");
    match words.into_iter().find(|(word, _)| line.contains(word)) {
        Some((word, style)) if note => wrap(line, word, style),
        _ => line.to_owned(),
    }
}

/// `text` with the first `part` of it in a style.
fn wrap(text: &str, part: &str, style: Style) -> String {
    match part.is_empty() {
        true => text.to_owned(),
        false => text.replacen(part, &format!("{style}{part}{style:#}"), 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
## chat — **simulated**: not a GPU's

| prompt | failed | client       | Verdict                      |
|--------|--------|--------------|------------------------------|
| 25     |      0 | kept up      | unchanged                    |
| failed |     12 | client-bound | regressed (doubtful)         |
| 1k     |      3 | n/a          | inconclusive, 2.2 % too wide |

- 25 c=8: FAILED, no request succeeded
at most 5 % regressed, FAILED or not
";

    #[test]
    fn only_colours_are_added() {
        let painted = painted(TEXT);
        assert_ne!(painted, TEXT);
        assert_eq!(anstream::adapter::strip_str(&painted).to_string(), TEXT);
    }

    #[test]
    fn only_important_text_is_coloured() {
        let painted = painted(TEXT);
        let coloured =
            |part: &str, style: Style| painted.contains(&format!("{style}{part}{style:#}"));
        assert!(coloured("12", BAD) && coloured("3", BAD), "{painted}");
        assert!(coloured("client-bound", DOUBTFUL), "{painted}");
        assert!(coloured("regressed (doubtful)", BAD), "{painted}");
        assert!(
            coloured("inconclusive, 2.2 % too wide", DOUBTFUL),
            "{painted}"
        );
        assert!(coloured("FAILED", BAD), "{painted}");
        let plain = [
            "|      0 |",
            "|--------|--------|",
            "| unchanged ",
            "| kept up ",
            "| failed |",
            "FAILED or not",
        ];
        for part in plain {
            assert!(painted.contains(part), "{part}: {painted}");
        }
    }
}
