//! Cargo: metadata, builds for this machine, the one build of what ships, and what that build may depend on. It does not know what
//! it builds: that, the callers tell.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use xshell::{Cmd, Shell, cmd};

use crate::exit::Exit;
use crate::process::{Finished, Process, Stream, last_lines};
use crate::ui::Ui;

/// The profile of what ships.
const PROFILE: &str = "dist";

/// What of the caller's environment reaches the build: enough to find the tools and the registry, nothing that changes
/// an executable.
const ENVIRONMENT: [&str; 12] = [
    "PATH",
    "HOME",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
];

/// Parts of a cargo configuration that cannot change an executable whose sources Cargo.lock fixes.
const HARMLESS: [&str; 10] = [
    "alias",
    "cache",
    "cargo-new",
    "credential-alias",
    "future-incompat-report",
    "http",
    "net",
    "registries",
    "registry",
    "source",
];
const HARMLESS_BUILD: [&str; 2] = ["jobs", "target-dir"];

/// Cargo's command for the caller's toolchain.
pub(crate) fn command() -> Process {
    Process::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// How programs are built that other commands run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Soon, and with checks.
    Development,
    /// As what ships is.
    Shipped,
}

impl Profile {
    fn name(self) -> &'static str {
        match self {
            Self::Development => "dev",
            Self::Shipped => PROFILE,
        }
    }

    /// The folder that cargo gives it.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Self::Development => "debug",
            Self::Shipped => PROFILE,
        }
    }
}

/// Builds programs that other commands run, showing how far it is; `expected` is how many packages that compiles. Returns the folder
/// that cargo puts them in.
pub(crate) fn build_visibly(profile: Profile, packages: &[&str], expected: u64, ui: &Ui) -> Result<PathBuf> {
    let progress = ui.progress("compiling", expected);
    let mut done = 0;
    let finished = build_command(profile, packages).lines(|stream, line| {
        if let Some(package) = line.trim_start().strip_prefix("Compiling ").filter(|_| stream == Stream::Err) {
            done += 1;
            progress.set(done, expected, package);
        }
    })?;
    built(packages, &finished)
}

/// The same where there is next to nothing to build.
pub(crate) fn build_quietly(profile: Profile, packages: &[&str]) -> Result<PathBuf> {
    built(packages, &build_command(profile, packages).args(["--quiet"]).run()?)
}

fn build_command(profile: Profile, packages: &[&str]) -> Process {
    let build = command().args(["build", "--profile", profile.name(), "--message-format", "json-render-diagnostics"]);
    build.args(packages.iter().flat_map(|package| ["--package", package]))
}

/// A compile error is told with our exit code and record.
fn built(packages: &[&str], finished: &Finished) -> Result<PathBuf> {
    if finished.success() {
        let built = finished.stdout.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok());
        let folder = built.filter_map(|message| message.executable?.parent().map(Path::to_owned)).next_back();
        return folder.with_context(|| format!("cargo built {} but named no program", packages.join(", ")));
    }
    Err(Exit::Failed.stop(
        format!("{} does not compile: {:#}", packages.join(", "), finished.error()),
        format!("run cargo build --package {} for the whole message", packages.join(" --package ")),
    ))
}

