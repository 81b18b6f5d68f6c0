"""The dashboard: static pages, and the service's own gRPC methods as JSON for them."""
