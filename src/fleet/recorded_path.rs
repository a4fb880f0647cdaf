//! A path as `run.json` has it: text where it is text, its bytes where it is none. A run that was
//! started in a directory with an odd name can be resumed all the same.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Kept<T> {
    Text(T),
    Bytes { bytes: Vec<u8> },
}

pub(crate) fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    let kept = match path.to_str() {
        Some(text) => Kept::Text(text),
        None => Kept::Bytes { bytes: path.as_os_str().as_bytes().to_vec() },
    };
    kept.serialize(serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    Ok(match Kept::<String>::deserialize(deserializer)? {
        Kept::Text(text) => text.into(),
        Kept::Bytes { bytes } => OsString::from_vec(bytes).into(),
    })
}

/// The same for a path that need not be there.
pub(crate) mod optional {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Recorded(#[serde(with = "super")] PathBuf);

    pub(crate) fn serialize<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
        path.clone().map(Recorded).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<PathBuf>, D::Error> {
        Ok(Option::<Recorded>::deserialize(deserializer)?.map(|recorded| recorded.0))
    }
}