/// A line of cargo's `--message-format json`.
#[derive(Deserialize)]
struct Message {
    reason: String,
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// `cargo metadata` waits for other cargos, and may download; it must not wait for ever.
const METADATA_LIMIT: Duration = Duration::from_mins(5);

/// The JSON of `cargo metadata`.
pub(crate) fn metadata(args: &[&str]) -> Result<String> {
    let finished = command().args(["metadata", "--format-version", "1"]).args(args).limit(METADATA_LIMIT).check()?;
    Ok(finished.stdout)
}

/// The folder of the toolchain that the checkout pins, which must be the current one.
pub(crate) fn sysroot(limit: Duration) -> Result<PathBuf> {
    Ok(Process::new("rustc").args(["--print", "sysroot"]).limit(limit).check()?.stdout.trim().into())
}

/// The toolchain can link for this target.
pub(crate) fn has_target(sysroot: &Path, triple: &str) -> bool {
    sysroot.join("lib/rustlib").join(triple).join("lib").is_dir()
}

/// What a release links for, and with what.
#[derive(Clone, Debug)]
pub(crate) struct Toolchain {
    pub(crate) triple: String,
    pub(crate) linker: PathBuf,
    /// The linker is another one than cargo's default.
    is_cross: bool,
    /// First lines of `rustc --version`, the linker's `--version`, and libc's banner.
    pub(crate) rustc: String,
    pub(crate) linker_version: String,
    pub(crate) libc: String,
}

impl Toolchain {
    /// Finds compiler, target and linker, or says what to install.
    pub(crate) fn find(triple: &str, root: &Path) -> Result<Self> {
        let rustc = |args: &[&str]| clean(Process::new("rustc"), root).args(args).check();
        let version = rustc(&["--version", "--verbose"])?.stdout;
        let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default().to_owned();
        let sysroot = rustc(&["--print", "sysroot"])?.stdout;
        if !has_target(Path::new(sysroot.trim()), triple) {
            return Err(Exit::Unavailable.stop(
                format!("the standard library for {triple} is not installed"),
                format!("rustup target add {triple}    (inside the checkout, so that it goes to the pinned toolchain)"),
            ));
        }
        let arch = triple.split('-').next().unwrap_or_default();
        let cross = format!("{arch}-linux-gnu-gcc");
        let name = if triple == host || (triple.ends_with("-musl") && host.starts_with(arch)) { "cc" } else { &cross };
        let Ok(linker) = which::which(name) else {
            let package = if name == "cc" {
                "gcc libc6-dev".to_owned()
            } else {
                format!("gcc-{}-linux-gnu", arch.replace('_', "-"))
            };
            return Err(Exit::Unavailable.stop(
                format!("no linker for {triple}: `{name}` is not on PATH"),
                format!("apt-get install {package}    (Debian; elsewhere the package that has `{name}`)"),
            ));
        };
        let sh = Shell::new().context("finding the current folder")?;
        let linker_version = read(cmd!(sh, "{linker} --version"))?;
        Ok(Self {
            triple: triple.to_owned(),
            rustc: version.lines().next().unwrap_or_default().to_owned(),
            linker_version: linker_version.lines().next().unwrap_or_default().to_owned(),
            libc: libc(&sh, &linker, triple)?,
            is_cross: name != "cc",
            linker,
        })
    }
}

/// The answer to a question that takes no time; what there is to complain of goes to the terminal.
fn read(question: Cmd<'_>) -> Result<String> {
    Ok(question.quiet().read()?)
}

/// Which libc is linked in: the banner inside glibc's static library, or rustc's own musl.
fn libc(sh: &Shell, linker: &Path, triple: &str) -> Result<String> {
    if triple.ends_with("-musl") {
        return Ok("musl, as shipped with rustc".to_owned());
    }
    let found = read(cmd!(sh, "{linker} -print-file-name=libc.a"))?;
    let path = Path::new(&found);
    if !path.is_absolute() {
        return Err(Exit::Unavailable.stop(
            format!("the static C library for {triple} is not installed"),
            "apt-get install libc6-dev    (for a foreign platform: libc6-dev-arm64-cross)".to_owned(),
        ));
    }
    let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    let banner = b"GNU C Library (";
    let start = bytes.windows(banner.len()).position(|window| window == banner);
    let line = start.and_then(|start| bytes[start..].split(|byte| *byte == b'\n').next());
    Ok(line.map_or_else(|| "unknown".to_owned(), |line| String::from_utf8_lossy(line).trim_end_matches('.').to_owned()))
}

/// Refuses when a cargo configuration outside the checkout, which no clone has, could change the executables.
pub(crate) fn refuse_foreign_configuration(root: &Path) -> Result<()> {
    let folders = root.ancestors().skip(1).map(|folder| folder.join(".cargo"));
    for folder in folders.chain([cargo_home()?]) {
        for name in ["config.toml", "config"] {
            let path = folder.join(name);
            let Ok(text) = fs::read_to_string(&path) else { continue };
            let table: toml::Table =
                text.parse().with_context(|| format!("reading the cargo configuration {}", path.display()))?;
            if let Some(key) = foreign_key(&table) {
                return Err(Exit::Refused.stop(
                    format!("the cargo configuration {} sets `{key}`, which can change what is built", path.display()),
                    "move that setting into the checkout's .cargo/config.toml, or away while you release",
                ));
            }
        }
    }
    Ok(())
}

fn foreign_key(table: &toml::Table) -> Option<String> {
    table.iter().find_map(|(key, value)| match (key.as_str(), value) {
        ("build", toml::Value::Table(build)) => {
            build.keys().find(|key| !HARMLESS_BUILD.contains(&key.as_str())).map(|key| format!("build.{key}"))
        }
        ("term", _) => None,
        (key, _) => (!HARMLESS.contains(&key)).then(|| key.to_owned()),
    })
}

/// What is to be built: these executables of a package, from a checkout into a target folder.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) root: &'a Path,
    pub(crate) target: &'a Path,
    pub(crate) package: &'a str,
    pub(crate) names: &'a [String],
    /// About how many compilations that takes.
    pub(crate) compilations: u64,
}

