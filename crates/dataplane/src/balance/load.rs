//! What an instance reports of its load, in a header of its answers (requirement BH-17).

use serde_json::Value;

use crate::snapshot::document::LoadDocument;

impl LoadDocument {
    /// Does this value of the header say that the instance has too much to do? What cannot be read says nothing.
    pub(super) fn is_exceeded(&self, value: &[u8]) -> bool {
        std::str::from_utf8(value)
            .ok()
            .and_then(|text| self.read(text.trim()))
            .is_some_and(|load| load > self.above)
    }

    /// One number alone, or one of several by its name: in the text or the JSON form of ORCA, the open standard for load
    /// reports (`TEXT cpu_utilization=0.83, mem_utilization=0.4`, `JSON {"cpu_utilization": 0.83}`).
    fn read(&self, text: &str) -> Option<f64> {
        if let Some(json) = text.strip_prefix("JSON ") {
            let report: Value = serde_json::from_str(json).ok()?;
            return report.get(&self.metric)?.as_f64();
        }
        let text = text.strip_prefix("TEXT ").unwrap_or(text);
        if !text.contains('=') {
            return number(text);
        }
        let mut members = text.split(',').filter_map(|member| member.split_once('='));
        members.find(|(name, _)| name.trim() == self.metric).and_then(|(_, value)| number(value))
    }
}

/// `0.83`, or the same in per cent: `83%`.
fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    match text.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().ok().map(|percent| percent / 100.0),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_in_each_of_its_forms_and_what_is_none_says_nothing() {
        let load = LoadDocument {
            ratio: 0.5,
            above: 0.8,
            header: "endpoint-load-metrics".to_owned(),
            metric: "cpu_utilization".to_owned(),
        };
        for much in [
            "0.81",
            "81%",
            " 81.5 % ",
            "1.7",
            "cpu_utilization=0.9",
            "TEXT mem_utilization=0.1, cpu_utilization=0.9",
            "TEXT cpu_utilization=90%",
            r#"JSON {"mem_utilization": 0.1, "cpu_utilization": 0.9}"#,
            r#"JSON {"cpu_utilization": 1}"#,
        ] {
            assert!(load.is_exceeded(much.as_bytes()), "{much}");
        }
        for little in [
            "0.8",
            "80%",
            "0",
            "-1",
            "",
            "%",
            "NaN",
            "high",
            "mem_utilization=0.9",
            "TEXT cpu_utilization=0.7,mem_utilization=0.99",
            r#"JSON {"cpu_utilization": "0.9"}"#,
            r#"JSON {"cpu_utilization": 0.9"#,
            "JSON 0.9",
            "BIN AAAA",
        ] {
            assert!(!load.is_exceeded(little.as_bytes()), "{little}");
        }
        assert!(!load.is_exceeded(b"0.9\xff"));
    }
}
