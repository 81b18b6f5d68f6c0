//! Passing over bytes that need no care, many at once.

/// Bytes looked at together: the compiler makes a few vector instructions of them.
const BLOCK: usize = 32;

/// Where the first byte is that a test holds for; a test of comparisons joined by `|` alone is done on a whole block.
pub(super) fn position(bytes: &[u8], test: impl Fn(u8) -> bool) -> Option<usize> {
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    for (number, block) in blocks.iter().enumerate() {
        // No early end, which would have to look at one byte after the other.
        if block.iter().fold(0, |any, byte| any | u8::from(test(*byte))) != 0 {
            let start = number * BLOCK;
            return block.iter().position(|byte| test(*byte)).map(|at| start + at);
        }
    }
    let start = bytes.len() - rest.len();
    rest.iter().position(|byte| test(*byte)).map(|at| start + at)
}

#[cfg(test)]
mod tests {
    use super::position;

    #[test]
    fn the_first_byte_is_found_wherever_it_stands() {
        for length in 0..100 {
            for at in 0..length {
                let mut bytes = vec![b'.'; length];
                bytes[at] = b'#';
                bytes[length - 1] = b'#';
                assert_eq!(Some(at), position(&bytes, |byte| byte == b'#'));
            }
            assert_eq!(None, position(&vec![b'.'; length], |byte| byte == b'#'));
        }
    }
}
