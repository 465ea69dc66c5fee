//! Images, assembled from an executable and nothing else: a layer that all images share, one with the executable, one configuration; no
//! commit, no time.
//!
//! The same executable gives the same bytes, whatever the checkout, so a service that did not change keeps its digest.
//! What comes out is an OCI image layout (OCI image-layout v1) that holds docker's `manifest.json` as well: `skopeo` and
//! `docker load` both take it.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use flate2::{Compression, GzBuilder};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::elf;
use crate::exit::Exit;

/// The unprivileged user and group that every executable runs as.
pub(crate) const USER: &str = "65532:65532";
/// A compressed image over this size is refused: something came in that does not belong there.
pub(crate) const MAX_COMPRESSED_BYTES: u64 = 12_000_000;

const CA_FILE: &str = "etc/ssl/certs/ca-certificates.crt";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// Every image's creation time: a constant, since an image does not depend on when it was made.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// A platform that images are made for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Platform {
    /// As docker writes it.
    pub(crate) name: &'static str,
    pub(crate) architecture: &'static str,
    /// Rust's target, unless `--target` says otherwise.
    pub(crate) triple: &'static str,
    pub(crate) machine: u16,
    /// Debian's user-mode emulator, for running such an executable on another machine.
    pub(crate) emulator: &'static str,
}

const PLATFORMS: [Platform; 2] = [
    Platform {
        name: "linux/amd64",
        architecture: "amd64",
        triple: "x86_64-unknown-linux-gnu",
        machine: elf::X86_64,
        emulator: "qemu-x86_64-static",
    },
    Platform {
        name: "linux/arm64",
        architecture: "arm64",
        triple: "aarch64-unknown-linux-gnu",
        machine: elf::AARCH64,
        emulator: "qemu-aarch64-static",
    },
];

impl Platform {
    /// The platform of that name.
    pub(crate) fn named(name: &str) -> Result<&'static Platform> {
        PLATFORMS.iter().find(|platform| platform.name == name.trim()).ok_or_else(|| {
            let known: Vec<&str> = Self::names().collect();
            Exit::Usage.stop(format!("unknown platform `{name}`"), format!("--platform takes {}", known.join(" and ")))
        })
    }

    pub(crate) fn names() -> impl Iterator<Item = &'static str> {
        PLATFORMS.iter().map(|platform| platform.name)
    }

    /// This machine runs its executables without an emulator.
    pub(crate) fn is_native(&self) -> bool {
        cfg!(target_os = "linux") && self.triple.starts_with(std::env::consts::ARCH)
    }
}

/// A layer, uncompressed nowhere but in its digest.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    /// Compressed.
    bytes: Arc<[u8]>,
    /// `sha256:…` of what a registry stores.
    digest: String,
    /// `sha256:…` of the uncompressed layer.
    diff_id: String,
}

impl Layer {
    /// What every image has beside its executable: CA roots, the user's name, a writable /tmp.
    pub(crate) fn common() -> Result<Self> {
        let passwd = b"preserv:x:65532:65532:preservation services:/tmp:/sbin/nologin\n";
        let roots = ca_roots();
        let entries = [
            ("etc/", Entry::Folder(0o755)),
            ("etc/passwd", Entry::File(passwd, 0o644)),
            ("etc/ssl/", Entry::Folder(0o755)),
            ("etc/ssl/certs/", Entry::Folder(0o755)),
            (CA_FILE, Entry::File(roots.as_bytes(), 0o644)),
            ("tmp/", Entry::Folder(0o1777)),
        ];
        Self::pack(&entries)
    }

