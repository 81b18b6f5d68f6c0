//! What finds no room before the writer is refused.

use becas_core::{
    config::{self, Config},
    engine::Engine,
    error::Error,
};

use crate::events::NOW;

#[test]
fn without_room_a_request_is_refused_before_any_work() {
    let directory = tempfile::tempdir().unwrap();
    let store = config::Store { queue_bytes: 100, ..config::Store::default() };
    let config = Config { store, ..Config::default() };
    let engine = Engine::open(directory.path(), None, config).unwrap();
    // Whoever looks at it has another error for it.
    let garbage = [0xff; 10];
    let held = engine.store().reserve(95).unwrap();
    let refused = engine.ingest(&garbage, NOW, true, None).unwrap_err();
    assert!(matches!(refused, Error::Overloaded { queued_bytes: 95 }), "{refused}");

    drop(held);
    let looked_at = engine.ingest(&garbage, NOW, true, None).unwrap_err();
    assert!(matches!(looked_at, Error::InvalidArgument { .. }), "{looked_at}");
    assert_eq!(0, engine.store().metrics().queued_bytes);
}