/// Builds executables that ship, for one platform. Returns them by name; fails naming each that there is none of.
pub(crate) fn build(wanted: &Wanted<'_>, toolchain: &Toolchain, ui: &Ui) -> Result<BTreeMap<String, PathBuf>> {
    // Where cargo keeps the sources of others is hidden; the checkout needs no such flag, since cargo compiles what is in it by
    // relative paths. So the flags are the same in every checkout, and what others wrote need not be compiled for each.
    let flags =
        ["-Ctarget-feature=+crt-static".to_owned(), format!("--remap-path-prefix={}=/cargo", cargo_home()?.display())];
    let Wanted { root, target, package, names, compilations } = *wanted;
    let process = clean(Process::new("cargo"), root)
        .args(["build", "--locked", "--keep-going", "--bins", "--package", package, "--profile", PROFILE])
        .args(["--target", &toolchain.triple, "--message-format", "json-render-diagnostics", "--target-dir"])
        .args([target])
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
    // Cargo's default serves this machine; naming it would also be taken for build scripts and macros, and a build for one
    // platform would then undo what the build for another has compiled.
    let process = if toolchain.is_cross {
        let variable = format!("CARGO_TARGET_{}_LINKER", toolchain.triple.to_uppercase().replace('-', "_"));
        process.env(variable, &toolchain.linker)
    } else {
        process
    };
    let progress = ui.progress("building", compilations);
    let mut executables = BTreeMap::new();
    let mut units = 0;
    let finished = process.lines(|stream, line| match stream {
        Stream::Err => ui.detail(line),
        Stream::Out => {
            let Ok(message) = serde_json::from_str::<Message>(line) else { return };
            let (Some(target), "compiler-artifact") = (message.target, message.reason.as_str()) else { return };
            units += 1;
            progress.set(units, compilations.max(units), &target.name);
            if let Some(path) = message.executable {
                executables.insert(target.name, path);
            }
        }
    })?;
    drop(progress);
    let missing: Vec<&str> = names.iter().filter(|name| !executables.contains_key(*name)).map(String::as_str).collect();
    if finished.success() && missing.is_empty() {
        return Ok(executables);
    }
    bail!("cargo could not build {} for {}:\n{}", missing.join(", "), toolchain.triple, errors(&finished));
}

/// What the compiler said, without its warnings and progress.
fn errors(finished: &Finished) -> String {
    let first = finished.stderr.lines().position(|line| line.starts_with("error")).unwrap_or(0);
    let rest: Vec<&str> = finished.stderr.lines().skip(first).take(60).collect();
    last_lines(&rest.join("\n"), 60)
}

/// A process in the checkout that sees only [`ENVIRONMENT`].
fn clean(process: Process, root: &Path) -> Process {
    let variables = ENVIRONMENT.iter().filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)));
    variables.fold(process.only_env(), |process, (name, value)| process.env(name, value)).dir(root)
}

fn cargo_home() -> Result<PathBuf> {
    if let Some(home) = std::env::var_os("CARGO_HOME") {
        return Ok(home.into());
    }
    let home = std::env::home_dir().context("neither CARGO_HOME nor HOME is set")?;
    Ok(home.join(".cargo"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_configuration_that_can_change_an_executable_is_foreign() {
        let key = |text: &str| foreign_key(&text.parse().unwrap());
        assert_eq!(
            key("[source.crates-io]\nreplace-with='x'\n[net]\noffline=true\n[build]\njobs=2\n[term]\nquiet=true"),
            None
        );
        assert_eq!(key("[build]\nrustflags=['-C', 'target-cpu=native']").as_deref(), Some("build.rustflags"));
        assert_eq!(key("[profile.dist]\nlto=true").as_deref(), Some("profile"));
        assert_eq!(key("[target.x86_64-unknown-linux-gnu]\nlinker='x'").as_deref(), Some("target"));
        assert_eq!(key("build.rustc-wrapper = 'x'").as_deref(), Some("build.rustc-wrapper"));
    }
}
