"""What `becas-ft demo` plays: real messages through the whole product."""
