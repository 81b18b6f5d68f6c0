//! Where an export reads from.

use crate::{
    category::Category,
    error::Result,
    store::{ExampleId, Record, Store},
};

/// What an export asks of a store. It is read twice, on all cores, and may change in between.
pub trait Source: Sync {
    /// Shows every stored example of the category once, by sequence; stops at the first error of `see`.
    fn scan(
        &self,
        category: Category,
        see: &mut dyn FnMut(ExampleId, &Record<'_>) -> Result<()>,
    ) -> Result<()>;

    /// Shows the examples of some ids in the order asked for; `None` where one is not (or no longer) stored.
    fn read_many(
        &self,
        ids: &[ExampleId],
        see: &mut dyn FnMut(ExampleId, Option<&Record<'_>>) -> Result<()>,
    ) -> Result<()>;
}

impl Source for Store {
    fn scan(
        &self,
        category: Category,
        see: &mut dyn FnMut(ExampleId, &Record<'_>) -> Result<()>,
    ) -> Result<()> {
        Self::scan(self, category, see)
    }

    fn read_many(
        &self,
        ids: &[ExampleId],
        see: &mut dyn FnMut(ExampleId, Option<&Record<'_>>) -> Result<()>,
    ) -> Result<()> {
        Self::read_many(self, ids, see)
    }
}
