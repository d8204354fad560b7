//! The command line of the benchmark.

use anyhow::{Context, bail};

use crate::workload;

/// How to use it.
pub(crate) const HELP: &str = "\
usage: hookway-bench [<workload>…] [--json] [--runs <n>] [--scale <part>] [--minutes <n>]

  --json           print an array of objects instead of a table
  --runs <n>       run everything n times and print the median of each figure (1)
  --scale <part>   send this part of the events, for a quick look; such figures compare with no others (1)
  --minutes <n>    how long `soak` lasts (20)

Without a workload all run, except `soak`. What a workload is compared with runs before it.";

/// Minutes of a soak.
const MINUTES_DEFAULT: u64 = 20;

/// What was asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Arguments {
    /// Names of workloads; all where there are none.
    pub asked: Vec<String>,
    /// For machines.
    pub json: bool,
    /// How often everything runs.
    pub runs: usize,
    /// Of a soak.
    pub minutes: u64,
    scale: f64,
}

impl Arguments {
    /// Reads them.
    pub(crate) fn read(given: impl IntoIterator<Item = String>) -> anyhow::Result<Self> {
        let mut arguments = Self {
            asked: Vec::new(),
            json: false,
            runs: 1,
            minutes: MINUTES_DEFAULT,
            scale: 1.0,
        };
        let mut given = given.into_iter();
        while let Some(argument) = given.next() {
            let mut value = || {
                given
                    .next()
                    .with_context(|| format!("{argument} needs a value\n\n{HELP}"))
            };
            match argument.as_str() {
                "--json" => arguments.json = true,
                "--runs" => arguments.runs = value()?.parse().context("--runs is a number")?,
                "--minutes" => arguments.minutes = value()?.parse().context("--minutes is a number")?,
                "--scale" => arguments.scale = value()?.parse().context("--scale is a number such as 0.1")?,
                name if workload::named(name).is_some() => arguments.asked.push(argument),
                unknown => {
                    let names: Vec<&str> = workload::ALL.iter().map(|workload| workload.name).collect();
                    bail!(
                        "there is no workload {unknown:?}; there are {}\n\n{HELP}",
                        names.join(", ")
                    );
                }
            }
        }
        if arguments.runs == 0 || arguments.minutes == 0 {
            bail!("--runs and --minutes are 1 or more");
        }
        if !(arguments.scale > 0.0 && arguments.scale <= 1.0) {
            bail!("--scale is a part, above 0 and up to 1");
        }
        Ok(arguments)
    }

    /// So much of a number as was asked for.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "counts here are far below 2^52, and a part of one is rounded on purpose"
    )]
    pub(crate) fn scaled(&self, number: u64) -> u64 {
        (number as f64 * self.scale).ceil() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> anyhow::Result<Arguments> {
        Arguments::read(text.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn arguments_come_in_any_order() {
        let arguments = read("--json half --runs 3 --scale 0.1 deliver").unwrap();
        assert_eq!(arguments.asked, ["half", "deliver"]);
        assert_eq!((arguments.json, arguments.runs, arguments.minutes), (true, 3, 20));
        assert_eq!((arguments.scaled(60_000), arguments.scaled(0)), (6_000, 0));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, said) in [
            ("nonsense", "there is no workload \"nonsense\"; there are bare, "),
            ("--runs", "--runs needs a value"),
            ("--runs x", "--runs is a number"),
            ("--runs 0", "1 or more"),
            ("--scale 2", "a part"),
            ("--scale nan", "a part"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
