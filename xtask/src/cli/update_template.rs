//! The command line of `update-template`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub struct UpdateTemplate {
    /// Pin to this tag; its digests are asked of the registry, so that any clone can do it.
    #[arg(long, value_name = "TAG", conflicts_with = "from")]
    pub tag: Option<String>,
    /// Pin to the release of this manifest (release-<tag>.json). Without --tag and --from: to the newest of HEAD, or of an
    /// ancestor from which HEAD differs only in cloudformation/, docs/ and top-level *.md.
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Pin these services alone and leave the others where they are: a mixed release, which `deploy` wants to be asked for.
    #[arg(long, value_name = "SERVICE", num_args = 1..)]
    pub only: Vec<String>,
    /// What is put behind the name: the image's digest, or the release's tag.
    #[arg(long, value_enum, default_value_t = Pin::Digest, hide_possible_values = true, value_name = "digest|tag")]
    pub pin: Pin,
    /// The template to write [default: cloudformation/cfn-preserv-master.yml].
    #[arg(long, value_name = "FILE")]
    pub template: Option<PathBuf>,
    /// Where the images stand: HOST[:PORT]/PREFIX [default: docker.io/aptrust; with --from, where the manifest says].
    #[arg(long, value_name = "REGISTRY")]
    pub registry: Option<String>,
    /// Write nothing; exit with 3 if the template is not what this command would write.
    #[arg(long)]
    pub check: bool,
    /// Do not ask the registry whether the images exist. With --tag only for --pin tag.
    #[arg(long)]
    pub offline: bool,
    /// Take a release of uncommitted work (-dirty). Deploy takes such a template to staging only.
    #[arg(long)]
    pub allow_dirty: bool,
    /// Take a release whose executables do no work yet (-unfinished). Deploy takes such a template to staging only.
    #[arg(long)]
    pub allow_unfinished: bool,
}

/// What a reference is pinned by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Pin {
    Digest,
    Tag,
}

pub(super) const UPDATE_TEMPLATE_HELP: &str = "\
Examples:
  cargo xtask update-template                          to the release of this commit, by digest; then `git diff` and commit
  cargo xtask update-template --tag 1a2b3c4-main       to any release in the registry, from any clone
  cargo xtask update-template --only ingest_cleanup    one service to the release, the others stay
  cargo xtask update-template --check                  for CI: is the template that of this commit's release?
  cargo xtask update-template --dry-run --tag 1a2b3c4-main
  cargo xtask update-template --offline --pin tag --tag 1a2b3c4-main   without registry, docker or manifest

An image is the Image of a ContainerDefinitions element, as text, in Fn::Sub, Fn::Join or Fn::If, or a value of Mappings
that one reads; ours if its last part is a service's name. Everything else keeps its bytes, which is proven before the
write: comments, names, commands, settings and the images of others. The registry is asked for all services, whatever
the template has of them.

Exit codes: 0 written, or nothing to do; 1 the registry is away, or the write failed; 2 usage; 3 refused (stale with
--check, an image missing, a template that cannot be pinned); 4 docker missing or login refused; 7 time limit;
8 another update-template is running; 130, 143 interrupted. Whatever the code but 0, the template is as it was.";
