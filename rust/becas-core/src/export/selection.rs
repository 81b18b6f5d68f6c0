//! A checked request: which examples match, and how they are chosen.

use prost_types::Timestamp;

use crate::{
    category::{Category, Outcome, Target},
    error::{Error, Result},
    proto::{BalanceBy, ExportRequest, Format, ModelTarget},
    pseudonym::{IdKind, Key, Pseudonym},
    score::Tier,
    store::Header,
};

/// Groups under this size are left out unless the request says otherwise.
const DEFAULT_MIN_GROUP: usize = 20;
/// Longest name of a dataset, in bytes.
const NAME_LIMIT: usize = 64;
/// So many digits in a row may be somebody's id, which no manifest may show.
const ID_DIGITS: usize = 17;

/// An export request whose fields were all checked, with its defaults filled in.
#[derive(Clone, Debug)]
pub struct Selection {
    /// In the order of the proto.
    pub(super) categories: Vec<Category>,
    /// `None`: nothing is balanced.
    pub(super) balance: Option<Grouping>,
    /// `None`: no limit.
    pub(super) max_examples: Option<usize>,
    /// Largest share of one user, above 0; `None`: no limit.
    pub(super) user_share: Option<f64>,
    /// Largest share of one guild, above 0; `None`: no limit.
    pub(super) guild_share: Option<f64>,
    /// From so many confirmed users on, examples of unconfirmed sources wait; `None`: they never do.
    pub(super) quarantine_from: Option<usize>,
    /// Breaks ties and sets the order.
    pub(super) seed: u64,
    /// How the data is written.
    pub(super) format: Format,
    /// The request with its defaults, and with pseudonyms for ids: what the manifest shows.
    pub(super) request: ExportRequest,
    min_tier: Tier,
    min_quality: f64,
    guild: Option<Pseudonym>,
    since_ms: i64,
    until_ms: i64,
    min_group: Option<usize>,
    outcomes: Vec<Outcome>,
    include_superseded: bool,
}

/// What a group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grouping {
    /// One for each label.
    Label,
    /// Success (corrected too: a corrected example states the right answer), failure, uncertain.
    Outcome,
}

impl Selection {
    /// Checks every field; the error names the first that cannot be met, and what to send instead.
    pub fn of(request: &ExportRequest, key: &Key) -> Result<Self> {
        let categories = categories(request)?;
        let guild =
            (!request.guild_id.is_empty()).then(|| key.pseudonym(IdKind::Guild, &request.guild_id));
        let min_tier = min_tier(request.min_tier)?;
        let grouping = grouping(request.balance_by)?;
        let format = match Format::try_from(request.format) {
            Ok(Format::Unspecified | Format::Jsonl) => Format::Jsonl,
            Ok(Format::Parquet) => Format::Parquet,
            Err(_) => return Err(invalid("format", "unknown: send JSONL or PARQUET")),
        };
        let since_ms = boundary("since", request.since.as_ref())?;
        let until_ms = boundary("until", request.until.as_ref())?;
        if let (Some(since), Some(until)) = (since_ms, until_ms)
            && until <= since
        {
            return Err(invalid("until", "send a time after since"));
        }
        let balance = request.balance.unwrap_or(true);
        let mut selection = Self {
            min_tier,
            min_quality: fraction("min_quality", request.min_quality)?,
            guild,
            since_ms: since_ms.unwrap_or(i64::MIN),
            until_ms: until_ms.unwrap_or(i64::MAX),
            outcomes: outcomes(&request.outcomes)?,
            include_superseded: request.include_superseded,
            balance: balance.then_some(grouping),
            min_group: request.min_group.map(|size| count("min_group", size)).transpose()?,
            max_examples: match count("max_examples", request.max_examples)? {
                0 => None,
                limit => Some(limit),
            },
            user_share: share("max_user_share", request.max_user_share)?,
            guild_share: share("max_guild_share", request.max_guild_share)?,
            quarantine_from: match count("quarantine_from", request.quarantine_from)? {
                0 => None,
                users => Some(users),
            },
            seed: request.seed,
            format,
            request: ExportRequest {
                name: name(request, &categories)?,
                guild_id: guild.map(|guild| guild.to_string()).unwrap_or_default(),
                min_tier: min_tier as i32,
                balance: Some(balance),
                balance_by: match grouping {
                    Grouping::Label => BalanceBy::Label,
                    Grouping::Outcome => BalanceBy::Outcome,
                } as i32,
                format: format as i32,
                ..request.clone()
            },
            categories,
        };
        selection.request.min_group = selection.min_group_used();
        Ok(selection)
    }

    /// The size under which groups are left out, for the manifest; what the request says where nothing is balanced, or
    /// where categories have defaults of their own: so sent again, the request chooses the same.
    fn min_group_used(&self) -> Option<i64> {
        let mut sizes = self.categories.iter().map(|category| self.min_group(*category));
        let first = sizes.next()?;
        if self.balance.is_none() || sizes.any(|size| size != first) {
            return self.request.min_group;
        }
        i64::try_from(self.min_group.unwrap_or(first)).ok()
    }

    /// Groups of a category under this size are left out; at least 1.
    ///
    /// Where a label is a list, nearly every example has its own, and unless the caller says otherwise none is too
    /// small: the dataset would be empty.
    pub(super) fn min_group(&self, category: Category) -> usize {
        let of_lists =
            category == Category::WorkflowParsing && self.balance == Some(Grouping::Label);
        let default = if of_lists { 1 } else { DEFAULT_MIN_GROUP };
        self.min_group.unwrap_or(default).max(1)
    }

