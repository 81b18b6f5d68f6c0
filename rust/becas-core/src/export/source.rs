//! Where an export reads from.

use crate::{
    category::Category,
    error::Result,
    example::Example,
    store::{ExampleId, Store},
};

/// What an export asks of a store. It is read twice, and may change in between.
pub trait Source {
    /// Shows every stored example of the category once, by sequence; stops at the visitor's first error.
    fn scan(
        &self,
        category: Category,
        visit: &mut dyn FnMut(ExampleId, &Example) -> Result<()>,
    ) -> Result<()>;

    /// Shows the examples of some ids in the order asked for; `None` where one is not (or no longer) stored.
    fn read_many(
        &self,
        ids: &[ExampleId],
        visit: &mut dyn FnMut(ExampleId, Option<Example>) -> Result<()>,
    ) -> Result<()>;
}

impl Source for Store {
    fn scan(
        &self,
        category: Category,
        visit: &mut dyn FnMut(ExampleId, &Example) -> Result<()>,
    ) -> Result<()> {
        Self::scan(self, category, visit)
    }

    fn read_many(
        &self,
        ids: &[ExampleId],
        visit: &mut dyn FnMut(ExampleId, Option<Example>) -> Result<()>,
    ) -> Result<()> {
        Self::read_many(self, ids, visit)
    }
}
