//! French.

use loopd_types::Timestamp;

use super::{Frame, Words, linked, plain};
use crate::mail::template::{Template, TwoFactorChange};

pub(super) const FRAME: Frame = Frame {
    greeting: "Bonjour,",
    signature: "L’équipe LOOP",
    fallback: "Si le bouton ne fonctionne pas, copiez cette adresse dans votre navigateur :",
};

pub(super) const MONTHS: [&str; 12] = [
    "janvier",
    "février",
    "mars",
    "avril",
    "mai",
    "juin",
    "juillet",
    "août",
    "septembre",
    "octobre",
    "novembre",
    "décembre",
];

const NOT_YOU: &str =
    "Si ce n’était pas vous, changez immédiatement votre mot de passe et déconnectez vos autres appareils.";
const IGNORE: &str = "Si vous n’êtes pas à l’origine de cette demande, ignorez ce message : rien ne changera.";

pub(super) fn words(template: &Template<'_>, when: &dyn Fn(Timestamp) -> String) -> Words {
    match *template {
        Template::Invitation { company, inviter, role, expires_at, .. } => linked(
            format!("{inviter} vous invite à rejoindre {company} sur LOOP"),
            vec![
                format!("{inviter} vous invite à travailler dans {company} sur LOOP, avec le rôle « {role} »."),
                format!("Ouvrez l’invitation pour l’accepter ou la refuser. Elle expire le {}.", when(expires_at)),
            ],
            "Ouvrir l’invitation",
            vec!["Si vous n’attendiez pas cette invitation, vous pouvez ignorer ce message.".to_owned()],
        ),
        Template::PasswordReset { minutes, .. } => linked(
            "Choisissez un nouveau mot de passe LOOP",
            vec![
                "Nous avons reçu une demande de nouveau mot de passe pour votre compte LOOP.".to_owned(),
                format!("Le lien ci-dessous ne sert qu’une fois et reste valable {minutes} minutes."),
            ],
            "Choisir un nouveau mot de passe",
            vec![IGNORE.to_owned()],
        ),
        Template::PasswordChanged { .. } => linked(
            "Votre mot de passe LOOP a été modifié",
            vec![
                "Le mot de passe de votre compte LOOP a été modifié et vos autres appareils ont été déconnectés.".to_owned(),
                "Si c’était vous, vous n’avez rien à faire.".to_owned(),
            ],
            "Ce n’était pas moi : choisir un nouveau mot de passe",
            Vec::new(),
        ),
        Template::VerifyEmail { hours, .. } => linked(
            "Confirmez votre adresse e-mail pour LOOP",
            vec![
                "Merci de confirmer que cette adresse e-mail est bien la vôtre.".to_owned(),
                format!("Le lien ci-dessous reste valable {hours} heures."),
            ],
            "Confirmer l’adresse",
            vec![IGNORE.to_owned()],
        ),
        Template::EmailChangeAsked { new_email } => plain(
            "Un changement d’adresse e-mail a été demandé pour votre compte LOOP",
            vec![
                format!("Une personne connectée à votre compte LOOP a demandé de remplacer son adresse e-mail par {new_email}."),
                "Le changement prendra effet lorsque la nouvelle adresse aura été confirmée.".to_owned(),
            ],
            vec![NOT_YOU.to_owned()],
        ),
        Template::EmailChanged { new_email } => plain(
            "L’adresse e-mail de votre compte LOOP a été modifiée",
            vec![
                format!("L’adresse e-mail de votre compte LOOP est désormais {new_email}."),
                "Vous ne pouvez plus vous connecter avec celle-ci.".to_owned(),
            ],
            vec!["Si ce n’était pas vous, prévenez immédiatement l’administrateur de votre entreprise.".to_owned()],
        ),
        Template::NewSignIn { device, address, at } => plain(
            "Nouvelle connexion à votre compte LOOP",
            vec![
                "Une connexion à votre compte LOOP a eu lieu depuis un appareil que nous ne connaissions pas.".to_owned(),
                format!("Date : {}", when(at)),
                format!("Appareil : {device}"),
                format!("Adresse IP : {address}"),
            ],
            vec!["Si c’était vous, vous n’avez rien à faire.".to_owned(), NOT_YOU.to_owned()],
        ),
        Template::TwoFactorChanged { change } => plain(
            "La sécurité de votre compte LOOP a été modifiée",
            vec![
                match change {
                    TwoFactorChange::Enabled => "La connexion en deux étapes a été activée pour votre compte.",
                    TwoFactorChange::Disabled => "La connexion en deux étapes a été désactivée pour votre compte.",
                    TwoFactorChange::RecoveryCodesReplaced => {
                        "De nouveaux codes de secours ont été créés pour votre compte ; les anciens ne fonctionnent plus."
                    }
                    TwoFactorChange::RecoveryCodeUsed => "Un code de secours a servi à se connecter à votre compte.",
                    TwoFactorChange::PasskeyAdded => "Une clé d’accès (passkey) a été ajoutée à votre compte.",
                    TwoFactorChange::PasskeyRemoved => "Une clé d’accès (passkey) a été retirée de votre compte.",
                }
                .to_owned(),
            ],
            vec![NOT_YOU.to_owned()],
        ),
        Template::ImpersonationBegun { reason, ends_at } => plain(
            "Un opérateur agit dans votre compte LOOP",
            vec![
                "L’opérateur de ce service LOOP a commencé à agir en votre nom, pour vous aider.".to_owned(),
                format!("Motif : {reason}"),
                format!("Jusqu’au : {}", when(ends_at)),
                "Tout ce qu’il fait est consigné sous vos deux noms. Votre mot de passe, vos seconds facteurs et votre profil lui \
                 restent fermés."
                    .to_owned(),
            ],
            vec!["Si personne n’a demandé d’aide, prévenez un administrateur de votre entreprise.".to_owned()],
        ),
        Template::AccountMerge { own_email, into_email, minutes, .. } => linked(
            "Confirmez la fusion de vos comptes LOOP",
            vec![
                format!("Il nous a été demandé de fusionner le compte LOOP {own_email} avec le compte {into_email}."),
                format!(
                    "Si vous confirmez, les entreprises de ce compte passent à {into_email} et ce compte est fermé. Le lien \
                     ne sert qu’une fois et reste valable {minutes} minutes."
                ),
            ],
            "Fusionner les comptes",
            vec![IGNORE.to_owned()],
        ),
        Template::AccountMerged { absorbed_email, into_email } => plain(
            "Vos comptes LOOP ne font plus qu’un",
            vec![
                format!("Le compte {absorbed_email} a été fusionné avec {into_email}."),
                format!("Connectez-vous désormais avec {into_email}."),
            ],
            vec![NOT_YOU.to_owned()],
        ),
        Template::AccountErase { email, minutes, .. } => linked(
            "Confirmez l’effacement de votre compte LOOP",
            vec![
                format!("Il nous a été demandé d’effacer le compte LOOP {email} et ce qu’il dit de vous."),
                format!(
                    "Si vous confirmez, vous êtes déconnecté partout, votre nom et vos adresses sont supprimés, et rien ne peut être rétabli. Le lien \
                     ne sert qu’une fois et reste valable {minutes} minutes."
                ),
            ],
            "Effacer mon compte",
            vec![IGNORE.to_owned()],
        ),
        Template::DataErased => plain(
            "Vos données personnelles sur LOOP ont été effacées",
            vec![
                "Comme demandé, vos données personnelles sur LOOP ont été effacées et votre compte est fermé.".to_owned(),
                "Ce que la loi nous oblige à conserver, comme les factures, reste sans votre nom. Ceci est notre dernier \
                 message."
                    .to_owned(),
            ],
            Vec::new(),
        ),
        Template::WebhookDisabled { company, url } => plain(
            format!("Un webhook de {company} a été désactivé"),
            vec![
                format!("Le webhook vers {url} a été désactivé, car il n’accepte plus d’envois depuis plusieurs jours."),
                "Réparez-le, puis réactivez-le. Tous les événements sont conservés et peuvent être renvoyés.".to_owned(),
            ],
            Vec::new(),
        ),
        Template::NumberDown { company, number, reason } => plain(
            format!("Le numéro WhatsApp {number} de {company} ne fonctionne pas"),
            vec![
                format!("Rien ne part en ce moment du numéro WhatsApp {number} : {reason}"),
                "Les messages attendent et partiront d’eux-mêmes dès que le numéro fonctionnera. Vérifiez s’il doit être reconnecté.".to_owned(),
            ],
            Vec::new(),
        ),
        Template::ChatOverdue { company, customer, agent, is_answered, since } => plain(
            if is_answered { format!("Une conversation de {company} n’est pas résolue à temps") } else { format!("Un client de {company} attend une réponse") },
            vec![
                if is_answered { format!("La conversation avec {customer} est ouverte depuis le {}.", when(since)) } else { format!("{customer} attend une réponse depuis le {}.", when(since)) },
                agent.map_or_else(|| "La conversation n’est confiée à personne.".to_owned(), |agent| format!("La conversation est confiée à {agent}.")),
            ],
            Vec::new(),
        ),
        Template::NumberRestricted { company, number, reason, until } => plain(
            format!("WhatsApp a restreint le numéro {number} de {company}"),
            vec![
                format!("WhatsApp a restreint le numéro {number} de {company} jusqu’au {}.", when(until)),
                format!("Motif : {reason}"),
                "D’ici là, les réponses automatiques et les campagnes sont suspendues. Vérifiez ce qui a été envoyé avant de reprendre une campagne.".to_owned(),
            ],
            Vec::new(),
        ),
        Template::Bill { company, number, amount, due_at, .. } => linked(
            format!("Facture {number} pour {company}"),
            vec![
                format!("La facture {number} pour {company} est disponible."),
                format!("Montant : {amount}"),
                format!("Échéance : {}", when(due_at)),
            ],
            "Voir la facture",
            Vec::new(),
        ),
        Template::TrialEnding { company, product, ends_at, .. } => linked(
            format!("La période d’essai de {product} se termine bientôt"),
            vec![
                format!("La période d’essai de {product} dans {company} se termine le {}.", when(ends_at)),
                "Choisissez une formule d’ici là pour continuer à l’utiliser. Vos données restent en place.".to_owned(),
            ],
            "Choisir une formule",
            Vec::new(),
        ),
        Template::FirstCharge { company, product, plan, amount, ends_at, .. } => linked(
            format!("La formule {plan} de {product} commence bientôt"),
            vec![
                format!("La période d’essai de {product} dans {company} se termine le {}, et la formule {plan} que vous avez choisie commence.", when(ends_at)),
                format!("Un montant de {amount} sera alors facturé pour sa première période, si rien ne change d’ici là. Jusque-là, vous pouvez changer de formule ou résilier."),
            ],
            "Voir l’abonnement",
            Vec::new(),
        ),
        Template::PaymentOverdue { company, number, amount, grace_ends_at, .. } => linked(
            format!("La facture {number} n’a pas été payée"),
            vec![
                format!("La facture {number} de {company}, d’un montant de {amount}, n’a pas été payée."),
                format!(
                    "Sans paiement avant le {}, plus rien de nouveau ne pourra être enregistré ; la lecture restera possible.",
                    when(grace_ends_at)
                ),
            ],
            "Payer la facture",
            Vec::new(),
        ),
        Template::SubscriptionSuspended { company, product, .. } => linked(
            format!("L’abonnement à {product} est suspendu"),
            vec![
                format!("L’abonnement de {company} à {product} est suspendu, car une facture n’a pas été payée."),
                "Vous pouvez consulter vos données, mais rien enregistrer de nouveau avant le paiement.".to_owned(),
            ],
            "Payer la facture",
            Vec::new(),
        ),
        Template::UsageLimit { company, meter, used, limit, resets_at, is_reached, .. } => linked(
            if is_reached { format!("La limite de la formule est atteinte : {meter}") } else { format!("Les quatre cinquièmes sont utilisés : {meter}") },
            vec![
                format!("{company} a utilisé {used} sur {limit} ce mois-ci : {meter}."),
                if is_reached {
                    format!("Les appels qui comptent sont refusés jusqu’au {} ou jusqu’à une formule plus grande.", when(resets_at))
                } else {
                    format!("Quand la limite sera atteinte, les appels qui comptent seront refusés jusqu’au {} ou jusqu’à une formule plus grande.", when(resets_at))
                },
            ],
            "Voir l’utilisation",
            Vec::new(),
        ),
        Template::ExportReady { company, expires_at, .. } => linked(
            format!("L’export de {company} est prêt"),
            vec![
                format!("Tout ce que {company} conserve sur LOOP est prêt dans un seul fichier."),
                format!("Vous pouvez le télécharger jusqu’au {}.", when(expires_at)),
            ],
            "Télécharger l’export",
            Vec::new(),
        ),
    }
}
