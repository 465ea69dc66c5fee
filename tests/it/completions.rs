//! `cargo xtask completions`, in the shells themselves: the script is loaded, a line is typed, and what the shell offers is
//! read back. A shell that is not there is skipped.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::release::run;
use super::support::workspace::real_program;
use super::support::{Scratch, skip, xtask};

/// What is typed, and what must be among the offers.
const LINES: [(&str, &[&str]); 10] = [
    ("cargo xtask ", &["release", "test-all", "doctor", "completions"]),
    ("cargo xtask re", &["release"]),
    ("cargo xtask release --no", &["--no-push"]),
    ("cargo xtask test-all --stage ", &["lint", "unit", "integration", "e2e"]),
    ("cargo xtask release --format ", &["human", "json"]),
    ("cargo xtask release --platform ", &["linux/amd64", "linux/arm64"]),
    ("cargo xtask logs staging ingest_v", &["ingest_validator"]),
    ("cargo xtask update-template --only apt_", &["apt_delete", "apt_queue"]),
    ("cargo xt", &["xtask"]),
    // Cargo's own completion is still there.
    ("cargo bui", &["build"]),
];

/// What must not be among the offers: another command's options, or commands where xtask is not meant.
const NOT: [(&str, &str); 2] = [("cargo xtask test-all --", "--no-push"), ("cargo b", "release")];

fn check(test: &str, shell: &str, shell_with: impl Fn(&Path) -> Command) {
    let Some(program) = real_program(shell) else {
        return skip(test, &format!("{shell} is not on PATH: apt-get install {shell}"));
    };
    let scratch = Scratch::new("completions");
    let script = scratch.path().join("script");
    std::fs::write(&script, run(xtask().args(["completions", shell])).succeeds().stdout).unwrap();
    let offered = |line: &str| {
        let mut command = shell_with(&program);
        command.env("HOME", scratch.path()).env("SCRIPT", &script).env("LINE", line).env("TERM", "dumb");
        let ran = run(command.env("XDG_CONFIG_HOME", scratch.path()).env("OUT", scratch.path().join("offers")));
        // Some shells describe what they offer, after a tab.
        let words = ran.stdout.lines().map(|line| line.split('\t').next().unwrap_or_default().to_owned());
        (words.collect::<Vec<_>>(), ran.stderr)
    };
    for (line, expected) in LINES {
        let (words, stderr) = offered(line);
        for word in expected {
            assert!(words.iter().any(|offer| offer == word), "{shell}: `{line}` offers {words:?}, no {word}\n{stderr}");
        }
    }
    for (line, wrong) in NOT {
        let (words, _) = offered(line);
        assert!(!words.iter().any(|offer| offer == wrong), "{shell}: `{line}` offers {words:?}");
    }
}

/// The folder of the toolchain, where cargo keeps the completions of its own.
fn sysroot() -> PathBuf {
    let printed = run(Command::new("rustc").args(["--print", "sysroot"])).succeeds();
    PathBuf::from(printed.stdout.trim())
}

#[test]
fn bash_completes() {
    // The stand-in is for machines without the package bash-completion, on which cargo's own script relies.
    let script = r#"
        if [[ -e /usr/share/bash-completion/bash_completion && -e $CARGO_SCRIPT ]]; then
            source /usr/share/bash-completion/bash_completion
            source "$CARGO_SCRIPT"
        else
            _cargo() { COMPREPLY=($(compgen -W "build bench" -- "$2")); }
            complete -F _cargo cargo
        fi
        source "$SCRIPT"
        read -ra COMP_WORDS <<< "$LINE"
        [[ $LINE == *' ' ]] && COMP_WORDS+=('')
        COMP_LINE=$LINE COMP_POINT=${#LINE} COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        registered=$(complete -p cargo | sed -n 's/.*-F \([^ ]*\).*/\1/p')
        "$registered" cargo "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let own = sysroot().join("etc/bash_completion.d/cargo");
    check("bash_completes", "bash", |bash| {
        let mut command = Command::new(bash);
        command.args(["--norc", "--noprofile", "-c", script]).env("CARGO_SCRIPT", &own);
        command
    });
}

#[test]
fn zsh_completes() {
    // A second zsh on a terminal of its own, in which the key TAB is pressed.
    let script = r#"
        zmodload zsh/zpty zsh/zselect
        rm -f $OUT $OUT.done
        zpty z zsh -f -i
        zpty -w z "PROMPT=; fpath=(${(q)FUNCTIONS} \$fpath); autoload -U compinit; compinit -u -d ${(q)OUT}.dump"
        zpty -w z "source ${(q)SCRIPT}; bindkey '^I' complete-word; zstyle ':completion:*' insert-tab false"
        zpty -w z "compadd() { local -a hits; builtin compadd -A hits \"\$@\"; print -rl -- \$hits >> ${(q)OUT}; builtin compadd \"\$@\" }"
        zpty -w z "offered() { : > ${(q)OUT}.done }; comppostfuncs=(offered)"
        zpty -w -n z "$LINE"$'\t'
        for i in {1..600}; do
            [[ -e $OUT.done ]] && break
            zpty -r -t z said
            zselect -t 5
        done
        zpty -d z
        [[ -e $OUT.done ]] || print -u2 "no offer came; the last that zsh said: $said"
        [[ -e $OUT ]] && cat $OUT
    "#;
    let functions = sysroot().join("share/zsh/site-functions");
    check("zsh_completes", "zsh", |zsh| {
        let mut command = Command::new(zsh);
        command.args(["-f", "-c", script]).env("FUNCTIONS", &functions);
        command
    });
}

#[test]
fn fish_completes() {
    check("fish_completes", "fish", |fish| {
        let mut command = Command::new(fish);
        command.args(["-c", "source $SCRIPT; complete -C $LINE"]);
        command
    });
}
