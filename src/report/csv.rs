use std::path::Path;

use super::{Row, columns};

/// Writes `performance_metrics.csv`, the result of [`csv()`]. The file appears completely or not at all.
///
/// # Errors
/// If the directory or the file cannot be written.
pub fn write_csv(path: &Path, rows: &[Row]) -> Result<(), csv::Error> {
    crate::results::write_atomically(path, &csv(rows)?)?;
    Ok(())
}

/// All columns as CSV: a header, then one line per row.
///
/// # Errors
/// Never in practice: any value can be written to memory.
pub fn csv(rows: &[Row]) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(columns::all().map(|c| c.name))?;
    for row in rows {
        writer.write_record(columns::all().map(|c| c.csv_cell(row)))?;
    }
    Ok(writer.into_inner().map_err(|e| e.into_error())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::row_tests::{failed, measured, measured_with};

    #[test]
    fn the_ten_original_columns_come_first_and_failed_points_keep_their_row() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deep/er/performance_metrics.csv");
        write_csv(&path, &[measured(), failed()]).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        let mut lines = text.lines();
        assert!(
            lines.next().unwrap().starts_with(
                "Number of Concurrent Requests,P50 Latency (ms),P99 Latency (ms),RPS,\
                 Output Tokens per Second,Output Tokens per Second per GPU,Input Tokens per Second,\
                 Input Tokens per Second per GPU,Average Output Tokens per Second per Request,\
                 Number of Requests Below Threshold,Benchmark,Prompt,"
            ),
            "{text}"
        );
        let row = lines.next().unwrap();
        assert!(
            row.starts_with("8,n/a,n/a,500.000,2000.00,n/a,5000.00,n/a,"),
            "{row}"
        );
        assert!(
            row.ends_with(",simulated (sim-small),n/a,n/a,n/a,n/a,n/a,no,no"),
            "{row}"
        );
        let row = lines.next().unwrap();
        assert!(row.starts_with("8,n/a,n/a,n/a,"), "{row}");
        assert!(row.contains(",0,3,0,2,steady,"), "three failed: {row}");
    }

    #[test]
    fn a_percentile_of_too_few_values_is_not_available() {
        let text = csv(&[measured_with(20), measured_with(200)]).unwrap();
        let mut reader = csv::Reader::from_reader(&*text);
        let head = reader.headers().unwrap().clone();
        let rows = Vec::from_iter(reader.records().map(|row| row.unwrap()));
        let cell = |row: usize, name: &str| {
            let at = head.iter().position(|head| head == name);
            rows[row][at.unwrap_or_else(|| panic!("no {name}"))].to_owned()
        };
        for (name, of_20, of_200) in [
            ("P50 Latency (ms)", "1.00", "1.00"),
            ("P99 Latency (ms)", "n/a", "n/a"),
            ("TTFT P50 (ms)", "0.200", "0.200"),
            ("TTFT P90 (ms)", "n/a", "0.200"),
            ("TTFT P95 (ms)", "n/a", "0.200"),
            ("TTFT P99 (ms)", "n/a", "n/a"),
            ("TTFT P99.9 (ms)", "n/a", "n/a"),
        ] {
            assert_eq!(cell(0, name), of_20, "{name}");
            assert_eq!(cell(1, name), of_200, "{name}");
        }
    }
}
