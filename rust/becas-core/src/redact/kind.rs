//! The closed set of what is redacted, and the placeholder of each.

macro_rules! personal_data {
    ($($(#[$doc:meta])* $variant:ident => $name:literal,)*) => {
        /// What a span holds. The name is the span's `type`; the placeholder is the name in brackets.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum PersonalData {
            $($(#[$doc])* $variant,)*
        }

        impl PersonalData {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Upper-case name: `EMAIL`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What stands in the text instead: `[EMAIL]`.
            pub const fn placeholder(self) -> &'static str {
                match self { $(Self::$variant => concat!("[", $name, "]"),)* }
            }
        }
    };
}

personal_data! {
    /// A user: a mention, or an id of the event.
    User => "USER",
    /// A guild's id.
    Guild => "GUILD",
    /// A channel: a mention, or an id of the event.
    Channel => "CHANNEL",
    /// A role mention.
    Role => "ROLE",
    /// A message's id.
    Message => "MESSAGE",
    /// The id of an event or a request.
    Event => "EVENT",
    /// A Discord id whose owner is not known.
    Snowflake => "SNOWFLAKE",
    /// A long number that could be an id but is no snowflake of our time.
    Id => "ID",
    /// A custom emoji; its name stays where it is an ordinary one: `[EMOJI:pepe]`.
    CustomEmoji => "EMOJI",
    /// A Discord timestamp.
    Timestamp => "TIMESTAMP",
    /// A Discord invite link.
    Invite => "INVITE",
    /// A Discord webhook's address.
    Webhook => "WEBHOOK",
    /// A Discord token of a bot or a user.
    BotToken => "BOT_TOKEN",
    /// A link to a Discord message or channel.
    MessageLink => "MESSAGE_LINK",
    /// A link to a file on Discord's CDN.
    CdnLink => "CDN_LINK",
    /// User name and password in a URL.
    UrlCredentials => "URL_CREDENTIALS",
    /// The value of a URL's query or fragment parameter.
    UrlQuery => "URL_QUERY",
    /// A path part of a URL that is no plain word.
    UrlToken => "URL_TOKEN",
    /// An e-mail address.
    Email => "EMAIL",
    /// A telephone number.
    Phone => "PHONE",
    /// A payment card's number.
    CreditCard => "CREDIT_CARD",
    /// An international bank account number.
    Iban => "IBAN",
    /// An IPv4 or IPv6 address.
    IpAddress => "IP_ADDRESS",
    /// A hardware address.
    MacAddress => "MAC_ADDRESS",
    /// A US social security number.
    UsSsn => "US_SSN",
    /// A key, token or password of some service.
    ApiKey => "API_KEY",
    /// An address or key of a cryptocurrency.
    CryptoWallet => "CRYPTO_WALLET",
}

impl PersonalData {
    /// The kind of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}
