//! `--version` and `--help`, which need no settings, and command lines that are wrong.

use crate::support::{Place, example, sha256};

#[test]
fn version_is_two_lines_and_a_third_if_unfinished() {
    for (program, third) in [("idle", ""), ("unfinished", "unfinished\n")] {
        for flag in ["--version", "-version"] {
            let ended = Place::empty().run(program, &[flag]);
            let hash = sha256(&example(program));
            assert_eq!(ended.stdout, format!("{program} 0.1.0\nsha256:{hash}\n{third}"));
            assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        }
    }
}

#[test]
fn help_names_the_flags_and_settings_of_this_program() {
    let ended = Place::empty().run("idle", &["-help"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    for text in ["Usage: idle [flags]", "fixity_check_worker_chan", "--requeue-timeout DURATION", "IDLE_BUFFER_SIZE"] {
        assert!(ended.stdout.contains(text), "{text}: {}", ended.stdout);
    }
}

#[test]
fn a_wrong_command_line_is_answered_on_one_line_with_64() {
    for (arguments, said) in [
        (&["--wrokers", "3"][..], "idle: there is no flag `--wrokers`; --help lists what there is\n"),
        (&["--workers"], "idle: --workers needs a value; --help lists what there is\n"),
        (&["stray"], "idle: `stray` is not expected here; --help lists what there is\n"),
    ] {
        let ended = Place::complete().run("idle", arguments);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(64), said));
    }
}
