//! A workspace in miniature: the layout that xtask expects, three services without dependencies, a git repository. It
//! builds in a second, so that a test can put it into any state.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::Scratch;

/// The services of the miniature.
pub(crate) const SERVICES: [&str; 3] = ["alpha", "beta", "gamma"];

/// A checkout of the miniature.
pub(crate) struct Workspace {
    scratch: Scratch,
}

impl Workspace {
    /// One commit on the branch `main`.
    pub(crate) fn new() -> Self {
        let workspace = Self { scratch: Scratch::new("workspace") };
        workspace.write("Cargo.toml", MANIFEST);
        workspace.write("Cargo.lock", "version = 4\n\n[[package]]\nname = \"apps\"\nversion = \"0.1.0\"\n");
        workspace.write(".gitignore", "/target\n");
        workspace.write("services/apps/Cargo.toml", APPS_MANIFEST);
        workspace.write("services/apps/src/lib.rs", APPS_LIBRARY);
        for service in SERVICES {
            workspace.write_service(service, "");
        }
        workspace.git(&["init", "--quiet", "--initial-branch=main"]);
        workspace.commit("first");
        workspace
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.scratch.path().join("checkout")
    }

    /// A folder beside the checkout.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Writes a service whose work is `body`; `return unfinished();` marks it unfinished.
    pub(crate) fn write_service(&self, name: &str, body: &str) {
        let unfinished = body.contains("unfinished");
        let text = format!("//! {name}\n//! {body}\nfn main() {{ apps::main(\"{name}\", {unfinished}) }}\n");
        self.write(&format!("services/apps/src/bin/{name}.rs"), &text);
    }

    pub(crate) fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", message]);
    }

    /// Runs git in the checkout and returns what it printed.
    pub(crate) fn git(&self, args: &[&str]) -> String {
        let output = super::git(&self.root())
            .args(["-c", "user.name=test", "-c", "user.email=test@example.org", "-c", "commit.gpgSign=false"])
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// `cargo xtask` in the checkout.
    pub(crate) fn xtask(&self, args: &[&str]) -> Command {
        let mut command = super::xtask();
        command.args(args).current_dir(self.root()).env_remove("CARGO_TARGET_DIR");
        command
    }

    /// The tag of a clean release.
    pub(crate) fn tag(&self) -> String {
        format!("{}-{}", self.git(&["rev-parse", "--short=7", "HEAD"]), self.git(&["symbolic-ref", "--short", "HEAD"]))
    }

    /// Where a release leaves what it makes.
    pub(crate) fn release_folder(&self) -> PathBuf {
        self.root().join("target/xtask/release")
    }
}

/// A folder of executables that stand in for real programs: each is a shell script.
pub(crate) struct Fakes {
    folder: PathBuf,
}

impl Fakes {
    pub(crate) fn new(folder: PathBuf) -> Self {
        fs::create_dir_all(&folder).unwrap();
        Self { folder }
    }

    /// A program that runs this script.
    pub(crate) fn add(&self, name: &str, script: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.folder.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// PATH with the fakes first.
    pub(crate) fn path(&self) -> String {
        format!("{}:{}", self.folder.display(), std::env::var("PATH").unwrap())
    }

    /// PATH with the fakes alone and what these programs need.
    pub(crate) fn only_with(&self, programs: &[&str]) -> String {
        for name in programs {
            let real = real_program(name).unwrap_or_else(|| panic!("`{name}` is not on PATH"));
            let _ = std::os::unix::fs::symlink(real, self.folder.join(name));
        }
        self.folder.display().to_string()
    }
}

/// Where a program stands on PATH.
pub(crate) fn real_program(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| path.is_file())
}

const MANIFEST: &str = r#"[workspace]
resolver = "3"
members = ["services/*"]

[profile.dist]
inherits = "release"
opt-level = 0
strip = true
"#;

const APPS_MANIFEST: &str = r#"[package]
name = "apps"
version = "0.1.0"
edition = "2024"
license = "MIT"
"#;

/// What the real `worker` does for the flags that release uses, without dependencies.
const APPS_LIBRARY: &str = r#"//! The shared main of the miniature's services.
pub fn main(name: &str, unfinished: bool) {
    match std::env::args().nth(1).as_deref() {
        Some("--version") => {
            let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
            let digest: String = sha256(&bytes).iter().map(|word| format!("{word:08x}")).collect();
            println!("{name} {}\nsha256:{digest}", env!("CARGO_PKG_VERSION"));
            if unfinished {
                println!("unfinished");
            }
        }
        _ => std::process::exit(69),
    }
}

/// FIPS 180-4.
fn sha256(bytes: &[u8]) -> [u32; 8] {
    let primes: Vec<u32> = (2..312).filter(|n| (2..*n).all(|d| n % d != 0)).collect();
    let root = |n: u32, power: f64| {
        let value = (n as f64).powf(power);
        ((value - value.floor()) * 4294967296.0) as u32
    };
    let k: Vec<u32> = primes.iter().take(64).map(|n| root(*n, 1.0 / 3.0)).collect();
    let mut h = [0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19_u32];
    let mut message = bytes.to_vec();
    message.push(0x80);
    while message.len() % 64 != 56 {
        message.push(0);
    }
    message.extend((bytes.len() as u64 * 8).to_be_bytes());
    for block in message.chunks(64) {
        let mut w: Vec<u32> = block.chunks(4).map(|c| u32::from_be_bytes(c.try_into().unwrap())).collect();
        for i in 16..64 {
            let s0 = w[i - 15].rotate_right(7) ^ w[i - 15].rotate_right(18) ^ (w[i - 15] >> 3);
            let s1 = w[i - 2].rotate_right(17) ^ w[i - 2].rotate_right(19) ^ (w[i - 2] >> 10);
            w.push(w[i - 16].wrapping_add(s0).wrapping_add(w[i - 7]).wrapping_add(s1));
        }
        let mut v = h;
        for i in 0..64 {
            let s1 = v[4].rotate_right(6) ^ v[4].rotate_right(11) ^ v[4].rotate_right(25);
            let choice = (v[4] & v[5]) ^ (!v[4] & v[6]);
            let t1 = v[7].wrapping_add(s1).wrapping_add(choice).wrapping_add(k[i]).wrapping_add(w[i]);
            let s0 = v[0].rotate_right(2) ^ v[0].rotate_right(13) ^ v[0].rotate_right(22);
            let t2 = s0.wrapping_add((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
            v = [t1.wrapping_add(t2), v[0], v[1], v[2], v[3].wrapping_add(t1), v[4], v[5], v[6]];
        }
        for (sum, value) in h.iter_mut().zip(v) {
            *sum = sum.wrapping_add(value);
        }
    }
    h
}
"#;
