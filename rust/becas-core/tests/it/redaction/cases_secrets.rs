//! Keys, passwords, wallets and the telling parts of URLs.

use super::check;

/// Samples of documentation, or made up; prefixes stand apart so that scanners of this repository stay quiet.
pub(super) const CASES: &[(&str, &str)] = &[
    // Keys by their prefix.
    (concat!("AKIA", "IOSFODNN7EXAMPLE"), "[API_KEY]"),
    (concat!("key=", "ASIA", "IOSFODNN7EXAMPLE;"), "key=[API_KEY];"),
    (concat!("ghp", "_0123456789abcdefghijABCDEFGHIJ012345"), "[API_KEY]"),
    (concat!("github", "_pat_11ABCDEFG0123456789_abcdefghijklmnopqrstuvwxyz"), "[API_KEY]"),
    (concat!("glpat", "-0123456789abcdefABCD"), "[API_KEY]"),
    (concat!("xoxb", "-123456789012-1234567890123-abcdefABCDEF"), "[API_KEY]"),
    (concat!("sk_", "test_4eC39HqLyjWDarjtT1zdp7dc"), "[API_KEY]"),
    (concat!("sk_", "live_4eC39HqLyjWDarjtT1zdp7dc"), "[API_KEY]"),
    (concat!("sk", "-proj-abc123DEF456ghi789JKL012"), "[API_KEY]"),
    (concat!("sk", "-ant-api03-abc123DEF456ghi789JKL012"), "[API_KEY]"),
    (concat!("AIza", "SyA0123456789abcdefghijklmnopqrstuv"), "[API_KEY]"),
    (concat!("hf", "_abcdefghij0123456789ABCDEFGHIJklmn"), "[API_KEY]"),
    (concat!("npm", "_abcdefghij0123456789ABCDEFGHIJklmnop"), "[API_KEY]"),
    (
        concat!("SG", ".abcdefghijklmnop012345.ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdefg"),
        "[API_KEY]",
    ),
    (
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
        "[API_KEY]",
    ),
    ("||eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc123||", "||[API_KEY]||"),
    (
        "-----BEGIN RSA PRIVATE KEY-----\nMIIBOgIBAAJBAKj34GkxFhD9\n-----END RSA PRIVATE KEY-----\nbye",
        "[API_KEY]\nbye",
    ),
    ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA", "[API_KEY]"),
    // The service's own access tokens.
    (concat!("becas", "_ft_Zk3vQ8mT1xYp0LrWc7HnJ5bGsD2fA9eKuI6oVqXwE4M"), "[API_KEY]"),
    (
        concat!("Bearer becas", "_ft_-k3vQ8mT1xYp_LrWc7HnJ5bGsD2fA9eKuI6oVqXwE4_,"),
        "Bearer [API_KEY],",
    ),
    (
        concat!("token=`becas", "_ft_Zk3vQ8mT1xYp0LrWc7HnJ5bGsD2fA9eKuI6oVqXwE4M`"),
        "token=`[API_KEY]`",
    ),
    (concat!("becas", "_ft_Zk3vQ8mT1xYp0LrWc7HnJ5bGsD2fA9eK"), "[API_KEY]"),
    (
        concat!("becas", "_\u{200b}ft_Zk3vQ8mT1xYp0LrWc7H\u{2060}nJ5bGsD2fA9eKuI6oVqXwE4M"),
        "[API_KEY]",
    ),
    // After words.
    ("Authorization: Bearer abcDEF0123456789ghiJKL", "Authorization: Bearer [API_KEY]"),
    ("curl -H 'bearer abcDEF0123456789ghiJKL'", "curl -H 'bearer [API_KEY]'"),
    ("api_key = \"abcDEF0123456789ghiJKL\"", "api_key = \"[API_KEY]\""),
    (
        "aws_secret_access_key=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "aws_secret_access_key=[API_KEY]",
    ),
    ("\"client_secret\": \"0123abcd4567efgh89ij\"", "\"client_secret\": \"[API_KEY]\""),
    ("password: hunter2", "password: [API_KEY]"),
    ("PASSWORD=Tr0ub4dor&3", "PASSWORD=[API_KEY]"),
    ("my pwd: s3cr3t!", "my pwd: [API_KEY]!"),
    // Wallets: the genesis block, the vectors of BIP 173, BIP 350, EIP-55, and Solana's token program.
    ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "[CRYPTO_WALLET]"),
    ("send to 3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy!", "send to [CRYPTO_WALLET]!"),
    ("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "[CRYPTO_WALLET]"),
    ("BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", "[CRYPTO_WALLET]"),
    ("tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7", "[CRYPTO_WALLET]"),
    ("bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0", "[CRYPTO_WALLET]"),
    ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "[CRYPTO_WALLET]"),
    ("eth:0xfb6916095ca1df60bb79ce92ce3ea74c37c5d359.", "eth:[CRYPTO_WALLET]."),
    ("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA", "[CRYPTO_WALLET]"),
    ("5Kb8kLf9zgWQnogidDA76MzPL6TsZZY36hWXMssSzNydYXYB9KF", "[CRYPTO_WALLET]"),
    ("1A1zP1eP5QGefi2DMP\u{200b}TfTL5SLmv7DivfNa", "[CRYPTO_WALLET]"),
    // URLs.
    ("https://jo:pass@example.com/", "https://[URL_CREDENTIALS]@example.com/"),
    ("ftp://jo@example.com/pub", "ftp://[URL_CREDENTIALS]@example.com/pub"),
    ("https://example.com/?q=jo+doe&page=2", "https://example.com/?q=[URL_QUERY]&page=[URL_QUERY]"),
    ("https://example.com/search?jo", "https://example.com/search?[URL_QUERY]"),
    (
        "https://example.com/a#access_token=abc&x=1",
        "https://example.com/a#access_token=[URL_QUERY]&x=[URL_QUERY]",
    ),
    ("https://example.com/watch/dQw4w9WgXcQ.", "https://example.com/watch/[URL_TOKEN]."),
    (
        "https://example.com/u/550e8400-e29b-41d4-a716-446655440000/edit",
        "https://example.com/u/[URL_TOKEN]/edit",
    ),
    ("https://example.com/@jodoe", "https://example.com/@[URL_TOKEN]"),
    ("https://example.com/x;jsessionid=abc/y", "https://example.com/x;jsessionid=[URL_QUERY]/y"),
    ("https://example.com/jo@example.org/z", "https://example.com/[URL_TOKEN]/z"),
    ("https://example.com/u/jo%40example.org", "https://example.com/u/[URL_TOKEN]"),
    ("bit.ly/3xYzAbC", "bit.ly/[URL_TOKEN]"),
    ("example.com/login?user=jo", "example.com/login?user=[URL_QUERY]"),
    ("example.com?user=jo", "example.com?user=[URL_QUERY]"),
    ("[click](https://example.com/?id=7)", "[click](https://example.com/?id=[URL_QUERY])"),
    ("<https://example.com/?id=7>", "<https://example.com/?id=[URL_QUERY]>"),
    ("hxxps://example[.]com/?id=7", "hxxps://example[.]com/?id=[URL_QUERY]"),
    ("https://example.com/?to=[EMAIL]&id=7", "https://example.com/?to=[EMAIL]&id=[URL_QUERY]"),
    ("https://example.com/order/12345678", "https://example.com/order/[URL_TOKEN]"),
    ("steam://connect/203.0.113.7:27015", "steam://connect/[IP_ADDRESS]:27015"),
    // Two at once.
    ("jo@example.com 020 7946 0018", "[EMAIL] [PHONE]"),
    ("<@80351110224678912>: +447700900123, 203.0.113.7", "[USER]: [PHONE], [IP_ADDRESS]"),
    ("password: jo@example.com1", "password: [API_KEY]"),
];

#[test]
fn secrets_are_replaced() {
    check(CASES);
}
