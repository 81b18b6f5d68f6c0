//! Bytes on disk, laid out by hand: where these tests change, stores that exist can no longer be read.

use super::{Event, NOW, event, id};
use crate::{
    category::Category,
    example::{Example, Verdict},
    pseudonym::IdKind,
    store::{ExampleId, codec, schema},
};

/// CRC-32 as in IEEE 802.3, a bit at a time: polynomial 0xEDB88320 reflected.
fn crc32(bytes: impl Iterator<Item = u8>) -> u32 {
    !bytes.fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 }
        })
    })
}

fn example(event: &Event) -> Example {
    match event.prepared().verdict {
        Verdict::Example(example) => *example,
        Verdict::Rejected(_) => unreachable!(),
    }
}

/// The record of the layout in `codec.rs`: flags by bit, texts `true`, `Ж`, `{"label":"true"}`.
fn by_hand(flags: u8, digest: [u8; 16]) -> Vec<u8> {
    let mut bytes = vec![1, flags, 17, 2, 4, 1];
    bytes.extend(9_200_u16.to_le_bytes());
    bytes.extend([0; 4]);
    for length in [1_u32, 4, 2, 16, 0] {
        bytes.extend(length.to_le_bytes());
    }
    bytes.extend(NOW.to_le_bytes());
    bytes.extend(id(IdKind::Event, "golden").0);
    bytes.extend(digest);
    bytes.extend(id(IdKind::User, "user").0);
    bytes.extend(id(IdKind::Guild, "guild").0);
    bytes.extend(id(IdKind::User, "user").0);
    bytes.extend("trueЖ{\"label\":\"true\"}".as_bytes());
    let crc = crc32(bytes[..8].iter().chain(&bytes[12..]).copied());
    bytes[8..12].copy_from_slice(&crc.to_le_bytes());
    bytes
}

#[test]
fn a_record_is_the_bytes_of_its_layout() {
    let golden = Event { input: "Ж".to_owned(), ..event("golden") };
    let example = example(&golden);
    let mut record = Vec::new();
    codec::encode(&example, &mut record).unwrap();
    // Bits 4 and 5: it has a user and a guild.
    assert_eq!(by_hand(0b011_0000, example.digest), record);

    let mut superseded = record.clone();
    codec::supersede(&mut superseded, false);
    assert_eq!(by_hand(0b011_0100, example.digest), superseded);
    codec::supersede(&mut superseded, true);
    assert_eq!(by_hand(0b111_0100, example.digest), superseded);

    let all = Example {
        human_validated: true,
        rag_enhanced: true,
        corrected_twin: true,
        user: None,
        guild: None,
        ..example.clone()
    };
    record.clear();
    codec::encode(&all, &mut record).unwrap();
    assert_eq!(0b000_1011, record[1]);
    assert_eq!([0; 32], record[72..104]);
    let place = ExampleId { category: Category::ScamDetection, sequence: 1 };
    assert_eq!(all, codec::decode(place, &record).unwrap().to_example());
}

#[test]
fn every_flipped_bit_and_every_cut_of_a_record_is_found() {
    let golden = Event { input: "Ж".to_owned(), ..event("golden") };
    let mut record = Vec::new();
    codec::encode(&example(&golden), &mut record).unwrap();
    let place = ExampleId { category: Category::ScamDetection, sequence: 7 };
    codec::decode(place, &record).unwrap();
    for bit in 0..record.len() * 8 {
        let mut flipped = record.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let error = codec::decode(place, &flipped).unwrap_err().to_string();
        assert!(error.contains("scam_detection-7 is damaged"), "bit {bit}: {error}");
    }
    for length in 0..record.len() {
        codec::decode(place, &record[..length]).unwrap_err();
    }
    // A record under another category's key is not that category's example.
    codec::decode(ExampleId { category: Category::ToolSelection, ..place }, &record).unwrap_err();
}

#[test]
fn keys_order_as_what_they_name() {
    let keys = [
        (Category::ViolationDetection, 256),
        (Category::ScamDetection, 1),
        (Category::ScamDetection, 255),
        (Category::ScamDetection, 256),
        (Category::RagContextEnhancement, u64::MAX),
    ]
    .map(|(category, sequence)| ExampleId { category, sequence }.key());
    assert!(keys.is_sorted());
    assert_eq!([2, 0, 0, 0, 0, 0, 0, 1, 0], keys[3]);
    assert_eq!(
        Some(ExampleId { category: Category::ScamDetection, sequence: 256 }),
        ExampleId::from_key(&keys[3])
    );
    assert_eq!(None, ExampleId::from_key(&[2, 0]));
    assert_eq!(None, ExampleId::from_key(&[99, 0, 0, 0, 0, 0, 0, 0, 1]));
    let names: Vec<_> = schema::Name::ALL.iter().map(|name| name.as_str()).collect();
    let expected =
        ["examples", "remembered", "meta", "pending", "outbox", "labelling", "consent", "datasets"];
    assert_eq!(expected, names[..]);
    assert_eq!(1, schema::VERSION);
}

#[test]
fn an_example_id_has_one_spelling() {
    let id: ExampleId = "scam_detection-42".parse().unwrap();
    assert_eq!(ExampleId { category: Category::ScamDetection, sequence: 42 }, id);
    assert_eq!("scam_detection-42", id.to_string());
    for wrong in [
        "",
        "-",
        "42",
        "scam_detection",
        "scam_detection-",
        "scam-1",
        "scam_detection-+1",
        "scam_detection-01",
        "scam_detection--1",
        "Scam_Detection-1",
        "scam_detection-1 ",
        "scam_detection-18446744073709551616",
    ] {
        wrong.parse::<ExampleId>().unwrap_err();
    }
}
