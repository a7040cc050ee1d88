//! WhatsApp's addresses and ours.

use loopd_wave::address::{Address, Server};
use whatsapp_rust::{Jid, Server as Kind};

/// `None` for what is neither a person nor a group: statuses, channels, bots.
pub fn address(jid: &Jid) -> Option<Address> {
    let server = match jid.server {
        Kind::Pn | Kind::Legacy | Kind::Hosted => "s.whatsapp.net",
        Kind::Lid | Kind::HostedLid => "lid",
        Kind::Group => "g.us",
        _ => return None,
    };
    Address::parse(&format!("{}@{server}", jid.user))
}

/// `None` for addresses that linked devices do not know.
pub fn jid(address: &Address) -> Option<Jid> {
    Some(match address.server() {
        Server::Phone => Jid::pn(address.user()),
        Server::Lid => Jid::lid(address.user()),
        Server::Group => Jid::group(address.user()),
        Server::BusinessScoped => return None,
    })
}

/// Everything that one person is known by, their telephone number first.
pub fn identities(names: &[Option<&Jid>]) -> Vec<Address> {
    let mut known: Vec<Address> = Vec::new();
    for found in names.iter().flatten().filter_map(|jid| address(jid)) {
        if !known.contains(&found) {
            known.push(found);
        }
    }
    known.sort_by_key(|address| address.server() != Server::Phone);
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Jid {
        text.parse().unwrap()
    }

    #[test]
    fn people_and_groups_have_addresses_on_both_sides() {
        for text in ["250788123456@s.whatsapp.net", "100000012345678@lid", "120363021033254949@g.us"] {
            let known = address(&parse(text)).unwrap();
            assert_eq!(known.to_string(), text);
            assert_eq!(jid(&known).unwrap().to_string(), text);
        }
        assert_eq!(
            address(&parse("250788123456:12@s.whatsapp.net")).unwrap().to_string(),
            "250788123456@s.whatsapp.net"
        );
        for text in ["status@broadcast", "120363021033254949@newsletter"] {
            assert_eq!(address(&parse(text)), None, "{text}");
        }
    }

    #[test]
    fn a_person_is_known_by_their_telephone_number_first() {
        let (lid, phone) = (parse("100000012345678@lid"), parse("250788123456@s.whatsapp.net"));
        let known: Vec<String> =
            identities(&[Some(&lid), None, Some(&phone), Some(&lid)]).iter().map(Address::to_string).collect();
        assert_eq!(known, ["250788123456@s.whatsapp.net", "100000012345678@lid"]);
    }
}
