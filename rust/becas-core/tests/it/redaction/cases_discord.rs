//! Discord's markup, links, tokens and ids.

use super::check;

/// Markup and bare ids; numbers are made up, tokens are the samples of Discord's documentation and of scanners.
pub(super) const CASES: &[(&str, &str)] = &[
    ("hi <@80351110224678912>", "hi [USER]"),
    ("hi <@!80351110224678912>!", "hi [USER]!"),
    ("<@&165511591545143296> assemble", "[ROLE] assemble"),
    ("see <#103735883630395392>", "see [CHANNEL]"),
    ("<@80351110224678912><@80351110224678913>", "[USER][USER]"),
    ("<@1>", "[USER]"),
    ("nice <:mmLol:216154654256398347>", "nice [EMOJI:mmLol]"),
    ("nice <a:b1nzy:392938283556143104>", "nice [EMOJI:b1nzy]"),
    ("<:u08712460324:392938283556143104>", "[EMOJI]"),
    ("at <t:1618953630>", "at [TIMESTAMP]"),
    ("at <t:1618953630:R>.", "at [TIMESTAMP]."),
    ("before <t:-13649260800:d>", "before [TIMESTAMP]"),
    ("</airhorn:816437322781949972>", "</airhorn:[SNOWFLAKE]>"),
    ("＜@80351110224678912＞", "[USER]"),
    ("<@8035\u{200b}1110224678912>", "[USER]"),
    ("join discord.gg/0vCdhLbwjZZTWZLD", "join [INVITE]"),
    ("join https://discord.gg/fortnite!", "join [INVITE]!"),
    ("HTTPS://DISCORD.GG/Fortnite", "[INVITE]"),
    ("https://discord.com/invite/discord-developers", "[INVITE]"),
    ("http://discordapp.com/invite/abc123?event=80351110224678912", "[INVITE]"),
    ("www.discord.gg/abc", "[INVITE]"),
    ("(https://discord.gg/abc)", "([INVITE])"),
    ("discord[.]gg/abc12", "[INVITE]"),
    ("discord (dot) gg/abc12", "[INVITE]"),
    (
        "https://discord.com/channels/290926798626357999/376561028123230208/998942623789178880",
        "[MESSAGE_LINK]",
    ),
    ("https://ptb.discord.com/channels/@me/376561028123230208", "[MESSAGE_LINK]"),
    (
        "<https://canary.discord.com/channels/290926798626357999/376561028123230208>",
        "<[MESSAGE_LINK]>",
    ),
    (
        "https://cdn.discordapp.com/attachments/1012345678900020080/1234567891233211234/my_image.png?ex=65d903de&is=65c68ede&hm=2481f30d",
        "[CDN_LINK]",
    ),
    ("https://media.discordapp.net/attachments/1/2/cat.png", "[CDN_LINK]"),
    ("https://images-ext-1.discordapp.net/external/x/https/example.com/a.png", "[CDN_LINK]"),
    (
        "https://discord.com/api/webhooks/223704706495545344/3d89bb7572e0fb30d8128367b3b1b44fecd1726de135cbe28a41f8b2f777c372ba2939e72279b94526ff5d1bd4358d65cf11",
        "[WEBHOOK]",
    ),
    (
        "https://canary.discordapp.com/api/v10/webhooks/223704706495545344/tok_EN-abc?wait=true",
        "[WEBHOOK]",
    ),
    ("https://dlscord.gg/nitro-free", "https://dlscord.gg/nitro-free"),
    ("https://discord.com/nitro", "https://discord.com/nitro"),
    ("https://mydiscord.com/invite", "https://mydiscord.com/invite"),
    ("https://discord.gift/aBcD3FgH1JkLmN0p", "https://discord.gift/[URL_TOKEN]"),
    ("token MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs", "token [BOT_TOKEN]"),
    ("Bot Nzk5MjgxNDk0NDc2NDU1OTg3.YABS5g.2lmzECVlZv3vv6miVnUaKPQi2wI;", "Bot [BOT_TOKEN];"),
    ("`MZ1yGvKTjE0rY0cV8i47CjAa.uRHQPq.Xb1Mk2nEhe-4iUcrGOuegj57zMC`", "`[BOT_TOKEN]`"),
    (
        "DISCORD_TOKEN=MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs",
        "DISCORD_TOKEN=[BOT_TOKEN]",
    ),
    ("mfa.VkO_2G4Qv3T--NO--lWetW_tjND--TOKEN--QFTm6YGtzq9PH--4U--tG0", "[BOT_TOKEN]"),
    ("user 80351110224678912 left", "user [SNOWFLAKE] left"),
    ("id:175928847299117063,", "id:[SNOWFLAKE],"),
    ("x175928847299117063y", "x[SNOWFLAKE]y"),
    ("175928847299117063175928847299117063", "[ID]"),
    ("99999999999999999999", "[ID]"),
    ("01234567890123456789", "[ID]"),
    ("175 928 847 299 117 063", "[ID]"),
    ("1759-2884-7299-1170-63", "[ID]"),
    ("175,928,847,299,117,063", "[ID]"),
    ("１７５９２８８４７２９９１１７０６３", "[SNOWFLAKE]"),
    ("175928\u{200b}847299\u{200d}117063", "[SNOWFLAKE]"),
    ("1\u{fe0f}\u{20e3}75928847299117063", "[SNOWFLAKE]"),
    ("١٧٥٩٢٨٨٤٧٢٩٩١١٧٠٦٣", "[SNOWFLAKE]"),
    ("||175928847299117063||", "||[SNOWFLAKE]||"),
    ("https://top.gg/user/175928847299117063", "https://top.gg/user/[URL_TOKEN]"),
];

#[test]
fn discord_data_is_replaced() {
    check(CASES);
}
