//! The values of `LOAD_SHAPE`.

use clap::ValueEnum;
use clap::builder::PossibleValue;

use super::load_shape::LoadShape;
use super::open::OPEN;
use super::steady::STEADY;
use super::wave::WAVE;

/// Every load shape.
pub static LOAD_SHAPES: [&LoadShape; 3] = [&STEADY, &WAVE, &OPEN];

impl ValueEnum for &'static LoadShape {
    fn value_variants<'a>() -> &'a [&'static LoadShape] {
        &LOAD_SHAPES
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.id).help(self.help))
    }
}
