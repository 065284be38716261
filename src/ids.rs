//! Names of an enum's values.

/// Implements `ALL` and `id` for an enum, from the name of each of its values.
macro_rules! ids {
    ($type:ident: $($value:ident = $id:literal),* $(,)?) => {
        impl $type {
            /// Every value, in this order.
            pub const ALL: [$type; [$($id),*].len()] = [$($type::$value),*];

            /// Its name where a person or a program chooses it.
            pub const fn id(self) -> &'static str {
                match self {
                    $($type::$value => $id),*
                }
            }
        }
    };
}

pub(crate) use ids;
