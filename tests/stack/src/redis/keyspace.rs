//! The databases: keys with their values and times of death, what they weigh, and who watches them.
//!
//! Every change goes through here, so that weight, deaths and watches cannot be forgotten. It knows no commands.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::hash::Hash;
use super::reply::Failure;
use super::table::Table;

/// How many databases there are.
pub(super) const DATABASES: usize = 16;

/// What a key costs beside the bytes of its name and its value.
const KEY_COST: usize = 110;

/// What a time of death costs beside the second copy of the name.
const DEATH_COST: usize = 60;

/// What a key holds.
#[derive(Debug)]
pub(super) enum Value {
    Text(Vec<u8>),
    Hash(Hash),
}

impl Value {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "string",
            Self::Hash(_) => "hash",
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.capacity(),
            Self::Hash(hash) => hash.size(),
        }
    }
}

/// A value and when it dies, in milliseconds since 1970.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) value: Value,
    pub(super) dies: Option<u64>,
}

impl Entry {
    /// The memory that the key takes, about.
    pub(super) fn size(&self, key: &[u8]) -> usize {
        KEY_COST + key.len() + self.value.size() + self.dies.map_or(0, |_| DEATH_COST + key.len())
    }
}

#[derive(Debug, Default)]
pub(super) struct Database {
    pub(super) keys: Table<Entry>,
    deaths: BTreeSet<(u64, Box<[u8]>)>,
    watched: HashMap<Box<[u8]>, Vec<Arc<AtomicBool>>>,
}

impl Database {
    /// How many keys will die.
    pub(super) fn mortal(&self) -> usize {
        self.deaths.len()
    }

    fn touch(&self, key: &[u8]) {
        if !self.watched.is_empty() {
            for watcher in self.watched.get(key).into_iter().flatten() {
                watcher.store(true, Ordering::Relaxed);
            }
        }
    }

    fn schedule(&mut self, key: &[u8], from: Option<u64>, to: Option<u64>) {
        if from == to {
            return;
        }
        if let Some(at) = from {
            self.deaths.remove(&(at, Box::from(key)));
        }
        if let Some(at) = to {
            self.deaths.insert((at, key.into()));
        }
    }
}

/// All databases.
#[derive(Debug)]
pub(super) struct Keyspace {
    databases: Vec<Database>,
    used: usize,
    next_death: u64,
    expired: u64,
}

impl Default for Keyspace {
    fn default() -> Self {
        let databases = std::iter::repeat_with(Database::default).take(DATABASES).collect();
        Self { databases, used: 0, next_death: u64::MAX, expired: 0 }
    }
}

impl Keyspace {
    pub(super) fn database(&self, index: usize) -> &Database {
        &self.databases[index]
    }

    /// The memory in use, about: the sum of [`Entry::size`].
    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// How many keys have died.
    pub(super) fn expired(&self) -> u64 {
        self.expired
    }

    /// Removes what has died. After it, whatever is found lives.
    pub(super) fn expire(&mut self, now: u64) {
        if now < self.next_death {
            return;
        }
        self.next_death = u64::MAX;
        for index in 0..DATABASES {
            while let Some((at, key)) = self.databases[index].deaths.first() {
                if *at > now {
                    self.next_death = self.next_death.min(*at);
                    break;
                }
                let key = key.clone();
                self.remove(index, &key);
                self.expired += 1;
            }
        }
    }

    pub(super) fn get(&self, index: usize, key: &[u8]) -> Option<&Entry> {
        self.databases[index].keys.get(key)
    }

    pub(super) fn text(&self, index: usize, key: &[u8]) -> Result<Option<&[u8]>, Failure> {
        match self.get(index, key).map(|entry| &entry.value) {
            Some(Value::Text(text)) => Ok(Some(text)),
            Some(Value::Hash(_)) => Err(Failure::WRONG_TYPE),
            None => Ok(None),
        }
    }

    pub(super) fn hash(&self, index: usize, key: &[u8]) -> Result<Option<&Hash>, Failure> {
        match self.get(index, key).map(|entry| &entry.value) {
            Some(Value::Hash(hash)) => Ok(Some(hash)),
            Some(Value::Text(_)) => Err(Failure::WRONG_TYPE),
            None => Ok(None),
        }
    }

    /// Puts a value in place of whatever was there.
    pub(super) fn put(&mut self, index: usize, key: &[u8], value: Value, dies: Option<u64>) {
        let database = &mut self.databases[index];
        let mut entry = Entry { value, dies };
        self.used += entry.size(key);
        let before = if let Some(old) = database.keys.get_mut(key) {
            std::mem::swap(old, &mut entry);
            self.used -= entry.size(key);
            entry.dies
        } else {
            database.keys.insert(key, entry);
            None
        };
        database.schedule(key, before, dies);
        database.touch(key);
        self.next_death = self.next_death.min(dies.unwrap_or(u64::MAX));
    }

