//! Plots as inline SVG, each with a title, a caption, and its data as a table.
//!
//! plotters draws them in placeholder colors, which become classes of the style sheet, so that plots adapt to
//! dark mode and print. Drawn curves may be thinned out; figures are computed from all values.

mod axis;
mod bars;
mod canvas;
mod changes;
mod colors;
mod curves;
mod distribution;
mod pareto;
mod plot_types;
mod sampling;
mod waterfall;

pub(super) use bars::{Bar, bars};
pub(super) use changes::{ChangeRow, changes};
pub(super) use curves::{AxisScale, Curve, CurveAt, against_level, over_names, over_time};
pub(super) use distribution::{density, ecdf};
pub(super) use pareto::{ParetoCurve, pareto};
pub(super) use plot_types::{Drawing, Plot, Table};
pub(super) use waterfall::{RequestStages, waterfall};

#[cfg(test)]
mod tests {
    use super::*;

    fn svg(plot: &Plot) -> &str {
        match &plot.drawing {
            Drawing::Svg(svg) => svg,
            Drawing::Nothing(why) => panic!("{why}"),
        }
    }

    #[test]
    fn a_plot_scales_has_text_and_takes_colours_from_the_style_sheet() {
        let curve = Curve {
            points: vec![
                CurveAt::sure(1.0, 230.0),
                CurveAt {
                    interval: Some((1_440.0, 1_490.0)),
                    ..CurveAt::sure(8.0, 1_464.0)
                },
            ],
            ..Curve::new("<new>", 0)
        };
        let levels = ["c=1", "c=8"].map(|level| level.parse().unwrap());
        let plot = against_level("tok/s & more", "", "tok/s", &levels, vec![curve], None);
        let svg = svg(&plot);
        assert!(
            svg.starts_with("<svg class=\"plot\" viewBox=\"0 0 960 "),
            "{svg}"
        );
        assert!(
            svg.contains("role=\"img\" aria-label=\"tok/s &amp; more"),
            "{svg}"
        );
        assert!(svg.trim_end().ends_with("</svg>"), "{svg}");
        assert!(!svg.contains('#') && !svg.contains("http"), "{svg}");
        assert!(
            svg.contains("class=\"l0\"") && svg.contains("1,000"),
            "{svg}"
        );
        assert_eq!(plot.table.rows.len(), 2);
        assert!(
            plot.table.rows[1].contains(&"1,440 … 1,490".to_owned()),
            "{plot:?}"
        );
    }

    #[test]
    fn empty_plots_say_why() {
        use crate::metrics::SortedValues;

        let plots = [
            against_level("", "", "", &[], Vec::new(), None),
            over_time("", "", "", AxisScale::FromZero, Vec::new()),
            ecdf("", "TTFT", &SortedValues::default()),
            density("", "TTFT", &SortedValues::default()),
            bars("", "", "", Vec::new()),
            waterfall("", Vec::new()),
            changes("", 0.03, true, Vec::new()),
            pareto("", "", "", None, Vec::new()),
        ];
        for plot in plots {
            assert!(matches!(plot.drawing, Drawing::Nothing(_)), "{plot:?}");
        }
        for values in [vec![3.0], vec![3.0; 5], vec![0.0, 0.0]] {
            let values = values.into_iter().collect();
            svg(&ecdf("", "TTFT", &values));
            svg(&density("", "TTFT", &values));
        }
    }
}
