//! What is read off a trial: names, units, which way is better, how it is written.

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Better {
    Less,
    More,
}

/// One kind of figure.
#[derive(Debug)]
pub(crate) struct Metric {
    /// In the files.
    pub(crate) id: &'static str,
    /// In tables.
    pub(crate) title: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) better: Better,
    /// Whether its ratio to a reference says something.
    pub(crate) compared: bool,
}

const fn metric(id: &'static str, title: &'static str, unit: &'static str, better: Better) -> Metric {
    Metric { id, title, unit, better, compared: true }
}

const fn plain(id: &'static str, title: &'static str, unit: &'static str) -> Metric {
    Metric { id, title, unit, better: Better::Less, compared: false }
}

use Better::{Less, More};

/// All of them, in the order of tables.
pub(crate) const METRICS: [Metric; 30] = [
    metric("p50", "p50", "us", Less),
    metric("p99", "p99", "us", Less),
    metric("p999", "p99.9", "us", Less),
    metric("rate", "messages", "1/s", More),
    metric("gigabytes", "echoed", "GB/s", More),
    metric("connects", "connects", "1/s", More),
    metric("connects-alone", "connects alone", "1/s", More),
    metric("connects-beside", "connects beside them", "1/s", More),
    plain("connect-cost", "cost of one", "x alone"),
    metric("processor", "processor time", "us each", Less),
    metric("switches", "switches", "each", Less),
    metric("wait", "wait", "ms", Less),
    plain("in-line", "until the first left", "yes=1"),
    metric("alone-p99", "p99 without flood", "us", Less),
    metric("beside-p99", "p99 beside flood", "us", Less),
    plain("flood-factor", "times", "x"),
    metric("memory", "memory", "KiB a client", Less),
    metric("memory-all", "with the kernel's", "KiB a client", Less),
    plain("descriptors", "descriptors", "a client"),
    plain("processes", "processes", ""),
    plain("clients", "clients", ""),
    plain("served", "served", ""),
    plain("lost", "lost", ""),
    plain("wrong", "wrong", ""),
    plain("broken", "cut off", ""),
    plain("seeks-wkp", "seek a WKP", ""),
    plain("opens-wkp", "hang: open WKP", ""),
    plain("opens-private-pipe", "hang: open private pipe", ""),
    plain("reads-acknowledgement", "hang: read ACK", ""),
    plain("reads-reply", "hang: read reply", ""),
];

/// The metric of this id.
pub(crate) fn metric_of(id: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.id == id)
}

/// A figure to three digits, large ones with thousands set apart.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        size if !size.is_finite() => "-".into(),
        0.0 => "0".into(),
        size if size < 0.995 => format!("{value:.2}"),
        size if size < 9.95 => trimmed(format!("{value:.2}")),
        size if size < 99.5 => trimmed(format!("{value:.1}")),
        _ => thousands(value),
    }
}

/// `1.50` is `1.5`, and `3.00` is `3`.
fn trimmed(text: String) -> String {
    text.trim_end_matches('0').trim_end_matches('.').into()
}

fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::from(if value < 0.0 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_as_many_digits_as_mean_something() {
        let cases = [(0.0, "0"), (0.034, "0.03"), (1.5, "1.5"), (3.0, "3"), (12.34, "12.3"), (123.4, "123")];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
        assert_eq!((number(1_234_567.8), number(1000.0)), ("1,234,568".into(), "1,000".into()));
        assert_eq!(number(f64::NAN), "-");
    }

    #[test]
    fn metrics_are_told_apart() {
        for one in &METRICS {
            assert_eq!(METRICS.iter().filter(|metric| metric.id == one.id).count(), 1, "{}", one.id);
        }
        assert_eq!(metric_of("rate").unwrap().better, Better::More);
    }
}