    fn pack(entries: &[(&str, Entry<'_>)]) -> Result<Self> {
        let mut archive = tar::Builder::new(Vec::new());
        for (path, entry) in entries {
            append(&mut archive, path, *entry)?;
        }
        let tar = archive.into_inner()?;
        let mut compressor = GzBuilder::new().mtime(0).write(Vec::new(), Compression::default());
        compressor.write_all(&tar)?;
        let bytes = compressor.finish()?;
        Ok(Self { digest: digest(&bytes), diff_id: digest(&tar), bytes: bytes.into() })
    }

    fn descriptor(&self) -> Value {
        json!({ "mediaType": LAYER, "digest": self.digest, "size": self.bytes.len() })
    }

    /// Docker names a layer in what it prints by the beginning of one of its digests.
    pub(crate) fn is_named(&self, short: &str) -> bool {
        [&self.diff_id, &self.digest].iter().any(|digest| short.len() >= 12 && hex(digest).starts_with(short))
    }
}

/// One image for one platform.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) platform: &'static Platform,
    config: Vec<u8>,
    /// The common one, and the one with the executable.
    pub(crate) layers: [Layer; 2],
    manifest: Vec<u8>,
    /// `sha256:…` of the configuration: the image's identity, equal on every machine and engine.
    pub(crate) config_digest: String,
}

impl Image {
    /// Puts an executable into an image of its own, upon the common layer.
    pub(crate) fn assemble(
        name: &str,
        platform: &'static Platform,
        executable: &[u8],
        source: &str,
        common: &Layer,
    ) -> Result<Self> {
        let own = Layer::pack(&[(name, Entry::File(executable, 0o755))]).context("assembling the layer")?;
        let layers = [common.clone(), own];
        let made = json!({ "created": CREATED, "created_by": "cargo xtask release" });
        let config = serde_json::to_vec(&json!({
            "architecture": platform.architecture,
            "config": {
                "Entrypoint": [format!("/{name}")],
                "Env": ["PATH=/", format!("SSL_CERT_FILE=/{CA_FILE}")],
                "Labels": {
                    "org.opencontainers.image.licenses": "MIT OR Apache-2.0",
                    "org.opencontainers.image.source": source,
                    "org.opencontainers.image.title": name,
                },
                "StopSignal": "SIGTERM",
                "User": USER,
                "Volumes": { "/tmp": {} },
                "WorkingDir": "/",
            },
            "created": CREATED,
            "history": [made, made],
            "os": "linux",
            "rootfs": { "diff_ids": layers.each_ref().map(|layer| &layer.diff_id), "type": "layers" },
        }))?;
        let config_digest = digest(&config);
        let manifest = serde_json::to_vec(&json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": { "mediaType": CONFIG, "digest": config_digest, "size": config.len() },
            "layers": layers.each_ref().map(Layer::descriptor),
        }))?;
        Ok(Self { platform, config, layers, manifest, config_digest })
    }

    /// The tag under which the registry keeps these very contents.
    pub(crate) fn content_tag(&self) -> String {
        format!("content-{}", &self.config_digest["sha256:".len()..][..16])
    }

    /// What a registry stores for it: layers, configuration and manifest.
    pub(crate) fn compressed_bytes(&self) -> u64 {
        let layers: usize = self.layers.iter().map(|layer| layer.bytes.len()).sum();
        (self.config.len() + layers + self.manifest.len()) as u64
    }

    /// `sha256:…` of the uncompressed layers.
    pub(crate) fn diff_ids(&self) -> [&str; 2] {
        self.layers.each_ref().map(|layer| layer.diff_id.as_str())
    }

    /// Streams the archive that `docker load` reads, naming the image `reference`.
    pub(crate) fn docker_archive(&self, reference: &str) -> impl FnOnce(&mut dyn Write) -> io::Result<()> + use<> {
        let config_path = format!("{}.json", hex(&self.config_digest));
        let manifest =
            json!([{ "Config": config_path, "RepoTags": [reference], "Layers": ["common.tar.gz", "layer.tar.gz"] }]);
        let [common, own] = self.layers.each_ref().map(|layer| Arc::clone(&layer.bytes));
        let files = [
            (config_path, self.config.clone().into()),
            ("common.tar.gz".to_owned(), common),
            ("layer.tar.gz".to_owned(), own),
            ("manifest.json".to_owned(), manifest.to_string().into_bytes().into()),
        ];
        move |to| {
            let mut archive = tar::Builder::new(to);
            for (path, bytes) in files {
                append(&mut archive, &path, Entry::File(&bytes, 0o644))?;
            }
            archive.finish()
        }
    }
}

/// Writes the images of one service, one per platform, as one OCI layout into the new folder `folder`.
pub(crate) fn write_layout(folder: &Path, images: &[Image], reference: &str, tag: &str) -> Result<()> {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).with_context(|| format!("making {}", blobs.display()))?;
    let write =
        |path: PathBuf, bytes: &[u8]| fs::write(&path, bytes).with_context(|| format!("writing {}", path.display()));
    let blob = |bytes: &[u8]| -> Result<String> {
        let digest = digest(bytes);
        write(blobs.join(hex(&digest)), bytes)?;
        Ok(digest)
    };
    let mut manifests = Vec::new();
    let mut loadable = Vec::new();
    for image in images {
        let config = blob(&image.config)?;
        let layers = image.layers.iter().map(|layer| blob(&layer.bytes)).collect::<Result<Vec<_>>>()?;
        let layers: Vec<String> = layers.iter().map(|layer| format!("blobs/sha256/{}", hex(layer))).collect();
        manifests.push(json!({
            "mediaType": MANIFEST,
            "digest": blob(&image.manifest)?,
            "size": image.manifest.len(),
            "platform": { "architecture": image.platform.architecture, "os": "linux" },
        }));
        // Docker gives a name to one image only, so each platform of several gets its own.
        let suffix = if images.len() > 1 { format!("-{}", image.platform.architecture) } else { String::new() };
        loadable.push(json!({
            "Config": format!("blobs/sha256/{}", hex(&config)),
            "RepoTags": [format!("{reference}{suffix}")],
            "Layers": layers,
        }));
    }
    let mut top: Value = if let [single] = manifests.as_slice() {
        single.clone()
    } else {
        let index = serde_json::to_vec(&json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests }))?;
        json!({ "mediaType": INDEX, "digest": blob(&index)?, "size": index.len() })
    };
    top["annotations"] = json!({ "org.opencontainers.image.ref.name": tag });
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [top] });
    write(folder.join("index.json"), index.to_string().as_bytes())?;
    write(folder.join("manifest.json"), Value::Array(loadable).to_string().as_bytes())?;
    write(folder.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)
}

