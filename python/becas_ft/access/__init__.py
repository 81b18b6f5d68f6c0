"""Who may call: certificates and tokens in one folder, and the role that each RPC takes."""
