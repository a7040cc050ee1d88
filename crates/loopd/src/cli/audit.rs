//! `loopd audit verify`

use std::process::ExitCode;

use anyhow::{anyhow, bail};
use clap::Subcommand;
use loopd_kernel::{audit, company, seal};
use loopd_types::{CompanyCode, CompanyId};
use serde_json::{Value, json};

use super::{Output, open, words};
use crate::settings::Settings;

#[derive(Subcommand)]
pub enum Audit {
    /// Look whether the audit rows of sealed days are as they were sealed; exit code 1 when they are not.
    Verify {
        /// Only this company's. Without it: every company's, and the installation's own.
        #[arg(long)]
        company: Option<String>,
    },
}

pub async fn run(settings: Settings, command: Audit, output: &Output) -> anyhow::Result<ExitCode> {
    let Audit::Verify { company: named } = command;
    let kernel = open(&settings).await?;
    let mut all: Vec<CompanyId> = company::all_ids(&kernel).await.map_err(words)?;
    match named {
        None => all.insert(0, audit::INSTALLATION),
        Some(text) => {
            let code = CompanyCode::parse(&text).ok_or_else(|| anyhow!("`{text}` is no company code, such as 001"))?;
            all.retain(|known| *known == code.0);
            if all.is_empty() {
                bail!("there is no company {text}");
            }
        }
    }
    let (mut lines, mut values, mut is_whole) = (Vec::new(), Vec::<Value>::new(), true);
    for log in all {
        let report = seal::verify(&kernel, log).await.map_err(words)?;
        let name = if log == audit::INSTALLATION { "installation".to_owned() } else { log.code().to_string() };
        is_whole &= report.broken.is_empty();
        let until = report.sealed_until.map(|at| at.to_string()[..10].to_owned());
        lines.push(format!(
            "{name}: {} days whole, {} older than what is kept, sealed before {}",
            report.whole,
            report.expired,
            until.as_deref().unwrap_or("nothing yet")
        ));
        lines.extend(report.broken.iter().map(|broken| format!("  NOT AS SEALED {broken}")));
        values.push(json!({"log": name, "whole": report.whole, "expired": report.expired, "sealed_before": until, "broken": report.broken}));
    }
    output.say(&lines.join("\n"), &json!({"ok": is_whole, "logs": values}));
    kernel.db.close().await;
    Ok(if is_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