/// `sha256:<64 hexadecimal digits>` of the bytes.
pub(crate) fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn hex(digest: &str) -> &str {
    digest.strip_prefix("sha256:").unwrap_or(digest)
}

#[derive(Clone, Copy)]
enum Entry<'a> {
    Folder(u32),
    File(&'a [u8], u32),
}

fn append<W: Write>(archive: &mut tar::Builder<W>, path: &str, entry: Entry<'_>) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    let (kind, mode, bytes) = match entry {
        Entry::Folder(mode) => (tar::EntryType::Directory, mode, &[][..]),
        Entry::File(bytes, mode) => (tar::EntryType::Regular, mode, bytes),
    };
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(bytes.len() as u64);
    archive.append_data(&mut header, path, bytes)
}

/// Mozilla's CA roots as PEM, from the crate that Cargo.lock pins, never from this machine.
fn ca_roots() -> String {
    let mut text = String::new();
    for root in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        let encoded = base64(root);
        for line in encoded.as_bytes().chunks(64) {
            text.extend(line.iter().map(|byte| char::from(*byte)));
            text.push('\n');
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}

/// RFC 4648 §4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for position in 0..4 {
            let index = (group >> (18 - 6 * position)) & 63;
            text.push(if position <= chunk.len() { char::from(ALPHABET[index as usize]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(executable: &[u8]) -> Image {
        let common = Layer::common().unwrap();
        Image::assemble("apt_delete", &PLATFORMS[0], executable, "https://example.org/source", &common).unwrap()
    }

    #[test]
    fn an_image_is_a_function_of_its_executable() {
        let (one, same, other) = (image(b"executable"), image(b"executable"), image(b"another"));
        assert_eq!((&one.config, &one.manifest), (&same.config, &same.manifest));
        assert_eq!(one.layers[1].bytes, same.layers[1].bytes);
        assert_ne!(one.config_digest, other.config_digest);
        assert_eq!(one.content_tag().len(), "content-".len() + 16);
    }

    #[test]
    fn the_layers_hold_the_executable_and_what_it_needs_and_nothing_else() {
        let held = |layer: &Layer| -> Vec<(String, u32)> {
            let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(&*layer.bytes));
            let entries = archive.entries().unwrap().map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                assert_eq!((header.mtime().unwrap(), header.uid().unwrap(), header.gid().unwrap()), (0, 0, 0));
                (entry.path().unwrap().display().to_string(), header.mode().unwrap())
            });
            entries.collect()
        };
        let (one, other) = (image(b"executable"), image(b"another"));
        // A registry keeps it once, and docker sends it once.
        assert_eq!(one.layers[0].digest, other.layers[0].digest);
        assert_eq!(held(&one.layers[1]), [("apt_delete".to_owned(), 0o755)]);
        let expected = [
            ("etc/", 0o755),
            ("etc/passwd", 0o644),
            ("etc/ssl/", 0o755),
            ("etc/ssl/certs/", 0o755),
            ("etc/ssl/certs/ca-certificates.crt", 0o644),
            ("tmp/", 0o1777),
        ];
        assert_eq!(held(&one.layers[0]), expected.map(|(path, mode)| (path.to_owned(), mode)));
    }

    #[test]
    fn base64_is_that_of_the_rfc() {
        let pairs =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")];
        for (plain, encoded) in pairs {
            assert_eq!(base64(plain.as_bytes()), encoded);
        }
    }

    #[test]
    fn unknown_platforms_are_a_usage_error() {
        let error = Platform::named("linux/s390x").unwrap_err();
        assert_eq!(Exit::of(&error), Exit::Usage);
        assert_eq!(Platform::named(" linux/arm64").unwrap().architecture, "arm64");
    }
}
