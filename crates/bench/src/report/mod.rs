//! Results, written down: on the terminal, as a page, in a Markdown page, and in files.

pub(crate) mod conclusion;
pub(crate) mod files;
pub(crate) mod grid;
pub(crate) mod html;
pub(crate) mod markdown;
pub(crate) mod table;
