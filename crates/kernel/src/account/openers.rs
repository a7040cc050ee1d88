//! What opens an account beside its password: second factors, passkeys, links, identities elsewhere, sign-ins under way; and its keys.
//!
//! Anybody can register somebody else's address, and leave a passkey behind for when its person comes. So an address counts as shown
//! ([`super::email`]) only by its letter together with the account itself (a session of it, or its password), or by a reset, which takes
//! everything away that was set before ([`begin_anew`]).

use loopd_store::{Tx, params};
use loopd_types::{Result, Uuid};
use serde_json::{Map, Value};

use super::session;
use crate::access::Actor;
use crate::erasure::places::{Fate, PLACES};
use crate::{Kernel, credential, two_factor};

/// Takes away what opens an account beside its password; gives how many rows of which table, those with none left out.
pub(super) fn remove(tx: &mut Tx<'_>, user: Uuid) -> Result<Map<String, Value>> {
    let mut removed = Map::new();
    for place in PLACES {
        let Fate::Opens(columns) = place.fate else { continue };
        let mut count = 0;
        for column in columns {
            count += tx.execute(&format!("DELETE FROM {} WHERE {column} = $1", place.table), &params![user])?;
        }
        if count > 0 {
            removed.insert(place.table.to_owned(), Value::from(count));
        }
    }
    Ok(removed)
}

/// An address was shown by a letter alone, for the first time: whoever made the account may have been somebody else, so that nothing of
/// theirs opens it any more. Ends sessions, revokes keys, and gives what was taken away.
pub(super) fn begin_anew(tx: &mut Tx<'_>, kernel: &Kernel, actor: &Actor, user: Uuid) -> Result<Map<String, Value>> {
    session::end_all(tx, kernel, user, "address shown")?;
    let mut removed = remove(tx, user)?;
    let keys = credential::revoke_all_of(tx, kernel, actor, user)?;
    if keys > 0 {
        removed.insert("credentials".to_owned(), Value::from(keys));
    }
    two_factor::refresh_standing(tx, kernel, user)?;
    Ok(removed)
}
