//! The bodies that are JSON, under Java's field names, and the config files that share their types.
//!
//! Absent fields take Java's defaults. `Option` marks what Java leaves out when it is null, and what only 5.x
//! knows: such fields survive reading and writing, but are not made here.
//!
//! Java counterparts: `protocol/body`, `protocol/heartbeat`, `protocol/route` and a few classes beside them.

pub mod acl;
pub mod group;
pub mod heartbeat;
pub mod lock;
pub mod message_queue;
pub mod offset;
pub mod query;
pub mod register;
pub mod route;
pub mod stats;
pub mod topic;

/// Defines enums that travel by Java's name. Reading takes the name or Java's ordinal; what neither side knows
/// is `Unknown`, which is written as an absent field, like Java's null.
macro_rules! java_enums {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $java:literal,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub enum $name {
                $($(#[$variant_doc])* $variant,)*
                /// Absent, or a name that this build does not know.
                #[default]
                Unknown,
            }

            impl $name {
                const KNOWN: &'static [Self] = &[$(Self::$variant),*];

                /// Java's name of the constant.
                pub const fn name(self) -> &'static str {
                    match self {
                        $(Self::$variant => $java,)*
                        Self::Unknown => "UNKNOWN",
                    }
                }

                /// The constant with Java's name.
                pub fn from_name(name: &str) -> Self {
                    Self::KNOWN.iter().copied().find(|known| known.name() == name).unwrap_or(Self::Unknown)
                }

                /// The constant with Java's ordinal.
                pub fn from_ordinal(ordinal: usize) -> Self {
                    Self::KNOWN.get(ordinal).copied().unwrap_or(Self::Unknown)
                }
            }

            impl std::fmt::Display for $name {
                fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str(self.name())
                }
            }

            impl serde::Serialize for $name {
                fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                    match self {
                        Self::Unknown => serializer.serialize_none(),
                        known => serializer.serialize_str(known.name()),
                    }
                }
            }

            impl<'de> serde::Deserialize<'de> for $name {
                fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                    let text = String::deserialize(deserializer)?;
                    Ok(text.parse().map_or_else(|_| Self::from_name(&text), Self::from_ordinal))
                }
            }
        )*
    };
}
use java_enums;