    /// Whether an example of one of the categories matches.
    pub(super) fn matches(&self, example: &Header) -> bool {
        example.tier >= self.min_tier
            && example.score.as_f64() >= self.min_quality
            && (self.include_superseded || !example.superseded)
            && self.guild.is_none_or(|guild| example.guild == Some(guild))
            && (self.since_ms..self.until_ms).contains(&example.time_ms)
            && (self.outcomes.is_empty() || self.outcomes.contains(&example.outcome))
    }
}

fn invalid(field: &str, problem: &str) -> Error {
    Error::InvalidArgument { field: field.to_owned(), problem: problem.to_owned() }
}

fn categories(request: &ExportRequest) -> Result<Vec<Category>> {
    let target = match ModelTarget::try_from(request.model_target) {
        Ok(ModelTarget::Unspecified) => None,
        Ok(ModelTarget::Qwen) => Some(Target::Qwen),
        Ok(ModelTarget::Llama) => Some(Target::Llama),
        Ok(ModelTarget::General) => Some(Target::General),
        Err(_) => return Err(invalid("model_target", "unknown: send QWEN, LLAMA or GENERAL")),
    };
    let learns = |category: &Category| {
        target.is_none_or(|target| [target, Target::All].contains(&category.target()))
    };
    if request.category == 0 {
        return Ok(Category::ALL.into_iter().filter(learns).collect());
    }
    let category = Category::from_number(request.category)
        .ok_or_else(|| invalid("category", "unknown: send one of the 14 categories"))?;
    if learns(&category) {
        Ok(vec![category])
    } else {
        Err(invalid("model_target", "does not learn from this category: leave one of them unset"))
    }
}

fn name(request: &ExportRequest, categories: &[Category]) -> Result<String> {
    let name = request.name.as_str();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let longest = name.split(|character: char| !character.is_ascii_digit()).map(str::len).max();
    if longest.is_some_and(|digits| digits >= ID_DIGITS) {
        return Err(invalid(
            "name",
            "looks like it holds an id, and names are kept as they are: send another",
        ));
    }
    if name.len() > NAME_LIMIT || !name.bytes().all(allowed) || [".", ".."].contains(&name) {
        return Err(invalid("name", "send at most 64 letters, digits, `-`, `_` and `.`"));
    }
    Ok(match (name, categories) {
        ("", [category]) => category.name().to_owned(),
        ("", _) => match ModelTarget::try_from(request.model_target) {
            Ok(ModelTarget::Qwen) => "qwen",
            Ok(ModelTarget::Llama) => "llama",
            Ok(ModelTarget::General) => "general",
            Ok(ModelTarget::Unspecified) | Err(_) => "all",
        }
        .to_owned(),
        (name, _) => name.to_owned(),
    })
}

fn min_tier(number: i32) -> Result<Tier> {
    match Tier::from_number(number) {
        Some(tier @ (Tier::Bronze | Tier::Silver | Tier::Gold)) => Ok(tier),
        None if number == 0 => Ok(Tier::Bronze),
        Some(Tier::Reject) | None => {
            Err(invalid("min_tier", "send BRONZE, SILVER or GOLD: nothing below is stored"))
        }
    }
}

fn grouping(number: i32) -> Result<Grouping> {
    match BalanceBy::try_from(number) {
        Ok(BalanceBy::Unspecified | BalanceBy::Label) => Ok(Grouping::Label),
        Ok(BalanceBy::Outcome) => Ok(Grouping::Outcome),
        Err(_) => Err(invalid("balance_by", "unknown: send LABEL or OUTCOME")),
    }
}

fn outcomes(numbers: &[i32]) -> Result<Vec<Outcome>> {
    numbers
        .iter()
        .enumerate()
        .map(|(index, number)| {
            Outcome::from_number(*number).ok_or_else(|| {
                invalid(
                    &format!("outcomes[{index}]"),
                    "unknown: send SUCCESS, FAILURE, CORRECTED or UNCERTAIN",
                )
            })
        })
        .collect()
}

fn count(field: &str, number: i64) -> Result<usize> {
    usize::try_from(number).map_err(|_| invalid(field, "send 0 or more"))
}

fn fraction(field: &str, number: f64) -> Result<f64> {
    // NaN lies in no range.
    if (0.0..=1.0).contains(&number) {
        Ok(number)
    } else {
        Err(invalid(field, "send a number from 0 to 1"))
    }
}

fn share(field: &str, number: f64) -> Result<Option<f64>> {
    Ok(Some(fraction(field, number)?).filter(|share| *share > 0.0))
}

/// The first millisecond at or after a time: both boundaries compare with whole milliseconds.
fn boundary(field: &str, time: Option<&Timestamp>) -> Result<Option<i64>> {
    let Some(time) = time else { return Ok(None) };
    // The range of google.protobuf.Timestamp: years 1 to 9999.
    let in_range = (-62_135_596_800..=253_402_300_799).contains(&time.seconds)
        && (0..1_000_000_000).contains(&time.nanos);
    if !in_range {
        return Err(invalid(field, "send a time in the years 1 to 9999, nanos 0 to 999999999"));
    }
    Ok(Some(time.seconds * 1000 + i64::from((time.nanos + 999_999) / 1_000_000)))
}
