#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| becas_fuzz::json(data));
