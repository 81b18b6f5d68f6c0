"""The gRPC server: services, what surrounds their calls, and the one place that wires them."""
