//! Writing down what a webhook told. Every piece of it is safe to be told again, in any order.

use loopd_kernel::{Kernel, Tenant};
use loopd_store::Tx;
use loopd_types::Result;

use super::super::account::Config;
use super::super::media;
use super::super::{NAME, content};
use super::read::{Account, News, Told};
use crate::engine::{Failure, Received, Signal};
use crate::message::{self, Taken};
use crate::number::{self, Number};
use crate::outgoing::store::heard;
use crate::{event, template};

/// Takes everything of a body, for the number whose webhook was called and its siblings in the company: an app has one webhook for all
/// of its numbers.
///
/// # Errors
/// 503 from the database; then nothing of it is kept, and Meta sends it again.
pub fn all(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, called: &Number, told: &[Told]) -> Result<()> {
    for it in told {
        match (&it.news, line(tx, called, it)?) {
            (News::Message(received), Some(number)) => message(tx, kernel, tenant, &number, received)?,
            (News::Progress(progress, signal), Some(number)) => {
                message::progress(tx, kernel, tenant, &number, progress)?;
                if let (Some(failure), false) = (&progress.failure, *signal == Signal::None) {
                    restricted(tx, kernel, tenant, &number, failure, *signal)?;
                }
            }
            (News::Account(Account::Template { meta_id, status, reason, at }), _) => {
                let news = (status.as_str(), reason.as_deref());
                template::store::news(tx, kernel, tenant, &it.waba, meta_id, news, *at)?;
            }
            (News::Account(account), _) => {
                for number in number::store::of_engine(tx, tenant.company, NAME)? {
                    if Config::of(&number)?.waba_id == it.waba {
                        of_account(tx, kernel, tenant, &number, account)?;
                    }
                }
            }
            (_, None) => tracing::warn!(
                number = called.public_id,
                line = it.line,
                "a webhook tells of a number that this company has not linked"
            ),
        }
    }
    Ok(())
}

/// The line that is meant.
fn line(tx: &mut Tx<'_>, called: &Number, told: &Told) -> Result<Option<Number>> {
    match &told.line {
        Some(id) if Some(id) != called.address.as_ref() => {
            Ok(number::store::find_address(tx, called.company, NAME, id)?)
        }
        _ => Ok(Some(called.clone())),
    }
}

fn message(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, number: &Number, received: &Received) -> Result<()> {
    let received = message::at_home(tx, number, received)?;
    if let Taken::New { message, .. } = message::receive(tx, kernel, tenant, number, &received)?
        && content::MEDIA.contains(&message.content.kind.as_str())
    {
        media::fetch_later(tx, kernel, number.company, &message)?;
    }
    Ok(())
}

/// A message failed because the line is restricted. Said of every message that fails so, and written once.
fn restricted(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    number: &Number,
    failure: &Failure,
    signal: Signal,
) -> Result<()> {
    let is_known = number.is_paused(kernel.now()) && number.pause_reason.as_deref() == Some(&failure.words);
    if is_known { Ok(()) } else { heard(tx, kernel, tenant, number.id, failure, signal) }
}

fn of_account(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, number: &Number, account: &Account) -> Result<()> {
    match account {
        Account::Restricted { rest, words } => {
            let is_known = number.paused_until == Some(rest.until) && number.pause_reason.as_ref() == Some(words);
            if is_known { Ok(()) } else { number::store::pause(tx, kernel, tenant, number.id, Some(*rest), words) }
        }
        // Of no single number.
        Account::Template { .. } => Ok(()),
        Account::Reinstated if number.paused_until.is_none() => Ok(()),
        Account::Reinstated => number::store::pause(tx, kernel, tenant, number.id, None, "WhatsApp has lifted it"),
        Account::Quality { phone, quality, tier } => {
            let is_meant = phone.as_ref().is_none_or(|phone| phone.telephone() == number.phone);
            let mut config = Config::of(number)?;
            config.quality = quality.map(str::to_owned).or(config.quality);
            config.tier = tier.clone().or(config.tier);
            let config = config.to_json();
            if !is_meant || config == number.config {
                return Ok(());
            }
            number::store::set_config(tx, number.company, number.id, &config)?;
            event::number(tx, kernel, tenant, number, event::Line::Status)
        }
    }
}
