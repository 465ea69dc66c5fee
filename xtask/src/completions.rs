//! `completions`: scripts with which `cargo xtask <TAB>` completes in bash, zsh and fish.
//!
//! clap_complete knows programs, not subcommands of somebody else's program. So it writes the completion of a program
//! named `cargo_xtask`, and a few lines per shell hand it what follows `cargo xtask`, leaving the rest of cargo's
//! completion as it was.

use std::fmt::Write as _;

use clap::CommandFactory;
use clap::builder::PossibleValuesParser;
use clap_complete::{generate, shells};

use crate::catalog::Catalog;
use crate::cli::{Cli, Shell};
use crate::exit::Exit;
use crate::image::Platform;
use crate::ui::Ui;

/// The program whose completion is written. No hyphen: clap_complete 4.6 takes it for a separator in bash scripts, and
/// then completes no subcommand.
const NAME: &str = "cargo_xtask";

pub(crate) fn print(shell: Shell, ui: &Ui) -> Exit {
    let script = script(shell);
    ui.answer(&script);
    ui.result("script", script.into());
    Exit::Done
}

fn script(shell: Shell) -> String {
    let mut command = Cli::command().bin_name(NAME);
    // Outside a checkout the services are not known. clap takes texts that last; the process ends after this one script.
    let services = Catalog::load().map(|catalog| catalog.services).unwrap_or_default();
    let services: Vec<&'static str> = services.into_iter().map(|service| &*service.leak()).collect();
    for (subcommand, arg, values) in [
        ("release", "platform", Platform::names().collect()),
        ("logs", "services", services.clone()),
        ("update-template", "only", services),
    ] {
        if !values.is_empty() {
            let values = PossibleValuesParser::new(values);
            command = command.mut_subcommand(subcommand, |found| found.mut_arg(arg, |arg| arg.value_parser(values)));
        }
    }
    let mut own = Vec::new();
    match shell {
        Shell::Bash => generate(shells::Bash, &mut command, NAME, &mut own),
        Shell::Zsh => generate(shells::Zsh, &mut command, NAME, &mut own),
        Shell::Fish => generate(shells::Fish, &mut command, NAME, &mut own),
    }
    let mut own = String::from_utf8_lossy(&own).into_owned();
    if shell == Shell::Fish {
        // clap_complete 4.6 leaves out what has no dash.
        for subcommand in command.get_subcommands() {
            let values = subcommand.get_positionals().flat_map(clap::Arg::get_possible_values);
            let values: Vec<String> = values.map(|value| value.get_name().to_owned()).collect();
            if !values.is_empty() {
                let (name, values) = (subcommand.get_name(), values.join(" "));
                let _ = writeln!(own, "complete -c {NAME} -n '__fish_{NAME}_using_subcommand {name}' -f -a '{values}'");
            }
        }
    }
    let hook = match shell {
        Shell::Bash => BASH,
        Shell::Zsh => ZSH,
        Shell::Fish => FISH,
    };
    format!("{own}\n{hook}")
}

const BASH: &str = r#"
# cargo xtask: hand over to the function above; everything else stays with cargo's own completion.
if [[ -z ${__cargo_before_xtask+set} ]]; then
    complete -p cargo &>/dev/null || { declare -F _comp_load >/dev/null && _comp_load cargo; } \
        || { declare -F _completion_loader >/dev/null && _completion_loader cargo; } &>/dev/null
    __cargo_before_xtask=$(complete -p cargo 2>/dev/null | sed -n 's/.*-F \([^ ]*\).*/\1/p')
fi
_cargo_then_xtask() {
    if [[ $COMP_CWORD -gt 1 && ${COMP_WORDS[1]} == xtask ]]; then
        COMP_WORDS=(cargo_xtask "${COMP_WORDS[@]:2}")
        COMP_CWORD=$((COMP_CWORD - 1))
        _cargo_xtask cargo_xtask "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        return
    fi
    COMPREPLY=()
    [[ -n $__cargo_before_xtask ]] && "$__cargo_before_xtask" "$@"
    if [[ $COMP_CWORD -eq 1 && xtask == "$2"* && " ${COMPREPLY[*]} " != *" xtask "* ]]; then
        COMPREPLY+=(xtask)
    fi
}
complete -o bashdefault -o default -F _cargo_then_xtask cargo
"#;

const ZSH: &str = r#"
# cargo xtask: hand over to the function above; everything else stays with cargo's own completion.
(( ${+__cargo_before_xtask} )) || typeset -g __cargo_before_xtask=${_comps[cargo]:-}
_cargo_then_xtask() {
    if (( CURRENT > 2 )) && [[ $words[2] == xtask ]]; then
        words=(cargo_xtask "${(@)words[3,-1]}")
        (( CURRENT-- ))
        _cargo_xtask
    elif [[ -n $__cargo_before_xtask ]]; then
        $__cargo_before_xtask
        (( CURRENT == 2 )) && compadd xtask
    elif (( CURRENT == 2 )); then
        compadd xtask
    fi
}
compdef _cargo_then_xtask cargo
"#;

const FISH: &str = r"
# cargo xtask: ask for the completions of the line as if it were that program's.
function __cargo_xtask_line
    set -l words (commandline -opc)
    complete -C (string join ' ' -- cargo_xtask (string escape -- $words[3..]) (commandline -ct | string escape))
end
function __cargo_xtask_given
    set -l words (commandline -opc)
    test (count $words) -ge 2; and test $words[2] = xtask
end
function __cargo_xtask_not_given
    test (count (commandline -opc)) -eq 1
end
complete -c cargo -n __cargo_xtask_not_given -a xtask -d 'Release, test and look after the services'
complete -c cargo -n __cargo_xtask_given -f -a '(__cargo_xtask_line)'
";