    /// Changes the text of a key, which begins empty; `change` tells what to answer. An error must leave it as it was.
    pub(super) fn change_text<T>(
        &mut self,
        index: usize,
        key: &[u8],
        change: impl FnOnce(&mut Vec<u8>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let database = &mut self.databases[index];
        let Some(entry) = database.keys.get_mut(key) else {
            let mut text = Vec::new();
            let answer = change(&mut text)?;
            self.put(index, key, Value::Text(text), None);
            return Ok(answer);
        };
        let Value::Text(text) = &mut entry.value else { return Err(Failure::WRONG_TYPE) };
        let before = text.capacity();
        let answer = change(text)?;
        self.used = self.used - before + text.capacity();
        database.touch(key);
        Ok(answer)
    }

    /// Changes a hash, which begins empty and is removed when it ends so; `change` tells whether it did anything, and
    /// what to answer. An error must leave it as it was.
    pub(super) fn change_hash<T>(
        &mut self,
        index: usize,
        key: &[u8],
        change: impl FnOnce(&mut Hash) -> Result<(bool, T), Failure>,
    ) -> Result<T, Failure> {
        let database = &mut self.databases[index];
        let Some(entry) = database.keys.get_mut(key) else {
            let mut hash = Hash::default();
            let (_, answer) = change(&mut hash)?;
            if hash.len() > 0 {
                self.put(index, key, Value::Hash(hash), None);
            }
            return Ok(answer);
        };
        let Value::Hash(hash) = &mut entry.value else { return Err(Failure::WRONG_TYPE) };
        let before = hash.size();
        let (changed, answer) = change(hash)?;
        self.used = self.used - before + hash.size();
        if hash.len() == 0 {
            self.remove(index, key);
        } else if changed {
            database.touch(key);
        }
        Ok(answer)
    }

    pub(super) fn remove(&mut self, index: usize, key: &[u8]) -> Option<Entry> {
        let database = &mut self.databases[index];
        let entry = database.keys.remove(key)?;
        self.used -= entry.size(key);
        database.schedule(key, entry.dies, None);
        database.touch(key);
        Some(entry)
    }

    /// Sets or removes the time of death of a key that is there.
    pub(super) fn set_death(&mut self, index: usize, key: &[u8], dies: Option<u64>) {
        let database = &mut self.databases[index];
        let Some(entry) = database.keys.get_mut(key) else { return };
        self.used -= entry.size(key);
        let before = std::mem::replace(&mut entry.dies, dies);
        self.used += entry.size(key);
        database.schedule(key, before, dies);
        database.touch(key);
        self.next_death = self.next_death.min(dies.unwrap_or(u64::MAX));
    }

    pub(super) fn clear(&mut self, index: usize) {
        let database = &mut self.databases[index];
        self.used -= database.keys.iter().map(|(key, entry)| entry.size(key)).sum::<usize>();
        for key in database.watched.keys().filter(|key| database.keys.get(key).is_some()) {
            database.touch(key);
        }
        database.keys = Table::default();
        database.deaths.clear();
    }

    pub(super) fn swap(&mut self, one: usize, other: usize) {
        let Ok([a, b]) = self.databases.get_disjoint_mut([one, other]) else { return };
        for (at, beside) in [(&*a, &*b), (&*b, &*a)] {
            for key in at.watched.keys() {
                if at.keys.get(key).is_some() || beside.keys.get(key).is_some() {
                    at.touch(key);
                }
            }
        }
        std::mem::swap(&mut a.keys, &mut b.keys);
        std::mem::swap(&mut a.deaths, &mut b.deaths);
    }

    /// From now on any change of the key raises the flag.
    pub(super) fn watch(&mut self, index: usize, key: &[u8], flag: &Arc<AtomicBool>) {
        self.databases[index].watched.entry(key.into()).or_default().push(Arc::clone(flag));
    }

    pub(super) fn unwatch(&mut self, index: usize, key: &[u8], flag: &Arc<AtomicBool>) {
        let watched = &mut self.databases[index].watched;
        if let Some(watchers) = watched.get_mut(key) {
            watchers.retain(|watcher| !Arc::ptr_eq(watcher, flag));
            if watchers.is_empty() {
                watched.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn weight_and_deaths_agree_with_the_keys(
            steps in prop::collection::vec((0..7_u8, 0..6_u8, 0..2_usize, prop::option::of(1..60_u64)), 0..120),
        ) {
            let mut keyspace = Keyspace::default();
            for (now, (step, key, index, dies)) in (0..).zip(steps) {
                let key = [key];
                match step {
                    0 => keyspace.put(index, &key, Value::Text(vec![0; usize::from(key[0]) * 9]), dies),
                    1 => {
                        let _ = keyspace.change_hash(index, &key, |hash| Ok((hash.set(&[0; 70], &key), ())));
                    }
                    2 => {
                        let _ = keyspace.change_hash(index, &key, |hash| Ok((hash.remove(&[0; 70]), ())));
                    }
                    3 => keyspace.set_death(index, &key, dies),
                    4 => drop(keyspace.remove(index, &key)),
                    5 => keyspace.swap(0, 1),
                    _ => {
                        let _ = keyspace.change_text(index, &key, |text| {
                            text.extend([1; 30]);
                            Ok(())
                        });
                    }
                }
                keyspace.expire(now);
                let (mut used, mut mortal) = (0, 0);
                for database in &keyspace.databases {
                    for (key, entry) in database.keys.iter() {
                        used += entry.size(key);
                        if let Some(dies) = entry.dies {
                            mortal += 1;
                            prop_assert!(dies > now);
                            prop_assert!(database.deaths.contains(&(dies, key.into())));
                        }
                    }
                }
                prop_assert_eq!(keyspace.used(), used);
                prop_assert_eq!(keyspace.databases.iter().map(Database::mortal).sum::<usize>(), mortal);
            }
            keyspace.clear(0);
            keyspace.clear(1);
            prop_assert_eq!(keyspace.used(), 0);
        }
    }
}
