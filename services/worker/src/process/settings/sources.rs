//! Where settings come from: the process environment, and a dotenv file in the working directory behind it. What a
//! setting means is not known here.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use super::{dotenv, names};

/// Everything that settings are looked up in.
#[derive(Debug)]
pub struct Sources {
    environment: Environment,
    file: Environment,
    file_name: String,
    directory: PathBuf,
    /// What is wrong with the file.
    pub(super) problem: Option<String>,
}

/// Variables: those of a process or of a test, or those that a settings file would set.
#[derive(Default)]
pub struct Environment(BTreeMap<OsString, OsString>);

/// Where a setting's value was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    Environment,
    File,
}

impl Sources {
    /// Reads the settings file of the working directory `directory`: `.env` if there is one, or `.env.<APT_ENV>`, which
    /// must be there when `APT_ENV` is set.
    pub fn load(environment: Environment, directory: &Path) -> Self {
        let suffix = environment.get(names::APT_ENV).map(|name| format!(".{}", name.to_string_lossy()));
        let file_name = format!(".env{}", suffix.as_deref().unwrap_or_default());
        let (file, problem) = match (read(&directory.join(&file_name), &environment), &suffix) {
            (Ok(file), _) => (file, None),
            (Err(Unreadable::Io(error)), None) if error.kind() == io::ErrorKind::NotFound => {
                (Environment::default(), None)
            }
            (Err(error), None) => (Environment::default(), Some(error.to_string())),
            (Err(error), Some(_)) => {
                (Environment::default(), Some(format!("{error} ({} asks for this file)", names::APT_ENV)))
            }
        };
        Self { environment, file, file_name, directory: directory.to_owned(), problem }
    }

    /// The name of the settings file, whether it exists or not.
    pub(super) fn file_name(&self) -> &str {
        &self.file_name
    }

    /// The value of `APT_ENV`.
    pub(super) fn environment_name(&self) -> Option<&str> {
        self.environment.get(names::APT_ENV).and_then(OsStr::to_str)
    }

    /// A value that is not empty. An environment variable that is set but empty hides nothing.
    pub(super) fn get(&self, name: &str) -> Option<(Origin, &OsStr)> {
        let in_environment = self.get_in_environment(name);
        in_environment.or_else(|| self.file.get(name).map(|value| (Origin::File, value)))
    }

    pub(super) fn get_in_environment(&self, name: &str) -> Option<(Origin, &OsStr)> {
        self.environment.get(name).map(|value| (Origin::Environment, value))
    }

    /// For the table.
    pub(super) fn describe(&self, origin: Origin) -> String {
        match origin {
            Origin::Environment => "environment".to_owned(),
            Origin::File => self.file_name.clone(),
        }
    }

    /// A path as it is written in a setting: `~/` is the user's home, anything relative is in the working directory.
    pub(super) fn expand(&self, path: &str) -> Result<PathBuf, String> {
        match path.strip_prefix("~/") {
            Some(rest) => match self.environment.get(names::HOME) {
                Some(home) => Ok(Path::new(home).join(rest)),
                None => Err("begins with `~/`, but HOME is not set".to_owned()),
            },
            None => Ok(self.directory.join(path).components().collect()),
        }
    }
}

impl Environment {
    /// Settings are taken from the variables of this process here and nowhere else.
    pub fn of_process() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// A value that is not empty.
    fn get(&self, name: &str) -> Option<&OsStr> {
        self.0.get(OsStr::new(name)).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }
}

impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Values may be secrets.
        f.debug_list().entries(self.0.keys()).finish()
    }
}

/// Why a settings file cannot be used.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("cannot be read: {0}")]
    Io(io::Error),
    #[error(transparent)]
    Refused(dotenv::Refused),
}

fn read(path: &Path, environment: &Environment) -> Result<Environment, Unreadable> {
    let file = std::fs::read(path).map_err(Unreadable::Io)?;
    let outside = |name: &str| environment.0.get(OsStr::new(name)).map(OsString::as_os_str);
    let settings = dotenv::parse(&file, outside).map_err(Unreadable::Refused)?;
    // Upstream finds a setting by its name in any case.
    Ok(settings.into_iter().map(|(name, value)| (name.to_ascii_uppercase(), value)).collect())
}
