//! Two kinds of drawings: lines over a logarithmic scale, and bars. Here is what is in them;
//! templates/charts.html knows how large they are, and draws.

use serde::Serialize;

use crate::model::metrics::number;

/// A drawing.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Chart {
    Lines(Lines),
    Bars(Bars),
}

/// Lines over a logarithmic scale. Places are parts of the way to the right, and upwards.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Lines {
    pub(crate) x_title: &'static str,
    pub(crate) y_title: &'static str,
    pub(crate) x_marks: Vec<(f64, String)>,
    y_marks: Vec<(f64, String)>,
    pub(crate) series: Vec<Series>,
    /// Whether each point is drawn, and not only the line.
    pub(crate) dots: bool,
}

/// A line.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Series {
    /// The name of its row.
    pub(crate) row: String,
    pub(crate) points: Vec<Point>,
}

#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Point {
    x: f64,
    y: f64,
    value: f64,
}

/// Bars from zero.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Bars {
    pub(crate) unit: &'static str,
    /// The greatest of all runs.
    longest: f64,
    entries: Vec<Entry>,
}

#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Entry {
    /// What the bars below have in common.
    Heading(String),
    Bar(Bar),
}

/// A bar, with the least and the greatest of its runs.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Bar {
    pub(crate) row: String,
    pub(crate) value: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Point {
    /// Of a place on the x axis and a value.
    pub(crate) fn new((x, value): (f64, f64)) -> Self {
        Self { x, y: value.log10(), value }
    }
}

impl Chart {
    /// From values to places. `x_marks`: where the x axis has marks, and which; the first is at its left end,
    /// and the last at its right one. None, if there is no data.
    pub(crate) fn lines(
        (x_title, y_title): (&'static str, &'static str),
        mut x_marks: Vec<(f64, String)>,
        mut series: Vec<Series>,
        dots: bool,
    ) -> Option<Self> {
        let xs = || x_marks.iter().map(|mark| mark.0);
        let x = Scale::of(xs().reduce(f64::min)?, xs().reduce(f64::max)?);
        let ys = || series.iter().flat_map(|series| &series.points).map(|point| point.y);
        let (low, high) = (ys().reduce(f64::min)?, ys().reduce(f64::max)?);
        // Some air above and below.
        let air = ((high - low) * 0.06).max(0.1);
        let y = Scale::of(low - air, high + air);
        x_marks.iter_mut().for_each(|mark| mark.0 = x.part(mark.0));
        for point in series.iter_mut().flat_map(|series| &mut series.points) {
            (point.x, point.y) = (x.part(point.x), y.part(point.y));
        }
        let y_marks = y.powers().map(|value| (y.part(value.log10()), short(value))).collect();
        Some(Self::Lines(Lines { x_title, y_title, x_marks, y_marks, series, dots }))
    }

    /// In groups, each under a heading that may be empty. None, if there is nothing to be seen.
    pub(crate) fn bars(groups: Vec<(String, Vec<Bar>)>, unit: &'static str) -> Option<Self> {
        let longest = groups.iter().flat_map(|group| &group.1).map(|bar| bar.max).fold(0.0, f64::max);
        let entries = |(heading, bars): (String, Vec<Bar>)| {
            let heading = (!heading.is_empty()).then_some(Entry::Heading(heading));
            heading.into_iter().chain(bars.into_iter().map(Entry::Bar))
        };
        let entries = groups.into_iter().flat_map(entries).collect();
        (longest > 0.0).then_some(Self::Bars(Bars { unit, longest, entries }))
    }
}

/// From one end of an axis to the other.
struct Scale {
    from: f64,
    to: f64,
}

impl Scale {
    /// Never one without any length.
    fn of(from: f64, to: f64) -> Self {
        Self { from, to: if to > from { to } else { from + 1.0 } }
    }

    fn part(&self, place: f64) -> f64 {
        (place - self.from) / (self.to - self.from)
    }

    /// Of a logarithmic one: 1, 2, 5, 10, ... as far as it goes; on long scales only powers of ten.
    fn powers(&self) -> impl Iterator<Item = f64> {
        let steps: &[f64] = if self.to - self.from > 2.5 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let powers = self.from.floor() as i32..=self.to.ceil() as i32;
        let all = powers.flat_map(move |power| steps.iter().map(move |step| step * 10f64.powi(power)));
        all.filter(|value| (self.from..=self.to).contains(&value.log10()))
    }
}

/// `10M`, `200k`, `5`: there is little room beside an axis.
fn short(value: f64) -> String {
    let (value, unit) = match value {
        large if large >= 1e6 => (large / 1e6, "M"),
        large if large >= 1e4 => (large / 1e3, "k"),
        small => (small, ""),
    };
    format!("{}{unit}", number(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: &[(f64, f64)]) -> Option<Chart> {
        let points = points.iter().copied().map(Point::new).collect();
        let series = Series { row: "basic".into(), points };
        Chart::lines(("x", "y"), vec![(0.0, "0".into()), (2.0, "1".into())], vec![series], true)
    }

    #[test]
    fn every_point_is_inside_the_drawing() {
        let Some(Chart::Lines(lines)) = chart(&[(0.0, 1.0), (2.0, 1000.0)]) else { panic!() };
        let [low, high] = &lines.series[0].points[..] else { panic!() };
        assert_eq!((low.x, high.x), (0.0, 1.0));
        assert!(0.0 < low.y && low.y < high.y && high.y < 1.0);
        let marks: Vec<&str> = lines.y_marks.iter().map(|mark| mark.1.as_str()).collect();
        assert_eq!(marks, ["1", "10", "100", "1,000"]);
    }

    #[test]
    fn marks_are_short() {
        assert_eq!([short(0.5), short(5000.0), short(2e5), short(1e7)], ["0.50", "5,000", "200k", "10M"]);
    }

    #[test]
    fn one_value_is_drawn_and_none_is_not() {
        assert!(chart(&[(0.0, 5.0)]).is_some());
        assert_eq!(chart(&[]), None);
        assert_eq!(Chart::bars(vec![(String::new(), Vec::new())], "us"), None);
    }

    #[test]
    fn a_heading_stands_above_its_bars() {
        let bar = Bar { row: "basic".into(), value: 2.0, min: 1.0, max: 3.0 };
        let Some(Chart::Bars(bars)) = Chart::bars(vec![("8 clients".into(), vec![bar])], "us") else {
            panic!()
        };
        assert_eq!((bars.longest, bars.entries.len()), (3.0, 2));
        assert_eq!(bars.entries[0], Entry::Heading("8 clients".into()));
    }
}
