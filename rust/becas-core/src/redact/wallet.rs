//! Addresses and keys of cryptocurrencies: Bitcoin and its kin by their checksums, Ethereum, Solana.

use sha2::{Digest, Sha256};

use super::{
    kind::PersonalData,
    scan::{Found, Scan},
};

const BASE58: &[u8; 58] = b"123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const BASE58_VALUES: [Option<u8>; 256] = {
    let mut values = [None; 256];
    let mut value: u8 = 0;
    while (value as usize) < BASE58.len() {
        values[BASE58[value as usize] as usize] = Some(value);
        value += 1;
    }
    values
};
/// Base58 of 20 bytes of hash, a version and a checksum; up to that of a private key.
const BASE58_LENGTHS: std::ops::RangeInclusive<usize> = 26..=52;
/// BIP 173: the human-readable parts of Bitcoin's main and test networks and Litecoin.
const BECH32_PARTS: [&[u8]; 4] = [b"bc", b"tb", b"bcrt", b"ltc"];
const BECH32: &[u8; 32] = b"qpzry9x8gf2tvdw0s3jn54khce6mua7l";

pub(super) fn find(scan: &Scan<'_>, found: &mut Vec<Found>) {
    for word in &scan.tokens.words {
        let mut at = word.start;
        while at < word.end {
            let end = scan.run(at, |byte| byte.is_ascii_alphanumeric()).min(word.end);
            if is_wallet(&scan.bytes[at..end]) {
                found.push(Found::new(at, end, PersonalData::CryptoWallet));
            }
            at = end + 1;
        }
    }
}

fn is_wallet(word: &[u8]) -> bool {
    is_hexadecimal(word) || is_bech32(word) || is_base58(word)
}

/// An Ethereum address (20 bytes), or a key or transaction (32 bytes).
fn is_hexadecimal(word: &[u8]) -> bool {
    matches!(word.len(), 42 | 66)
        && word[..2].eq_ignore_ascii_case(b"0x")
        && word[2..].iter().all(u8::is_ascii_hexdigit)
}

/// BIP 173 and BIP 350: both constants are right.
fn is_bech32(word: &[u8]) -> bool {
    if !(14..=90).contains(&word.len()) {
        return false;
    }
    let Some(part) = BECH32_PARTS
        .iter()
        .find(|part| word[..part.len()].eq_ignore_ascii_case(part) && word[part.len()] == b'1')
    else {
        return false;
    };
    if word.iter().any(u8::is_ascii_uppercase) && word.iter().any(u8::is_ascii_lowercase) {
        return false;
    }
    let mut checksum = 1;
    for byte in *part {
        checksum = polymod(checksum, byte >> 5);
    }
    checksum = polymod(checksum, 0);
    for byte in *part {
        checksum = polymod(checksum, byte & 31);
    }
    for byte in &word[part.len() + 1..] {
        let Some(value) =
            BECH32.iter().zip(0..).find(|(sign, _)| **sign == byte.to_ascii_lowercase())
        else {
            return false;
        };
        checksum = polymod(checksum, value.1);
    }
    matches!(checksum, 1 | 0x2bc8_30a3)
}

fn polymod(checksum: u32, value: u8) -> u32 {
    const GENERATOR: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let top = checksum >> 25;
    let shifted = (checksum & 0x01ff_ffff) << 5 ^ u32::from(value);
    GENERATOR
        .iter()
        .enumerate()
        .filter(|(bit, _)| top >> bit & 1 == 1)
        .fold(shifted, |sum, (_, term)| sum ^ term)
}

/// A Base58Check address or key (25, 37 or 38 bytes), or a Solana address (32 bytes, which has no checksum).
fn is_base58(word: &[u8]) -> bool {
    let lower = word.iter().any(u8::is_ascii_lowercase);
    let upper = word.iter().any(u8::is_ascii_uppercase);
    if !BASE58_LENGTHS.contains(&word.len()) || !lower || !upper {
        return false;
    }
    let mut buffer = [0; 40];
    let Some(bytes) = decode_base58(word, &mut buffer) else { return false };
    match bytes.len() {
        25 | 37 | 38 => has_valid_checksum(bytes),
        32 => true,
        _ => false,
    }
}

/// The bytes that a word of Base58 stands for, with a leading zero for each leading `1`.
fn decode_base58<'b>(word: &[u8], buffer: &'b mut [u8; 40]) -> Option<&'b [u8]> {
    // Ten limbs of 32 bits, the lowest first; five digits a step, since 58^5 fits in one limb.
    let mut limbs = [0_u32; 10];
    for digits in word.chunks(5) {
        let (mut factor, mut carry) = (1, 0);
        for digit in digits {
            let value = BASE58_VALUES[usize::from(*digit)]?;
            factor *= 58;
            carry = carry * 58 + u64::from(value);
        }
        for limb in &mut limbs {
            carry += u64::from(*limb) * factor;
            *limb = u32::try_from(carry & u64::from(u32::MAX)).ok()?;
            carry >>= 32;
        }
        if carry > 0 {
            return None;
        }
    }
    for (bytes, limb) in buffer.rchunks_exact_mut(4).zip(limbs) {
        bytes.copy_from_slice(&limb.to_be_bytes());
    }
    let first = buffer.iter().position(|byte| *byte > 0)?;
    let zeros = word.iter().take_while(|byte| **byte == b'1').count();
    first.checked_sub(zeros).map(|first| &buffer[first..])
}

fn has_valid_checksum(bytes: &[u8]) -> bool {
    let (payload, checksum) = bytes.split_at(bytes.len() - 4);
    Sha256::digest(Sha256::digest(payload))[..4] == *checksum
}
