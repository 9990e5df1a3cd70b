//! The files: results.json with everything, results.csv with the figures, report.html to be read.

use std::path::Path;
use std::{fs, io};

use handshake_core::error::{Error, Result};
use nix::errno::Errno;

use crate::model::baseline::Changes;
use crate::model::results::{FORMAT, Figure, Results};

/// Makes the directory, and sees that files can be made in it.
///
/// # Errors
/// Those of the file system.
pub(crate) fn prepare(dir: &Path) -> Result<()> {
    let failed =
        |error: io::Error| Error::at("make files in", dir, error, "name another directory with --out");
    fs::create_dir_all(dir).map_err(failed)?;
    tempfile::tempfile_in(dir).map(drop).map_err(failed)
}

/// Writes all three.
///
/// # Errors
/// Those of the file system.
pub(crate) fn write(dir: &Path, results: &Results, changes: Option<&Changes>) -> Result<()> {
    let json = serde_json::to_string(results).expect("results are plain data");
    write_file(&dir.join("results.json"), &json)?;
    write_file(&dir.join("results.csv"), &csv(&results.figures))?;
    write_file(&dir.join("report.html"), &super::page(results, changes))
}

/// Writes one file.
pub(crate) fn write_file(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|error| Error::at("write", path, error, ""))
}

/// Reads a results.json.
///
/// # Errors
/// It cannot be read, or is none of this form.
pub(crate) fn read(path: &Path) -> Result<Results> {
    let text = fs::read(path)
        .map_err(|error| Error::at("read", path, error, "name the results.json of an earlier run"))?;
    let results: Option<Results> = serde_json::from_slice(&text).ok();
    let of_this_version = results.filter(|results| results.format == FORMAT);
    let hint = "it must be a results.json that this version has written";
    of_this_version.ok_or_else(|| Error::at("understand", path, Errno::EINVAL, hint))
}

const HEADER: &str =
    "column,placement,row,metric,median,min,max,runs,wide,reference,ratio,ratio_min,ratio_max,ratio_wide\n";

/// A line for each figure and reference; a figure without one has a line of its own.
fn csv(figures: &[Figure]) -> String {
    let mut text = String::from(HEADER);
    for figure in figures {
        let Figure { column, row, metric, summary, .. } = figure;
        let placement = placement_name(figure);
        let own = format!(
            "{column},{placement},{row},{metric},{},{},{},{},{}",
            summary.median, summary.min, summary.max, summary.runs, summary.wide
        );
        if figure.ratios.is_empty() {
            text.push_str(&format!("{own},,,,,\n"));
        }
        for ratio in &figure.ratios {
            let (to, of) = (&ratio.to, ratio.summary);
            text.push_str(&format!("{own},{to},{},{},{},{}\n", of.median, of.min, of.max, of.wide));
        }
    }
    text
}

/// As in results.json.
fn placement_name(figure: &Figure) -> String {
    let value = serde_json::to_value(figure.placement).expect("a placement is plain data");
    value.as_str().unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::samples::results;

    #[test]
    fn results_come_back_as_they_were_written() {
        let (dir, results) = (tempfile::tempdir().unwrap(), results());
        write(dir.path(), &results, None).unwrap();
        assert_eq!(read(&dir.path().join("results.json")).unwrap(), results);
        let html = fs::read_to_string(dir.path().join("report.html")).unwrap();
        assert!(html.starts_with("<!doctype html>") && html.trim_end().ends_with("</html>"));
    }

    #[test]
    fn what_is_no_results_file_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("results.json");
        assert!(read(&path).is_err());
        for wrong in ["", "{}", "[1]"] {
            fs::write(&path, wrong).unwrap();
            assert!(read(&path).is_err(), "{wrong:?}");
        }
        let other = Results { format: FORMAT + 1, ..results() };
        fs::write(&path, serde_json::to_string(&other).unwrap()).unwrap();
        assert!(read(&path).is_err());
    }

    #[test]
    fn every_line_of_the_csv_has_as_many_fields_as_its_header() {
        let text = csv(&results().figures);
        let fields = HEADER.split(',').count();
        assert!(text.lines().count() > 2);
        for line in text.lines() {
            assert_eq!(line.split(',').count(), fields, "{line}");
        }
        assert!(
            text.contains("\nround-trip,free,basic,p50,22,20,24,2,false,fifo-ping-pong,2,2,2,false\n"),
            "{text}"
        );
    }
}
