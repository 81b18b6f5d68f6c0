"""Which model answers: registry, gate, promotion, rollback, watch."""
