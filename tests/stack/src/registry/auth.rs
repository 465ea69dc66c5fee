//! Who is asking: e-mail addresses with API keys, compared by bcrypt once per key and process (07 E.30), and passwords
//! for the pages in the same way. What a user may do is decided by those who serve it.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use super::store::{Result, Store, User};

/// bcrypt is slow on purpose, and the workers send their key with each of thousands of requests.
static KNOWN: LazyLock<Mutex<HashSet<[u8; 32]>>> = LazyLock::new(Mutex::default);

/// Held while comparing, so that many who come at once with the same key have it compared once, and wrong keys cost no
/// more than one processor.
static COMPARING: Mutex<()> = Mutex::new(());

/// More keys than any test has users; then it starts over.
const MOST_KNOWN: usize = 4096;

/// The user with this address and API key. Whether the user was deactivated is not asked, as on the real server.
/// Blocks, for long when the key is seen for the first time.
pub fn by_api_key(store: &Store, email: &str, key: &str) -> Result<Option<User>> {
    if email.is_empty() || key.is_empty() {
        return Ok(None);
    }
    Ok(store.user_by_email(email)?.filter(|user| matches(key, &user.encrypted_api_secret_key)))
}

/// The active user with this address and password. Blocks as `by_api_key` does.
pub fn by_password(store: &Store, email: &str, password: &str) -> Result<Option<User>> {
    let user = store.user_by_email(email)?.filter(|user| user.deactivated_at.is_none());
    Ok(user.filter(|user| matches(password, &user.encrypted_password)))
}

fn matches(secret: &str, hash: &str) -> bool {
    if hash.is_empty() {
        return false;
    }
    let mut digest = Sha256::new();
    // A hash has no NUL, so the two cannot be told apart in any other way.
    digest.update(hash.as_bytes());
    digest.update([0]);
    digest.update(secret.as_bytes());
    let fingerprint: [u8; 32] = digest.finalize().into();
    if is_known(&fingerprint) {
        return true;
    }
    let _turn = COMPARING.lock().unwrap_or_else(PoisonError::into_inner);
    if is_known(&fingerprint) {
        return true;
    }
    let right = bcrypt::verify(secret, hash).unwrap_or(false);
    if right {
        let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert(fingerprint);
    }
    right
}

fn is_known(fingerprint: &[u8; 32]) -> bool {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner).contains(fingerprint)
}
