use super::*;

#[test]
fn points_far_beyond_the_axes_are_drawn() {
    let [x, y] = ["x", "y"].map(|label| Axis::linear(label, 0.0, 1.0));
    let far = [f64::MAX, f64::MIN, f64::INFINITY, f64::NAN];
    let drawn = draw(&PlotFrame::new(x, y), "nothing", |panel| {
        far.iter().try_for_each(|at| {
            panel.bar((0.5, *at), (*at, 0.5), ColorRole::Axis)?;
            panel.interval([(*at, 0.5), (0.5, *at)], 0)
        })
    });
    assert!(drawn.is_ok(), "{drawn:?}");
}
