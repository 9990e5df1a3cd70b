//! A table, laid out once for all that show it: the terminal, the report, a Markdown page.

use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{Cell, CellAlignment, Table};
use serde::{Deserialize, Serialize};

/// A table.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Grid {
    pub(crate) title: String,
    /// So many columns at the left have names, and the others figures.
    pub(crate) names: usize,
    pub(crate) header: Vec<String>,
    pub(crate) lines: Vec<Line>,
    /// What is to be said below.
    pub(crate) notes: Vec<String>,
}

/// One line of it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    /// Whether it is of a paradigm, and of no reference.
    pub(crate) is_paradigm: bool,
    /// In each cell, the figure first, and what is said of it after.
    pub(crate) cells: Vec<Vec<String>>,
}

impl Grid {
    /// For a terminal, without its title and its notes.
    pub(crate) fn drawn(&self) -> String {
        let cell = |(index, text): (usize, String)| {
            let side = if index < self.names { CellAlignment::Left } else { CellAlignment::Right };
            Cell::new(text).set_alignment(side)
        };
        let mut table = Table::new();
        let header = self.header.iter().map(|text| text.replace(", ", "\n"));
        table.load_style(UTF8_BORDERS_ONLY).set_header(header.enumerate().map(cell));
        for line in &self.lines {
            table.add_row(line.cells.iter().map(|lines| lines.join("\n")).enumerate().map(cell));
        }
        table.to_string()
    }
}
