//! Two kinds of drawings, as SVG that takes its colours from the page: lines over a scale, and bars.

use std::fmt::Write as _;

use super::escape;
use crate::model::metrics::number;

/// A line of a chart.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) label: String,
    /// The class that gives it its colour.
    pub(crate) class: String,
    /// Places on the x axis, and values.
    pub(crate) points: Vec<(f64, f64)>,
}

/// Lines over a logarithmic scale.
#[derive(Debug)]
pub(crate) struct Lines {
    pub(crate) x_title: String,
    pub(crate) y_title: String,
    /// Where the x axis has marks, and which.
    pub(crate) marks: Vec<(f64, String)>,
    pub(crate) series: Vec<Series>,
    /// Whether each point is drawn, and not only the line.
    pub(crate) dots: bool,
}

/// A bar, with the least and the greatest of its runs.
#[derive(Debug)]
pub(crate) struct Bar {
    pub(crate) label: String,
    pub(crate) class: String,
    pub(crate) value: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

/// Bars that belong together, under a heading that may be empty.
pub(crate) type Bars = (String, Vec<Bar>);

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 340.0;
/// Left, right, top, bottom.
const MARGINS: [f64; 4] = [62.0, 24.0, 14.0, 46.0];
/// Of names beside bars, and of figures behind them.
const NAMES: f64 = 190.0;
const FIGURES: f64 = 80.0;
const BAR: f64 = 15.0;
const PITCH: f64 = 22.0;

/// From data to places in the drawing.
struct Scale {
    x: (f64, f64),
    /// Powers of ten.
    y: (f64, f64),
}

impl Scale {
    fn of(lines: &Lines) -> Option<Self> {
        let values = || lines.series.iter().flat_map(|series| &series.points).map(|point| point.1);
        let (low, high) = (values().reduce(f64::min)?, values().reduce(f64::max)?);
        let xs = || lines.marks.iter().map(|mark| mark.0);
        let x = (xs().reduce(f64::min)?, xs().reduce(f64::max)?);
        let (low, high) = (low.log10(), high.log10());
        // Some air above and below, and never a scale without any length.
        let air = ((high - low) * 0.06).max(0.1);
        Some(Self { x: (x.0, if x.1 > x.0 { x.1 } else { x.0 + 1.0 }), y: (low - air, high + air) })
    }

    fn x(&self, x: f64) -> f64 {
        let [left, right, ..] = MARGINS;
        left + (x - self.x.0) / (self.x.1 - self.x.0) * (WIDTH - left - right)
    }

    fn y(&self, value: f64) -> f64 {
        let [_, _, top, bottom] = MARGINS;
        let part = (value.log10() - self.y.0) / (self.y.1 - self.y.0);
        HEIGHT - bottom - part * (HEIGHT - top - bottom)
    }

