//! The file that holds the key of all pseudonyms, outside the environment and out of its backups.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

use crate::{
    error::{Error, Result},
    pseudonym::Key,
};

/// Reads the key, or makes one where there is neither a key nor a store.
///
/// The file is 64 hexadecimal digits and a line feed, mode 600.
pub fn load_or_create_key(path: &Path, store_exists: bool) -> Result<Key> {
    let refuse = |problem: String| Error::Key { path: path.display().to_string(), problem };
    match File::open(path) {
        Ok(file) => read(&file).map_err(refuse),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if store_exists {
                return Err(refuse(
                    "missing, but the store has pseudonyms made with it: put the key file back from its own backup"
                        .to_owned(),
                ));
            }
            create(path).map_err(|error| refuse(error.to_string()))
        }
        Err(error) => Err(refuse(error.to_string())),
    }
}

fn read(file: &File) -> std::result::Result<Key, String> {
    let mode = file.metadata().map_err(|error| error.to_string())?.permissions().mode() & 0o777;
    if mode != 0o600 {
        return Err(format!("its mode is {mode:o}: run chmod 600 on it"));
    }
    let mut text = String::new();
    // One byte more than a key, so that a longer file is seen as such and a huge one is not read.
    file.take(66).read_to_string(&mut text).map_err(|error| error.to_string())?;
    parse(&text).ok_or_else(|| {
        "it does not hold 64 hexadecimal digits: put the key file back from its own backup"
            .to_owned()
    })
}

fn parse(text: &str) -> Option<Key> {
    let digits = text.strip_suffix('\n').unwrap_or(text).as_bytes();
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    let bytes: Vec<u8> = pairs
        .iter()
        .map(|[high, low]| {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()
        })
        .collect::<Option<_>>()?;
    Some(Key::new(bytes.try_into().ok()?))
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
    let digits = bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]);
    digits.chain(['\n']).collect()
}

fn create(path: &Path) -> std::io::Result<Key> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let digits = hexadecimal(&bytes);

    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    super::directory::create(directory, 0o777)?;
    // Written under another name and then linked: the key's own name never shows half a key, and linking, unlike
    // renaming, fails where another process was first.
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}", std::process::id()));
    let draft = Path::new(&draft);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(draft)
        .and_then(|mut file| {
            file.write_all(digits.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| fs::hard_link(draft, path));
    let removed = fs::remove_file(draft);
    written?;
    removed?;
    super::directory::sync(directory)?;
    Ok(Key::new(bytes))
}
