//! Links between Loopwave's contacts, chats and tickets and the records of other products: a contact is a customer of the booking, a chat is
//! about an invoice, a ticket about an appointment. A link is found from both sides and says how it came to be.

pub mod http;
pub mod store;

use loopd_kernel::{Kernel, Tenant, record};
use loopd_store::Tx;
use loopd_types::{Result, Uuid};

use crate::address::{Address, Server};

/// What has a link, on our side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owner {
    /// `contact`, `chat`, `ticket`.
    pub kind: &'static str,
    pub id: Uuid,
}

impl Owner {
    pub const fn contact(id: Uuid) -> Self {
        Self { kind: "contact", id }
    }
}

/// How a link came to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum How {
    /// Somebody made it.
    Hand,
    /// The record's telephone number is the one that the contact writes from.
    Phone,
    /// Something was sent to the contact for the record.
    Notice,
}

impl How {
    pub const ALL: [Self; 3] = [Self::Hand, Self::Phone, Self::Notice];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hand => "hand",
            Self::Phone => "phone",
            Self::Notice => "notice",
        }
    }
}

/// Links a contact to the records of people with its telephone number, where there is but one of a kind. The number is WhatsApp's word, so
/// nobody is linked to a stranger by what they claim. How many links are new.
///
/// # Errors
/// 503 from the database.
pub fn matched(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    tenant: &Tenant,
    contact: Uuid,
    identities: &[Address],
) -> Result<usize> {
    let mut made = 0;
    for address in identities.iter().filter(|address| address.server() == Server::Phone) {
        for record in record::by_phone(tx, kernel, tenant.company, address.user())? {
            if record.path.starts_with(crate::PRODUCT) {
                continue;
            }
            let is_new = store::add(tx, kernel, tenant, &Owner::contact(contact), &record.path, record.id, How::Phone)?;
            made += usize::from(is_new);
        }
    }
    Ok(made)
}