    /// 1, 2, 5, 10, ... as far as they are in the drawing; on long scales only powers of ten.
    fn y_marks(&self) -> Vec<f64> {
        let steps: &[f64] = if self.y.1 - self.y.0 > 2.5 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let powers = self.y.0.floor() as i32..=self.y.1.ceil() as i32;
        let all = powers.flat_map(|power| steps.iter().map(move |step| step * 10f64.powi(power)));
        all.filter(|value| (self.y.0..=self.y.1).contains(&value.log10())).collect()
    }
}

/// Draws lines; nothing, if there is no data.
pub(crate) fn lines(chart: &Lines) -> String {
    let Some(scale) = Scale::of(chart) else { return String::new() };
    let mut svg = open(WIDTH, HEIGHT, &chart.y_title);
    let [left, right, top, bottom] = MARGINS;
    for value in scale.y_marks() {
        let y = scale.y(value);
        let _ = write!(
            svg,
            "<line class=grid x1={left} x2={:.1} y1={y:.1} y2={y:.1} /><text class=mark x={:.1} y={:.1} text-anchor=end>{}</text>",
            WIDTH - right,
            left - 7.0,
            y + 4.0,
            short(value)
        );
    }
    for (place, mark) in &chart.marks {
        let x = scale.x(*place);
        let (low, under) = (HEIGHT - bottom, HEIGHT - bottom + 17.0);
        let _ = write!(
            svg,
            "<line class=grid x1={x:.1} x2={x:.1} y1={top} y2={low} /><text class=mark x={x:.1} y={under} text-anchor=middle>{}</text>",
            escape(mark)
        );
    }
    let _ = write!(
        svg,
        "<text class=axis x={:.1} y={:.1} text-anchor=middle>{}</text><text class=axis transform='translate(13 {:.1}) rotate(-90)' text-anchor=middle>{}</text>",
        f64::midpoint(left, WIDTH - right),
        HEIGHT - 6.0,
        escape(&chart.x_title),
        f64::midpoint(top, HEIGHT - bottom),
        escape(&chart.y_title)
    );
    chart.series.iter().for_each(|series| svg.push_str(&line(series, &scale, chart.dots)));
    svg + "</svg>"
}

fn line(series: &Series, scale: &Scale, dots: bool) -> String {
    let at = |point: &(f64, f64)| (scale.x(point.0), scale.y(point.1));
    let path: Vec<String> = series.points.iter().map(at).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let (class, label) = (&series.class, escape(&series.label));
    let mut svg = format!(
        "<polyline class='line {class}' points='{}'><title>{label}</title></polyline>",
        path.join(" ")
    );
    for point in series.points.iter().filter(|_| dots) {
        let (x, y) = at(point);
        let _ = write!(
            svg,
            "<circle class='dot {class}' cx={x:.1} cy={y:.1} r=4><title>{label}: {}</title></circle>",
            number(point.1)
        );
    }
    svg
}

/// Draws bars from zero, in groups; nothing, if there is none.
pub(crate) fn bars(groups: &[Bars], unit: &str) -> String {
    let longest = groups.iter().flat_map(|group| &group.1).map(|bar| bar.max).fold(0.0, f64::max);
    if longest <= 0.0 {
        return String::new();
    }
    let headings = groups.iter().filter(|group| !group.0.is_empty()).count();
    let count = groups.iter().map(|group| group.1.len()).sum::<usize>() + headings;
    let mut svg = open(WIDTH, count as f64 * PITCH + 8.0, unit);
    let mut y = 4.0;
    for (heading, bars) in groups {
        if !heading.is_empty() {
            let _ = write!(svg, "<text class=heading x=0 y={:.1}>{}</text>", y + 15.0, escape(heading));
            y += PITCH;
        }
        for one in bars {
            svg.push_str(&bar(one, y, (WIDTH - NAMES - FIGURES) / longest, unit));
            y += PITCH;
        }
    }
    svg + "</svg>"
}

/// `per_unit`: how long a bar of 1 is.
fn bar(bar: &Bar, y: f64, per_unit: f64, unit: &str) -> String {
    let Bar { class, value, min, max, .. } = bar;
    let (label, text) = (escape(&bar.label), format!("{} {unit}", number(*value)));
    let (middle, from, to) = (y + 3.0 + BAR / 2.0, NAMES + min * per_unit, NAMES + max * per_unit);
    let whisker = if min < max {
        format!("<line class=whisker x1={from:.1} x2={to:.1} y1={middle:.1} y2={middle:.1} />")
    } else {
        String::new()
    };
    format!(
        "<text class=name x={:.1} y={:.1} text-anchor=end>{label}</text><rect class='bar {class}' x={NAMES} y={:.1} \
         width={:.1} height={BAR} rx=2><title>{label}: {} ({} to {}) {unit}</title></rect>{whisker}<text class=mark x={:.1} y={:.1}>{text}</text>",
        NAMES - 8.0,
        y + 15.0,
        y + 3.0,
        (value * per_unit).max(1.0),
        number(*value),
        number(*min),
        number(*max),
        to.max(NAMES) + 7.0,
        y + 15.0,
    )
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

fn open(width: f64, height: f64, title: &str) -> String {
    format!("<svg viewBox='0 0 {width} {height}' role=img aria-label='{}'>", escape(title))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> Lines {
        Lines {
            x_title: "x".into(),
            y_title: "a < b".into(),
            marks: vec![(0.0, "0".into()), (1.0, "1".into())],
            series: vec![Series { label: "one".into(), class: "c0".into(), points }],
            dots: true,
        }
    }

    #[test]
    fn every_point_is_inside_the_drawing() {
        let svg = lines(&chart(vec![(0.0, 1.0), (1.0, 1000.0)]));
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>") && svg.contains("a &lt; b"));
        let scale = Scale::of(&chart(vec![(0.0, 1.0), (1.0, 1000.0)])).unwrap();
        for value in [1.0, 1000.0] {
            assert!((MARGINS[2]..=HEIGHT - MARGINS[3]).contains(&scale.y(value)));
        }
        assert_eq!(scale.y_marks(), [1.0, 10.0, 100.0, 1000.0]);
        assert!(scale.y(1000.0) < scale.y(1.0));
    }

    #[test]
    fn marks_are_short() {
        assert_eq!([short(0.5), short(5000.0), short(2e5), short(1e7)], ["0.50", "5,000", "200k", "10M"]);
    }

    #[test]
    fn one_value_is_drawn_and_none_is_not() {
        assert!(lines(&chart(vec![(0.0, 5.0)])).contains("<circle"));
        assert_eq!(lines(&chart(Vec::new())), "");
        assert_eq!(bars(&[], "us"), "");
        assert_eq!(bars(&[(String::new(), Vec::new())], "us"), "");
    }

    #[test]
    fn bars_are_as_long_as_they_are_great() {
        let bar = |value| Bar { label: "b".into(), class: "c0".into(), value, min: value, max: value };
        let svg = bars(&[(String::new(), vec![bar(10.0), bar(5.0)])], "us");
        let full = WIDTH - NAMES - FIGURES;
        assert!(
            svg.contains(&format!("width={full:.1}")) && svg.contains(&format!("width={:.1}", full / 2.0))
        );
    }
}
