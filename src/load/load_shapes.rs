//! The values of `LOAD_SHAPE`.

use clap::ValueEnum;
use clap::builder::PossibleValue;

use super::load_shape::LoadShape;

/// Every load shape.
pub static LOAD_SHAPES: &[&LoadShape] = &[
    &super::steady::STEADY,
    &super::wave::WAVE,
    &super::open::OPEN,
];

impl ValueEnum for &'static LoadShape {
    fn value_variants<'a>() -> &'a [&'static LoadShape] {
        LOAD_SHAPES
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.id).help(self.help))
    }
}
